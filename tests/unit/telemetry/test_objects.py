from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from swarm_operator.api.cluster_status import MachinePhase, OrphanKind
from swarm_operator.api.conditions import CLUSTER_CONDITIONS, SERVICE_CONDITIONS
from swarm_operator.ports.objects import Key
from swarm_operator.telemetry.objects import ObjectCollector, ObjectFigures, ObjectStates, figures_of

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
CLUSTER_BUDGET = 31
CLUSTER_LIMIT = 54
SERVICE_BUDGET = 15


def conditions(types: Any, status: str = "True") -> list[dict[str, str]]:
    return [{"type": kind.value, "status": status, "lastTransitionTime": "2026-03-01T11:59:00Z"} for kind in types]


def cluster(phases: Any = (("Manager", "Ready"), ("Worker", "Ready")), **status: Any) -> dict[str, Any]:
    nodes = [{"role": role, "phase": phase, "name": f"n{number}", "machineUID": f"u{number}"} for number, (role, phase) in enumerate(phases)]
    credentials = {"kind": "ApplicationCredential", "id": "a", "expiresAt": "2026-03-01T13:00:00Z"}
    return {"metadata": {}, "status": {"conditions": conditions(CLUSTER_CONDITIONS), "nodes": nodes, "credentials": credentials, **status}}


def service(**status: Any) -> dict[str, Any]:
    return {"metadata": {}, "status": {"conditions": conditions(SERVICE_CONDITIONS), "replicas": {"desired": 3, "running": 2}, **status}}


class Rig:
    def __init__(self) -> None:
        self.states = ObjectStates()
        self.leading = True
        self.registry = CollectorRegistry()
        self.registry.register(ObjectCollector(self.states, lambda: NOW, lambda: self.leading))

    def see(self, kind: Any, name: str, body: dict[str, Any]) -> Key:
        key = Key(kind, "ns", name)
        self.states.put(key, figures_of(body))
        return key

    def value(self, metric: str, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, {"namespace": "ns", "name": name, **labels})

    def series(self) -> list[dict[str, str]]:
        return [sample.labels for family in self.registry.collect() for sample in family.samples]


def test_what_a_cluster_says() -> None:
    rig = Rig()
    phases = [("Manager", "Ready"), ("Worker", "Ready"), ("Worker", "Ready"), ("Worker", "Down")]
    counts = {"managers": {"desired": 3, "ready": 1}, "workers": {"desired": 4, "ready": 2}, "swarmID": "s"}
    rig.see("SwarmCluster", "c", cluster(phases, **counts))
    assert rig.value("swarmcluster_condition", "c", condition="Ready", status="True") == 1
    assert rig.value("swarmcluster_condition", "c", condition="Ready", status="False") is None
    assert rig.value("swarmcluster_machines", "c", role="Worker", phase="Ready") == 2
    assert rig.value("swarmcluster_machines", "c", role="Worker", phase="Down") == 1
    assert rig.value("swarmcluster_machines", "c", role="Manager", phase="Down") is None
    assert rig.value("swarmcluster_orphans", "c", kind="server") is None
    rig.see("SwarmCluster", "c", cluster(phases, **counts, orphans=[{"kind": "server", "id": "1"}, {"kind": "server", "id": "2"}, {"kind": "port", "id": "3"}]))
    assert rig.value("swarmcluster_orphans", "c", kind="server") == 2
    names = ("managers_desired", "managers_ready", "workers_desired", "workers_ready", "formed", "deleting")
    assert [rig.value(f"swarmcluster_{name}", "c") for name in names] == [3, 1, 4, 2, 1, 0]
    assert rig.value("swarmcluster_credentials_expiry_seconds", "c") == 3600
    rig.see("SwarmCluster", "c", cluster(phases, credentials={"kind": "Password", "id": "u", "expiresAt": "2026-03-01T11:59:00Z"}))
    assert rig.value("swarmcluster_credentials_expiry_seconds", "c") == -60, "it is over"
    rig.see("SwarmCluster", "c", cluster(phases, credentials={}))
    assert rig.value("swarmcluster_credentials_expiry_seconds", "c") is None


def test_what_a_service_says() -> None:
    rig = Rig()
    rig.see("SwarmService", "web", service(corrections=4, failingTasks=[{"state": "failed", "count": 2}, {"state": "rejected"}]))
    assert rig.value("swarmservice_replicas_desired", "web") == 3
    assert rig.value("swarmservice_replicas_running", "web") == 2
    assert rig.value("swarmservice_corrections_total", "web") == 4
    assert rig.value("swarmservice_tasks_failing", "web") == 3
    assert rig.value("swarmservice_drifted", "web") == 1
    assert rig.value("swarmservice_drift_seconds", "web") == 60
    rig.see("SwarmService", "web", {"metadata": {}, "status": {"conditions": conditions(SERVICE_CONDITIONS, "False")}})
    assert rig.value("swarmservice_drifted", "web") == 0
    assert rig.value("swarmservice_drift_seconds", "web") == 0


@pytest.mark.parametrize("body", [{"metadata": {}}, {"metadata": {}, "status": {}}, {"metadata": {}, "status": None}, {}])
def test_an_object_without_status_is_no_fault(body: dict[str, Any]) -> None:
    assert figures_of(body) == ObjectFigures()


def test_an_object_that_is_gone_has_no_series() -> None:
    rig = Rig()
    keys = [rig.see("SwarmCluster", f"c{number}", cluster()) for number in range(3)]
    rig.states.remove(keys[0])
    assert {labels["name"] for labels in rig.series()} == {"c1", "c2"}
    mark = rig.states.mark()
    late = rig.see("SwarmCluster", "c3", cluster())
    rig.states.keep_only([keys[1]], mark)
    assert {labels["name"] for labels in rig.series()} == {"c1", "c3"}, "c2 went unseen; c3 came while the list ran"
    rig.states.keep_only([keys[1]], rig.states.mark())
    assert late not in dict(rig.states.snapshot())


def test_a_standby_shows_no_objects() -> None:
    rig = Rig()
    rig.see("SwarmService", "web", service())
    rig.leading = False
    assert rig.series() == []


def test_the_cardinality_budget_holds_for_a_hundred_objects() -> None:
    rig = Rig()
    busy = [("Manager", phase) for phase in ("Ready", "Down", "Building")] + [("Worker", p) for p in ("Ready", "Down", "Building", "Joining", "Draining")]
    for number in range(100):
        rig.see("SwarmCluster", f"c{number}", cluster(busy * 7))
    assert len(rig.series()) == 100 * CLUSTER_BUDGET
    rig.see(
        "SwarmCluster",
        "c0",
        cluster(
            [(role, phase.value) for role in ("Manager", "Worker") for phase in MachinePhase] * 7, orphans=[{"kind": kind} for kind in get_args(OrphanKind)] * 9
        ),
    )
    assert sum(labels["name"] == "c0" for labels in rig.series()) <= CLUSTER_LIMIT

    services = Rig()
    for number in range(100):
        services.see("SwarmService", f"s{number}", service(failingTasks=[{"state": str(n)} for n in range(16)], drift=[f"f{n}" for n in range(64)]))
    assert len(services.series()) <= 100 * SERVICE_BUDGET
    assert {frozenset(labels) for labels in services.series() + rig.series()} <= {
        frozenset({"namespace", "name", *more}) for more in ((), ("condition", "status"), ("role", "phase"), ("kind",))
    }
