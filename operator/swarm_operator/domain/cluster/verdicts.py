"""Conditions of a SwarmCluster. Every decision names all of them.

kstatus: Reconciling True while work goes on, Stalled True when only a person can help, Ready True only when the spec is what is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from swarm_operator.api.cluster_status import MachinePhase, SwarmClusterStatus
from swarm_operator.api.conditions import Condition, ConditionStatus, ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.faults import fault_reason, refusal_of
from swarm_operator.domain.cluster.guests import ENGINE_LOCKED
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.remediation import Remediation
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.quorum import is_outside_raft, is_quorate

NEEDS_A_PERSON = frozenset(
    {
        Reason.SECRET_NOT_FOUND,
        Reason.CLOUD_NOT_FOUND,
        Reason.CREDENTIALS_MALFORMED,
        Reason.AUTHENTICATION_FAILED,
        Reason.FORBIDDEN,
        Reason.INVALID_SPEC,
        Reason.REFERENCE_NOT_FOUND,
        Reason.REFERENCE_AMBIGUOUS,
        Reason.NAME_CONFLICT,
        Reason.ADDRESS_IN_USE,
        Reason.ADOPTION_PENDING,
        Reason.QUORUM_LOST,
        Reason.VOLUME_REFUSED,
        Reason.UNLOCK_KEY_MISSING,
        Reason.DUPLICATE_NODE,
        Reason.ROLLOUT_HALTED,
    }
)
_ON_COURSE = frozenset(
    {
        Reason.INFRASTRUCTURE_PENDING,
        Reason.MANAGER_BOOTSTRAPPING,
        Reason.SERVER_BUILDING,
        Reason.NODES_JOINING,
        Reason.NODES_DRAINING,
        Reason.VOLUMES_PENDING,
        Reason.NOT_EVALUATED,
        Reason.PROGRESSING,
        Reason.CONFLICT,
        Reason.IMAGE_PENDING,
        Reason.ROTATING,
        Reason.SWARM_LOCKED,
        Reason.PREEMPTED,
    }
)
"""Reasons of work that goes its way: a failure elsewhere says more than they do."""
_BLIND = frozenset(
    {
        Reason.CLOUD_UNREACHABLE,
        Reason.CLOUD_FAILING,
        Reason.RATE_LIMITED,
        Reason.NOT_EVALUATED,
        Reason.MANAGER_UNREACHABLE,
        Reason.INTERNAL_ERROR,
    }
)
"""Reasons for which nothing is known, not even that something is wrong."""
_LEFT_SO = frozenset({Reason.MACHINES_OUTDATED, Reason.WINDOW_CLOSED})
"""Reasons of machines that work and are not as declared by the user's own word: Ready does not wait for them."""
_SUMMED_UP = (
    ConditionType.CREDENTIALS_VALID,
    ConditionType.INFRASTRUCTURE_READY,
    ConditionType.MANAGERS_QUORATE,
    ConditionType.MEMBERS_UP_TO_DATE,
    ConditionType.IMAGES_READY,
)


def verdict(kind: ConditionType, status: ConditionStatus, reason: Reason, message: str = "") -> Verdict:
    return Verdict(type=kind, status=status, reason=reason, message=message)


def of_unknown(kind: ConditionType, fact: Unknown) -> Verdict:
    """Unknown where we could not look, False where the answer was a refusal."""
    return verdict(kind, "Unknown" if fact.reason in _BLIND else "False", fact.reason, fact.message)


def credentials(fact: Fact[None]) -> Verdict:
    if isinstance(fact, Unknown):
        return of_unknown(ConditionType.CREDENTIALS_VALID, fact)
    return verdict(ConditionType.CREDENTIALS_VALID, "True", Reason.CREDENTIALS_ACCEPTED, "Keystone accepted the credentials")


def infrastructure(problem: Unknown | None, pending: Sequence[str]) -> Verdict:
    kind = ConditionType.INFRASTRUCTURE_READY
    if problem is not None:
        return of_unknown(kind, problem)
    if pending:
        return verdict(kind, "False", Reason.INFRASTRUCTURE_PENDING, "to do: " + ", ".join(pending))
    return verdict(kind, "True", Reason.INFRASTRUCTURE_COMPLETE, "network, security group, key pair and floating IPs are as declared")


