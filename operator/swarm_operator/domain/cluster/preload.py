"""Docker images that a machine must hold before it takes tasks (`machine.preloadImages`): nodes join drained and are let in once the images are there.

What a node has been given is written on the node itself, as a label with a digest of the list: nothing is lost with status. A node that joins drained, carries no such label and
no drain mark of ours is one that still waits; afterwards its availability is anybody's to change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, MachineStatus, RoleCount, SwarmClusterStatus
from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import Machine, machine_spec
from swarm_operator.domain.cluster.steps import PreloadImages, Step
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import NODE_LABEL_PRELOADED

MOST_SOURCES = 4
"""Nodes that are asked whether they have an image, before it is pulled."""


@dataclass(frozen=True)
class Preloads:
    """`pending`: by machine UID, what the machine waits for before it counts as ready."""

    steps: tuple[Step, ...]
    pending: Mapping[str, str]


def digest(images: Sequence[str]) -> str:
    """The label's value: the same for the same set of images."""
    return hashlib.sha256("\n".join(sorted(set(images))).encode()).hexdigest()[:16]


def joins_drained(spec: SwarmClusterSpec, pool: str) -> bool:
    """Whether machines of a pool join with availability drain."""
    return bool(machine_spec(spec, pool).preload_images)


def to_reach(spec: SwarmClusterSpec, machines: Sequence[Machine]) -> list[Machine]:
    """The members that must be reached over ssh because images are loaded now: those that lack them, and those that are asked for them."""
    waiting = [m for m in machines if _lacks(spec, m)]
    return [*waiting, *_sources(machines, {m.uid for m in waiting})] if waiting else []


def plan_preloads(spec: SwarmClusterSpec, keep: Sequence[Machine]) -> Preloads:
    """One step for each member that lacks images of its pool."""
    waiting = [m for m in keep if _lacks(spec, m)]
    without = {m.uid for m in waiting}
    steps: list[Step] = []
    pending: dict[str, str] = {}
    for machine in waiting:
        node = machine.member
        assert node is not None
        images = tuple(machine_spec(spec, machine.id.pool).preload_images)
        sources = tuple(m.uid for m in _sources(keep, without))
        first = NODE_LABEL_PRELOADED not in node.labels
        hold = first and node.availability == "active" and machine.id.role == "Worker" and _new(machine)
        steps.append(PreloadImages(machine.id, machine.uid, Known(node), images, sources, digest(images), hold))
        if first and (hold or node.availability == "drain"):
            pending[machine.uid] = f"{len(images)} Docker images are being loaded"
    return Preloads(tuple(steps), pending)


def held_back(facts: SwarmClusterStatus, status: SwarmClusterStatus, pending: Mapping[str, str], now: datetime) -> SwarmClusterStatus:
    """The facts with the machines that wait for images not counted as ready."""
    if not pending:
        return facts
    before = {n.machine_uid: n for n in status.nodes}

    def hold(record: MachineStatus) -> MachineStatus:
        if record.machine_uid not in pending or record.phase != MachinePhase.READY:
            return record
        old = before.get(record.machine_uid)
        since = old.phase_since if old is not None and old.phase == MachinePhase.JOINING else times.stamp(now)
        return record.model_copy(update={"phase": MachinePhase.JOINING, "phase_since": since, "message": pending[record.machine_uid]})

    nodes = [hold(n) for n in facts.nodes]

    def count(role: str, old: RoleCount) -> RoleCount:
        ready = sum(n.role == role and n.phase == MachinePhase.READY for n in nodes)
        return RoleCount(desired=old.desired, ready=ready, summary=f"{ready}/{old.desired}")

    return facts.model_copy(update={"nodes": nodes, "managers": count("Manager", facts.managers), "workers": count("Worker", facts.workers)})


def _lacks(spec: SwarmClusterSpec, machine: Machine) -> bool:
    images = machine_spec(spec, machine.id.pool).preload_images
    return bool(images) and machine.joined and machine.member is not None and machine.member.labels.get(NODE_LABEL_PRELOADED) != digest(images)


def _new(machine: Machine) -> bool:
    """Whether the machine has not been ready yet, as far as status knows: it joined by itself, or anew, and so without the drain."""
    return machine.record is not None and machine.record.phase in (MachinePhase.BUILDING, MachinePhase.BOOTING, MachinePhase.JOINING)


def _sources(machines: Sequence[Machine], without: set[str]) -> list[Machine]:
    """Members that may have the images: managers first."""
    found = [m for m in machines if m.joined and m.uid not in without]
    return sorted(found, key=lambda m: (m.id.role != "Manager", m.id))[:MOST_SOURCES]
