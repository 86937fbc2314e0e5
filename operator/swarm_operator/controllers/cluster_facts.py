"""What a reconcile of a SwarmCluster knows: the observation with what acting on it needs, and what is remembered from one reconcile to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_guests import GuestLogins
from swarm_operator.domain.cloud import Image, KeyPair, OwnedNetworking, ServerGroup, Volume
from swarm_operator.domain.cluster.observation import ClusterObservation, MachineReferences, NetworkReferences
from swarm_operator.domain.errors import ExternalError
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.quota import Usage
from swarm_operator.ports.compute import Cloud
from swarm_operator.ports.objects import Key
from swarm_operator.ports.swarm import Swarm, TlsMaterial

MEMO_SECONDS: Final = 300.0
MEMO_SECONDS_BLIND: Final = 60.0
TLS_KEYS: Final = ("ca.pem", "ca-key.pem", "cert.pem", "key.pem")
SSH_PRIVATE: Final = "ssh-privatekey"
SSH_PUBLIC: Final = "ssh-publickey"


class Session(Protocol):
    """What a ClusterSession gives us."""

    @property
    def swarm(self) -> Swarm: ...


class Sessions(Protocol):
    """What we need of ClusterSessions."""

    def publish(self, cluster: Key, uid: str, endpoints: list[str], tls: TlsMaterial) -> Session: ...
    def drop(self, cluster: Key) -> None: ...


@dataclass(frozen=True)
class SlowFacts:
    """Facts that change only by our own hand or rarely; remembered per process, safe to lose. `pools`: the generations of the SwarmWorkerPools for which they hold."""

    generation: int
    pools: Mapping[str, int]
    at: float
    network_references: Known[NetworkReferences]
    machine_references: dict[str, Fact[MachineReferences]]
    networking: Known[OwnedNetworking]
    keypair: Known[KeyPair | None]
    volumes: Fact[tuple[Volume, ...]]
    images: Fact[tuple[Image, ...]]
    server_groups: Fact[tuple[ServerGroup, ...]]
    compute_usage: Fact[Mapping[str, Usage]]


@dataclass
class SecretContents:
    """The secret bytes, apart from the observation."""

    ssh_private: bytes | None = field(default=None, repr=False)
    ssh_public: str | None = None
    tls: dict[str, bytes] | None = field(default=None, repr=False)


@dataclass
class Gathered:
    """The observation, and what acting on it needs. `errors` are those behind its Unknowns."""

    observation: ClusterObservation
    cloud: Cloud | None
    swarm: Swarm | None
    secrets: SecretContents
    logins: GuestLogins
    errors: list[ExternalError]


def ssh_secret_name(cluster: str) -> str:
    return f"{cluster}-ssh"


def tls_secret_name(cluster: str) -> str:
    return f"{cluster}-docker-tls"


def remember(gathered: Gathered, at: float) -> SlowFacts | None:
    """The slow facts, where all of them are known."""
    o = gathered.observation
    if not isinstance(o.network_references, Known) or not isinstance(o.networking, Known) or not isinstance(o.keypair, Known):
        return None
    if any(isinstance(f, Unknown) for f in o.machine_references.values()):
        return None
    if isinstance(o.server_groups, Unknown) and o.server_groups.reason is not Reason.FORBIDDEN:
        return None
    return SlowFacts(
        o.generation,
        dict(o.pool_generations),
        at,
        o.network_references,
        dict(o.machine_references),
        o.networking,
        o.keypair,
        o.volumes,
        o.images,
        o.server_groups,
        o.compute_usage,
    )
