"""Which worker of a pool goes first when there are to be fewer: one that is named, then as the pool's `deletionOrder` says.

Any slot may go: the free one is the first to be filled again when the pool grows.
"""

from __future__ import annotations

from typing import Final

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation

DELETE_FIRST: Final = "swarmops.io/delete-first"
"""Annotation of a SwarmCluster: names of workers (comma separated) that go before others of their pool when it is scaled down. It scales nothing down by itself."""


def rank(spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine) -> tuple[bool, float, int]:
    """The worker with the highest goes first. For managers the slot alone counts."""
    pool = next((p for p in spec.worker_pools if machine.id.role == "Worker" and p.name == machine.id.pool), None)
    if pool is None:
        return False, 0.0, machine.id.slot
    made = times.parse(machine.created_at)
    age = made.timestamp() if made is not None else 0.0
    by_age = {"HighestSlot": 0.0, "Newest": age, "Oldest": -age}[pool.deletion_order]
    return machine.id.server_name(observation.name) in observation.named(DELETE_FIRST), by_age, machine.id.slot
