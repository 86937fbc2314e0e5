"""SwarmCluster: a Docker swarm on OpenStack servers. Spec and status types (the CRD is generated from them)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import (
    LIST_MAP_KEYS,
    LIST_TYPE,
    ApiModel,
    Cidr,
    CloudName,
    DnsLabel,
    ObjectName,
    ResourceRef,
    Seconds,
    SecretRef,
    cel,
    own_labels_rule,
    schema_extra,
)
from swarm_operator.api.conditions import Condition

DEFAULT_CIDR: Final = "10.20.0.0/24"
_METADATA: Final = schema_extra(cel("self.all(k, !k.startsWith('swarmops'))", "keys must not start with `swarmops`"), maxProperties=64)
"""Server metadata: the operator's own keys are refused here, the characters that Nova allows are checked in `validation`."""


class IdentityRef(ApiModel):
    """Where the cloud's credentials are."""

    secret_name: ObjectName = Field(description="Secret in this namespace with the key `clouds.yaml` and, for a private CA, `cacert`.")
    cloud_name: Annotated[str, Field(min_length=1, max_length=253)] = Field(default="openstack", description="Entry of clouds.yaml to use.")


class ManagedNetwork(ApiModel):
    """A network, subnet and router that the operator makes for this cluster and removes with it."""

    cidr: Cidr = Field(default=DEFAULT_CIDR, description="Subnet of the servers.")
    dns_nameservers: list[Annotated[str, Field(max_length=45)]] = Field(default_factory=list, max_length=5, description="DNS servers given to the subnet.")
    mtu: Annotated[int, Field(ge=576, le=9216)] | None = Field(default=None, description="MTU of the network; the cloud's default when absent.")


class ExistingNetwork(ApiModel):
    """A network that exists already; the operator never changes or removes it."""

    network: ResourceRef = Field(description="The network.")
    subnet: ResourceRef | None = Field(
        default=None, description="The subnet to take fixed addresses from, through a port made for each machine; the choice is the cloud's when absent."
    )


class NetworkSpec(ApiModel):
    """The network that the servers are on: exactly one of managed and existing (managed when neither is given)."""

    model_config = ConfigDict(json_schema_extra=schema_extra(cel("!(has(self.managed) && has(self.existing))", "must not set both `managed` and `existing`")))

    managed: ManagedNetwork | None = Field(default=None, description="Make a network for this cluster.")
    existing: ExistingNetwork | None = Field(default=None, description="Use a network that exists.")
    external: ResourceRef | None = Field(
        default=None, description="External network for floating IPs and the managed router's gateway; the project's only external network when absent."
    )


