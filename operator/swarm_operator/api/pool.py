"""SwarmWorkerPool: a group of equal workers of a SwarmCluster as an object of its own, with a scale subresource."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, ObjectName, cel, schema_extra
from swarm_operator.api.cluster import POOL_PORTS_RULE, PoolSettings
from swarm_operator.api.conditions import Condition


class PoolClusterRef(ApiModel):
    """The cluster of a pool."""

    name: ObjectName = Field(description="Name of the SwarmCluster, in the same namespace.")


class PoolOwner(ApiModel):
    """Whose pool it is."""

    cluster_ref: PoolClusterRef = Field(description="The SwarmCluster that the workers belong to.")


class SwarmWorkerPoolSpec(PoolSettings, PoolOwner):
    """Desired state of a pool: what an entry of spec.workerPools says, whose name is metadata.name."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.clusterRef.name == oldSelf.clusterRef.name", "`clusterRef.name` must not change", fieldPath=".clusterRef.name"), POOL_PORTS_RULE
        )
    )


class SwarmWorkerPoolStatus(ApiModel):
    """Observed state of a pool."""

    observed_generation: int | None = Field(default=None, ge=-1, description="Generation that this status was computed for; -1 before the operator has looked.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=32, description="Conditions; Ready sums them up.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["type"]}
    )
    replicas: int = Field(default=0, ge=0, description="Workers that there are, for the scale subresource: made, on their way or leaving.")
    ready_replicas: int = Field(default=0, ge=0, description="Workers that are ready nodes of the swarm.")
    updated_replicas: int = Field(default=0, ge=0, description="Workers whose servers are as the spec says.")
    desired_replicas: int = Field(default=0, ge=0, description="Workers that there shall be: spec.replicas, or as many as `autoscaling` asks for.")
    why: Annotated[str, Field(max_length=512)] | None = Field(default=None, description="Why there shall be so many; with `autoscaling` only.")
    summary: Annotated[str, Field(max_length=32)] = Field(default="0/0", description="Workers ready/wanted, for display.")
    selector: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description="Label selector for the scale subresource: a HorizontalPodAutoscaler refuses to work without one. It selects no Pod, for there are none.",
    )
