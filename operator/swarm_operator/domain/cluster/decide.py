"""The decision: from spec, status and observation to the next steps, the status and the conditions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import AdoptionStatus, InfrastructureStatus, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster import credentials, verdicts
from swarm_operator.domain.cluster.adoption import adopt_step, assess_adoption
from swarm_operator.domain.cluster.adoption import pending as pending_adoption
from swarm_operator.domain.cluster.autoscaling import pool_statuses, scale
from swarm_operator.domain.cluster.deletion import decide_deletion
from swarm_operator.domain.cluster.drains import ASK_AGAIN_SECONDS
from swarm_operator.domain.cluster.images import WAITS
from swarm_operator.domain.cluster.machines import tabulate
from swarm_operator.domain.cluster.membership import swarm_started
from swarm_operator.domain.cluster.nodes import duplicates
from swarm_operator.domain.cluster.observation import NOT_LOOKED_AT, ClusterObservation
from swarm_operator.domain.cluster.order import order_steps
from swarm_operator.domain.cluster.orphans import Orphans, find_orphans
from swarm_operator.domain.cluster.parts import Plans, make_plans
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.cluster.preload import held_back
from swarm_operator.domain.cluster.rollout_report import halted_verdict, members_verdict
from swarm_operator.domain.cluster.server_groups import GroupPlan
from swarm_operator.domain.cluster.spread import spread
from swarm_operator.domain.cluster.status import observed_status
from swarm_operator.domain.cluster.steps import CreatePort, CreateServerGroup, CreateTrunk, DeleteServer, RemoveNode, Repair, Step
from swarm_operator.domain.cluster.storm import count_repairs
from swarm_operator.domain.facts import Known, Unknown

PLACING_SECONDS = 0.3
"""Until a server is asked for after its port or group, or after the last member of its group was given a host."""
BUSY_SECONDS = 2.0
JOINING_SECONDS = 1.0
SILENT_SECONDS = 5.0
"""While a manager that was there does not answer: each look may cost a connect timeout."""
STEADY_SECONDS = 45.0
OBSERVING_SECONDS = 15.0
"""Before a takeover: servers may be made or deleted by others."""


def decide(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, now: datetime) -> ClusterPlan:
    """The plan. Deterministic: no clock, no randomness, no I/O; `now` is aware. The caller performs `steps` in order."""
    if observation.deleting:
        return decide_deletion(spec, status, observation, now)
    table = tabulate(status, observation, now)
    scaling = scale(spec, status, observation, table, now)
    spec = scaling.spec
    plans = make_plans(spec, status, observation, table, now)
    if plans.blocked and observation.services == NOT_LOOKED_AT:
        return ClusterPlan(status, wants_services=True)
    orphans = find_orphans(spec, status, plans.observation, now)
    steps = (*order_steps(spec, status, plans, now), *orphans.steps)
    adoption = assess_adoption(spec, status, plans.observation, plans.table, plans.infrastructure.steps, plans.infrastructure.problem, now)
    unadopted = pending_adoption(adoption)
    if adoption is not None and unadopted is None:
        steps = (*adopt_step(plans.observation, spec, status), *steps)
    if spec.paused or unadopted is not None:
        steps = ()
    if not observation.servers_fresh and any(step.needs_fresh_servers for step in steps):
        return ClusterPlan(status, wants_fresh=True)
    # A takeover that is paused is still to be made.
    facts = _facts(spec, status, plans, orphans, steps, status.adoption if spec.paused else adoption, now)
    facts = facts.model_copy(update={"pools": pool_statuses(spec, observation, scaling)})
    parts = _verdicts(spec, status, plans, orphans, facts, steps, unadopted, now)
    summed = verdicts.summary(parts, deleting=False, paused=spec.paused, working=bool(steps))
    failure = _failure(plans)
    steady = any(v.type is ConditionType.READY and v.status == "True" for v in summed) and not steps
    requeue = OBSERVING_SECONDS if unadopted is not None else _requeue(status, plans, orphans, steps, steady=steady)
    requeue = requeue if scaling.wake_in is None else min(requeue, scaling.wake_in)
    return ClusterPlan(facts, steps, summed, None if spec.paused else requeue, failure=failure, changes=plans.rollout.changes)


def _facts(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, plans: Plans, orphans: Orphans, steps: Sequence[Step], adoption: AdoptionStatus | None, now: datetime
) -> SwarmClusterStatus:
    """What is written to status, without the conditions."""
    built, remediation = _with_groups(plans.infrastructure.status, plans.groups), plans.remediation
    facts = observed_status(
        spec,
        status,
        plans.observation,
        plans.table,
        plans.membership,
        built,
        remediation,
        plans.guests.messages,
        plans.standing,
        now,
        plans.volumes,
        plans.hooks,
        plans.blocked,
    )
    facts = held_back(facts, status, plans.preloads.pending, now)
    worked = {uid for uid, failure in remediation.failures.items() if failure.budgeted and failure.of_itself}
    made = sum((isinstance(x, Repair) and x.machine_uid in remediation.counted) or (isinstance(x, DeleteServer) and x.machine_uid in worked) for x in steps)
    return facts.model_copy(
        update={
            "autolock": plans.lock.status,
            "authority": plans.authority.status,
            "recovery": plans.restore.noted(plans.recovery.status, now),
            "backup": plans.backup.status,
            "rollout": plans.rollout.status,
            "orphans": list(orphans.found),
            "snapshots": list(plans.images.snapshots),
            "images": list(plans.images.images),
            "repairs": count_repairs(spec, status, made, now),
            "adoption": adoption,
        }
    )


def _verdicts(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    plans: Plans,
    orphans: Orphans,
    facts: SwarmClusterStatus,
    steps: Sequence[Step],
    unadopted: Verdict | None,
    now: datetime,
) -> tuple[Verdict, ...]:
    """One for each condition but those that sum them up. `unadopted`: a cluster is to be taken over first."""
    observation, membership, messages = plans.observation, plans.membership, plans.guests.messages
    lost = _lost(plans)
    waiting_for = next((messages[m.uid] for m in membership.keep if m.id.role == "Manager" and m.uid in messages), "")
    wanted = frozenset(m.uid for m in membership.keep) | {m.uid(observation.uid) for m in (*membership.create, *membership.waiting)}
    building = plans.infrastructure.steps if unadopted is not None else steps
    pending = tuple(dict.fromkeys(type(s).__name__ for s in building if s.condition is ConditionType.INFRASTRUCTURE_READY))
    removing = any(not m.gone and m.uid not in plans.remediation.preserved for m in membership.remove) or any(isinstance(s, RemoveNode) for s in steps)
    if unadopted is not None and isinstance(observation.swarm, Unknown):
        managers = verdicts.verdict(ConditionType.MANAGERS_QUORATE, "Unknown", Reason.NOT_EVALUATED, "not taken over yet")
    else:
        managers = verdicts.managers(observation, status, swarm_started(status, plans.table), lost, waiting_for)
    members = unadopted or verdicts.members(
        facts,
        wanted,
        removing,
        plans.remediation,
        observation,
        plans.creation.refused,
        plans.volumes.problem,
        plans.volumes.pending,
        plans.authority.waiting or plans.lock.waiting,
        members_verdict(plans.rollout.status),
        tuple(sorted(plans.blocked.values())),
        duplicates(observation, plans.table.machines, now),
    )
    return (
        verdicts.credentials(observation.credentials),
        credentials.expiring(spec, facts.credentials, observation, now),
        verdicts.infrastructure(plans.infrastructure.problem or plans.addresses, pending),
        managers,
        members,
        plans.remediation.verdict,
        halted_verdict(plans.rollout.status),
        verdicts.verdict(ConditionType.DELETION_BLOCKED, "False", Reason.AS_EXPECTED),
        orphans.verdict,
        plans.images.verdict,
        plans.backup.verdict,
        spread(spec, observation, membership.keep, plans.groups),
    )


def _with_groups(status: InfrastructureStatus, groups: GroupPlan) -> InfrastructureStatus:
    """Ids that are known now; those of pools that wait are as they were."""
    waiting = {pool or "manager" for pool, g in groups.by_pool.items() if g.waits}
    kept = {pool: known for pool, known in status.server_group_ids.items() if pool in waiting}
    return status.model_copy(update={"server_group_ids": {**kept, **groups.ids}})


def _lost(plans: Plans) -> str | None:
    """Why the swarm does not come back by itself, and what a recovery waits for."""
    return "; ".join(text for text in (plans.lost, plans.recovery.message, "" if plans.restore.backup is not None else plans.restore.message) if text) or None


def _failure(plans: Plans) -> Reason | None:
    """The fact whose absence ends this reconcile in a Retry. The swarm's absence does not: while a manager boots that is the normal course."""
    for fact in (plans.observation.credentials, plans.infrastructure.problem, plans.observation.servers, plans.creation.refused, plans.addresses):
        if isinstance(fact, Unknown) and fact.reason not in {Reason.VOLUMES_PENDING, *WAITS}:
            return fact.reason
    return None


