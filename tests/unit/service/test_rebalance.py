"""Tasks spread anew after nodes have changed: once, where it is asked for, and only from what is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import SERVICE_LABEL_REBALANCED
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.rebalance import predict, spread
from swarm_operator.domain.swarm import Node
from swarm_operator.engine.outcome import Done
from swarm_operator.ports.swarm import SwarmEvent
from unit.service.fakes import FakeSwarm, Json
from unit.service.test_controller import CLUSTER, SPEC, WEB, World

PLACED: Json = {**SPEC, "replicas": 6, "rebalance": {"settleSeconds": 30}}


class Spreading(FakeSwarm):
    """Keeps a task where it is while its node is there, and gives a new one to the node with the fewest, as the engine does. `full` nodes take none."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = [Node(f"n{i}", f"node-{i}", "worker", "active", "ready", 1) for i in (1, 2, 3)]
        self.full: set[str] = set()

    def orchestrate(self, service_id: str) -> None:
        spec = self.services[service_id]["Spec"]
        stay = {node.id for node in self.nodes if node.state == "ready" and node.availability != "drain"}
        free = [node.id for node in self.nodes if node.id in stay and node.availability == "active" and node.id not in self.full]
        slots = range(1, spec["Mode"]["Replicated"]["Replicas"] + 1)
        tasks = {t["Slot"]: t for t in self.tasks.get(service_id, ()) if t["Slot"] in slots}
        for slot in slots:
            if slot not in tasks or tasks[slot]["Spec"] != spec["TaskTemplate"] or tasks[slot]["NodeID"] not in stay:
                tasks.pop(slot, None)
                counts = Counter(t["NodeID"] for t in tasks.values())
                tasks[slot] = {**self.task(spec["TaskTemplate"], slot), "NodeID": min(free, key=lambda node: (counts[node], node))}
        self.tasks[service_id] = list(tasks.values())


class Swarm(World):
    def __init__(self) -> None:
        super().__init__()
        self.swarm: Spreading = Spreading()
        self.restart()

    def node(self, name: str, **change: Any) -> None:
        self.swarm.nodes = [replace(node, **change) if node.id == name else node for node in self.swarm.nodes]
        self.swarm.orchestrate(self.live["ID"])

    def bounce(self, name: str, away: int = 2) -> None:
        """Drained, seen so for `away` rounds of three seconds, and active again."""
        self.node(name, availability="drain")
        for _ in range(away):
            self.once()
        self.node(name, availability="active")

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.once()

    @property
    def loads(self) -> list[int]:
        counts = Counter(t["NodeID"] for t in self.swarm.tasks[self.live["ID"]])
        return [counts[node.id] for node in self.swarm.nodes]

    @property
    def updates(self) -> int:
        return sum(1 for call in self.swarm.calls if call.startswith("update_service"))

    @property
    def force(self) -> int:
        return int(self.live["Spec"]["TaskTemplate"].get("ForceUpdate", 0))


def swarm_with(spec: Json) -> Swarm:
    world = Swarm()
    world.objects.put(WEB, spec)
    world.rounds(16)  # past the judgement of the first set
    assert world.loads == [2, 2, 2]
    assert world.condition("Ready") == ("True", "Reconciled")
    world.swarm.calls.clear()
    world.objects.events.clear()
    world.objects.applied.clear()
    return world


@pytest.fixture
def swarm() -> Swarm:
    return swarm_with(PLACED)


def test_a_node_that_returns_gets_its_tasks_back_once_it_has_stayed(swarm: Swarm) -> None:
    swarm.bounce("n3", away=15)
    assert (swarm.loads, swarm.updates) == ([3, 3, 0], 0)
    swarm.rounds(10)
    assert (swarm.updates, swarm.force) == (0, 0)
    swarm.rounds(2)
    assert (swarm.updates, swarm.force, swarm.loads) == (1, 1, [2, 2, 2])
    assert swarm.condition("Ready")[0] == "False"
    swarm.rounds(20)
    assert (swarm.updates, swarm.force) == (1, 1)
    assert swarm.condition("Ready") == ("True", "Reconciled")
    assert [e[0] for e in swarm.objects.events] == ["Rebalanced"]
    rebalance = swarm.status["rebalance"]
    assert rebalance["judgedAt"] == rebalance["rebalancedAt"] and rebalance["skew"] == 0
    assert swarm.live["Spec"]["Labels"][SERVICE_LABEL_REBALANCED].split(" ")[0] == rebalance["nodes"]
    assert swarm.status.get("drift", []) == [] and swarm.status["corrections"] == 0


def test_a_node_that_joins_is_used(swarm: Swarm) -> None:
    swarm.swarm.nodes.append(Node("n4", "node-4", "worker", "active", "ready", 1))
    swarm.rounds(12)
    assert (swarm.updates, swarm.loads) == (1, [2, 2, 1, 1])


