"""Open sessions to swarms: one per SwarmCluster, with one event thread, one list of services, and the index from services to the keys that reconcile them.

Events of the engine are hints that wake keys within about a tenth of a second; a list at every connect and every RESYNC seconds is the truth (moby keeps no more than 256
events, and its stream can fall silent without an error). Calls grow with clusters, not with services.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Final

from swarm_operator.controllers.session_cache import ServiceCache
from swarm_operator.domain.errors import ExternalError
from swarm_operator.domain.service.compare import live_mode
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.render import Owner
from swarm_operator.domain.swarm import Material, MaterialKind, SwarmView
from swarm_operator.engine.clock import Clock
from swarm_operator.ports.objects import Key
from swarm_operator.ports.swarm import Swarm, SwarmEvent, Swarms, TlsMaterial

log = logging.getLogger(__name__)

Wake = Callable[[Key], None]
HEARTBEAT: Final = 10.0
"""Seconds of silence after which the event stream is opened again."""
RESYNC: Final = 30.0
RESYNC_WHEN_EVENTS_ARE_MISSED: Final = 5.0
LIFETIME: Final = 45.0
"""Seconds that a list is good for while events come in; without them LIFETIME_BLIND."""
LIFETIME_BLIND: Final = 2.0
DEBOUNCE: Final = 0.08
LONGEST_PAUSE: Final = 30.0


class ClusterSession:
    """The swarm of one SwarmCluster. `swarm` may be used by any thread."""

    def __init__(self, cluster: Key, swarm: Swarm, wake: Wake, clock: Clock) -> None:
        self.cluster, self.swarm = cluster, swarm
        self._wake, self._clock = wake, clock
        self._lock = threading.Lock()
        self._viewing = threading.Lock()
        self._stop = threading.Event()
        self._streaming = False
        self._view: tuple[float, SwarmView] | None = None
        self._view_changes = 0
        self._materials: tuple[float, tuple[Material, ...]] | None = None
        self._material_changes = 0
        self.hash_key: bytes | None = None
        """The key of names made from contents, once it was needed. Secret."""
        self._by_id: dict[str, Key] = {}
        self._by_name: dict[str, Key] = {}
        self._following: set[Key] = set()
        self._pending: set[Key] = set()
        self._list_wanted = False
        self._timer: threading.Timer | None = None
        self._next_list = 0.0
        self._cache = ServiceCache(swarm, clock, self._lifetime, self._on_changed)
        self._thread = threading.Thread(target=self._run, name=f"swarm-events {cluster.namespace}/{cluster.name}", daemon=True)

    def start(self) -> None:
        """Begin to follow events."""
        self._thread.start()

    def close(self) -> None:
        """Stop following and close the connections; safe to repeat. The event thread ends within a heartbeat."""
        self._stop.set()
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self.swarm.close()

    # -- for the service controller

    def find(self, owner: Owner, name: str, recorded_id: str | None) -> tuple[LiveService | None, LiveService | None]:
        """See `ServiceCache.find`."""
        return self._cache.find(owner, name, recorded_id)

    def track(self, key: Key, service_name: str, service_id: str | None) -> None:
        """Events of this service wake `key` from now on."""
        with self._lock:
            self._by_name[service_name] = key
            if service_id is not None:
                self._by_id[service_id] = key

    def follow_nodes(self, key: Key, wanted: bool) -> None:
        """Whether changes of nodes wake `key` (services that are global they wake at any rate)."""
        with self._lock:
            (self._following.add if wanted else self._following.discard)(key)

    def untrack(self, key: Key) -> None:
        """`key` is woken no more."""
        with self._lock:
            self._following.discard(key)
            self._by_id = {i: k for i, k in self._by_id.items() if k != key}
            self._by_name = {n: k for n, k in self._by_name.items() if k != key}

    def tracked(self) -> set[Key]:
        """All keys that are tracked."""
        with self._lock:
            return {*self._by_id.values(), *self._by_name.values()}

    def wrote(self, service_id: str, version: int) -> None:
        """We have written the service over `version` (0 for a create or a removal)."""
        self._cache.wrote(service_id, version)

    def invalidate(self, service_id: str) -> None:
        """What is known of the service is out of date."""
        self._cache.invalidate(service_id)

    def view(self, networks: set[str] | None = None) -> SwarmView:
        """Nodes and networks, a short while old at most; read anew where one of `networks` is not among them."""
        with self._viewing:  # one thread reads, the others take its answer
            now = self._clock.monotonic()
            with self._lock:
                cached, changes = self._view, self._view_changes
            if cached is not None and now - cached[0] <= self._lifetime():
                known = {network.name for network in cached[1].networks}
                if not (networks or set()) - known or now - cached[0] < 1.0:
                    return cached[1]
            fresh = self.swarm.view()
            with self._lock:
                if changes == self._view_changes:  # else something changed while it was read
                    self._view = (now, fresh)
            return fresh

    def services(self) -> list[LiveService]:
        """All services of the swarm as last seen."""
        return self._cache.all()

    def materials(self, needed: set[tuple[MaterialKind, str]]) -> tuple[Material, ...]:
        """The swarm's configs and secrets, a short while old at most; read anew where one of `needed` (kind, name) is not among them."""
        with self._viewing:
            now = self._clock.monotonic()
            with self._lock:
                cached, changes = self._materials, self._material_changes
            if cached is not None and now - cached[0] <= self._lifetime() and not needed - {(m.kind, m.name) for m in cached[1]}:
                return cached[1]
            fresh = tuple(self.swarm.list_materials())
            with self._lock:
                if changes == self._material_changes:
                    self._materials = (now, fresh)
            return fresh

    def forget_materials(self) -> None:
        """What is known of configs and secrets is out of date."""
        with self._lock:
            self._materials = None
            self._material_changes += 1

    def forget_view(self) -> None:
        """What is known of nodes and networks is out of date."""
        with self._lock:
            self._view = None
            self._view_changes += 1

    # -- events

    def handle(self, event: SwarmEvent) -> None:
        """Take one event: mark what it makes stale, and wake who cares, after a debounce."""
        if event.type == "service":
            self._cache.invalidate(event.actor_id)
            with self._lock:
                key = self._by_id.get(event.actor_id) or self._by_name.get(event.attributes.get("name", ""))
            self._later({key} if key is not None else set())
        elif event.type in ("config", "secret"):
            self.forget_materials()
        elif event.type in ("node", "network"):
            self.forget_view()
            if event.type == "node":
                roaming = {service.id for service in self._cache.all() if live_mode(service.spec) == "global"}
                with self._lock:
                    keys = {key for service_id, key in self._by_id.items() if service_id in roaming} | self._following
                self._later({self.cluster, *keys}, with_list=True)

    def flush(self) -> None:
        """Wake what is pending."""
        with self._lock:
            keys, self._pending = self._pending, set()
            wanted, self._list_wanted = self._list_wanted, False
            self._timer = None
        for key in sorted(keys):
            self._wake(key)
        if wanted and not self._stop.is_set():
            try:
                self._cache.refresh(force=True)
            except ExternalError as error:
                log.info("listing services failed", extra={"cluster": str(self.cluster), "error": error.message})

    def resync(self) -> None:
        """List all services and wake the keys of those that changed."""
        self._cache.refresh(force=True)
        silent = self._cache.missed > 0 and self._streaming
        self._next_list = self._clock.monotonic() + (RESYNC_WHEN_EVENTS_ARE_MISSED if silent else RESYNC)

    def _later(self, keys: set[Key], *, with_list: bool = False) -> None:
        with self._lock:
            self._pending |= keys
            self._list_wanted = self._list_wanted or with_list
            if self._timer is None and (self._pending or self._list_wanted) and not self._stop.is_set():
                self._timer = threading.Timer(DEBOUNCE, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def _on_changed(self, services: list[LiveService]) -> None:
        with self._lock:
            keys = {self._by_id.get(service.id) or self._by_name.get(service.name) for service in services}
        for key in sorted(key for key in keys if key is not None):
            self._wake(key)

    def _lifetime(self) -> float:
        return LIFETIME if self._streaming else LIFETIME_BLIND

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._next_list = 0.0
            try:
                for event in self.swarm.events(timeout=HEARTBEAT):
                    if self._stop.is_set():
                        return
                    if event is not None:
                        self.handle(event)
                    if self._clock.monotonic() >= self._next_list:
                        self.resync()
                        if failures:
                            self._wake_all()
                        failures, self._streaming = 0, True
            except ExternalError as error:
                if not self._stop.is_set():
                    log.warning("event stream broke", extra={"cluster": str(self.cluster), "error": error.message})
            except Exception:
                log.exception("event thread failed", extra={"cluster": str(self.cluster)})
            self._streaming = False
            if self._stop.is_set():
                return
            if failures == 0:
                self._wake(self.cluster)
            failures += 1
            self._stop.wait(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 2.0 ** (failures - 1)))  # noqa: S311

    def _wake_all(self) -> None:
        """The swarm answers again: whoever waits out a back-off need not."""
        for key in sorted({self.cluster, *self.tracked()}):
            self._wake(key)


