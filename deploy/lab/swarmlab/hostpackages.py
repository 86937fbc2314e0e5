"""What the lab needs of Debian's packages, installed without letting any of them start a service."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from swarmlab import process
from swarmlab.errors import LabError

PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "debootstrap",
    "docker-registry",
    "docker.io",  # for the tests that run an engine of their own, and for its client
    "iproute2",
    "iptables",
    "mariadb-server",
    "openssh-client",
    "procps",
    "prometheus",
    "python3-venv",
    "rabbitmq-server",
)

_POLICY = Path("/usr/sbin/policy-rc.d")
_LOCK = Path("/tmp/swl-apt.lock")


def missing() -> list[str]:
    """Those of PACKAGES that are not installed."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *PACKAGES], capture_output=True, text=True)
    installed = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in PACKAGES if name not in installed]


def ensure() -> list[str]:
    """Install what is missing; returns what that was. Raises LabError where there is no apt."""
    if not shutil.which("apt-get"):
        raise LabError("the lab needs Debian 12 or a relative of it: there is no apt-get here")
    if not missing():
        return []
    with _apt_lock(), _no_service_starts():
        wanted = missing()
        if wanted:
            env = {"DEBIAN_FRONTEND": "noninteractive"}
            process.run(["apt-get", "update", "-q"], name="apt", env=env)
            process.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted], name="apt", env=env)
        return wanted


@contextlib.contextmanager
def _apt_lock() -> Iterator[None]:
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """While in the body, invoke-rc.d refuses to start services (101, as Debian Policy 9.3.3 and invoke-rc.d(8) say)."""
    if _POLICY.exists():  # an administrator's own policy stands
        yield
        return
    _POLICY.write_text("#!/bin/sh\n# put here by swarm-operator's lab for the time of an installation\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