class ManagedSecurityGroup(ApiModel):
    """The security group that the operator makes: rules between members, and from the operator."""

    operator_cidrs: list[Cidr] = Field(
        default_factory=lambda: ["0.0.0.0/0"],
        min_length=1,
        max_length=16,
        description="Where ssh (22) and the Docker API (2376, TLS) are allowed from.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    published_ports: list[Annotated[str, Field(max_length=15, pattern=r"^(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?$")]] = Field(
        default_factory=list,
        max_length=64,
        description="Ports opened to everyone, as tcp/80 or udp/30000-32767.",
        json_schema_extra={LIST_TYPE: "set"},
    )


class SecurityGroupsSpec(ApiModel):
    """Security groups of the servers: exactly one of managed and existing (managed when neither is given)."""

    model_config = ConfigDict(json_schema_extra=schema_extra(cel("!(has(self.managed) && has(self.existing))", "must not set both `managed` and `existing`")))

    managed: ManagedSecurityGroup | None = Field(default=None, description="Make a security group for this cluster.")
    existing: list[ResourceRef] | None = Field(default=None, min_length=1, max_length=8, description="Use groups that exist; they must allow what swarm needs.")


class SshSpec(ApiModel):
    """How the operator reaches guests for bootstrap and repair."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(cel("has(self.keyName) == has(self.privateKeySecretRef)", "`keyName` and `privateKeySecretRef` must be set together"))
    )

    user: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z_][a-z0-9_-]*$")] = Field(
        default="debian", description="Login user of the image; needs sudo without password."
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=22, description="ssh port of the guests.")
    key_name: CloudName | None = Field(default=None, description="Nova key pair that exists; the operator makes one for the cluster when absent.")
    private_key_secret_ref: SecretRef | None = Field(default=None, description="Secret with the private half of keyName under `ssh-privatekey`.")
    host_key_policy: Literal["Console", "TrustOnFirstUse"] = Field(
        default="Console",
        description="Console: host keys must equal those that cloud-init prints on the Nova console. TrustOnFirstUse: the first key seen is pinned.",
    )
    authorized_keys: list[Annotated[str, Field(min_length=16, max_length=2048, pattern=r"^[^\r\n]+$")]] = Field(
        default_factory=list, max_length=32, description="Further public keys for the login user."
    )


class MachineSpec(ApiModel):
    """What a server is made of."""

    flavor: ResourceRef = Field(description="Flavor.")
    image: ResourceRef = Field(description="Image; must hold cloud-init, sshd and a Docker engine.")
    config_drive: bool = Field(default=False, description="Attach a config drive.")
    metadata: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Server metadata.",
        json_schema_extra=_METADATA,
    )
    availability_zone: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(default=None, description="Nova availability zone.")


class MachineOverrides(ApiModel):
    """The parts of `spec.machine` that a role or pool changes."""

    flavor: ResourceRef | None = Field(default=None, description="Flavor.")
    image: ResourceRef | None = Field(default=None, description="Image.")
    config_drive: bool | None = Field(default=None, description="Attach a config drive.")
    metadata: dict[str, Annotated[str, Field(max_length=255)]] | None = Field(
        default=None,
        description="Server metadata, merged over spec.machine.metadata.",
        json_schema_extra=_METADATA,
    )
    availability_zone: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(default=None, description="Nova availability zone.")

    def over(self, base: MachineSpec) -> MachineSpec:
        """`base` with these fields put over it; metadata is merged key by key."""
        changes: dict[str, Any] = {
            name: value for name in ("flavor", "image", "config_drive", "availability_zone") if (value := getattr(self, name)) is not None
        }
        if self.metadata is not None:
            changes["metadata"] = {**base.metadata, **self.metadata}
        return base.model_copy(update=changes)


class FloatingIPSpec(ApiModel):
    """Whether managers get a floating IP."""

    enabled: bool = Field(default=True, description="Give each manager a floating IP. Without it the operator must reach the fixed addresses.")


class ManagersSpec(ApiModel):
    """The managers."""

    replicas: Literal[1, 3, 5, 7] = Field(
        default=1,
        description="Number of managers: 1, 3, 5 or 7. With three or more the swarm survives the loss of one, two or three of them, and a lost one is replaced.",
    )
    machine: MachineOverrides = Field(default_factory=MachineOverrides, description="Changes to spec.machine for managers.")
    floating_ip: FloatingIPSpec = Field(default_factory=FloatingIPSpec, alias="floatingIP", description="Floating IP of managers.")
    schedulable: bool = Field(default=True, description="Whether services may run tasks on managers; false drains them.")
    node_labels: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Swarm node labels (node.labels.KEY in constraints).",
        json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64),
    )


class WorkerPool(ApiModel):
    """A group of equal workers."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(cel("self.name != 'manager'", "`name` must not be `manager`: servers of managers are named so", fieldPath=".name"))
    )

    name: Annotated[str, Field(min_length=1, max_length=24, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        description="Name of the pool; part of server names."
    )
    replicas: Annotated[int, Field(ge=0, le=1000)] = Field(default=1, description="Number of workers.")
    machine: MachineOverrides = Field(default_factory=MachineOverrides, description="Changes to spec.machine for this pool.")
    node_labels: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Swarm node labels (node.labels.KEY in constraints).",
        json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64),
    )


