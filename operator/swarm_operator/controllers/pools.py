"""Reads the SwarmWorkerPools of a cluster, for all who decide on its spec."""

from __future__ import annotations

from dataclasses import dataclass

from swarm_operator.api.base import FINALIZER
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.parse import SpecError, parse_pool
from swarm_operator.domain.cluster.pools import PoolMerge, PoolObject, merge
from swarm_operator.ports.objects import Objects, Resource


@dataclass(frozen=True)
class ClusterPools:
    """The pool objects of one cluster, all of them: they come from a complete list."""

    resources: tuple[Resource, ...]

    @property
    def names(self) -> frozenset[str]:
        """Of all of them."""
        return frozenset(r.key.name for r in self.resources)

    def merge(self, spec: SwarmClusterSpec) -> PoolMerge:
        """See `domain.cluster.pools`."""
        return merge(spec, [pool_object(r) for r in self.resources])

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
