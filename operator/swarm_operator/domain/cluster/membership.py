"""Which machines there shall be: which are kept, which are made, which go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.deletion_order import rank
from swarm_operator.domain.cluster.faults import REFUSED_SECONDS, refusal_of
from swarm_operator.domain.cluster.machines import Machine, MachineTable, current, next_incarnation, pools
from swarm_operator.domain.cluster.managers import makes_way, out_of_raft
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.promotion import choose
from swarm_operator.domain.cluster.remediation import Remediation
from swarm_operator.domain.cluster.rollout import Rollout
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MACHINE_UID, NODE_LABEL_LEAVING, SWARM_STARTED, MachineId, Role
from swarm_operator.domain.swarm import Node, SwarmView

_DELETE_PATIENCE_SECONDS = 60.0
"""How long a slot waits for its old server to be gone, whose port the next one gets, before that is made beside it on a port of its own."""


@dataclass(frozen=True)
class Membership:
    """`create`: identities that have no server yet and may be asked for now. `waiting`: wanted, but held for `wake_in` seconds (refused a moment ago, or the old server is going)."""

    keep: tuple[Machine, ...]
    create: tuple[MachineId, ...]
    waiting: tuple[MachineId, ...]
    remove: tuple[Machine, ...]
    frozen: tuple[Machine, ...] = ()
    """Of pools that are refused: left as they are."""
    promote: tuple[tuple[Machine, MachineId], ...] = ()
    """Workers that become managers now, and which; they are still in `keep` as workers, and what they become is `waiting`."""
    wake_in: float | None = None


def swarm_started(status: SwarmClusterStatus, table: MachineTable) -> bool:
    """Whether a manager's disk may hold the swarm: its server is then never replaced without the administrator."""
    return status.swarm_id is not None or any(m.present is not None and SWARM_STARTED in m.present.metadata for m in table.of("Manager"))


def select(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    remediation: Remediation,
    rollout: Rollout,
    now: datetime,
    *,
    restoring: bool = False,
) -> Membership:
    """Decide for the managers and each pool; machines of pools that are not in the spec go. `restoring`: the swarm comes back from a backup, so that no manager's disk holds it."""
    nodes = observation.swarm.value.nodes if isinstance(observation.swarm, Known) else ()
    project = max((_held(m, now) for m in table.machines if m.gone and _refused_to_all(m)), default=0.0)
    listed = isinstance(observation.servers, Known)
    keep: list[Machine] = []
    create: list[MachineId] = []
    waiting: list[MachineId] = []
    delays: list[float] = []
    promote: list[tuple[Machine, MachineId]] = []
    for role, pool, replicas in pools(spec):
        machines = table.of(role, pool)
        kept = _kept(spec, status, observation, table, role, machines, replicas, remediation, rollout, restoring)
        taken = {m.id.slot for m in kept}
        free = _free(taken, replicas - len(kept))
        spares: Mapping[int, tuple[Machine, MachineId]] = {}
        if role == "Manager" and spec.managers.promote_from is not None:
            unmade = [m.id.slot for m in kept if m.gone and not m.was_created]
            stay = _spares(spec, status, observation, table, remediation, rollout)
            spares = choose(spec, observation, table, (*free, *unmade), kept, stay)
            promote += spares.values()
            waiting += [made for _, made in spares.values()]
        for machine in kept:
            if machine.gone and not machine.was_created and machine.id.slot in spares:
                continue
            if not machine.gone or machine.was_created:
                keep.append(machine)
            else:
                # An identity that was written down and has no server: never asked for, or refused.
                delay = max(_held(machine, now), project)
                (waiting if delay or not listed else create).append(machine.id)
                delays.extend([delay] if delay else [])
            if machine.uid in rollout.succeed:
                # Its successor is made beside it, in the same slot.
                beside = next_incarnation(observation.uid, role, pool, machine.id.slot, table.machines, nodes)
                (waiting if project or not listed else create).append(beside)
                delays.extend([project] if project else [])
        keep += [m for m in machines if m.uid in rollout.held and m.id.slot in taken.union(free) and m not in kept]
        for slot in (s for s in free if s not in spares):
            going = [m for m in machines if m.id.slot == slot and m.uid not in remediation.preserved and m.uid not in rollout.held]
            delay = max((_going(m, now) for m in going), default=0.0) or project
            identity = next_incarnation(observation.uid, role, pool, slot, table.machines, nodes)
            # Without a complete list nothing is known to be missing.
            (waiting if delay or not listed else create).append(identity)
            delays.extend([delay] if delay else [])
    wanted = {m.uid for m in keep} | {m.uid(observation.uid) for m in (*create, *waiting)}
    frozen = tuple(m for m in table.machines if m.id.role == "Worker" and m.id.pool in observation.frozen_pools)
    remove = tuple(m for m in table.machines if m.uid not in wanted and m not in frozen)
    return Membership(tuple(keep), tuple(create), tuple(waiting), remove, frozen, tuple(promote), min(delays, default=None))


def _spares(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, remediation: Remediation, rollout: Rollout
) -> list[Machine]:
    """The workers that may be promoted, as far as the cluster's own plans for them go: those that stay, and neither fail nor are being changed."""
    found: list[Machine] = []
    for role, pool, replicas in pools(spec):
        if role == "Worker" and pool == spec.managers.promote_from:
            machines = table.of(role, pool)
            changing = {m.id.slot for m in machines if m.uid in rollout.held} | {m.id.slot for m in machines if m.uid in rollout.succeed}
            stay = _kept(spec, status, observation, table, role, machines, replicas, remediation, rollout)
            found += [m for m in stay if m.uid not in remediation.failures and m.id.slot not in changing]
    return found


