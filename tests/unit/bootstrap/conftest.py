"""Ignition's own validator, built from its Go module."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / "ignition"


@pytest.fixture(scope="session")
def ignition_validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ignition's own parser and validator."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go to build Ignition's validator with")
    built = tmp_path_factory.mktemp("ignition") / "check"
    done = subprocess.run(["go", "build", "-o", str(built), "."], cwd=CHECK, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built
