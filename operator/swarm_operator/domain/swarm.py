"""The swarm as the domain sees it (Docker Engine API v1.41, `Node`, `SwarmInfo`, `ClusterInfo`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Node:
    """A swarm node. `state` is unknown|down|ready|disconnected, `availability` active|pause|drain, `role` worker|manager.

    `reachability` is "" for workers, else unknown|unreachable|reachable. `version` is Version.Index. `machine_uid` is the engine label of a node that we made.
    `os` and `arch` are as the engine says (linux, x86_64), "" where it does not; `engine_labels` None likewise.
    """

    id: str
    hostname: str
    role: str
    availability: str
    state: str
    version: int
    address: str = ""
    leader: bool = False
    reachability: str = ""
    engine_version: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    machine_uid: str | None = None
    message: str = ""
    os: str = ""
    arch: str = ""
    engine_labels: dict[str, str] | None = None
    cpus: int = 0
    """Billionths of a CPU that its engine has for tasks; 0 where it does not tell. `memory`: bytes, likewise."""
    memory: int = 0
    issuer: str = ""
    """Fingerprint of the public key that its certificate was signed with; "" where it is not told."""


@dataclass(frozen=True)
class OverlayInfo:
    """A swarm-scoped network."""

    id: str
    name: str
    driver: str
    attachable: bool = False
    encrypted: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    internal: bool = False
    subnets: tuple[str, ...] = ()


MaterialKind = Literal["Config", "Secret"]


@dataclass(frozen=True)
class Material:
    """A config or secret of the swarm, without its content (a secret's can't be read back). `created_at` is as the engine writes it (RFC 3339, nanoseconds)."""

    kind: MaterialKind
    id: str
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    created_at: str = ""


@dataclass(frozen=True)
class ImageManifest:
    """What a registry says of an image (`GET /distribution/{name}/json`): the digest behind its tag, and the platforms it is built for as (architecture, os)."""

    digest: str
    platforms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SwarmSettings:
    """What of SwarmSpec can be changed on a live swarm (Docker Engine API, `POST /swarm/update`)."""

    task_history_limit: int
    heartbeat_seconds: int
    cert_expiry_hours: int
    autolock: bool = False
    """Changed by `Swarm.set_autolock` only."""


@dataclass(frozen=True)
class RootAuthority:
    """The swarm's root CA (Docker Engine API, `ClusterInfo`): `fingerprint` of the trusted root, `issuer` of the public key that new certificates are signed with."""

    fingerprint: str
    issuer: str
    rotating: bool = False
    force_rotate: int = 0
    """CAConfig.ForceRotate: raised by one for each rotation that was asked for."""


@dataclass(frozen=True)
class SwarmView:
    """One manager's complete answer: `GET /nodes`, and what `GET /info` and `GET /networks` say of the swarm."""

    swarm_id: str
    nodes: tuple[Node, ...]
    networks: tuple[OverlayInfo, ...] = ()
    running_tasks_by_node: dict[str, int] = field(default_factory=dict)
    """Tasks wanted and running, by node id, of services that are not global: what a drain waits for. Filled only while a node drains."""
    engine_version: str = ""
    engine_api_version: str = ""
    settings: SwarmSettings | None = None
    """None where the engine does not tell."""
    authority: RootAuthority | None = None


@dataclass(frozen=True)
class EngineInfo:
    """`GET /info` of one engine, over ssh. `local_state` is Swarm.LocalNodeState: inactive|pending|active|error|locked."""

    engine_version: str
    local_state: str
    node_id: str = ""
    swarm_id: str = ""
    control_available: bool = False
    error: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    remote_managers: tuple[str, ...] = ()
    """host:port of the managers that it knows (Swarm.RemoteManagers)."""
