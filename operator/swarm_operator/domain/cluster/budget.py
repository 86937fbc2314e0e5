"""How many machines may be taken out now, and by whom: one budget, shared by remediation, rollout, scale-down and what a person asks for.

A machine is *out* while it does not serve by our own doing: its replacement is not a member yet, it is drained or repaired by us, its server goes. Who comes later counts
who is out already. Two things keep the four from standing in each other's way for ever:

- A scale-down does not count against repairs and replacements of failed machines: those that go are not wanted, and a repair takes nobody out who was not out before.
- A scale-down counts against a rollout, so that a long rollout can't starve it: its machines go before the next one is rolled.

Managers: never two of them out by our hand, whoever asks, and never one whose absence the majority would not survive (`domain.quorum`). Managers that are not wanted any more
leave by `managers.change_managers`, one at a time and only while all others are members.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.domain.cluster.machines import Machine, MachineTable, current, is_preemptible, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import NODE_LABEL_ENGINE
from swarm_operator.domain.quorum import is_quorate, may_be_disturbed, raft_members
from swarm_operator.domain.swarm import Node


class Actor(StrEnum):
    """Who takes machines out."""

    REMEDIATION = "remediation"
    USER = "user"
    SCALE_DOWN = "scale-down"
    ROLLOUT = "rollout"


_COUNTS: Mapping[Actor, frozenset[Actor]] = {
    Actor.REMEDIATION: frozenset({Actor.REMEDIATION, Actor.USER, Actor.ROLLOUT}),
    Actor.USER: frozenset(Actor),
    Actor.SCALE_DOWN: frozenset({Actor.REMEDIATION, Actor.USER, Actor.ROLLOUT}),
    Actor.ROLLOUT: frozenset(Actor),
}
"""Whose machines count against an actor's limit. A scale-down does not count its own: all that go are drained at once, so that no task moves twice."""


@dataclass(frozen=True)
class Out:
    """One machine that is out, and by whom. `name`: of its server, for messages."""

    uid: str
    name: str
    manager: bool
    by: Actor


@dataclass(frozen=True)
class Budget:
    """`limits`: how many machines may be out when an actor has taken another one. `nodes`: the swarm's own view; None where it is not known or has no majority: then
    nobody takes out anything. `failed`: UIDs of machines that are down without our doing; they count against those who take out healthy ones."""

    limits: Mapping[Actor, int]
    out: tuple[Out, ...] = ()
    nodes: tuple[Node, ...] | None = None
    failed: Mapping[str, Out] = field(default_factory=dict)

    def counted(self, by: Actor) -> tuple[Out, ...]:
        """The machines that count against the actor's limit."""
        mine = [o for o in self.out if o.by in _COUNTS[by]]
        if by in (Actor.USER, Actor.ROLLOUT):
            known = {o.uid for o in mine}
            mine += [o for uid, o in self.failed.items() if uid not in known]
        return tuple(mine)

    def free(self, by: Actor) -> int:
        """How many further machines the actor may take out; 0 at least."""
        return max(0, self.limits[by] - len(self.counted(by))) if self.nodes is not None else 0

    def refusal(self, machine: Machine, by: Actor, name: str, *, replaced: bool = False) -> str:
        """Why the actor may not take the machine out now; "" where it may. `name`: of its server. `replaced`: it stays a member until its successor is up, so that raft
        is not touched by this; `managers.change_managers` keeps the order then. A machine that is out already is no further one."""
        if self.nodes is None:
            return "the swarm's own view is not known"
        if any(o.uid == machine.uid for o in self.out):
            return ""
        if machine.id.role == "Manager":
            other = next((o for o in self.out if o.manager and o.uid != machine.uid), None)
            if other is not None:
                return f"{other.name} is out by {other.by}: of managers never more than one"
            if refusal := self._majority(machine, name, replaced=replaced):
                return refusal
        counted = [o for o in self.counted(by) if o.uid != machine.uid]
        if len(counted) >= self.limits[by]:
            return f"{counted[0].name} is out by {counted[0].by}: {len(counted)} of at most {self.limits[by]}" if counted else f"at most {self.limits[by]}"
        return ""

    def take(self, machine: Machine, by: Actor, name: str) -> Budget:
        """The budget with the machine out."""
        rest = tuple(o for o in self.out if o.uid != machine.uid)
        return replace(self, out=(*rest, Out(machine.uid, name, machine.id.role == "Manager", by)))

    def _majority(self, machine: Machine, name: str, *, replaced: bool) -> str:
        """Why raft does not allow it."""
        node = machine.member
        assert self.nodes is not None
        members = raft_members(self.nodes)
        if node is None or all(n.id != node.id for n in members):
            return ""
        if len(members) < 3:
            return f"{name} is one of {len(members)} managers: without it there is no majority"
        if not replaced and not may_be_disturbed(self.nodes, node):
            return f"without {name} there is no majority"
        return ""


