"""Metrics of the objects themselves, made at scrape time from what the watch brought last: an object that is gone has no series, and nothing goes stale.

Only the process that leads shows them, so that two replicas do not count each object twice.

Budget: at most 31 series for a SwarmCluster without orphans whose machines are in up to eight combinations of role and phase (54 if one had machines in all twenty and orphans of
all kinds), 14 for a SwarmService: six beside its eight conditions, eleven for a SwarmStack: two beside its nine conditions, and eight for a SwarmWorkerPool: three beside its five conditions. Of a condition there is one series, whose `status` label is what it is now, and not one for each status it could have; of machines there are
only the phases in which there are some. A pool with `autoscaling` has one more. Labels are namespace, name, names of pools and closed sets: no ids, no addresses, no messages.

Does not: ask the API server, OpenStack or a swarm.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swarm_operator.domain import times
from swarm_operator.ports.objects import Key


@dataclass(frozen=True)
class ObjectFigures:
    """What is kept of an object: numbers and short words of its status. Parts that its kind does not have are empty."""

    conditions: tuple[tuple[str, str], ...] = ()
    deleting: bool = False
    formed: bool = False
    machines: tuple[tuple[str, str, int], ...] = ()
    managers: tuple[int, int] = (0, 0)
    workers: tuple[int, int] = (0, 0)
    replicas: tuple[int, int] = (0, 0)
    services: tuple[int, int] = (0, 0)
    pool: tuple[int, int, int] = (0, 0, 0)
    autoscaled: tuple[tuple[str, int], ...] = ()
    drifted_since: str | None = None
    corrections: int = 0
    failing: int = 0
    orphans: tuple[tuple[str, int], ...] = ()
    credentials_expire: str | None = None
    backed_up: str | None = None


def figures_of(body: Mapping[str, Any]) -> ObjectFigures:
    """The figures of an object as the API server holds it. Raises nothing for a status that the schema allows, or for none."""
    status: Mapping[str, Any] = body.get("status") or {}
    conditions: list[Mapping[str, Any]] = status.get("conditions") or []
    counts = Counter((str(node.get("role", "")), str(node.get("phase", ""))) for node in status.get("nodes") or [])
    orphans = Counter(str(orphan.get("kind", "")) for orphan in status.get("orphans") or [])
    drifted = next((c.get("lastTransitionTime") for c in conditions if c.get("type") == "Drifted" and c.get("status") == "True"), None)
    counted = status.get("replicas")
    replicas: Mapping[str, Any] = counted if isinstance(counted, Mapping) else {}  # a number, of a pool
    return ObjectFigures(
        conditions=tuple((str(c.get("type")), str(c.get("status"))) for c in conditions),
        deleting="deletionTimestamp" in (body.get("metadata") or {}),
        credentials_expire=(status.get("credentials") or {}).get("expiresAt"),
        backed_up=(status.get("backup") or {}).get("lastSuccessfulTime"),
        formed=bool(status.get("swarmID")),
        machines=tuple((role, phase, count) for (role, phase), count in sorted(counts.items())),
        managers=_pair(status.get("managers")),
        workers=_pair(status.get("workers")),
        replicas=(int(replicas.get("desired") or 0), int(replicas.get("running") or 0)),
        services=_stack_services(status.get("services")),
        pool=_pool(body.get("spec") or {}, status),
        autoscaled=tuple((str(p.get("name")), int(p.get("desired") or 0)) for p in status.get("pools") or [] if p.get("autoscaling")),
        drifted_since=drifted,
        corrections=int(status.get("corrections") or 0),
        orphans=tuple(sorted(orphans.items())),
        failing=sum(int(task.get("count") or 1) for task in status.get("failingTasks") or []),
    )


def _pair(count: Mapping[str, Any] | None) -> tuple[int, int]:
    return (int((count or {}).get("desired") or 0), int((count or {}).get("ready") or 0))


def _stack_services(count: Any) -> tuple[int, int]:
    return (int(count.get("total") or 0), int(count.get("ready") or 0)) if isinstance(count, Mapping) else (0, 0)


def _pool(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[int, int, int]:
    """Workers of a SwarmWorkerPool: declared, there, ready."""
    declared, there, ready = spec.get("replicas"), status.get("replicas"), status.get("readyReplicas")
    return (declared if isinstance(declared, int) else 0, there if isinstance(there, int) else 0, ready if isinstance(ready, int) else 0)


class ObjectStates:
    """The figures of all objects seen. Thread safe; the watch writes, the sweep prunes, a scrape reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: dict[Key, tuple[int, ObjectFigures]] = {}
        self._turn = 0

    def put(self, key: Key, figures: ObjectFigures) -> None:
        """The watch brought this."""
        with self._lock:
            self._turn += 1
            self._figures[key] = (self._turn, figures)

    def remove(self, key: Key) -> None:
        """The watch brought the deletion."""
        with self._lock:
            self._figures.pop(key, None)

    def mark(self) -> int:
        """To be asked for before a LIST, for `keep_only`."""
        with self._lock:
            return self._turn

    def keep_only(self, keys: Iterable[Key], mark: int) -> None:
        """A complete LIST begun after `mark` saw `keys` and no others. A deletion can be missed: after a gap (410 Gone) the watch brings only what is still there."""
        listed = set(keys)
        with self._lock:
            for key in [key for key, (turn, _) in self._figures.items() if turn <= mark and key not in listed]:
                del self._figures[key]

    def snapshot(self) -> list[tuple[Key, ObjectFigures]]:
        """All, in the order of their keys."""
        with self._lock:
            return sorted((key, figures) for key, (_, figures) in self._figures.items())


