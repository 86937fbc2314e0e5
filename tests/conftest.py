"""Fixtures for the tests on the lab. Without a lab those tests are skipped with the reason printed; nothing else is skipped for it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Hypothesis fails an example that takes longer than 200 ms, and data that is slow to make: on a machine that is busy with the lab that says nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "deploy" / "lab" / "lab"


SHARING = frozenset({"test_cluster_lifecycle", "test_monitoring", "test_placement", "test_service_inputs", "test_services", "test_stacks"})
"""Files that use the session's cluster (fixture `swarm`)."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run in several processes (`-n`), those of one file run in one of them, in their order, for they share a cluster; so do all that use the session's cluster:
    two clusters of one name would have servers of one name, and `lab ssh` and `lab break` go by names."""
    from xdist.scheduler import LoadFileScheduling

    class ByCluster(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "main" if Path(file).stem in SHARING else file

    return ByCluster(config, log)


def _lab_environment() -> dict[str, str] | None:
    """Our environment after `eval "$(lab env)"`, or None where no lab is up."""
    if not LAB.exists() or subprocess.run([str(LAB), "status"], check=False, capture_output=True).returncode != 0:
        return None
    out = subprocess.run(["bash", "-c", 'eval "$("$0" env)" && env -0', str(LAB)], check=True, capture_output=True, text=True).stdout
    return dict(pair.split("=", 1) for pair in out.split("\0") if "=" in pair)


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