def managers(observation: ClusterObservation, status: SwarmClusterStatus, started: bool, lost: str | None, waiting_for: str) -> Verdict:
    kind = ConditionType.MANAGERS_QUORATE
    if lost is not None:
        return verdict(kind, "False", Reason.QUORUM_LOST, lost)
    if isinstance(observation.swarm, Known):
        rows = [n for n in observation.swarm.value.nodes if n.role == "manager" and not is_outside_raft(n)]
        if is_quorate(rows):
            return verdict(kind, "True", Reason.QUORUM, f"{sum(n.reachability == 'reachable' for n in rows)} of {len(rows)} managers reachable")
        return verdict(kind, "False", Reason.QUORUM_LOST, "no reachable majority of managers with a leader")
    locked = sorted(
        n.name for n in status.nodes if isinstance(guest := observation.guest(n.machine_uid), Known) and guest.value.engine.local_state == ENGINE_LOCKED
    )
    if locked:
        return verdict(kind, "False", Reason.SWARM_LOCKED, f"locked, and being unlocked: {', '.join(locked)}")
    if observation.swarm.reason is Reason.QUORUM_LOST and status.swarm_id is not None and sum(n.role == "Manager" for n in status.nodes) > 1:
        text = "".join(f"; {name}: {error}" for name, error in _broken_engines(observation, status))
        return verdict(kind, "False", Reason.QUORUM_LOST, f"managers answer, the swarm does not: {observation.swarm.message}{text}")
    if status.swarm_id is not None or started:
        return verdict(kind, "Unknown", Reason.MANAGER_UNREACHABLE, waiting_for or observation.swarm.message)
    return verdict(kind, "False", Reason.MANAGER_BOOTSTRAPPING, waiting_for or "the manager's server is being made")


def _broken_engines(observation: ClusterObservation, status: SwarmClusterStatus) -> list[tuple[str, str]]:
    """Managers whose engine can't take part in a swarm (LocalNodeState `error`), and what it says of that: its node certificate is over, for one."""
    found = ((n.name, observation.guest(n.machine_uid)) for n in status.nodes if n.role == "Manager")
    return sorted((name, guest.value.engine.error) for name, guest in found if isinstance(guest, Known) and guest.value.engine.local_state == "error")


def members(
    status: SwarmClusterStatus,
    wanted: frozenset[str],
    removing: bool,
    remediation: Remediation,
    observation: ClusterObservation,
    refused: Unknown | None,
    volume_problem: Unknown | None = None,
    volumes_pending: str = "",
    rotating: str = "",
    rollout: Verdict | None = None,
    blocked: Sequence[str] = (),
    duplicate: str = "",
) -> Verdict:
    """Of the machines in `status.nodes` (already as observed); `wanted` are the UIDs that shall be members; `refused`: flavor or image of a pool can't be resolved.
    `volume_problem` and `volumes_pending`: what is wrong with data volumes, or under way. `rotating`: what of the swarm's keys is not as declared yet.
    `rollout`: what is to be said while machines are not as declared. `blocked`: why others that are to go can't be drained yet. `duplicate`: which machine several ready nodes say to be."""
    kind = ConditionType.MEMBERS_UP_TO_DATE
    uids = {n.machine_uid: n for n in status.nodes}
    short = [n for n in status.nodes if n.phase not in (MachinePhase.READY, MachinePhase.PRESERVED)]
    if refused is not None:
        return of_unknown(kind, refused)
    if rollout is not None and rollout.reason is Reason.ROLLOUT_HALTED:
        return rollout
    for node in short:
        failure = remediation.failures.get(node.machine_uid)
        if failure is not None:
            return verdict(kind, "False", failure.reason, f"{node.name}: {failure.message}")
        if node.phase == MachinePhase.FAILED:
            reason, text = refusal_of(node) if node.server_id is None else (fault_reason(node.message), node.message)
            return verdict(kind, "False", reason, f"{node.name}: {text or 'failed'}")
    if duplicate:
        return verdict(kind, "False", Reason.DUPLICATE_NODE, duplicate)
    if isinstance(observation.servers, Unknown):
        return of_unknown(kind, observation.servers)
    if volume_problem is not None:
        return of_unknown(kind, volume_problem)
    if isinstance(observation.swarm, Unknown) and not short and wanted <= uids.keys():
        return of_unknown(kind, observation.swarm)
    held = "; ".join(blocked[:3]) + (f"; and {len(blocked) - 3} more" if len(blocked) > 3 else "")
    if rollout is not None and rollout.reason is Reason.ROLLING_OUT and isinstance(observation.swarm, Known):
        return rollout.model_copy(update={"message": f"{rollout.message}; {held}"}) if held else rollout
    if removing or held:
        names = ", ".join(n.name for n in status.nodes if n.machine_uid not in wanted)
        text = f"being removed: {names}" if names else "nodes are being removed" if removing else ""
        return verdict(kind, "False", Reason.NODES_DRAINING, "; waiting for ".join(filter(None, (text, held))))
    if missing := len(wanted - uids.keys()) + sum(n.phase in (MachinePhase.PENDING, MachinePhase.BUILDING) for n in short):
        return verdict(kind, "False", Reason.SERVER_BUILDING, f"{missing} servers are being built")
    if volumes_pending:
        return verdict(kind, "False", Reason.VOLUMES_PENDING, volumes_pending)
    if short:
        names = ", ".join(n.name for n in short[:10])
        return verdict(kind, "False", Reason.NODES_JOINING, f"not ready in the swarm yet: {names}")
    if status.join.token_exposed:
        return verdict(kind, "False", Reason.NODES_JOINING, "the worker join token that is in server metadata is still to be rotated")
    if rotating:
        return verdict(kind, "False", Reason.ROTATING, rotating)
    if rollout is not None:
        return rollout
    return verdict(kind, "True", Reason.NODES_READY, f"{len(wanted)} machines are ready nodes")


