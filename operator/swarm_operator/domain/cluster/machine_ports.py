"""Neutron ports that belong to a slot: every machine boots on them, and its successor on the same, so that fixed addresses and floating IP stay.

Nova leaves a port that it was given when the server goes, and empties its `device_id` (Compute API, "Create Server", `networks.port`); such a port is ours to delete. It is
found by its description, which holds the slot's UID, and how it was asked for where that is not the default: a port of other options is another port. A port is given to a server
only while no other has it, and Nova refuses one in use. Where the former server does not go in time (`membership`), its successor gets further ports of the slot.

The first port is the swarm's. It is on the cluster's network, and its first address is the one that members know each other by (`machines.tabulate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.ports import PortSpec, has_own_address
from swarm_operator.domain.cloud import OwnedNetworking, Port, Server
from swarm_operator.domain.cluster.machines import MachineTable, machine_spec, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import CreateTrunk, DeletePort, DeleteTrunk, Step, TagPort
from swarm_operator.domain.digests import digest_of
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import NIC_PART, MachineId, nic_part, part_of, port_part, slot_of_port

TAGGED_AT_ONCE = 20
"""Ports that are given tags in one reconcile."""


@dataclass(frozen=True)
class WantedPort:
    """One of a machine's ports. `spec` is None for the default one."""

    part: str
    index: int
    spec: PortSpec | None = None

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(self.spec.tags) if self.spec is not None else frozenset()

    @property
    def trunk(self) -> bool:
        return self.spec is not None and self.spec.trunk


def options(ports: Sequence[PortSpec]) -> list[dict[str, Any]]:
    """What a change of asks for new ports, in manifest form: not tags, and not the name of the first one. Empty where the ports are the default."""
    found = [p.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"tags", *(() if index else ("name",))}) for index, p in enumerate(ports)]
    return [] if found == [{}] else found


def wanted_ports(spec: SwarmClusterSpec, machine: MachineId, cluster_uid: str) -> tuple[WantedPort, ...]:
    """The ports of a machine's slot, the swarm's first."""
    slot, declared = machine.slot_uid(cluster_uid), machine_spec(spec, machine.pool).ports
    if not declared:
        return (WantedPort(port_part(slot), 0),)
    found: list[WantedPort] = []
    for index, (port, asked) in enumerate(zip(declared, options(declared) or [{}], strict=True)):
        asked = {name: value for name, value in asked.items() if name != "name"}
        digest = digest_of(asked, 8) if asked else ""
        found.append(WantedPort(nic_part(slot, port.name, digest) if index else port_part(slot, digest), index, port))
    return tuple(found)


def slot_ports(networking: OwnedNetworking, cluster_uid: str, machine: MachineId) -> list[Port]:
    """The ports of a machine's slot, by id; those for the swarm first."""
    slot = machine.slot_uid(cluster_uid)
    ours = [p for p in networking.ports if slot_of_port(part_of(p.description, cluster_uid)) == slot]
    return sorted(ours, key=lambda p: ((part_of(p.description, cluster_uid) or "").startswith(NIC_PART), p.id))


def own_port(networking: Fact[OwnedNetworking], cluster_uid: str, machine: MachineId, server: Server) -> Port | None:
    """The swarm's port of the slot that a server is on: by its address, since the listing of ports may be older than the server."""
    if isinstance(networking, Unknown):
        return None
    ports = [p for p in slot_ports(networking.value, cluster_uid, machine) if not (part_of(p.description, cluster_uid) or "").startswith(NIC_PART)]
    by_address = (p for p in ports if set(p.fixed_ips) & set(server.fixed))
    return next(by_address, next((p for p in ports if p.device_id == server.id), None))


def free_port(observation: ClusterObservation, machine: MachineId, part: str) -> Port | None:
    """A port of the slot and part that no server has. What a remembered listing shows on a server that is gone is free: Nova lets go of ports before it forgets their server."""
    if isinstance(observation.networking, Unknown) or isinstance(observation.servers, Unknown):
        return None
    servers = {s.id for s in observation.servers.value}
    ports = [p for p in slot_ports(observation.networking.value, observation.uid, machine) if part_of(p.description, observation.uid) == part]
    return next((p for p in ports if not p.device_id or (not observation.project_fresh and p.device_id not in servers)), None)


