"""Bounds within which the operator chooses the number of workers of a pool."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from swarm_operator.api.base import ApiModel, Seconds, cel, schema_extra


class ScaleUpSpec(ApiModel):
    """When workers are added."""

    pending_seconds: Seconds = Field(default=30, description="For how long tasks that a worker of the pool could run must have waited for a node.")
    step: Annotated[int, Field(ge=1, le=100)] = Field(default=1, description="How many workers are added at once, at most.")


class AutoscalingSpec(ApiModel):
    """Workers by need: added while tasks wait for a node, taken away when they are of no use."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.minReplicas <= self.maxReplicas", "`minReplicas` must not be more than `maxReplicas`", fieldPath=".minReplicas")
        )
    )

    min_replicas: Annotated[int, Field(ge=0, le=1000)] = Field(description="There are never fewer workers.")
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(description="There are never more workers.")
    scale_up: ScaleUpSpec = Field(default_factory=ScaleUpSpec, description="When workers are added.")
    scale_down_after_seconds: Seconds = Field(
        default=600, description="For how long a worker must have been of no use, and the number unchanged, before it is drained and removed."
    )
