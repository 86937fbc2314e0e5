"""SwarmCluster: the observed state."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from swarm_operator.api.backup import BackupName, BackupStatus
from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, CloudName, DnsLabel, Moment
from swarm_operator.api.conditions import Condition
from swarm_operator.api.images import ImageStatus, SnapshotStatus
from swarm_operator.api.rollout import RolloutStatus
from swarm_operator.api.storage import MOST_VOLUMES, MachineVolumeStatus, RetainedVolumeStatus


class MachinePhase(StrEnum):
    """Where a machine is in its life."""

    PENDING = "Pending"
    BUILDING = "Building"
    BOOTING = "Booting"
    JOINING = "Joining"
    READY = "Ready"
    DOWN = "Down"
    DRAINING = "Draining"
    DELETING = "Deleting"
    FAILED = "Failed"
    PRESERVED = "Preserved"


class Rung(StrEnum):
    """Repairs of a machine, from the gentlest to the last."""

    UNLOCK = "Unlock"
    RESTART_ENGINE = "RestartEngine"
    REJOIN = "Rejoin"
    START = "Start"
    SOFT_REBOOT = "SoftReboot"
    HARD_REBOOT = "HardReboot"
    REBUILD = "Rebuild"
    REPLACE = "Replace"


class MachineRemediation(ApiModel):
    """The last repair of a machine."""

    rung: Rung = Field(description="What was done last.")
    attempts: int = Field(
        default=1, ge=1, description="Repairs since the machine was last healthy for ten minutes; after remediation.retryBudget.perMachine it is replaced."
    )
    since: Moment = Field(description="When it was done.")


class MachineHook(ApiModel):
    """A lifecycle hook that the removal of a machine waits for."""

    name: DnsLabel = Field(description="Name of the hook in spec.lifecycleHooks.")
    at: Literal["PreDrain", "PreTerminate"] = Field(description="What it is waited for before.")
    since: Moment = Field(description="Since when.")


class MachineOrigin(ApiModel):
    """The place that a promoted manager had as a worker."""

    pool: Annotated[str, Field(max_length=63)] = Field(description="Worker pool.")
    slot: int = Field(ge=0, description="Index within the pool.")
    incarnation: int = Field(default=1, ge=1, description="How many servers had held that slot, this one included.")


class MachineStatus(ApiModel):
    """One machine: a server and its swarm node."""

    name: DnsLabel = Field(description="Name of the server.")
    role: Literal["Manager", "Worker"] = Field(description="Role in the swarm.")
    pool: str = Field(default="", max_length=63, description="Worker pool; empty for managers.")
    slot: int = Field(ge=0, description="Index within managers or pool.")
    incarnation: int = Field(default=1, ge=1, description="How many servers have held this slot, this one included.")
    promoted_from: MachineOrigin | None = Field(default=None, description="Where it was a worker, for a manager that was promoted (managers.promoteFrom).")
    machine_uid: Annotated[str, Field(max_length=64)] = Field(
        alias="machineUID", description="Identity of the machine; on the server's metadata and as engine label."
    )
    server_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="serverID", description="Nova server.")
    node_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="nodeID", description="Swarm node.")
    address: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Fixed address.")
    floating_ip: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="floatingIP", description="Floating address.")
    phase: MachinePhase = Field(description="Where the machine is in its life.")
    phase_since: Moment = Field(description="When the phase began.")
    created_at: Moment | None = Field(default=None, description="When the server was asked for.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why, where it is not plain; Nova's fault text for a failed server.")
    availability_zone: Annotated[str, Field(max_length=255)] | None = Field(
        default=None, description="Availability zone that the server is in, or was asked for."
    )
    zones_tried: list[Annotated[str, Field(max_length=255)]] = Field(
        default_factory=list, max_length=32, description="Availability zones in which no host was found for this slot since it last had a ready machine."
    )
    flavors_tried: list[Annotated[str, Field(max_length=255)]] = Field(
        default_factory=list, max_length=9, description="IDs of flavors for which no host was found for this slot since it last had a ready machine."
    )
    fallback_flavor_id: Annotated[str, Field(max_length=255)] | None = Field(
        default=None, alias="fallbackFlavorID", description="ID of the flavor of the server, where it is one of machine.fallbackFlavors."
    )
    host_id: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, alias="hostID", description="Nova's hostId: equal for servers of the project that are on one host."
    )
    engine_version: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Docker engine version.")
    host_keys: list[Annotated[str, Field(max_length=1024)]] = Field(default_factory=list, max_length=8, description="Pinned ssh host keys (public).")
    engine_configured: bool = Field(default=False, description="The engine has its TLS certificate (managers).")
    engine_certificate_expires: Moment | None = Field(default=None, description="When the server certificate of its Docker API ends (managers).")
    remediation: MachineRemediation | None = Field(default=None, description="The last repair, while it is recent.")
    volumes: list[MachineVolumeStatus] = Field(
        default_factory=list, max_length=MOST_VOLUMES, description="Data volumes.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]}
    )
    hooks: list[MachineHook] = Field(
        default_factory=list,
        max_length=16,
        description="Lifecycle hooks that the removal of the machine waits for; done when the annotation `swarmops.io/hook-done` names machine and hook.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    template_hash: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Hash of what the server was made of.")
    up_to_date: bool | None = Field(default=None, description="Whether the server is as the spec says; absent where that is not known.")


class RoleCount(ApiModel):
    """How many machines of a role there are."""

    desired: int = Field(default=0, description="Declared.")
    ready: int = Field(default=0, description="Ready in the swarm.")
    summary: Annotated[str, Field(max_length=32)] = Field(default="0/0", description="ready/desired, for display.")


class InfrastructureStatus(ApiModel):
    """OpenStack objects in use; ids are written at once after each create."""

    network_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="networkID", description="Network.")
    subnet_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="subnetID", description="Subnet.")
    router_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="routerID", description="Router.")
    external_network_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="externalNetworkID", description="External network.")
    security_group_ids: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=8, alias="securityGroupIDs", description="Security groups of all machines."
    )
    manager_security_group_ids: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=8, alias="managerSecurityGroupIDs", description="Security groups that managers have besides."
    )
    key_name: CloudName | None = Field(default=None, description="Nova key pair.")
    server_group_ids: dict[str, Annotated[str, Field(max_length=64)]] = Field(
        default_factory=dict, alias="serverGroupIDs", description="Nova server groups by pool; that of the managers is `manager`."
    )


class CredentialsStatus(ApiModel):
    """The credentials in use; holds no secret."""

    secret_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Secret that the operator holds by a finalizer, so that it outlives the cleanup."
    )
    kind: Literal["ApplicationCredential", "Password"] | None = Field(default=None, description="What they are, as far as Keystone tells.")
    id: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="ID of the application credential, or of the user.")
    expires_at: Moment | None = Field(default=None, description="When they expire; absent where they don't, or where Keystone does not tell.")


class AdoptionStatus(ApiModel):
    """How far the takeover of `spec.adopt` has come."""

    state: Literal["Observing", "Adopted"] = Field(
        description="Observing: nothing is changed. Adopted: the spec declares what was found; the cluster is kept as any other."
    )
    since: Moment = Field(description="When the state began.")
    managers: int = Field(default=0, ge=0, description="Servers of managers that were found.")
    workers: int = Field(default=0, ge=0, description="Servers of workers that were found.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="What keeps it from being adopted.")


DeletionStage = Literal["Servers", "Infrastructure", "Done"]


class RemainingObject(ApiModel):
    """An object in the cloud that is still to be deleted."""

    kind: Annotated[str, Field(max_length=32)] = Field(
        description="What it is: server, floating-ip, port, router, subnet, network, security-group, volume, image, server-group, key-pair."
    )
    id: Annotated[str, Field(max_length=255)] = Field(description="Its id in OpenStack; the name of a key pair.")
    name: Annotated[str, Field(max_length=255)] = Field(default="", description="Its name, where it has one.")


class DeletionStatus(ApiModel):
    """How far a deletion has come."""

    stage: DeletionStage = Field(description="Servers: they go first. Infrastructure: what they hung on goes. Done: nothing is left, or it is left on purpose.")
    since: Moment = Field(description="When the stage began.")
    count: int = Field(default=0, ge=0, description="How many objects are left, as far as could be seen.")
    remaining: list[RemainingObject] = Field(
        default_factory=list,
        max_length=200,
        description="The objects that are left, the first 200 of them.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["kind", "id"]},
    )


OrphanKind = Literal["server", "trunk", "port", "floating-ip", "router", "subnet", "network", "security-group", "key-pair", "volume", "image"]


class OrphanStatus(ApiModel):
    """An object in the cloud that carries the cluster's UID and serves no part of it."""

    kind: OrphanKind = Field(description="What it is.")
    id: Annotated[str, Field(max_length=255)] = Field(description="Its id in OpenStack; of a key pair its name.")
    name: Annotated[str, Field(max_length=255)] = Field(default="", description="Its name, address or purpose, as far as it has one.")
    first_seen: Moment = Field(description="When it was first seen.")


