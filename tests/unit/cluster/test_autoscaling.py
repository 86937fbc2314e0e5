"""What tasks need, from the engine's answers, and how many workers follow from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.api.cluster_status import PoolScaling, PoolStatus, SwarmClusterStatus
from swarm_operator.domain.cluster.autoscaling import Scaling, holding, scale
from swarm_operator.domain.cluster.machines import tabulate
from swarm_operator.domain.cluster.observation import NOT_LOOKED_AT, ClusterObservation
from swarm_operator.domain.cluster.workload import Room, TaskNeed, Workload, workload
from swarm_operator.domain.facts import Known
from swarm_operator.domain.swarm import Node, SwarmView
from unit.cluster.builders import MANAGER, NOW, UID, ago, node, record, server, spec, status, worker

WAITS = "no suitable node (insufficient resources on 2 nodes)"
BOUNDS: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 5, "scaleUp": {"pendingSeconds": 30, "step": 3}, "scaleDownAfterSeconds": 100}


def raw(service: str, *, node_id: str = "", state: str = "pending", err: str = WAITS, desired: str = "running", cpus: int = 0, **more: Any) -> dict[str, Any]:
    reserved = {"Resources": {"Reservations": {"NanoCPUs": cpus}}} if cpus else {}
    return {"ServiceID": service, "NodeID": node_id, "DesiredState": desired, "Status": {"State": state, "Err": err}, "Spec": {**reserved, **more}}


def test_which_tasks_wait() -> None:
    services = [
        {"ID": "s", "Spec": {"Name": "web", "Mode": {"Replicated": {"Replicas": 3}}}},
        {"ID": "g", "Spec": {"Name": "agent", "Mode": {"Global": {}}}},
        {"ID": "h", "Spec": {"Name": "lb", "Mode": {"Replicated": {}}, "EndpointSpec": {"Ports": [{"PublishMode": "host"}]}}},
    ]
    tasks = [
        raw("s", cpus=7),
        raw("s", node_id="n1", state="running", err=""),
        raw("s", state="pending", err=""),
        raw("s", state="pending", err="something else"),
        raw("s", desired="shutdown"),
        raw("s", state="failed", node_id="n1"),
        raw("g", node_id="", state="pending"),
        raw("h", node_id="n1", state="running", err=""),
        raw("gone"),
    ]
    found = workload(services, tasks)
    assert [(t.service, t.cpus) for t in found.waiting] == [("web", 7)]
    assert [(t.service, t.fixed) for t in found.on("n1")] == [("web", False), ("lb", True)]


def test_room_counts_reservations_limits_per_node_and_placement() -> None:
    nodes = [replace(node(worker(n)), cpus=10, memory=10, labels={"n": str(n)}) for n in range(2)]
    room = Room(nodes, [TaskNeed("a", nodes[0].id, cpus=8)])
    assert not Room(nodes, ()).place(TaskNeed("b", cpus=11)) and not Room(nodes, ()).place(TaskNeed("b", memory=11))
    assert room.place(TaskNeed("b", cpus=8)) and not room.place(TaskNeed("b", cpus=8)) and room.place(TaskNeed("b", cpus=2))
    single = {"MaxReplicas": 1}
    room = Room(nodes, ())
    assert [room.place(TaskNeed("c", placement=single)) for _ in range(3)] == [True, True, False]
    assert not Room(nodes, ()).place(TaskNeed("d", placement={"Constraints": ["node.labels.n == 7"]}))
    assert not Room([replace(nodes[0], cpus=0)], ()).place(TaskNeed("e", cpus=1)), "a node that does not tell"


def looked(workers: int, tasks: Workload | None, *, nodes: tuple[Node, ...] | None = None) -> ClusterObservation:
    there = [MANAGER, *(worker(slot) for slot in range(workers))]
    members = tuple(replace(node(m), cpus=10, memory=10) for m in there) if nodes is None else nodes
    view = SwarmView("swarm", members)
    work = Known(tasks) if tasks is not None else NOT_LOOKED_AT
    return ClusterObservation(UID, "demo", 1, servers=Known(tuple(server(m) for m in there)), swarm=Known(view), workload=work)


def decided(workers: int, tasks: Workload | None, entry: PoolScaling, **bounds: Any) -> Scaling:
    wanted = spec(workerPools=[{"name": "web", "replicas": 1, "autoscaling": {**BOUNDS, **bounds}}])
    known = status(record(MANAGER), *(record(worker(s)) for s in range(workers)), pools=[PoolStatus(name="web", desired=workers, autoscaling=entry)])
    observed = looked(workers, tasks)
    return scale(wanted, known, observed, tabulate(known, observed, NOW), NOW)


def waiting(*cpus: int) -> Workload:
    """On a swarm whose nodes are full."""
    return Workload(tuple(TaskNeed("web", cpus=c, why=WAITS, placement={"Constraints": ["node.role == worker"]}) for c in cpus))


@pytest.mark.parametrize(("cpus", "added"), [((6,), 1), ((5, 5), 1), ((6, 6), 2), ((6, 6, 6, 6), 3), ((11,), 0)])
def test_as_many_workers_as_the_tasks_fill_up_to_the_step(cpus: tuple[int, ...], added: int) -> None:
    found = decided(1, waiting(*cpus), PoolScaling(pending_since=ago(31)))
    assert found.desired == {"web": 1 + added}
    assert found.spec.worker_pools[0].replicas == 1, "what holds now is what was written down before"
    assert (found.entries["web"].scaled_at is not None) == bool(added)


def test_not_before_its_time_and_never_above_the_bound() -> None:
    assert decided(1, waiting(6), PoolScaling()).entries["web"].pending_since is not None
    assert decided(1, waiting(6), PoolScaling(pending_since=ago(29))).desired == {"web": 1}
    assert decided(1, waiting(6, 6, 6), PoolScaling(pending_since=ago(31)), maxReplicas=2).desired == {"web": 2}
    full = decided(2, waiting(6), PoolScaling(pending_since=ago(500)), maxReplicas=2)
    assert full.desired == {"web": 2} and full.entries["web"].why.startswith("maxReplicas reached")


@pytest.mark.parametrize(
    ("tasks", "goes"),
    [
        ((), True),
        ((TaskNeed("a", "node-web-1-1", cpus=5),), True),
        ((TaskNeed("a", "node-web-1-1", cpus=5), TaskNeed("b", "node-web-0-1", cpus=6), TaskNeed("c", "node-m-0-1", cpus=6)), False),
        ((TaskNeed("a", "node-web-1-1"),), False),
        ((TaskNeed("a", "node-web-1-1", cpus=1, fixed=True),), False),
        ((TaskNeed("a", "node-web-1-1", cpus=1, everywhere=True),), True),
        ((TaskNeed("a", "node-web-1-1", cpus=1, placement={"Constraints": ["node.hostname == demo-web-1"]}),), False),
        (tuple(TaskNeed("a", f"node-{n}-1", cpus=1, placement={"MaxReplicas": 1}) for n in ("web-0", "web-1", "m-0")), False),
    ],
)
def test_a_worker_goes_that_is_of_no_use(tasks: tuple[TaskNeed, ...], goes: bool) -> None:
    idle = PoolScaling(idle_worker=worker(1).uid(UID), idle_since=ago(101), scaled_at=ago(500))
    found = decided(2, Workload(tasks), idle)
    assert found.desired == {"web": 1 if goes else 2}
    assert goes or found.entries["web"].idle_since is None, "the time begins anew"


@pytest.mark.parametrize(
    "entry",
    [
        PoolScaling(),
        PoolScaling(idle_worker=worker(1).uid(UID), idle_since=ago(99)),
        PoolScaling(idle_worker="another", idle_since=ago(500)),
        PoolScaling(idle_worker=worker(1).uid(UID), idle_since=ago(500), scaled_at=ago(99)),
    ],
)
def test_nobody_goes_before_the_time(entry: PoolScaling) -> None:
    assert decided(2, Workload(), entry).desired == {"web": 2}


def test_nobody_goes_below_the_bound_nor_while_something_is_not_known() -> None:
    idle = PoolScaling(idle_worker=worker(1).uid(UID), idle_since=ago(500))
    assert decided(2, Workload(), idle, minReplicas=2).desired == {"web": 2}
    blind = decided(2, None, idle)
    assert blind.desired == {"web": 2} and blind.entries["web"].idle_since is None
    assert decided(2, waiting(6), idle).desired == {"web": 2}, "something waits"


def test_the_number_that_holds() -> None:
    wanted = spec(workerPools=[{"name": "web", "replicas": 2, "autoscaling": BOUNDS}, {"name": "fixed", "replicas": 7}])

    def numbers(known: SwarmClusterStatus, there: int = 0) -> list[int]:
        return [p.replicas for p in holding(wanted, known, {"web": there}).worker_pools]

    assert numbers(SwarmClusterStatus()) == [2, 7], "a new cluster begins with replicas"
    assert numbers(SwarmClusterStatus(), 4) == [4, 7], "a status that was lost takes nobody away"
    assert numbers(SwarmClusterStatus(), 9) == [5, 7]
    assert numbers(SwarmClusterStatus(pools=[PoolStatus(name="web", desired=1, autoscaling=PoolScaling())]), 4) == [1, 7]
    assert numbers(SwarmClusterStatus(pools=[PoolStatus(name="web", desired=40, autoscaling=PoolScaling())])) == [5, 7]
    assert numbers(SwarmClusterStatus(pools=[PoolStatus(name="web", desired=3)])) == [2, 7], "before autoscaling was set it was the spec's"
