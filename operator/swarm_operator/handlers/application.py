"""The life of the process: start, watch, reconcile, end.

Exit status: 0 after SIGTERM or SIGINT; 1 when the API server or the CRDs were not there in time, or the watch died; 2 for wrong flags; 3 when the lease was lost, at once and
with work cut off. After 1 and 3 the supervisor is to start us again.
Does not: parse flags, or know the controllers.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from types import FrameType

from swarm_operator import __version__
from swarm_operator.adapters.kubernetes.login import load_configuration
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import SystemClock
from swarm_operator.engine.leader import Candidate
from swarm_operator.engine.outcome import Outcome, Retry
from swarm_operator.engine.queue import WorkQueue
from swarm_operator.engine.resync import Resync
from swarm_operator.engine.watchdog import WatchOracle
from swarm_operator.engine.workers import WorkerPool
from swarm_operator.handlers.settings import Settings
from swarm_operator.handlers.sharding import only_own
from swarm_operator.handlers.shell import Shell, count_silent_watches
from swarm_operator.handlers.sweep import Sweep
from swarm_operator.handlers.watch import ClusterNames, WatchEvents
from swarm_operator.handlers.wiring import BuildCore, build_core, build_lease, build_objects, leader_identity
from swarm_operator.ports.objects import KINDS, Key, Objects
from swarm_operator.telemetry import logs
from swarm_operator.telemetry.metrics import Metrics, result_of
from swarm_operator.telemetry.objects import ObjectCollector, ObjectStates
from swarm_operator.telemetry.server import TelemetryServer
from swarm_operator.telemetry.traces import Tracer, to_collector

LOOP_PATIENCE = 30.0
"""Seconds without a beat of kopf's loop after which the process is not alive."""

LEASE_LOST = 3
"""Exit status."""

log = logging.getLogger(__name__)


