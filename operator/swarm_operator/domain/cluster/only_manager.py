"""The only manager gets a successor, where `rollout.loneManager` says so: a second manager joins beside it, in the same slot and on a port of its own, and when that has been a manager for
`minReadySeconds` the former is drained, demoted, removed and deleted. The floating IP of the slot goes over when the former leaves.

While there are two, raft needs both of them (majority of 2 is 2), so neither may fail. That is why nothing begins while anything else is unhealthy, on its way, or changing, and
why it is never done unasked. The way back is open until the former one is demoted; where one is lost meanwhile, the swarm is lost and is recovered as any other
(`recovery`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.ports import has_own_address
from swarm_operator.domain.cluster.machines import Machine, MachineTable, current, machine_spec, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.remediation import REMEDIATE_ANNOTATION
from swarm_operator.domain.cluster.slots import Slot
from swarm_operator.domain.cluster.standing import NOT_KNOWN, Standing
from swarm_operator.domain.facts import Known
from swarm_operator.domain.quorum import in_transition, raft_members


def may_be_replaced(spec: SwarmClusterSpec) -> bool:
    """Whether the only manager of the spec is one that gets a successor: it was asked for, and what the machine has can be there twice."""
    return spec.managers.replicas == 1 and spec.rollout.lone_manager == "Replace" and not is_bound(spec, "")


def is_bound(spec: SwarmClusterSpec, pool: str) -> bool:
    """Whether a machine of the pool ("" for managers) has what can't be there twice: a data volume, a fixed address of its own."""
    machine = machine_spec(spec, pool)
    return bool(machine.volumes) or has_own_address(machine.ports)


def asked_for(
    spec: SwarmClusterSpec, observation: ClusterObservation, table: MachineTable, standing: Mapping[str, Standing]
) -> tuple[Mapping[str, Standing], str | None]:
    """`standing` with the only manager as outdated where the annotation names it, healthy as it is; and its UID then."""
    named = observation.named(REMEDIATE_ANNOTATION)
    # Also while its successor is there already: it is not to be given up for the former.
    for machine in table.of("Manager") if may_be_replaced(spec) else ():
        found = standing.get(machine.uid, NOT_KNOWN)
        if machine.joined and found.up_to_date is not None and machine.id.server_name(observation.name) in named:
            outdated = replace(found, up_to_date=False, why=(*found.why, f"the annotation {REMEDIATE_ANNOTATION}"))
            return {**standing, machine.uid: outdated}, machine.uid
    return standing, None


def to_succeed(spec: SwarmClusterSpec, observation: ClusterObservation, table: MachineTable, slot: Slot, unhealthy: str | None) -> tuple[bool, str]:
    """Whether the successor is to be made now, and what it waits for."""
    if not may_be_replaced(spec) or slot.former:
        return False, ""
    view, holder = observation.swarm, slot.holder
    if not isinstance(view, Known) or holder.being_deleted:
        return False, ""
    if unhealthy is not None:
        return False, f"{unhealthy}, which is unhealthy"
    missing = next((m for m in _holders(spec, table) if not m.joined), None)
    if missing is not None:
        return False, f"{missing.id.server_name(observation.name)}, which is not ready"
    if in_transition(view.value.nodes) or len(raft_members(view.value.nodes)) != 1:
        return False, "there to be one manager, whose role does not change"
    return True, ""


def _holders(spec: SwarmClusterSpec, table: MachineTable) -> list[Machine]:
    return [m for role, pool, _ in pools(spec) for m in current(table.of(role, pool))]
