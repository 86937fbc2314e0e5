"""SwarmCluster: a Docker swarm on OpenStack servers. The spec (the CRD is generated from it)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.autoscaling import AutoscalingSpec
from swarm_operator.api.backup import BackupSpec
from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, ObjectName, Seconds, SecretRef, cel, own_labels_rule, schema_extra
from swarm_operator.api.engine import EngineSpec
from swarm_operator.api.floating_ip import FloatingIPSpec, WorkerFloatingIPSpec
from swarm_operator.api.images import SnapshotSpec
from swarm_operator.api.lifecycle import HealthCheckSpec, LifecycleHook, RecoverySpec, RemediationSpec
from swarm_operator.api.machine import MachineOverrides, MachineSpec, SshSpec
from swarm_operator.api.network import NetworkSpec, SecurityGroupsSpec
from swarm_operator.api.ports import ports_rule
from swarm_operator.api.rollout import MaintenanceWindow, RolloutSpec
from swarm_operator.api.swarm import SwarmSpec


class IdentityRef(ApiModel):
    """Where the cloud's credentials are."""

    secret_name: ObjectName = Field(description="Secret in this namespace with the key `clouds.yaml` and, for a private CA, `cacert`.")
    cloud_name: Annotated[str, Field(min_length=1, max_length=253)] = Field(default="openstack", description="Entry of clouds.yaml to use.")
    expiry_warning_days: Annotated[int, Field(ge=0, le=365)] = Field(
        default=14, description="CredentialsExpiring becomes True so many days before an application credential or a user's password expires."
    )


class ExternalSpec(ApiModel):
    """A swarm that somebody else runs."""

    endpoints: list[Annotated[str, Field(max_length=255, pattern=r"^tcp://[A-Za-z0-9.-]+:[0-9]{1,5}$")]] = Field(
        min_length=1,
        max_length=16,
        description="Docker API of the managers, `tcp://<host>:<port>`, with mutual TLS. One that answers is used.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    tls_secret_ref: SecretRef = Field(description="Secret with `ca.pem`, and the client's `cert.pem` and `key.pem`.")


class AdoptSpec(ApiModel):
    """The cluster to take over."""

    cluster_uid: Annotated[str, Field(min_length=36, max_length=36, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] = Field(
        alias="clusterUID",
        description="UID of the SwarmCluster that is gone: `swarmops-cluster-uid` in the metadata of its servers. What carries it in the cloud becomes this object's.",
    )


class ManagersSpec(ApiModel):
    """The managers."""

    model_config = ConfigDict(json_schema_extra=schema_extra(ports_rule("self.replicas")))

    replicas: Literal[1, 3, 5, 7] = Field(
        default=1,
        description="Number of managers: 1, 3, 5 or 7. With three or more the swarm survives the loss of one, two or three of them, and a lost one is replaced.",
    )
    machine: MachineOverrides = Field(default_factory=MachineOverrides, description="Changes to spec.machine for managers.")
    floating_ip: FloatingIPSpec = Field(default_factory=FloatingIPSpec, alias="floatingIP", description="Floating IP of managers.")
    promote_from: Annotated[str, Field(min_length=1, max_length=24)] | None = Field(
        default=None,
        description="Worker pool with spare managers: when a manager is lost for good, a ready worker of it becomes a manager at once, and the pool gets another worker. "
        "A new server is booted in the manager's place when absent, or while the pool has no ready worker.",
    )
    schedulable: bool = Field(default=True, description="Whether services may run tasks on managers; false drains them.")
    node_labels: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Swarm node labels (node.labels.KEY in constraints).",
        json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64),
    )


