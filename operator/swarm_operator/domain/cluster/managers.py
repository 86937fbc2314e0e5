"""Changes of the group of managers: who joins, who is demoted, in which order. One change at a time, and none that the majority would not survive.

A dead manager still counts in raft (moby#30847): it is demoted before its successor joins, and only when that successor is up and waits. Its server makes way before, for
the successor boots on the same port. Managers that live are demoted only after all wanted ones are members, the leader last; one that is replaced while it lives leaves first,
for its port as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase
from swarm_operator.domain import times
from swarm_operator.domain.cluster import drains
from swarm_operator.domain.cluster.hooks import Hooks, hooks_of
from swarm_operator.domain.cluster.machines import Machine, MachineTable
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import DemoteManager, DrainNode, JoinManager, RemoveNode, SetNode, Step
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, SWARM_STARTED
from swarm_operator.domain.quorum import in_transition, is_cast_out, is_outside_raft, is_quorate, may_join, may_leave, raft_members
from swarm_operator.domain.swarm import Node

OUTSIDE_SECONDS = 120.0
"""How long a ready manager may be no member of raft. One that a recovery has cast out comes back by itself in about 45 s: its engine hears that it was removed, stops its manager, waits
twice 16 s for another role, and joins raft anew under its old node id (swarmkit, node/node.go, `superviseManager`; seen on 20.10). Its tasks run on meanwhile."""
SETTLE_SECONDS = 3.0
"""How long every manager must have been reachable before the next change."""


@dataclass(frozen=True)
class ManagerChange:
    """At most one step. `waiting`: what the change that is wanted waits for, "" where none is wanted. `wake_in`: seconds until it is worth another look."""

    steps: tuple[Step, ...] = ()
    waiting: str = ""
    wake_in: float | None = None
    hooks: Mapping[str, Hooks] = field(default_factory=dict)
    """By UID, those of the manager that is about to be drained."""
    blocked: Mapping[str, str] = field(default_factory=dict)
    """By UID, why the manager that is to leave can't be drained yet."""


def founder(machines: Sequence[Machine]) -> Machine | None:
    """The one that makes the swarm: that which was told to already (its disk may hold it), else the lowest. None when several were told: then there was a swarm of several."""
    marked = [m for m in machines if m.present is not None and SWARM_STARTED in m.present.metadata]
    if len(marked) > 1:
        return None
    return marked[0] if marked else next(iter(machines), None)


def out_of_raft(machine: Machine, observation: ClusterObservation) -> bool:
    """Whether the swarm itself, with a majority at hand, says that the machine is no manager: then its disk holds nothing that is needed."""
    view = observation.swarm
    if not isinstance(view, Known) or not is_quorate(view.value.nodes) or not isinstance(machine.node, Known):
        return False
    return not any(n.machine_uid == machine.uid or (machine.member is not None and n.id == machine.member.id) for n in raft_members(view.value.nodes))


def makes_way(machine: Machine, observation: ClusterObservation) -> bool:
    """Whether the server may go though the machine may count in raft: a majority that does without it answers, and says that it is unreachable."""
    view, member = observation.swarm, machine.member
    return isinstance(view, Known) and is_quorate(view.value.nodes) and member is not None and member.role == "manager" and member.reachability == "unreachable"


