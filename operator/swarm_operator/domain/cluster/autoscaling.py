"""How many workers the pools with `autoscaling` have: decided from what waits and from what is of no use, kept in status.pools, carried out in the next reconcile.

So nothing is made or drained before the number is written down: a crash in between repeats no decision. What is not known changes nothing, but for the bounds, which hold
always. One step at a time: no further worker is asked for while one of the pool is on its way, and none is taken away before all are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from swarm_operator.api.autoscaling import AutoscalingSpec
from swarm_operator.api.cluster import SwarmClusterSpec, WorkerPool
from swarm_operator.api.cluster_status import PoolScaling, PoolStatus, SwarmClusterStatus
from swarm_operator.domain import times
from swarm_operator.domain.cluster.deletion_order import rank
from swarm_operator.domain.cluster.machines import Machine, MachineTable, current, pool_node_labels
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.workload import Room, TaskNeed, Workload
from swarm_operator.domain.facts import Known
from swarm_operator.domain.swarm import Node

LOOK_SECONDS: Final = 10.0
"""Between two looks at the tasks."""
_NEW: Final = "a worker to be made"


@dataclass(frozen=True)
class Scaling:
    """`spec`: with the numbers that hold now. `entries`: by pool, what status is to say. `wake_in`: seconds until the next look; None where nothing is scaled."""

    spec: SwarmClusterSpec
    entries: Mapping[str, PoolScaling]
    desired: Mapping[str, int]
    wake_in: float | None = None


def holding(spec: SwarmClusterSpec, status: SwarmClusterStatus, there: Mapping[str, int] | None = None) -> SwarmClusterSpec:
    """The spec with the numbers that status holds, within the bounds. Without one (new, or status was lost) it is `replicas`, or as many as there are (`there`) if those are
    more: a number that was forgotten takes nobody away."""
    recorded = {p.name: p for p in status.pools if p.autoscaling is not None}

    def number(pool: WorkerPool) -> int:
        assert pool.autoscaling is not None
        known = recorded.get(pool.name)
        return _within(pool.autoscaling, known.desired if known is not None else max(pool.replicas, (there or {}).get(pool.name, 0)))

    pools = [p if p.autoscaling is None else p.model_copy(update={"replicas": number(p)}) for p in spec.worker_pools]
    return spec.model_copy(update={"worker_pools": pools})


def scale(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, now: datetime) -> Scaling:
    """See the module."""
    if all(p.autoscaling is None for p in spec.worker_pools):
        return Scaling(spec, {}, {})
    present = {p.name: len([m for m in current(table.of("Worker", p.name)) if m.was_created and not m.being_deleted]) for p in spec.worker_pools}
    held = holding(spec, status, present)
    former = {p.name: p.autoscaling for p in status.pools if p.autoscaling is not None}
    known = isinstance(observation.servers, Known)
    pools = [p for p in held.worker_pools if p.autoscaling is not None and (known or p.name in former)]
    entries = {p.name: former.get(p.name, PoolScaling()) for p in pools}
    desired = {p.name: p.replicas for p in pools}
    blind = not known or not isinstance(observation.swarm, Known) or not isinstance(observation.workload, Known)
    if blind or spec.paused:
        # What was not looked at may have been of use meanwhile.
        return Scaling(held, {name: _told(e, idle_worker=None, idle_since=None) for name, e in entries.items()}, desired, LOOK_SECONDS)
    assert isinstance(observation.swarm, Known) and isinstance(observation.workload, Known)
    nodes, work = observation.swarm.value.nodes, observation.workload.value
    waiting = list(work.waiting)
    for pool in pools:
        machines = current(table.of("Worker", pool.name))
        look = _Look(pool, machines, nodes, work, held, observation)
        entry = look.capacity(entries[pool.name])
        mine = [t for t in waiting if look.takes(t, entry)]
        entry, number = _up(look, entry, mine, now) if mine else _down(look, entry, now)
        # What this pool has workers on their way for is no reason for the next pool.
        if number > pool.replicas or (mine and not look.complete):
            waiting = [t for t in waiting if t not in mine]
        entries[pool.name], desired[pool.name] = entry, number
    return Scaling(held, entries, desired, LOOK_SECONDS if all(desired[p.name] == p.replicas for p in pools) else 1.0)


def pool_statuses(spec: SwarmClusterSpec, observation: ClusterObservation, scaling: Scaling) -> list[PoolStatus]:
    """status.pools."""
    return [
        PoolStatus(
            name=p.name,
            desired=scaling.desired.get(p.name, p.replicas),
            object_generation=observation.pool_generations.get(p.name),
            autoscaling=scaling.entries.get(p.name),
        )
        for p in spec.worker_pools
    ]


@dataclass(frozen=True)
class _Look:
    """One pool. `pool.replicas` is the number that holds."""

    pool: WorkerPool
    machines: Sequence[Machine]
    nodes: Sequence[Node]
    work: Workload
    spec: SwarmClusterSpec
    observation: ClusterObservation

    @property
    def bounds(self) -> AutoscalingSpec:
        assert self.pool.autoscaling is not None
        return self.pool.autoscaling

    @property
    def members(self) -> list[Node]:
        """Nodes of the pool that can be given tasks."""
        found = [m.member for m in self.machines if m.joined and not m.being_deleted and m.member is not None]
        return [n for n in found if n.availability == "active"]

    @property
    def complete(self) -> bool:
        """Whether all workers are there and none is on its way out."""
        return len(self.machines) == len(self.members) == self.pool.replicas

    def capacity(self, entry: PoolScaling) -> PoolScaling:
        """What a worker has, as its nodes say; as they said last where there is none."""
        told = [n for n in self.members if n.cpus and n.memory]
        return entry if not told else _told(entry, cpus=min(n.cpus for n in told), memory=min(n.memory for n in told))

    def template(self, entry: PoolScaling, number: int = 0) -> Node:
        """A worker that is not made yet. Platform and, where no worker of the pool was ever seen, size are not known: any task fits then."""
        like = next(iter(self.members), None)
        unlimited = 1 << 62
        return Node(
            id=f"{_NEW} {number}",
            hostname=f"{_NEW} {number}",
            role="worker",
            availability="active",
            state="ready",
            version=0,
            labels=pool_node_labels(self.pool),
            engine_labels=dict(self.spec.engine.labels),
            os=like.os if like is not None else "",
            arch=like.arch if like is not None else "",
            cpus=entry.cpus or unlimited,
            memory=entry.memory or unlimited,
        )

    def takes(self, task: TaskNeed, entry: PoolScaling) -> bool:
        """Whether a new worker could run it, with nothing else on it."""
        return Room([self.template(entry)], ()).place(task)

    def needed(self, entry: PoolScaling, tasks: Sequence[TaskNeed]) -> int:
        """How many new workers these tasks fill: as they come, in the first that takes them."""
        room, made = Room([], ()), 0
        for task in tasks:
            if not room.place(task):
                room.add(self.template(entry, made))
                made += 1
                room.place(task)
        return made

    def candidate(self) -> Machine | None:
        """The worker that goes first when there is to be one fewer: the same that `membership` takes."""
        return max(self.machines, key=lambda m: rank(self.spec, self.observation, m), default=None)

    def of_use(self, machine: Machine) -> str:
        """Why the worker can't be spared; "" where it can."""
        node = machine.member
        if node is None:
            return "it is not known as a node"
        tasks = self.work.on(node.id)
        others = [n for n in self.nodes if n.id != node.id and n.state == "ready" and n.availability == "active"]
        room = Room(others, self.work.tasks)
        for task in sorted(tasks, key=lambda t: (-t.cpus, -t.memory, t.service)):
            if task.fixed:
                return f"service {task.service} has a port of the host there"
            if not task.cpus and not task.memory:
                return f"service {task.service} runs there and reserves nothing, so nobody knows where else it fits"
            if not room.place(task):
                return f"service {task.service} runs there, and what it reserves is free nowhere else"
        return ""