class JoinStatus(ApiModel):
    """State of the metadata join; holds no secret."""

    token_exposed: bool = Field(default=False, description="A worker token is in server metadata and must be rotated once the batch has joined.")
    rotated_at: Moment | None = Field(default=None, description="When the worker token was last rotated by the operator.")
    rotated_for: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The spec.swarm.rotateJoinTokens for which the tokens were last rotated."
    )


class AutolockStatus(ApiModel):
    """State of the managers' lock; holds no key."""

    enabled: bool = Field(default=False, description="The swarm says that its managers lock themselves.")
    key_stored: bool = Field(default=False, description="The Secret holds the key that is in force.")
    former_keys: int = Field(default=0, ge=0, description="Former keys in the Secret, which some manager may still need.")
    unconfirmed: list[DnsLabel] = Field(default_factory=list, max_length=7, description="Managers that are not known to have the key in force yet.")
    rotated_for: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The spec.swarm.rotateUnlockKey for which the key was last rotated."
    )
    rotated_at: Moment | None = Field(default=None, description="When the operator last rotated the key.")


class AuthorityStatus(ApiModel):
    """The swarm's root CA, and its rotation."""

    fingerprint: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="SHA-256 of the root certificate (PEM) that nodes trust.")
    rotating: bool = Field(default=False, description="A rotation is under way: no machine joins, and nothing else is rotated.")
    nodes_renewed: int = Field(default=0, ge=0, description="Nodes whose certificate comes from the new root, while it is rotated.")
    nodes_total: int = Field(default=0, ge=0, description="Nodes of the swarm, while the root is rotated.")
    requested_for: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="The spec.swarm.rotateCA that was last begun.")
    requested_at: Moment | None = Field(default=None, description="When that was.")
    requested_over: int = Field(default=0, ge=0, description="CAConfig.ForceRotate of the swarm before that.")
    rotated_for: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="The spec.swarm.rotateCA whose rotation is complete.")


