"""The few Linux system calls that Python 3.11's library lacks: namespaces and mounts, through libc."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

NETNS_DIR = Path("/run/netns")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, kind: int) -> None:
    """setns(2) for the calling thread."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(source.encode(), str(target).encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
    _check(result, f"mount {kind or 'bind'} {source} on {target}")


def umount(target: str | Path, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(str(target).encode(), ctypes.c_int(flags)), f"umount {target}")


def pivot_root(new_root: str | Path, put_old: str | Path) -> None:
    """pivot_root(2)."""
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(number, str(new_root).encode(), str(put_old).encode()), "pivot_root")


def die_with_parent(signal_number: int) -> None:
    """prctl(PR_SET_PDEATHSIG)."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "prctl")


def set_process_name(name: str) -> None:
    """What ps(1) shows as the command's short name (15 bytes)."""
    _check(_libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0), "prctl")


@contextlib.contextmanager
def network_namespace(name: str) -> Iterator[None]:
    """The calling thread inside the named network namespace. Sockets opened there stay there.

    Raises FileNotFoundError when there is no namespace of that name.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(NETNS_DIR / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there, CLONE_NEWNET)
        finally:
            os.close(there)
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def run(*argv: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a command and give back what it printed; raises RuntimeError with its error text when it fails."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"`{' '.join(argv)}` failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def run_in(namespace: str, *argv: str, stdin: str | None = None, check: bool = True) -> str:
    """As run, inside a named network namespace."""
    return run("ip", "netns", "exec", namespace, *argv, stdin=stdin, check=check)


def ip_batch(commands: Sequence[str], namespace: str = "") -> None:
    """Several ip(8) commands in one process; raises RuntimeError at the first that fails."""
    where = ["-n", namespace] if namespace else []
    run("ip", *where, "-batch", "-", stdin="\n".join(commands) + "\n")


def namespaces() -> set[str]:
    """Names of all named network namespaces of this machine."""
    return {entry.name for entry in NETNS_DIR.iterdir()} if NETNS_DIR.is_dir() else set()


def namespace_inode(name: str) -> int:
    """Tells a named namespace from one of the same name made later; 0 when there is none (namespaces(7))."""
    try:
        return (NETNS_DIR / name).stat().st_ino
    except FileNotFoundError:
        return 0
