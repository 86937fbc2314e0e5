"""The SwarmService controller: gather, decide (pure, `domain.service.plan`), act, write the status once.

At most one external write per decision. After an "update out of sequence" it observes again and decides again. What is remembered between calls (how long the same tasks
have been running, what the engine refused just now) can be lost at any moment.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, replace

from swarm_operator.api.base import RESTARTED_AT
from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.parse import SpecError, parse_service, parse_service_status
from swarm_operator.api.reasons import Reason
from swarm_operator.api.validation import validate_service
from swarm_operator.controllers.service_history import ServiceHistory
from swarm_operator.controllers.service_inputs import ServiceInputs
from swarm_operator.controllers.service_removal import ServiceRemoval, remove_materials
from swarm_operator.controllers.session import ClusterSession, ClusterSessions
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.service.contest import Correction
from swarm_operator.domain.service.convergence import measure
from swarm_operator.domain.service.decision import Announcement, Create, Observed, Prepare, Prune, Rejection, ServicePlan, Subject, Update
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.plan import decide
from swarm_operator.domain.service.rebalance import watch
from swarm_operator.domain.service.render import Json, Owner, service_name
from swarm_operator.domain.service.reports import invalid, refused
from swarm_operator.domain.service.status import was
from swarm_operator.domain.swarm import SwarmView
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.objects import Key, Objects, Resource

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""Decisions per reconcile when writes come out of sequence."""
CATCH_UP_SECONDS = 0.2
REMEMBERED = 64
"""Corrections of a service that are remembered, to tell a fight from an accident."""
REJECTION_SECONDS = 60.0
"""How long a refused spec is not posted again, whatever wakes the key."""

RECORD_AGAIN_SECONDS = 60.0
"""Until a revision that could not be kept is tried again."""


@dataclass(frozen=True)
class _Steady:
    """Which tasks run, and since when (monotonic)."""

    tasks: frozenset[str]
    since: float