def summary(parts: Sequence[Verdict], *, deleting: bool, paused: bool, working: bool) -> tuple[Verdict, ...]:
    """`parts` and Ready, Reconciling, Stalled, Paused made of them."""
    by_type = {v.type: v for v in parts}
    open_ends = [by_type[t] for t in _SUMMED_UP if t in by_type and by_type[t].status != "True" and by_type[t].reason not in _LEFT_SO]
    bad = next((v for v in open_ends if v.reason not in _ON_COURSE), open_ends[0] if open_ends else None)
    if deleting:
        ready = verdict(ConditionType.READY, "False", Reason.DELETING, "being deleted")
    elif bad is not None:
        ready = verdict(ConditionType.READY, "Unknown" if bad.status == "Unknown" else "False", bad.reason, bad.message)
    else:
        ready = verdict(ConditionType.READY, "True", Reason.RECONCILED, "the swarm is as declared")
    stuck = next((v for v in (bad, by_type.get(ConditionType.DELETION_BLOCKED)) if v is not None and v.reason in NEEDS_A_PERSON), None)
    stalled = verdict(ConditionType.STALLED, "True", stuck.reason, stuck.message) if stuck else verdict(ConditionType.STALLED, "False", Reason.AS_EXPECTED)
    busy = not paused and stuck is None and (working or bad is not None or deleting)
    reconciling = (
        verdict(
            ConditionType.RECONCILING,
            "True",
            Reason.DELETING if deleting else (bad.reason if bad else Reason.PROGRESSING),
            bad.message if bad and not deleting else "",
        )
        if busy
        else verdict(ConditionType.RECONCILING, "False", Reason.PAUSED if paused else Reason.IDLE)
    )
    hold = verdict(ConditionType.PAUSED, "True", Reason.PAUSED, "spec.paused is set") if paused else verdict(ConditionType.PAUSED, "False", Reason.NOT_PAUSED)
    return (*parts, ready, stalled, reconciling, hold)


def with_failures(verdicts: Sequence[Verdict], failures: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts of a decision after some of its steps failed: the first failure of each condition replaces it, and Ready, Reconciling and Stalled are made anew."""
    first = {f.type: f for f in reversed(failures)}
    derived = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED}
    parts = [first.get(v.type, v) for v in verdicts if v.type not in derived]
    deleting = any(v.type is ConditionType.READY and v.reason is Reason.DELETING for v in verdicts)
    return summary(parts, deleting=deleting, paused=False, working=True)


def from_conditions(conditions: Sequence[Condition]) -> tuple[Verdict, ...]:
    """Conditions as they were, where a reconcile can't say anything new."""
    known = {t.value for t in ConditionType}
    return tuple(
        verdict(ConditionType(c.type), c.status, Reason(c.reason), c.message) for c in conditions if c.type in known and c.reason in Reason.__members__.values()
    )
