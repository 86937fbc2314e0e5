"""Floating IPs of the managers: each belongs to a slot and follows whoever holds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.domain.cloud import FloatingIP, OwnedNetworking
from swarm_operator.domain.cluster.machine_ports import own_port
from swarm_operator.domain.cluster.machines import Machine, MachineTable
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.owned import owned
from swarm_operator.domain.cluster.steps import DeleteInfrastructure, EnsureFloatingIP, Step
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import FLOATING_IP_PART, MachineId, floating_ip_part, part_of


def floating_ip_of(networking: OwnedNetworking, cluster_uid: str, machine: MachineId) -> FloatingIP | None:
    """The floating IP of a machine's slot; one that is on a port before one that is not."""
    return _first(owned(networking.floating_ips, cluster_uid, floating_ip_part(machine.slot_uid(cluster_uid))))


def leads_to(address: FloatingIP, networking: Fact[OwnedNetworking], cluster_uid: str, machine: Machine) -> bool:
    """Whether a floating IP leads to the machine's present server, as far as can be known: one on another port of the slot leads to somebody else."""
    if address.port_id is None or machine.present is None:
        return False
    port = own_port(networking, cluster_uid, machine.id, machine.present)
    return port is None or port.id == address.port_id


def floating_ip_steps(
    spec: SwarmClusterSpec, observation: ClusterObservation, keep: Sequence[Machine], table: MachineTable, wanted: Iterable[MachineId]
) -> tuple[Step, ...]:
    """A floating IP for each manager that is up; those of slots that are no more are released. `wanted`: all machines that there shall be."""
    if isinstance(observation.networking, Unknown):
        return ()
    networking, uid = observation.networking.value, observation.uid
    steps: list[Step] = []
    in_use = set()
    asked = set()
    for machine in keep:
        if machine.id.role != "Manager" or not spec.managers.floating_ip.enabled:
            continue
        found = floating_ip_of(networking, uid, machine.id)
        if found is not None:
            in_use.add(found.id)
        server = machine.present
        if server is not None and server.status == "ACTIVE" and (found is None or not leads_to(found, observation.networking, uid, machine)):
            steps.append(EnsureFloatingIP(machine.id, machine.uid, server.id, found.id if found is not None else None))
            asked.add(machine.id.slot_uid(uid))
    alive = {m.slot_uid(uid) for m in wanted} | {m.id.slot_uid(uid) for m in table.machines if not m.gone}
    for address in sorted(networking.floating_ips, key=lambda f: f.id):
        part = part_of(address.description, uid) or ""
        slot = part.removeprefix(FLOATING_IP_PART)
        if slot == part or address.id in in_use or slot in asked:
            continue  # serves no slot (an orphan), is the one in use, or will be told apart once the step is done
        first = _first(owned(networking.floating_ips, uid, part))
        if slot not in alive or (first is not None and first.id != address.id):
            steps.append(DeleteInfrastructure("floating-ip", Known(address.id), "no machine has it"))
    return tuple(steps)


def _first(found: Sequence[FloatingIP]) -> FloatingIP | None:
    return min(found, key=lambda f: (f.port_id is None, f.id)) if found else None
