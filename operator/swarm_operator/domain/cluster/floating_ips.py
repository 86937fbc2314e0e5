"""Floating IPs of machines: each belongs to a slot and follows whoever holds it.

One that was made carries the slot in its description. One that `floatingIP.addresses` names is the user's: nothing is written into it, so nothing that deletes by ownership ever
takes it for the cluster's; it is put on the slot's port, and taken off where the spec names it no more. One on a port of somebody else is left there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.floating_ip import FloatingIPSpec, WorkerFloatingIPSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import FloatingIP, OwnedNetworking, Server
from swarm_operator.domain.cluster.machine_ports import own_port
from swarm_operator.domain.cluster.machines import Machine, MachineTable, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.owned import owned
from swarm_operator.domain.cluster.steps import DeleteInfrastructure, DetachFloatingIP, EnsureFloatingIP, ReleaseFloatingIP, Step
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import FLOATING_IP_PART, MachineId, cluster_of, floating_ip_part, part_of

_MOST_SLOTS: Final = 1000
"""Of a pool: `spec.workerPools` has no more workers together."""


def settings_of(spec: SwarmClusterSpec, pool: str) -> FloatingIPSpec | WorkerFloatingIPSpec:
    """Those of a pool ("" for managers); of one that has left the spec: none are given."""
    if pool == "":
        return spec.managers.floating_ip
    return next((p.floating_ip for p in spec.worker_pools if p.name == pool), WorkerFloatingIPSpec())


def given_addresses(spec: SwarmClusterSpec) -> frozenset[str]:
    """All that the spec names."""
    return frozenset(a for _, pool, _ in pools(spec) for a in settings_of(spec, pool).addresses)


def given_address(spec: SwarmClusterSpec, machine: MachineId) -> tuple[str, str] | None:
    """The address that the spec names for a machine's slot, and the field that does."""
    chosen = settings_of(spec, machine.pool)
    if not chosen.enabled or machine.slot >= len(chosen.addresses):
        return None
    # A pool may be an entry of spec.workerPools or an object.
    field = f"spec.managers.floatingIP.addresses[{machine.slot}]" if machine.pool == "" else f"floatingIP.addresses[{machine.slot}] of pool {machine.pool}"
    return chosen.addresses[machine.slot], field


def made_floating_ip(networking: OwnedNetworking, cluster_uid: str, machine: MachineId) -> FloatingIP | None:
    """The floating IP that was made for a machine's slot; one that is on a port before one that is not."""
    return _first(owned(networking.floating_ips, cluster_uid, floating_ip_part(machine.slot_uid(cluster_uid))))


def wanted_floating_ip(spec: SwarmClusterSpec, networking: OwnedNetworking, cluster_uid: str, machine: MachineId) -> FloatingIP | None:
    """The one that the slot shall have, where there is one: that which the spec names, or that which was made."""
    given = given_address(spec, machine)
    if given is None:
        return made_floating_ip(networking, cluster_uid, machine)
    return next((f for f in (*networking.other_floating_ips, *networking.floating_ips) if f.address == given[0]), None)


def serving_address(spec: SwarmClusterSpec, networking: Fact[OwnedNetworking], cluster_uid: str, machine: Machine) -> str | None:
    """The floating IP by which a machine is reached now; while another is to take its place that is the former. Nova's word where Neutron shows none of the slot."""
    if isinstance(networking, Known):
        both = (wanted_floating_ip(spec, networking.value, cluster_uid, machine.id), made_floating_ip(networking.value, cluster_uid, machine.id))
        found = [f for f in both if f is not None]
        leading = next((f.address for f in found if leads_to(f, networking, cluster_uid, machine)), None)
        if leading is not None or (found and given_address(spec, machine.id) is None):
            return leading
    server = machine.present
    return server.floating[0] if server is not None and server.floating else None


def leads_to(address: FloatingIP, networking: Fact[OwnedNetworking], cluster_uid: str, machine: Machine) -> bool:
    """Whether a floating IP leads to the machine's present server, as far as can be known: one on another port of the slot leads to somebody else."""
    server = machine.present
    if address.port_id is None or server is None:
        return False
    port = own_port(networking, cluster_uid, machine.id, server)
    if port is None and isinstance(networking, Known) and address in networking.value.other_floating_ips:
        return address.address in server.floating
    return port is None or port.id == address.port_id


def address_problem(spec: SwarmClusterSpec, observation: ClusterObservation) -> Unknown | None:
    """The first address of the spec that is not there, or is somebody else's. It keeps nothing but its own slot waiting."""
    if isinstance(observation.networking, Unknown) or isinstance(observation.servers, Unknown):
        return None
    networking = observation.networking.value
    for role, pool, replicas in pools(spec):
        for slot in range(min(replicas, len(settings_of(spec, pool).addresses))):
            machine = MachineId(role, pool, slot, 1)
            given, found = given_address(spec, machine), wanted_floating_ip(spec, networking, observation.uid, machine)
            if given is None:
                continue
            address, field = given
            if found is None:
                return Unknown(Reason.REFERENCE_NOT_FOUND, f"{field}: the project has no floating IP {address}")
            if taken := taken_by(found, networking, observation.uid, observation.servers.value):
                return Unknown(Reason.ADDRESS_IN_USE, f"{field}: {address} {taken}")
    return None


def taken_by(address: FloatingIP, networking: OwnedNetworking, cluster_uid: str, servers: Iterable[Server]) -> str:
    """Whose a floating IP is, where it is not free for us; "" where it is."""
    other = cluster_of(address.description)
    if other not in (None, cluster_uid):
        return f"belongs to the SwarmCluster with UID {other}"
    free = address.port_id is None or address.port_id in {p.id for p in networking.ports} or any(address.address in s.floating for s in servers)
    return "" if free else f"is on port {address.port_id}, which is not the cluster's"


