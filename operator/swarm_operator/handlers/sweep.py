"""The periodic list of our kinds: brings every key back, and proves the watch alive or dead.

Does not: reconcile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from swarm_operator.engine.clock import Clock
from swarm_operator.engine.queue import WorkQueue
from swarm_operator.engine.watchdog import WatchOracle
from swarm_operator.handlers.watch import ClusterNames
from swarm_operator.ports.objects import KINDS, Key, Objects
from swarm_operator.telemetry.objects import ObjectStates

log = logging.getLogger(__name__)


class Sweep:
    """`engine.resync.Resync` calls it. `on_stale` is called when the watch is dead, from the sweeping thread."""

    def __init__(
        self,
        objects: Objects,
        namespaces: tuple[str, ...],
        queue: WorkQueue[Key],
        oracle: WatchOracle[Key],
        clusters: ClusterNames,
        clock: Clock,
        on_stale: Callable[[list[Key]], None],
        states: ObjectStates,
        *,
        grace_seconds: float = 10.0,
    ) -> None:
        """`grace_seconds` is what a suspect of the oracle gets to prove innocent: an object may change just while it is listed."""
        self._objects = objects
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._queue = queue
        self._oracle = oracle
        self._clusters = clusters
        self._clock = clock
        self._on_stale = on_stale
        self._states = states
        self._grace = grace_seconds

    def __call__(self) -> float | None:
        """Seconds until the next list where the oracle waits for an event; else None. Raises ExternalError when a list fails: then nothing is concluded."""
        versions: dict[Key, str] = {}
        mark = self._states.mark()
        for kind in KINDS:
            for namespace in self._namespaces:
                for resource in self._objects.list(kind, namespace):
                    versions[resource.key] = resource.resource_version
                    self._clusters.note(resource.key, resource.spec)
                    self._queue.add(resource.key)
        self._states.keep_only(versions, mark)
        suspects = self._oracle.listed(versions)
        if suspects:
            self._clock.sleep(self._grace)
            stale = self._oracle.undelivered(suspects)
            if stale:
                self._on_stale(stale)
        return self._oracle.patience if self._oracle.waiting() else None
