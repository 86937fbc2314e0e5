"""Reads the SwarmWorkerPools of a cluster, for all who decide on its spec."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swarm_operator.api.base import FINALIZER
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.parse import SpecError, parse_pool
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.autoscaling import holding
from swarm_operator.domain.cluster.machines import pools
from swarm_operator.domain.cluster.pools import PoolMerge, PoolObject, merge
from swarm_operator.domain.cluster.workload import Workload, workload
from swarm_operator.ports.objects import Objects, Resource
from swarm_operator.ports.swarm import Swarm


@dataclass(frozen=True)
class ClusterPools:
    """The pool objects of one cluster, all of them: they come from a complete list."""

    resources: tuple[Resource, ...]

    @property
    def names(self) -> frozenset[str]:
        """Of all of them."""
        return frozenset(r.key.name for r in self.resources)

    def merge(self, spec: SwarmClusterSpec, status: SwarmClusterStatus) -> PoolMerge:
        """See `domain.cluster.pools`; with the numbers of workers that `autoscaling` has chosen."""
        merged = merge(spec, [pool_object(r) for r in self.resources])
        return replace(merged, spec=holding(merged.spec, status))

    def hold(self, objects: Objects, refused: PoolMerge) -> None:
        """Put the finalizer on those that are accepted, before anything is made for them. Raises ExternalError."""
        for resource in self.resources:
            if not resource.deleting and resource.key.name not in refused.refused and FINALIZER not in resource.finalizers:
                objects.set_finalizer(resource, True)


def read_pools(objects: Objects, namespace: str, cluster: str) -> ClusterPools:
    """Raises ExternalError where they can't be listed: a pool that could not be read must never look like one that is gone, so nothing at all is decided then."""
    found = [r for r in objects.list("SwarmWorkerPool", namespace) if (r.spec.get("clusterRef") or {}).get("name") == cluster]
    return ClusterPools(tuple(sorted(found, key=lambda r: r.key.name)))


def pool_object(resource: Resource) -> PoolObject:
    """What the decision knows of one."""
    try:
        return PoolObject(resource.key.name, resource.generation, parse_pool(resource.spec), deleting=resource.deleting)
    except SpecError as error:
        return PoolObject(resource.key.name, resource.generation, None, str(error), deleting=resource.deleting)


def needing_references(spec: SwarmClusterSpec) -> set[str]:
    """Pools whose flavor and image are looked up: those that have machines, or may get some by need."""
    return {pool for _, pool, replicas in pools(spec) if replicas} | {pool.name for pool in spec.worker_pools if pool.autoscaling is not None}


def look_at_tasks(spec: SwarmClusterSpec, swarm: Swarm | None) -> Workload:
    """What tasks need; nothing is read where no pool has `autoscaling`. Raises ExternalError."""
    if swarm is None or all(pool.autoscaling is None for pool in spec.worker_pools):
        return Workload()
    return workload(swarm.list_services(), swarm.list_tasks())


def tell_of_pools(objects: Objects, resource: Resource, former: SwarmClusterStatus, status: SwarmClusterStatus) -> None:
    """An Event when a pool was scaled by need."""
    before = {p.name: p for p in former.pools}
    for pool in status.pools:
        old = before.get(pool.name)
        if pool.autoscaling is not None and old is not None and old.autoscaling is not None and old.desired != pool.desired:
            objects.event(resource, Reason.SCALED, f"pool {pool.name}: {old.desired} -> {pool.desired} workers: {pool.autoscaling.why}")