def in_the_way(spec: SwarmClusterSpec, observation: ClusterObservation, machine: MachineId) -> bool:
    """Whether a port of the slot that is made otherwise is still there, and may hold an address that the machine is to have."""
    if isinstance(observation.networking, Unknown) or not has_own_address(machine_spec(spec, machine.pool).ports):
        return False
    parts = {wanted.part for wanted in wanted_ports(spec, machine, observation.uid)}
    return any(part_of(p.description, observation.uid) not in parts for p in slot_ports(observation.networking.value, observation.uid, machine))


def port_steps(
    spec: SwarmClusterSpec, observation: ClusterObservation, table: MachineTable, wanted: Iterable[MachineId], awaited: Iterable[MachineId]
) -> tuple[Step, ...]:
    """Tags that are missing; deletes of ports whose slot has no machine, and shall have none, of those made twice, and of those that are made otherwise now.
    `wanted`: all machines that there shall be; `awaited`: those that have no server yet.

    A port that a server of ours uses is never deleted, whatever its description says; nor any of a slot while it is not known which of them its server is on.
    """
    if isinstance(observation.networking, Unknown) or isinstance(observation.servers, Unknown):
        return ()
    uid = observation.uid
    everybody, missing = tuple(wanted), tuple(awaited)
    devices = {s.id for s in observation.servers.value}
    alive = {m.slot_uid(uid) for m in everybody} | {m.id.slot_uid(uid) for m in table.machines if not m.gone}
    used, unclear = _on_ports(observation.networking.value, uid, table)
    spare = {w.part for m in missing for w in wanted_ports(spec, m, uid)}
    vacant = {m.slot_uid(uid) for m in missing}
    doomed: list[Port] = []
    for port in sorted(observation.networking.value.ports, key=lambda p: p.id):
        part = part_of(port.description, uid)
        slot = slot_of_port(part)
        if slot is None or port.device_id in devices or port.id in used:
            continue
        if slot not in alive:
            doomed.append(port)
        elif slot not in unclear:
            if part in spare:
                spare.remove(part)
            elif slot in used.values() or slot in vacant:
                doomed.append(port)
    return (*_tags(spec, observation, everybody), *removals(doomed, "no machine has it"))


def removals(ports: Iterable[Port], because: str) -> Iterator[Step]:
    """Deletes of ports, each after the trunk that it is the parent of: Neutron refuses it before."""
    for port in ports:
        if port.trunk_id is not None:
            yield DeleteTrunk(Known(port.trunk_id), because)
        yield DeletePort("port", Known(port.id), because)


def trunk_step(wanted: WantedPort, port: Port) -> CreateTrunk | None:
    """The trunk that a port must be the parent of before a server boots on it: drivers refuse one of a port that is bound."""
    return CreateTrunk(port.id) if wanted.trunk and port.trunk_id is None else None


def _tags(spec: SwarmClusterSpec, observation: ClusterObservation, machines: Iterable[MachineId]) -> tuple[Step, ...]:
    tagged = {pool for _, pool, _ in pools(spec) if any(port.tags for port in machine_spec(spec, pool).ports)}
    if not tagged or isinstance(observation.networking, Unknown):
        return ()
    uid = observation.uid
    tags = {w.part: w.tags for m in machines if m.pool in tagged for w in wanted_ports(spec, m, uid) if w.tags}
    parts = ((p, part_of(p.description, uid)) for p in observation.networking.value.ports)
    lacking = [(p, tags[part]) for p, part in parts if part in tags and not tags[part] <= set(p.tags)]
    return tuple(TagPort(Known(p), tuple(sorted({*p.tags, *more}))) for p, more in lacking[:TAGGED_AT_ONCE])


def _on_ports(networking: OwnedNetworking, uid: str, table: MachineTable) -> tuple[dict[str, str], frozenset[str]]:
    """Slots by the ports that their servers are on, and the slots with a server whose port is not known (it has no address yet)."""
    used: dict[str, str] = {}
    unclear = set()
    by_slot: dict[str, list[Port]] = {}
    for port in networking.ports:
        by_slot.setdefault(slot_of_port(part_of(port.description, uid)) or "", []).append(port)
    for machine in table.machines:
        slot, server = machine.id.slot_uid(uid), machine.present
        if server is None:
            if not machine.gone:
                unclear.add(slot)
            continue
        ports = by_slot.get(slot, [])
        on = [p for p in ports if set(p.fixed_ips) & set(server.fixed)] or [p for p in ports if p.device_id == server.id]
        used |= {p.id: slot for p in on}
        if not on and not server.fixed:
            unclear.add(slot)
    return used, frozenset(unclear)
