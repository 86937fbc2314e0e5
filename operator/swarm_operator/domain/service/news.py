"""What there is to tell as Events of a service: only what the status written last does not say already. Pure."""

from __future__ import annotations

from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceStatus
from swarm_operator.domain.service.decision import Announcement
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.status import Finding

News = tuple[Announcement, ...]


def problem(previous: SwarmServiceStatus, found: Finding) -> News:
    """What keeps the spec from being applied, unless the condition says so in these words."""
    applied = next((c for c in previous.conditions if c.type == ConditionType.APPLIED.value), None)
    told = applied is not None and (applied.reason, applied.message) == (found.reason.value, found.message)
    return () if told else (Announcement(found.reason, found.message, True),)


def drift(previous: SwarmServiceStatus, texts: list[str]) -> News:
    """Drift that is not put back."""
    return () if texts == list(previous.drift) else (Announcement(Reason.DRIFT_FOUND, "; ".join(texts)[:1024], True),)


def failures(previous: SwarmServiceStatus, status: SwarmServiceStatus) -> News:
    """States and errors of tasks that were not there before."""
    told = {(f.state, f.error) for f in previous.failing_tasks}
    fresh = [f for f in status.failing_tasks if (f.state, f.error) not in told]
    text = "; ".join(f"{f.state}{' on ' + f.node if f.node else ''}: {f.error or 'no error text'}" for f in fresh)
    return (Announcement(Reason.TASKS_FAILING, text[:1024], True),) if fresh else ()


def pause(previous: SwarmServiceStatus, own: LiveService) -> News:
    """That the engine has paused the update."""
    known = own.update_state != "paused" or previous.update_state == "paused"
    return () if known else (Announcement(Reason.UPDATE_PAUSED, own.update_message, True),)
