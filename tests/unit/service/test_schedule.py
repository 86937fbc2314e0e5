"""Jobs by the clock: which run is due, and that nothing is written between runs."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from swarm_operator.api.schedule import JobSchedule, ScheduleStatus, schedule_problem
from swarm_operator.domain.ownership import SERVICE_LABEL_SCHEDULED
from swarm_operator.domain.service.schedule import Look, consult
from swarm_operator.engine.clock import rfc3339
from unit.service.test_controller import WEB, World

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def at(now: datetime, last: str = "", *, since: datetime = NOON - timedelta(days=1), busy: bool = False, **schedule: Any) -> Look:
    declared = JobSchedule.model_validate({"cron": "0 * * * *", **schedule})
    before = ScheduleStatus(schedule=f"{declared.cron} {declared.time_zone}", since=rfc3339(since))
    return consult(declared, before, last, busy=busy, stopped=False, now=now)


def due(look: Look) -> str | None:
    return None if look.due is None else rfc3339(look.due)


def test_a_run_is_due_once() -> None:
    look = at(NOON, "2026-03-01T11:00:00Z")
    assert (due(look), look.status.next_schedule_time) == ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")
    after = at(NOON, "2026-03-01T12:00:00Z")
    assert (due(after), after.skipped) == (None, "")
    assert after.wait(NOON) == pytest.approx(3570.1)
    assert due(at(NOON.replace(second=0), "2026-03-01T11:00:00Z")) == "2026-03-01T12:00:00Z"


def test_of_those_that_were_missed_the_last_is_made_up_for() -> None:
    assert due(at(NOON, "2026-03-01T02:00:00Z")) == "2026-03-01T12:00:00Z"
    assert due(at(NOON, since=NOON - timedelta(minutes=5))) == "2026-03-01T12:00:00Z"
    assert due(at(NOON, since=NOON)) is None  # what lies before the schedule was seen is nobody's loss


def test_a_run_that_is_too_late_is_skipped_and_told_once() -> None:
    late = at(NOON + timedelta(minutes=10), "2026-03-01T11:00:00Z", startingDeadlineSeconds=60)
    assert late.due is None and "could not be started for 630 s" in late.skipped
    declared = JobSchedule(cron="0 * * * *", starting_deadline_seconds=60)
    again = consult(declared, late.status, "2026-03-01T11:00:00Z", busy=False, stopped=False, now=NOON + timedelta(minutes=11))
    assert (again.due, again.skipped) == (None, "")


def test_a_run_that_goes_on_forbids_or_is_replaced() -> None:
    assert "goes on" in at(NOON, "2026-03-01T11:00:00Z", busy=True).skipped
    assert due(at(NOON, "2026-03-01T11:00:00Z", busy=True, concurrencyPolicy="Replace")) == "2026-03-01T12:00:00Z"


def test_suspended_and_resumed() -> None:
    held = at(NOON, "2026-03-01T11:00:00Z", suspend=True)
    assert (held.due, held.status.next_schedule_time) == (None, None)
    assert "suspended" in held.skipped
    resumed = consult(JobSchedule(cron="0 * * * *"), held.status, "2026-03-01T11:00:00Z", busy=False, stopped=False, now=NOON + timedelta(minutes=2))
    assert resumed.due is None  # runs of the suspension are not made up for


def test_another_schedule_starts_anew() -> None:
    before = ScheduleStatus(schedule="0 * * * * Etc/UTC", since="2026-01-01T00:00:00Z")
    look = consult(JobSchedule(cron="*/5 * * * *"), before, "2026-03-01T11:00:00Z", busy=False, stopped=False, now=NOON)
    assert (look.due, look.status.since) == (None, "2026-03-01T12:00:30Z")


@pytest.mark.parametrize(
    ("zone", "cron", "now", "expected"),
    [
        ("Europe/Berlin", "0 9 * * *", "2026-07-01T07:00:10+00:00", "2026-07-01T07:00:00Z"),
        ("Europe/Berlin", "0 9 * * *", "2026-01-15T08:00:10+00:00", "2026-01-15T08:00:00Z"),
        ("Asia/Kolkata", "30 5 * * *", "2026-01-15T00:00:10+00:00", "2026-01-15T00:00:00Z"),
        ("Europe/Berlin", "30 2 * * *", "2026-03-29T01:00:10+00:00", "2026-03-29T01:00:00Z"),  # the hour that is left out: right after it
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T00:30:10+00:00", "2026-10-25T00:30:00Z"),  # the hour that comes twice: the first
    ],
)
def test_time_zones_and_the_change_of_clocks(zone: str, cron: str, now: str, expected: str) -> None:
    moment = datetime.fromisoformat(now)
    assert due(at(moment, since=moment - timedelta(minutes=20), timeZone=zone, cron=cron)) == expected


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "a b c d e"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "0 * * * *", "timeZone": "Mars/Olympus"}, "timeZone"),
        ({"cron": "0 * * * *", "timeZone": "../etc/passwd"}, "timeZone"),
    ],
)
def test_what_can_not_be_understood_names_its_field(schedule: dict[str, Any], field: str) -> None:
    found = schedule_problem(JobSchedule.model_validate(schedule))
    assert found is not None and found[0] == field


# -- the controller

JOB: dict[str, Any] = {"clusterRef": {"name": "c"}, "image": "job:1", "mode": "replicated-job", "schedule": {"cron": "*/10 * * * *"}}


class JobWorld(World):
    """The swarm keeps the engine's rule for jobs: each update of whatever is a new iteration, of which the tasks run until `finish`."""

    def __init__(self) -> None:
        super().__init__()
        update, create = self.swarm.update_service, self.swarm.create_service
        self.swarm.run_tasks = False
        self.iteration = 0

        def begin(service_id: str) -> None:
            self.iteration += 1
            raw = self.swarm.services[service_id]
            raw["JobStatus"] = {"JobIteration": {"Index": self.iteration}}
            made = self.swarm.task(raw["Spec"]["TaskTemplate"], 0)
            self.swarm.tasks[service_id] = [{**made, "JobIteration": {"Index": self.iteration}, "DesiredState": "complete"}]

        def updated(service_id: str, *args: Any, **kwargs: Any) -> list[str]:
            out = update(service_id, *args, **kwargs)
            begin(service_id)
            return out

        def created(*args: Any, **kwargs: Any) -> str:
            service_id = create(*args, **kwargs)
            begin(service_id)
            return service_id

        self.swarm.update_service, self.swarm.create_service = updated, created  # type: ignore[method-assign]
        self.swarm.counts = lambda _: {"RunningTasks": 0, "DesiredTasks": 1}  # type: ignore[method-assign]

    def finish(self, state: str = "complete") -> None:
        self.swarm.tasks[self.live["ID"]][0]["Status"]["State"] = state

    def until_minute(self, minute: int) -> None:
        now = self.clock.now()
        self.clock.advance((now.replace(minute=0, second=0) + timedelta(minutes=minute) - now).total_seconds() + 1)

    def look(self) -> None:
        for _ in range(3):
            self.once()


