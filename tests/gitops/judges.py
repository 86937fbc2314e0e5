"""Who judges an object: kstatus as Flux has it, and our health script as Argo CD runs it. Both are real, behind the program of `oracle/`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmlab import gotools, paths

ROOT = Path(__file__).resolve().parents[2]
HEALTH = ROOT / "deploy" / "gitops" / "argocd" / "health.lua"
ORACLE = shutil.which(gotools.ORACLE, path=f"{os.environ.get('PATH', '')}:{paths.BIN}")


@dataclass(frozen=True)
class Judged:
    """`kstatus`: Current, InProgress, Failed, Terminating. `argo`: Healthy, Progressing, Degraded, Suspended."""

    kstatus: str
    argo: str
    message: str


def judge(objects: list[dict[str, Any]]) -> list[Judged]:
    """One judgement per object, in order."""
    text = json.dumps(objects)
    return [Judged(k["status"], a["status"], a["message"]) for k, a in zip(_ask(text, "kstatus"), _ask(text, "lua", str(HEALTH)), strict=True)]


def _ask(text: str, *arguments: str) -> list[dict[str, str]]:
    assert ORACLE is not None
    done = subprocess.run([ORACLE, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found
