"""Which machines have failed, and what is done for them now: the next rung of the ladder (`ladder`), the last of which is the replacement.

Evidence: the swarm's own view (a manager answers and the swarm is quorate) and Nova's must both be known. Clocks run from the latest of the machine's own time, the time
since when the managers have been quorate, and the time since when repairs have been allowed: while we could not see, or held back (`storm`), nobody's grace ran out (Gardener
MCM resets its clocks likewise).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, Rung, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cluster import drains
from swarm_operator.domain.cluster.budget import Actor, Budget, assess_budget
from swarm_operator.domain.cluster.faults import fault_reason, rebuild_delay
from swarm_operator.domain.cluster.guest_volumes import waits_for_volumes
from swarm_operator.domain.cluster.guests import is_locked, is_up
from swarm_operator.domain.cluster.images import POLL_SECONDS, SNAPSHOT_TASKS
from swarm_operator.domain.cluster.ladder import IDLE_SECONDS, STOPPED, NextRung, after_preemption, next_rung, of_this_failure
from swarm_operator.domain.cluster.machines import NOT_IN_SWARM, Machine, MachineTable, current, is_preemptible, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.storm import Storm, find_storm, out_of_retries
from swarm_operator.domain.facts import Known
from swarm_operator.domain.quorum import is_cast_out, is_quorate
from swarm_operator.domain.swarm import Node, SwarmView

SKIP_ANNOTATION = "swarmops.io/skip-remediation"
"""On a SwarmCluster: `true`, or names of machines (comma separated) that are left alone."""
PRESERVE_ANNOTATION = "swarmops.io/preserve"
"""On a SwarmCluster: names of machines (comma separated) that, once they have failed, are not repaired but replaced, while their servers are kept to be looked at. So are those
of named machines that are replaced for another cause, once they are drained."""
PRESERVE_SECONDS = 96 * 3600.0
"""How long such a server is kept (as gardener/machine-controller-manager does)."""
REMEDIATE_ANNOTATION = "swarmops.io/remediate"
"""On a SwarmCluster: names of machines (comma separated) that are replaced: healthy ones, and failed ones at once, even while repairs are frozen."""


@dataclass(frozen=True)
class Failure:
    """A machine that has failed. `due_in` seconds from now something may be done; 0: now. `budgeted`: it was, or should be, a working member. `asked_for`: by a person.
    `preempted`: the cloud took the server of a preemptible pool, which counts nowhere."""

    machine: Machine
    reason: Reason
    message: str
    due_in: float
    budgeted: bool
    asked_for: bool = False
    preempted: bool = False

    @property
    def of_itself(self) -> bool:
        """Whether neither a person nor the cloud wanted it."""
        return not (self.asked_for or self.preempted)


@dataclass(frozen=True)
class Remediation:
    """`replace`: UIDs of the machines whose replacement may begin now. `repairs`: the rungs to try now, by machine UID. `failures` by machine UID, chosen or not.
    `wake_in`: seconds until the next one is due. `budget`: what it left of the disruption budget; None where nothing was chosen, because nothing may be.
    `preserved`: UIDs of failed machines, all of them in `replace`, whose servers are kept. `blocked`: by UID, why a healthy machine that is asked for can't be drained yet."""

    replace: frozenset[str]
    failures: dict[str, Failure]
    verdict: Verdict
    wake_in: float | None = None
    repairs: dict[str, NextRung] = field(default_factory=dict)
    budget: Budget | None = None
    preserved: frozenset[str] = frozenset()
    blocked: Mapping[str, str] = field(default_factory=dict)

    @property
    def counted(self) -> frozenset[str]:
        """UIDs of the failures that count against budgets."""
        return _counted(self.failures)


def assess(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, now: datetime) -> Remediation:
    """Pure; see the module."""
    kept = _preserved(observation, table, now)
    machines = [m for role, pool, _ in pools(spec) for m in current(table.of(role, pool)) if m.uid not in kept]
    found = _assess(spec, status, observation, table, machines, now)
    wanted = observation.named(PRESERVE_ANNOTATION)
    new = {m.uid for m in machines if m.uid in found.replace and m.present is not None and m.id.server_name(observation.name) in wanted}
    return replace(found, replace=found.replace | kept, preserved=kept | new)


