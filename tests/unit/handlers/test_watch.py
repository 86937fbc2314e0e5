from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.queue import WorkQueue
from swarm_operator.engine.watchdog import WatchOracle
from swarm_operator.handlers.sweep import Sweep
from swarm_operator.handlers.watch import ClusterNames, WatchEvents
from swarm_operator.ports.objects import Key, Kind, Resource
from swarm_operator.telemetry.metrics import Metrics
from swarm_operator.telemetry.objects import ObjectStates

CLUSTER = Key("SwarmCluster", "ns", "c")
WEB = Key("SwarmService", "ns", "web")
DB = Key("SwarmService", "ns", "db")


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clusters = ClusterNames()
        self.queue: WorkQueue[Key] = WorkQueue(self.clock, self.clusters.group, group_limit=1)
        self.oracle: WatchOracle[Key] = WatchOracle(self.clock)
        self.states = ObjectStates()
        self.events = WatchEvents(self.queue, self.oracle, self.clusters, Metrics(), self.states)
        self.version = 0

    def event(self, key: Key, event_type: str | None = "MODIFIED", status: dict[str, Any] | None = None, **metadata: Any) -> None:
        self.version += 1
        body = {
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "uid": f"u-{key.name}",
                "generation": 1,
                "resourceVersion": str(self.version),
                **metadata,
            },
            "spec": {"clusterRef": {"name": "c"}} if key.kind in ("SwarmService", "SwarmWorkerPool") else {},
        }
        if status is not None:
            body["status"] = status
        self.events(key.kind, event_type, body)

    def drain(self) -> list[Key]:
        keys = []
        while (key := self.queue.get(0)) is not None:
            keys.append(key)
            self.queue.done(key)
        return keys


def test_what_users_change_brings_the_key_and_our_own_status_does_not() -> None:
    rig = Rig()
    rig.queue.add(DB)
    rig.event(WEB, None)
    assert rig.drain() == [WEB, DB], "ahead of the resync"
    rig.event(WEB, status={"replicas": {}})
    rig.event(WEB, finalizers=["swarmops.io/teardown"])
    assert rig.drain() == []
    rig.event(WEB, generation=2)
    assert rig.drain() == [WEB]
    rig.event(WEB, generation=2, annotations={"a": "b"})
    assert rig.drain() == [WEB]
    rig.event(WEB, generation=2, annotations={"a": "b"}, deletionTimestamp="2026-01-01T00:00:00Z")
    assert rig.drain() == [WEB]
    rig.event(WEB, "ADDED", uid="another")
    assert rig.drain() == [WEB], "deleted and made anew while the watch was down"


def test_a_pool_and_its_cluster_bring_each_other() -> None:
    rig = Rig()
    apps = Key("SwarmWorkerPool", "ns", "apps")
    rig.event(CLUSTER, None)
    rig.event(apps, None)
    assert sorted(rig.drain()) == [CLUSTER, apps]
    rig.event(apps, status={"replicas": 1})
    assert rig.drain() == [], "our own status"
    rig.event(apps, generation=2)
    assert sorted(rig.drain()) == [CLUSTER, apps]
    node = {"name": "c-apps-0", "role": "Worker", "pool": "apps", "phase": "Building"}
    rig.event(CLUSTER, status={"nodes": [node]})
    assert rig.drain() == [apps]
    rig.event(CLUSTER, status={"nodes": [node], "orphans": [{"id": "x"}]})
    assert rig.drain() == [], "nothing that a pool tells of"
    rig.event(CLUSTER, status={"nodes": [{**node, "phase": "Ready"}]})
    assert rig.drain() == [apps]
    rig.event(apps, "DELETED")
    assert sorted(rig.drain()) == [CLUSTER, apps]
    rig.event(apps, None)
    rig.drain()
    rig.event(CLUSTER, "DELETED")
    assert sorted(rig.drain()) == [CLUSTER, apps], "it tells that there is no cluster, or goes"


def test_the_news_of_a_service_bring_its_stack() -> None:
    rig = Rig()
    shop = Key("SwarmStack", "ns", "shop")
    owned = {"ownerReferences": [{"kind": "SwarmStack", "name": "shop", "uid": "s"}]}
    rig.event(WEB, None, **owned)
    assert rig.drain() == [WEB, shop]
    ready = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}, {"type": "Applied", "status": "True"}]}
    rig.event(WEB, status=ready, **owned)
    assert rig.drain() == [shop]
    rig.event(WEB, status={**ready, "replicas": {"running": 1}}, **owned)
    assert rig.drain() == [], "nothing that the stack tells of"
    rig.event(WEB, "DELETED", **owned)
    assert rig.drain() == [WEB, shop]
    rig.event(DB, status=ready, ownerReferences=[{"kind": "Deployment", "name": "x", "uid": "y"}])
    assert rig.drain() == [DB]