class ObjectCollector(Collector):
    """Makes the families of our kinds; none while `shown` says no."""

    def __init__(self, states: ObjectStates, now: Callable[[], datetime], shown: Callable[[], bool]) -> None:
        self._states = states
        self._now = now
        self._shown = shown

    def collect(self) -> Iterator[Metric]:
        everything = self._states.snapshot() if self._shown() else []
        yield from _cluster_families([(key, figures) for key, figures in everything if key.kind == "SwarmCluster"], self._now())
        yield from _service_families([(key, figures) for key, figures in everything if key.kind == "SwarmService"], self._now())
        yield from _stack_families([(key, figures) for key, figures in everything if key.kind == "SwarmStack"])
        yield from _pool_families([(key, figures) for key, figures in everything if key.kind == "SwarmWorkerPool"])


_Objects = list[tuple[Key, ObjectFigures]]
_OBJECT = ("namespace", "name")


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=[*_OBJECT, *labels])


def _conditions(name: str, kind: str, objects: _Objects) -> Metric:
    family = _gauge(name, f"Conditions of each {kind}: 1 for the status that the condition has now, no series for the others.", "condition", "status")
    for key, figures in objects:
        for condition, status in figures.conditions:
            family.add_metric([key.namespace, key.name, condition, status], 1)
    return family


def _each(name: str, text: str, objects: _Objects, value: Callable[[ObjectFigures], float]) -> Metric:
    family = _gauge(name, text)
    for key, figures in objects:
        family.add_metric([key.namespace, key.name], value(figures))
    return family


