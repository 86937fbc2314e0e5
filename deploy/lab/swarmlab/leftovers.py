"""What of a lab is on this machine: the proof that ``lab down`` leaves nothing.

Pure functions read the output of the tools and the files of /proc and /sys; :func:`find` calls them on this machine.
Names, mount points and marks decide, not what some record says, so that the traces of a crash are found as well.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from swarmlab import paths, process


def namespaces(listing: str) -> list[str]:
    """Names from ``ip netns list`` that are the lab's."""
    names = (line.split()[0] for line in listing.splitlines() if line.strip())
    return [name for name in names if name.startswith(paths.PREFIX)]


def links(names: Iterable[str]) -> list[str]:
    """Network interfaces (entries of /sys/class/net) that are the lab's."""
    return sorted(name for name in names if name.startswith(paths.PREFIX))


def mounts(mountinfo: str, below: Path) -> list[str]:
    """Mount points at or below a directory, deepest first, from /proc/self/mountinfo (proc(5), field 5, octal escapes)."""
    found = []
    for line in mountinfo.splitlines():
        point = line.split()[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if Path(point).is_relative_to(below):
            found.append(point)
    return sorted(found, key=lambda point: (-point.count("/"), point))


def loops(backing: dict[str, str], below: Path) -> list[str]:
    """Loop devices whose backing file is below a directory; the kernel says `` (deleted)`` after one that is gone."""
    return sorted(f"/dev/{dev}" for dev, file in backing.items() if Path(file.removesuffix(" (deleted)")).is_relative_to(below))


def rules(iptables_save: str) -> list[str]:
    """Chains and rules of ``iptables-save`` with a chain, an interface or a comment of the lab."""
    found = []
    for line in iptables_save.splitlines():
        words = line.replace('"', " ").split()
        if line[:1] in (":", "-") and any(word.lstrip(":").startswith(paths.PREFIX) for word in words):
            found.append(line)
    return found


def routes(listing: str) -> list[str]:
    """Lines of ``ip route show`` about the external network."""
    return [line.strip() for line in listing.splitlines() if paths.EXTERNAL_CIDR in line.split()]


def find() -> list[str]:
    """One line for each thing of a lab that is on this machine, caches excepted."""
    found = [f"process {pid} ({process.service_name(pid)})" for pid in process.ours()]
    found += [f"network namespace {name}" for name in namespaces(_output("ip", "netns", "list"))]
    found += [f"network interface {name}" for name in links(path.name for path in Path("/sys/class/net").iterdir())]
    found += [f"mount {point}" for point in find_mounts()]
    found += [f"loop device {device}" for device in find_loops()]
    for table in ("filter", "nat", "mangle", "raw"):
        found += [f"iptables {table}: {line}" for line in rules(_output("iptables-save", "-t", table))]
    found += [f"route {line}" for line in routes(_output("ip", "route", "show"))]
    found += [f"control group {path}" for path in find_cgroups()]
    if paths.STATE.exists():
        found.append(f"directory {paths.STATE}")
    return found


def find_mounts() -> list[str]:
    """Mount points of the lab on this machine, deepest first."""
    return mounts(Path("/proc/self/mountinfo").read_text(), paths.STATE)


def find_loops() -> list[str]:
    """Loop devices of the lab on this machine."""
    backing = {path.parts[3]: path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")}
    return loops(backing, paths.STATE)


def find_cgroups() -> list[Path]:
    """Control groups of the lab, deepest first; version 1 has one tree for each set of controllers."""
    root = Path("/sys/fs/cgroup")
    tops = [path for pattern in (f"{paths.PREFIX}*", f"*/{paths.PREFIX}*") for path in root.glob(pattern) if path.is_dir()]
    groups = [*tops, *(path for top in tops for path in top.rglob("*") if path.is_dir())]
    return sorted(groups, key=lambda path: (-len(path.parts), path))


def _output(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True).stdout
    except FileNotFoundError:  # a machine that never had the tool has nothing that was made with it
        return ""