def _preserved(observation: ClusterObservation, table: MachineTable, now: datetime) -> frozenset[str]:
    """UIDs of the machines whose servers are kept already, and whose time is not over. One that has a successor is known for such even where status was lost."""
    wanted = observation.named(PRESERVE_ANNOTATION)
    newest = {m.uid for role, pool in {(m.id.role, m.id.pool) for m in table.machines} for m in current(table.of(role, pool))}

    def is_kept(machine: Machine) -> bool:
        record = machine.record
        marked = record is not None and record.phase == MachinePhase.PRESERVED
        since = record.phase_since if record is not None and marked else None
        return ((marked and not machine.joined) or machine.uid not in newest) and (times.age(since, now) or 0.0) < PRESERVE_SECONDS

    here = [m for m in table.machines if m.present is not None and not m.being_deleted and m.id.server_name(observation.name) in wanted]
    return frozenset(m.uid for m in here if is_kept(m))


def _assess(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, machines: list[Machine], now: datetime
) -> Remediation:
    """`machines`: the present holder of each slot."""
    failures = {m.uid: f for m in machines if not m.being_deleted for f in [_failure_of(spec, status, observation, m, now)] if f is not None}
    unhealthy = frozenset(f.machine.uid for f in failures.values() if f.budgeted and not (f.machine.joined or f.preempted))
    whole = [m for m in machines if m.uid not in failures or not failures[m.uid].preempted]
    storm = find_storm(spec, observation, whole, unhealthy) or out_of_retries(spec, status, now)
    if storm is not None and storm.blind:
        return Remediation(frozenset(), failures, _verdict("False", storm.reason, storm.message))
    view = observation.swarm
    assert isinstance(view, Known)
    skipped = observation.named(SKIP_ANNOTATION)
    never_worked = frozenset(f.machine.uid for f in failures.values() if not f.budgeted and f.due_in <= 0)
    if spec.remediation.policy == "None":
        return Remediation(never_worked, failures, _verdict("False", Reason.IDLE, "spec.remediation.policy is None"), _wake(failures))
    if "true" in skipped:
        return Remediation(never_worked, failures, _verdict("False", Reason.IDLE, f"the annotation {SKIP_ANNOTATION} is set"), _wake(failures))
    budget = assess_budget(spec, observation, table, failed=_counted(failures))
    due = sorted(
        (f for f in failures.values() if _is_due(f, storm) and f.machine.id.server_name(observation.name) not in skipped),
        key=lambda f: (of_this_failure(f.machine) is None, not f.machine.gone, f.machine.id),
    )
    in_flight = budget.counted(Actor.REMEDIATION)
    replaced = set(never_worked)
    repairs: dict[str, NextRung] = {}
    waits: list[float] = []
    blocked: dict[str, str] = {}
    for failure in failures.values():
        if failure.preempted and failure.machine.id.server_name(observation.name) not in skipped:
            _settle(failure.machine.uid, after_preemption(failure.machine, spec.remediation, now), replaced, repairs, waits)
    for failure in due:
        machine, name = failure.machine, failure.machine.id.server_name(observation.name)
        if budget.free(Actor.REMEDIATION) <= 0:
            break
        if machine.joined and (refused := drains.refusal(observation, machine.member, name)):
            blocked[machine.uid] = refused
            failures[machine.uid] = replace(failure, message=f"{failure.message}; {refused}")
            continue
        chosen = _next(spec, observation, view.value, failure, now)
        if budget.refusal(machine, Actor.REMEDIATION, name, replaced=chosen.rung in (None, Rung.REPLACE)):
            continue
        budget = budget.take(machine, Actor.USER if failure.asked_for else Actor.REMEDIATION, name)
        _settle(machine.uid, chosen, replaced, repairs, waits)
    wake = min([w for w in (_wake(failures), *waits) if w is not None], default=None)
    if storm is not None:
        found = _verdict("False", storm.reason, storm.message)
    elif len(in_flight) >= spec.remediation.max_concurrent:
        found = _verdict("True", Reason.PROGRESSING, f"{in_flight[0].name} is being replaced: {len(in_flight)} of at most {spec.remediation.max_concurrent}")
    else:
        found = _verdict("True", Reason.AS_EXPECTED, "")
    return Remediation(frozenset(replaced), failures, found, wake, repairs, budget, blocked=blocked)


