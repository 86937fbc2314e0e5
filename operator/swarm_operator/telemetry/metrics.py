"""Prometheus metrics of the process. Other code only calls the methods here.

Labels come from closed sets (kinds, outcomes, names of operations): never a name of an object, an id or a message. Does not: serve them (`telemetry.server` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swarm_operator import __version__
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.engine.queue import QueueFigures
from swarm_operator.engine.workers import INTERNAL_ERROR
from swarm_operator.telemetry.requests import EXPECTED, Observe, ignore

_RECONCILE_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_REQUEST_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics, in a registry of their own, so that tests can make as many as they like."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "swarm_operator_reconcile_total",
            "Reconciles by kind and result (done, after, retry, error: it raised).",
            ["kind", "result"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "swarm_operator_reconcile_duration_seconds", "How long a reconcile took.", ["kind"], buckets=_RECONCILE_BUCKETS, registry=self.registry
        )
        self._requests = Counter(
            "swarm_operator_external_request_total",
            "Calls to other systems by outcome: ok, or the class of the failure.",
            ["system", "operation", "outcome"],
            registry=self.registry,
        )
        self._request_errors = Counter(
            "swarm_operator_external_request_errors_total",
            "Calls to other systems that failed; an answer of not-found or conflict is no failure.",
            ["system", "operation", "outcome"],
            registry=self.registry,
        )
        self._request_durations = Histogram(
            "swarm_operator_external_request_duration_seconds",
            "How long calls to other systems took.",
            ["system", "operation"],
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._watch_events = Counter("swarm_operator_watch_events_total", "Events that the watches delivered.", ["kind"], registry=self.registry)
        self._watch_stale = Counter(
            "swarm_operator_watch_stale_total", "Watches found dead: a list saw what no event had brought. The process ends then.", registry=self.registry
        )
        self._watch_silent = Counter(
            "swarm_operator_watch_silent_total", "Watches opened anew because nothing, not even a bookmark, came for 70 s.", registry=self.registry
        )
        self._steps = Counter(
            "swarm_operator_step_total",
            "Steps performed for SwarmClusters, repairs among them, by result (ok, failed: it is tried again).",
            ["step", "result"],
            registry=self.registry,
        )
        self._failures = Counter(
            "swarm_operator_failure_total",
            "Failures that reconciles of SwarmClusters met, by system and reason; faults of servers among them.",
            ["system", "reason"],
            registry=self.registry,
        )
        self._events = Counter(
            "swarm_operator_events_total",
            "Kubernetes Events by their reason: what was created, deleted, replaced or corrected, and what was refused.",
            ["kind", "type", "reason"],
            registry=self.registry,
        )
        self._spans = Counter(
            "swarm_operator_trace_spans_total", "Spans by what became of them: sent to the collector, or dropped.", ["result"], registry=self.registry
        )
        self._requests_to: Observe = ignore
        info = Gauge("swarm_operator_build_info", "Always 1; the version is in the label.", ["version"], registry=self.registry)
        info.labels(__version__).set(1)

    def reconciled(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """One reconcile of an object of `kind` ended."""
        self._reconciles.labels(kind, result_of(outcome)).inc()
        self._durations.labels(kind).observe(seconds)

    def observe_request(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        """An `Observe` for adapters."""
        self._requests.labels(system, operation, outcome).inc()
        if outcome not in EXPECTED:
            self._request_errors.labels(system, operation, outcome).inc()
        self._request_durations.labels(system, operation).observe(seconds)
        self._requests_to(system, operation, outcome, seconds)

    def requests_also_to(self, observe: Observe) -> None:
        """Hand each call on, in the thread that made it."""
        self._requests_to = observe

    def spans_counted(self, result: str, count: int) -> None:
        """A `CountSpans`."""
        self._spans.labels(result).inc(count)

    def watch_event(self, kind: str) -> None:
        """A watch delivered an event."""
        self._watch_events.labels(kind).inc()

    def step_performed(self, step: str, result: str) -> None:
        """An `ObserveStep` for controllers."""
        self._steps.labels(step, result).inc()

    def failure_met(self, system: str, reason: str) -> None:
        """An `ObserveFailure` for controllers."""
        self._failures.labels(system, reason).inc()

    def circuits_from(self, circuits: Callable[[], Mapping[str, int]]) -> None:
        """Ask at each scrape how many circuits are open, by service. To be called once."""
        self.registry.register(_CircuitCollector(circuits))

    def event_recorded(self, kind: str, event_type: str, reason: str) -> None:
        """An Event was recorded for an object of `kind`."""
        self._events.labels(kind, event_type, reason).inc()

    def watch_stale(self) -> None:
        """A watch was found dead."""
        self._watch_stale.inc()

    def watch_silent(self) -> None:
        """A watch fell silent and is opened anew."""
        self._watch_silent.inc()

    def collect_from(self, figures: Callable[[], QueueFigures], last_resync: Callable[[], float | None]) -> None:
        """Read the queue's figures and the time of the last resync at each scrape. To be called once."""
        self.registry.register(_EngineCollector(figures, last_resync))

    def lead_from(self, lease: str, leads: Callable[[], bool]) -> None:
        """Ask at each scrape whether this process leads. `lease` is empty where there is no election. To be called once."""
        gauge = Gauge(
            "swarm_operator_leader",
            "1 while this process holds its lease and works, 0 while it stands by; without election always 1.",
            ["lease"],
            registry=self.registry,
        )
        gauge.labels(lease).set_function(lambda: float(leads()))

    def exposition(self) -> bytes:
        """The text format of all metrics."""
        return generate_latest(self.registry)