class PoolName(ApiModel):
    """Which pool."""

    name: Annotated[str, Field(min_length=1, max_length=24, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        description="Name of the pool; part of server names."
    )


POOL_PORTS_RULE: Final = ports_rule("(has(self.autoscaling) ? self.autoscaling.maxReplicas : self.replicas)")


class PoolSettings(ApiModel):
    """What an entry of spec.workerPools and a SwarmWorkerPool have in common."""

    replicas: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=1, description="Number of workers. With `autoscaling` the number to begin with; what it is then is in status, and changes here change nothing."
    )
    autoscaling: AutoscalingSpec | None = Field(default=None, description="Lets the operator choose the number of workers, within bounds, by what tasks need.")
    machine: MachineOverrides = Field(default_factory=MachineOverrides, description="Changes to spec.machine for this pool.")
    deletion_order: Literal["HighestSlot", "Newest", "Oldest"] = Field(
        default="HighestSlot",
        description="Which workers go first when there are to be fewer. Before them go those that fail, and those that the annotation `swarmops.io/delete-first` names.",
    )
    preemptible: bool = Field(
        default=False,
        description="The cloud may stop or delete servers of the pool at any time: that is no failure, they are started or replaced at once. Its nodes carry the label "
        "`io.swarmops.preemptible=true`, by which services can avoid them.",
    )
    floating_ip: WorkerFloatingIPSpec = Field(
        default_factory=WorkerFloatingIPSpec, alias="floatingIP", description="Floating IPs of the workers; none by default."
    )
    node_labels: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Swarm node labels (node.labels.KEY in constraints).",
        json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64),
    )


