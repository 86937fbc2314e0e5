"""`make sbom` names every package that the image installs, each with its version and hashes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_each_locked_package_is_listed_with_its_hashes(tmp_path: Path) -> None:
    made = tmp_path / "sbom.json"
    argv = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "requirements",
        "--pyproject",
        "pyproject.toml",
        "--output-reproducible",
        "--of",
        "JSON",
        "-o",
        str(made),
        "requirements.txt",
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    bill = json.loads(made.read_text())
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ \\]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    listed = {found["name"]: found for found in bill["components"]}
    assert {name: found["version"] for name, found in listed.items()} == locked
    assert all(reference["hashes"] for found in listed.values() for reference in found["externalReferences"] if reference["type"] == "distribution")
    assert bill["metadata"]["component"]["name"] == "swarm-operator"
