"""Jobs that run by the clock, and the even spread of tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field

from swarm_operator.api.base import ApiModel, Seconds

_ANY_TIME: Final = datetime(2026, 1, 1)


Moment = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]


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
    since: Moment | None = Field(default=None, description="When this schedule was first seen; runs before it are not made up for.")
    last_schedule_time: Moment | None = Field(default=None, description="The time that the last run was for.")
    last_successful_time: Moment | None = Field(default=None, description="When a scheduled run was last found completed.")
    last_skipped_time: Moment | None = Field(default=None, description="The time of the last run that was skipped.")
    next_schedule_time: Moment | None = Field(default=None, description="The time of the next run; absent while suspended.")


def schedule_problem(schedule: JobSchedule) -> tuple[str, str] | None:
    """The field of the schedule that can't be understood, and why; None where all is well."""
    try:
        ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "timeZone", f"is no name of the time zone database: {schedule.time_zone!r}"
    try:
        next(CronSim(schedule.cron, _ANY_TIME))
    except CronSimError as error:
        return "cron", f"can't be read: {error}"
    except StopIteration:
        return "cron", "names no time that ever comes"
    return None