def test_a_node_that_was_away_for_less_than_the_time_to_settle_has_changed_as_well(swarm: Swarm) -> None:
    before = swarm.status["rebalance"]["nodes"]
    swarm.bounce("n3", away=2)
    swarm.rounds(12)
    assert (swarm.updates, swarm.loads) == (1, [2, 2, 2])
    assert swarm.status["rebalance"]["nodes"] == before


def test_a_node_that_flaps_is_waited_for(swarm: Swarm) -> None:
    for _ in range(8):
        swarm.bounce("n3", away=2)
        swarm.rounds(2)
    assert swarm.updates == 0
    swarm.rounds(12)
    assert swarm.updates == 1


def test_without_the_field_nothing_is_moved_and_nothing_is_told() -> None:
    world = swarm_with({k: v for k, v in PLACED.items() if k != "rebalance"})
    world.bounce("n3")
    world.rounds(30)
    assert (world.updates, world.loads) == (0, [3, 3, 0])
    assert "rebalance" not in world.status


def test_taking_the_field_away_clears_the_status(swarm: Swarm) -> None:
    swarm.objects.put(WEB, {k: v for k, v in PLACED.items() if k != "rebalance"})
    swarm.rounds(2)
    assert "rebalance" not in swarm.status
    assert swarm.updates == 0


def test_a_skew_below_the_least_is_left() -> None:
    world = swarm_with({**PLACED, "rebalance": {"settleSeconds": 1, "minSkew": 4}})
    world.bounce("n3")
    world.rounds(20)
    assert (world.updates, world.loads) == (0, [3, 3, 0])
    assert world.status["rebalance"]["skew"] == 3


def test_the_fixed_point_writes_nothing_and_reads_no_tasks(swarm: Swarm) -> None:
    assert swarm.once() == Done()
    swarm.rounds(5)
    assert (swarm.swarm.writes(), swarm.objects.applied) == ([], [])
    assert "list_tasks" not in swarm.swarm.calls


def test_tasks_that_can_not_be_evened_are_replaced_once_per_change(swarm: Swarm) -> None:
    swarm.swarm.full = {"n3"}
    swarm.bounce("n3")
    swarm.rounds(40)
    assert (swarm.updates, swarm.loads) == (1, [3, 3, 0])
    assert swarm.status["rebalance"]["skew"] == 3
    swarm.restart()
    swarm.rounds(40)
    assert swarm.updates == 1
    swarm.bounce("n3")
    swarm.rounds(40)
    assert swarm.updates == 2


def test_a_crash_between_the_update_and_the_status_does_not_repeat_it(swarm: Swarm) -> None:
    swarm.swarm.full = {"n3"}
    swarm.bounce("n3")
    swarm.rounds(9)
    while swarm.updates == 0:
        swarm.swarm.before_update = lambda: setattr(swarm.objects, "fail_status", ExternalError(ErrorKind.UNREACHABLE, "kubernetes", "gone away"))
        swarm.once()
    assert "judgedAt" not in swarm.status["rebalance"]
    swarm.restart()
    swarm.rounds(40)
    assert (swarm.updates, swarm.force, swarm.loads) == (1, 1, [3, 3, 0])
    assert "rebalancedAt" in swarm.status["rebalance"]


def test_an_answer_that_is_lost_does_not_repeat_it(swarm: Swarm) -> None:
    swarm.swarm.full = {"n3"}
    swarm.bounce("n3")
    swarm.swarm.lost = {"update_service"}
    swarm.rounds(40)
    assert (swarm.updates, swarm.force) == (1, 1)


def test_a_lost_status_does_not_repeat_it(swarm: Swarm) -> None:
    swarm.swarm.full = {"n3"}
    swarm.bounce("n3")
    swarm.rounds(20)
    swarm.objects.resources[WEB] = replace(swarm.objects.resources[WEB], status={})
    swarm.restart()
    swarm.rounds(40)
    assert (swarm.updates, swarm.loads) == (1, [3, 3, 0])


def test_a_restart_while_it_settles_does_not_forget_it(swarm: Swarm) -> None:
    swarm.bounce("n3")
    swarm.rounds(6)
    swarm.restart()
    swarm.rounds(6)
    assert (swarm.updates, swarm.loads) == (1, [2, 2, 2])


def test_it_waits_while_paused_and_is_made_up_for(swarm: Swarm) -> None:
    swarm.objects.put(WEB, {**PLACED, "paused": True})
    swarm.bounce("n3")
    swarm.rounds(20)
    swarm.swarm.calls.clear()
    swarm.rounds(3)
    assert swarm.updates == 0 and "list_tasks" not in swarm.swarm.calls
    swarm.objects.put(WEB, PLACED)
    swarm.rounds(4)
    assert (swarm.updates, swarm.loads) == (1, [2, 2, 2])