class ReconcileObserver:
    """Gives each reconcile its log fields and, where there is a tracer, its trace; counts it."""

    def __init__(self, clusters: ClusterNames, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._clusters = clusters
        self._metrics = metrics
        self._tracer = tracer

    def started(self, key: Key) -> None:
        fields = {"key": str(key), "kind": key.kind, "namespace": key.namespace, "cluster": self._clusters.cluster_of(key) or ""}
        if self._tracer is not None:
            named = {"swarmops.kind": key.kind, "k8s.namespace.name": key.namespace, "swarmops.name": key.name, "swarmops.cluster": fields["cluster"]}
            fields["trace"] = self._tracer.started(f"reconcile {key.kind}", named)
        logs.bind(
            **fields,
            **{name: key.name for kind, name in (("SwarmService", "service"), ("SwarmStack", "stack"), ("SwarmWorkerPool", "pool")) if key.kind == kind},
        )

    def finished(self, key: Key, outcome: Outcome, seconds: float) -> None:
        log.debug("%s in %.2f s", outcome, seconds)
        self._metrics.reconciled(key.kind, outcome, seconds)
        if self._tracer is not None:
            self._tracer.finished(result_of(outcome), isinstance(outcome, Retry))
        logs.unbind()


class Application:
    """One operator process. `run` may be called once."""

    def __init__(self, settings: Settings, build: BuildCore = build_core) -> None:
        """Makes no call yet. Raises ExternalError where there is no login, OSError where the metrics port is taken."""
        self._settings = settings
        self._clock = SystemClock()
        self._metrics = Metrics()
        self._exit_status = 0
        self._ending = False
        configuration = load_configuration(settings.kubeconfig)
        clusters = ClusterNames()
        oracle: WatchOracle[Key] = WatchOracle(self._clock, settings.watch_patience_seconds)
        self._queue: WorkQueue[Key] = WorkQueue(self._clock, clusters.group, settings.group_limit)
        self._objects = build_objects(configuration, settings, self._clock, self._metrics)
        self._core = build(self._objects, self._wake, self._clock, self._metrics)
        reconcile = self._core.reconcile if settings.shard is None else only_own(self._core.reconcile, settings.shard, clusters, self._objects)
        self._working = False
        self._candidate: Candidate | None = None
        if settings.leader_elect:
            lease = build_lease(configuration, settings, self._clock, self._metrics)
            self._candidate = Candidate(lease, leader_identity(settings), self._clock, self._elected, self._lease_lost)
        self._metrics.lead_from(settings.lease if settings.leader_elect else "", self._leads)
        self._tracer = Tracer(to_collector(settings.otlp_endpoint), self._metrics.spans_counted) if settings.otlp_endpoint else None
        if self._tracer is not None:
            self._metrics.requests_also_to(self._tracer.request)
        self._pool = WorkerPool(self._queue, reconcile, settings.workers, ReconcileObserver(clusters, self._metrics, self._tracer))
        states = ObjectStates()
        grace = min(10.0, settings.watch_patience_seconds)
        sweep = Sweep(self._objects, settings.namespaces, self._queue, oracle, clusters, self._clock, self._watch_died, states, grace_seconds=grace)
        self._resync = Resync(sweep, settings.resync_seconds, self._clock)
        self._shell = Shell(configuration, settings.namespaces, WatchEvents(self._queue, oracle, clusters, self._metrics, states), self._close_queue)
        count_silent_watches(self._metrics.watch_silent)
        self._metrics.collect_from(self._queue.figures, self._resync.last_success)
        self._metrics.registry.register(ObjectCollector(states, self._clock.now, self._leads))
        self._server = TelemetryServer(
            settings.metrics_address, settings.metrics_port, metrics=self._metrics.exposition, live=self._live_complaints, ready=self._ready_complaints
        )

    def run(self) -> int:
        """Blocks until the process is to end; the exit status."""
        signal.signal(signal.SIGTERM, _leave)
        self._server.start()
        if self._tracer is not None:
            self._tracer.start()
        scope = ", ".join(self._settings.namespaces) or "all namespaces"
        log.info("swarm-operator %s serves %s; metrics at %s:%d", __version__, scope, *self._server.address)
        try:
            if not self._wait_for_api():
                return 1
            if self._candidate is None:
                self._elected()
            else:
                self._candidate.start()
            self._resync.start()
            self._shell.run(self._clock.monotonic)
        except Exception:
            log.exception("the watch ended")
            self._exit_status = 1
        finally:
            self._end()
        return self._exit_status

    def _wait_for_api(self) -> bool:
        """Whether our kinds can be listed: within `startup_seconds`, for the CRDs may come a moment after us. kopf would wait silently and for ever."""
        end = self._clock.monotonic() + self._settings.startup_seconds
        while True:
            try:
                _list_once(self._objects, self._settings.namespaces)
            except ExternalError as error:
                hint = " (are the CRDs of crds/ installed?)" if error.kind is ErrorKind.NOT_FOUND else ""
                log.warning("can't list our kinds yet: %s%s", error, hint)
                if self._clock.monotonic() >= end:
                    log.error("gave up after %.0f s", self._settings.startup_seconds)
                    return False
                self._clock.sleep(2)
            else:
                return True

    def _elected(self) -> None:
        """From now on we may change things. The queue has been filled meanwhile: a standby watches and lists like a leader."""
        if self._candidate is not None:
            log.info("leading: %s holds the lease %s/%s", self._candidate.election.identity, self._settings.lease_namespace, self._settings.lease)
        self._working = True
        self._pool.start()

    def _leads(self) -> bool:
        return self._candidate is None or self._candidate.leading

    def _lease_lost(self, why: str) -> None:
        """Another process may begin to work in a moment, and nothing here can stop a thread in the midst of a call: only the end of the process can."""
        log.critical("the lease %s/%s is lost (%s); ending at once", self._settings.lease_namespace, self._settings.lease, why)
        logging.shutdown()
        os._exit(LEASE_LOST)

    def _wake(self, key: Key) -> None:
        """For event streams of the controllers: what happened outside is as urgent as an edit."""
        self._queue.add(key, urgent=True)

    def _close_queue(self) -> None:
        self._ending = True
        self._queue.close()

    def _watch_died(self, keys: list[Key]) -> None:
        log.critical("the watch is dead: no event brought the present version of %s; ending to be started anew", ", ".join(map(str, keys[:5])))
        self._metrics.watch_stale()
        self._exit_status = 1
        self._shell.stop()

    def _end(self) -> None:
        self._close_queue()
        start = time.monotonic()
        self._resync.stop(timeout=1.0)
        stopped = self._pool.stop(self._settings.shutdown_seconds)
        # Before the rest is closed: a standby can begin now. While work still runs the lease is kept, and expires after us.
        if stopped and self._candidate is not None and self._candidate.resign():
            log.info("gave the lease back")
        if not stopped:
            log.warning("work still runs after %.0f s; left where it is, the next start goes on from what it finds", self._settings.shutdown_seconds)
        for close in (*self._core.closers, self._objects.close, *([self._tracer.stop] if self._tracer is not None else []), self._server.stop):
            try:
                close()
            except Exception:
                log.exception("while ending")
        log.info("ended after %.1f s", time.monotonic() - start)

    def _live_complaints(self) -> list[str]:
        complaints = []
        if self._shell.ready and self._clock.monotonic() - self._shell.heartbeat > LOOP_PATIENCE:
            complaints.append("the watch's loop hangs")
        if self._working and self._shell.ready and not self._ending and self._pool.alive() < self._settings.workers:
            complaints.append("a worker thread ended")
        return complaints

    def _ready_complaints(self) -> list[str]:
        complaints = []
        if self._ending:
            complaints.append("ending")
        if not self._shell.ready:
            complaints.append("the watch has not begun")
        if self._resync.last_success() is None:
            complaints.append("no complete list yet")
        if self._candidate is not None and self._candidate.problem is not None:
            complaints.append(f"the lease: {self._candidate.problem}")
        return complaints


def _list_once(objects: Objects, namespaces: tuple[str, ...]) -> None:
    for kind in KINDS:
        for namespace in namespaces or (None,):
            objects.list(kind, namespace)


def _leave(number: int, frame: FrameType | None) -> None:
    """SIGTERM before the shell has its own handlers: nothing runs yet that would want to be finished."""
    sys.exit(0)