def change_managers(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    table: MachineTable,
    keep: Sequence[Machine],
    awaited: AbstractSet[int],
    joins: Sequence[JoinManager],
    now: datetime,
    yielding: frozenset[str] = frozenset(),
    unprepared: frozenset[str] = frozenset(),
    unheard: frozenset[str] = frozenset(),
    begun: Collection[str] = (),
) -> ManagerChange:
    """The next change. `keep`: machines that stay; `awaited`: slots of wanted managers that have no server yet; `joins`: those that are ready to join. `yielding`: UIDs of machines
    that have a volume which their successor, already up, needs before it can join: they leave first, where the majority allows it. `unprepared`: UIDs of promoted workers that the
    others can't reach as a manager yet; `unheard`: of those that know a manager that is none any more. `begun`: as in
    `drains.refusal`."""
    view = observation.swarm
    if not isinstance(view, Known) or not isinstance(observation.servers, Known) or not is_quorate(view.value.nodes):
        return ManagerChange()
    nodes = view.value.nodes
    kept = [m for m in keep if m.id.role == "Manager"]
    leavers = _leavers(nodes, table, kept)
    slots = {m.uid: m.id.slot for m in table.machines if m.id.role == "Manager"}
    absent = any(not m.joined for m in kept)
    missing = absent or bool(awaited)
    # Workers that take the place of a lost manager, and managers that a person demoted.
    workers = [m for m in kept if m.member is not None and m.member.role != "manager" and m.member.state == "ready" and m.uid not in unprepared]
    demoted = [m.member for m in workers if m.member is not None and m.uid not in unheard]
    successors = bool(joins) or any(m.id.origin for m in workers)
    if not leavers and not joins and not demoted and not any(m.member is not None and is_outside_raft(m.member) for m in kept):
        waits = [m.member.hostname for m in workers if m.member is not None]
        return ManagerChange(waiting=f"{waits[0]} has not heard yet which managers there are" if waits else "")
    if outside := next((m for m in kept if _stays_outside(m, observation, now)), None):
        # Its row goes first: swarmkit then refuses its certificate, so that it can't become a member in the moment in which its engine leaves (manager/controlapi/node.go, `RemoveNode`).
        assert outside.member is not None
        return ManagerChange((RemoveNode(Known(outside.member), outside.uid, "it is no member of raft and is joined anew"),))
    if changing := in_transition(nodes):
        return ManagerChange(waiting=f"the role of {changing[0].hostname} is changing")
    dead = [n for n in leavers if n.reachability != "reachable"]
    if dead:
        if missing and not successors and dead[0].machine_uid not in yielding:
            return ManagerChange(waiting=f"{dead[0].hostname} leaves once its successor is up")
        if not may_leave(nodes, dead[0]):
            return ManagerChange(waiting=f"without {dead[0].hostname} there is no majority")
        if is_cast_out(dead[0]):
            # Raft has no such member, so there is nothing to demote (swarmkit, manager/controlapi/node.go: "can't find manager in raft memberlist"); only the row is left.
            return ManagerChange((RemoveNode(Known(dead[0]), dead[0].machine_uid or "", "the swarm was made anew without it"),))
        return ManagerChange((DemoteManager(Known(dead[0]), "it is dead and its successor is up" if missing else "it is dead and not wanted any more"),))
    unsettled = max((SETTLE_SECONDS - _reachable_for(m, now) for m in kept if m.joined), default=0.0)
    if unsettled > 0:
        return ManagerChange(waiting="the managers settle", wake_in=unsettled)
    if first := [n for n in leavers if n.machine_uid in yielding]:
        return _leave(spec, observation, nodes, first[0], table, "its successor needs its volume", now, begun)
    if joins or demoted:
        if not may_join(nodes):
            return ManagerChange(waiting="another manager is down: with one more member the majority could be lost")
        if demoted:
            return ManagerChange((SetNode(Known(demoted[0]), "manager", demoted[0].availability, demoted[0].labels),))
        return ManagerChange((joins[0],))
    # Where all others are members, one whose successor waits for its place is as good as one that is not wanted.
    if absent or not awaited <= {slots.get(n.machine_uid or "") for n in leavers}:
        return ManagerChange()
    leaver = max(leavers, key=lambda n: (not n.leader, slots.get(n.machine_uid or "", 0), n.id))
    return _leave(spec, observation, nodes, leaver, table, "not wanted any more", now, begun)


def _stays_outside(machine: Machine, observation: ClusterObservation, now: datetime) -> bool:
    """Whether a living manager has had its time to become a member, and can be joined anew: its guest answers, and does not say that it is a manager."""
    record, node, guest = machine.record, machine.member, observation.guest(machine.uid)
    if node is None or node.state != "ready" or not is_outside_raft(node) or not isinstance(guest, Known) or guest.value.engine.control_available:
        return False
    return record is not None and record.phase == MachinePhase.JOINING and (times.age(record.phase_since, now) or 0.0) >= OUTSIDE_SECONDS


def _leave(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    nodes: Sequence[Node],
    leaver: Node,
    table: MachineTable,
    because: str,
    now: datetime,
    begun: Collection[str],
) -> ManagerChange:
    """Drain, then demote a manager that lives, once services can do without its node and its hooks are done. One that takes no tasks is drained already."""
    if not may_leave(nodes, leaver):
        return ManagerChange(waiting=f"without {leaver.hostname} there is no majority")
    since = times.age(leaver.labels.get(NODE_LABEL_DRAINED), now)
    if leaver.availability != "drain" or since is None:
        machine = next((m for m in table.machines if m.uid == leaver.machine_uid), None)
        refused = ""
        if machine is not None and not machine.being_deleted:
            refused = drains.refusal(observation, leaver, machine.id.server_name(observation.name), begun=begun)
        if machine is not None and refused:
            return ManagerChange(waiting=refused, blocked={machine.uid: refused})
        hooks = {machine.uid: hooks_of(spec, observation, machine, "PreDrain", now)} if machine is not None else {}
        if any(found.waiting for found in hooks.values()):
            return ManagerChange(hooks=hooks)
        return ManagerChange((DrainNode(Known(leaver), times.stamp(now), because),), hooks=hooks)
    if since < spec.drain_timeout_seconds and not observation.has_no_tasks(leaver.id):
        return ManagerChange(waiting=f"{leaver.hostname} drains")
    return ManagerChange((DemoteManager(Known(leaver), because),))


def _leavers(nodes: Sequence[Node], table: MachineTable, kept: Sequence[Machine]) -> list[Node]:
    """Managers that we made and that shall not be: of machines that go, and dead rows of machines that are gone or have joined anew. One that is reachable while Nova
    knows no server of it is left alone, as are managers that somebody else joined, and ready ones that say to be one of ours."""
    rows = {n.id for m in kept if m.member is not None for n in (m.member, *m.twins)}
    going = {m.uid for m in table.machines if not m.gone}
    return [
        n for n in nodes if n.role == "manager" and n.machine_uid is not None and n.id not in rows and (n.reachability != "reachable" or n.machine_uid in going)
    ]


def _reachable_for(machine: Machine, now: datetime) -> float:
    record = machine.record
    if record is None or record.phase != MachinePhase.READY:
        return 0.0
    return times.age(record.phase_since, now) or 0.0
