"""The decision about managers: one change at a time, in the safe order; and the ladder's choice of rungs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm_operator.api.cluster_status import MachinePhase, MachineRemediation, Rung, SwarmClusterStatus
from swarm_operator.api.lifecycle import RemediationSpec, RetryBudgetSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.guests import ENGINE_SILENT
from swarm_operator.domain.cluster.ladder import NextRung, backoff, next_rung, useful
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation, Guest
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, SWARM_STARTED, MachineId
from swarm_operator.domain.quorum import in_transition, is_cast_out, is_outside_raft, is_quorate, may_be_disturbed, may_join, may_leave, raft_members
from swarm_operator.domain.swarm import EngineInfo, Node
from unit.cluster.builders import NOW, UID, ago, guest, networking, node, observation, record, server, spec, status, worker

MANAGERS = [MachineId("Manager", "", slot, 1) for slot in range(3)]
STARTED = {SWARM_STARTED: "started"}
WANTED = spec(workerPools=[], managers={"replicas": 3})


def row(slot: int, reachability: str = "reachable", **changes: object) -> Node:
    """A manager; slot 0 leads."""
    state = "down" if reachability == "unreachable" else "ready"
    return replace(node(MANAGERS[slot], state), leader=slot == 0, reachability=reachability, **changes)  # type: ignore[arg-type]


def seen(machines: list[MachineId], nodes: list[Node], **changes: object) -> ClusterObservation:
    servers = [server(m, metadata=STARTED) for m in machines]
    return observation(WANTED, servers, nodes, **{"networking": Known(networking(WANTED, *machines)), **changes})


def before(*machines: MachineId, **changes: object) -> SwarmClusterStatus:
    return status(*(record(m, since=100) for m in machines), **changes)


def raft_changes(plan: object) -> list[s.Step]:
    return [x for x in plan.steps if isinstance(x, s.JoinManager | s.DemoteManager | s.InitSwarm)]  # type: ignore[attr-defined]


def test_projection() -> None:
    three = [row(0), row(1), row(2)]
    one_dead = [row(0), row(1), row(2, "unreachable")]
    two_dead = [row(0), row(1, "unreachable"), row(2, "unreachable")]
    assert may_join([row(0)]) and may_join(three) and not may_join(one_dead) and not may_join([])
    assert may_leave(one_dead, one_dead[2]) and not may_leave(one_dead, one_dead[1]), "two members, one of them dead"
    assert may_leave(three, three[2]) and not may_leave([row(0)], row(0)) and not may_leave(two_dead, two_dead[2])
    assert may_be_disturbed(three, three[1]) and not may_be_disturbed(one_dead, one_dead[1]) and may_be_disturbed(one_dead, one_dead[2])
    demoted = replace(row(2), role="worker")
    assert raft_members([*three[:2], demoted]) == [*three[:2], demoted] and in_transition([*three[:2], demoted]) == [demoted]
    outside = row(1, "")
    assert is_quorate([row(0), outside]) and is_outside_raft(outside) and not is_cast_out(outside) and is_cast_out(replace(outside, state="unknown"))
    assert in_transition([row(0), outside]) == [outside] and not may_join([row(0), outside]), "it may be a member in a moment"
    assert in_transition([row(0), row(1, "unknown")]) == [row(1, "unknown")] and in_transition(one_dead) == []


def test_only_the_first_makes_the_swarm() -> None:
    guests = {m.uid(UID): guest(m, tls_in_force=True) for m in MANAGERS}
    servers = [server(m) for m in MANAGERS]
    records = [record(m, MachinePhase.BOOTING, node_id=None) for m in MANAGERS]
    blank = status(*records, swarm_id=None)
    plan = decide(WANTED, blank, observation(WANTED, servers, guests=guests, networking=Known(networking(WANTED, *MANAGERS))), NOW)
    (init,) = raft_changes(plan)
    assert isinstance(init, s.InitSwarm) and init.machine == MANAGERS[0]
    # The second was told to already: its disk may hold the swarm.
    servers[1] = server(MANAGERS[1], metadata=STARTED)
    plan = decide(WANTED, blank, observation(WANTED, servers, guests=guests, networking=Known(networking(WANTED, *MANAGERS))), NOW)
    assert [x.machine for x in raft_changes(plan)] == [MANAGERS[1]]  # type: ignore[attr-defined]
    # Two were: there was a swarm of several, and none is made over it, whatever status says.
    servers[2] = server(MANAGERS[2], metadata=STARTED)
    plan = decide(WANTED, blank, observation(WANTED, servers, guests=guests, networking=Known(networking(WANTED, *MANAGERS))), NOW)
    assert raft_changes(plan) == []


def test_one_joins_at_a_time_and_only_when_the_former_is_settled() -> None:
    guests = {m.uid(UID): guest(m, tls_in_force=True) for m in MANAGERS[1:]}
    records = [record(MANAGERS[0]), *(record(m, MachinePhase.JOINING, node_id=None) for m in MANAGERS[1:])]
    plan = decide(WANTED, status(*records), seen(MANAGERS, [row(0)], guests=guests), NOW)
    (join,) = raft_changes(plan)
    assert isinstance(join, s.JoinManager) and join.machine == MANAGERS[1] and join.managers == ("10.20.0.10:2377",)
    fresh = [record(MANAGERS[0]), record(MANAGERS[1], since=1), record(MANAGERS[2], MachinePhase.JOINING, node_id=None)]
    assert raft_changes(decide(WANTED, status(*fresh), seen(MANAGERS, [row(0), row(1)], guests=guests), NOW)) == []
    unknown = [row(0), row(1, "unknown")]
    assert raft_changes(decide(WANTED, status(*fresh), seen(MANAGERS, unknown, guests=guests), NOW)) == []


def test_a_dead_one_is_demoted_only_when_its_successor_is_up() -> None:
    successor = MachineId("Manager", "", 2, 2)
    nodes = [row(0), row(1), row(2, "unreachable")]
    dead = record(MANAGERS[2], MachinePhase.DOWN, since=500, remediation=MachineRemediation(rung=Rung.HARD_REBOOT, attempts=1, since=ago(100)))
    plan = decide(WANTED, status(record(MANAGERS[0]), record(MANAGERS[1]), dead), seen(MANAGERS, nodes), NOW)
    assert [x.evidence.value.id for x in plan.steps if isinstance(x, s.DeleteServer)] == ["srv-m-2-1"], "it makes way for its successor"
    assert not any(isinstance(x, s.CreateServer) for x in plan.steps) and raft_changes(plan) == []
    plan = decide(WANTED, status(record(MANAGERS[0]), record(MANAGERS[1]), dead), seen(MANAGERS[:2], nodes), NOW)
    assert [(x.machine, x.port_id) for x in plan.steps if isinstance(x, s.CreateServer)] == [(successor, "port-m-2")] and raft_changes(plan) == []

    records = status(record(MANAGERS[0]), record(MANAGERS[1]), dead, record(successor, MachinePhase.BOOTING, node_id=None))
    four = [*MANAGERS, successor]
    assert raft_changes(decide(WANTED, records, seen(four, nodes), NOW)) == [], "the successor boots"
    ready = {successor.uid(UID): guest(successor, tls_in_force=True)}
    plan = decide(WANTED, records, seen(four, nodes, guests=ready), NOW)
    (demote,) = raft_changes(plan)
    assert isinstance(demote, s.DemoteManager) and demote.evidence.value.id == nodes[2].id
    demoted = replace(nodes[2], role="worker", reachability="")
    plan = decide(WANTED, records, seen(four, [*nodes[:2], demoted], guests=ready), NOW)
    (join,) = raft_changes(plan)
    assert isinstance(join, s.JoinManager) and join.machine == successor
    assert [x.evidence.value.id for x in plan.steps if isinstance(x, s.DeleteServer)] == ["srv-m-2-1"], "its server is of no use any more"


def test_no_majority_no_change() -> None:
    nodes = [row(0), row(1, "unreachable"), row(2, "unreachable")]
    down = [record(m, MachinePhase.DOWN, since=500) for m in MANAGERS[1:]]
    plan = decide(WANTED, status(record(MANAGERS[0]), *down), seen(MANAGERS, nodes), NOW)
    assert plan.steps == ()
    assert next((v.status, v.reason) for v in plan.verdicts if v.type == "ManagersQuorate") == ("False", Reason.QUORUM_LOST)
    leaderless = replace(seen(MANAGERS, []), swarm=Unknown(Reason.QUORUM_LOST, "the swarm does not have a leader"))
    plan = decide(WANTED, before(*MANAGERS), leaderless, NOW)
    assert plan.steps == () and next(v.reason for v in plan.verdicts if v.type == "ManagersQuorate") is Reason.QUORUM_LOST


def test_scale_down_takes_high_slots_and_the_leader_last() -> None:
    one = WANTED.model_copy(update={"managers": WANTED.managers.model_copy(update={"replicas": 1})})
    plan = decide(one, before(*MANAGERS), seen(MANAGERS, [row(0), row(1), row(2)], tasks=Known({})), NOW)
    (drain,) = plan.steps
    assert isinstance(drain, s.DrainNode) and drain.evidence.value.id == row(2).id
    drained = row(2, availability="drain", labels={NODE_LABEL_DRAINED: ago(5)})
    plan = decide(one, before(*MANAGERS), seen(MANAGERS, [row(0), row(1), drained], tasks=Known({})), NOW)
    assert [type(x) for x in plan.steps] == [s.DemoteManager]
    out = replace(drained, role="worker", reachability="")
    plan = decide(one, before(*MANAGERS), seen(MANAGERS, [row(0), row(1), out], tasks=Known({})), NOW)
    assert {type(x) for x in plan.steps} >= {s.RemoveNode, s.DeleteServer}
    lead = replace(row(2), leader=True)
    plan = decide(one, before(*MANAGERS), seen(MANAGERS, [replace(row(0), leader=False), row(1), lead], tasks=Known({})), NOW)
    assert [x.evidence.value.id for x in plan.steps if isinstance(x, s.DrainNode)] == [row(1).id]


def test_managers_of_others_are_left_alone() -> None:
    stranger = replace(row(2), id="theirs", machine_uid=None)
    one = WANTED.model_copy(update={"managers": WANTED.managers.model_copy(update={"replicas": 1})})
    plan = decide(one, before(MANAGERS[0]), seen(MANAGERS[:1], [row(0), stranger], networking=Known(networking(one, MANAGERS[0]))), NOW)
    assert plan.steps == ()


# --- the ladder


def asked(state: str, **changes: object) -> Known[Guest]:
    return Known(Guest(EngineInfo("26", state, **changes)))  # type: ignore[arg-type]


WORKER = worker(0)


def down(of: MachineId = WORKER, nova: str = "ACTIVE", last: MachineRemediation | None = None, **changes: object) -> Machine:
    return Machine(of, of.uid(UID), record(of, MachinePhase.DOWN, since=500, remediation=last), Known(server(of, nova, **changes)), Known(node(of, "down")))  # type: ignore[arg-type]


SILENT = Unknown(Reason.MANAGER_UNREACHABLE, "no answer")


@pytest.mark.parametrize(
    ("machine", "engine", "expected"),
    [
        (down(), SILENT, "HardReboot Replace"),
        (down(), asked(ENGINE_SILENT), "RestartEngine SoftReboot HardReboot Replace"),
        (down(), asked("active", swarm_id="swarm"), "RestartEngine Rejoin SoftReboot HardReboot Replace"),
        (down(), asked("inactive"), "Rejoin SoftReboot HardReboot Replace"),
        (down(), asked("active", swarm_id="another"), "Rejoin SoftReboot HardReboot Replace"),
        (down(MANAGERS[1]), asked("active", swarm_id="swarm"), "RestartEngine SoftReboot HardReboot Replace"),
        (down(MANAGERS[1]), asked("inactive"), "Replace"),
        (down(nova="SHUTOFF"), SILENT, "Start HardReboot Replace"),
        (down(nova="ERROR"), SILENT, "Replace"),
        (down(nova="SUSPENDED"), SILENT, "Replace"),
    ],
)
def test_rungs_that_can_help(machine: Machine, engine: Known[Guest] | Unknown, expected: str) -> None:
    assert " ".join(useful(machine, engine, "swarm")) == expected


def repaired(rung: Rung, since: float, attempts: int = 1) -> MachineRemediation:
    return MachineRemediation(rung=rung, attempts=attempts, since=ago(since))


POLICY = RemediationSpec(rung_seconds=60)


def test_each_rung_has_its_time_then_the_next_one_comes() -> None:
    dead = asked(ENGINE_SILENT)
    assert next_rung(down(), dead, "swarm", POLICY, NOW).rung is Rung.RESTART_ENGINE
    tried = next_rung(down(last=repaired(Rung.RESTART_ENGINE, 20)), dead, "swarm", POLICY, NOW)
    assert (tried.rung, tried.wait) == (None, 40)
    later = next_rung(down(last=repaired(Rung.RESTART_ENGINE, 61)), dead, "swarm", POLICY, NOW)
    assert (later.rung, later.attempts) == (Rung.SOFT_REBOOT, 2)
    assert next_rung(down(last=repaired(Rung.HARD_REBOOT, 61)), SILENT, "swarm", POLICY, NOW).rung is Rung.REPLACE
    busy = down(last=repaired(Rung.HARD_REBOOT, 61), task_state="rebooting_hard")
    assert next_rung(busy, SILENT, "swarm", POLICY, NOW).rung is None, "Nova is still at it"
    # An earlier failure's rung does not count as tried, its attempts do.
    assert next_rung(down(last=repaired(Rung.HARD_REBOOT, 900)), SILENT, "swarm", POLICY, NOW).rung is Rung.HARD_REBOOT
    spent = repaired(Rung.HARD_REBOOT, 1000, POLICY.retry_budget.per_machine)
    assert next_rung(down(last=spent), SILENT, "swarm", POLICY, NOW).rung is Rung.REPLACE


def test_a_rebuild_has_five_times_as_long_and_comes_where_there_is_an_image() -> None:
    image = {"image_id": "img"}
    assert useful(down(**image), SILENT, "swarm") == (Rung.HARD_REBOOT, Rung.REBUILD, Rung.REPLACE)
    assert useful(down(), SILENT, "swarm") == (Rung.HARD_REBOOT, Rung.REPLACE), "it boots from a volume"
    assert next_rung(down(last=repaired(Rung.HARD_REBOOT, 61), **image), SILENT, "swarm", POLICY, NOW).rung is Rung.REBUILD
    assert next_rung(down(last=repaired(Rung.REBUILD, 299), **image), SILENT, "swarm", POLICY, NOW) == NextRung(None, 1, 1.0)
    assert next_rung(down(last=repaired(Rung.REBUILD, 301), **image), SILENT, "swarm", POLICY, NOW).rung is Rung.REPLACE


def test_the_pause_before_a_machine_that_fails_again_is_repaired_doubles() -> None:
    assert [backoff(n, 60) for n in range(7)] == [0, 60, 120, 240, 480, 900, 900]
    often = POLICY.model_copy(update={"retry_budget": RetryBudgetSpec(per_machine=100)})
    for attempts, pause in ((1, 60), (2, 120), (3, 240), (9, 900)):
        # `down` has been down for 500 s: an older repair belongs to an earlier failure.
        early, late = (down(last=repaired(Rung.HARD_REBOOT, 501 + n, attempts)) for n in (0, 900))
        assert next_rung(late, SILENT, "swarm", often, NOW).rung is Rung.HARD_REBOOT
        waiting = next_rung(early, SILENT, "swarm", often, NOW)
        assert (waiting.rung is None) == (pause > 501), attempts


def test_only_permitted_rungs() -> None:
    dead = asked(ENGINE_SILENT)
    policy = RemediationSpec(rung_seconds=60, rungs=["HardReboot"], rebuild=False)
    assert next_rung(down(), dead, "swarm", policy, NOW).rung is Rung.HARD_REBOOT
    assert next_rung(down(last=repaired(Rung.HARD_REBOOT, 61)), dead, "swarm", policy, NOW).rung is None
    assert next_rung(down(last=repaired(Rung.HARD_REBOOT, 1000, 50)), dead, "swarm", policy, NOW).rung is Rung.HARD_REBOOT, "it may not be replaced"