def test_a_service_that_is_held_at_a_revision_is_left(swarm: Swarm) -> None:
    swarm.objects.put(WEB, {**PLACED, "rollbackTo": {"revision": 1}})
    swarm.rounds(4)
    assert swarm.condition("Pinned")[0] == "True"
    swarm.bounce("n3")
    swarm.rounds(20)
    assert (swarm.updates, swarm.loads) == (0, [3, 3, 0])


@pytest.mark.parametrize("state", ["updating", "paused", "rollback_paused", "rollback_started", "rollback_completed"])
def test_no_update_is_written_over_one_that_is_not_done(swarm: Swarm, state: str) -> None:
    swarm.bounce("n3")
    swarm.live["UpdateStatus"] = {"State": state, "Message": "update in progress"}
    swarm.rounds(20)
    assert swarm.updates == 0
    swarm.live["UpdateStatus"] = {"State": "completed", "Message": ""}
    swarm.rounds(6)
    assert swarm.updates == 1


@pytest.mark.parametrize("state", ["unknown", "disconnected"])
def test_nothing_is_decided_while_a_node_is_not_known(swarm: Swarm, state: str) -> None:
    swarm.bounce("n3")
    swarm.swarm.nodes = [replace(node, state=state) if node.id == "n1" else node for node in swarm.swarm.nodes]
    swarm.rounds(20)
    assert swarm.updates == 0
    swarm.swarm.nodes = [replace(node, state="ready") for node in swarm.swarm.nodes]
    swarm.rounds(12)
    assert swarm.updates == 1


def test_nothing_is_decided_while_a_node_that_runs_nothing_is_not_known(swarm: Swarm) -> None:
    """After a change of the leader no state is known until the nodes report: what looks like a smaller set is none."""
    swarm.bounce("n3")
    swarm.once()
    swarm.swarm.nodes.append(Node("n4", "node-4", "worker", "active", "unknown", 1))
    swarm.rounds(20)
    assert swarm.updates == 0
    swarm.swarm.nodes.pop()
    swarm.rounds(2)
    assert swarm.updates == 1


def test_tasks_on_a_paused_node_stay_there(swarm: Swarm) -> None:
    swarm.bounce("n3")
    swarm.node("n1", availability="pause")
    swarm.rounds(20)
    assert (swarm.updates, swarm.loads) == (0, [3, 3, 0])
    assert "judgedAt" not in swarm.status["rebalance"]
    swarm.node("n1", availability="active")
    swarm.rounds(12)
    assert (swarm.updates, swarm.loads) == (1, [2, 2, 2])


def test_nothing_is_decided_while_tasks_do_not_run(swarm: Swarm) -> None:
    swarm.bounce("n3")
    (tasks,) = swarm.swarm.tasks.values()
    tasks[0]["Status"]["State"] = "starting"
    swarm.rounds(20)
    assert swarm.updates == 0
    tasks[0]["Status"]["State"] = "running"
    swarm.rounds(4)
    assert swarm.updates == 1


def test_a_change_of_nodes_that_the_placement_excludes_is_none() -> None:
    world = swarm_with({**PLACED, "placement": {"constraints": ["node.role==worker"]}})
    before = world.status["rebalance"]
    world.swarm.nodes.append(Node("m1", "manager-1", "manager", "active", "ready", 1))
    world.rounds(20)
    assert (world.status["rebalance"], world.updates) == (before, 0)


def test_a_later_edit_keeps_the_label(swarm: Swarm) -> None:
    swarm.bounce("n3")
    swarm.rounds(20)
    label = swarm.live["Spec"]["Labels"][SERVICE_LABEL_REBALANCED]
    swarm.objects.put(WEB, {**PLACED, "labels": {"tier": "back"}})
    swarm.rounds(20)
    assert swarm.live["Spec"]["Labels"][SERVICE_LABEL_REBALANCED] == label
    assert (swarm.updates, swarm.force) == (2, 1)


def test_events_of_nodes_wake_those_that_asked(swarm: Swarm) -> None:
    session = swarm.sessions.get(CLUSTER)
    assert session is not None
    swarm.once()
    swarm.woken.clear()
    session.handle(SwarmEvent("node", "update", "n1", {}))
    session.flush()
    assert WEB in swarm.woken
    swarm.objects.put(WEB, {k: v for k, v in PLACED.items() if k != "rebalance"})
    swarm.once()
    swarm.woken.clear()
    session.handle(SwarmEvent("node", "update", "n1", {}))
    session.flush()
    assert WEB not in swarm.woken


# -- the skew


