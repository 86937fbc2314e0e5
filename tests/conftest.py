"""Fixtures for the tests on the lab. Without a lab those tests are skipped with the reason printed; nothing else is skipped for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "deploy" / "lab" / "lab"


def _lab_environment() -> dict[str, str] | None:
    """What `lab env --plain` prints over ours, or None where no lab is up."""
    if not LAB.exists() or subprocess.run([str(LAB), "status", "--quiet"], check=False, capture_output=True).returncode != 0:
        return None
    out = subprocess.run([str(LAB), "env", "--plain"], check=True, capture_output=True, text=True).stdout
    return {**os.environ, **dict(line.split("=", 1) for line in out.splitlines() if "=" in line)}


@pytest.fixture(scope="session")
def lab_env() -> dict[str, str]:
    """Environment for kubectl and the clouds of the running lab."""
    env = _lab_environment()
    if env is None:
        pytest.skip("the lab is not up (deploy/lab/lab up)")
    return env


@pytest.fixture(scope="session")
def lab_kubeconfig(lab_env: dict[str, str]) -> str:
    """Path of the lab's kubeconfig."""
    return lab_env["KUBECONFIG"]