class ClusterSessions:
    """The sessions by SwarmCluster. `wake` puts a key into the queue; it must not block."""

    def __init__(self, swarms: Swarms, wake: Wake, clock: Clock, *, follow_events: bool = True) -> None:
        self._swarms, self._wake, self._clock, self._follow = swarms, wake, clock, follow_events
        self._lock = threading.Lock()
        self._sessions: dict[Key, tuple[tuple[str, tuple[str, ...], TlsMaterial], ClusterSession]] = {}
        self._waiting: dict[Key, set[Key]] = {}
        self._closed = False

    def publish(self, cluster: Key, uid: str, endpoints: list[str], tls: TlsMaterial) -> ClusterSession:
        """The session of a cluster whose managers can be reached at `endpoints`. The one at hand, unless the cluster, its endpoints or its TLS material are others now."""
        wanted = (uid, tuple(sorted(endpoints)), tls)
        with self._lock:
            if self._closed:
                raise RuntimeError("the sessions are closed")
            old = self._sessions.get(cluster)
            if old is not None and old[0] == wanted:
                return old[1]
            session = ClusterSession(cluster, self._swarms.open(list(endpoints), tls), self._wake, self._clock)
            self._sessions[cluster] = (wanted, session)
            waiting = self._waiting.pop(cluster, set())
        if old is not None:
            waiting |= old[1].tracked()
            old[1].close()
        if self._follow:
            session.start()
        for key in sorted(waiting):
            self._wake(key)
        return session

    def get(self, cluster: Key) -> ClusterSession | None:
        """The session, None while the cluster has no reachable manager or is unknown."""
        with self._lock:
            found = self._sessions.get(cluster)
        return found[1] if found is not None else None

    def await_cluster(self, cluster: Key, key: Key) -> None:
        """Wake `key` when the cluster gets a session."""
        with self._lock:
            self._waiting.setdefault(cluster, set()).add(key)

    def forget(self, key: Key) -> None:
        """`key` is gone: nothing wakes it any more."""
        with self._lock:
            sessions = [session for _, session in self._sessions.values()]
            for waiting in self._waiting.values():
                waiting.discard(key)
        for session in sessions:
            session.untrack(key)

    def drop(self, cluster: Key) -> None:
        """The cluster is gone or out of reach for good; its services' keys are woken to find out."""
        with self._lock:
            old = self._sessions.pop(cluster, None)
        if old is not None:
            tracked = old[1].tracked()
            old[1].close()
            for key in sorted(tracked):
                self._wake(key)

    def close(self) -> None:
        """End all sessions."""
        with self._lock:
            self._closed = True
            sessions, self._sessions = list(self._sessions.values()), {}
        for _, session in sessions:
            session.close()
