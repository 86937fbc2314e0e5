"""Reconciling one SwarmWorkerPool: its status, and its finalizer. The workers are its cluster's to make and to remove (`controllers.cluster`), in one decision with all others.

Does not: reach a cloud or a swarm.
"""

from __future__ import annotations

from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.parse import SpecError, parse_cluster, parse_cluster_status, parse_pool_status
from swarm_operator.api.pool import SwarmWorkerPoolStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.pools import pool_object, read_pools
from swarm_operator.domain.cluster.pools import Refusal
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.pool.status import PoolView, report
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.objects import Key, Objects, Resource

LOOK_SECONDS = 30.0
"""While a pool is not as declared. The cluster's status brings it back sooner; this is for what no event tells."""


class PoolController:
    """Thread safe as long as one key is reconciled by one thread at a time (the queue's promise)."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects, self._clock = objects, clock

    def reconcile(self, key: Key) -> Outcome:
        """One pass; never raises ExternalError."""
        try:
            return self._reconcile(key)
        except ExternalError as error:
            if error.kind is ErrorKind.NOT_FOUND and error.system == "kubernetes":
                return Done()
            return Retry(f"{error.system}: {error.message}", error.retry_after or 1.0)

    def _reconcile(self, key: Key) -> Outcome:
        resource = self._objects.get(key)
        if resource is None:
            return Done()
        view = self._view(resource)
        former = parse_pool_status(resource.status)
        status = report(view, former, self._clock.now())
        if resource.deleting and view.emptied:
            self._objects.set_finalizer(resource, False)
            return Done()
        self._tell(resource, former, status)
        self._objects.apply_status(resource, status.to_manifest())
        settled = any(c.type in ("Ready", "Stalled") and c.status == "True" for c in status.conditions)
        return Done() if settled and not resource.deleting else After(LOOK_SECONDS)

    def _view(self, resource: Resource) -> PoolView:
        """What status is made of. Raises ExternalError."""
        key, found = resource.key, pool_object(resource)
        wanted = found.spec.replicas if found.spec is not None else 0
        name = str((resource.spec.get("clusterRef") or {}).get("name"))
        cluster = self._objects.get(Key("SwarmCluster", key.namespace, name))
        view = PoolView(key.name, resource.uid, resource.generation, wanted, None, deleting=resource.deleting)
        if cluster is None:
            return view
        refusal, paused, status = None, False, parse_cluster_status(cluster.status)
        try:
            spec = parse_cluster(cluster.spec)
            paused = spec.paused
            if spec.external is not None:
                # Nothing is made there, so nothing is to be removed.
                refusal = Refusal(Reason.NAME_CONFLICT, f"spec.clusterRef.name: SwarmCluster `{name}` is `external`: its nodes are somebody else's")
            else:
                refusal = read_pools(self._objects, key.namespace, name).merge(spec, status).refused.get(key.name)
        except SpecError:
            pass  # The cluster says so itself; until it is put right nothing of the pool changes.
        return PoolView(key.name, resource.uid, resource.generation, wanted, status, refusal, paused, resource.deleting)

    def _tell(self, resource: Resource, former: SwarmWorkerPoolStatus, status: SwarmWorkerPoolStatus) -> None:
        """An Event when the pool is refused, once for each cause."""
        before = {c.type: c for c in former.conditions}
        for condition in status.conditions:
            if condition.type != ConditionType.ACCEPTED.value or condition.status != "False":
                continue
            old = before.get(condition.type)
            if old is None or (old.status, old.message) != (condition.status, condition.message):
                self._objects.event(resource, Reason(condition.reason), condition.message, warning=True)