def _cluster_families(objects: _Objects, now: datetime) -> Iterator[Metric]:
    yield _conditions("swarmcluster_condition", "SwarmCluster", objects)
    machines = _gauge("swarmcluster_machines", "Machines of a SwarmCluster by role and phase; no series for a phase without machines.", "role", "phase")
    for key, figures in objects:
        for role, phase, count in figures.machines:
            machines.add_metric([key.namespace, key.name, role, phase], count)
    yield machines
    orphans = _gauge(
        "swarmcluster_orphans", "Objects in the cloud with the SwarmCluster's UID that serve no part of it; no series for a kind without any.", "kind"
    )
    for key, figures in objects:
        for kind, count in figures.orphans:
            orphans.add_metric([key.namespace, key.name, kind], count)
    yield orphans
    pools = _gauge("swarmcluster_pool_workers_desired", "Workers that a pool with `autoscaling` shall have now.", "pool")
    for key, figures in objects:
        for pool, desired in figures.autoscaled:
            pools.add_metric([key.namespace, key.name, pool], desired)
    yield pools
    expiry = _gauge(
        "swarmcluster_credentials_expiry_seconds",
        "Seconds until the credentials of a SwarmCluster expire, negative afterwards; no series where they don't or Keystone does not tell.",
    )
    for key, figures in objects:
        moment = times.parse(figures.credentials_expire)
        if moment is not None:
            expiry.add_metric([key.namespace, key.name], (moment - now).total_seconds())
    yield expiry
    saved = _gauge("swarmcluster_backup_last_success_timestamp_seconds", "When the last backup of the raft state was complete; no series where there is none.")
    for key, figures in objects:
        moment = times.parse(figures.backed_up)
        if moment is not None:
            saved.add_metric([key.namespace, key.name], moment.timestamp())
    yield saved
    yield _each("swarmcluster_managers_desired", "Managers that the spec asks for.", objects, lambda f: f.managers[0])
    yield _each("swarmcluster_managers_ready", "Managers that are ready nodes of the swarm.", objects, lambda f: f.managers[1])
    yield _each("swarmcluster_workers_desired", "Workers that the spec asks for.", objects, lambda f: f.workers[0])
    yield _each("swarmcluster_workers_ready", "Workers that are ready nodes of the swarm.", objects, lambda f: f.workers[1])
    yield _each("swarmcluster_formed", "1 once the swarm has been initialised, 0 before.", objects, lambda f: f.formed)
    yield _each("swarmcluster_deleting", "1 while the SwarmCluster is being deleted, else 0.", objects, lambda f: f.deleting)


def _service_families(objects: _Objects, now: datetime) -> Iterator[Metric]:
    def drift_seconds(figures: ObjectFigures) -> float:
        return max(0.0, times.age(figures.drifted_since, now) or 0.0)

    yield _conditions("swarmservice_condition", "SwarmService", objects)
    yield _each("swarmservice_replicas_desired", "Tasks that should run.", objects, lambda f: f.replicas[0])
    yield _each("swarmservice_replicas_running", "Tasks of the present spec that run.", objects, lambda f: f.replicas[1])
    yield _each("swarmservice_tasks_failing", "Tasks that do not run because of an error.", objects, lambda f: f.failing)
    yield _each(
        "swarmservice_drifted",
        "1 while the service in the swarm differs from the spec and is not put back, else 0.",
        objects,
        lambda f: f.drifted_since is not None,
    )
    yield _each("swarmservice_drift_seconds", "How long the present drift has lasted, in seconds; 0 when there is none.", objects, drift_seconds)
    corrections = CounterMetricFamily("swarmservice_corrections", "Changes from outside that were put back.", labels=_OBJECT)
    for key, figures in objects:
        corrections.add_metric([key.namespace, key.name], figures.corrections)
    yield corrections


def _stack_families(objects: _Objects) -> Iterator[Metric]:
    yield _conditions("swarmstack_condition", "SwarmStack", objects)
    yield _each("swarmstack_services", "Services of the compose file.", objects, lambda f: f.services[0])
    yield _each("swarmstack_services_ready", "Services of a SwarmStack that are Ready.", objects, lambda f: f.services[1])


def _pool_families(objects: _Objects) -> Iterator[Metric]:
    yield _conditions("swarmworkerpool_condition", "SwarmWorkerPool", objects)
    yield _each("swarmworkerpool_replicas_desired", "Workers that spec.replicas asks for.", objects, lambda f: f.pool[0])
    yield _each("swarmworkerpool_replicas", "Workers of a SwarmWorkerPool that there are.", objects, lambda f: f.pool[1])
    yield _each("swarmworkerpool_replicas_ready", "Workers of a SwarmWorkerPool that are ready nodes of the swarm.", objects, lambda f: f.pool[2])
