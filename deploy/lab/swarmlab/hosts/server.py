"""Servers as the virt driver, the fault switches and ``lab ssh`` see them: create, power, state, destroy.

The truth about power is the supervisor's lock, not a file's content; see supervisor.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from swarmlab import paths, process
from swarmlab.hosts import blockdev, guestroot, network, record
from swarmlab.hosts.record import Server
from swarmlab.hosts.supervisor import socket_address

RUNNING = "running"
OFF = "off"
CRASHED = "crashed"


class ServerError(Exception):
    """A server could not be started, stopped or changed; the text is fit for a Nova fault."""


def directory_of(uuid: str) -> Path:
    """Where a server's record, disk and logs are."""
    return paths.SERVERS / uuid


def all_servers() -> list[Server]:
    """Every server that exists on this machine, running or not."""
    if not paths.SERVERS.is_dir():
        return []
    found = []
    for entry in sorted(paths.SERVERS.iterdir()):
        with contextlib.suppress(FileNotFoundError, ValueError):
            found.append(record.read(entry))
    return found


def find(name_or_id: str) -> Server:
    """The one server of that id or name. Raises ServerError when there is none, or more than one."""
    matches = [s for s in all_servers() if name_or_id in (s.uuid, s.name)]
    if len(matches) != 1:
        raise ServerError(f"{len(matches)} servers are called {name_or_id!r} on this machine")
    return matches[0]


def exists(uuid: str) -> bool:
    """Whether a server has been created here."""
    return (directory_of(uuid) / "server.json").exists()


def create(server: Server, prepare: Callable[[Path], None] | None = None) -> None:
    """Make a server's directory and empty disk. ``prepare`` may fill the disk (snapshot, config drive) before it counts."""
    directory = directory_of(server.uuid)
    for name in ("disk/upper", "disk/work", "root"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for name in guestroot.PLAIN_DIRECTORIES:
        guestroot.plain_directory(directory, name).mkdir(exist_ok=True)
    directory.chmod(0o700)
    if prepare is not None:
        prepare(directory)
    write_into(directory, "etc/cloud/cloud.cfg.d/99-swarmlab-datasource.cfg", _datasource_config(server))
    record.write(directory, server)


def _datasource_config(server: Server) -> bytes:
    # A list of one entry makes cloud-init go straight to it, as a build of the image for one cloud would.
    return (
        f"datasource_list: [{server.datasource}]\n"
        "datasource: {OpenStack: {metadata_urls: ['http://169.254.169.254'], max_wait: 60, timeout: 10, retries: 3}}\n"
    ).encode()


def write_into(directory: Path, path: str, data: bytes, mode: int = 0o644) -> None:
    """Write a file into a server's disk while it is off."""
    target = directory / "disk/upper" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)


def update(uuid: str, **changes: Any) -> Server:
    """Change fields of a server's record; a running server takes the change in at once."""
    directory = directory_of(uuid)
    server = replace(record.read(directory), **changes)
    record.write(directory, server)
    if is_running(uuid):
        _control(uuid, "reload", timeout=30)
    return server