class WorkerPool(PoolSettings, PoolName):
    """A group of equal workers."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.name != 'manager'", "`name` must not be `manager`: servers of managers are named so", fieldPath=".name"), POOL_PORTS_RULE
        )
    )


class SwarmClusterSpec(ApiModel):
    """Desired state of a swarm."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel(
                "has(self.external) || has(self.identityRef)",
                "`identityRef` must be set without `external`",
                fieldPath=".identityRef",
                reason="FieldValueRequired",
            ),
            cel("has(self.external) || has(self.machine)", "`machine` must be set without `external`", fieldPath=".machine", reason="FieldValueRequired"),
            cel(
                "!has(self.external) || !(has(self.identityRef) || has(self.machine) || has(self.adopt))",
                "with `external` none of `identityRef`, `machine` and `adopt` may be set",
                fieldPath=".external",
            ),
            cel("has(self.external) == has(oldSelf.external)", "`external` must be set when the object is made", fieldPath=".external"),
            cel(
                "has(self.adopt) == has(oldSelf.adopt) && (!has(self.adopt) || self.adopt.clusterUID == oldSelf.adopt.clusterUID)",
                "`adopt` must be set when the object is made, and must not change",
                fieldPath=".adopt",
            ),
            cel("self.join == oldSelf.join", "`join` must not change", fieldPath=".join"),
            cel(
                "!has(self.workerPools) || self.workerPools.map(p, has(p.autoscaling) ? p.autoscaling.maxReplicas : p.replicas).sum() <= 1000",
                "`replicas` (or `autoscaling.maxReplicas`) of all workerPools must not exceed 1000 together",
                fieldPath=".workerPools",
            ),
            cel(
                """self.join != 'Metadata' || !has(self.workerPools) || self.workerPools.all(p,
                   has(p.machine) && has(p.machine.volumes) ? p.machine.volumes.size() == 0
                   : !has(self.machine) || !has(self.machine.volumes) || self.machine.volumes.size() == 0)""",
                "workers with `volumes` need `join: SSH`: only there the operator decides when an engine joins",
                fieldPath=".join",
            ),
            cel(
                """!has(self.managers) || !has(self.managers.promoteFrom) || !has(self.workerPools) || self.workerPools.all(p,
                   p.name != self.managers.promoteFrom || !has(p.machine) || !has(p.machine.volumes) || p.machine.volumes.size() == 0)""",
                "workers of the pool `managers.promoteFrom` must have no `volumes`: data does not go along when a worker becomes a manager",
                fieldPath=".managers.promoteFrom",
            ),
            cel(
                """!has(self.workerPools) || self.workerPools.all(p, !has(p.machine) || !has(p.machine.image) || !has(p.machine.image.fromSnapshotOf)
                   || (has(self.snapshots) && self.snapshots.exists(s, s.name == p.machine.image.fromSnapshotOf.snapshot)))""",
                "`machine.image.fromSnapshotOf.snapshot` must name an entry of `snapshots`",
                fieldPath=".workerPools",
            ),
        )
    )

    # Required without `external`, which a schema can't say; `parse_cluster` makes sure of both for everything that works on a cloud.
    identity_ref: IdentityRef = Field(  # type: ignore[assignment]
        default=None, description="Credentials of the OpenStack cloud. Required without `external`."
    )
    external: ExternalSpec | None = Field(
        default=None,
        description="A swarm that exists and is run by somebody else: SwarmServices run on it, and nothing of it is made, changed or deleted but those.",
    )
    adopt: AdoptSpec | None = Field(
        default=None,
        description="Take over the servers, network and swarm of a SwarmCluster that is gone. Nothing is changed until the spec declares what is found.",
    )
    network: NetworkSpec = Field(default_factory=NetworkSpec, description="Network of the servers: made for this cluster, or one that exists.")
    security_groups: SecurityGroupsSpec = Field(
        default_factory=SecurityGroupsSpec, description="Security groups of the servers: one made for this cluster, or some that exist."
    )
    ssh: SshSpec = Field(default_factory=SshSpec, description="How the operator reaches the servers by ssh, to set them up and to repair them.")
    machine: MachineSpec = Field(  # type: ignore[assignment]
        default=None,
        description="What servers are made of: flavor, image and so on. Required without `external`. Managers and pools can differ from it in parts.",
    )
    managers: ManagersSpec = Field(default_factory=ManagersSpec, description="The managers, which hold the state of the swarm.")
    worker_pools: list[WorkerPool] = Field(
        default_factory=list,
        max_length=32,
        description="Groups of equal workers. Change `replicas` to scale; new workers join, workers that go are drained first.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    snapshots: list[SnapshotSpec] = Field(
        default_factory=list,
        max_length=16,
        description="Images saved from workers, for pools to boot from (machine.image.fromSnapshotOf).",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    engine: EngineSpec = Field(
        default_factory=EngineSpec,
        description="Docker engine settings. A change is taken over by the engines that live: by a reload, or by a restart under `rollout`; `dataRoot` and `storageDriver` take new servers.",
    )
    swarm: SwarmSpec = Field(default_factory=SwarmSpec, description="Settings of the swarm, and its overlay networks.")
    join: Literal["SSH", "Metadata"] = Field(
        default="SSH",
        description="SSH: the operator joins workers over ssh. Metadata: workers read manager address and token from server metadata; the operator rotates the token after each batch.",
    )
    health_check: HealthCheckSpec = Field(default_factory=HealthCheckSpec, description="When a machine counts as failed.")
    remediation: RemediationSpec = Field(default_factory=RemediationSpec, description="What is done with failed machines.")
    rollout: RolloutSpec = Field(default_factory=RolloutSpec, description="How machines are replaced when what they are made of changes.")
    maintenance_windows: list[MaintenanceWindow] = Field(
        default_factory=list,
        max_length=32,
        description="When machines may be taken out for a rollout; at any time when empty. Repairs are not bound by them.",
    )
    lifecycle_hooks: list[LifecycleHook] = Field(
        default_factory=list,
        max_length=16,
        description="Points at which the removal of a machine that works waits until somebody else is done with it: scaling down, rollouts, replacements on request.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    recovery: RecoverySpec = Field(default_factory=RecoverySpec, description="What is done when the majority of the managers is gone for good.")
    backup: BackupSpec | None = Field(default=None, description="Copies of the managers' raft state, to bring the swarm back when no manager is left.")
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
