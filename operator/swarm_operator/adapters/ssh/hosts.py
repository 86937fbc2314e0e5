"""`SshHosts` and `SshHost`: the ports' `Hosts` and `Host`."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import paramiko

from swarm_operator.adapters.ssh import engine, engine_settings, execute, volumes
from swarm_operator.adapters.ssh.errors import external
from swarm_operator.adapters.ssh.pool import Login, LoginPool
from swarm_operator.adapters.ssh.transport import handshake, host_key_text
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.swarm import EngineInfo
from swarm_operator.domain.volumes import GuestVolume, Mount
from swarm_operator.ports.hosts import CommandResult, FileToWrite, Host, HostTarget, HowApplied, ScannedKeys, SwarmInit

T = TypeVar("T")
Observe = Callable[[str, str, str, float], None]
"""observe(system, operation, outcome, seconds): called once per call; outcome is "ok" or the value of an ErrorKind."""

ENGINE_TIMEOUT: Final = 30.0
SWARM_TIMEOUT: Final = 60.0
"""The engine itself waits up to 20 s for a join, and as long for the start of a manager (moby, daemon/cluster)."""
JOIN_SETTLE: Final = 10.0
"""How long a join that did not answer clearly is watched before the caller is told to come back."""

# Runs on the guest as root: reads the files as JSON from stdin and prints the paths that it wrote. A temporary file beside the target and a rename make each write
# atomic; owner and mode are set before the name appears, so a private key is never readable in between.
_WRITER: Final = """
import base64, json, os, sys, tempfile
for item in json.load(sys.stdin):
    path, mode, data = item["path"], item["mode"], base64.b64decode(item["content"])
    try:
        with open(path, "rb") as old:
            stat = os.fstat(old.fileno())
            if old.read() == data and stat.st_mode & 0o7777 == mode and (stat.st_uid, stat.st_gid) == (0, 0):
                continue
    except FileNotFoundError:
        pass
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=folder, prefix=".swarmops-")
    try:
        os.fchmod(fd, mode)
        os.fchown(fd, 0, 0)
        with os.fdopen(fd, "wb") as new:
            new.write(data)
            new.flush()
            os.fsync(new.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    print(path)
"""


def _no_observer(system: str, operation: str, outcome: str, seconds: float) -> None:
    """Figures go nowhere."""


class SshHosts:
    """`ports.hosts.Hosts`. Safe for use by many threads."""

    def __init__(self, observe: Observe = _no_observer) -> None:
        self._observe = observe
        self._pool = LoginPool()

    def connect(self, target: HostTarget, private_key: bytes, *, timeout: float = 10.0) -> SshHost:
        """See `ports.hosts.Hosts`. The login may be one that is open already; `close` gives it back."""
        begun = time.monotonic()
        try:
            login = self._pool.take(target, private_key, timeout)
        except ExternalError as error:
            self._observe("ssh", "connect", error.kind.value, time.monotonic() - begun)
            raise
        self._observe("ssh", "connect", "ok", time.monotonic() - begun)
        return SshHost(self._pool, login, self._observe, lambda: self._pool.take(target, private_key, timeout))

    def scan_host_keys(self, target: HostTarget, *, timeout: float = 10.0) -> ScannedKeys:
        """See `ports.hosts.Hosts`. Through a jump host only while there is a login to that: scanning has no key to make one."""
        jump: Login | None = None
        if target.jump is not None:
            jump = self._pool.any_login(target.jump)
            if jump is None:
                raise external(ErrorKind.UNREACHABLE, "ssh", f"{target.address}: there is no login to the jump host {target.jump.address} yet")
        try:
            bare = HostTarget(target.address, target.user, (), target.port)
            transport = handshake(bare, timeout, jump.transport if jump is not None else None)
            try:
                return ScannedKeys((host_key_text(transport.get_remote_server_key()),))
            finally:
                transport.close()
        finally:
            if jump is not None:
                self._pool.give_back(jump)

    def close(self) -> None:
        """Close all logins."""
        self._pool.close()


class SshHost:
    """`ports.hosts.Host`. Threads may share it; each call has a channel of its own."""

    def __init__(self, pool: LoginPool, login: Login, observe: Observe, again: Callable[[], Login]) -> None:
        self._pool = pool
        self._login: Login | None = login
        self._observe = observe
        self._again = again
        self._lock = threading.Lock()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", sudo: bool = False, timeout: float = 30.0) -> CommandResult:
        """See `ports.hosts.Host`. A status other than 0 is a result, not an error. AMBIGUOUS when it did not end in time."""
        return self._observed("run", lambda: execute.run(self._channel(), argv, stdin, sudo, timeout))

    def pipe(self, argv: Sequence[str], target: Host, target_argv: Sequence[str], *, sudo: bool = False, timeout: float = 600.0) -> None:
        """See `ports.hosts.Host`; `target` is one of ours."""
        if not isinstance(target, SshHost):
            raise TypeError("target is no SshHost")
        self._observed("pipe", lambda: execute.pipe(self._channel(), argv, target._channel(), target_argv, sudo, timeout))

    def read(self, argv: Sequence[str], *, sudo: bool = False, timeout: float = 600.0) -> Iterator[bytes]:
        """See `ports.hosts.Host`."""
        return execute.read(self._channel(), argv, sudo, timeout)

    def feed(self, argv: Sequence[str], pieces: Iterator[bytes], *, sudo: bool = False, timeout: float = 600.0) -> CommandResult:
        """See `ports.hosts.Host`."""
        return self._observed("feed", lambda: execute.run(self._channel(), argv, pieces, sudo, timeout))

    def write_files(self, files: Sequence[FileToWrite]) -> bool:
        """See `ports.hosts.Host`; one round trip for all files."""
        if not files:
            return False
        payload = [{"path": f.path, "mode": f.mode, "content": base64.b64encode(f.content).decode()} for f in files]
        result = self.run(["python3", "-I", "-c", _WRITER], stdin=json.dumps(payload).encode(), sudo=True, timeout=60.0)
        if result.status != 0:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise external(ErrorKind.TRANSIENT, "ssh", f"write files on {self._address}: {last}")
        return bool(result.stdout.strip())

    def engine_info(self) -> EngineInfo:
        """See `ports.hosts.Host`."""
        return engine.engine_info(self.engine_request("GET", "/info"))

    def engine_request(self, method: str, path: str, body: Any = None) -> Any:
        """See `ports.hosts.Host`."""
        return self._engine(method, path, body, ENGINE_TIMEOUT)

    def swarm_init(self, init: SwarmInit) -> str:
        """See `ports.hosts.Host`."""
        node_id = self._engine("POST", "/swarm/init", init.body(), SWARM_TIMEOUT)
        return str(node_id)

    def swarm_join(self, remote_addrs: Sequence[str], token: str, advertise_addr: str | None = None, *, drained: bool = False) -> None:
        """See `ports.hosts.Host`. Returns only when this engine says that it is active in a swarm.

        The engine stops waiting after 20 s while the join goes on, so an unclear answer is followed by a look at its state: TRANSIENT when it is still joining,
        CONFLICT when it was in a swarm before (or is stuck in one: see `engine_info`), INVALID when the token is refused.
        """
        body: dict[str, Any] = {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": advertise_addr or "", "RemoteAddrs": list(remote_addrs), "JoinToken": token}
        if drained:
            body["Availability"] = "drain"
        unclear: ExternalError | None = None
        try:
            self._engine("POST", "/swarm/join", body, SWARM_TIMEOUT)
        except ExternalError as error:
            if error.kind not in (ErrorKind.AMBIGUOUS, ErrorKind.TRANSIENT):
                raise
            unclear = error
        deadline = time.monotonic() + JOIN_SETTLE
        while True:
            info = self.engine_info()
            if info.local_state == "active":
                return
            if info.local_state == "error" or (unclear is not None and info.local_state == "inactive"):
                raise unclear if unclear is not None and not info.error else external(ErrorKind.TRANSIENT, "docker", f"join the swarm: {info.error}")
            if time.monotonic() >= deadline:
                raise external(ErrorKind.TRANSIENT, "docker", f"join the swarm: the engine is still joining ({info.local_state})")
            time.sleep(1.0)

    def swarm_leave(self, force: bool) -> None:
        """See `ports.hosts.Host`; not being in a swarm is no error."""
        try:
            self._engine("POST", f"/swarm/leave?force={'true' if force else 'false'}", None, SWARM_TIMEOUT)
        except ExternalError as error:
            if "not part of a swarm" not in error.message:
                raise

    def look_at_volumes(self, mounts: Sequence[Mount]) -> tuple[GuestVolume, ...]:
        """See `ports.hosts.Host`."""
        return volumes.look(self._as_root, mounts)

    def set_up_volume(self, mount: Mount) -> None:
        """See `ports.hosts.Host`."""
        volumes.set_up(self._as_root, mount)

    def apply_engine_settings(self, settings: bytes, how: HowApplied) -> None:
        """See `ports.hosts.Host`."""
        engine_settings.apply(lambda argv, stdin, timeout: self.run(argv, stdin=stdin, sudo=True, timeout=timeout), settings, how)

    def _as_root(self, argv: Sequence[str], timeout: float) -> CommandResult:
        return self.run(argv, sudo=True, timeout=timeout)

    def close(self) -> None:
        """Give the login back to the pool; it stays open for a while."""
        with self._lock:
            login, self._login = self._login, None
        if login is not None:
            self._pool.give_back(login)

    @property
    def _address(self) -> str:
        login = self._login
        return login.target.address if login is not None else ""

    def _channel(self) -> paramiko.Channel:
        """A channel; on a pooled login that turns out dead, once more on a new one: opening a channel has no effect, so that is safe."""
        with self._lock:
            if self._login is None:
                raise external(ErrorKind.UNREACHABLE, "ssh", "the host was closed")
            try:
                return execute.open_channel(self._login.transport, 10.0)
            except ExternalError:
                stale, self._login = self._login, None
                self._pool.discard(stale)
                self._pool.give_back(stale)
                self._login = self._again()
                return execute.open_channel(self._login.transport, 10.0)

    def _engine(self, method: str, path: str, body: Any, timeout: float) -> Any:
        operation = f"engine {method} {path.partition('?')[0]}"
        return self._observed(operation, lambda: engine.request(self._channel(), method, path, body, timeout))

    def _observed(self, operation: str, call: Callable[[], T]) -> T:
        begun = time.monotonic()
        outcome = "error"
        try:
            result = call()
            outcome = "ok"
            return result
        except ExternalError as error:
            outcome = error.kind.value
            raise
        finally:
            self._observe("ssh", operation, outcome, time.monotonic() - begun)
