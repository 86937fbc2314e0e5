"""Finds out that a watch has died without saying so.

A watch can stop delivering while the process looks healthy (kopf issues #1276, #957: its watcher task may end and nobody looks). The oracle compares what a LIST saw
with what the watch delivered: a version that the LIST saw and that the watch has not brought within `patience` seconds, confirmed by a later LIST, is proof.

Does not: order versions (they are opaque), list, or end the process.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from swarm_operator.engine.clock import Clock

K = TypeVar("K", bound=Hashable)


class WatchOracle(Generic[K]):
    """Thread safe. `delivered` is called by the watch, `listed` by the sweep."""

    def __init__(self, clock: Clock, patience: float = 120.0) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._patience = patience
        self._versions: dict[K, str] = {}
        self._awaited: dict[K, float] = {}

    @property
    def patience(self) -> float:
        """Seconds that the watch has to deliver."""
        return self._patience

    def delivered(self, key: K, version: str) -> None:
        """The watch brought this version. Any delivery proves that the watch of the key lives: if it is older than the awaited one, that one follows or the next LIST asks again."""
        with self._lock:
            self._versions[key] = version
            self._awaited.pop(key, None)

    def gone(self, key: K) -> None:
        """The watch brought the deletion."""
        with self._lock:
            self._versions.pop(key, None)
            self._awaited.pop(key, None)

    def listed(self, versions: Mapping[K, str]) -> list[K]:
        """A complete LIST saw these and no others. The suspects: awaited for `patience` seconds, still there and still undelivered.

        A suspect is no proof yet: it may have changed a moment ago. Ask `undelivered` a few seconds later.
        An object that was deleted while the watch was down is never delivered (after 410 Gone only present objects are), so what is no longer listed is not awaited.
        """
        now = self._clock.monotonic()
        with self._lock:
            for key in [key for key in self._awaited if key not in versions]:
                del self._awaited[key]
            for key, version in versions.items():
                if self._versions.get(key) == version:
                    self._awaited.pop(key, None)
                else:
                    # The watch may also be ahead of this LIST; then the next LIST agrees with it.
                    self._awaited.setdefault(key, now)
            return sorted((key for key, since in self._awaited.items() if now - since >= self._patience), key=str)

    def undelivered(self, suspects: Iterable[K]) -> list[K]:
        """Those of the suspects for which the watch has brought nothing since: it is dead."""
        with self._lock:
            return [key for key in suspects if key in self._awaited]

    def waiting(self) -> bool:
        """Whether anything is awaited: then the next LIST should follow after `patience` seconds."""
        with self._lock:
            return bool(self._awaited)
