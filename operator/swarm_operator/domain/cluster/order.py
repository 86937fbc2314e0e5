"""From the plans of all parts to the steps of one reconcile, in order: what others build on first, what destroys last."""

from __future__ import annotations

from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import Rung, SwarmClusterStatus
from swarm_operator.domain.cluster import credentials
from swarm_operator.domain.cluster.authority import held
from swarm_operator.domain.cluster.autolock import first_the_key
from swarm_operator.domain.cluster.engine_rollout import engine_steps
from swarm_operator.domain.cluster.engine_tls import renewals
from swarm_operator.domain.cluster.floating_ips import floating_ip_steps
from swarm_operator.domain.cluster.guests import fixed_address
from swarm_operator.domain.cluster.machine_ports import port_steps
from swarm_operator.domain.cluster.membership import dangling
from swarm_operator.domain.cluster.nodes import rotation, set_nodes, swarm_settings
from swarm_operator.domain.cluster.overlays import overlays
from swarm_operator.domain.cluster.parts import Plans
from swarm_operator.domain.cluster.promotion import adoptions, promotions
from swarm_operator.domain.cluster.standing import stamps, tags
from swarm_operator.domain.cluster.steps import CreateServer, ExposeJoinToken, JoinNode, RemoveNode, Repair, RestartEngine, Step
from swarm_operator.domain.facts import Known


def order_steps(spec: SwarmClusterSpec, status: SwarmClusterStatus, plans: Plans, now: datetime) -> tuple[Step, ...]:
    """All that is to be done now. While the swarm is lost, only what a person who brings it back builds on."""
    keep, observation = plans.membership.keep, plans.observation
    steps = _of_machines(spec, status, plans, now)
    if plans.lost is None:
        steps = (
            *steps,
            *plans.change.steps,
            *plans.volumes.steps,
            *_repairs(plans),
            *plans.images.steps,
            *plans.backup.steps,
            *plans.preloads.steps,
            *stamps(plans.wanted, keep),
            *tags(spec, keep),
        )
        engines = _engines(spec, plans, now)
        # Certificates are renewed by restarts of engines: not while the managers change, or one of theirs is restarted for another cause.
        restarted = any(isinstance(s, RestartEngine) for s in engines)
        renewed = () if plans.change.steps or restarted else renewals(spec, observation, keep, now)
        steps = first_the_key((*steps, *plans.authority.steps, *plans.lock.steps, *engines, *renewed))
    steps = held(steps) if plans.authority.holds else steps
    return (*credentials.hold(spec, status, observation), *steps, *plans.guests.unlocks, *plans.recovery.steps)


def _of_machines(spec: SwarmClusterSpec, status: SwarmClusterStatus, plans: Plans, now: datetime) -> tuple[Step, ...]:
    """Infrastructure, servers, joins, nodes and removals."""
    observation, membership, table = plans.observation, plans.membership, plans.table
    if plans.lost or plans.leaderless:
        # Nothing is made, joined or removed until there is a leader, or a person has decided.
        return plans.infrastructure.steps
    steps: list[Step] = [*plans.infrastructure.steps]
    creates = plans.creation.steps
    if plans.infrastructure.problem is None:
        steps += plans.groups.steps
    if any(isinstance(s, CreateServer) and s.join_addresses for s in creates) and not status.join.token_exposed:
        steps.append(ExposeJoinToken())
    steps += creates
    steps += promotions(membership.promote)
    steps += adoptions(observation, membership.keep)
    if isinstance(observation.servers, Known):
        awaited = (*membership.create, *membership.waiting)
        wanted = (*(m.id for m in membership.keep), *awaited)
        steps += floating_ip_steps(spec, observation, membership.keep, table, wanted)
        steps += port_steps(spec, observation, table, wanted, awaited)
    steps += plans.guests.steps
    if isinstance(observation.swarm, Known):
        steps += overlays(spec, observation.uid, observation.swarm.value, observation.networks_in_use)
        steps += swarm_settings(spec, observation.swarm.value)
        steps += set_nodes(spec, observation.swarm.value, membership.keep, now, _engines_out(plans))
        if not creates and not membership.create:
            steps += rotation(spec, status, observation, table, now)
    steps += plans.removal.steps
    if isinstance(observation.swarm, Known) and isinstance(observation.servers, Known):
        steps += [RemoveNode(e, e.value.machine_uid or "", "its machine is gone") for e in dangling(table, observation.servers, observation.swarm)]
    return tuple(steps)


def _engines_out(plans: Plans) -> set[str]:
    """UIDs of the machines that stay drained because of their engines: while it is not known whether they still need a restart, too."""
    known = {uid for uid, standing in plans.standing.items() if standing.up_to_date is not None}
    return {m.uid for m in (*plans.rollout.engines_out, *(m for m in plans.membership.keep if m.uid not in known))}


def _engines(spec: SwarmClusterSpec, plans: Plans, now: datetime) -> tuple[Step, ...]:
    """Engines that get other settings; those of managers not while the managers change."""
    rollout, observation = plans.rollout, plans.observation
    out = [m for m in rollout.engines_out if m.id.role == "Worker" or not (plans.change.steps or plans.change.waiting)]
    empty = {m.member.id for m in out if m.member is not None and observation.has_no_tasks(m.member.id)}
    return engine_steps(spec, observation, rollout.reload, out, plans.wanted.engine, rollout.spec_hash, empty, now)


def _repairs(plans: Plans) -> list[Step]:
    """The rungs that are to be tried now."""
    steps: list[Step] = []
    remediation, managers = plans.remediation, plans.guests.managers
    for machine in plans.table.machines:
        chosen, server = remediation.repairs.get(machine.uid), machine.present
        if chosen is None or chosen.rung is None or server is None:
            continue
        join = None
        if chosen.rung is Rung.REJOIN:
            address = fixed_address(machine)
            # Not while a volume of it is not set up: it was rebuilt, or booted without.
            if address is None or not managers or machine.uid in plans.volumes.hold:
                continue
            join = JoinNode(machine.id, machine.uid, address, managers, leave_first=True)
        because = remediation.failures[machine.uid].message
        steps.append(Repair(Known(server), machine.uid, chosen.rung, chosen.attempts, because, join))
    return steps
