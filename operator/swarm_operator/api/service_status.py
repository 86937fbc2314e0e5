"""Status of a SwarmService: what was observed of its service in the swarm."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, Moment
from swarm_operator.api.conditions import Condition
from swarm_operator.api.history import RevisionStatus
from swarm_operator.api.materials import ImageStatus, MaterialStatus
from swarm_operator.api.schedule import RebalanceStatus, ScheduleStatus


class ReplicaStatus(ApiModel):
    """Tasks wanted and running."""

    desired: int = Field(default=0, description="Tasks that should run: replicas, or eligible nodes of a global service.")
    running: int = Field(default=0, description="Tasks of the present spec that run.")
    summary: Annotated[str, Field(max_length=32)] = Field(default="0/0", description="running/desired, for display.")


class AllocatedPort(ApiModel):
    """A port as the swarm published it."""

    protocol: Annotated[str, Field(max_length=8)] = Field(default="tcp", description="Protocol.")
    target_port: int = Field(description="Port in the container.")
    published_port: int = Field(default=0, description="Port on the nodes.")
    publish_mode: Annotated[str, Field(max_length=8)] = Field(default="ingress", description="ingress or host.")


class Endpoint(ApiModel):
    """Where a published port answers."""

    address: Annotated[str, Field(max_length=64)] = Field(description="Address of the node in the swarm.")
    port: int = Field(description="Port there.")
    protocol: Annotated[str, Field(max_length=8)] = Field(default="tcp", description="Protocol.")
    target_port: int = Field(description="Port in the container.")
    publish_mode: Annotated[str, Field(max_length=8)] = Field(default="ingress", description="ingress: any node leads there. host: this node runs a task.")


class VirtualIP(ApiModel):
    """The service's address on a network."""

    network: Annotated[str, Field(max_length=64)] = Field(description="Name of the network, its ID where the name is not known.")
    address: Annotated[str, Field(max_length=64)] = Field(description="Address, without the prefix length.")


class FailingTask(ApiModel):
    """A task that does not run, with the engine's words."""

    node: Annotated[str, Field(max_length=255)] = Field(default="", description="Host name of the node, if assigned.")
    state: Annotated[str, Field(max_length=32)] = Field(description="Task state: pending, rejected, failed, ...")
    error: Annotated[str, Field(max_length=1024)] = Field(default="", description="The engine's error.")
    count: int = Field(default=1, description="Tasks with this state and error.")


class SwarmServiceStatus(ApiModel):
    """Observed state of a swarm service."""

    observed_generation: int | None = Field(default=None, ge=-1, description="Generation that this status was computed for; -1 before the operator has looked.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=32, description="Conditions; Ready sums them up.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["type"]}
    )
    service_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="serviceID", description="ID of the service in the swarm.")
    version: int | None = Field(default=None, description="Version.Index of the service that was last compared equal or written.")
    applied_hash: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Hash of the desired ServiceSpec last written.")
    applied_labels: list[Annotated[str, Field(max_length=512)]] = Field(
        default_factory=list, max_length=128, description="Label keys that we own (three-way comparison)."
    )
    revision: int | None = Field(default=None, description="Number of the revision that is applied.")
    revisions: list[RevisionStatus] = Field(
        default_factory=list,
        max_length=128,
        description="Revisions that are kept, the newest number first.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["revision"]},
    )
    update_state: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="UpdateStatus.State of the engine.")
    resumes: int = Field(default=0, description="How often the present spec's update was continued after the engine had paused it.")
    replicas: ReplicaStatus = Field(default_factory=ReplicaStatus, description="Tasks wanted and running.")
    current_replicas: int | None = Field(default=None, description="Tasks running, for the scale subresource.")
    selector: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description="Label selector for the scale subresource: a HorizontalPodAutoscaler refuses to work without one. It selects no Pod, for there are none.",
    )
    ports: list[AllocatedPort] = Field(default_factory=list, max_length=128, description="Ports as published.", json_schema_extra={LIST_TYPE: "atomic"})
    rebalance: RebalanceStatus | None = Field(default=None, description="With spec.rebalance: the nodes, and what was done about their last change.")
    schedule: ScheduleStatus | None = Field(default=None, description="What became of the schedule.")
    endpoints: list[Endpoint] = Field(
        default_factory=list, max_length=64, description="Where the ports answer; the first 64.", json_schema_extra={LIST_TYPE: "atomic"}
    )
    virtual_ips: list[VirtualIP] = Field(
        default_factory=list,
        alias="virtualIPs",
        max_length=64,
        description="Addresses of the service with endpointMode vip.",
        json_schema_extra={LIST_TYPE: "atomic"},
    )
    drift: list[Annotated[str, Field(max_length=512)]] = Field(
        default_factory=list, max_length=64, description="Fields in which the live service differs from the spec."
    )
    corrections: int = Field(default=0, description="How often drift was corrected.")
    failing_tasks: list[FailingTask] = Field(default_factory=list, max_length=16, description="Tasks that do not run.", json_schema_extra={LIST_TYPE: "atomic"})
    image: ImageStatus | None = Field(default=None, description="What became of the image under imagePolicy.")
    materials: list[MaterialStatus] = Field(
        default_factory=list, max_length=512, description="Configs and secrets that the operator made for the service.", json_schema_extra={LIST_TYPE: "atomic"}
    )
    pull_secrets_hash: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Keyed hash of the registry credentials that the engine was given last."
    )
    progressed_at: Moment | None = Field(default=None, description="When the service last made progress towards convergence.")
