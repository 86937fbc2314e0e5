"""The decision when a cluster changes: scaled, hurt, deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm_operator.api.cluster_status import MachinePhase, MachineRemediation, MachineStatus, Rung
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import OwnedNetworking, Port
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.faults import fault_reason, rebuild_delay
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, SWARM_STARTED, MachineId
from swarm_operator.domain.quorum import is_quorate, majority, survives, tolerance
from unit.cluster.builders import MANAGER, NOW, UID, ago, node, observation, record, server, spec, status, worker
from unit.cluster.test_decide_creation import kinds, ready_of

ALL = [MANAGER, worker(0), worker(1)]


def removed(plan: object) -> list[str]:
    return [x.evidence.value.id for x in plan.steps if isinstance(x, s.DeleteServer)]  # type: ignore[attr-defined]


def test_scale_down_drains_the_highest_slot() -> None:
    wanted = spec(workerPools=[{"name": "web", "replicas": 1}])
    plan = decide(wanted, status(*map(record, ALL)), observation(wanted, [*map(server, ALL)], [*map(node, ALL)]), NOW)
    (step,) = plan.steps
    assert isinstance(step, s.DrainNode) and step.evidence.value.id == node(worker(1)).id
    assert ready_of(plan) == ("False", Reason.NODES_DRAINING)


def test_scale_down_takes_the_unhealthy_first_and_does_not_drain_it() -> None:
    wanted = spec(workerPools=[{"name": "web", "replicas": 1}])
    nodes = [node(MANAGER), node(worker(0), "down"), node(worker(1))]
    plan = decide(wanted, status(*map(record, ALL)), observation(wanted, [*map(server, ALL)], nodes), NOW)
    assert removed(plan) == [server(worker(0)).id] and "DrainNode" not in kinds(plan)


@pytest.mark.parametrize(
    ("tasks", "drained_for", "gone"),
    [
        (Known({}), 1, True),
        (Known({node(worker(1)).id: 1}), 1, False),
        (Known({node(worker(1)).id: 1}), 121, True),
        (Unknown(Reason.MANAGER_UNREACHABLE, "x"), 1, False),
    ],
)
def test_drained_node_goes_when_empty_or_late(tasks: object, drained_for: float, gone: bool) -> None:
    wanted = spec(workerPools=[{"name": "web", "replicas": 1}])
    drained = node(worker(1), availability="drain", labels={NODE_LABEL_DRAINED: ago(drained_for)})
    seen = observation(wanted, [*map(server, ALL)], [node(MANAGER), node(worker(0)), drained], tasks=tasks)
    plan = decide(wanted, status(*map(record, ALL)), seen, NOW)
    assert kinds(plan) == (["RemoveNode", "DeleteServer"] if gone else [])


def test_drain_is_taken_back_only_where_it_is_ours() -> None:
    wanted = spec()
    ours = node(worker(0), availability="drain", labels={NODE_LABEL_DRAINED: ago(5)})
    theirs = node(worker(1), availability="drain")
    plan = decide(wanted, status(*map(record, ALL)), observation(wanted, [*map(server, ALL)], [node(MANAGER), ours, theirs], tasks=Known({})), NOW)
    (step,) = plan.steps
    assert isinstance(step, s.SetNode) and step.evidence.value.id == ours.id and step.availability == "active" and step.labels == {}


def down(since: float, quorate_for: float = 1000) -> tuple[object, object]:
    wanted = spec()
    nodes = [node(MANAGER), node(worker(0)), node(worker(1), "down")]
    before = status(record(MANAGER), record(worker(0)), record(worker(1), MachinePhase.DOWN, since=since), quorate_for=quorate_for)
    return decide(wanted, before, observation(wanted, [*map(server, ALL)], nodes), NOW), before


def repaired(plan: object) -> list[tuple[str, str]]:
    return [(x.evidence.value.id, x.rung.value) for x in plan.steps if isinstance(x, s.Repair)]  # type: ignore[attr-defined]


def test_a_down_worker_is_repaired_after_its_grace() -> None:
    early, _ = down(50)
    assert early.steps == () and early.requeue_after == 10  # type: ignore[attr-defined]
    assert repaired(down(61)[0]) == [(server(worker(1)).id, "HardReboot")], "its guest is silent"
    assert down(500, quorate_for=30)[0].steps == (), "the clock runs from when the swarm could be seen"  # type: ignore[attr-defined]


def rebooted(machine: MachineId, ago_seconds: float, since: float = 500) -> MachineStatus:
    """A record of a machine that is down and was rebooted `ago_seconds` ago."""
    last = MachineRemediation(rung=Rung.HARD_REBOOT, attempts=1, since=ago(ago_seconds))
    return record(machine, MachinePhase.DOWN, since=since, remediation=last)


def test_only_one_is_replaced_at_a_time() -> None:
    wanted = spec(workerPools=[{"name": "web", "replicas": 4}])
    machines = [MANAGER, *(worker(n) for n in range(4))]
    bad = {1, 2}
    nodes = [node(MANAGER), *(node(worker(n), "down" if n in bad else "ready") for n in range(4))]
    before = status(record(MANAGER), *(record(worker(n), MachinePhase.DOWN if n in bad else MachinePhase.READY, since=500) for n in range(4)))
    plan = decide(wanted, before, observation(wanted, [*map(server, machines)], nodes), NOW)
    assert repaired(plan) == [(server(worker(1)).id, "HardReboot")]
    before = status(record(MANAGER), record(worker(0)), rebooted(worker(1), 30), record(worker(2), MachinePhase.DOWN, since=500), record(worker(3)))
    plan = decide(wanted, before, observation(wanted, [*map(server, machines)], nodes), NOW)
    assert plan.steps == () and plan.requeue_after is not None, "the reboot of the first has its time, and the second waits"
    two = wanted.model_copy(update={"remediation": wanted.remediation.model_copy(update={"max_concurrent": 2})})
    assert repaired(decide(two, before, observation(wanted, [*map(server, machines)], nodes), NOW)) == [(server(worker(2)).id, "HardReboot")]
    before = status(record(MANAGER), record(worker(0)), rebooted(worker(1), 61), record(worker(2), MachinePhase.DOWN, since=500), record(worker(3)))
    plan = decide(wanted, before, observation(wanted, [*map(server, machines)], nodes), NOW)
    assert removed(plan) == [server(worker(1)).id] and repaired(plan) == []
    # While the second incarnation of slot 1 boots, slot 2 waits.
    machines[2] = worker(1, 2)
    nodes = [node(MANAGER), node(worker(0)), node(worker(2), "down"), node(worker(3))]
    before = status(*(record(m, MachinePhase.DOWN if m.slot == 2 else MachinePhase.BOOTING, since=500) for m in machines))
    plan = decide(wanted, before, observation(wanted, [*map(server, machines)], nodes), NOW)
    assert removed(plan) == []
    allowed = next(v for v in plan.verdicts if v.type == "RemediationAllowed")
    assert allowed.status == "True" and allowed.message == "demo-web-1-2 is being replaced: 1 of at most 1"


def test_policy_none_replaces_no_member() -> None:
    wanted = spec(remediation={"policy": "None"})
    nodes = [node(MANAGER), node(worker(0)), node(worker(1), "down")]
    before = status(record(MANAGER), record(worker(0)), record(worker(1), MachinePhase.DOWN, since=500))
    plan = decide(wanted, before, observation(wanted, [*map(server, ALL)], nodes), NOW)
    assert plan.steps == () and ready_of(plan) == ("False", Reason.NODES_DOWN)


def test_nova_and_swarm_must_agree_that_a_machine_is_gone() -> None:
    wanted = spec()
    seen = observation(wanted, [server(MANAGER), server(worker(0))], [*map(node, ALL)])
    plan = decide(wanted, status(*map(record, ALL)), seen, NOW)
    assert plan.steps == (), "its node is ready: nothing is made, nothing removed"
    gone = observation(wanted, [server(MANAGER), server(worker(0))], [node(MANAGER), node(worker(0)), node(worker(1), "down")])
    plan = decide(wanted, status(*map(record, ALL)), gone, NOW)
    assert [x.machine for x in plan.steps if isinstance(x, s.CreateServer)] == [worker(1, 2)]
    assert "RemoveNode" in kinds(plan)


def test_next_incarnation_avoids_rows_of_the_swarm_when_status_is_lost() -> None:
    wanted = spec()
    seen = observation(wanted, [server(MANAGER), server(worker(0))], [node(MANAGER), node(worker(0)), node(worker(1), "down")])
    plan = decide(wanted, status(record(MANAGER), record(worker(0))), seen, NOW)
    assert [x.machine for x in plan.steps if isinstance(x, s.CreateServer)] == [worker(1, 2)]


def test_a_manager_that_holds_a_swarm_is_never_deleted() -> None:
    wanted = spec(workerPools=[])
    failed = server(MANAGER, "ERROR", metadata={SWARM_STARTED: "started"})
    for before in (status(record(MANAGER)), status(record(MANAGER), swarm_id=None), status(swarm_id=None)):
        assert removed(decide(wanted, before, observation(wanted, [failed]), NOW)) == []
    second = MANAGER.__class__("Manager", "", 0, 2)
    both = observation(wanted, [failed, server(second)])
    assert removed(decide(wanted, status(record(MANAGER), record(second)), both, NOW)) == []
    fresh = replace(failed, metadata={k: v for k, v in failed.metadata.items() if k != SWARM_STARTED})
    before = status(record(MANAGER, MachinePhase.FAILED, node_id=None), swarm_id=None)
    assert removed(decide(wanted, before, observation(wanted, [fresh]), NOW)) == [failed.id]


def test_the_younger_of_two_servers_of_one_machine_goes() -> None:
    wanted = spec(workerPools=[])
    twin = replace(server(MANAGER, age=10), id="twin")
    assert removed(decide(wanted, status(record(MANAGER)), observation(wanted, [twin, server(MANAGER)], [node(MANAGER)]), NOW)) == ["twin"]


def test_deletion_goes_stage_by_stage() -> None:
    wanted = spec()
    seen = observation(wanted, [*map(server, ALL)], deleting=True)
    plan = decide(wanted, status(*map(record, ALL)), seen, NOW)
    assert kinds(plan) == ["DeleteServer"] * 3
    empty = replace(seen, servers=Known(()), ports=Known(()))
    plan = decide(wanted, status(), empty, NOW)
    assert kinds(plan) == [
        *["DeleteInfrastructure"] * 4,
        "RemoveRouterInterface",
        *["DeleteInfrastructure"] * 5,
        "DeleteKeyPair",
        *["DeleteInfrastructure"] * 2,
    ]
    assert [x.kind for x in plan.steps if isinstance(x, s.DeleteInfrastructure)] == [
        "floating-ip",
        *["port"] * 3,
        "router",
        "subnet",
        "network",
        *["security-group"] * 2,
        *["server-group"] * 2,
    ]
    done = replace(empty, networking=Known(OwnedNetworking()), keypair=Known(None), server_groups=Known(()))
    assert kinds(decide(wanted, status(), done, NOW)) == ["ReleaseCredentials", "RemoveFinalizer"]


def test_deletion_waits_for_what_it_does_not_know() -> None:
    wanted = spec()
    seen = observation(wanted, [], deleting=True, networking=Known(OwnedNetworking()), keypair=Known(None))
    for blind in (
        {"servers": Unknown(Reason.CLOUD_UNREACHABLE, "x"), "servers_fresh": False},
        {"networking": Unknown(Reason.CLOUD_UNREACHABLE, "x")},
        {"keypair": Unknown(Reason.CLOUD_UNREACHABLE, "x")},
        {"images": Unknown(Reason.CLOUD_UNREACHABLE, "x")},
        {"credentials": Unknown(Reason.AUTHENTICATION_FAILED, "x")},
    ):
        plan = decide(wanted, status(), replace(seen, **blind), NOW)  # type: ignore[arg-type]
        assert plan.steps == () and plan.failure is not None
    asked = status(record(worker(0), MachinePhase.PENDING, server_id=None, node_id=None, created_at=ago(4)))
    assert decide(wanted, asked, seen, NOW).steps == (), "the answer to a POST may have been lost"
    ported = observation(wanted, [], deleting=True, ports=Known((Port("p", "net", "someone", "compute:nova", ()),)))
    plan = decide(wanted, status(), ported, NOW)
    assert not any(isinstance(x, s.DeleteInfrastructure) and x.kind in ("network", "subnet") for x in plan.steps)
    assert next(v.message for v in plan.verdicts if v.type == "DeletionBlocked").count("someone") == 1


def test_faults_and_back_off() -> None:
    assert fault_reason("No valid host was found.") is Reason.NO_CAPACITY
    assert fault_reason("No more IP addresses available on network 1.") is Reason.ADDRESSES_EXHAUSTED
    assert fault_reason("Quota exceeded for cores") is Reason.QUOTA_EXCEEDED
    assert fault_reason(None) is Reason.SERVER_FAILED
    assert [rebuild_delay(n, "x") for n in (1, 2, 3, 9)] == [10, 20, 40, 300]
    assert rebuild_delay(1, "No valid host") == 30


def test_quorum_arithmetic() -> None:
    assert [majority(n) for n in (1, 2, 3, 5, 7)] == [1, 2, 2, 3, 4]
    assert [tolerance(n) for n in (1, 2, 3, 5, 7)] == [0, 0, 1, 2, 3]
    assert is_quorate([node(MANAGER)]) and not is_quorate([node(MANAGER, leader=False)]) and not is_quorate([])
    assert not is_quorate([node(MANAGER), node(MANAGER, reachability="unreachable", leader=False)])
    assert survives(3, 3, lost=1) and not survives(3, 2, lost=1) and not survives(3, 2, added=1), "a 4th that does not answer yet counts"


def test_observation_shows_no_metadata() -> None:
    seen = observation(spec(), [server(MANAGER, metadata={"swarm_token": "SWMTKN-1-secret"})])
    assert "SWMTKN" not in repr(seen) and UID in repr(seen)


def test_a_machine_told_to_go_is_not_kept_whatever_the_list_still_shows() -> None:
    wanted = spec()
    nodes = [node(MANAGER), node(worker(0)), node(worker(1), "down")]
    before = status(record(MANAGER), record(worker(0)), record(worker(1), MachinePhase.DELETING, since=5))
    plan = decide(wanted, before, observation(wanted, [*map(server, ALL)], nodes), NOW)
    assert removed(plan) == [server(worker(1)).id]
    assert not any(isinstance(x, s.CreateServer) for x in plan.steps), "its successor waits for it"
    late = status(record(MANAGER), record(worker(0)), record(worker(1), MachinePhase.DELETING, since=90))
    plan = decide(wanted, late, observation(wanted, [*map(server, ALL)], nodes), NOW)
    assert [x.machine for x in plan.steps if isinstance(x, s.CreateServer)] == [worker(1, 2)], "but not for ever"