def _requeue(status: SwarmClusterStatus, plans: Plans, orphans: Orphans, steps: Sequence[Step], *, steady: bool) -> float:
    """Session events and edits wake us anyway: this is for what nobody tells us of."""
    if plans.creation.placing or any(isinstance(step, CreatePort | CreateTrunk | CreateServerGroup) for step in steps):
        return PLACING_SECONDS
    if steady or not _busy(plans, steps):
        requeue, wakes = STEADY_SECONDS, [plans.membership.wake_in, plans.remediation.wake_in]
    elif isinstance(plans.observation.swarm, Known):
        requeue, wakes = JOINING_SECONDS, []
    else:
        requeue, wakes = SILENT_SECONDS if status.swarm_id is not None else BUSY_SECONDS, []
    wakes += [hooks.wake_in for hooks in plans.hooks.values()]
    wakes += [ASK_AGAIN_SECONDS] if plans.blocked else []
    wakes += [orphans.wake_in, plans.rollout.wake_in, plans.images.wake_in, plans.recovery.wake_in, plans.restore.wake_in, plans.backup.wake_in]
    return max(JOINING_SECONDS, min([requeue, *(wake for wake in wakes if wake is not None)]))


def _busy(plans: Plans, steps: Sequence[Step]) -> bool:
    """Whether something is on its way: a server is built or goes, a guest boots or joins, a node drains, a manager is silent."""
    changing = plans.change.waiting and not plans.change.blocked
    if steps or changing or plans.volumes.pending or plans.rollout.working or plans.authority.holds:
        return True
    if _lost(plans) is not None:
        return False
    membership, remediation = plans.membership, plans.remediation
    on_its_way = any(not m.joined and m.uid not in remediation.failures for m in membership.keep)
    held = {uid for uid, hooks in plans.hooks.items() if hooks.waiting} | plans.blocked.keys()
    if plans.change.blocked:
        # Managers leave one after the other.
        held |= {m.uid for m in membership.remove if m.id.role == "Manager"}
    leaving = any(not m.gone and m.uid not in remediation.preserved and m.uid not in held for m in membership.remove)
    return on_its_way or leaving or any(m.pool not in plans.images.blocked for m in membership.create)
