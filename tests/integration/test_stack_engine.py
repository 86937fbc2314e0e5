"""The controllers of stacks and services on a real engine of our own, with its events: networks are made before services, and go after them, also where what the operator knows
of the swarm's services is a moment old."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration.private_engine import PrivateEngine, swarm_of
from swarm_operator.adapters.docker import DockerSwarms
from swarm_operator.controllers.service import ServiceController
from swarm_operator.controllers.session import ClusterSessions
from swarm_operator.controllers.stack import StackController
from swarm_operator.engine.clock import SystemClock
from swarm_operator.ports.objects import Key
from unit.service.fakes import FakeObjects

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")

CLUSTER, SHOP = Key("SwarmCluster", "default", "c"), Key("SwarmStack", "default", "shop")
COMPOSE = """
services:
  web: {image: 'task:1', networks: [front], environment: {COLOUR: blue}, deploy: {replicas: 2, endpoint_mode: dnsrr, update_config: {monitor: 1s}}}
  worker: {image: 'task:1', deploy: {endpoint_mode: dnsrr}}
networks: {front: {attachable: true}}
"""
WEB_ALONE = """
services: {web: {image: 'task:1', networks: [front], environment: {COLOUR: red}, deploy: {replicas: 1, endpoint_mode: dnsrr, update_config: {monitor: 1s}}}}
networks: {front: {attachable: true}}
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with swarm_of(PrivateEngine("--debug"), image="task:1") as engine:
        yield engine


class Rig:
    """Both controllers; the Kubernetes API is in memory."""

    def __init__(self, engine: PrivateEngine) -> None:
        self.engine, self.objects, clock = engine, FakeObjects(), SystemClock()
        self.sessions = ClusterSessions(DockerSwarms(), lambda key: None, clock)
        self.stacks, self.services = StackController(self.objects, self.sessions, clock), ServiceController(self.objects, self.sessions, clock)
        self.objects.put(CLUSTER, {}, "cluster-uid")
        self.session = self.sessions.publish(CLUSTER, "cluster-uid", [engine.endpoint], engine.tls)

    def apply(self, compose: str) -> None:
        self.objects.put(SHOP, {"clusterRef": {"name": "c"}, "compose": compose}, "stack-uid")

    def until(self, what: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (self.objects.resources, self.objects.events)
            self.stacks.reconcile(SHOP)
            for key in [key for key in self.objects.resources if key.kind == "SwarmService"]:
                self.services.reconcile(key)
            time.sleep(0.2)

    def ready(self) -> bool:
        resource = self.objects.resources[SHOP]
        found = [c for c in resource.status.get("conditions", ()) if c["type"] == "Ready"]
        return bool(found) and found[0]["status"] == "True" and resource.status["observedGeneration"] == resource.generation

    def listed(self, what: str) -> set[str]:
        return set(self.engine.docker(what, "ls", "--filter", "label=com.docker.stack.namespace=shop", "--format", "{{.Name}}").stdout.split())


@pytest.fixture
def rig(engine: PrivateEngine) -> Iterator[Rig]:
    made = Rig(engine)
    yield made
    made.sessions.close()


def test_a_stack_runs_changes_is_pruned_and_goes(engine: PrivateEngine, rig: Rig) -> None:
    rig.apply(COMPOSE)
    rig.until(rig.ready)
    assert rig.listed("service") == {"shop_web", "shop_worker"} and rig.listed("network") == {"shop_front", "shop_default"}
    tasks = engine.docker("stack", "ps", "shop", "--filter", "desired-state=running", "--format", "{{.CurrentState}}").stdout.splitlines()
    assert len(tasks) == 3 and all(task.startswith("Running") for task in tasks)

    posts, applied = engine.updates(), len(rig.objects.applied)
    rig.objects.dependents.writes.clear()
    for _ in range(5):
        rig.stacks.reconcile(SHOP)
        time.sleep(0.3)
    assert rig.objects.dependents.writes == [] and len(rig.objects.applied) == applied and engine.updates() == posts, "at rest nothing is written"

    rig.apply(WEB_ALONE)
    rig.until(lambda: rig.ready() and rig.listed("service") == {"shop_web"} and rig.listed("network") == {"shop_front"})
    live: dict[str, Any] = rig.session.swarm.inspect_service("shop_web") or {}
    assert live["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["COLOUR=red"]

    rig.objects.delete(SHOP)
    rig.until(lambda: SHOP not in rig.objects.resources)
    assert rig.listed("service") == set() and rig.listed("network") == set()
    assert "Retained" not in {reason for reason, _, _ in rig.objects.events}
