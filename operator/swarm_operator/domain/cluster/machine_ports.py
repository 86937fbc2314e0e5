"""Neutron ports that belong to a slot: every machine boots on one, and its successor on the same, so that fixed address and floating IP stay.

Nova leaves a port that it was given when the server goes, and empties its `device_id` (Compute API, "Create Server", `networks.port`); such a port is ours to delete. It is
found by its description, which holds the slot's UID. A port is given to a server only while no other has it, and Nova refuses one in use. Where the former server does not go
in time (`membership`), its successor gets a further port of the slot.
"""

from __future__ import annotations

from collections.abc import Iterable

from swarm_operator.domain.cloud import OwnedNetworking, Port, Server
from swarm_operator.domain.cluster.machines import MachineTable
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import DeletePort, Step
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import PORT_PART, MachineId, part_of, port_part


def slot_ports(networking: OwnedNetworking, cluster_uid: str, machine: MachineId) -> list[Port]:
    """The ports of a machine's slot, by id."""
    part = port_part(machine.slot_uid(cluster_uid))
    return sorted((p for p in networking.ports if part_of(p.description, cluster_uid) == part), key=lambda p: p.id)


def own_port(networking: Fact[OwnedNetworking], cluster_uid: str, machine: MachineId, server: Server) -> Port | None:
    """The port of the slot that a server is on: by its address, since the listing of ports may be older than the server."""
    if isinstance(networking, Unknown):
        return None
    ports = slot_ports(networking.value, cluster_uid, machine)
    by_address = (p for p in ports if set(p.fixed_ips) & set(server.fixed))
    return next(by_address, next((p for p in ports if p.device_id == server.id), None))


def free_port(observation: ClusterObservation, machine: MachineId) -> Port | None:
    """A port of the slot that no server has. What a remembered listing shows on a server that is gone is free: Nova lets go of ports before it forgets their server."""
    if isinstance(observation.networking, Unknown) or isinstance(observation.servers, Unknown):
        return None
    servers = {s.id for s in observation.servers.value}
    ports = slot_ports(observation.networking.value, observation.uid, machine)
    return next((p for p in ports if not p.device_id or (not observation.project_fresh and p.device_id not in servers)), None)


def port_steps(observation: ClusterObservation, table: MachineTable, wanted: Iterable[MachineId], awaited: Iterable[MachineId]) -> tuple[Step, ...]:
    """Deletes of ports whose slot has no machine, and shall have none, and of those made twice. `wanted`: all machines that there shall be; `awaited`: those that have no server yet.

    A port that a server of ours uses is never deleted, whatever its description says; nor any of a slot while it is not known which of them its server is on.
    """
    if isinstance(observation.networking, Unknown) or isinstance(observation.servers, Unknown):
        return ()
    uid = observation.uid
    devices = {s.id for s in observation.servers.value}
    alive = {m.slot_uid(uid) for m in wanted} | {m.id.slot_uid(uid) for m in table.machines if not m.gone}
    used, unclear = _on_ports(observation, table)
    spare = {m.slot_uid(uid) for m in awaited}
    doomed: list[Port] = []
    for port in sorted(observation.networking.value.ports, key=lambda p: p.id):
        part = part_of(port.description, uid) or ""
        slot = part.removeprefix(PORT_PART)
        if slot == part or port.device_id in devices or port.id in used:
            continue
        if slot not in alive:
            doomed.append(port)
        elif slot not in unclear:
            if slot in spare:
                spare.remove(slot)
            elif slot in used.values():
                doomed.append(port)
    return tuple(DeletePort("port", Known(port.id), "no machine has it") for port in doomed)


def _on_ports(observation: ClusterObservation, table: MachineTable) -> tuple[dict[str, str], frozenset[str]]:
    """Slots by the ports that their servers are on, and the slots with a server whose port is not known (it has no address yet)."""
    used: dict[str, str] = {}
    unclear = set()
    for machine in table.machines:
        slot = machine.id.slot_uid(observation.uid)
        if machine.present is None:
            if not machine.gone:
                unclear.add(slot)
            continue
        port = own_port(observation.networking, observation.uid, machine.id, machine.present)
        if port is not None:
            used[port.id] = slot
        elif not machine.present.fixed:
            unclear.add(slot)
    return used, frozenset(unclear)