class EngineSpec(ApiModel):
    """Settings of the Docker engine, written into /etc/docker/daemon.json (dockerd reference, "Daemon configuration file")."""

    log_driver: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="`log-driver`.")
    log_opts: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, description="`log-opts`.", json_schema_extra={"maxProperties": 32}
    )
    data_root: Annotated[str, Field(max_length=255, pattern=r"^/")] | None = Field(default=None, description="`data-root`, an absolute path.")
    storage_driver: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="`storage-driver`.")
    bip: Cidr | None = Field(default=None, description="`bip`: address and prefix of docker0.")
    mtu: Annotated[int, Field(ge=576, le=9216)] | None = Field(default=None, description="`mtu` of the default bridge.")
    fixed_cidr: Cidr | None = Field(default=None, alias="fixedCIDR", description="`fixed-cidr`.")
    registry_mirrors: list[Annotated[str, Field(max_length=255, pattern=r"^https?://")]] = Field(
        default_factory=list, max_length=16, description="`registry-mirrors`."
    )
    insecure_registries: list[Annotated[str, Field(max_length=255)]] = Field(default_factory=list, max_length=16, description="`insecure-registries`.")
    labels: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Engine labels (engine.labels.KEY in constraints).",
        json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64),
    )
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="Further daemon.json keys as they are. `hosts`, `tls*`, `labels` and the keys of the fields above are refused.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )


