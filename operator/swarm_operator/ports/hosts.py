"""What the domain needs of a guest over ssh. Methods raise `ExternalError` (system "ssh", or "docker" where the engine answers with an error)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from swarm_operator.domain.swarm import EngineInfo
from swarm_operator.domain.volumes import GuestVolume, Mount


@dataclass(frozen=True)
class HostTarget:
    """Where and how to log in. `host_keys` are the trusted public keys ("ssh-ed25519 AAAA..."); any other is refused. `jump` is a host to go through."""

    address: str
    user: str
    host_keys: tuple[str, ...]
    port: int = 22
    jump: HostTarget | None = None


@dataclass(frozen=True)
class CommandResult:
    """Exit status and decoded output of a remote command."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class SwarmInit:
    """`POST /swarm/init` (Docker Engine API). Addresses are host or host:port; `pools` CIDRs."""

    advertise_addr: str
    pools: Sequence[str]
    subnet_size: int
    data_path_port: int
    task_history_limit: int
    listen_addr: str = "0.0.0.0:2377"
    force_new_cluster: bool = False
    """Make the swarm that the engine manages anew, with it as the only manager: nodes, services, networks and secrets stay, the other managers cease to be members."""

    def body(self) -> dict[str, Any]:
        """The request's body."""
        return {
            "ListenAddr": self.listen_addr,
            "AdvertiseAddr": self.advertise_addr,
            "DataPathPort": self.data_path_port,
            "DefaultAddrPool": list(self.pools),
            "SubnetSize": self.subnet_size,
            "ForceNewCluster": self.force_new_cluster,
            "Spec": {"Orchestration": {"TaskHistoryRetentionLimit": self.task_history_limit}},  # the engine keeps its defaults for what is absent here
        }


@dataclass(frozen=True)
class FileToWrite:
    """A file on the guest, owned by root. `content` may be secret: it goes through stdin, never argv."""

    path: str
    content: bytes
    mode: int = 0o644


HowApplied = Literal["check", "reload", "restart"]


@dataclass(frozen=True)
class ScannedKeys:
    """Host keys that a server offers, for TrustOnFirstUse."""

    keys: tuple[str, ...] = field(default_factory=tuple)


class Host(Protocol):
    """An open ssh login; short calls, each with a timeout."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", sudo: bool = False, timeout: float = 30.0) -> CommandResult: ...
    def pipe(self, argv: Sequence[str], target: Host, target_argv: Sequence[str], *, sudo: bool = False, timeout: float = 600.0) -> None:
        """What `argv` prints here is what `target_argv` reads on another host. Raises TRANSIENT where either ends with a status other than 0, AMBIGUOUS where it did not end in
        time or a connection broke."""

    def read(self, argv: Sequence[str], *, sudo: bool = False, timeout: float = 600.0) -> Iterator[bytes]:
        """What `argv` prints, piece by piece as it comes. Raises TRANSIENT where it ends with a status other than 0, AMBIGUOUS as `pipe`."""

    def feed(self, argv: Sequence[str], pieces: Iterator[bytes], *, sudo: bool = False, timeout: float = 600.0) -> CommandResult:
        """`run` with a stdin that comes piece by piece. What `pieces` raises is raised, and stdin has then no proper end."""

    def write_files(self, files: Sequence[FileToWrite]) -> bool:
        """Write those that differ (atomically, via a temporary file); True if any was written."""

    def engine_info(self) -> EngineInfo:
        """`GET /info` of the local engine."""

    def engine_request(self, method: str, path: str, body: Any = None) -> Any:
        """Any call to the local engine's API through `docker system dial-stdio`; the decoded JSON answer or None."""

    def swarm_init(self, init: SwarmInit) -> str:
        """The node id. CONFLICT when already part of a swarm."""

    def swarm_join(self, remote_addrs: Sequence[str], token: str, advertise_addr: str | None = None, *, drained: bool = False) -> None:
        """`POST /swarm/join`; `drained` with availability drain. The token goes through the channel only."""

    def swarm_leave(self, force: bool) -> None: ...
    def look_at_volumes(self, mounts: Sequence[Mount]) -> tuple[GuestVolume, ...]:
        """One answer for each, in order; nothing is written."""

    def set_up_volume(self, mount: Mount) -> None:
        """Make the file system where the volume is blank, mount it, note it in fstab, grow it to the size of the device; where it holds the engine's data, the engine is stopped
        before and started after. Done twice it does nothing more. INVALID with reason VolumeRefused where it holds something else, or something else is in the way: nothing
        was written. TRANSIENT with reason VolumeFailed where a command failed."""

    def apply_engine_settings(self, settings: bytes, how: HowApplied) -> None:
        """Write daemon.json, with the permissions 0644, and have it in force: `reload` by SIGHUP, `restart` by a restart of the engine; `check` only has the engine judge it,
        where it can (dockerd --validate, since 23.0), and writes nothing. INVALID with reason EngineFailed, and the engine's own words, where it refuses the settings: the
        former file is in its place again, and the engine runs with that unless the text says otherwise. TRANSIENT with reason EngineFailed where nothing could be done."""

    def close(self) -> None: ...


class Hosts(Protocol):
    """Opens logins."""

    def connect(self, target: HostTarget, private_key: bytes, *, timeout: float = 10.0) -> Host:
        """UNREACHABLE: no answer. UNAUTHORIZED: key refused. INVALID with reason HostKeyUnverified: the offered host key is not among `target.host_keys`."""

    def scan_host_keys(self, target: HostTarget, *, timeout: float = 10.0) -> ScannedKeys:
        """The host key that the server offers, without logging in (TrustOnFirstUse)."""