class RecoveryStatus(ApiModel):
    """A lost majority, and the last recovery from one."""

    lost_since: Moment | None = Field(default=None, description="Since when Nova has no server for the majority.")
    done_for: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="The spec.recovery.approve that is used up.")
    done_at: Moment | None = Field(default=None, description="When the swarm was last made anew.")
    from_manager: DnsLabel | None = Field(default=None, description="The manager that it was made anew from.")
    services: int | None = Field(default=None, ge=0, description="Services that it then had.")
    restoring: BackupName | None = Field(default=None, description="The backup that the swarm is being restored from.")
    restored_from: BackupName | None = Field(default=None, description="The backup that it was last restored from.")


class OverlayStatus(ApiModel):
    """An overlay network of `spec.swarm.networks`, or one that was there."""

    name: Annotated[str, Field(max_length=255)] = Field(description="Name of the network in the swarm.")
    network_id: Annotated[str, Field(max_length=64)] = Field(alias="networkID", description="ID of the network in the swarm.")
    state: Annotated[str, Field(max_length=16)] = Field(
        description="Ready; Differs: a network of that name is not as declared and is left alone; Unwanted: it has left the spec and is removed once no service uses it."
    )
    message: Annotated[str, Field(max_length=512)] | None = Field(default=None, description="Why it is not Ready.")


class RepairCount(ApiModel):
    """What of the retry budget of the cluster is spent."""

    count: int = Field(default=0, ge=0, description="Repairs and replacements of failed machines in the present window.")
    since: Moment | None = Field(default=None, description="When the window began.")