class OverlayNetwork(ApiModel):
    """An overlay network of the swarm."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")] = Field(description="Name of the network in the swarm.")
    attachable: bool = Field(default=False, description="Plain containers may attach.")
    encrypted: bool = Field(default=False, description="Encrypt the data path (IPsec).")
    internal: bool = Field(default=False, description="No way out of it: containers on it reach each other only.")
    subnet: Cidr | None = Field(default=None, description="Subnet; taken from swarm.defaultAddrPools when absent.")
    driver_opts: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Options of the overlay driver, such as com.docker.network.driver.mtu.",
        json_schema_extra=schema_extra(cel("!('encrypted' in self)", "must not hold `encrypted`: there is a field for it"), maxProperties=32),
    )
    labels: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, description="Labels of the network.", json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64)
    )


class SwarmSpec(ApiModel):
    """Settings of the swarm itself (Docker Engine API, POST /swarm/init and SwarmSpec)."""

    default_addr_pools: list[Cidr] = Field(
        default_factory=lambda: ["10.128.0.0/9"],
        min_length=1,
        max_length=16,
        description="Address pools for overlay networks; they must not overlap the network of the servers.",
    )
    subnet_size: Annotated[int, Field(ge=16, le=29)] = Field(default=24, description="Prefix length of each overlay subnet.")
    data_path_port: Annotated[int, Field(ge=1024, le=49151)] = Field(default=4789, description="UDP port of the VXLAN data path.")
    task_history_limit: Annotated[int, Field(ge=0, le=1000)] = Field(default=5, description="Tasks kept per slot.")
    heartbeat_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=5, description="Period in which nodes tell the managers that they are alive; a node is down after three missed ones."
    )
    cert_expiry_hours: Annotated[int, Field(ge=1, le=87600)] = Field(default=2160, description="Life of the nodes' certificates; they are renewed in time.")
    rotate_join_tokens: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Any text. Each change of it makes new join tokens for workers and managers, and the old ones worthless."
    )
    networks: list[OverlayNetwork] = Field(
        default_factory=list,
        max_length=64,
        description="Overlay networks to make.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )


class HealthCheckSpec(ApiModel):
    """When a machine counts as failed."""

    node_startup_timeout_seconds: Annotated[int, Field(ge=30, le=86400)] = Field(
        default=600, description="From the creation of a server to a ready swarm node."
    )
    node_down_grace_seconds: Annotated[int, Field(ge=5, le=86400)] = Field(default=60, description="How long a node may be down before it is replaced.")


class RemediationSpec(ApiModel):
    """What is done with a failed machine."""

    policy: Literal["Replace", "None"] = Field(
        default="Replace",
        description="Replace: repair failed machines (restart the engine, join again, start, reboot) and replace those that no repair brings back. None: only report them.",
    )
    max_unhealthy_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=60, description="No repair or replacement starts while more than this share of the machines is unhealthy at once."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="How many machines are repaired or replaced at once. Of managers never more than one."
    )
    rung_seconds: Annotated[int, Field(ge=5, le=3600)] = Field(
        default=60, description="How long each repair may take to bring the node back before the next, stronger one is tried."
    )


class SwarmClusterSpec(ApiModel):
    """Desired state of a swarm."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.join == oldSelf.join", "`join` must not change", fieldPath=".join"),
            cel(
                "!has(self.workerPools) || self.workerPools.map(p, p.replicas).sum() <= 1000",
                "`replicas` of all workerPools must not exceed 1000 together",
                fieldPath=".workerPools",
            ),
        )
    )

    identity_ref: IdentityRef = Field(description="Credentials of the OpenStack cloud.")
    network: NetworkSpec = Field(default_factory=NetworkSpec, description="Network of the servers: made for this cluster, or one that exists.")
    security_groups: SecurityGroupsSpec = Field(
        default_factory=SecurityGroupsSpec, description="Security groups of the servers: one made for this cluster, or some that exist."
    )
    ssh: SshSpec = Field(default_factory=SshSpec, description="How the operator reaches the servers by ssh, to set them up and to repair them.")
    machine: MachineSpec = Field(description="What servers are made of: flavor, image and so on. Managers and pools can differ from it in parts.")
    managers: ManagersSpec = Field(default_factory=ManagersSpec, description="The managers, which hold the state of the swarm.")
    worker_pools: list[WorkerPool] = Field(
        default_factory=list,
        max_length=32,
        description="Groups of equal workers. Change `replicas` to scale; new workers join, workers that go are drained first.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    engine: EngineSpec = Field(default_factory=EngineSpec, description="Docker engine settings. Apply to servers made after a change.")
    swarm: SwarmSpec = Field(default_factory=SwarmSpec, description="Settings of the swarm, and its overlay networks.")
    join: Literal["SSH", "Metadata"] = Field(
        default="SSH",
        description="SSH: the operator joins workers over ssh. Metadata: workers read manager address and token from server metadata; the operator rotates the token after each batch.",
    )
    health_check: HealthCheckSpec = Field(default_factory=HealthCheckSpec, description="When a machine counts as failed.")
    remediation: RemediationSpec = Field(default_factory=RemediationSpec, description="What is done with failed machines.")
    drain_timeout_seconds: Seconds = Field(default=120, description="How long a node may take to drain before it is removed all the same.")
    deletion_policy: Literal["Delete", "Retain"] = Field(
        default="Delete", description="Delete: remove everything made for the cluster. Retain: leave servers and network behind."
    )
    orphans: Literal["Report", "Delete"] = Field(
        default="Report",
        description="Objects in the cloud that carry the cluster's UID and serve no part of it. Report: name them in status. Delete: delete them after orphanGraceSeconds.",
    )
    orphan_grace_seconds: Seconds = Field(default=600, description="How long status must have named an object before it is deleted.")
    paused: bool = Field(default=False, description="While true the operator changes nothing; it still reports status.")


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


class Rung(StrEnum):
    """Repairs of a machine, from the gentlest to the last."""

    RESTART_ENGINE = "RestartEngine"
    REJOIN = "Rejoin"
    START = "Start"
    SOFT_REBOOT = "SoftReboot"
    HARD_REBOOT = "HardReboot"
    REPLACE = "Replace"


class MachineRemediation(ApiModel):
    """The last repair of a machine."""

    rung: Rung = Field(description="What was done last.")
    attempts: int = Field(default=1, ge=1, description="Repairs since the machine was last healthy for ten minutes; after five it is replaced.")
    since: str = Field(description="When it was done.", json_schema_extra={"format": "date-time"})


class MachineStatus(ApiModel):
    """One machine: a server and its swarm node."""

    name: DnsLabel = Field(description="Name of the server.")
    role: Literal["Manager", "Worker"] = Field(description="Role in the swarm.")
    pool: str = Field(default="", max_length=63, description="Worker pool; empty for managers.")
    slot: int = Field(ge=0, description="Index within managers or pool.")
    incarnation: int = Field(default=1, ge=1, description="How many servers have held this slot, this one included.")
    machine_uid: Annotated[str, Field(max_length=64)] = Field(
        alias="machineUID", description="Identity of the machine; on the server's metadata and as engine label."
    )
    server_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="serverID", description="Nova server.")
    node_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="nodeID", description="Swarm node.")
    address: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Fixed address.")
    floating_ip: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="floatingIP", description="Floating address.")
    phase: MachinePhase = Field(description="Where the machine is in its life.")
    phase_since: str = Field(description="When the phase began.", json_schema_extra={"format": "date-time"})
    created_at: str | None = Field(default=None, description="When the server was asked for.", json_schema_extra={"format": "date-time"})
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why, where it is not plain; Nova's fault text for a failed server.")
    engine_version: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Docker engine version.")
    host_keys: list[Annotated[str, Field(max_length=1024)]] = Field(default_factory=list, max_length=8, description="Pinned ssh host keys (public).")
    engine_configured: bool = Field(default=False, description="The engine has its TLS certificate (managers).")
    remediation: MachineRemediation | None = Field(default=None, description="The last repair, while it is recent.")


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
        default_factory=list, max_length=8, alias="securityGroupIDs", description="Security groups."
    )
    key_name: CloudName | None = Field(default=None, description="Nova key pair.")


