"""Tasks spread anew over the nodes of a real swarm of two, once a drained node is back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from integration.live_service import WEB, Running, until
from integration.private_engine import PrivateEngine, PrivateWorker, swarm_of

IMAGE = "swo/sleep:1"
pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and iproute2")
SETTLE = 3
SPEC: dict[str, Any] = {
    "image": IMAGE,
    "replicas": 4,
    "networks": [{"name": "host"}],
    "stopGracePeriodSeconds": 1,
    "restartPolicy": {"delaySeconds": 0},
    "updateConfig": {"monitorSeconds": 1},
    "rebalance": {"settleSeconds": SETTLE},
}


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[PrivateEngine, str]]:
    """The manager, and the id of the worker's node."""
    with swarm_of(PrivateEngine("--debug"), image=IMAGE) as manager:
        worker = PrivateWorker()
        try:
            node = worker.join(manager)
            worker.import_image(IMAGE)
            yield manager, node
        finally:
            worker.stop()


@pytest.fixture
def running(nodes: tuple[PrivateEngine, str]) -> Iterator[Running]:
    running = Running(nodes[0])
    yield running
    running.delete()
    until(lambda: WEB not in running.objects.resources, 30, "the service is gone")
    running.close()


def loads(running: Running) -> list[int]:
    tasks = running.session.swarm.list_tasks(running.live()["ID"])
    counts = Counter(t["NodeID"] for t in tasks if t["Status"]["State"] == "running" and t["DesiredState"] == "running")
    return sorted(counts.values())


def on(running: Running, node: str) -> int:
    tasks = running.session.swarm.list_tasks(running.live()["ID"])
    return sum(t.get("NodeID") == node and t["Status"]["State"] == "running" and t["DesiredState"] == "running" for t in tasks)


def rebalance(running: Running) -> dict[str, Any]:
    return running.objects.resources[WEB].status.get("rebalance", {})


def drained_and_back(manager: PrivateEngine, worker: str, running: Running) -> int:
    """All tasks of the service are on the manager, and the worker is active again. How many updates there were."""
    running.wait("Ready", "True", 60)
    assert loads(running) == [2, 2]
    until(lambda: "judgedAt" in rebalance(running), 30, "the nodes are judged")
    writes = manager.updates()
    manager.docker("node", "update", "--availability", "drain", worker)
    until(lambda: loads(running) == [4], 60, "all tasks are on the manager")
    running.wait("Ready", "True", 60)
    assert manager.updates() == writes
    manager.docker("node", "update", "--availability", "active", worker)
    return writes


def test_a_node_that_was_drained_gets_its_share_back(nodes: tuple[PrivateEngine, str], running: Running) -> None:
    manager, worker = nodes
    running.apply(SPEC)
    writes = drained_and_back(manager, worker, running)
    waited = until(lambda: manager.updates() > writes, 60, "the tasks are spread anew")
    assert waited >= SETTLE - 1.0  # times in the status are whole seconds
    until(lambda: loads(running) == [2, 2], 60, "as many tasks on each node")
    running.wait("Ready", "True", 60)

    time.sleep(3 * SETTLE)  # The absence of a write has no event to wait for.
    assert manager.updates() == writes + 1
    assert loads(running) == [2, 2]
    assert running.live()["Spec"]["TaskTemplate"]["ForceUpdate"] == 1
    status = running.objects.resources[WEB].status
    assert rebalance(running)["skew"] == 0 and status["corrections"] == 0
    assert [reason for reason, _, _ in running.objects.events].count("Rebalanced") == 1


def test_an_update_that_would_only_exchange_the_nodes_is_not_made(nodes: tuple[PrivateEngine, str], running: Running) -> None:
    """And it would: with start-first the old tasks count on their node while a place is looked for."""
    manager, worker = nodes
    running.apply({**SPEC, "updateConfig": {"monitorSeconds": 1, "order": "start-first", "parallelism": 0}})
    writes = drained_and_back(manager, worker, running)
    until(lambda: "left as it is" in rebalance(running).get("message", ""), 30, "the nodes are judged")
    assert (manager.updates(), loads(running)) == (writes, [4])
    manager.docker("service", "update", "--force", "--detach", "web")
    until(lambda: on(running, worker) == 4 and loads(running) == [4], 60, "the loads are exchanged")
