"""Revisions, rollback and paused updates on a real engine: what is counted are the engine's own `POST /services/{id}/update`, read from its debug log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from integration.live_service import WEB, Running, until
from integration.private_engine import PrivateEngine, swarm_of

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")

RUNS = {"image": "task:1", "replicas": 2, "stopGracePeriodSeconds": 1}


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with swarm_of(PrivateEngine("--debug"), image="task:1") as engine:
        yield engine


def config(action: str) -> dict[str, Any]:
    return {"updateConfig": {"monitorSeconds": 1, "failureAction": action, "order": "stop-first"}, "rollbackConfig": {"monitorSeconds": 1}}


BROKEN = {"command": ["/bin/busybox", "false"], "restartPolicy": {"condition": "none"}}


def status(running: Running) -> dict[str, Any]:
    return running.objects.resources[WEB].status


def test_a_pin_goes_back_and_its_removal_forth_again(running: Running) -> None:
    first = {**RUNS, **config("pause"), "env": [{"name": "V", "value": "1"}]}
    second = {**RUNS, **config("pause"), "env": [{"name": "V", "value": "2"}]}
    running.apply(first)
    running.wait("Ready", "True", 60)
    running.apply(second)
    running.wait("Ready", "True", 60)
    assert [r["revision"] for r in status(running)["revisions"]] == [2, 1]
    running.apply({**second, "rollbackTo": {"revision": 1}})
    running.wait("Ready", "True", 60)
    assert running.live()["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["V=1"]
    assert running.condition("Pinned")["status"] == "True"
    running.apply(second)
    running.wait("Ready", "True", 60)
    assert running.live()["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["V=2"]
    assert status(running)["revision"] == 2


def test_a_failed_update_rolls_back_and_stays_held(running: Running) -> None:
    good = {**RUNS, **config("rollback")}
    running.apply(good)
    running.wait("Ready", "True", 60)
    before = running.engine.updates()
    running.apply({**good, **BROKEN})
    until(lambda: running.condition("Stalled")["reason"] == "RolledBack", 60, "held after the rollback")
    assert running.engine.updates() == before + 1
    until(lambda: len(running.running()) == 2, 30, "the rolled-back tasks run")
    tasks = running.running()
    for _ in range(4):
        running.queue.add(WEB, urgent=True)
        time.sleep(1)
    assert running.engine.updates() == before + 1, "a held spec was posted again"
    assert running.running() == tasks
    assert "Command" not in running.live()["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert any("non-zero exit" in failing["error"] for failing in status(running)["failingTasks"])


def test_a_paused_update_stays_paused_or_is_continued_so_often(running: Running) -> None:
    good = {**RUNS, **config("pause"), "replicas": 3}
    running.apply(good)
    running.wait("Ready", "True", 60)
    before = running.engine.updates()
    running.apply({**good, **BROKEN})  # each attempt gets one task further, which fails in turn
    until(lambda: running.condition("Stalled")["reason"] == "UpdatePaused", 60, "Stalled")
    for _ in range(3):
        running.queue.add(WEB, urgent=True)
        time.sleep(0.5)
    assert running.engine.updates() == before + 1
    running.apply({**good, **BROKEN, "pausedUpdate": {"action": "Resume", "afterSeconds": 10, "attempts": 1}})
    until(lambda: status(running).get("resumes") == 1 and running.condition("Stalled")["reason"] == "UpdatePaused", 90, "one attempt, then Stalled")
    assert running.engine.updates() == before + 2
    # Though the engine's own rollback target is gone, the revision is not.
    running.apply({**good, **BROKEN, "rollbackTo": {"revision": 1}})
    running.wait("Ready", "True", 60)
    assert len(running.running()) == 3


def early_in_a_minute() -> None:
    """So that what waits for the next minute can be seen waiting."""
    until(lambda: time.time() % 60 < 40, 30, "the next minute")


def test_a_job_by_the_clock_runs_once_a_minute_and_an_edit_waits(running: Running) -> None:
    job = {"image": "task:1", "command": ["/bin/busybox", "true"], "mode": "replicated-job", "restartPolicy": {"condition": "none"}}
    timed = {**job, "schedule": {"cron": "* * * * *"}}
    before = running.engine.updates()
    early_in_a_minute()
    running.apply(timed)
    until(lambda: running.condition("Ready")["reason"] == "Scheduled", 10, "it waits for its time")
    until(lambda: running.condition("Available")["reason"] == "JobCompleted", 90, "the first run")
    live = running.live()
    first = live["Spec"]["Labels"]["io.swarmops.scheduled-at"]
    assert live.get("JobStatus", {}).get("JobIteration", {}).get("Index", 0) == 0
    early_in_a_minute()
    running.apply({**timed, "env": [{"name": "V", "value": "2"}]})
    until(lambda: running.condition("Applied")["reason"] == "Scheduled", 10, "the edit waits")
    assert running.engine.updates() == before
    until(lambda: running.live()["Spec"]["Labels"]["io.swarmops.scheduled-at"] > first, 70, "the second run")
    until(lambda: running.condition("Available")["reason"] == "JobCompleted", 30, "the second run is done")
    assert running.engine.updates() == before + 1
    live = running.live()
    assert live["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["V=2"]
    assert live["JobStatus"]["JobIteration"]["Index"] > 0
    done = [t for t in running.session.swarm.list_tasks(live["ID"]) if t["Status"]["State"] == "complete"]
    assert len(done) == 2, "one task for each run"
