"""Start, watch and stop the lab's processes.

There is no init system to rely on, so this module is one, small: each service runs in a session of its own, with a pid file
and a log file. What makes it safe against a ``kill -9`` at any point is that every process carries ``SWARMLAB_STATE`` in its
environment and passes it on to its children, and writes to files under STATE: :func:`ours` finds them all in /proc by
either, pid file or not, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swarmlab import paths
from swarmlab.errors import LabError

MARK = "SWARMLAB_STATE"
"""Environment variable that marks a process as part of the lab whose STATE directory is its value."""

NAME = "SWARMLAB_SERVICE"
"""Environment variable with the name of the service that a process was started as, or by."""

_INHERITED = ("PATH", "LANG", "TZ", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")


@dataclass(frozen=True)
class Service:
    """One long-running process: how to start it and how to know that it works.

    ``ready`` is called every 100 ms until it returns true or ``timeout`` seconds are over; None: running is all there is to see.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool] | None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 90.0

    @property
    def log(self) -> Path:
        """The file that gets its standard output and standard error."""
        return paths.LOG / f"{self.name}.log"


def environment(name: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for a process of the lab: little of ours, the marks, and ``extra``."""
    env = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    env.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    env |= {"HOME": str(paths.STATE), MARK: str(paths.STATE), NAME: name}
    env["SPT_NOENV"] = "1"  # keeps setproctitle, which neutron and nova use, from writing over the marks
    # Code of the lab inside the services must find the same trees as we do.
    env |= {"SWARM_LAB_STATE": str(paths.STATE), "SWARM_LAB_CACHE": str(paths.CACHE)}
    return env | dict(extra or {})


def run(argv: Sequence[str], *, name: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a command to its end and return its standard output; all its output goes to a log file as well.

    Raises LabError with the end of its output when it fails.
    """
    done = subprocess.run(list(argv), env=environment(name, env), input=stdin, capture_output=True, text=True)
    paths.LOG.mkdir(parents=True, exist_ok=True)
    with (paths.LOG / f"{name}.log").open("a") as log:
        log.write(f"$ {' '.join(argv)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise LabError(f"{name}: {' '.join(argv[:3])} ... ended with {done.returncode}:\n{tail}")
    return done.stdout


def start(service: Service) -> bool:
    """Start a service unless it runs already; does not wait for it to be ready. True when it was started.

    Raises LabError when something that is not ours answers in its place already, such as another lab on the same ports.
    """
    if running(service.name) is not None:
        return False
    if service.ready is not None and service.ready():
        raise LabError(f"{service.name}: something that is no part of the lab in {paths.STATE} answers in its place already")
    for directory in (paths.RUN, paths.LOG):
        directory.mkdir(parents=True, exist_ok=True)
    with service.log.open("ab") as log:
        child = subprocess.Popen(
            list(service.argv),
            env=environment(service.name, service.env),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _pid_file(service.name).write_text(f"{child.pid}\n")
    # exec lets its caller go before the new program's environment can be read, and until then nobody, `running` least of all, would know the process for ours.
    while child.poll() is None and not _is_leader_of(child.pid, service.name):
        time.sleep(0.005)
    return True


def wait_ready(service: Service) -> None:
    """Wait until a started service is ready. Raises LabError when it ends or stays silent."""
    deadline = time.monotonic() + service.timeout
    if running(service.name) is None:
        raise LabError(f"{service.name} has ended; see {service.log}\n{_tail(service.log)}")
    while not (service.ready is None or service.ready()):
        if running(service.name) is None:
            raise LabError(f"{service.name} ended during its start; see {service.log}\n{_tail(service.log)}")
        if time.monotonic() > deadline:
            raise LabError(f"{service.name} is not ready after {service.timeout:.0f}s; see {service.log}\n{_tail(service.log)}")
        time.sleep(0.1)


def running(name: str) -> int | None:
    """The pid of a running service, or None.

    A pid file alone proves nothing (pids are reused, and a crash can come before it is written): the process must be a
    session leader that carries our marks.
    """
    with contextlib.suppress(OSError, ValueError):
        pid = int(_pid_file(name).read_text())
        if _is_leader_of(pid, name):
            return pid
    for pid in ours():
        if _is_leader_of(pid, name):
            _pid_file(name).write_text(f"{pid}\n")
            return pid
    return None


def stop(name: str, grace: float = 10.0) -> bool:
    """Stop a service with all of its session: SIGTERM, then SIGKILL after ``grace`` seconds. False when it did not run.

    What the service put into sessions of their own lives on, as servers do when nova-compute is stopped on a real cloud.
    """
    pid = running(name)
    if pid is not None:
        members = [member for member in ours() if _session(member) == pid]
        _signal(members, signal.SIGTERM)
        if not _gone(members, grace):
            _signal(members, signal.SIGKILL)
            _gone(members, 5.0)
    _pid_file(name).unlink(missing_ok=True)
    return pid is not None


def ours() -> list[int]:
    """Every living process of this lab, found by the mark in its environment or by its output, ourselves excepted."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sorted(pid for pid in pids if pid != os.getpid() and _is_ours(pid) and _state(pid) not in ("Z", ""))


def _is_ours(pid: int) -> bool:
    if _environ(pid).get(MARK) == str(paths.STATE):
        return True
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/fd/{number}").readlink().is_relative_to(paths.STATE):
                return True
    return False


def kill_all(grace: float = 0.0) -> int:
    """End every process of this lab, at once when ``grace`` is zero; returns how many there were.

    Raises LabError when some survive SIGKILL for ten seconds.
    """
    pids = ours()
    count = len(pids)
    if grace and pids:
        _signal(pids, signal.SIGTERM)
        _gone(pids, grace)
    deadline = time.monotonic() + 10.0
    while pids := ours():  # again and again: a dying process may just have started another one
        if time.monotonic() > deadline:
            raise LabError(f"processes that do not die: {pids}")
        _signal(pids, signal.SIGKILL)
        _gone(pids, 1.0)
    return count


def service_name(pid: int) -> str:
    """The service that a process of the lab belongs to."""
    return _environ(pid).get(NAME, "?")


def _pid_file(name: str) -> Path:
    return paths.RUN / f"{name}.pid"


def _environ(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition("=") for item in raw.decode(errors="replace").split("\0") if "=" in item)
    return {key: value for key, _, value in pairs}


def _state(pid: int) -> str:
    """The state letter in /proc/PID/stat, '' when there is no such process (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _is_leader_of(pid: int, name: str) -> bool:
    env = _environ(pid)
    if env.get(MARK) != str(paths.STATE) or env.get(NAME) != name or _state(pid) in ("Z", ""):
        return False
    return _session(pid) == pid


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _gone(pids: Iterable[int], within: float) -> bool:
    deadline = time.monotonic() + within
    left = list(pids)
    while True:
        left = [pid for pid in left if _state(pid) not in ("Z", "")]
        if not left or time.monotonic() > deadline:
            return not left
        time.sleep(0.05)


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
