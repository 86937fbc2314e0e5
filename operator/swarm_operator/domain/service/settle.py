"""How far a service that is written as declared has come: the conditions that turn on its update state and its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.domain.service.convergence import Convergence
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.status import Finding, no, overdue, progressed, was, yes
from swarm_operator.engine.clock import rfc3339

DEFAULT_MONITOR = 5
"""Seconds; the engine's default for UpdateConfig.Monitor."""


@dataclass(frozen=True)
class Settling:
    """Three findings, when to look again (seconds, None for no earlier than an event), and the new `progressedAt`."""

    available: Finding
    reconciling: Finding
    stalled: Finding
    requeue: float | None
    progressed_at: str


def monitor_seconds(spec: SwarmServiceSpec) -> int:
    """How long tasks must keep running before they are believed (0 is the engine's default, as there)."""
    return (spec.update_config.monitor_seconds if spec.update_config is not None else 0) or DEFAULT_MONITOR


def settle(
    spec: SwarmServiceSpec,
    previous: SwarmServiceStatus,
    own: LiveService,
    measured: Convergence | None,
    digest: str,
    steady_seconds: float,
    generation: int,
    now: datetime,
) -> Settling:
    """`own` means what the manifest says. `measured` None: the tasks were not read since nothing has changed while Available."""
    idle, fine = no(Reason.IDLE), no(Reason.AS_EXPECTED)
    fresh = progressed(previous, own, measured, digest, generation)
    since = rfc3339(now) if fresh or previous.progressed_at is None else previous.progressed_at
    waited = (now - datetime.fromisoformat(since)).total_seconds()
    pause = min(10.0, max(1.0, waited / 10))
    if measured is None:
        counts, available = previous.replicas.summary, yes(Reason.TASKS_RUNNING, f"{previous.replicas.summary} tasks run")
    else:
        counts = f"{measured.running}/{measured.desired}"
        available = _available(spec, previous, measured, steady_seconds, counts)
    if own.update_state in ("paused", "rollback_paused"):
        # It stays so for ever: the engine goes on only upon another update.
        return Settling(available, idle, yes(Reason.UPDATE_PAUSED, own.update_message or own.update_state), 10.0, since)
    working = measured is not None and measured.job and measured.active > 0  # a job may take as long as it takes
    late = not fresh and not working and overdue(previous, now, spec.progress_deadline_seconds)
    if own.update_state in ("updating", "rollback_started"):
        text = own.update_message or "a rolling update is running"
        stalled = yes(Reason.UPDATING, f"no progress for {spec.progress_deadline_seconds} s: {counts} tasks of the present spec run") if late else fine
        return Settling(available, idle if late else yes(Reason.UPDATING, f"{text}; {counts} tasks run"), stalled, pause, since)
    if available.status == "True":
        return Settling(available, idle, fine, None, since)
    if spec.schedule is not None and measured is not None and measured.job and not measured.full and not measured.failing:
        # A run by the clock is the ordinary course of things: the service is ready while it goes on.
        return Settling(yes(Reason.JOB_RUNNING, available.message), idle, fine, pause, since)
    if measured is not None and measured.full:
        return Settling(available, yes(available.reason, available.message), fine, max(0.2, monitor_seconds(spec) - steady_seconds), since)
    if late:
        return Settling(available, idle, yes(available.reason, f"no progress for {spec.progress_deadline_seconds} s: {available.message}"), 10.0, since)
    return Settling(available, yes(available.reason, available.message), fine, pause, since)


def _available(spec: SwarmServiceSpec, previous: SwarmServiceStatus, measured: Convergence, steady_seconds: float, counts: str) -> Finding:
    if measured.no_eligible_node and not measured.full:
        return no(Reason.NO_ELIGIBLE_NODE, f"no ready, active node meets the placement{_words(measured)}")
    if measured.full and measured.job:
        return yes(Reason.JOB_COMPLETED, f"{counts} tasks have completed")
    if measured.full:
        monitor = monitor_seconds(spec)
        if measured.desired == 0 or steady_seconds >= monitor or was(previous, ConditionType.AVAILABLE) == "True":
            return yes(Reason.TASKS_RUNNING, f"{counts} tasks run")
        return no(Reason.TASKS_STARTING, f"{counts} tasks run; watched for {monitor} s")
    if measured.room is not None and measured.desired > measured.room and not measured.crashed:
        return no(Reason.PLACEMENT_INFEASIBLE, f"{counts} tasks run; placement.maxReplicas and the eligible nodes let {measured.room} run{_words(measured)}")
    if measured.failing:
        worst = measured.failing[0]
        return no(Reason.TASKS_FAILING, f"{counts} tasks run; {worst.state}{' on ' + worst.node if worst.node else ''}: {worst.error or 'no error text'}")
    if measured.job:
        return no(Reason.JOB_RUNNING, f"{counts} tasks have completed, {measured.active} run")
    return no(Reason.TASKS_STARTING, f"{counts} tasks run")


def _words(measured: Convergence) -> str:
    """The engine's own, where it has said something."""
    return f": {measured.failing[0].error}" if measured.failing and measured.failing[0].error else ""
