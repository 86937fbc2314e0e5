"""The process beside each running server: what a QEMU process is to a virtual machine.

It outlives nova-compute, boots the guest in namespaces of its own, keeps the console log, boots again when the guest asks
for a reboot, and ends when the guest powers off or dies. It holds a lock on ``supervisor.lock`` in the server's directory:
the lock being held is what "the server is running" means, whatever became of pid files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pty
import select
import signal
import socket
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swarmlab.hosts import blockdev, guestroot, kernel, network, record

CONSOLE_LIMIT = 4 << 20
"""The console log is cut to its last quarter when it grows beyond this many bytes."""

SIGNAL_POWEROFF = signal.SIGRTMIN + 4
SIGNAL_REBOOT = signal.SIGRTMIN + 5
"""systemd(1): start poweroff.target, start reboot.target."""

_GUEST_WAS_KILLED_BY = 128


@dataclass
class _Running:
    init: int
    outer: int
    console: int
    terminal: int


class Supervisor:
    """One server from power-on to power-off. ``ready`` is a pipe on which the outcome of the first boot is told."""

    def __init__(self, directory: Path, ready: int) -> None:
        self.directory = directory
        self.ready = ready
        self.server = record.read(directory)
        self.boots = 0
        self.log = (directory / "console.log").open("ab", buffering=0)
        self.hard_reboot = False

    def run(self) -> None:
        """Boot, serve, and boot again until the guest is off."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        while True:
            guest = self._boot()
            self._tell("ok")
            how = self._serve(guest, wake_read)
            self._clean_up(guest)
            self._say(f"guest ended: {how}")
            if how != "reboot":
                break
            self.server = record.read(self.directory)
        self._write_status(0, how)

    def _boot(self) -> _Running:
        self.boots += 1
        server = self.server
        namespace = network.make_server_namespace(server.uuid)
        for index, nic in enumerate(server.nics):
            network.plug(namespace, index, nic, connected=not (self.directory / "cut").exists())
        master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        pid_read, pid_write = os.pipe()
        outer = os.fork()
        if outer == 0:
            os.close(pid_read)
            os.close(master)
            self._outer(namespace, slave, pid_write)
        os.close(pid_write)
        with os.fdopen(pid_read, "rb") as pipe:
            told = pipe.read().decode()
        if not told.isdigit():
            os.waitpid(outer, 0)
            os.close(master)
            os.close(slave)
            raise RuntimeError(f"boot failed: {told or 'no word from the first process'}")
        # Our own hold on the guest's side keeps the terminal alive while no process of the guest has it open.
        guest = _Running(int(told), outer, master, slave)
        self._write_status(guest.init, "running")
        self._say(f"boot {self.boots} of {server.name} ({server.uuid})")
        for volume in server.volumes:
            blockdev.attach(guest.init, volume)
        return guest

    def _outer(self, namespace: str, slave: int, pid_write: int) -> None:
        """The process outside the PID namespace: makes the namespaces, waits for the guest's init, mirrors its end."""
        try:
            signal.set_wakeup_fd(-1)
            kernel.die_with_parent(signal.SIGKILL)
            kernel.set_process_name("swl-guest")
            if self.ready >= 0:
                os.close(self.ready)
            guestroot.enter_cgroups(self.server)
            descriptor = os.open(kernel.NETNS_DIR / namespace, os.O_RDONLY)
            kernel.setns(descriptor, kernel.CLONE_NEWNET)
            os.close(descriptor)
            kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWPID | kernel.CLONE_NEWCGROUP)
            inner = os.fork()
            if inner == 0:
                self._inner(slave, pid_write)
            # Only the name of a program that could not start is written by the other side: a good exec closes the pipe.
            os.close(slave)
            os.write(pid_write, str(inner).encode())
            os.close(pid_write)
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(number, signal.SIG_IGN)
            _, status = os.waitpid(inner, 0)
            code = os.waitstatus_to_exitcode(status)
            os._exit(_GUEST_WAS_KILLED_BY - code if code < 0 else code)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(pid_write, f"{type(error).__name__}: {error}".encode())
            os._exit(1)

    def _inner(self, slave: int, pid_write: int) -> None:
        try:
            os.close(pid_write)
            kernel.die_with_parent(signal.SIGKILL)
            os.setsid()
            console = os.ttyname(slave)
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for target in (0, 1, 2):
                os.dup2(slave, target)
            for number in range(1, signal.NSIG):
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.closerange(3, 256)
            os.umask(0o022)
            guestroot.become_init(self.server, self.directory, console)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(2, f"swarmlab: the guest could not start: {type(error).__name__}: {error}\n".encode())
            os._exit(1)

    def _serve(self, guest: _Running, wake: int) -> str:
        """Copy the console and answer control requests until the guest's end; gives ``reboot``, ``off`` or ``crashed``."""
        control = _listen(self.directory)
        poller = select.poll()
        for descriptor in (guest.console, wake, control.fileno()):
            poller.register(descriptor, select.POLLIN)
        forced = ""
        try:
            while True:
                for descriptor, _ in poller.poll(blockdev.PARTITION_POLL_MS if self.server.volumes else None):
                    if descriptor == guest.console:
                        self._copy_console(guest.console)
                    elif descriptor == wake:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wake, 4096)
                    else:
                        forced = self._control(control, guest) or forced
                for volume in self.server.volumes:
                    blockdev.show_partitions(guest.init, volume)
                done, status = os.waitpid(guest.outer, os.WNOHANG)
                if done:
                    while self._copy_console(guest.console):
                        pass
                    return forced or _meaning(os.waitstatus_to_exitcode(status))
        finally:
            control.close()

    def _copy_console(self, descriptor: int) -> bool:
        if not select.select([descriptor], [], [], 0)[0]:
            return False
        try:
            data = os.read(descriptor, 65536)
        except OSError as error:
            # EIO: nobody has the other end open at this moment.
            if error.errno == errno.EIO:
                return False
            raise
        self.log.write(data)
        if self.log.tell() > CONSOLE_LIMIT:
            path = self.directory / "console.log"
            rest = path.read_bytes()[-CONSOLE_LIMIT // 4 :]
            self.log.truncate(0)
            self.log.write(rest)
        return bool(data)

    def _control(self, listener: socket.socket, guest: _Running) -> str:
        """One request: a JSON object on a line, answered by one. Gives what the guest's end will mean, if forced."""
        forced = ""
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(2)
            try:
                request = json.loads(connection.makefile().readline())
                answer: dict[str, object] = {"ok": True}
                match request["op"]:
                    case "poweroff":
                        os.kill(guest.init, SIGNAL_POWEROFF)
                    case "reboot":
                        os.kill(guest.init, SIGNAL_REBOOT)
                    case "kill":
                        forced = "off"
                        os.kill(guest.init, signal.SIGKILL)
                    case "reset":
                        forced = "reboot"
                        os.kill(guest.init, signal.SIGKILL)
                    case "reload":
                        self._reload(guest)
                    case other:
                        answer = {"ok": False, "error": f"unknown request {other!r}"}
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode() + b"\n")
        return forced

    def _reload(self, guest: _Running) -> None:
        """The record changed while running: plug and unplug what differs."""
        new = record.read(self.directory)
        old = self.server
        self.server = new
        for volume in set(old.volumes) - set(new.volumes):
            blockdev.detach(guest.init, volume)
        for volume in [v for v in new.volumes if v not in old.volumes]:
            blockdev.attach(guest.init, volume)
        namespace = network.server_namespace_of(new.uuid)
        for nic in old.nics:
            if nic not in new.nics:
                network.unplug(nic)
        for index, nic in enumerate(new.nics):
            if nic not in old.nics:
                network.plug(namespace, index, nic)

    def _clean_up(self, guest: _Running) -> None:
        os.close(guest.console)
        os.close(guest.terminal)
        for nic in self.server.nics:
            network.unplug(nic)
        network.drop_namespace(network.server_namespace_of(self.server.uuid))
        for volume in self.server.volumes:
            blockdev.release(volume)
        guestroot.drop_cgroups(self.server.uuid)

    def _write_status(self, pid: int, state: str) -> None:
        temporary = self.directory / ".status.json"
        temporary.write_text(json.dumps({"pid": pid, "state": state, "boots": self.boots, "since": time.time()}))
        temporary.replace(self.directory / "status.json")

    def _say(self, text: str) -> None:
        self.log.write(f"\r\n[swarmlab] {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\r\n".encode())

    def _tell(self, text: str) -> None:
        if self.ready >= 0:
            with contextlib.suppress(OSError):
                os.write(self.ready, text.encode())
                os.close(self.ready)
            self.ready = -1


