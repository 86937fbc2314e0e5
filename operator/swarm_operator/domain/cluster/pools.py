"""SwarmWorkerPools as a part of their cluster: the spec that is decided on is the stored one and its pool objects, as if they were entries of spec.workerPools.

An object is merged, or refused with the field that is wrong. The workers of a refused one are left as they are ("frozen"): neither made, changed nor removed, for what
somebody meant can't be known. One that is being deleted is a pool of no workers until they are gone. Pure.

Does not: read the objects, or write their status (`controllers.pools` and `controllers.pool` do).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from swarm_operator.api.cluster import SwarmClusterSpec, WorkerPool
from swarm_operator.api.parse import Problem
from swarm_operator.api.pool import SwarmWorkerPoolSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.api.validation import validate_cluster
from swarm_operator.domain.cluster.machines import machine_spec
from swarm_operator.domain.cluster.observation import ClusterObservation

MOST_WORKERS = 1000
"""All pools of a cluster together, as the rule on spec.workerPools."""


@dataclass(frozen=True)
class PoolObject:
    """A SwarmWorkerPool that names the cluster. `spec` is None where it can't be read; `problem` says why."""

    name: str
    generation: int
    spec: SwarmWorkerPoolSpec | None
    problem: str = ""
    deleting: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why an object is no part of the cluster."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class PoolMerge:
    """`spec`: what to decide on. `frozen`: names of pools whose workers are left as they are. `generations`: of all objects, by name, those of refused ones too."""

    spec: SwarmClusterSpec
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
    generations: Mapping[str, int] = field(default_factory=dict)

    def told(self, observation: ClusterObservation) -> ClusterObservation:
        """With what decisions want to know of the objects."""
        return replace(observation, frozen_pools=self.frozen, pool_generations=self.generations)


def merge(spec: SwarmClusterSpec, objects: Sequence[PoolObject]) -> PoolMerge:
    """In the order of their names; each is judged with those that were accepted before it. `spec` is valid by itself."""
    merged = spec
    refused: dict[str, Refusal] = {}
    frozen: set[str] = set()
    inline = {pool.name for pool in spec.worker_pools}
    for found in sorted(objects, key=lambda o: o.name):
        if found.name in inline:
            # The entry of the spec has the workers: nothing of theirs depends on the object.
            refused[found.name] = Refusal(Reason.NAME_CONFLICT, f"metadata.name: spec.workerPools of the SwarmCluster has an entry `{found.name}`")
            continue
        candidate, problem = _with(merged, found)
        if found.deleting:
            # Nothing is made of it any more, so nothing can be wrong with it; what its volumes want still holds where it can be read.
            merged = candidate if candidate is not None and not problem else _add(merged, WorkerPool(name=found.name, replicas=0))
        elif candidate is None or problem:
            refused[found.name] = Refusal(Reason.INVALID_SPEC, problem)
            frozen.add(found.name)
        else:
            merged = candidate
    return PoolMerge(merged, refused, frozenset(frozen), {o.name: o.generation for o in objects})


def pool_of(found: PoolObject) -> WorkerPool | None:
    """The object as an entry of spec.workerPools."""
    if found.spec is None:
        return None
    replicas = 0 if found.deleting else found.spec.replicas
    scaling = None if found.deleting else found.spec.autoscaling
    shared = {name: getattr(found.spec, name) for name in ("machine", "deletion_order", "preemptible", "floating_ip", "node_labels")}
    return WorkerPool(name=found.name, replicas=replicas, autoscaling=scaling, **shared)


def _add(spec: SwarmClusterSpec, pool: WorkerPool) -> SwarmClusterSpec:
    return spec.model_copy(update={"worker_pools": [*spec.worker_pools, pool]})


def _with(spec: SwarmClusterSpec, found: PoolObject) -> tuple[SwarmClusterSpec | None, str]:
    """The cluster with this pool, and what is wrong with that: by the rules of the schema that span more than the pool, and those that no schema can say."""
    pool = pool_of(found)
    if pool is None:
        return None, found.problem
    whole = _add(spec, pool)
    total = sum(p.replicas if p.autoscaling is None else p.autoscaling.max_replicas for p in whole.worker_pools)
    if total > MOST_WORKERS:
        return whole, f"spec.replicas: the pools of the cluster have up to {total} workers together, and must not have more than {MOST_WORKERS}"
    if spec.join == "Metadata" and machine_spec(whole, pool.name).volumes:
        return whole, "spec.machine.volumes: must be empty with `join: Metadata` of the SwarmCluster"
    known = set(validate_cluster(spec))
    place = f"spec.workerPools[{len(spec.worker_pools)}]"
    problems = [_placed(p, place) for p in validate_cluster(whole) if p not in known]
    return whole, "; ".join(problems[:8])


def _placed(problem: Problem, place: str) -> str:
    """A problem of the whole as one of the object."""
    if problem.field == f"{place}.name":
        return f"metadata.name: {problem.message}"
    if problem.field.startswith(place):
        return f"spec{problem.field.removeprefix(place)}: {problem.message}"
    return f"{problem.field} of the SwarmCluster: {problem.message}"
