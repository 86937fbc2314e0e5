"""The decision: from spec, status and observation to the next steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import InfrastructureStatus, Rung, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster import credentials, verdicts
from swarm_operator.domain.cluster.adoption import adopt_step, assess_adoption
from swarm_operator.domain.cluster.adoption import pending as pending_adoption
from swarm_operator.domain.cluster.authority import held, plan_authority
from swarm_operator.domain.cluster.autolock import first_the_key, plan_autolock
from swarm_operator.domain.cluster.creation import Creation, plan_creation
from swarm_operator.domain.cluster.deletion import decide_deletion
from swarm_operator.domain.cluster.engine_tls import renewals
from swarm_operator.domain.cluster.floating_ips import floating_ip_steps
from swarm_operator.domain.cluster.guests import GuestPlan, fixed_address, plan_guests
from swarm_operator.domain.cluster.images import WAITS, plan_images
from swarm_operator.domain.cluster.infrastructure import InfrastructurePlan, plan_infrastructure
from swarm_operator.domain.cluster.machine_ports import port_steps
from swarm_operator.domain.cluster.machines import MachineTable, tabulate
from swarm_operator.domain.cluster.managers import change_managers
from swarm_operator.domain.cluster.membership import Membership, dangling, select, swarm_started
from swarm_operator.domain.cluster.nodes import Removal, remove_machines, rotation, set_nodes, swarm_settings
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.orphans import find_orphans
from swarm_operator.domain.cluster.overlays import overlays
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.cluster.preload import held_back, plan_preloads
from swarm_operator.domain.cluster.recovery import plan_recovery
from swarm_operator.domain.cluster.remediation import Remediation, assess
from swarm_operator.domain.cluster.rollout import plan_rollout
from swarm_operator.domain.cluster.rollout_report import halted_verdict, members_verdict
from swarm_operator.domain.cluster.server_groups import GroupPlan, plan_groups
from swarm_operator.domain.cluster.spread import spread
from swarm_operator.domain.cluster.standing import stamps, standings
from swarm_operator.domain.cluster.status import observed_status
from swarm_operator.domain.cluster.steps import CreatePort, CreateServer, CreateServerGroup, DeleteServer, ExposeJoinToken, JoinNode, RemoveNode, Repair, Step
from swarm_operator.domain.cluster.storm import count_repairs
from swarm_operator.domain.cluster.volumes import plan_volumes
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.quorum import tolerance

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
    images = plan_images(spec, status, observation, table, now)
    observation = replace(observation, machine_references=images.references)
    remediation = assess(spec, status, observation, table, now)
    standing = standings(spec, observation, table.machines, now)
    rollout = plan_rollout(spec, status, observation, table, remediation, standing, now)
    membership = select(spec, status, observation, table, remediation, rollout, now)
    infrastructure = plan_infrastructure(spec, status, observation)
    started = swarm_started(status, table)
    volumes = plan_volumes(spec, status, observation, table, membership)
    guests = plan_guests(spec, status, observation, membership.keep, volumes.hold)
    lost = guests.lost or _lost(status, observation, membership)
    removal = remove_machines(spec, observation, table, membership.remove, remediation, rollout.why, now)
    change = change_managers(spec, observation, table, membership.keep, _awaited_managers(membership), guests.joins, now, volumes.yielding)
    groups = plan_groups(spec, status, observation, table)
    creation = plan_creation(spec, status, observation, table, membership, infrastructure, groups)
    halted = lost or _leaderless(spec, status, observation)
    steps = _steps(spec, status, observation, table, membership, infrastructure, groups, creation, guests, removal, halted, now)
    preloads = plan_preloads(spec, membership.keep)
    if lost is None:
        repairs_now = _repairs(observation, table, remediation, guests, volumes.hold)
        stamped = stamps(spec, observation, membership.keep)
        steps = (*steps, *change.steps, *volumes.steps, *repairs_now, *images.steps, *preloads.steps, *stamped)
    authority = plan_authority(spec, status, observation, now, complete=_complete(status, membership, "Manager", "Worker"))
    lock = plan_autolock(
        spec, status, observation, membership.keep, complete=_complete(status, membership, "Manager") and not (authority.steps or authority.holds)
    )
    if lost is None:
        steps = first_the_key((*steps, *authority.steps, *lock.steps, *(() if change.steps else renewals(spec, observation, membership.keep, now))))
    recovery = plan_recovery(spec, status, observation, membership.keep, now)
    lost = "; ".join(text for text in (lost, recovery.message) if text) or None
    steps = (*(held(steps) if authority.holds else steps), *guests.unlocks, *recovery.steps)
    orphans = find_orphans(spec, status, observation, now)
    steps = (*credentials.hold(spec, status, observation), *steps, *orphans.steps)
    adoption = assess_adoption(spec, status, observation, table, infrastructure.steps, infrastructure.problem, now)
    unadopted = pending_adoption(adoption)
    if adoption is not None and unadopted is None:
        steps = (*adopt_step(observation, spec, status), *steps)
    if spec.paused or unadopted is not None:
        steps = ()
    if not observation.servers_fresh and any(step.needs_fresh_servers for step in steps):
        return ClusterPlan(status, wants_fresh=True)
    built = _with_groups(infrastructure.status, groups)
    facts = observed_status(spec, status, observation, table, membership, built, remediation, guests.messages, standing, now, volumes)
    facts = held_back(facts, status, preloads.pending, now)
    facts = facts.model_copy(update={"autolock": lock.status, "authority": authority.status, "recovery": recovery.status})
    waiting_for = next((guests.messages[m.uid] for m in membership.keep if m.id.role == "Manager" and m.uid in guests.messages), "")
    wanted = _wanted(observation, membership)
    building = infrastructure.steps if unadopted is not None else steps
    pending = tuple(dict.fromkeys(type(s).__name__ for s in building if s.condition is ConditionType.INFRASTRUCTURE_READY))
    removing = any(not m.gone and m.uid not in remediation.preserved for m in membership.remove) or any(isinstance(s, RemoveNode) for s in steps)
    unseen = verdicts.verdict(ConditionType.MANAGERS_QUORATE, "Unknown", Reason.NOT_EVALUATED, "not taken over yet")
    parts = (
        verdicts.credentials(observation.credentials),
        credentials.expiring(spec, facts.credentials, observation, now),
        verdicts.infrastructure(infrastructure.problem, pending),
        unseen if unadopted is not None and isinstance(observation.swarm, Unknown) else verdicts.managers(observation, status, started, lost, waiting_for),
        unadopted
        or verdicts.members(
            facts,
            wanted,
            removing,
            remediation,
            observation,
            creation.refused,
            volumes.problem,
            volumes.pending,
            authority.waiting or lock.waiting,
            members_verdict(rollout.status),
        ),
        remediation.verdict,
        halted_verdict(rollout.status),
        verdicts.verdict(ConditionType.DELETION_BLOCKED, "False", Reason.AS_EXPECTED),
        orphans.verdict,
        images.verdict,
        spread(spec, observation, membership.keep, groups),
    )
    summed = verdicts.summary(parts, deleting=False, paused=spec.paused, working=bool(steps))
    failure = _failure(observation, infrastructure, creation.refused)
    steady = any(v.type is ConditionType.READY and v.status == "True" for v in summed) and not steps
    busy = (
        bool(steps)
        or bool(change.waiting)
        or bool(volumes.pending)
        or rollout.working
        or authority.holds
        or _busy(membership, remediation, lost, images.blocked)
    )
    requeue = _requeue(steady, busy, status.swarm_id is not None, observation, membership, remediation)
    for wake in (orphans.wake_in, rollout.wake_in, images.wake_in, recovery.wake_in):
        requeue = requeue if wake is None else max(JOINING_SECONDS, min(requeue, wake))
    if creation.placing or any(isinstance(step, CreatePort | CreateServerGroup) for step in steps):
        requeue = PLACING_SECONDS
    if unadopted is not None:
        requeue = OBSERVING_SECONDS
    # A takeover that is paused is still to be made.
    adoption = status.adoption if spec.paused else adoption
    worked = {uid for uid, failure in remediation.failures.items() if failure.budgeted and not failure.asked_for}
    made = sum(isinstance(x, Repair) or (isinstance(x, DeleteServer) and x.machine_uid in worked) for x in steps)
    repairs = count_repairs(spec, status, made, now)
    facts = facts.model_copy(
        update={"orphans": list(orphans.found), "snapshots": list(images.snapshots), "images": list(images.images), "repairs": repairs, "adoption": adoption}
    )
    facts = facts.model_copy(update={"rollout": rollout.status})
    return ClusterPlan(facts, steps, summed, None if spec.paused else requeue, failure=failure)


def _with_groups(status: InfrastructureStatus, groups: GroupPlan) -> InfrastructureStatus:
    """Ids that are known now; those of pools that wait are as they were."""
    waiting = {pool or "manager" for pool, g in groups.by_pool.items() if g.waits}
    kept = {pool: known for pool, known in status.server_group_ids.items() if pool in waiting}
    return status.model_copy(update={"server_group_ids": {**kept, **groups.ids}})


def _awaited_managers(membership: Membership) -> frozenset[int]:
    """Slots of the managers that have no server yet."""
    return frozenset(m.slot for m in (*membership.create, *membership.waiting) if m.role == "Manager")


def _complete(status: SwarmClusterStatus, membership: Membership, *roles: str) -> bool:
    """Whether no machine of these roles is missing, on its way, or leaving, and no join token is out."""
    there = all(m.joined for m in membership.keep if m.id.role in roles) and all(m.gone for m in membership.remove if m.id.role in roles)
    return there and not any(i.role in roles for i in (*membership.create, *membership.waiting)) and not status.join.token_exposed


def _repairs(observation: ClusterObservation, table: MachineTable, remediation: Remediation, guests: GuestPlan, hold: Mapping[str, str]) -> list[Step]:
    """The rungs that are to be tried now. `hold`: machines that may not join yet, since a volume of theirs is not set up (they were rebuilt, or booted without it)."""
    steps: list[Step] = []
    for machine in table.machines:
        chosen, server = remediation.repairs.get(machine.uid), machine.present
        if chosen is None or chosen.rung is None or server is None:
            continue
        join = None
        if chosen.rung is Rung.REJOIN:
            address = fixed_address(machine)
            if address is None or not guests.managers or machine.uid in hold:
                continue
            join = JoinNode(machine.id, machine.uid, address, guests.managers, leave_first=True)
        because = remediation.failures[machine.uid].message
        steps.append(Repair(Known(server), machine.uid, chosen.rung, chosen.attempts, because, join))
    return steps


def _wanted(observation: ClusterObservation, membership: Membership) -> frozenset[str]:
    """UIDs of the machines that there shall be."""
    return frozenset(m.uid for m in membership.keep) | {m.uid(observation.uid) for m in (*membership.create, *membership.waiting)}


def _steps(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    membership: Membership,
    infrastructure: InfrastructurePlan,
    groups: GroupPlan,
    creation: Creation,
    guests: GuestPlan,
    removal: Removal,
    lost: str | None,
    now: datetime,
) -> tuple[Step, ...]:
    """All steps in order: what others build on first, what destroys last."""
    steps: list[Step] = [*infrastructure.steps]
    creates = creation.steps
    if infrastructure.problem is None:
        steps += groups.steps
    if any(isinstance(s, CreateServer) and s.join_addresses for s in creates) and not status.join.token_exposed:
        steps.append(ExposeJoinToken())
    steps += creates
    if lost is not None:
        # The swarm is gone: nothing is made, joined or removed until a person has decided.
        return infrastructure.steps
    if isinstance(observation.servers, Known):
        awaited = (*membership.create, *membership.waiting)
        wanted = (*(m.id for m in membership.keep), *awaited)
        steps += floating_ip_steps(spec, observation, membership.keep, table, wanted)
        steps += port_steps(observation, table, wanted, awaited)
    steps += guests.steps
    if isinstance(observation.swarm, Known):
        steps += overlays(spec, observation.uid, observation.swarm.value, observation.networks_in_use)
        steps += swarm_settings(spec, observation.swarm.value)
        steps += set_nodes(spec, observation.swarm.value, membership.keep, now)
        if not creates and not membership.create:
            steps += rotation(spec, status, observation, table, now)
    steps += removal.steps
    if isinstance(observation.swarm, Known) and isinstance(observation.servers, Known):
        steps += [RemoveNode(e, e.value.machine_uid or "", "its machine is gone") for e in dangling(table, observation.servers, observation.swarm)]
    return tuple(steps)


def _lost(status: SwarmClusterStatus, observation: ClusterObservation, membership: Membership) -> str | None:
    """So many managers' servers are certainly gone, after the swarm was made, that no majority can come back by itself."""
    if status.swarm_id is None or not isinstance(observation.servers, Known) or isinstance(observation.swarm, Known):
        return None
    members = [m for m in membership.keep if m.id.role == "Manager" and (m.gone or (m.record is not None and m.record.node_id is not None))]
    gone = [m.id.server_name(observation.name) for m in members if m.gone]
    if not gone or len(gone) <= tolerance(len(members)):
        return None
    if len(members) == 1:
        return f"the server of the only manager, {gone[0]}, is gone from Nova, and swarm {status.swarm_id} with it"
    return f"the servers of {len(gone)} of {len(members)} managers are gone from Nova ({', '.join(gone)}): swarm {status.swarm_id} has no majority"


