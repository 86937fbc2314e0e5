"""A newer engine than this machine's: Debian's packages of another suite, unpacked into a cache and installed nowhere.

Taken through apt with state, cache and sources of its own, from the mirror that this machine's apt is configured for; apt verifies them by Debian's keyring.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

CACHE = Path("/var/cache/swarm-operator-lab/engines")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = ("docker.io", "docker-cli", "iptables")


class NoEngine(Exception):
    """The packages can't be had here; the text says why."""


def unpacked(suite: str) -> Path:
    """The root of a file system with the engine of a Debian suite. Downloads about 80 MB the first time. Raises NoEngine."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoEngine("needs root, apt-get and dpkg-deb")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = CACHE / suite
        if not root.exists():
            partial = CACHE / f"{suite}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            _build(suite, partial)
            (partial / "root").rename(root)
            shutil.rmtree(partial, ignore_errors=True)
    return root


def mirror() -> str:
    """The archive that this machine's apt takes Debian's main packages from. Raises NoEngine."""
    lists = sorted(Path("/etc/apt/sources.list.d").glob("*.sources"))
    for path in lists:
        for stanza in path.read_text().split("\n\n"):
            fields = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*)$", stanza))
            if "main" in fields.get("Components", "").split() and KEYRING.name in fields.get("Signed-By", "") and "security" not in fields.get("URIs", ""):
                return fields["URIs"].split()[0]
    lines = [line for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.list")] if path.exists() for line in path.open()]
    for line in lines:
        found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+/debian/?)\s+\S+\s+.*\bmain\b", line)
        if found:
            return found[1]
    raise NoEngine("apt has no source of Debian's main packages")


def _build(suite: str, work: Path) -> None:
    for directory in ("lists/partial", "archives/partial", "root"):
        (work / directory).mkdir(parents=True)
    (work / "status").touch()  # as if nothing were installed: the whole closure comes
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    options = {
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work,
        "Dir::Cache::archives": work / "archives",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", "-y", *(f"-o{name}={value}" for name, value in options.items())]
    _run([*apt, "update"])
    _run([*apt, "install", "--download-only", "--no-install-recommends", *PACKAGES])
    root = work / "root"
    for archive in sorted((work / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(archive), str(root)])
    # What base-files and the maintainer scripts would have made.
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "tmp", "run"):
        (root / name).mkdir(exist_ok=True)
    for name in ("iptables", "ip6tables"):
        if not (root / "usr/sbin" / name).exists():
            (root / "usr/sbin" / name).symlink_to("xtables-nft-multi")
    if not (root / "usr/sbin/dockerd").exists():
        raise NoEngine(f"docker.io of {suite} has no dockerd")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode != 0:
        # apt's words name the mirror; its address is nobody's business in a test report.
        raise NoEngine(f"{command[0]} {command[-1]}: {re.sub(r'[a-z]+://[^ /]+', 'MIRROR', done.stderr)[-600:]}")