class ServiceController:
    """Keeps one swarm service per SwarmService as declared."""

    def __init__(self, objects: Objects, sessions: ClusterSessions, clock: Clock) -> None:
        self._objects, self._sessions, self._clock = objects, sessions, clock
        self._history = ServiceHistory(objects, clock)
        self._removal = ServiceRemoval(objects, sessions, clock)
        self._inputs = ServiceInputs(objects, clock)
        self._steady: dict[Key, _Steady] = {}
        self._rejections: dict[Key, tuple[Rejection, float]] = {}
        self._corrections: dict[Key, deque[tuple[float, frozenset[str]]]] = {}

    def reconcile(self, key: Key) -> Outcome:
        """One round for one SwarmService; never raises ExternalError."""
        try:
            resource = self._objects.get(key)
            if resource is None:
                return self._forget(key)
            if resource.deleting:
                self._steady.pop(key, None)
                return self._removal.reconcile(resource)
            return self._reconcile(resource)
        except ExternalError as error:
            if error.system == "kubernetes" and error.kind is ErrorKind.NOT_FOUND:
                return self._forget(key)
            return Retry(error.message, error.retry_after or 0.0)

    def plan(self, resource: Resource) -> ServicePlan:
        """What `reconcile` would do next with this object, which need not be stored as it is. Looks at the swarm, and changes nothing there nor here. Raises SpecError for a
        spec that can't be carried out, ExternalError where Kubernetes can't be read; what the swarm does not tell is in the plan's verdicts."""
        subject = self._subject(resource)
        _, fact, _ = self._look(resource, subject)
        return decide(subject, fact, self._clock.now())

    def _subject(self, resource: Resource) -> Subject:
        """Raises SpecError."""
        spec = parse_service(resource.spec)
        if problems := validate_service(spec):
            raise SpecError(problems)
        owner = Owner(resource.uid, resource.key.namespace, resource.key.name, resource.annotations.get(RESTARTED_AT, "")[:128])
        pin = self._history.pin(resource, spec)
        return Subject(owner, resource.generation, pin.spec, parse_service_status(resource.status), pin.finding, pin.problem)

    def _forget(self, key: Key) -> Outcome:
        self._sessions.forget(key)
        self._inputs.forget(key)
        self._history.forget(key)
        self._steady.pop(key, None)
        self._rejections.pop(key, None)
        self._corrections.pop(key, None)
        return Done()

    def _reconcile(self, resource: Resource) -> Outcome:
        try:
            subject = self._subject(resource)
        except SpecError as error:
            document = invalid(parse_service_status(resource.status), resource.generation, str(error), self._clock.now())
            self._objects.apply_status(resource, document.to_manifest())
            return Done()
        for _ in range(ATTEMPTS):
            session, fact, failure = self._look(resource, subject)
            if failure is not None and failure.kind is ErrorKind.CONFLICT:
                return After(CATCH_UP_SECONDS)  # a manager lags behind our own write: nothing to say, nothing to decide on
            plan = decide(subject, fact, self._clock.now())
            if failure is not None or session is None:
                self._write(resource, plan, plan.seen)
                return Retry(failure.message if failure else "the cluster has no session", (failure.retry_after if failure else None) or 0.0)
            if plan.step is None:
                if isinstance(fact, Known) and fact.value.own is not None:
                    resource = self._objects.set_finalizer(resource, True)  # also where someone has taken it off
                return self._rest(resource, subject, plan)
            resource = self._objects.set_finalizer(resource, True)
            try:
                self._act(resource, plan, session)
            except ExternalError as error:
                if error.system != "docker":
                    raise
                if error.kind is ErrorKind.CONFLICT:
                    if isinstance(plan.step, Update):
                        session.invalidate(plan.step.service_id)
                    session.forget_materials()
                    continue
                return self._failed(resource, subject, plan, session, error)
            if isinstance(plan.step, Create | Update) and plan.step.corrects:
                self._corrections.setdefault(resource.key, deque(maxlen=REMEMBERED)).append((self._clock.monotonic(), plan.step.corrects))
            if isinstance(plan.step, Prepare):
                continue  # its objects have ids now
            return Done() if plan.requeue is None else After(plan.requeue)
        return Retry("the service changes faster than it can be written")

    def _rest(self, resource: Resource, subject: Subject, plan: ServicePlan) -> Outcome:
        """Nothing to write to the engine: what it holds as declared goes on record as a revision, the status to the API server."""
        requeue = plan.requeue
        if any(verdict.type is ConditionType.APPLIED and verdict.status == "True" for verdict in plan.verdicts):
            status, kept = self._history.record(resource, subject.spec, plan.status)
            plan = replace(plan, status=status)
            requeue = requeue if kept else min(RECORD_AGAIN_SECONDS, requeue or RECORD_AGAIN_SECONDS)
        self._write(resource, plan, plan.seen)
        return Done() if requeue is None else After(requeue)

    # -- gather

    def _look(self, resource: Resource, subject: Subject) -> tuple[ClusterSession | None, Fact[Observed], ExternalError | None]:
        """The cluster's session and one complete look at the swarm, or why there is none."""
        cluster = Key("SwarmCluster", resource.key.namespace, subject.spec.cluster_ref.name)
        self._sessions.await_cluster(cluster, resource.key)
        session = self._sessions.get(cluster)
        if session is None:
            if self._objects.get(cluster) is None:
                return None, Unknown(Reason.CLUSTER_NOT_FOUND, f"there is no SwarmCluster {cluster.name!r} in namespace {cluster.namespace!r}"), None
            return None, Unknown(Reason.CLUSTER_NOT_READY, f"SwarmCluster {cluster.name!r} has no reachable manager yet"), None
        try:
            return session, Known(self._observe(resource.key, subject, session)), None
        except ExternalError as error:
            if error.system == "kubernetes":
                raise
            return session, Unknown(error.reason, error.message), error

    def _observe(self, key: Key, subject: Subject, session: ClusterSession) -> Observed:
        name = service_name(subject.spec, key.name)
        session.track(key, name, subject.status.service_id)
        own, namesake = session.find(subject.owner, name, subject.status.service_id)
        if own is not None:
            session.track(key, name, own.id)
        view = session.view({attachment.name for attachment in subject.spec.networks})
        session.follow_nodes(key, subject.spec.rebalance is not None)
        tasks, history = self._tasks(subject, session, own, view)
        rejection = self._rejections.get(key)
        if rejection is not None and self._clock.monotonic() - rejection[1] > REJECTION_SECONDS:
            rejection = None
        return Observed(
            view,
            own,
            namesake,
            tasks,
            history,
            self._steady_seconds(key, own, view, tasks),
            rejection[0] if rejection is not None else None,
            self._inputs.gather(key, subject, session, own),
            tuple(Correction(self._clock.monotonic() - at, fields) for at, fields in tuple(self._corrections.get(key, ()))),
        )

    def _tasks(self, subject: Subject, session: ClusterSession, own: LiveService | None, view: SwarmView) -> tuple[tuple[Json, ...] | None, tuple[Json, ...]]:
        """The tasks of the present spec, and failures of a spec that was rolled back. Not read while nothing has changed since the service was Ready: the counts in the
        one list of all services say so. They don't say which nodes run them: where that is to be judged, they are read."""
        if own is None:
            return None, ()
        status = subject.status
        unchanged = was(status, ConditionType.READY) == "True" and status.version == own.version and status.observed_generation == subject.generation
        counted = own.running is not None and own.running == own.wanted == status.replicas.desired == status.replicas.running
        if unchanged and counted and not watch(subject, own, view, self._clock.now()).due:
            return None, ()
        current = tuple(session.swarm.list_tasks(own.id, up_to_date=True))
        if not own.rolled_back_by_failure:
            return current, ()
        ids = {task["ID"] for task in current}
        return current, tuple(task for task in session.swarm.list_tasks(own.id) if task["ID"] not in ids)

    def _steady_seconds(self, key: Key, own: LiveService | None, view: SwarmView, tasks: tuple[Json, ...] | None) -> float:
        """For how long the same tasks have been running, as far as we have watched."""
        if own is None or tasks is None:
            return 0.0
        now = self._clock.monotonic()
        running = measure(own, view, tasks).task_ids
        known = self._steady.get(key)
        if known is None or known.tasks != running:
            known = self._steady[key] = _Steady(running, now)
        return now - known.since

    # -- act

    def _act(self, resource: Resource, plan: ServicePlan, session: ClusterSession) -> None:
        """The plan's one write, then the status at once (it holds a new service's id), then what there is to tell."""
        status = plan.status
        match plan.step:
            case Prepare(wanted):
                try:
                    for want in wanted:
                        session.swarm.create_material(want.kind, want.name, want.data, dict(want.labels), templating=want.templating)
                finally:
                    session.forget_materials()
                return
            case Prune(materials):
                remove_materials(session, materials)
                self._objects.apply_status(resource, status.to_manifest())
                self._announce(resource, (*plan.seen, *plan.done))
                return
            case Create(spec):
                service_id = session.swarm.create_service(spec, registry_auth=plan.step.registry_auth)
                status = status.model_copy(update={"service_id": service_id})
                session.track(resource.key, str(spec["Name"]), service_id)
                session.wrote(service_id, 0)
            case Update(service_id, version, spec):
                session.swarm.update_service(service_id, version, spec, registry_auth=plan.step.registry_auth)
                session.wrote(service_id, version)
            case None:
                return
        self._rejections.pop(resource.key, None)
        self._steady.pop(resource.key, None)
        self._objects.apply_status(resource, status.to_manifest())
        self._announce(resource, (*plan.seen, *plan.done))

    def _failed(self, resource: Resource, subject: Subject, plan: ServicePlan, session: ClusterSession, error: ExternalError) -> Outcome:
        """The write was refused, or may have happened: say so, and look again before anything is repeated."""
        if isinstance(plan.step, Update):
            session.invalidate(plan.step.service_id)
        rejected = error.kind in (ErrorKind.INVALID, ErrorKind.FORBIDDEN)
        if rejected:
            self._rejections[resource.key] = (Rejection(plan.digest, error.reason, error.message), self._clock.monotonic())
            self._objects.event(resource, error.reason, error.message, warning=True)
        self._write(resource, refused(subject, plan, error, self._clock.now()), ())
        return After(REJECTION_SECONDS) if rejected else Retry(error.message, error.retry_after or 0.0)

    def _write(self, resource: Resource, plan: ServicePlan, told: tuple[Announcement, ...]) -> None:
        self._objects.apply_status(resource, plan.status.to_manifest())
        self._announce(resource, told)

    def _announce(self, resource: Resource, told: tuple[Announcement, ...]) -> None:
        for announcement in told:
            self._objects.event(resource, announcement.reason, announcement.message, warning=announcement.warning)
