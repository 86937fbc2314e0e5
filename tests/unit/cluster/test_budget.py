"""The disruption budget: one number for all who take machines out, and managers one at a time within the majority."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.api.cluster_status import MachinePhase
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.budget import Actor, Budget, assess_budget
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.machines import Machine, tabulate
from swarm_operator.domain.facts import Unknown
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, MachineId
from swarm_operator.domain.swarm import Node
from unit.cluster.builders import MANAGER, NOW, ago, node, observation, record, server, spec, status, worker

POOL = [{"name": "web", "replicas": 3}]
WORKERS = [worker(n) for n in range(3)]


def at(machines: list[MachineId], nodes: list[Node], *, of: dict[str, Any] | None = None, **causes: Any) -> tuple[Budget, dict[str, Machine]]:
    """The budget over these servers and nodes, and the machines by `pool-slot-incarnation`."""
    wanted = spec(**{"workerPools": POOL, **(of or {})})
    seen = observation(wanted, [server(m) for m in machines], nodes)
    before = status(*(record(m) for m in machines))
    table = tabulate(before, seen, NOW)
    named = {f"{m.id.pool or 'm'}-{m.id.slot}-{m.id.incarnation}": m for m in table.machines}
    uids = {cause: [named[n].uid for n in names] if cause != "rollout_limit" else names for cause, names in causes.items()}
    return assess_budget(wanted, seen, table, **uids), named


def test_nobody_is_out_of_a_healthy_cluster() -> None:
    budget, machines = at([MANAGER, *WORKERS], [node(MANAGER), *map(node, WORKERS)])
    assert budget.out == () and [budget.free(a) for a in Actor] == [1, 1, 1, 1]
    for actor in Actor:
        assert budget.refusal(machines["web-0-1"], actor, "demo-web-0") == ""


def test_a_replacement_that_has_not_joined_holds_up_all_others() -> None:
    second = worker(1, 2)
    machines = [MANAGER, worker(0), second, worker(2)]
    budget, found = at(machines, [node(MANAGER), node(worker(0)), node(worker(2))])
    assert [o.by for o in budget.out] == [Actor.REMEDIATION]
    for actor in Actor:
        assert budget.free(actor) == 0
        assert "demo-web-1-2 is out by remediation: 1 of at most 1" in budget.refusal(found["web-0-1"], actor, "demo-web-0")
    wider, found = at(machines, [node(MANAGER), node(worker(0)), node(worker(2))], of={"remediation": {"maxConcurrent": 2}}, rollout_limit=2)
    assert [wider.free(a) for a in Actor] == [1, 1, 1, 1]
    taken = wider.take(found["web-0-1"], Actor.ROLLOUT, "demo-web-0")
    assert [taken.free(a) for a in Actor] == [0, 0, 0, 0]
    assert taken.refusal(found["web-0-1"], Actor.ROLLOUT, "demo-web-0") == "", "it is out already"


def test_failed_machines_count_against_those_who_take_out_healthy_ones() -> None:
    budget, found = at([MANAGER, *WORKERS], [node(MANAGER), node(worker(0)), node(worker(1)), node(worker(2), "down")], failed=["web-2-1"])
    assert budget.free(Actor.REMEDIATION) == 1 and budget.free(Actor.ROLLOUT) == budget.free(Actor.USER) == 0
    assert budget.refusal(found["web-2-1"], Actor.REMEDIATION, "demo-web-2") == ""
    assert budget.refusal(found["web-0-1"], Actor.ROLLOUT, "demo-web-0") != ""


def test_a_scale_down_holds_up_a_rollout_and_no_repair_and_goes_in_one() -> None:
    budget, found = at([MANAGER, *WORKERS], [node(MANAGER), *map(node, WORKERS)], leaving=["web-1-1", "web-2-1"])
    assert {o.by for o in budget.out} == {Actor.SCALE_DOWN}
    assert budget.free(Actor.REMEDIATION) == 1 and budget.free(Actor.SCALE_DOWN) == 1 and budget.free(Actor.ROLLOUT) == 0
    assert budget.refusal(found["web-2-1"], Actor.SCALE_DOWN, "demo-web-2") == ""
    rolled, found = at([MANAGER, *WORKERS], [node(MANAGER), *map(node, WORKERS)])
    rolled = rolled.take(found["web-0-1"], Actor.ROLLOUT, "demo-web-0")
    assert "out by rollout" in rolled.refusal(found["web-1-1"], Actor.SCALE_DOWN, "demo-web-1")


def test_whose_it_is() -> None:
    nodes = [node(MANAGER), node(worker(0)), node(worker(1), labels={NODE_LABEL_DRAINED: ago(5)}, availability="drain")]
    machines = [MANAGER, worker(0), worker(1), worker(2, 2)]
    budget, _ = at(machines, nodes, leaving=["web-1-1"], by_user=["web-2-2"])
    assert {o.name: o.by for o in budget.out} == {"demo-web-1": Actor.SCALE_DOWN, "demo-web-2-2": Actor.USER}
    budget, _ = at(machines, nodes, rolling=["web-2-2"])
    assert [o.by for o in budget.out] == [Actor.ROLLOUT]


THREE = [MachineId("Manager", "", slot, 1) for slot in range(3)]


def managers(*unreachable: int) -> list[Node]:
    rows = [replace(node(m), leader=m.slot == 0) for m in THREE]
    return [replace(n, state="down", reachability="unreachable") if n.leader is False and slot in unreachable else n for slot, n in enumerate(rows)]


@pytest.mark.parametrize("actor", list(Actor))
def test_managers_one_at_a_time_and_within_the_majority(actor: Actor) -> None:
    of = {"managers": {"replicas": 3}, "workerPools": [], "remediation": {"maxConcurrent": 5}}
    budget, found = at(THREE, managers(), of=of, rollout_limit=5)
    assert budget.refusal(found["m-1-1"], actor, "demo-manager-1") == ""
    taken = budget.take(found["m-1-1"], actor, "demo-manager-1")
    for other in Actor:
        assert "of managers never more than one" in taken.refusal(found["m-2-1"], other, "demo-manager-2")
    budget, found = at(THREE, managers(2), of=of, failed=["m-2-1"], rollout_limit=5)
    assert "no majority" in budget.refusal(found["m-1-1"], actor, "demo-manager-1"), "one of three is down"
    assert budget.refusal(found["m-1-1"], actor, "demo-manager-1", replaced=True) == "", "its successor comes first"
    assert budget.refusal(found["m-2-1"], actor, "demo-manager-2") == "", "the dead one does not hold the majority up"


@pytest.mark.parametrize("actor", list(Actor))
def test_the_only_manager_is_never_taken_out(actor: Actor) -> None:
    budget, found = at([MANAGER, *WORKERS], [node(MANAGER), *map(node, WORKERS)])
    for replaced in (False, True):
        assert "one of 1 managers" in budget.refusal(found["m-0-1"], actor, "demo-manager-0", replaced=replaced)


def test_nothing_is_taken_out_blindly() -> None:
    wanted = spec(workerPools=POOL)
    machines = [MANAGER, *WORKERS]
    for seen in (
        observation(wanted, [server(m) for m in machines]),
        observation(wanted, [server(m) for m in machines], [node(MANAGER, "down", reachability="unreachable"), *map(node, WORKERS)]),
    ):
        table = tabulate(status(*map(record, machines)), seen, NOW)
        budget = assess_budget(wanted, seen, table)
        assert all(budget.free(a) == 0 and "not known" in budget.refusal(table.machines[-1], a, "x") for a in Actor)
        assert isinstance(seen.swarm, Unknown) or budget.nodes is None


def test_a_scale_down_waits_for_a_replacement_under_way() -> None:
    """Pool from three to two while slot 0 is being replaced: slot 2 is drained only when the new holder of slot 0 has joined."""
    wanted = spec(workerPools=[{"name": "web", "replicas": 2}])
    second = worker(0, 2)
    machines = [MANAGER, second, worker(1), worker(2)]
    before = status(record(MANAGER), record(second, MachinePhase.JOINING, node_id=None), record(worker(1)), record(worker(2)))
    waiting = decide(wanted, before, observation(wanted, [server(m) for m in machines], [node(MANAGER), node(worker(1)), node(worker(2))]), NOW)
    assert not [x for x in waiting.steps if isinstance(x, s.DrainNode)]
    assert waiting.requeue_after is not None and waiting.requeue_after < 10
    going = decide(wanted, before, observation(wanted, [server(m) for m in machines], [node(m) for m in machines]), NOW)
    assert [x.evidence.value.hostname for x in going.steps if isinstance(x, s.DrainNode)] == ["demo-web-2"]
