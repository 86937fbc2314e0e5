"""How machines are changed when what they are made of changes, and when that may happen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_TYPE, ApiModel, Moment, Seconds, cel, schema_extra


class CanarySpec(ApiModel):
    """The first machines of each pool, which are watched before the others follow."""

    replicas: Annotated[int, Field(ge=1, le=1000)] = Field(default=1, description="How many machines of each pool go first.")
    soak_seconds: Seconds = Field(default=0, description="How long they must have been ready before the others follow.")


class RolloutSpec(ApiModel):
    """How machines are replaced when what they are made of changes."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel(
                "!has(self.maxSurge) || self.maxSurge > 0 || (has(self.maxUnavailable) && self.maxUnavailable > 0)",
                "`maxSurge` and `maxUnavailable` must not both be 0",
            )
        )
    )

    strategy: Literal["RollingUpdate", "OnDelete"] = Field(
        default="RollingUpdate",
        description="RollingUpdate: replace outdated machines, a few at a time. OnDelete: only make new ones as declared; somebody deletes the old servers.",
    )
    max_surge: Annotated[int, Field(ge=0, le=100)] = Field(
        default=1,
        description="How many machines of a worker pool there may be beyond `replicas`. A manager always goes before its successor is made.",
    )
    max_unavailable: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="How many workers of a pool may be missing: so many are drained and removed before their successors are made."
    )
    quota_fallback: Literal["Hold", "DeleteFirst"] = Field(
        default="Hold",
        description="Where the project's quota has no room for a worker's successor beside it. Hold: wait for room. DeleteFirst: one worker at a time goes before its successor is made, as far as services can do without it.",
    )
    lone_manager: Literal["Hold", "Replace"] = Field(
        default="Hold",
        description="The only manager, when it is outdated. Hold: it stays as it is. Replace: a second manager joins beside it and takes its place; for that time the loss of either "
        "one is the loss of the majority.",
    )
    order: list[Annotated[str, Field(min_length=1, max_length=24)]] = Field(
        default_factory=list,
        max_length=33,
        description="Names of pools, and `manager` for the managers, in the order in which they are changed. Others follow: pools as in the spec, managers last.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    canary: CanarySpec | None = Field(default=None, description="Replace a few machines of each worker pool first and watch them.")
    min_ready_seconds: Seconds = Field(default=0, description="How long a new machine must have been ready before it counts.")
    progress_deadline_seconds: Annotated[int, Field(ge=30, le=86400)] = Field(
        default=600, description="From the creation of a new machine to its being ready; after that the rollout is halted."
    )
    after: Annotated[Moment, Field(max_length=40)] | None = Field(
        default=None,
        description="Machines made before this time are replaced once it has come, whatever they are made of.",
    )


class MaintenanceWindow(ApiModel):
    """When voluntary work that disturbs machines may begin."""

    schedule: Annotated[str, Field(min_length=9, max_length=100)] = Field(description="Begin of the windows: five cron fields, minute to day of the week.")
    duration_minutes: Annotated[int, Field(ge=1, le=10080)] = Field(default=60, description="How long each window is open.")
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(default="UTC", description="IANA name of the time zone of `schedule`.")


RolloutState = Literal["Complete", "Rolling", "Canary", "Waiting", "Halted", "OnDelete", "Held"]


class HaltedRollout(ApiModel):
    """A rollout that goes no further until the spec changes."""

    spec_hash: Annotated[str, Field(max_length=64)] = Field(
        description="Hash of what the machines should be and of spec.rollout; a change of it ends the halt."
    )
    machine: Annotated[str, Field(max_length=63)] = Field(default="", description="The machine that failed.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why.")
    since: Moment = Field(description="Since when.")


class RolloutStatus(ApiModel):
    """Where the change of machines stands."""

    state: RolloutState = Field(
        default="Complete",
        description="Complete: all machines are as declared. Waiting: for a window, for services, or for other machines. Held: only the one manager is not, and it stays (`loneManager`).",
    )
    updated: int = Field(default=0, ge=0, description="Machines that are as declared.")
    outdated: int = Field(default=0, ge=0, description="Machines that are not.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="What is being changed and why, or what is waited for.")
    halted: HaltedRollout | None = Field(default=None, description="Set while the rollout is halted.")
