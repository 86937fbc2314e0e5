"""Which workers have failed and which of them may be replaced now. The simplest rung: wait, then replace.

Evidence: the swarm's own view (a manager answers and the swarm is quorate) and Nova's must both be known. Clocks run from the later of the machine's own time and the
time since when the managers have been quorate: while we could not see the swarm, nobody's grace ran out (Gardener MCM resets its clocks likewise).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import MachinePhase, SwarmClusterSpec, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cluster.faults import fault_reason, rebuild_delay
from swarm_operator.domain.cluster.machines import NOT_IN_SWARM, Machine, MachineTable, current, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Known
from swarm_operator.domain.quorum import is_quorate


@dataclass(frozen=True)
class Failure:
    """A machine that has failed. `due_in` seconds from now it may be replaced; 0: now. `budgeted`: it was, or should be, a working member."""

    machine: Machine
    reason: Reason
    message: str
    due_in: float
    budgeted: bool


@dataclass(frozen=True)
class Remediation:
    """`replace`: UIDs of the machines whose replacement may begin now. `failures` by machine UID, replaced or not. `wake_in`: seconds until the next one is due."""

    replace: frozenset[str]
    failures: dict[str, Failure]
    verdict: Verdict
    wake_in: float | None = None


def assess(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, now: datetime) -> Remediation:
    """Pure; see the module."""
    workers = [m for role, pool, _ in pools(spec) if role == "Worker" for m in current(table.of(role, pool))]
    failures = {f.machine.uid: f for m in workers if not m.being_deleted for f in [_failure(spec, status, m, now)] if f is not None}
    failures |= {f.machine.uid: f for m in current(table.of("Manager")) if not m.being_deleted for f in [_manager_failure(m, now)] if f is not None}
    if not isinstance(observation.swarm, Known) or not is_quorate(observation.swarm.value.nodes):
        return Remediation(frozenset(), failures, _verdict("False", Reason.MANAGER_UNREACHABLE, "the swarm's own view is not known"))
    total = sum(replicas for _, _, replicas in pools(spec))
    budgeted = [f for f in failures.values() if f.budgeted]
    never_worked = frozenset(f.machine.uid for f in failures.values() if not f.budgeted and f.due_in <= 0)
    if spec.remediation.policy == "None":
        return Remediation(never_worked, failures, _verdict("False", Reason.IDLE, "spec.remediation.policy is None"), _wake(failures))
    if total and 100 * len(budgeted) > spec.remediation.max_unhealthy_percent * total:
        text = f"{len(budgeted)} of {total} machines are unhealthy, more than {spec.remediation.max_unhealthy_percent} %"
        return Remediation(never_worked, failures, _verdict("False", Reason.BUDGET_EXHAUSTED, text), _wake(failures))
    in_flight = sorted(m.id for m in workers if _in_flight(m, failures))
    due = sorted((f for f in budgeted if f.due_in <= 0), key=lambda f: (not f.machine.gone, f.machine.id))
    if in_flight:
        text = f"{in_flight[0].pool}-{in_flight[0].slot} is being replaced"
        return Remediation(never_worked, failures, _verdict("False", Reason.BUDGET_EXHAUSTED, text), _wake(failures))
    chosen = frozenset(f.machine.uid for f in due[:1])
    return Remediation(never_worked | chosen, failures, _verdict("True", Reason.AS_EXPECTED, ""), _wake(failures))


def _verdict(status: str, reason: Reason, message: str) -> Verdict:
    return Verdict(type=ConditionType.REMEDIATION_ALLOWED, status="True" if status == "True" else "False", reason=reason, message=message)


def _wake(failures: dict[str, Failure]) -> float | None:
    return min((f.due_in for f in failures.values() if f.due_in > 0), default=None)


def _in_flight(machine: Machine, failures: dict[str, Failure]) -> bool:
    """A replacement that is not a member yet, and has not itself failed; or a failed server that is still going."""
    if machine.uid in failures:
        return False
    if machine.being_deleted and not machine.gone:
        return machine.record is not None and machine.record.node_id is not None and machine.drained_at is None
    return machine.id.incarnation > 1 and isinstance(machine.node, Known) and machine.node.value is None and not machine.gone


def _quorate_since(status: SwarmClusterStatus) -> str | None:
    return next((c.last_transition_time for c in status.conditions if c.type == ConditionType.MANAGERS_QUORATE.value and c.status == "True"), None)


def _elapsed(status: SwarmClusterStatus, since: str | None, now: datetime) -> float:
    """Seconds since the later of `since` and the quorate time; 0 where either is unknown."""
    own, quorate = times.age(since, now), times.age(_quorate_since(status), now)
    return 0.0 if own is None or quorate is None else min(own, quorate)


def _manager_failure(machine: Machine, now: datetime) -> Failure | None:
    """A manager in ERROR. Whether it may be made again is membership's to say: only before `swarm init`."""
    server = machine.present
    if server is None or server.status != "ERROR" or machine.joined:
        return None
    delay = max(0.0, rebuild_delay(machine.id.incarnation, server.fault) - (times.age(server.created, now) or 0.0))
    return Failure(machine, fault_reason(server.fault), server.fault or "Nova reports ERROR", delay, False)


def _failure(spec: SwarmClusterSpec, status: SwarmClusterStatus, machine: Machine, now: datetime) -> Failure | None:
    if not isinstance(machine.node, Known) or not isinstance(machine.server, Known) or machine.joined:
        return None
    server, node = machine.server.value, machine.node.value
    record = machine.record
    was_member = node is not None or (record is not None and record.node_id is not None)
    if server is None:
        if not machine.was_created:
            return None
        return Failure(machine, Reason.SERVER_FAILED, "the server is gone from Nova", 0.0, was_member)
    if server.status == "ERROR":
        text = server.fault or "Nova reports ERROR"
        delay = 0.0 if was_member else max(0.0, rebuild_delay(machine.id.incarnation, server.fault) - (times.age(server.created, now) or 0.0))
        return Failure(machine, fault_reason(server.fault), text, delay, was_member)
    if node is not None and node.state in NOT_IN_SWARM:
        since = record.phase_since if record is not None and record.phase == MachinePhase.DOWN else None
        grace = spec.health_check.node_down_grace_seconds
        return Failure(
            machine,
            Reason.NODES_DOWN,
            f"the node is {node.state}" + (f": {node.message}" if node.message else ""),
            max(0.0, grace - _elapsed(status, since, now)),
            True,
        )
    waited = _elapsed(status, server.created, now)
    timeout = spec.health_check.node_startup_timeout_seconds
    if node is None and waited >= timeout:
        return Failure(machine, Reason.NODES_JOINING, f"no swarm node within {timeout} s of its creation", 0.0, True)
    return None