def test_a_deletion_is_a_key_too() -> None:
    rig = Rig()
    rig.event(WEB, None)
    rig.drain()
    rig.event(WEB, "DELETED")
    assert rig.drain() == [WEB]
    assert rig.clusters.cluster_of(WEB) is None
    assert rig.clusters.services_of(CLUSTER) == []


def test_services_are_looked_at_when_their_cluster_becomes_ready() -> None:
    rig = Rig()
    for key in (CLUSTER, WEB, DB):
        rig.event(key, None)
    rig.drain()
    rig.event(CLUSTER, status={"conditions": [{"type": "Ready", "status": "False"}]})
    rig.drain()
    rig.event(CLUSTER, status={"conditions": [{"type": "Ready", "status": "False"}], "nodes": [{}]})
    assert rig.drain() == [], "a change that services do not wait for"
    rig.event(CLUSTER, status={"conditions": [{"type": "Ready", "status": "True"}], "endpoint": "tcp://x:2376"})
    assert rig.drain() == [DB, WEB]


def test_services_that_hang_leave_their_cluster_and_others_free() -> None:
    rig = Rig()
    other = Key("SwarmService", "ns2", "web")
    for key in (WEB, DB, CLUSTER, other):
        rig.event(key, None)
    assert {rig.queue.get(0), rig.queue.get(0), rig.queue.get(0)} == {WEB, CLUSTER, other}
    assert rig.queue.get(0) is None


def test_odd_specs_do_not_stop_the_handler() -> None:
    rig = Rig()
    for spec in (None, {}, {"clusterRef": None}, {"clusterRef": "c"}, {"clusterRef": {"name": 3}}):
        rig.events("SwarmService", "ADDED", {"metadata": {"namespace": "ns", "name": "x", "uid": "u", "resourceVersion": "1"}, "spec": spec})
    assert rig.drain() == [Key("SwarmService", "ns", "x")]


@dataclass
class Lists:
    """The Objects port as far as the sweep needs it."""

    items: dict[Key, str] = field(default_factory=dict)
    calls: list[tuple[Kind, str | None]] = field(default_factory=list)

    def list(self, kind: Kind, namespace: str | None = None) -> list[Resource]:
        self.calls.append((kind, namespace))
        return [
            Resource(key, "u", 1, version, {"clusterRef": {"name": "c"}}, {})
            for key, version in self.items.items()
            if key.kind == kind and namespace in (None, key.namespace)
        ]


def sweep_of(rig: Rig, lists: Lists, namespaces: tuple[str, ...] = ()) -> tuple[Sweep, list[list[Key]]]:
    stale: list[list[Key]] = []
    return Sweep(lists, namespaces, rig.queue, rig.oracle, rig.clusters, rig.clock, stale.append, rig.states), stale  # type: ignore[arg-type]


def test_a_sweep_brings_every_key_back_and_learns_their_clusters() -> None:
    rig, lists = Rig(), Lists({WEB: "1", CLUSTER: "2"})
    sweep, _ = sweep_of(rig, lists, ("ns", "ns2"))
    sweep()
    assert lists.calls == [
        ("SwarmCluster", "ns"),
        ("SwarmCluster", "ns2"),
        ("SwarmService", "ns"),
        ("SwarmService", "ns2"),
        ("SwarmStack", "ns"),
        ("SwarmStack", "ns2"),
        ("SwarmWorkerPool", "ns"),
        ("SwarmWorkerPool", "ns2"),
    ]
    assert sorted(rig.drain()) == [CLUSTER, WEB]
    assert rig.clusters.cluster_of(WEB) == "c"


def test_a_watch_that_never_brings_what_lists_see_is_dead() -> None:
    rig, lists = Rig(), Lists({WEB: "7"})
    sweep, stale = sweep_of(rig, lists)
    assert sweep() == 120
    rig.clock.advance(119)
    sweep()
    assert stale == []
    rig.clock.advance(1)
    sweep()
    assert stale == [[WEB]]


def test_a_watch_that_delivers_is_left_alone() -> None:
    rig, lists = Rig(), Lists({WEB: "1"})
    sweep, stale = sweep_of(rig, lists)
    rig.event(WEB, None)  # version 1
    assert sweep() is None
    for _ in range(5):
        rig.clock.advance(300)
        sweep()
    assert stale == []


def test_figures_for_metrics_come_with_events_and_go_with_the_object() -> None:
    rig, lists = Rig(), Lists({WEB: "1"})
    rig.event(WEB, None, status={"corrections": 2})
    rig.event(DB, None)
    assert [(key, figures.corrections) for key, figures in rig.states.snapshot()] == [(DB, 0), (WEB, 2)]
    sweep_of(rig, lists)[0]()
    assert [key for key, _ in rig.states.snapshot()] == [WEB], "the deletion of db was never delivered"
    rig.event(WEB, "DELETED")
    assert rig.states.snapshot() == []