def _up(look: _Look, entry: PoolScaling, tasks: Sequence[TaskNeed], now: datetime) -> tuple[PoolScaling, int]:
    """Tasks wait that the pool could run."""
    number, bounds = look.pool.replicas, look.bounds
    text = f"{len(tasks)} tasks wait for a node: {tasks[0].service}: {tasks[0].why}"[:400]
    entry = _told(entry, pending_since=entry.pending_since or times.stamp(now), idle_worker=None, idle_since=None)
    if number >= bounds.max_replicas:
        return _told(entry, why=f"maxReplicas reached; {text}"), number
    if not look.complete:
        return _told(entry, why=f"a worker is on its way; {text}", pending_since=None), number
    if (times.age(entry.pending_since, now) or 0.0) < bounds.scale_up.pending_seconds:
        return _told(entry, why=text), number
    wanted = _within(bounds, number + min(bounds.scale_up.step, look.needed(entry, tasks)))
    return _told(entry, why=text, pending_since=None, scaled_at=times.stamp(now)), wanted


def _down(look: _Look, entry: PoolScaling, now: datetime) -> tuple[PoolScaling, int]:
    """Nothing waits for the pool."""
    number, bounds = look.pool.replicas, look.bounds
    entry = _told(entry, pending_since=None)
    busy = _told(entry, idle_worker=None, idle_since=None)
    if number <= bounds.min_replicas:
        return _told(busy, why="minReplicas"), number
    candidate = look.candidate()
    if not look.complete or candidate is None:
        return _told(busy, why="workers are on their way"), number
    name = candidate.uid
    if reason := look.of_use(candidate):
        return _told(busy, why=f"slot {candidate.id.slot} is of use: {reason}"[:512]), number
    if entry.idle_worker != name or entry.idle_since is None:
        entry = _told(entry, idle_worker=name, idle_since=times.stamp(now))
    text = f"slot {candidate.id.slot} is of no use: its tasks fit elsewhere, or it has none"
    least = min(times.age(entry.idle_since, now) or 0.0, _age(entry.scaled_at, now))
    if least < bounds.scale_down_after_seconds:
        return _told(entry, why=text), number
    return _told(entry, why=text, idle_worker=None, idle_since=None, scaled_at=times.stamp(now)), _within(bounds, number - 1)


def _age(stamp: str | None, now: datetime) -> float:
    age = times.age(stamp, now)
    return float("inf") if age is None else age


def _within(bounds: AutoscalingSpec, number: int) -> int:
    return max(bounds.min_replicas, min(bounds.max_replicas, number))


def _told(entry: PoolScaling, **values: object) -> PoolScaling:
    return entry.model_copy(update=values)
