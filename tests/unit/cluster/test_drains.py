"""Whether a node may be drained by choice, and that services are looked at where that is asked."""

from __future__ import annotations

from typing import Any

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.drains import refusal
from swarm_operator.domain.cluster.floors import ServiceLoad
from swarm_operator.domain.cluster.observation import NOT_LOOKED_AT, ClusterObservation
from swarm_operator.domain.facts import Known, Unknown
from unit.cluster.builders import MANAGER, NOW, node, observation, record, server, spec, status, worker

ALL = [MANAGER, worker(0), worker(1)]
FIRST, SECOND = node(worker(0)), node(worker(1))


def seen(*nodes: Any, floor: int | None = 2, desired: int = 2, **changes: Any) -> ClusterObservation:
    """A service with one task on each of the two workers."""
    load = ServiceLoad("api", desired, {FIRST.id: 1, SECOND.id: 1}, floor)
    return observation(spec(), [*map(server, ALL)], [node(MANAGER), *(nodes or (FIRST, SECOND))], **{"services": Known((load,)), **changes})


def test_a_floor_holds_a_node_and_names_service_and_numbers() -> None:
    text = "w can't be drained yet: service api has 2 tasks running, 1 of them there, and must keep 2"
    assert refusal(seen(), FIRST, "w") == text
    assert refusal(seen(floor=1), FIRST, "w") == refusal(seen(floor=None), FIRST, "w") == ""


def test_tasks_that_are_about_to_stop_hold_up_no_floor() -> None:
    assert "has 1 tasks running" in refusal(seen(floor=1), FIRST, "w", begun={SECOND.id})
    assert "has 1 tasks running" in refusal(seen(FIRST, node(worker(1), availability="drain"), floor=1), FIRST, "w")
    assert "has 1 tasks running" in refusal(seen(FIRST, node(worker(1), "down"), floor=1), FIRST, "w")
    assert refusal(seen(floor=None), FIRST, "w", patient=True, begun={SECOND.id}) == "", "patience is about what runs now"
    assert "2 of 3 tasks" in refusal(seen(floor=None, desired=3), FIRST, "w", patient=True)


def test_a_node_that_drains_or_is_lost_is_not_held() -> None:
    for found in (node(worker(0), availability="drain"), node(worker(0), "down"), None):
        assert refusal(seen(services=Unknown(Reason.CLOUD_FAILING, "x")), found, "w") == ""


def test_services_are_asked_for_where_a_node_is_to_be_drained() -> None:
    wanted, known = spec(workerPools=[{"name": "web", "replicas": 1}]), status(*map(record, ALL))
    blind = decide(wanted, known, seen(services=NOT_LOOKED_AT), NOW)
    assert blind.wants_services and blind.steps == ()
    held = decide(wanted, known, seen(), NOW)
    assert not held.wants_services and not [x for x in held.steps if isinstance(x, s.DrainNode)]
    assert held.requeue_after == 10
    going = decide(wanted, known, seen(floor=1), NOW)
    assert [x.evidence.value.id for x in going.steps if isinstance(x, s.DrainNode)] == [SECOND.id]
    assert not decide(spec(), known, seen(services=NOT_LOOKED_AT), NOW).wants_services, "not where all are to stay"


def test_a_server_that_somebody_deletes_asks_nobody() -> None:
    going = server(worker(1), task_state="deleting")
    load = Known((ServiceLoad("api", 2, {SECOND.id: 2}, 2),))
    wanted = spec(workerPools=[{"name": "web", "replicas": 1}])
    plan = decide(wanted, status(*map(record, ALL)), observation(wanted, [server(MANAGER), server(worker(0)), going], [*map(node, ALL)], services=load), NOW)
    assert not any("can't be drained" in v.message for v in plan.verdicts)