def floating_ip_steps(
    spec: SwarmClusterSpec, observation: ClusterObservation, keep: Sequence[Machine], table: MachineTable, wanted: Iterable[MachineId]
) -> tuple[Step, ...]:
    """A floating IP for each machine that is up and shall have one; those of slots that are no more are released. `wanted`: all machines that there shall be."""
    if isinstance(observation.networking, Unknown) or isinstance(observation.servers, Unknown):
        return ()
    networking, uid = observation.networking.value, observation.uid
    steps: list[Step] = []
    in_use = set()
    asked = set()
    replaced = set()
    """Slots whose address the spec gives, and that have it."""
    # Of two holders of a slot the former has the address until it goes; once it has gone over to the later one, it stays there, whatever is known of the former then.
    chosen_holders: dict[str, Machine] = {}
    for machine in sorted(keep, key=lambda m: m.id):
        slot = machine.id.slot_uid(uid)
        address = wanted_floating_ip(spec, networking, uid, machine.id) if slot in chosen_holders else None
        if slot not in chosen_holders or (address is not None and leads_to(address, observation.networking, uid, machine)):
            chosen_holders[slot] = machine
    for machine in keep:
        chosen = settings_of(spec, machine.id.pool)
        if not chosen.enabled or chosen_holders[machine.id.slot_uid(uid)].uid != machine.uid:
            continue
        given, found = given_address(spec, machine.id), wanted_floating_ip(spec, networking, uid, machine.id)
        if given is not None and (found is None or taken_by(found, networking, uid, observation.servers.value)):
            continue
        if found is not None:
            in_use.add(found.id)
        leads = found is not None and leads_to(found, observation.networking, uid, machine)
        if given is not None and leads:
            replaced.add(machine.id.slot_uid(uid))
        server = machine.present
        if server is not None and server.status == "ACTIVE" and not leads:
            steps += _room(spec, observation.networking, uid, machine, found, server)
            network = observation.network_references
            pool = network.value.floating_network_ids.get(machine.id.pool) if isinstance(network, Known) else None
            steps.append(EnsureFloatingIP(machine.id, machine.uid, server.id, found.id if found is not None else None, pool, given[1] if given else None))
            asked.add(machine.id.slot_uid(uid))
    alive = {m.slot_uid(uid) for m in wanted} | {m.id.slot_uid(uid) for m in table.machines if not m.gone}
    removed = {s.evidence.value for s in steps if isinstance(s, DeleteInfrastructure)}
    steps += [ReleaseFloatingIP(Known(f), "spec names it", keep_port=True) for f in networking.floating_ips if f.address in given_addresses(spec)]
    for address in sorted(networking.floating_ips, key=lambda f: f.id):
        part = part_of(address.description, uid) or ""
        slot = part.removeprefix(FLOATING_IP_PART)
        if slot == part or address.id in in_use or slot in asked or address.id in removed or address.address in given_addresses(spec):
            continue  # serves no slot (an orphan), is the one in use, or will be told apart once the step is done
        first = _first(owned(networking.floating_ips, uid, part))
        if first is not None and first.id != address.id:
            steps.append(DeleteInfrastructure("floating-ip", Known(address.id), "made twice"))
        elif slot not in alive or slot in replaced:
            steps.append(removal(spec, uid, address, "no machine has it"))
    return tuple(steps)


def _room(spec: SwarmClusterSpec, networking: Fact[OwnedNetworking], uid: str, machine: Machine, wanted: FloatingIP | None, server: Server) -> list[Step]:
    """What must leave the machine's port first: Neutron puts one floating IP on a fixed address. Only what the cluster put there: another is left, and Neutron's refusal told."""
    port = own_port(networking, uid, machine.id, server)
    if port is None or isinstance(networking, Unknown):
        return []
    there = [f for f in networking.value.floating_ips if f.port_id == port.id and (wanted is None or f.id != wanted.id)]
    steps: list[Step] = [removal(spec, uid, f, "another takes its place") for f in there]
    was = machine.record.floating_ip if machine.record is not None else None
    theirs = [f for f in networking.value.other_floating_ips if f.port_id == port.id and (wanted is None or f.id != wanted.id)]
    return [*steps, *(DetachFloatingIP(Known(f), "another takes its place") for f in theirs if f.address == was or f.address in given_addresses(spec))]


def removal(spec: SwarmClusterSpec, uid: str, address: FloatingIP, because: str) -> Step:
    """How one that was made goes: deleted, or let go as the spec says; never deleted where the spec names it."""
    slot = (part_of(address.description, uid) or "").removeprefix(FLOATING_IP_PART)
    if address.address in given_addresses(spec) or _policy(spec, uid, slot) == "Release":
        return ReleaseFloatingIP(Known(address), because)
    return DeleteInfrastructure("floating-ip", Known(address.id), because)


def _policy(spec: SwarmClusterSpec, uid: str, slot_uid: str) -> str:
    """That of the slot's pool; the managers' for a pool that has left the spec, whose slots can't be told any more."""
    common = spec.managers.floating_ip.deletion_policy
    for pool in spec.worker_pools:
        if pool.floating_ip.deletion_policy != common and any(MachineId("Worker", pool.name, n, 1).slot_uid(uid) == slot_uid for n in range(_MOST_SLOTS)):
            return pool.floating_ip.deletion_policy
    return common


def _first(found: Sequence[FloatingIP]) -> FloatingIP | None:
    return min(found, key=lambda f: (f.port_id is None, f.id)) if found else None