OrphanKind = Literal["server", "port", "floating-ip", "security-group", "volume"]


class OrphanStatus(ApiModel):
    """An object in the cloud that carries the cluster's UID and serves no part of it."""

    kind: OrphanKind = Field(description="What it is.")
    id: Annotated[str, Field(max_length=64)] = Field(description="Its id in OpenStack.")
    name: Annotated[str, Field(max_length=255)] = Field(default="", description="Its name, address or purpose, as far as it has one.")
    first_seen: str = Field(description="When it was first seen.", json_schema_extra={"format": "date-time"})


class JoinStatus(ApiModel):
    """State of the metadata join; holds no secret."""

    token_exposed: bool = Field(default=False, description="A worker token is in server metadata and must be rotated once the batch has joined.")
    rotated_at: str | None = Field(
        default=None, description="When the worker token was last rotated by the operator.", json_schema_extra={"format": "date-time"}
    )
    rotated_for: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The spec.swarm.rotateJoinTokens for which the tokens were last rotated."
    )


class OverlayStatus(ApiModel):
    """An overlay network of `spec.swarm.networks`, or one that was there."""

    name: Annotated[str, Field(max_length=255)] = Field(description="Name of the network in the swarm.")
    network_id: Annotated[str, Field(max_length=64)] = Field(alias="networkID", description="ID of the network in the swarm.")
    state: Annotated[str, Field(max_length=16)] = Field(
        description="Ready; Differs: a network of that name is not as declared and is left alone; Unwanted: it has left the spec and is removed once no service uses it."
    )
    message: Annotated[str, Field(max_length=512)] | None = Field(default=None, description="Why it is not Ready.")


class SwarmClusterStatus(ApiModel):
    """Observed state of a swarm."""

    observed_generation: int | None = Field(default=None, ge=0, description="Generation that this status was computed for.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=32,
        description="Conditions; Ready sums them up.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["type"]},
    )
    managers: RoleCount = Field(default_factory=RoleCount, description="Managers.")
    workers: RoleCount = Field(default_factory=RoleCount, description="Workers.")
    endpoint: Annotated[str, Field(max_length=255)] | None = Field(default=None, description="Docker API endpoint (mutual TLS), tcp://address:2376.")
    swarm_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="swarmID", description="ID of the swarm.")
    engine_version: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Engine version of the leader.")
    engine_api_version: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, alias="engineAPIVersion", description="Engine API version of the leader."
    )
    infrastructure: InfrastructureStatus = Field(default_factory=InfrastructureStatus, description="OpenStack objects in use.")
    networks: list[OverlayStatus] = Field(
        default_factory=list, max_length=128, description="Overlay networks.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]}
    )
    join: JoinStatus = Field(default_factory=JoinStatus, description="State of the metadata join.")
    orphans: list[OrphanStatus] = Field(
        default_factory=list,
        max_length=100,
        description="Objects in the cloud that carry the cluster's UID and serve no part of it.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["id"]},
    )
    nodes: list[MachineStatus] = Field(
        default_factory=list,
        max_length=1100,
        description="Machines.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["machineUID"]},
    )
