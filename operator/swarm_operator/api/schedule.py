"""Jobs that run by the clock, and the even spread of tasks."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from swarm_operator.api import cron
from swarm_operator.api.base import ApiModel, Seconds, ShortMoment


class JobSchedule(ApiModel):
    """When a job runs. Nothing is written to the engine between runs: it would run the job."""

    cron: Annotated[str, Field(min_length=9, max_length=128, pattern=r"^\S+( +\S+){4}$")] = Field(
        description="Five fields as in crontab(5): minute, hour, day of month, month, day of week."
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(default="Etc/UTC", description="Name in the IANA time zone database.")
    suspend: bool = Field(default=False, description="While true no run is started; those that fall into this time are skipped.")
    concurrency_policy: Literal["Forbid", "Replace"] = Field(
        default="Forbid",
        description="When a run is still going on at the time of the next: Forbid skips the new one, Replace ends the old one. A swarm can't run both.",
    )
    starting_deadline_seconds: Seconds | None = Field(
        default=None, description="A run that could not be started for so long is skipped; when absent the last one that was missed is made up for."
    )


class ScheduleStatus(ApiModel):
    """What became of the schedule."""

    schedule: Annotated[str, Field(max_length=256)] = Field(default="", description="The schedule and time zone that the times below are of.")
    since: ShortMoment | None = Field(default=None, description="When this schedule was first seen; runs before it are not made up for.")
    last_schedule_time: ShortMoment | None = Field(default=None, description="The time that the last run was for.")
    last_successful_time: ShortMoment | None = Field(default=None, description="When a scheduled run was last found completed.")
    last_skipped_time: ShortMoment | None = Field(default=None, description="The time of the last run that was skipped.")
    next_schedule_time: ShortMoment | None = Field(default=None, description="The time of the next run; absent while suspended.")


class RebalanceSpec(ApiModel):
    """When the tasks are spread anew after nodes have changed. It replaces all tasks, as `updateConfig` says, at most once per change."""

    min_skew: Annotated[int, Field(ge=2, le=100000)] = Field(
        default=2, description="By how many tasks the most loaded node must exceed the least loaded one; 1 can't be evened."
    )
    settle_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(default=30, description="For how long the eligible nodes must have been the same.")


class RebalanceStatus(ApiModel):
    """The nodes that the service can run on, and what was done about their last change."""

    nodes: Annotated[str, Field(max_length=32)] = Field(description="Hash of the IDs of the ready, active nodes that meet the placement.")
    since: ShortMoment = Field(description="Since when it is these nodes.")
    judged_at: ShortMoment | None = Field(default=None, description="When it was decided, for these nodes, whether tasks are spread anew; absent until then.")
    rebalanced_at: ShortMoment | None = Field(default=None, description="When tasks were last spread anew.")
    message: Annotated[str, Field(max_length=256)] = Field(default="", description="Why tasks that are uneven were left as they are.")
    skew: int | None = Field(
        default=None, ge=0, description="By how many tasks the most loaded node, or branch of a preference, exceeded the least loaded one, when last counted."
    )


def schedule_problem(schedule: JobSchedule) -> tuple[str, str] | None:
    """The field of the schedule that can't be understood, and why; None where all is well."""
    try:
        ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "timeZone", f"is no name of the time zone database: {schedule.time_zone!r}"
    if text := cron.problem(schedule.cron):
        return "cron", f"can't be read: {text}"
    return None if cron.ever_comes(schedule.cron) else ("cron", "names no time that ever comes")