class PoolScaling(ApiModel):
    """What the operator knows for choosing the number of workers of a pool."""

    why: Annotated[str, Field(max_length=512)] = Field(default="", description="Why the number is what it is.")
    scaled_at: Moment | None = Field(default=None, description="When the number was last changed by need.")
    pending_since: Moment | None = Field(default=None, description="Since when tasks wait that a worker of the pool could run.")
    idle_worker: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Machine UID of the worker that is of no use.")
    idle_since: Moment | None = Field(default=None, description="Since when it is.")
    cpus: int = Field(default=0, ge=0, description="What a worker of the pool has for tasks, in billionths of a CPU; 0 before one was seen.")
    memory: int = Field(default=0, ge=0, description="What a worker of the pool has for tasks, in bytes; 0 before one was seen.")


class PoolStatus(ApiModel):
    """What the cluster makes of a worker pool."""

    name: Annotated[str, Field(max_length=24)] = Field(description="Name of the pool.")
    desired: int = Field(default=0, ge=0, description="Workers that there shall be.")
    object_generation: int | None = Field(
        default=None, description="Generation of the SwarmWorkerPool that was looked at last; absent for an entry of spec.workerPools."
    )
    autoscaling: PoolScaling | None = Field(default=None, description="Why there shall be so many; with `autoscaling` only.")


class SwarmClusterStatus(ApiModel):
    """Observed state of a swarm."""

    observed_generation: int | None = Field(default=None, ge=-1, description="Generation that this status was computed for; -1 before the operator has looked.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=32,
        description="Conditions; Ready sums them up.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["type"]},
    )
    managers: RoleCount = Field(default_factory=RoleCount, description="Managers.")
    workers: RoleCount = Field(default_factory=RoleCount, description="Workers.")
    pools: list[PoolStatus] = Field(
        default_factory=list,
        max_length=512,
        description="Worker pools: those of the spec, and the SwarmWorkerPools of the cluster.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    endpoint: Annotated[str, Field(max_length=255)] | None = Field(default=None, description="Docker API endpoint (mutual TLS), tcp://address:2376.")
    swarm_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="swarmID", description="ID of the swarm.")
    engine_version: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Engine version of the leader.")
    engine_api_version: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, alias="engineAPIVersion", description="Engine API version of the leader."
    )
    credentials: CredentialsStatus = Field(default_factory=CredentialsStatus, description="The credentials in use.")
    adoption: AdoptionStatus | None = Field(default=None, description="How far the takeover has come; only with spec.adopt.")
    deletion: DeletionStatus | None = Field(default=None, description="How far the deletion has come, while the object is being deleted.")
    infrastructure: InfrastructureStatus = Field(default_factory=InfrastructureStatus, description="OpenStack objects in use.")
    networks: list[OverlayStatus] = Field(
        default_factory=list, max_length=128, description="Overlay networks.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]}
    )
    images: list[ImageStatus] = Field(
        default_factory=list, max_length=64, description="Images from the web.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["checksum"]}
    )
    snapshots: list[SnapshotStatus] = Field(
        default_factory=list, max_length=64, description="Snapshots and their images.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]}
    )
    repairs: RepairCount = Field(default_factory=RepairCount, description="What of spec.remediation.retryBudget.perCluster is spent.")
    join: JoinStatus = Field(default_factory=JoinStatus, description="State of the metadata join.")
    autolock: AutolockStatus | None = Field(default=None, description="State of the managers' lock, where there is or was one.")
    authority: AuthorityStatus | None = Field(default=None, description="The swarm's root CA.")
    rollout: RolloutStatus = Field(default_factory=RolloutStatus, description="Where the change of machines stands.")
    recovery: RecoveryStatus | None = Field(default=None, description="A lost majority, and the last recovery from one.")
    backup: BackupStatus | None = Field(default=None, description="Backups of the raft state, where spec.backup asks for them or there are some.")
    orphans: list[OrphanStatus] = Field(
        default_factory=list,
        max_length=100,
        description="Objects in the cloud that carry the cluster's UID and serve no part of it.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["id"]},
    )
    retained_volumes: list[RetainedVolumeStatus] = Field(
        default_factory=list,
        max_length=1000,
        description="Data volumes without a machine that are kept because of `retain`.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["volumeID"]},
    )
    nodes: list[MachineStatus] = Field(
        default_factory=list,
        max_length=1100,
        description="Machines.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["machineUID"]},
    )