def result_of(outcome: Outcome) -> str:
    """The `result` label."""
    match outcome:
        case Done():
            return "done"
        case After():
            return "after"
        case Retry(reason):
            return "error" if reason == INTERNAL_ERROR else "retry"


class _CircuitCollector(Collector):
    """A credential that is forgotten has no circuit any more: asked, not set."""

    def __init__(self, circuits: Callable[[], Mapping[str, int]]) -> None:
        self._circuits = circuits

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "swarm_operator_openstack_circuits_open",
            "Credentials for which an OpenStack service is left alone because it failed five times in a row; no series where there is none.",
            labels=["service"],
        )
        for service, count in sorted(self._circuits().items()):
            family.add_metric([service], count)
        yield family


class _EngineCollector(Collector):
    """Reads the engine when asked: no gauge goes stale because somebody forgot to set it."""

    def __init__(self, figures: Callable[[], QueueFigures], last_resync: Callable[[], float | None]) -> None:
        self._figures = figures
        self._last_resync = last_resync

    def collect(self) -> Iterator[Metric]:
        figures = self._figures()
        yield GaugeMetricFamily("swarm_operator_queue_depth", "Keys that wait to be reconciled now.", value=figures.depth)
        yield GaugeMetricFamily("swarm_operator_queue_delayed", "Keys that wait for their time to come.", value=figures.delayed)
        yield GaugeMetricFamily("swarm_operator_queue_in_flight", "Keys that are being reconciled.", value=figures.in_flight)
        yield GaugeMetricFamily("swarm_operator_queue_backing_off", "Keys whose last reconcile failed.", value=figures.backing_off)
        yield GaugeMetricFamily(
            "swarm_operator_queue_oldest_age_seconds", "Age of the key that has waited longest; 0 when none waits.", value=figures.oldest_age
        )
        yield GaugeMetricFamily(
            "swarm_operator_queue_longest_running_seconds", "How long the longest reconcile in flight has run; 0 when none runs.", value=figures.longest_running
        )
        yield CounterMetricFamily("swarm_operator_queue_adds", "Keys added, before de-duplication.", value=figures.adds)
        yield CounterMetricFamily("swarm_operator_queue_retries", "Retries after failures.", value=figures.retries)
        last = self._last_resync()
        if last is not None:
            yield GaugeMetricFamily("swarm_operator_resync_last_success_timestamp_seconds", "When the last complete list ended, in Unix time.", value=last)