@pytest.fixture
def world() -> JobWorld:
    world = JobWorld()
    world.objects.put(WEB, JOB)
    world.until_minute(1 + 10 * (world.clock.now().minute // 10 + 1))
    return world


def next_run(world: JobWorld) -> None:
    now = world.clock.now()
    world.clock.advance((now.replace(second=0) + timedelta(minutes=10 - now.minute % 10) - now).total_seconds() + 1)
    world.look()


def test_nothing_exists_before_the_first_run_and_each_run_is_one_write(world: JobWorld) -> None:
    world.look()
    assert world.swarm.writes() == []
    assert world.condition("Ready") == ("True", "Scheduled")
    assert world.status["schedule"]["nextScheduleTime"]
    next_run(world)
    assert [c.split()[0] for c in world.swarm.writes()] == ["create_service"]
    assert world.condition("Ready")[0] == "True"
    assert world.condition("Available") == ("True", "JobRunning")
    first = world.live["Spec"]["Labels"][SERVICE_LABEL_SCHEDULED]
    assert world.status["schedule"]["lastScheduleTime"] == first
    assert "lastSuccessfulTime" not in world.status["schedule"]
    world.finish()
    world.look()
    assert world.condition("Available") == ("True", "JobCompleted")
    assert world.status["schedule"]["lastSuccessfulTime"]
    for _ in range(3):
        next_run(world)
        world.finish()
        world.look()
    assert [c.split()[0] for c in world.swarm.writes()] == ["create_service"] + ["update_service"] * 3
    assert world.live["Spec"]["Labels"][SERVICE_LABEL_SCHEDULED] > first


def test_neither_a_restart_nor_a_lost_status_runs_it_twice(world: JobWorld) -> None:
    world.look()
    next_run(world)
    world.finish()
    world.look()
    written = len(world.swarm.writes())
    world.restart()
    world.look()
    world.restart()
    world.objects.resources[WEB] = replace(world.objects.resources[WEB], status={})
    world.look()
    assert len(world.swarm.writes()) == written


def test_an_edit_is_written_with_the_next_run(world: JobWorld) -> None:
    world.look()
    next_run(world)
    world.finish()
    world.look()
    written = len(world.swarm.writes())
    world.objects.put(WEB, {**JOB, "image": "job:2"})
    world.look()
    assert len(world.swarm.writes()) == written
    assert world.condition("Applied") == ("False", "Scheduled")
    assert world.condition("Ready") == ("True", "Scheduled")
    assert world.status["revision"] == 1
    next_run(world)
    assert len(world.swarm.writes()) == written + 1
    assert world.live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "job:2"
    assert world.condition("Applied")[0] == "True"
    assert world.status["revision"] == 2


def test_a_run_that_goes_on_is_not_disturbed(world: JobWorld) -> None:
    world.look()
    next_run(world)
    written = len(world.swarm.writes())
    next_run(world)
    assert len(world.swarm.writes()) == written
    assert [e[0] for e in world.objects.events].count("RunSkipped") == 1
    world.objects.put(WEB, {**JOB, "schedule": {**JOB["schedule"], "concurrencyPolicy": "Replace"}})
    next_run(world)
    assert len(world.swarm.writes()) == written + 1


@pytest.mark.parametrize("hold", [{"paused": True}, {"schedule": {**JOB["schedule"], "suspend": True}}], ids=["paused", "suspended"])
def test_held_starts_nothing_and_makes_up_for_nothing(world: JobWorld, hold: dict[str, Any]) -> None:
    world.objects.put(WEB, {**JOB, **hold})
    world.look()
    for _ in range(2):
        next_run(world)
    assert world.swarm.writes() == []
    assert "nextScheduleTime" not in world.status["schedule"]
    world.objects.put(WEB, JOB)
    world.look()
    assert world.swarm.writes() == []
    next_run(world)
    assert len(world.swarm.writes()) == 1


def test_drift_between_runs_is_told_and_put_back_with_the_next(world: JobWorld) -> None:
    world.look()
    next_run(world)
    world.finish()
    world.look()
    written = len(world.swarm.writes())
    tasks = copy.deepcopy(world.swarm.tasks)
    world.outside(lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image="other:1"))
    world.swarm.tasks = tasks
    world.look()
    assert len(world.swarm.writes()) == written
    assert world.condition("Drifted") == ("True", "DriftFound")
    next_run(world)
    assert world.live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "job:1"


def test_the_restart_annotation_runs_it_at_once(world: JobWorld) -> None:
    world.look()
    next_run(world)
    world.finish()
    world.look()
    written = len(world.swarm.writes())
    world.objects.annotate(WEB, restartedAt="now")
    world.look()
    assert len(world.swarm.writes()) == written + 1
    world.finish()
    world.look()
    next_run(world)
    assert len(world.swarm.writes()) == written + 2


def test_a_bad_schedule_names_its_field(world: JobWorld) -> None:
    world.objects.put(WEB, {**JOB, "schedule": {"cron": "99 * * * *"}})
    world.once()
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "spec.schedule.cron" in next(c for c in world.status["conditions"] if c["type"] == "Ready")["message"]