def _leaderless(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> str | None:
    """Managers answer and have no leader: an election, or no majority. Nothing is touched meanwhile."""
    view = observation.swarm
    several = status.swarm_id is not None and spec.managers.replicas > 1
    return view.message if several and isinstance(view, Unknown) and view.reason is Reason.QUORUM_LOST else None


def _failure(observation: ClusterObservation, infrastructure: InfrastructurePlan, refused: Unknown | None) -> Reason | None:
    """The fact whose absence ends this reconcile in a Retry. The swarm's absence does not: while a manager boots that is the normal course."""
    for fact in (observation.credentials, infrastructure.problem, observation.servers, refused):
        if isinstance(fact, Unknown) and fact.reason not in {Reason.VOLUMES_PENDING, *WAITS}:
            return fact.reason
    return None


def _requeue(steady: bool, busy: bool, started: bool, observation: ClusterObservation, membership: Membership, remediation: Remediation) -> float:
    """Session events and edits wake us anyway: this is for what nobody tells us of."""
    waits = [wait for wait in (membership.wake_in, remediation.wake_in) if wait is not None]
    if steady or not busy:
        return max(JOINING_SECONDS, min([STEADY_SECONDS, *waits]))
    if isinstance(observation.swarm, Known):
        return JOINING_SECONDS
    return SILENT_SECONDS if started else BUSY_SECONDS


def _busy(membership: Membership, remediation: Remediation, lost: str | None, blocked: frozenset[str]) -> bool:
    """Whether something is on its way: a server is built or goes, a guest boots or joins, a node drains, a manager is silent."""
    if lost is not None:
        return False
    on_its_way = any(not m.joined and m.uid not in remediation.failures for m in membership.keep)
    leaving = any(not m.gone and m.uid not in remediation.preserved for m in membership.remove)
    return on_its_way or leaving or any(m.pool not in blocked for m in membership.create)
