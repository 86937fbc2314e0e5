"""How machines are kept: when one counts as failed, and what is done then."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarm_operator.api.base import ApiModel


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
