"""What one reconcile of a SwarmCluster saw. Immutable, and free of secrets: it may be printed and logged.

Does not: read anything (`controllers.cluster_gather` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import CredentialExpiry, Image, KeyPair, OwnedNetworking, Port, Server, ServerGroup, Volume
from swarm_operator.domain.cluster.floors import ServiceLoad
from swarm_operator.domain.cluster.workload import Workload
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.quota import Usage
from swarm_operator.domain.swarm import EngineInfo, SwarmView
from swarm_operator.domain.volumes import GuestVolume

NOT_LOOKED_AT = Unknown(Reason.NOT_EVALUATED, "not looked at yet")


@dataclass(frozen=True)
class NetworkReferences:
    """Ids of the existing Neutron objects that the spec names. `network_id`, `subnet_id` and `router_id` None: the operator makes them. `security_group_ids` None: likewise."""

    network_id: str | None = None
    subnet_id: str | None = None
    external_network_id: str | None = None
    security_group_ids: tuple[str, ...] | None = None
    floating_network_ids: Mapping[str, str] = field(default_factory=dict)
    """By pool ("" for managers), where `floatingIP.pool` is set: the external network of its new floating IPs."""
    router_id: str | None = None


@dataclass(frozen=True)
class PortReferences:
    """Ids of what an entry of `machine.ports` names. `network_id` None: the cluster's. `subnet_ids`: of each fixed address, None where the spec names none."""

    network_id: str | None = None
    subnet_ids: tuple[str | None, ...] = ()
    security_group_ids: tuple[str, ...] | None = None


@dataclass(frozen=True)
class MachineReferences:
    """Ids of the flavor(s) and image of one pool, and of its server group where the spec names one. As it is gathered `image_id` is empty where the image is one of the cluster's own; `domain.cluster.images` knows that."""

    flavor_id: str
    image_id: str
    server_group_id: str | None = None
    """Of a group that exists; None where the operator makes one, or none is wanted."""
    fallback_flavor_ids: tuple[str, ...] = ()
    ports: tuple[PortReferences, ...] = ()
    """One for each entry of `machine.ports`."""


@dataclass(frozen=True)
class Secrets:
    """Which of the cluster's own Secrets are there. `ssh_public_key` is the public half in OpenSSH form. Contents stay in the controller."""

    ssh: bool = False
    ssh_public_key: str | None = None
    tls: bool = False
    tls_client_expiring: bool = False


@dataclass(frozen=True)
class UnlockKeys:
    """The Secret of unlock keys, without its contents. `stored`: it holds the key in force (also where the swarm has none); `former`: how many others it holds; `confirmed`: by
    machine UID, whether the manager's own key file shows the state in force (read only while there are former keys)."""

    stored: bool = False
    former: int = 0
    confirmed: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Guest:
    """What a guest says of itself over ssh. `tls_in_force`: its engine was restarted with a valid certificate of the cluster's CA (managers)."""

    engine: EngineInfo
    tls_in_force: bool = False
    volumes: tuple[GuestVolume, ...] = ()
    """Of those that it was asked for."""
    tls_expires: str | None = None
    """When that certificate ends; None where it was not looked at or can't be read."""
    raft_committed: int | None = None
    """Of a manager whose swarm has no leader: the index up to which its raft log is committed; None where it was not looked at or can't be read."""


@dataclass(frozen=True)
class ClusterObservation:
    """Everything that `decide` may look at, apart from spec and status.

    `uid` is the one that owned objects carry: that of `spec.adopt` where there is one. `servers_fresh`: the server list was read for this reconcile, not served from a cache. `guests` and `host_keys` are keyed by machine UID and hold only the machines that
    were asked. `tasks`: running tasks of services that are not global, by node id; read only while a worker of ours is drained. `host_keys`: what the console (or the first contact) says, for machines without pinned keys. `ports` is read only while the managed network is being removed.
    """

    uid: str
    name: str
    generation: int
    deleting: bool = False
    finalizer: bool = False
    credentials: Fact[None] = NOT_LOOKED_AT
    credential_expiry: Fact[CredentialExpiry] = NOT_LOOKED_AT
    credentials_held: bool = False
    """The Secret of `identityRef` exists and carries our finalizer, or can't be given one any more because it is being deleted."""
    network_references: Fact[NetworkReferences] = NOT_LOOKED_AT
    machine_references: Mapping[str, Fact[MachineReferences]] = field(default_factory=dict)
    servers: Fact[tuple[Server, ...]] = NOT_LOOKED_AT
    servers_fresh: bool = False
    networking: Fact[OwnedNetworking] = NOT_LOOKED_AT
    keypair: Fact[KeyPair | None] = NOT_LOOKED_AT
    secrets: Fact[Secrets] = NOT_LOOKED_AT
    swarm: Fact[SwarmView] = NOT_LOOKED_AT
    tasks: Fact[Mapping[str, int]] = NOT_LOOKED_AT
    guests: Mapping[str, Fact[Guest]] = field(default_factory=dict)
    host_keys: Mapping[str, Fact[tuple[str, ...]]] = field(default_factory=dict)
    ports: Fact[tuple[Port, ...]] = NOT_LOOKED_AT
    volumes: Fact[tuple[Volume, ...]] = NOT_LOOKED_AT
    """Those whose metadata names the cluster."""
    images: Fact[tuple[Image, ...]] = NOT_LOOKED_AT
    """Those whose properties name the cluster."""
    keypairs: Fact[tuple[KeyPair, ...]] = NOT_LOOKED_AT
    """Those whose name says that they are the cluster's."""
    rival: str | None = None
    """Another SwarmCluster that owns the UID of `spec.adopt`, or adopts it too; looked for before the takeover."""
    server_groups: Fact[tuple[ServerGroup, ...]] = NOT_LOOKED_AT
    """Those whose name holds the cluster's UID."""
    compute_usage: Fact[Mapping[str, Usage]] = NOT_LOOKED_AT
    """Of the project's quotas in Nova; as remembered, so good for a hint only."""
    project_fresh: bool = False
    """`networking` and `volumes` were read for this reconcile, not remembered."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    networks_in_use: Fact[frozenset[str]] = NOT_LOOKED_AT
    """Ids of swarm networks that services are attached to; read only while a network of ours has left the spec."""

    unlock_keys: Fact[UnlockKeys] = NOT_LOOKED_AT
    """Read where autolock is wanted, or was on."""
    workload: Fact[Workload] = NOT_LOOKED_AT
    """What tasks need; read only while a pool has `autoscaling`."""
    frozen_pools: frozenset[str] = frozenset()
    """Names of pools whose SwarmWorkerPool is refused: their workers are left as they are."""
    pool_generations: Mapping[str, int] = field(default_factory=dict)
    """Of the SwarmWorkerPools of the cluster, by name."""
    services: Fact[tuple[ServiceLoad, ...]] = NOT_LOOKED_AT
    """Replicated services and where their tasks run; read only while machines are changed."""

    def named(self, annotation: str) -> frozenset[str]:
        """What an annotation lists, comma separated; names of machines in most."""
        return frozenset(part.strip() for part in self.annotations.get(annotation, "").split(",") if part.strip())

    def has_no_tasks(self, node_id: str) -> bool:
        """Whether the tasks were listed and none of those that a drain moves runs on the node."""
        return isinstance(self.tasks, Known) and not self.tasks.value.get(node_id)

    def guest(self, machine_uid: str) -> Fact[Guest]:
        """What is known of a guest."""
        return self.guests.get(machine_uid, NOT_LOOKED_AT)
