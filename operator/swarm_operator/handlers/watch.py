"""From watch events to keys in the queue, and which keys belong together.

Events are hints. A handler that fails is never called again for the same event (kopf ignores errors of on.event), so it does nothing that can fail: it adds a key.
Secrets are not watched: that would need the right to list every Secret and bring their contents into the process. A cluster whose Secret is missing is looked at again
after its back-off, and any edit of the cluster brings it back at once.
Does not: decide anything about an object, or keep its contents but for the figures that metrics show.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from swarm_operator.engine.queue import WorkQueue
from swarm_operator.engine.watchdog import WatchOracle
from swarm_operator.ports.objects import Key, Kind
from swarm_operator.telemetry.metrics import Metrics
from swarm_operator.telemetry.objects import ObjectStates, figures_of


class ClusterNames:
    """Which SwarmCluster each object of the other kinds names, as far as seen (`spec.clusterRef.name` is immutable). Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cluster: dict[Key, str] = {}
        self._services: defaultdict[Key, set[Key]] = defaultdict(set)

    def note(self, key: Key, spec: Mapping[str, Any]) -> None:
        """`key` was seen with this spec."""
        reference = spec.get("clusterRef")
        name = reference.get("name") if isinstance(reference, Mapping) else None
        if key.kind == "SwarmCluster" or not isinstance(name, str):
            return
        with self._lock:
            self._forget(key)
            self._cluster[key] = name
            self._services[Key("SwarmCluster", key.namespace, name)].add(key)

    def forget(self, key: Key) -> None:
        """`key` is gone."""
        with self._lock:
            self._forget(key)

    def cluster_of(self, key: Key) -> str | None:
        """Name of the cluster that `key` is, or is on."""
        return key.name if key.kind == "SwarmCluster" else self._cluster.get(key)

    def services_of(self, cluster: Key) -> list[Key]:
        """The services, stacks and pools seen that name `cluster`."""
        with self._lock:
            return sorted(self._services.get(cluster, ()))

    def group(self, key: Key) -> Hashable:
        """The group of the work queue: all services of a cluster are one, its stacks another, the cluster itself a third. So services that hang on a dead manager can't keep
        their cluster from being repaired."""
        return (key.kind, key.namespace, self.cluster_of(key))

    def _forget(self, key: Key) -> None:
        name = self._cluster.pop(key, None)
        if name is None:
            return
        cluster = Key("SwarmCluster", key.namespace, name)
        self._services[cluster].discard(key)
        if not self._services[cluster]:
            del self._services[cluster]