def _kept(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    role: Role,
    machines: tuple[Machine, ...],
    replicas: int,
    remediation: Remediation,
    rollout: Rollout,
    restoring: bool = False,
) -> list[Machine]:
    """At most `replicas` of the present holders: those to be replaced or on their way out never, then healthy before unhealthy, and as
    `deletion_order` says."""
    wanted = [m for m in machines if m.uid not in rollout.given_up]
    holders = [m for m in current(wanted) if not _released(status, observation, table, role, m, remediation, rollout, restoring)]
    holders.sort(key=lambda m: (_on_its_way_out(m), *_going_first(spec, observation, m, remediation)))
    return sorted(holders[:replicas], key=lambda m: m.id)


def _going_first(spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine, remediation: Remediation) -> tuple[bool, bool, float, int]:
    """As in Cluster API: what is named before what is unhealthy before the order."""
    named, order, slot = rank(spec, observation, machine)
    return named, _unhealthy(machine, remediation), order, slot


def _on_its_way_out(machine: Machine) -> bool:
    """A worker that we drain, a manager that we demoted."""
    if machine.id.role == "Worker":
        return machine.drained_at is not None
    return machine.member is not None and machine.member.role != "manager"


def _released(
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    role: Role,
    machine: Machine,
    remediation: Remediation,
    rollout: Rollout,
    restoring: bool,
) -> bool:
    replaced = (machine.uid in remediation.replace and machine.uid not in rollout.frozen) or machine.uid in rollout.release
    if role == "Manager":
        if not isinstance(machine.server, Known):
            return False
        # Of managers that are restored only the first is made anew at once; the rows of the restored swarm say what the next holders of the other slots are called.
        anew = restoring and machine.id.slot == min(m.id.slot for m in table.of("Manager"))
        if swarm_started(status, table) and not anew:
            # `remediation` names no member that the others can't do without. The loss of the only one is the loss of the swarm, which is never settled automatically.
            leaving = machine.being_deleted or (machine.member is not None and NODE_LABEL_LEAVING in machine.member.labels)
            return replaced or (leaving and (out_of_raft(machine, observation) or makes_way(machine, observation)))
        # Before `swarm init`, and once all managers are lost, there is nothing to lose.
        server = machine.server.value
        return machine.was_created if server is None else machine.being_deleted or remediation_due(machine, remediation)
    return replaced or machine.being_deleted


def remediation_due(machine: Machine, remediation: Remediation) -> bool:
    """Whether a failure of the machine is known and its back-off is over."""
    failure = remediation.failures.get(machine.uid)
    return failure is not None and failure.due_in <= 0


def _unhealthy(machine: Machine, remediation: Remediation) -> bool:
    return machine.uid in remediation.failures or (machine.record is not None and machine.record.phase == MachinePhase.FAILED)


def _held(machine: Machine, now: datetime) -> float:
    """Seconds for which an identity without server is left alone after a refusal."""
    record = machine.record
    if record is None or record.phase != MachinePhase.FAILED:
        return 0.0
    return max(0.0, REFUSED_SECONDS - (times.age(record.phase_since, now) or 0.0))


def _refused_to_all(machine: Machine) -> bool:
    """Whether what it was refused for holds for every server of the project: then no other is asked for either."""
    record = machine.record
    return record is not None and record.server_id is None and refusal_of(record)[0] in (Reason.QUOTA_EXCEEDED, Reason.FORBIDDEN)


def _going(machine: Machine, now: datetime) -> float:
    """Seconds for which a slot still waits for an old server."""
    if machine.gone:
        return 0.0
    since = machine.record.phase_since if machine.record is not None and machine.record.phase == MachinePhase.DELETING else None
    return max(0.0, _DELETE_PATIENCE_SECONDS - (times.age(since, now) or 0.0))


def _free(taken: set[int], count: int) -> list[int]:
    free: list[int] = []
    slot = 0
    while len(free) < count:
        if slot not in taken:
            free.append(slot)
        slot += 1
    return free


def dangling(table: MachineTable, servers: Known[tuple[Server, ...]], view: Known[SwarmView]) -> tuple[Known[Node], ...]:
    """Rows of workers (and demoted managers) of ours whose machine certainly has no server. A row that is ready contradicts Nova and is left alone: both views must agree."""
    alive = table.uids_with_server() | {s.metadata.get(MACHINE_UID) for s in servers.value}
    rows = [n for n in view.value.nodes if n.role == "worker" and not n.reachability and n.machine_uid is not None and n.state != "ready"]
    return tuple(Known(n) for n in rows if n.machine_uid not in alive)


def stale(machine: Machine, view: SwarmView) -> tuple[Node, ...]:
    """Rows that a machine left behind when it joined anew, the youngest last."""
    node = machine.member
    if node is None or not machine.joined:
        return ()
    rows = [n for n in view.nodes if n.machine_uid == machine.uid and n.id != node.id and n.role == "worker" and not n.reachability and n.state != "ready"]
    return tuple(sorted(rows, key=lambda n: (n.version, n.id)))
