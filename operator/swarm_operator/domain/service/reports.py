"""What is said of a SwarmService where no decision about the live service comes of it: the swarm does not answer, the spec can't be read, a write was refused, the object
is being deleted. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal

from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Unknown
from swarm_operator.domain.service.convergence import Convergence
from swarm_operator.domain.service.decision import Announcement, Observed, ServicePlan, Step, Subject
from swarm_operator.domain.service.endpoints import endpoints, virtual_ips
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.status import UNJUDGED, Finding, Findings, no, replica_status, with_conditions, yes
from swarm_operator.engine.clock import rfc3339

REACHABLE = yes(Reason.AS_EXPECTED)


def unreachable(subject: Subject, why: Unknown, now: datetime) -> ServicePlan:
    """Nothing is known of the swarm: nothing is done, and nothing that was observed before is unsaid."""
    problem = no(why.reason, why.message)
    findings = Findings(problem, reconciling=yes(why.reason, why.message), ready=problem, paused=subject.spec.paused)
    return finish(subject, findings, subject.status, now)


def seen_of(previous: SwarmServiceStatus, own: LiveService, observed: Observed, measured: Convergence | None) -> SwarmServiceStatus:
    """The previous status with what was seen of the live service; `measured` None where its tasks were not read."""
    update: dict[str, object] = {"service_id": own.id, "update_state": own.update_state or None, "ports": list(own.ports)}
    update |= {"endpoints": endpoints(own, observed.view, observed.tasks, previous.endpoints), "virtual_ips": virtual_ips(own, observed.view)}
    if measured is not None:
        failing = [] if measured.full and not observed.history else list(measured.failing)
        update |= {"replicas": replica_status(measured), "current_replicas": measured.running, "failing_tasks": failing}
    return previous.model_copy(update=update)


def blocked(problem: Finding, available: Finding, *, stalled: bool, paused: bool) -> Findings:
    """`problem` keeps the spec from being applied; `stalled` where no retry helps."""
    return Findings(
        REACHABLE,
        applied=problem,
        available=available,
        reconciling=no(Reason.IDLE) if stalled else yes(problem.reason, problem.message),
        stalled=yes(problem.reason, problem.message) if stalled else no(Reason.AS_EXPECTED),
        ready=problem,
        paused=paused,
    )


def refused(subject: Subject, plan: ServicePlan, error: ExternalError, now: datetime) -> ServicePlan:
    """The plan's step failed with `error`: the conditions say so, and the status does not claim that the step was done."""
    lasting = error.kind in (ErrorKind.INVALID, ErrorKind.FORBIDDEN) or error.reason is Reason.NAME_CONFLICT
    problem = no(error.reason, error.message)
    reachable = REACHABLE if lasting or error.kind is ErrorKind.CONFLICT else problem
    findings = Findings(
        reachable,
        applied=problem,
        reconciling=no(Reason.IDLE) if lasting else yes(error.reason, error.message),
        stalled=yes(error.reason, error.message) if lasting else no(Reason.AS_EXPECTED),
        ready=problem,
        paused=subject.spec.paused,
    )
    return finish(subject, findings, subject.status, now, digest=plan.digest)


def invalid(previous: SwarmServiceStatus, generation: int, message: str, now: datetime) -> SwarmServiceStatus:
    """The status for a spec that can't be read; nothing is done."""
    problem = no(Reason.INVALID_SPEC, message)
    findings = Findings(UNJUDGED, applied=problem, stalled=yes(problem.reason, message), ready=problem)
    return with_conditions(previous, previous, findings.verdicts(), generation=generation, now=rfc3339(now))


def deletion(previous: SwarmServiceStatus, generation: int, reachable: Finding, reason: Reason, message: str, now: datetime) -> SwarmServiceStatus:
    """The status while the object is being deleted; `reason` says how far it is or what is in the way."""
    findings = Findings(reachable, reconciling=yes(reason, message), ready=no(reason, message), paused=reason is Reason.PAUSED)
    return with_conditions(previous, previous, findings.verdicts(), generation=generation, now=rfc3339(now))


def finish(
    subject: Subject,
    findings: Findings,
    status: SwarmServiceStatus,
    now: datetime,
    *,
    step: Step | None = None,
    requeue: float | None = None,
    done: tuple[Announcement, ...] = (),
    seen: tuple[Announcement, ...] = (),
    digest: str = "",
) -> ServicePlan:
    """The plan with its status document."""
    verdicts = replace(findings, pinned=subject.pinned).verdicts()
    status = status.model_copy(update={"selector": f"swarmops.io/service-uid={subject.owner.uid}"})
    document = with_conditions(status, subject.status, verdicts, generation=subject.generation, now=rfc3339(now))
    return ServicePlan(step, verdicts, document, requeue, done, seen, digest)


RemovalAction = Literal["remove", "release"]


def removal(spec: SwarmServiceSpec, own: LiveService | None) -> RemovalAction:
    """For a SwarmService that is being deleted: remove the service, or release the finalizer because nothing of ours is there or it is to be retained. `own` None must
    come from a complete, fresh read."""
    return "release" if own is None or spec.deletion_policy == "Retain" else "remove"
