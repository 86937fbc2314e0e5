"""The table of machines: status.nodes united with the owned servers and the swarm's nodes. Status may be lost; it is then rebuilt from server metadata and engine labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec, WorkerPool
from swarm_operator.api.cluster_status import MachineOrigin, MachineStatus, SwarmClusterStatus
from swarm_operator.api.machine import MachineSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import (
    ENGINE_LABEL_MACHINE,
    NODE_LABEL_DRAINED,
    NODE_LABEL_PREEMPTIBLE,
    MachineId,
    Role,
    machine_of,
    part_of,
    port_part,
)
from swarm_operator.domain.swarm import Node

SETTLE_SECONDS = 10.0
"""How long after a POST /servers its server may be missing in a list, because the answer was lost or the list lags: absence is not believed before."""
GONE_STATUSES = frozenset({"DELETED", "SOFT_DELETED"})
NOT_IN_SWARM = frozenset({"down", "disconnected", "unknown"})


@dataclass(frozen=True)
class Machine:
    """One machine. `server` Known(None): there is none. `node` Known(None): the swarm has no such node."""

    id: MachineId
    uid: str
    record: MachineStatus | None
    server: Fact[Server | None]
    node: Fact[Node | None]
    twins: tuple[Node, ...] = ()
    """Further ready nodes that carry its UID: the engine label was copied with a disk or its configuration, or its own former row has not been missed yet."""

    @property
    def present(self) -> Server | None:
        """The server, where one is known."""
        return self.server.value if isinstance(self.server, Known) else None

    @property
    def member(self) -> Node | None:
        """The node, where one is known."""
        return self.node.value if isinstance(self.node, Known) else None

    @property
    def leads(self) -> bool:
        """Whether its node is the leader of raft."""
        return self.member is not None and self.member.leader

    @property
    def joined(self) -> bool:
        """Whether the node is in the swarm and ready; a manager must be a reachable manager as well."""
        if self.member is None or self.member.state != "ready":
            return False
        return self.id.role == "Worker" or self.member.reachability == "reachable"

    @property
    def gone(self) -> bool:
        """Certainly no server (any more)."""
        return isinstance(self.server, Known) and self.server.value is None

    @property
    def was_created(self) -> bool:
        """Whether there was a server once, as far as status remembers."""
        return self.present is not None or (self.record is not None and self.record.server_id is not None)

    @property
    def being_deleted(self) -> bool:
        """Whether its server was told to go."""
        return (self.present is not None and self.present.task_state == "deleting") or (self.record is not None and self.record.phase == "Deleting")

    @property
    def drained_at(self) -> str | None:
        """Since when we drain it."""
        return self.member.labels.get(NODE_LABEL_DRAINED) if self.member is not None else None

    @property
    def created_at(self) -> str | None:
        """When its server was asked for."""
        return self.present.created if self.present is not None else (self.record.created_at if self.record is not None else None)


@dataclass(frozen=True)
class MachineTable:
    """All machines by identity, in order. `surplus`: further servers of a machine that has one already (a POST that was repeated); the oldest is kept."""

    machines: tuple[Machine, ...]
    surplus: tuple[Known[Server], ...]

    def of(self, role: Role, pool: str = "") -> tuple[Machine, ...]:
        return tuple(m for m in self.machines if m.id.role == role and m.id.pool == pool)

    def uids_with_server(self) -> frozenset[str]:
        """UIDs of the machines that have a server, or of which it is not known that they have none."""
        return frozenset(m.uid for m in self.machines if not m.gone)


def machine_id(record: MachineStatus) -> MachineId:
    was = record.promoted_from
    return MachineId(record.role, record.pool, record.slot, record.incarnation, (was.pool, was.slot, was.incarnation) if was is not None else ())


def origin_of(machine: MachineId) -> MachineOrigin | None:
    """As status has it: what a promoted manager was made as."""
    was = machine.made_as
    return MachineOrigin(pool=was.pool, slot=was.slot, incarnation=was.incarnation) if machine.origin else None


def pools(spec: SwarmClusterSpec) -> tuple[tuple[Role, str, int], ...]:
    """(role, pool, replicas) of the managers and then of each pool."""
    return (("Manager", "", spec.managers.replicas), *(("Worker", pool.name, pool.replicas) for pool in spec.worker_pools))


def is_preemptible(spec: SwarmClusterSpec, pool: str) -> bool:
    """Whether the cloud may take servers of a pool at any time; never so for managers ("")."""
    return any(p.preemptible for p in spec.worker_pools if p.name == pool)


def pool_node_labels(pool: WorkerPool) -> dict[str, str]:
    """The labels that nodes of a pool have by the spec."""
    return pool.node_labels | ({NODE_LABEL_PREEMPTIBLE: "true"} if pool.preemptible else {})


def machine_spec(spec: SwarmClusterSpec, pool: str) -> MachineSpec:
    """What servers of a pool ("" for managers) are made of; the common template for a pool that is not in the spec any more."""
    if pool == "":
        return spec.managers.machine.over(spec.machine)
    return next((p.machine.over(spec.machine) for p in spec.worker_pools if p.name == pool), spec.machine)


def tabulate(status: SwarmClusterStatus, observation: ClusterObservation, now: datetime) -> MachineTable:
    """Unite what status, Nova and the swarm say."""
    uid = observation.uid
    found = {machine_id(r): r for r in status.nodes if r.machine_uid == machine_id(r).uid(uid)}
    servers: dict[MachineId, list[Server]] = {}
    if isinstance(observation.servers, Known):
        for server in observation.servers.value:
            machine = machine_of(server.metadata, uid)
            if machine is not None and server.status not in GONE_STATUSES:
                servers.setdefault(machine, []).append(server)
    # A promotion that status does not know of yet: its server says what the machine is.
    renamed = {m.uid(uid): m for m in servers}
    records = {renamed.get(r.machine_uid, identity): r for identity, r in found.items()}
    surplus: list[Known[Server]] = []
    machines: list[Machine] = []
    for identity in sorted(records.keys() | servers.keys()):
        same = sorted(servers.get(identity, ()), key=lambda s: (s.created, s.id))
        surplus.extend(Known(s) for s in same[1:])
        record = records.get(identity)
        machine_uid = identity.uid(uid)
        node, twins = _nodes(machine_uid, record, observation)
        chosen = _swarm_address_first(same[0], identity, record, observation) if same else None
        machines.append(Machine(identity, machine_uid, record, _server(chosen, record, observation, now), node, twins))
    return MachineTable(tuple(machines), tuple(surplus))


def _swarm_address_first(server: Server, identity: MachineId, record: MachineStatus | None, observation: ClusterObservation) -> Server:
    """Of several fixed addresses that of the slot's first port, for Nova gives them in no order that means anything. Where Neutron does not answer, the one that is known from
    before; without that none: by another address the swarm would go on the wrong network."""
    if len(server.fixed) < 2:
        return server
    networking = observation.networking
    first: str | None
    if isinstance(networking, Known):
        # That of a promoted manager may still be described as its worker's.
        heads = {port_part(i.slot_uid(observation.uid)) for i in (identity, identity.made_as)}
        parts = ((p, part_of(p.description, observation.uid)) for p in networking.value.ports)
        ours = [p for p, part in parts if part is not None and "/".join(part.split("/")[:2]) in heads]
        first = next((a for p in ours for a in p.fixed_ips if a in server.fixed), server.fixed[0])
    else:
        first = record.address if record is not None and record.address in server.fixed else None
    return replace(server, fixed=(first, *(a for a in server.fixed if a != first)) if first is not None else ())


def _server(server: Server | None, record: MachineStatus | None, observation: ClusterObservation, now: datetime) -> Fact[Server | None]:
    if isinstance(observation.servers, Unknown):
        return observation.servers
    if server is None and record is not None:
        asked = times.age(record.created_at, now)
        if asked is not None and asked < SETTLE_SECONDS:
            return Unknown(Reason.SERVER_BUILDING, "just asked for")
    return Known(server)


def _nodes(machine_uid: str, record: MachineStatus | None, observation: ClusterObservation) -> tuple[Fact[Node | None], tuple[Node, ...]]:
    """By the engine label; by the node id where the engine has no label but says over ssh that it is that node. Of several ready ones that which the machine's own engine says
    it is, then the one that it was before; the others are its twins."""
    if isinstance(observation.swarm, Unknown):
        return observation.swarm, ()
    nodes = observation.swarm.value.nodes
    rows = [n for n in nodes if n.machine_uid == machine_uid]
    if not rows and record is not None and record.node_id is not None:
        rows = [n for n in nodes if n.id == record.node_id and n.machine_uid is None]
    guest = observation.guest(machine_uid)
    if not rows and isinstance(guest, Known) and guest.value.engine.node_id and guest.value.engine.labels.get(ENGINE_LABEL_MACHINE) == machine_uid:
        rows = [n for n in nodes if n.id == guest.value.engine.node_id and n.state == "ready"]
    # A machine that was joined again has a second row; the one that is ready is its present one (docker/swarmkit#1323: never the same id again).
    own = guest.value.engine.node_id if isinstance(guest, Known) else ""
    before = record.node_id if record is not None else None
    rows.sort(key=lambda n: (n.state != "ready", n.id != own, n.id != before, -n.version, n.id))
    return Known(rows[0] if rows else None), tuple(n for n in rows[1:] if n.state == "ready")


def current(machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """Per slot the highest incarnation."""
    by_slot: dict[int, Machine] = {}
    for machine in machines:
        known = by_slot.get(machine.id.slot)
        if known is None or known.id.incarnation < machine.id.incarnation:
            by_slot[machine.id.slot] = machine
    return tuple(by_slot[slot] for slot in sorted(by_slot))


def next_incarnation(cluster_uid: str, role: Role, pool: str, slot: int, machines: Iterable[Machine], nodes: Iterable[Node]) -> MachineId:
    """The identity of the next holder of a slot: above all known ones, and none that a row in the swarm still carries (status may have been lost). A worker that was promoted
    has its UID and name for good. `machines`: all of the cluster."""
    known = (place for m in machines for place in {m.id, m.id.made_as})
    highest = max((p.incarnation for p in known if (p.role, p.pool, p.slot) == (role, pool, slot)), default=0)
    taken = {n.machine_uid for n in nodes}
    candidate = MachineId(role, pool, slot, highest + 1)
    while candidate.uid(cluster_uid) in taken:
        candidate = MachineId(role, pool, slot, candidate.incarnation + 1)
    return candidate
