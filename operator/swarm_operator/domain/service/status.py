"""The conditions of a SwarmService from what was found, and the status document. Every decision names all conditions.

Ready is True only when the live service means what the manifest says, no update or rollback is under way or stuck, and as many tasks run as declared and have kept
running for the monitor time. Ready is False while Reconciling (kstatus). Stalled is True only where no retry helps, or where no progress was made for
`progressDeadlineSeconds`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from swarm_operator.api.conditions import ConditionStatus, ConditionType, Verdict, merge_conditions
from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import ReplicaStatus, SwarmServiceStatus
from swarm_operator.domain.service.convergence import Convergence
from swarm_operator.domain.service.live import LiveService

C = ConditionType


@dataclass(frozen=True)
class Finding:
    """One condition's status, reason and message before it is named."""

    status: ConditionStatus
    reason: Reason
    message: str = ""


def yes(reason: Reason, message: str = "") -> Finding:
    return Finding("True", reason, message)


def no(reason: Reason, message: str = "") -> Finding:
    return Finding("False", reason, message)


UNJUDGED = Finding("Unknown", Reason.NOT_EVALUATED)


@dataclass(frozen=True)
class Findings:
    """All of a SwarmService's conditions. `ready` is given where it is not what follows from the others."""

    reachable: Finding
    applied: Finding = UNJUDGED
    available: Finding = UNJUDGED
    drifted: Finding = UNJUDGED
    reconciling: Finding = field(default_factory=lambda: no(Reason.IDLE))
    stalled: Finding = field(default_factory=lambda: no(Reason.AS_EXPECTED))
    ready: Finding | None = None
    paused: bool = False
    pinned: Finding = field(default_factory=lambda: no(Reason.NOT_PINNED))

    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict per condition."""
        paused = yes(Reason.PAUSED) if self.paused else no(Reason.NOT_PAUSED)
        named = {
            C.READY: self.ready or self._ready(),
            C.RECONCILING: self.reconciling,
            C.STALLED: self.stalled,
            C.PAUSED: paused,
            C.CLUSTER_REACHABLE: self.reachable,
            C.APPLIED: self.applied,
            C.AVAILABLE: self.available,
            C.DRIFTED: self.drifted,
            C.PINNED: self.pinned,
        }
        return tuple(Verdict(type=kind, status=f.status, reason=f.reason, message=f.message) for kind, f in named.items())

    def _ready(self) -> Finding:
        for finding, good in ((self.stalled, "False"), (self.reachable, "True"), (self.applied, "True"), (self.drifted, "False"), (self.available, "True")):
            if finding.status != good:
                return no(finding.reason, finding.message)
        if self.reconciling.status == "True":
            return no(self.reconciling.reason, self.reconciling.message)
        return yes(Reason.RECONCILED, self.available.message)


def was(status: SwarmServiceStatus, kind: ConditionType) -> str | None:
    """The status of a condition as last written."""
    return next((c.status for c in status.conditions if c.type == kind.value), None)


def progressed(previous: SwarmServiceStatus, service: LiveService, measured: Convergence | None, digest: str, generation: int) -> bool:
    """Whether the service has come closer to what is declared since the last status, or has been given something new to do. A count that grows while tasks crash is no
    progress: a crash loop would never end otherwise."""
    if previous.progressed_at is None or previous.observed_generation != generation or previous.service_id != service.id or previous.applied_hash != digest:
        return True
    if (previous.update_state or "") != service.update_state:
        return True
    if measured is None:
        return False
    if measured.desired != previous.replicas.desired:
        return True
    return measured.running > previous.replicas.running and not measured.crashed


def overdue(previous: SwarmServiceStatus, now: datetime, deadline_seconds: int) -> bool:
    """Whether the last progress lies further back than the deadline allows."""
    if previous.progressed_at is None:
        return False
    return now - datetime.fromisoformat(previous.progressed_at) > timedelta(seconds=deadline_seconds)


def replica_status(measured: Convergence) -> ReplicaStatus:
    return ReplicaStatus(desired=measured.desired, running=measured.running, summary=f"{measured.running}/{measured.desired}")


def with_conditions(status: SwarmServiceStatus, previous: SwarmServiceStatus, verdicts: Iterable[Verdict], *, generation: int, now: str) -> SwarmServiceStatus:
    """The status document: `status` with its conditions and observedGeneration."""
    merged = merge_conditions(previous.conditions, verdicts, generation=generation, now=now)
    return status.model_copy(update={"conditions": merged, "observed_generation": generation})