def skew(loads: dict[str, int], *, zones: dict[str, str] | None = None, most: int = 0, key: str = "node.labels.zone") -> int | None:
    zones = zones or {}
    nodes = [Node(name, name, "worker", "active", "ready", 1, labels={"zone": zones[name]} if name in zones else {}) for name in loads]
    preferences = [{"Spread": {"SpreadDescriptor": key}}] if zones else []
    own = LiveService("s", 1, {"Name": "web", "TaskTemplate": {"Placement": {"MaxReplicas": most, "Preferences": preferences}}})
    return spread(own, nodes, [{"ID": f"{name}-{i}", "NodeID": name} for name, count in loads.items() for i in range(count)])


def test_the_skew_of_nodes() -> None:
    assert skew({"a": 3, "b": 3, "c": 0}) == 3
    assert skew({"a": 1, "b": 0}) == 1
    assert skew({"a": 0}) == 0
    assert skew({}) == 0


def test_with_a_preference_branches_are_compared() -> None:
    one_and_three = {"a": "x", "b": "y", "c": "y", "d": "y"}
    assert skew({"a": 3, "b": 1, "c": 1, "d": 1}, zones=one_and_three) == 0  # uneven by node, and just as asked for
    assert skew({"a": 1, "b": 1, "c": 1, "d": 1}, zones=one_and_three) == 2
    assert skew({"a": 3, "b": 3, "c": 0, "d": 0}, zones=one_and_three) == 3
    assert skew({"a": 3, "b": 0}, zones={"a": "x"}) == 3  # a node without the label is a branch
    assert skew({"a": 3, "b": 0}, zones={"a": "x"}, key="engine.labels.zone") is None  # labels of the engine are not known
    assert skew({"a": 2, "b": 0}, zones={"a": "x"}, key="nonsense") == 2  # as the engine: ignored


def test_a_branch_that_is_full_can_not_take_more() -> None:
    zones = {"a": "x", "b": "y", "c": "y", "d": "y"}
    assert skew({"a": 2, "b": 2, "c": 1, "d": 1}, zones=zones, most=2) == 1
    assert skew({"a": 1, "b": 2, "c": 1, "d": 1}, zones=zones, most=2) == 3
    assert skew({"a": 2, "b": 0}, most=2) == 2


def test_a_task_on_a_node_that_is_not_eligible_leaves_it_undecided() -> None:
    own = LiveService("s", 1, {"Name": "web", "TaskTemplate": {}})
    nodes = [Node("a", "a", "worker", "active", "ready", 1)]
    assert spread(own, nodes, [{"ID": "1", "NodeID": "b"}]) is None
    assert spread(own, nodes, [{"ID": "1"}]) is None


# -- what comes of it


def left(loads: list[int], *, order: str = "stop-first", parallelism: int = 1, most: int = 0, zones: str = "") -> int:
    nodes = [Node(f"n{i}", "h", "worker", "active", "ready", 1, labels={"zone": zones[i]} if zones else {}) for i in range(len(loads))]
    placed = {"MaxReplicas": most, "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}] if zones else []}
    spec = {"Name": "web", "TaskTemplate": {"Placement": placed}, "UpdateConfig": {"Order": order, "Parallelism": parallelism}}
    places = [f"n{i}" for i, count in enumerate(loads) for _ in range(count)]
    return predict(LiveService("s", 1, spec), nodes, [{"ID": str(i), "Slot": i, "NodeID": place} for i, place in enumerate(places)])


@pytest.mark.parametrize("loads", [[4, 0], [3, 3, 0], [9, 1, 0, 0], [2, 0], [5, 5, 5, 0, 0]])
@pytest.mark.parametrize("parallelism", [0, 1, 2])
def test_stop_first_comes_out_even(loads: list[int], parallelism: int) -> None:
    assert left(loads, parallelism=parallelism) <= 1


def test_start_first_may_go_too_far() -> None:
    assert left([4, 0], order="start-first") == 2  # as on the real engine
    assert left([4, 0], order="start-first", parallelism=0) == 4
    assert left([2, 0], order="start-first") == 2
    assert left([8, 8, 0], order="start-first") < 8


def test_a_very_large_service_is_not_gone_through_task_by_task() -> None:
    assert left([1000, *[0] * 300]) == 1
    assert left([1000, *[0] * 300], order="start-first", parallelism=10) == 11


def test_placement_is_kept_in_what_comes_of_it() -> None:
    assert left([1, 1, 1, 1], zones="xyyy") <= 1
    assert left([2, 2], order="start-first", most=2) == 4  # no room for a first new task
    assert left([3, 0], most=3) <= 1


def test_what_would_not_help_is_left_and_told() -> None:
    world = swarm_with({**PLACED, "replicas": 6, "updateConfig": {"order": "start-first", "parallelism": 0}})
    world.bounce("n3")
    world.rounds(20)
    assert (world.updates, world.loads) == (0, [3, 3, 0])
    assert "left as it is" in world.status["rebalance"]["message"]
    assert "rebalancedAt" not in world.status["rebalance"]
