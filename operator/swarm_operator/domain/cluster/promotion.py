"""Spare workers that become managers: a worker of the pool `managers.promoteFrom` takes the place of a manager that is lost for good, within seconds.

A promotion is one write: the metadata of the worker's server say which manager it is from then on (`ownership.PROMOTED`). All else follows from that, as for any manager: its
port becomes one of the manager's slot and enters the managers' security group, the slot's floating IP moves to it, and `managers.change_managers` changes raft: the dead member
is demoted, then the node is promoted. The Docker API comes last (`engine_tls`), since it takes a restart of the engine. To its pool it is gone, so the pool makes another worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import InfrastructureStatus, MachinePhase
from swarm_operator.domain.cloud import Port
from swarm_operator.domain.cluster.guests import fixed_address
from swarm_operator.domain.cluster.machine_ports import own_port
from swarm_operator.domain.cluster.machines import Machine, MachineTable, next_incarnation
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import AdoptPort, PromoteWorker
from swarm_operator.domain.cluster.zones import load_of, zone_of
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MachineId, promoted
from swarm_operator.domain.quorum import is_quorate, raft_members
from swarm_operator.domain.swarm import Node


def choose(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    table: MachineTable,
    slots: Sequence[int],
    kept: Sequence[Machine],
    spares: Iterable[Machine],
) -> Mapping[int, tuple[Machine, MachineId]]:
    """By slot of a lost manager, the spare that takes its place and what it becomes; one at a time. `slots`: of managers that have no server and were not asked for, `kept`: the
    managers that there are, `spares`: workers of the pool that are to stay.

    Only in place of a member that the swarm, with a majority at hand, can't reach and that is given up: neither to scale up nor to roll managers.
    """
    view = observation.swarm
    if not slots or not isinstance(view, Known) or not isinstance(observation.servers, Known) or not is_quorate(view.value.nodes):
        return {}
    dead = _given_up(view.value.nodes, kept)
    if not dead or any(m.id.origin and not m.joined for m in kept):
        return {}
    load = load_of(kept, "")
    fit = sorted((m for m in spares if _fits(observation, m)), key=lambda m: (load.get(zone_of(m) or "", 0), m.id.slot))
    if not fit:
        return {}
    lost = {m.id.slot for m in table.of("Manager") if m.uid in dead}
    slot = min(slots, key=lambda s: (s not in lost, s))
    made = next_incarnation(observation.uid, "Manager", "", slot, table.machines, view.value.nodes)
    return {slot: (fit[0], promoted(fit[0].id, slot, made.incarnation))}


def _given_up(nodes: Iterable[Node], kept: Sequence[Machine]) -> frozenset[str]:
    """Machine UIDs of the members that are dead and no machine's any more."""
    rows = {m.member.id for m in kept if m.member is not None}
    return frozenset(n.machine_uid for n in nodes if n.role == "manager" and n.reachability == "unreachable" and n.machine_uid is not None and n.id not in rows)


def _fits(observation: ClusterObservation, worker: Machine) -> bool:
    """Whether a worker is healthy, takes tasks, and has a port of its own."""
    server, node, record = worker.present, worker.member, worker.record
    if server is None or node is None or not worker.joined or worker.being_deleted or worker.drained_at is not None:
        return False
    well = server.status == "ACTIVE" and server.task_state is None and (record is None or record.phase == MachinePhase.READY)
    return (
        well and node.availability == "active" and node.os in ("", "linux") and own_port(observation.networking, observation.uid, worker.id, server) is not None
    )


def promotions(chosen: Sequence[tuple[Machine, MachineId]]) -> tuple[PromoteWorker, ...]:
    """As steps."""
    return tuple(PromoteWorker(Known(m.present), m.uid, made) for m, made in chosen if m.present is not None)


def adoptions(observation: ClusterObservation, keep: Sequence[Machine]) -> tuple[AdoptPort, ...]:
    """Ports of promoted managers that are still described as their worker's."""
    return tuple(AdoptPort(m.id, m.uid, Known(port)) for m in keep if m.id.origin and (port := _former_port(observation, m)) is not None)


def unprepared(observation: ClusterObservation, facts: InfrastructureStatus, keep: Sequence[Machine]) -> frozenset[str]:
    """UIDs of promoted managers whose port is not yet one of a manager: the others could not reach them at 2377. Also where the ports are not known."""
    return frozenset(m.uid for m in keep if m.id.origin and not m.joined and not _prepared(observation, facts, m))


def unheard(observation: ClusterObservation, keep: Sequence[Machine]) -> frozenset[str]:
    """UIDs of promoted managers that may still turn to the lost manager when they enter raft, or whose engine is not set up. Also where it is not known."""
    members = _members(observation, keep)
    return frozenset(m.uid for m in keep if m.id.origin and not m.joined and not _knows_only(members, observation, m))


def _members(observation: ClusterObservation, keep: Sequence[Machine]) -> frozenset[str]:
    """Addresses of the members of raft."""
    view = observation.swarm
    rows = [n.address for n in raft_members(view.value.nodes)] if isinstance(view, Known) else []
    return frozenset([*rows, *(address for m in keep if m.id.role == "Manager" and m.joined and (address := fixed_address(m)) is not None)])


def _knows_only(members: Set[str], observation: ClusterObservation, machine: Machine) -> bool:
    """Whether its engine was restarted as a manager's (TLS), and knows no manager but members. Until an engine is restarted it begins each time anew with nothing but the address that it
    joined the swarm through (swarmkit, node/node.go: `config.JoinAddr`; seen on 20.10): where that is the lost one, a promotion puts it out for good. And workers are told of a
    change of managers a moment after it."""
    guest = observation.guest(machine.uid)
    known = {peer.rpartition(":")[0].strip("[]") for peer in guest.value.engine.remote_managers} if isinstance(guest, Known) else set()
    return bool(known) and known <= members and isinstance(guest, Known) and guest.value.tls_in_force


def _former_port(observation: ClusterObservation, machine: Machine) -> Port | None:
    return None if machine.present is None else own_port(observation.networking, observation.uid, machine.id.made_as, machine.present)


def _prepared(observation: ClusterObservation, facts: InfrastructureStatus, machine: Machine) -> bool:
    if machine.present is None:
        return False
    port = own_port(observation.networking, observation.uid, machine.id, machine.present)
    return port is not None and set(facts.manager_security_group_ids) <= set(port.security_group_ids)
