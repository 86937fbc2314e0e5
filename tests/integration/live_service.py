"""The SwarmService controller as it runs, on a real engine of our own (`private_engine`), for the tests that look at one service."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from integration.private_engine import PrivateEngine
from swarm_operator.adapters.docker import DockerSwarms
from swarm_operator.controllers.service import ServiceController
from swarm_operator.controllers.session import ClusterSessions
from swarm_operator.domain.errors import ExternalError
from swarm_operator.engine.clock import SystemClock
from swarm_operator.engine.queue import WorkQueue
from swarm_operator.engine.workers import WorkerPool
from swarm_operator.ports.objects import Key
from unit.service.fakes import FakeObjects

CLUSTER = Key("SwarmCluster", "default", "c")
WEB = Key("SwarmService", "default", "web")


def error_of(call: Callable[[], Any]) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


def until(what: Callable[[], bool], seconds: float, why: str) -> float:
    start = time.monotonic()
    while not what():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {why}"
        time.sleep(0.02)
    return time.monotonic() - start


class Running:
    """The controller with its queue, workers, session and events; the Kubernetes API is in memory. `objects` are those that an operator before this one has left."""

    def __init__(self, engine: PrivateEngine, objects: FakeObjects | None = None) -> None:
        self.engine, self.objects, clock = engine, objects or FakeObjects(), SystemClock()
        self.queue: WorkQueue[Key] = WorkQueue(clock)
        self.sessions = ClusterSessions(DockerSwarms(), lambda key: self.queue.add(key, urgent=True), clock)
        self.controller = ServiceController(self.objects, self.sessions, clock)
        self.pool = WorkerPool(self.queue, self._reconcile, 2)
        self.objects.put(CLUSTER, {}, "cluster-uid")
        self.pool.start()
        self.session = self.sessions.publish(CLUSTER, "cluster-uid", [engine.endpoint], engine.tls)

    def _reconcile(self, key: Key) -> Any:
        from swarm_operator.engine.outcome import Done

        return Done() if key.kind == "SwarmCluster" else self.controller.reconcile(key)

    def apply(self, spec: dict[str, Any]) -> None:
        self.objects.put(WEB, {"clusterRef": {"name": "c"}, **spec})
        self.queue.add(WEB, urgent=True)

    def delete(self) -> None:
        self.objects.delete(WEB)
        self.queue.add(WEB, urgent=True)

    def condition(self, kind: str) -> dict[str, Any]:
        resource = self.objects.resources[WEB]
        found = [c for c in resource.status.get("conditions", ()) if c["type"] == kind and c.get("observedGeneration") == resource.generation]
        return found[0] if found else {"status": "none", "reason": "none", "message": ""}

    def wait(self, kind: str, status: str, seconds: float = 30) -> float:
        try:
            return until(lambda: self.condition(kind)["status"] == status, seconds, f"{kind}={status}")
        except AssertionError:
            print(self.objects.resources[WEB].status)
            print(self.objects.events)
            raise

    def live(self) -> dict[str, Any]:
        live = self.session.swarm.inspect_service("web")
        assert live is not None
        return live

    def replicas(self) -> int | None:
        live = self.session.swarm.inspect_service("web")
        return None if live is None else live["Spec"]["Mode"]["Replicated"]["Replicas"]

    def tasks(self) -> list[dict[str, Any]]:
        return list(self.session.swarm.list_tasks(self.live()["ID"]))

    def running(self) -> set[str]:
        return {t["ID"] for t in self.tasks() if t["Status"]["State"] == "running" and t["DesiredState"] == "running"}

    def close(self) -> None:
        self.pool.stop(5)
        self.sessions.close()