def assess_budget(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    table: MachineTable,
    *,
    failed: Collection[str] = (),
    by_user: Collection[str] = (),
    rolling: Collection[str] = (),
    leaving: Collection[str] = (),
    rollout_limit: int = 1,
) -> Budget:
    """The budget as the observation shows it. All collections are machine UIDs. `failed`: down, repaired or not. `by_user`, `rolling`: which of those that are drained or
    replaced are so because a person asked, or are rolled; others count as remediation. `leaving`: members that are not wanted any more. `rollout_limit`: as the rollout's
    `maxUnavailable` (and surge) make it."""
    limit = spec.remediation.max_concurrent
    limits = {Actor.REMEDIATION: limit, Actor.USER: limit, Actor.SCALE_DOWN: limit, Actor.ROLLOUT: rollout_limit}
    view = observation.swarm
    nodes = view.value.nodes if isinstance(view, Known) and is_quorate(view.value.nodes) else None
    newest = {m.uid for role, pool, _ in pools(spec) for m in current(table.of(role, pool))}
    out: list[Out] = []
    down: dict[str, Out] = {}
    for machine in table.machines:
        made = Out(machine.uid, machine.id.server_name(observation.name), machine.id.role == "Manager", Actor.REMEDIATION)
        if machine.uid in failed:
            down[machine.uid] = made
            continue
        actor = _actor(machine, newest, by_user, rolling, leaving)
        # What the cloud takes is made anew whatever else goes on, and holds nothing up.
        if actor is not None and not (actor is Actor.REMEDIATION and is_preemptible(spec, machine.id.pool)):
            out.append(replace(made, by=actor))
    return Budget(limits, tuple(out), nodes, down)


def _actor(machine: Machine, newest: Collection[str], by_user: Collection[str], rolling: Collection[str], leaving: Collection[str]) -> Actor | None:
    """By whom a machine that has not failed is out; None where it is not."""
    if machine.gone or not _is_out(machine, newest, leaving):
        return None
    if machine.uid in by_user:
        return Actor.USER
    if machine.uid in rolling:
        return Actor.ROLLOUT
    if machine.uid in leaving:
        return Actor.SCALE_DOWN
    return Actor.ROLLOUT if _engine_out(machine) else Actor.REMEDIATION


def _engine_out(machine: Machine) -> bool:
    """Whether its node is drained by us because its engine is to be restarted."""
    return machine.member is not None and NODE_LABEL_ENGINE in machine.member.labels


def _is_out(machine: Machine, newest: Collection[str], leaving: Collection[str]) -> bool:
    if machine.uid in leaving:
        return machine.member is not None or machine.being_deleted
    if machine.being_deleted:
        # A member whose server goes: its successor can't be made yet.
        return machine.record is not None and machine.record.node_id is not None and machine.drained_at is None
    if _engine_out(machine):
        return True
    # The next holder of a slot that has not joined yet.
    return machine.uid in newest and machine.id.incarnation > 1 and isinstance(machine.node, Known) and machine.node.value is None
