"""When a service counts as available, in each of the four modes, on a real engine of this machine's version and a newer one; and where it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.live_service import WEB, Running, until
from integration.private_engine import ENGINES, GUEST, PrivateEngine, engine_of, swarm_of

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")

RUNS = {"image": "task:1", "stopGracePeriodSeconds": 1}
JOB = {"image": "task:1", "command": ["/bin/busybox", "true"], "restartPolicy": {"condition": "none"}}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[PrivateEngine]:
    with swarm_of(engine_of(request.param), image="task:1") as engine:
        engine.docker("network", "create", "--driver", "overlay", "--subnet", "10.77.0.0/24", "blue")
        yield engine


def status(running: Running) -> dict[str, Any]:
    return running.objects.resources[WEB].status


def available(running: Running) -> tuple[str, str]:
    found = running.condition("Available")
    return found["status"], found["reason"]


def test_a_replicated_service_must_keep_running_for_the_monitor_time(running: Running) -> None:
    flaps = {"command": ["/bin/busybox", "sleep", "3"], "restartPolicy": {"delaySeconds": 0}, "updateConfig": {"monitorSeconds": 6}}
    running.apply({**RUNS, **flaps, "replicas": 1})
    until(lambda: status(running).get("replicas", {}).get("summary") == "1/1", 30, "one runs")
    until(lambda: len(running.session.swarm.list_tasks(running.live()["ID"])) >= 3, 60, "it was started again twice")
    assert running.condition("Ready")["status"] == "False", "it never ran for six seconds"
    running.apply({**RUNS, "replicas": 1, "updateConfig": {"monitorSeconds": 2}})
    running.wait("Ready", "True", 60)


def test_a_global_service_counts_eligible_nodes(running: Running) -> None:
    running.apply({**RUNS, "mode": "global"})
    running.wait("Ready", "True", 60)
    assert status(running)["replicas"]["summary"] == "1/1"
    for constraint in ("node.platform.arch == none", "engine.labels.none == x", "node.labels.none == x"):
        running.apply({**RUNS, "mode": "global", "placement": {"constraints": [constraint]}})
        until(lambda: available(running) == ("False", "NoEligibleNode"), 30, constraint)
    running.apply({**RUNS, "mode": "global", "placement": {"constraints": ["node.platform.os == linux", "engine.labels.none != x"]}})
    running.wait("Ready", "True", 60)


def test_placement_that_has_no_room_is_told(running: Running) -> None:
    running.apply({**RUNS, "replicas": 3, "placement": {"maxReplicas": 2}})
    until(lambda: available(running) == ("False", "PlacementInfeasible"), 30, "PlacementInfeasible")
    until(lambda: "max replicas per node" in running.condition("Available")["message"], 30, "the engine's words")
    assert status(running)["failingTasks"][0]["state"] == "pending"


@pytest.mark.parametrize("mode", [{"mode": "replicated-job", "job": {"completions": 3}}, {"mode": "global-job"}], ids=lambda m: str(m["mode"]))
def test_a_job_is_available_when_its_run_has_completed(running: Running, mode: dict[str, Any]) -> None:
    running.apply({**JOB, **mode})
    running.wait("Ready", "True", 60)
    assert available(running) == ("True", "JobCompleted")
    done = 3 if mode["mode"] == "replicated-job" else 1
    assert status(running)["replicas"] == {"desired": done, "running": done, "summary": f"{done}/{done}"}


def test_a_job_that_fails_says_why(running: Running) -> None:
    running.apply({**JOB, "command": ["/bin/busybox", "false"], "mode": "replicated-job", "job": {"completions": 1}})
    until(lambda: available(running) == ("False", "TasksFailing"), 60, "TasksFailing")
    assert "non-zero exit (1)" in running.condition("Available")["message"]


def test_ports_and_addresses_are_in_the_status(running: Running) -> None:
    ports = [{"targetPort": 80}, {"targetPort": 81, "publishedPort": 8181, "publishMode": "host"}]
    running.apply({**RUNS, "replicas": 1, "ports": ports})
    until(lambda: any(e["publishMode"] == "host" for e in status(running).get("endpoints", ())), 60, "the host port of the running task")
    found = {e["targetPort"]: e for e in status(running)["endpoints"]}
    chosen = next(p["publishedPort"] for p in status(running)["ports"] if p["targetPort"] == 80)
    assert chosen >= 30000
    assert (found[80]["address"], found[80]["port"], found[80]["publishMode"]) == (GUEST, chosen, "ingress")
    assert (found[81]["address"], found[81]["port"]) == (GUEST, 8181)


def test_virtual_addresses_are_in_the_status(running: Running) -> None:
    running.apply({**RUNS, "replicas": 0, "networks": [{"name": "blue"}]})
    until(lambda: bool(status(running).get("virtualIPs")), 30, "a virtual address")
    (address,) = status(running)["virtualIPs"]
    assert address["network"] == "blue" and address["address"].startswith("10.77.0.")