def _counted(failures: Mapping[str, Failure]) -> frozenset[str]:
    return frozenset(uid for uid, failure in failures.items() if not failure.preempted)


def _settle(uid: str, chosen: NextRung, replaced: set[str], repairs: dict[str, NextRung], waits: list[float]) -> None:
    """Note what is done for a machine."""
    if chosen.rung is Rung.REPLACE:
        replaced.add(uid)
    elif chosen.rung is None:
        waits.append(chosen.wait)
    else:
        repairs[uid] = chosen


def _is_due(failure: Failure, storm: Storm | None) -> bool:
    """While repairs are frozen, only what a person asks for is done. What the cloud took is seen to before."""
    return failure.budgeted and not failure.preempted and failure.due_in <= 0 and (storm is None or failure.asked_for)


def to_probe(spec: SwarmClusterSpec, machines: list[Machine], swarm: SwarmView, now: datetime) -> list[Machine]:
    """The failed machines whose guests are asked, because the next rung depends on what they say: those whose grace, or last rung, is over."""
    found = []
    for machine in machines:
        record, node = machine.record, machine.member
        if record is None or node is None or record.phase != MachinePhase.DOWN or not _failed(node) or not is_up(machine) or machine.being_deleted:
            continue
        last = of_this_failure(machine)
        since, enough = (last.since, spec.remediation.rung_seconds) if last is not None else (record.phase_since, spec.health_check.node_down_grace_seconds)
        if last is None and machine.id.role == "Manager" and swarm.settings is not None and swarm.settings.autolock:
            enough = 0  # it may be locked, and then waits for us
        if (times.age(since, now) or 0.0) >= enough:
            found.append(machine)
    return found if is_quorate(swarm.nodes) else []


def _next(spec: SwarmClusterSpec, observation: ClusterObservation, view: SwarmView, failure: Failure, now: datetime) -> NextRung:
    """The next rung, whether the budget allows it or not."""
    machine = failure.machine
    # What is kept to be looked at is not touched before.
    if failure.asked_for or machine.id.server_name(observation.name) in observation.named(PRESERVE_ANNOTATION):
        return NextRung(Rung.REPLACE)
    if machine.member is None:
        return NextRung(Rung.REPLACE) if Rung.REPLACE.value in spec.remediation.rungs else NextRung(None, wait=IDLE_SECONDS)
    return next_rung(machine, observation.guest(machine.uid), view.swarm_id, spec.remediation, now)


def _verdict(status: str, reason: Reason, message: str) -> Verdict:
    return Verdict(type=ConditionType.REMEDIATION_ALLOWED, status="True" if status == "True" else "False", reason=reason, message=message)


def _wake(failures: dict[str, Failure]) -> float | None:
    return min((f.due_in for f in failures.values() if f.due_in > 0), default=None)


def _elapsed(status: SwarmClusterStatus, since: str | None, now: datetime) -> float:
    """Seconds since the latest of `since`, the time since when the managers have been quorate, and that since when repairs have been allowed. 0 where one of them is
    unknown; a status that knows nothing yet of repairs being allowed says nothing against it."""
    own, quorate = times.age(since, now), times.age(_true_since(status, ConditionType.MANAGERS_QUORATE), now)
    if own is None or quorate is None:
        return 0.0
    told = any(c.type == ConditionType.REMEDIATION_ALLOWED.value for c in status.conditions)
    allowed = times.age(_true_since(status, ConditionType.REMEDIATION_ALLOWED), now) if told else quorate
    return min(own, quorate, allowed or 0.0)


def _true_since(status: SwarmClusterStatus, kind: ConditionType) -> str | None:
    return next((c.last_transition_time for c in status.conditions if c.type == kind.value and c.status == "True"), None)


def _failed(node: Node) -> bool:
    return node.state in NOT_IN_SWARM or node.reachability == "unreachable"


def _failure_of(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, machine: Machine, now: datetime) -> Failure | None:
    found = _failure(spec, status, observation, machine, now)
    if machine.id.server_name(observation.name) not in observation.named(REMEDIATE_ANNOTATION):
        return found
    if found is not None:
        return replace(found, due_in=0.0, asked_for=True, preempted=False) if found.budgeted else found
    return Failure(machine, Reason.REPLACED, f"the annotation {REMEDIATE_ANNOTATION} names it", 0.0, True, asked_for=True) if machine.joined else None


