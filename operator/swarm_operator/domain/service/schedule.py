"""When a job's next run is due, and which runs are skipped. Pure; the cron arithmetic is `api.cron`'s."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from swarm_operator.api import cron
from swarm_operator.api.schedule import JobSchedule, ScheduleStatus
from swarm_operator.engine.clock import rfc3339


@dataclass(frozen=True)
class Look:
    """`due`: the time whose run is to be started now. `skipped`: why one was skipped just now, "" where none was. `status`: without the run that is due."""

    due: datetime | None
    skipped: str
    status: ScheduleStatus

    def wait(self, now: datetime) -> float | None:
        """Seconds until the next run."""
        upcoming = self.status.next_schedule_time
        return None if upcoming is None else max(0.5, (datetime.fromisoformat(upcoming) - now).total_seconds() + 0.1)

    def after(self, now: datetime, *, done: bool) -> ScheduleStatus:
        """The status with the success of the last run, where it is `done` and that is not told yet."""
        last, succeeded = self.status.last_schedule_time, self.status.last_successful_time
        if done and last is not None and self.due is None and (succeeded is None or succeeded < last):
            return self.status.model_copy(update={"last_successful_time": rfc3339(now)})
        return self.status


def consult(schedule: JobSchedule, before: ScheduleStatus | None, last_run: str, *, busy: bool, stopped: bool, now: datetime) -> Look:
    """`last_run` is what the live service says of its last scheduled run, "" for none; `busy`: that run goes on; `stopped`: the whole object is paused. Of several runs that
    were missed only the last is made up for."""
    name = f"{schedule.cron} {schedule.time_zone}"
    status = before if before is not None and before.schedule == name and before.since is not None else None
    if status is None:
        status = ScheduleStatus(schedule=name, since=rfc3339(now), last_successful_time=before.last_successful_time if before else None)
    known = [status.since, last_run or status.last_schedule_time, status.last_skipped_time]
    base = max(datetime.fromisoformat(moment) for moment in known if moment)
    local = now.astimezone(ZoneInfo(schedule.time_zone))
    upcoming, latest = next(cron.times(schedule.cron, local), None), next(cron.times(schedule.cron, local + timedelta(seconds=1), reverse=True), None)
    held = schedule.suspend or stopped
    ahead = None if held or upcoming is None else rfc3339(upcoming)
    status = status.model_copy(update={"last_schedule_time": last_run or status.last_schedule_time, "next_schedule_time": ahead})
    if latest is None or latest <= base:
        return Look(None, "", status)
    late = (now - latest).total_seconds()
    skipped = ""
    if held:
        skipped = "suspended" if schedule.suspend else "paused"
    elif schedule.starting_deadline_seconds is not None and late > schedule.starting_deadline_seconds:
        skipped = f"could not be started for {int(late)} s"
    elif busy and schedule.concurrency_policy == "Forbid":
        skipped = "the run before it goes on"
    if skipped:
        return Look(None, f"run of {rfc3339(latest)} skipped: {skipped}", status.model_copy(update={"last_skipped_time": rfc3339(latest)}))
    return Look(latest, "", status)
