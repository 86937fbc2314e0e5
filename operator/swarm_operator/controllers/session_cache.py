"""The services of one swarm as last seen: one list for all of them, single inspects for those that an event or a write of ours made stale."""

from __future__ import annotations

import threading
from collections.abc import Callable

from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.live import LiveService, parse, pick
from swarm_operator.domain.service.render import Owner
from swarm_operator.engine.clock import Clock
from swarm_operator.ports.swarm import Swarm

MANY = 8
"""More stale services than this are cheaper to read by one list."""


class ServiceCache:
    """Safe to share among threads. One thread reads at a time; the others wait for its answer. `changed` gets the services that a list found to be new, changed or
    gone since the last one."""

    def __init__(self, swarm: Swarm, clock: Clock, lifetime: Callable[[], float], changed: Callable[[list[LiveService]], None]) -> None:
        self._swarm, self._clock, self._lifetime, self._changed = swarm, clock, lifetime, changed
        self._reading = threading.Lock()
        self._lock = threading.Lock()
        self._entries: dict[str, LiveService] = {}
        self._counts: dict[str, tuple[int | None, int | None]] = {}
        self._listed_at: float | None = None
        self._stale: dict[str, int] = {}
        self._marks = 0
        self._floor: dict[str, int] = {}
        self.missed = 0
        """How many changes the last list found that no event had told of."""

    def invalidate(self, service_id: str) -> None:
        """An event names the service: read it again before it is used."""
        with self._lock:
            self._marks += 1
            self._stale[service_id] = self._marks

    def wrote(self, service_id: str, version: int) -> None:
        """We wrote over `version`: what a manager shows at or below it is old."""
        with self._lock:
            self._floor[service_id] = max(version, self._floor.get(service_id, -1))
        self.invalidate(service_id)

    def find(self, owner: Owner, name: str, recorded_id: str | None) -> tuple[LiveService | None, LiveService | None]:
        """Our service, and else another one of that name. Both None only after a fresh look by name: absence is believed from nothing less.

        Raises CONFLICT while the manager does not show our own last write: look again shortly.
        """
        self.refresh()
        with self._lock:
            own, namesake = pick(self._entries.values(), owner, name, recorded_id)
        if own is None and namesake is None:
            raw = self._swarm.inspect_service(name)  # by id, then name, then id prefix: the name is checked
            if raw is not None and (fresh := parse(raw)).name == name:
                with self._lock:
                    self._entries[fresh.id] = fresh
                own, namesake = pick([fresh], owner, name, recorded_id)
        if own is not None and own.version <= self._floor.get(own.id, -1):
            self.invalidate(own.id)
            raise ExternalError(ErrorKind.CONFLICT, "docker", "the manager does not show the last write yet")
        return own, namesake

    def entry(self, service_id: str) -> LiveService | None:
        """What is known without reading."""
        with self._lock:
            return self._entries.get(service_id)

    def all(self) -> list[LiveService]:
        """What is known without reading."""
        with self._lock:
            return list(self._entries.values())

    def refresh(self, *, force: bool = False) -> None:
        """Read what is stale: the list when it is too old or `force`, else single services."""
        with self._reading:
            with self._lock:
                stale = dict(self._stale)
                old = self._listed_at is None or self._clock.monotonic() - self._listed_at > self._lifetime()
            if force or old or len(stale) > MANY:
                self._list(stale)
                return
            for service_id, mark in stale.items():
                raw = self._swarm.inspect_service(service_id)
                with self._lock:
                    if raw is None:
                        self._entries.pop(service_id, None)
                        self._floor.pop(service_id, None)
                    else:
                        fresh = parse(raw)
                        self._entries[fresh.id] = fresh
                    self._settle(service_id, mark)

    def _list(self, stale: dict[str, int]) -> None:
        started = self._clock.monotonic()
        listed = {service.id: service for service in map(parse, self._swarm.list_services())}
        with self._lock:
            first = self._listed_at is None
            before, counts = self._entries, self._counts
            self._entries, self._listed_at = listed, started
            self._counts = {s.id: (s.running, s.wanted) for s in listed.values()}
            differ = [s for s in listed.values() if s.id not in before or before[s.id].version != s.version]
            gone = [s for s in before.values() if s.id not in listed]
            self.missed = 0 if first else sum(1 for s in [*differ, *gone] if s.id not in self._stale)
            recounted = [s for s in listed.values() if s.id in counts and counts[s.id] != self._counts[s.id] and s not in differ]
            for service_id, mark in stale.items():
                self._settle(service_id, mark)
            self._floor = {i: v for i, v in self._floor.items() if i in listed}
        if differ or gone or recounted:
            self._changed([*differ, *gone, *recounted])

    def _settle(self, service_id: str, mark: int) -> None:
        """Not stale any more, unless marked again while it was read."""
        if self._stale.get(service_id) == mark:
            del self._stale[service_id]