def _failure(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, machine: Machine, now: datetime) -> Failure | None:
    if machine.joined or not isinstance(machine.server, Known):
        return None
    manager = machine.id.role == "Manager"
    server, record = machine.server.value, machine.record
    if (taken := _preempted(spec, observation, machine)) is not None:
        return taken
    if not isinstance(machine.node, Known):
        if not manager or server is None or server.status != "ERROR":
            return None
        # Whether it may be made again is membership's to say: only before `swarm init`.
        delay = max(0.0, rebuild_delay(machine.id.incarnation, server.fault) - (times.age(server.created, now) or 0.0))
        return Failure(machine, fault_reason(server.fault), server.fault or "Nova reports ERROR", delay, False)
    node = machine.node.value
    was_member = node is not None or (record is not None and record.node_id is not None)
    if server is None:
        if not machine.was_created:
            return None
        # One that a recovery has cast out of raft is no loss any more: it holds nothing up.
        return Failure(machine, Reason.SERVER_FAILED, "the server is gone from Nova", 0.0, was_member and not (node is not None and is_cast_out(node)))
    if server.status == "ERROR":
        text = server.fault or "Nova reports ERROR"
        # Where servers come and go, how many there were says nothing.
        makes = 1 if is_preemptible(spec, machine.id.pool) else machine.id.incarnation
        delay = 0.0 if was_member else max(0.0, rebuild_delay(makes, server.fault) - (times.age(server.created, now) or 0.0))
        return Failure(machine, fault_reason(server.fault), text, delay, was_member)
    if node is not None and _failed(node) and is_locked(machine, observation):
        # Only the key helps, and time does not: it is given at once.
        return Failure(machine, Reason.SWARM_LOCKED, "the manager is locked", 0.0, True)
    if node is not None and _failed(node):
        since = record.phase_since if record is not None and record.phase == MachinePhase.DOWN else None
        grace = spec.health_check.node_down_grace_seconds
        what = f"the node is {node.state}" if node.state in NOT_IN_SWARM else "the manager is unreachable"
        due = max(0.0, grace - _elapsed(status, since, now))
        if server.task_state in SNAPSHOT_TASKS:
            due = max(due, POLL_SECONDS)  # Nova may have paused it to save its disk
        return Failure(machine, Reason.NODES_DOWN, what + (f": {node.message}" if node.message else ""), due, True)
    if manager and isinstance(observation.guest(machine.uid), Known):
        return None  # it is up and waits for its turn to join
    if node is None and waits_for_volumes(spec, observation, machine):
        return None
    timeout = spec.health_check.node_startup_timeout_seconds
    if node is None and _absent_for(status, machine, timeout, now) >= timeout:
        return Failure(machine, Reason.NODES_JOINING, f"no swarm node within {timeout} s of its creation", 0.0, True)
    return None


def _preempted(spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine) -> Failure | None:
    """The cloud has stopped or deleted the server of a preemptible pool. One that somebody wants to look at fails like any other."""
    if not is_preemptible(spec, machine.id.pool) or not isinstance(machine.node, Known):
        return None
    server, record = machine.present, machine.record
    was_member = machine.member is not None or (record is not None and record.node_id is not None)
    if server is None:
        return Failure(machine, Reason.PREEMPTED, "the cloud has deleted the server", 0.0, was_member, preempted=True) if machine.was_created else None
    if machine.id.server_name(observation.name) in observation.named(PRESERVE_ANNOTATION):
        return None
    stopped = server.status in STOPPED and server.task_state is None
    if not stopped and not (server.status == "ERROR" and was_member):
        return None
    return Failure(machine, Reason.PREEMPTED, f"the cloud has taken the server: it is {server.status}", 0.0, True, preempted=True)


def _absent_for(status: SwarmClusterStatus, machine: Machine, timeout: float, now: datetime) -> float:
    """Seconds for which a machine that is up has had no node: since its creation, or since it was taken out of the swarm."""
    server, record = machine.present, machine.record
    if record is None or record.node_id is None:
        return _elapsed(status, server.created if server is not None else None, now)
    if record.phase == MachinePhase.FAILED:
        return timeout
    return _elapsed(status, record.phase_since if record.phase in (MachinePhase.BOOTING, MachinePhase.JOINING) else None, now)
