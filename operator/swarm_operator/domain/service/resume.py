"""Whether an update that the engine paused is continued, and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.domain.service.decision import Announcement
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.status import Findings, no, yes
from swarm_operator.engine.clock import rfc3339


@dataclass(frozen=True)
class Resumption:
    """What is said of it; `due`: the same spec is to be posted now. `requeue` is in seconds."""

    due: bool
    findings: Findings
    status: SwarmServiceStatus
    requeue: float
    done: tuple[Announcement, ...] = ()


def resume(spec: SwarmServiceSpec, own: LiveService, findings: Findings, status: SwarmServiceStatus, now: datetime) -> Resumption | None:
    """None where nothing is to be continued. Only a further update makes the engine go on with one that it paused (swarmkit `orchestrator/update`)."""
    policy, tried = spec.paused_update, status.resumes
    if own.update_state != "paused" or policy.action != "Resume" or tried >= policy.attempts or spec.paused or status.progressed_at is None:
        return None
    due = datetime.fromisoformat(status.progressed_at) + timedelta(seconds=policy.after_seconds * 2.0**tried)
    told = f"attempt {tried + 1} of {policy.attempts} to continue the paused update: {own.update_message}"
    if now < due:
        pending = yes(Reason.UPDATE_PAUSED, f"{own.update_message}; continued at {rfc3339(due)}")
        waiting = replace(findings, reconciling=pending, stalled=no(Reason.AS_EXPECTED), ready=no(pending.reason, pending.message))
        return Resumption(False, waiting, status, max(1.0, (due - now).total_seconds()))
    status = status.model_copy(update={"resumes": tried + 1, "update_state": None, "progressed_at": rfc3339(now)})
    going = replace(findings, reconciling=yes(Reason.UPDATE_RESUMED, told), stalled=no(Reason.AS_EXPECTED), ready=no(Reason.UPDATE_RESUMED, told))
    return Resumption(True, going, status, 0.3, (Announcement(Reason.UPDATE_RESUMED, told, True),))