def is_running(uuid: str) -> bool:
    """Whether the supervisor's lock is held."""
    try:
        descriptor = os.open(directory_of(uuid) / "supervisor.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def state(uuid: str) -> str:
    """RUNNING, OFF or CRASHED. A server killed by the fault switch still counts as running: Nova is not told."""
    directory = directory_of(uuid)
    if (directory / "dead").exists() or is_running(uuid):
        return RUNNING
    return CRASHED if _status(directory).get("state") in (CRASHED, RUNNING) else OFF


def _status(directory: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads((directory / "status.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return loaded


def init_pid(uuid: str) -> int:
    """Pid, in the root namespace, of a running server's PID 1. Raises ServerError when it is off."""
    pid = int(_status(directory_of(uuid)).get("pid") or 0)
    if not pid or not is_running(uuid):
        raise ServerError(f"server {uuid} is not running")
    return pid


def start(uuid: str) -> None:
    """Power on; nothing happens when it is on. Raises ServerError with the reason when the guest cannot start."""
    directory = directory_of(uuid)
    (directory / "dead").unlink(missing_ok=True)
    if is_running(uuid):
        return
    environment = process.environment(
        f"server-{uuid[:8]}",
        {
            "PYTHONPATH": str(paths.LAB_DIR),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    done = subprocess.run(
        [sys.executable, "-m", "swarmlab.hosts.supervisor", str(directory)],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    told = done.stdout.strip()
    if told not in ("ok", "already running"):
        raise ServerError(f"server {uuid} did not start: {told or done.stderr.strip()[-500:]}")


def _control(uuid: str, operation: str, timeout: float = 5) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            with socket_address(directory_of(uuid)) as address:
                connection.connect(address)
            connection.sendall(json.dumps({"op": operation}).encode() + b"\n")
            answer = json.loads(connection.makefile().readline() or "{}")
        except (OSError, ValueError) as error:
            raise ServerError(f"server {uuid}: {operation}: {error}") from error
    if not answer.get("ok"):
        raise ServerError(f"server {uuid}: {operation}: {answer.get('error', 'no answer')}")


def stop(uuid: str, timeout: float = 0) -> None:
    """Power off: ask the guest and wait ``timeout`` seconds (0: do not ask), then pull the plug. Safe to repeat."""
    (directory_of(uuid) / "dead").unlink(missing_ok=True)
    if not is_running(uuid):
        return
    if timeout > 0:
        with contextlib.suppress(ServerError):
            _control(uuid, "poweroff")
            if _wait_off(uuid, timeout):
                return
    with contextlib.suppress(ServerError):
        _control(uuid, "kill")
        if _wait_off(uuid, 10):
            return
    kill_supervisor(uuid)


def reboot(uuid: str, hard: bool, timeout: float = 60) -> None:
    """Reboot by the guest's own reboot.target, or as a reset button would; a server that is off is started."""
    (directory_of(uuid) / "dead").unlink(missing_ok=True)
    if not is_running(uuid):
        start(uuid)
        return
    before = boots(uuid)
    _control(uuid, "reset" if hard else "reboot")
    deadline = time.monotonic() + timeout
    while boots(uuid) == before:
        if not is_running(uuid):
            start(uuid)
            return
        if time.monotonic() > deadline:
            raise ServerError(f"server {uuid} did not reboot within {timeout:.0f} s")
        time.sleep(0.1)


def boots(uuid: str) -> int:
    """How often a server has booted since it was last powered on."""
    return int(_status(directory_of(uuid)).get("boots") or 0)


def _wait_off(uuid: str, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while is_running(uuid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def kill_supervisor(uuid: str) -> None:
    """End a server's processes at once, whatever they do; the namespaces and groups left behind are removed."""
    directory = directory_of(uuid)
    if is_running(uuid):
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int((directory / "supervisor.pid").read_text()), signal.SIGKILL)
        _wait_off(uuid, 10)
    server = record.read(directory)
    # The guest's processes end with their PID 1, which ends with its parent; the kernel needs a moment for it.
    deadline = time.monotonic() + 5
    pid = int(_status(directory).get("pid") or 0)
    while pid and Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for nic in server.nics:
        network.unplug(nic)
    network.drop_namespace(network.server_namespace_of(uuid))
    for volume in server.volumes:
        blockdev.release(volume)
    guestroot.drop_cgroups(uuid)


def destroy(uuid: str, keep_disk: bool = False) -> None:
    """Power off at once and remove everything of the server; safe to repeat. ``keep_disk`` leaves the directory."""
    directory = directory_of(uuid)
    if not directory.exists():
        return
    if exists(uuid):
        stop(uuid)
    if keep_disk:
        return
    # The record goes first: from here on the server is gone, even if removing its files is interrupted.
    (directory / "server.json").unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)


def console(uuid: str) -> bytes:
    """The console log."""
    try:
        return (directory_of(uuid) / "console.log").read_bytes()
    except FileNotFoundError:
        return b""


def enter_command(uuid: str, *argv: str) -> list[str]:
    """Command line that runs ``argv`` inside a running server, as root, on every namespace of it (like a console login)."""
    pid = str(init_pid(uuid))
    return ["nsenter", "-t", pid, "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd", "--", *argv]