def _meaning(code: int) -> str:
    # reboot(2): in a PID namespace, RESTART ends the init with SIGHUP, HALT and POWER_OFF with SIGINT.
    if code == _GUEST_WAS_KILLED_BY + signal.SIGHUP:
        return "reboot"
    if code == _GUEST_WAS_KILLED_BY + signal.SIGINT:
        return "off"
    return "crashed"


def _listen(directory: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    (directory / "control").unlink(missing_ok=True)
    with socket_address(directory) as address:
        listener.bind(address)
    listener.listen(8)
    return listener


@contextlib.contextmanager
def socket_address(directory: Path) -> Iterator[str]:
    """Address of a server's control socket, short enough for sun_path (108 bytes) whatever the directory's length."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/control"
    finally:
        os.close(descriptor)


def main() -> None:
    """``python -m swarmlab.hosts.supervisor DIRECTORY``: detaches, prints ``ok`` or the reason of a failed boot."""
    directory = Path(sys.argv[1])
    ready_read, ready_write = os.pipe()
    if os.fork():
        os.close(ready_write)
        with os.fdopen(ready_read, "rb") as pipe:
            told = pipe.read().decode()
        print(told or "the supervisor died; see supervisor.log", flush=True)
        os._exit(0 if told == "ok" else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(ready_read)
    out = os.open(directory / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir("/")
    lock = os.open(directory / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.write(ready_write, b"already running")
        os._exit(1)
    (directory / "supervisor.pid").write_text(str(os.getpid()))
    supervisor = None
    try:
        supervisor = Supervisor(directory, ready_write)
        supervisor.run()
    except BaseException as error:
        if supervisor is not None and supervisor.ready >= 0:
            supervisor._tell(f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