class WatchEvents:
    """Receives each event of our kinds. Called from one thread (kopf's loop); quick, and raises nothing for an object that the API server can hold."""

    def __init__(self, queue: WorkQueue[Key], oracle: WatchOracle[Key], clusters: ClusterNames, metrics: Metrics, states: ObjectStates) -> None:
        self._queue = queue
        self._states = states
        self._oracle = oracle
        self._clusters = clusters
        self._metrics = metrics
        self._wishes: dict[Key, Hashable] = {}
        self._faces: dict[Key, Hashable] = {}
        self._pool_faces: dict[Key, Hashable] = {}

    def __call__(self, kind: Kind, event_type: str | None, body: Mapping[str, Any]) -> None:
        """`event_type` is None (present when the watch began), ADDED, MODIFIED or DELETED."""
        metadata = body["metadata"]
        key = Key(kind, metadata["namespace"], metadata["name"])
        self._metrics.watch_event(kind)
        if event_type == "DELETED":
            self._oracle.gone(key)
            self._states.remove(key)
            cluster = self._clusters.cluster_of(key)
            self._clusters.forget(key)
            self._wishes.pop(key, None)
            self._faces.pop(key, None)
            self._pool_faces.pop(key, None)
            self._queue.add(key, urgent=True)
            self._wake_stack(kind, metadata)
            if kind == "SwarmWorkerPool" and cluster is not None:
                self._queue.add(Key("SwarmCluster", key.namespace, cluster), urgent=True)
            if kind == "SwarmCluster":
                self._wake_pools(key)
            return
        self._oracle.delivered(key, metadata["resourceVersion"])
        self._clusters.note(key, body.get("spec") or {})
        self._states.put(key, figures_of(body))
        # The echo of our own status must not bring the key back: a reconcile that fails would be repeated at once and its back-off counted twice. When to look again is
        # the Outcome's to say; a status that somebody else changed is put right by the next sweep.
        if _differs(self._wishes, key, _wish(metadata)):
            self._queue.add(key, urgent=True)
            cluster = self._clusters.cluster_of(key)
            if kind == "SwarmWorkerPool" and cluster is not None:
                self._queue.add(Key("SwarmCluster", key.namespace, cluster), urgent=True)
        if kind == "SwarmService" and _stack_of(metadata) is not None and _differs(self._faces, key, _news(body)):
            self._wake_stack(kind, metadata)
        if kind == "SwarmCluster" and _differs(self._faces, key, _face(body.get("status") or {})):
            for service in self._clusters.services_of(key):
                self._queue.add(service)
        if kind == "SwarmCluster" and _differs(self._pool_faces, key, _workers(body)):
            self._wake_pools(key)

    def _wake_pools(self, cluster: Key) -> None:
        for key in self._clusters.services_of(cluster):
            if key.kind == "SwarmWorkerPool":
                self._queue.add(key)

    def _wake_stack(self, kind: Kind, metadata: Mapping[str, Any]) -> None:
        name = _stack_of(metadata) if kind == "SwarmService" else None
        if name is not None:
            self._queue.add(Key("SwarmStack", metadata["namespace"], name))


def _stack_of(metadata: Mapping[str, Any]) -> str | None:
    """The SwarmStack that owns a SwarmService."""
    return next((str(reference["name"]) for reference in metadata.get("ownerReferences") or () if reference.get("kind") == "SwarmStack"), None)


def _news(body: Mapping[str, Any]) -> Hashable:
    """What a stack wants to know of its services: that somebody changed one, and how it fares."""
    metadata, status = body["metadata"], body.get("status") or {}
    ready = [
        (c.get("type"), c.get("status"), c.get("reason"), c.get("message")) for c in status.get("conditions") or () if c.get("type") in ("Ready", "Stalled")
    ]
    return metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"), status.get("observedGeneration"), tuple(ready)


def _differs(known: dict[Key, Hashable], key: Key, value: Hashable) -> bool:
    if known.get(key) == value:
        return False
    known[key] = value
    return True


def _wish(metadata: Mapping[str, Any]) -> Hashable:
    """All of an object that its users set: spec by its generation, deletion, annotations."""
    annotations = metadata.get("annotations") or {}
    return metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"), hash(tuple(sorted(annotations.items())))


def _face(status: Mapping[str, Any]) -> Hashable:
    """What services wait for: the cluster's readiness and where its API is."""
    conditions = {condition.get("type"): condition.get("status") for condition in status.get("conditions") or []}
    return conditions.get("Ready"), conditions.get("ManagersQuorate"), status.get("endpoint")


def _workers(body: Mapping[str, Any]) -> Hashable:
    """What the pools of a cluster tell of: its workers, what it makes of the pools, and its spec, which may refuse one."""
    status = body.get("status") or {}
    nodes = [
        (n.get("name"), n.get("pool"), n.get("phase"), n.get("message"), n.get("upToDate")) for n in status.get("nodes") or () if n.get("role") == "Worker"
    ]
    pools = [tuple(sorted(p.items())) for p in status.get("pools") or ()]
    return body["metadata"].get("generation"), tuple(nodes), tuple(pools)


EventSink = Callable[[Kind, str | None, Mapping[str, Any]], None]
