"""What to do about one SwarmService: `decide(subject, observed, now)`. Pure; at most one external write comes out of it.

Never posts an update that changes nothing (the engine would forget the rollback target and the running rollout), never writes over a running rollout or an automatic
rollback unless the manifest changed, and after a rollback for failure holds the failed spec until the manifest changes: applying it again would go round for ever.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceStatus
from swarm_operator.domain.facts import Fact, Unknown
from swarm_operator.domain.ownership import SERVICE_LABEL_RESTARTED, SERVICE_LABEL_SCHEDULED
from swarm_operator.domain.service import news
from swarm_operator.domain.service.compare import Diff, compare, creation, is_job, patch
from swarm_operator.domain.service.contest import contest
from swarm_operator.domain.service.convergence import Convergence, measure
from swarm_operator.domain.service.decision import Announcement, Create, Observed, Prepare, Prune, ServicePlan, Step, Subject, Update
from swarm_operator.domain.service.gating import unsupported
from swarm_operator.domain.service.inputs import Supplies, polled
from swarm_operator.domain.service.live import LiveService, adoptable
from swarm_operator.domain.service.materials import MaterialProblem, with_ids
from swarm_operator.domain.service.rebalance import judge, watch
from swarm_operator.domain.service.render import Desired, Json, NetworksMissing, Owner, render, resolve_networks
from swarm_operator.domain.service.reports import REACHABLE, blocked, finish, seen_of, unreachable
from swarm_operator.domain.service.resume import resume
from swarm_operator.domain.service.schedule import Look, consult
from swarm_operator.domain.service.settle import settle
from swarm_operator.domain.service.status import UNJUDGED, Finding, Findings, no, was, yes
from swarm_operator.engine.clock import rfc3339


def decide(subject: Subject, fact: Fact[Observed], now: datetime) -> ServicePlan:
    """The plan for a SwarmService that is not being deleted."""
    if isinstance(fact, Unknown):
        return unreachable(subject, fact, now)
    return _Decision(subject, fact.value, now).plan()


class _Decision:
    """One run of `decide` on a swarm that answered."""

    def __init__(self, subject: Subject, observed: Observed, now: datetime) -> None:
        self._subject, self._observed, self._now = subject, observed, now
        self._spec, self._previous = subject.spec, subject.status
        self._digest = ""
        self._supplies: Supplies | None = None
        self._look: Look | None = None
        self._run_now = False

    def plan(self) -> ServicePlan:
        if (problem := self._subject.problem) is not None:
            told = news.problem(self._previous, problem)
            return self._end(self._blocked(problem, self._available(), stalled=True), self._observe(), requeue=60.0, seen=told)
        try:
            networks = resolve_networks(self._spec, self._observed.view)
        except NetworksMissing as missing:
            problem = no(Reason.NETWORK_NOT_FOUND, f"the swarm has no network {missing}")
            return self._end(self._blocked(problem, self._available(), stalled=False), self._observe(), requeue=10.0)
        try:
            self._supplies = supplies = Supplies(self._spec, self._subject.owner, self._observed.inputs)
        except MaterialProblem as lacking:
            problem = no(lacking.reason, lacking.message)
            told = news.problem(self._previous, problem)
            return self._end(self._blocked(problem, self._available(), stalled=lacking.lasting), self._observe(), requeue=10.0, seen=told)
        desired = render(self._spec, self._consulted(), networks, supplies.context())
        self._digest = desired.digest
        if (text := unsupported(desired, self._observed.view.engine_api_version)) is not None:
            lacking_field = no(Reason.UNSUPPORTED_FIELD, text)
            told = news.problem(self._previous, lacking_field)
            return self._end(self._blocked(lacking_field, self._available(), stalled=True), self._observe(), requeue=60.0, seen=told)
        own, adopting = self._observed.own, False
        if own is None and (other := self._observed.namesake) is not None:
            if self._spec.adoption_policy != "IfUnowned" or not adoptable(other, self._subject.owner):
                owner = other.labels.get("io.swarmops.service")
                problem = no(Reason.NAME_CONFLICT, f"a service named {other.name!r} exists and is not ours" + (f" but of {owner}" if owner else ""))
                return self._end(self._blocked(problem, UNJUDGED, stalled=True), self._previous, requeue=60.0)
            own, adopting = other, True
        if self._look is not None and not self._run_now:
            return self._between_runs(desired, None if adopting else own, self._look)
        if own is None:
            return self._create(desired)
        diff = compare(desired, own.spec, self._previous.applied_labels)
        return self._change(desired, own, diff, adopting) if diff else self._settled(desired, own)

    # -- by the clock

    def _consulted(self) -> Owner:
        """The owner with the time of the run that is due, or of the last one."""
        owner, own = self._subject.owner, self._observed.own
        if self._spec.schedule is None:
            return owner
        last = own.labels.get(SERVICE_LABEL_SCHEDULED, "") if own is not None else ""
        measured = None if own is None else self._measured(own)
        busy = measured is not None and measured.unfinished > 0
        look = self._look = consult(self._spec.schedule, self._previous.schedule, last, busy=busy, stopped=self._spec.paused, now=self._now)
        asked = own is not None and bool(owner.restarted_at) and own.labels.get(SERVICE_LABEL_RESTARTED) != owner.restarted_at
        self._run_now = look.due is not None or (asked and not self._spec.paused)
        return replace(owner, scheduled_at=last if look.due is None else rfc3339(look.due))

    def _between_runs(self, desired: Desired, own: LiveService | None, look: Look) -> ServicePlan:
        """Any write would run the job: what differs is told, and written with the next run."""
        ahead = (
            f"the next run is at {look.status.next_schedule_time}" if look.status.next_schedule_time else "no run is started while it is suspended or paused"
        )
        diff = None if own is None else compare(desired, own.spec, self._previous.applied_labels)
        if own is not None and not diff:
            return self._settled(desired, own)
        waiting = no(Reason.SCHEDULED, f"written with the next run: {'; '.join(diff.texts)}"[:1024] if diff else "the service is made at its first run")
        if diff and self._previous.applied_hash == desired.digest:
            drifted = yes(Reason.DRIFT_FOUND, "; ".join(diff.texts)[:1024])
            return self._end(Findings(REACHABLE, no(drifted.reason, drifted.message), self._available(), drifted, paused=self._spec.paused), self._observe())
        available = self._available() if own is not None else yes(Reason.SCHEDULED, ahead)
        ready = yes(Reason.SCHEDULED, f"{ahead}; {waiting.message}")
        return self._end(Findings(REACHABLE, waiting, available, no(Reason.NO_DRIFT), ready=ready, paused=self._spec.paused), self._observe())

    def _timed(self, status: SwarmServiceStatus) -> SwarmServiceStatus:
        """The status with what became of the schedule."""
        look, own = self._look, self._observed.own
        if look is None:
            return status.model_copy(update={"schedule": None}) if self._spec.schedule is None else status
        measured = None if own is None else self._measured(own)
        return status.model_copy(update={"schedule": look.after(self._now, done=measured is not None and measured.full)})

    # -- nothing there

    def _create(self, desired: Desired) -> ServicePlan:
        previous = self._previous
        gone = previous.service_id is not None and previous.applied_hash == desired.digest
        none_run = no(Reason.TASKS_STARTING, "the service does not exist")
        status = previous.model_copy(update={"update_state": None, "version": None, "ports": [], "endpoints": [], "virtual_ips": [], "failing_tasks": []})
        if gone:
            status = status.model_copy(update={"drift": ["the service was removed"]})
        if self._spec.paused:
            applied = no(Reason.PAUSED, "the service does not exist and is not created while paused")
            return self._end(Findings(REACHABLE, applied, none_run, yes(Reason.DRIFT_FOUND) if gone else no(Reason.NO_DRIFT), paused=True), status)
        if gone and self._spec.drift_policy == "Report":
            found = yes(Reason.DRIFT_FOUND, "the service was removed outside; driftPolicy is Report")
            return self._end(Findings(REACHABLE, no(found.reason, found.message), none_run, found), status, seen=news.drift(self._previous, status.drift))
        if gone and (contested := self._contested(frozenset({"service"}), "the service was removed", none_run, status)) is not None:
            return contested
        if (rejected := self._rejected(desired)) is not None:
            return self._end(self._blocked(rejected, none_run, stalled=True), status, requeue=60.0)
        if (prepare := self._prepare()) is not None:
            return prepare
        status = status.model_copy(
            update={
                "applied_hash": desired.digest,
                "applied_labels": desired.label_keys,
                "pull_secrets_hash": self._credentials_hash,
                "drift": [],
                "corrections": previous.corrections + (1 if gone else 0),
                "progressed_at": rfc3339(self._now),
            }
        )
        told = f"service {desired.service_name} was removed outside; created again with a new id, virtual IP and chosen ports"
        corrects = frozenset({"service"}) if gone else frozenset()
        announcement = Announcement(Reason.DRIFT_CORRECTED, told, True) if gone else Announcement(Reason.CREATED, f"created service {desired.service_name}")
        findings = Findings(
            REACHABLE,
            yes(Reason.APPLIED),
            no(Reason.TASKS_STARTING, "the service has just been created"),
            no(Reason.DRIFT_CORRECTED, told) if gone else no(Reason.NO_DRIFT),
            reconciling=yes(Reason.TASKS_STARTING, "the service has just been created"),
        )
        return self._end(
            findings,
            status,
            step=Create(with_ids(creation(desired), self._observed.inputs.present), self._registry_auth, corrects),
            requeue=0.3,
            done=(announcement,),
        )

    # -- there, and different

    def _change(self, desired: Desired, own: LiveService, diff: Diff, adopting: bool) -> ServicePlan:
        previous, spec = self._previous, self._spec
        edited = adopting or previous.applied_hash != desired.digest
        fresh = edited or previous.observed_generation != self._subject.generation
        texts = [text[:512] for text in diff.texts][:64]
        summary = "; ".join(texts)[:1024]
        status = self._observe().model_copy(update={"drift": [] if edited else texts})
        available = self._available()
        drifted = no(Reason.NO_DRIFT) if edited else yes(Reason.DRIFT_FOUND, summary)
        if diff.mode is not None:
            problem = no(Reason.INVALID_SPEC, f"the live service has mode {diff.mode}, which can't be changed; remove it or use another serviceName")
            return self._end(self._blocked(problem, available, stalled=True), status, requeue=60.0)
        if spec.paused:
            return self._end(Findings(REACHABLE, no(Reason.PAUSED, f"not written while paused: {summary}"), available, drifted, paused=True), status)
        if not fresh and self._held(own):
            return self._hold(own, status, available, texts)
        if not edited and (spec.drift_policy == "Report" or is_job(own.spec)):
            # Any update of a job runs it again: drift is only told, for nobody asked for another run.
            return self._end(Findings(REACHABLE, no(Reason.DRIFT_FOUND, summary), available, drifted), status, seen=news.drift(self._previous, texts))
        if not fresh and own.update_state == "updating" and not diff.restarts:
            # The rollout is ours (its task template is), and a write now would make the failing spec the rollback target.
            waiting = f"put back once the rolling update is done: {summary}"
            found = Findings(REACHABLE, no(Reason.DRIFT_FOUND, summary), available, drifted, reconciling=yes(Reason.UPDATING, waiting))
            return self._end(found, status, requeue=1.0)
        corrects = frozenset() if edited else frozenset(change.name for change in diff.changes)
        if (contested := self._contested(corrects, summary, available, status)) is not None:
            return contested
        if (rejected := self._rejected(desired)) is not None:
            return self._end(self._blocked(rejected, available, stalled=True), status, requeue=60.0)
        if (prepare := self._prepare()) is not None:
            return prepare
        labels_before = () if adopting else previous.applied_labels
        document = with_ids(patch(desired, own.spec, labels_before), self._observed.inputs.present)
        step = Update(own.id, own.version, document, tuple(texts), diff.restarts, self._registry_auth, corrects)
        status = status.model_copy(
            update={
                "service_id": own.id,
                "version": own.version,
                "applied_hash": desired.digest,
                "applied_labels": desired.label_keys,
                "pull_secrets_hash": self._credentials_hash,
                "update_state": None,
                "resumes": 0 if edited else previous.resumes,
                "drift": [],
                "corrections": previous.corrections + (0 if edited else 1),
                "progressed_at": rfc3339(self._now),
            }
        )
        tail = " (tasks are replaced)" if diff.restarts else ""
        if edited:
            told = Announcement(Reason.UPDATED, f"{'adopted' if adopting else 'updated'} service {own.name}: {summary}{tail}")
            drifted = no(Reason.NO_DRIFT)
        else:
            told = Announcement(Reason.DRIFT_CORRECTED, f"changed outside, put back: {summary}{tail}", True)
            drifted = no(Reason.DRIFT_CORRECTED, summary)
        pending = no(Reason.UPDATING, "the service has just been updated")
        findings = Findings(REACHABLE, yes(Reason.APPLIED), pending, drifted, reconciling=yes(Reason.UPDATING, f"updated: {summary}"))
        return self._end(findings, status, step=step, requeue=0.3, done=(told,))

    def _held(self, own: LiveService) -> bool:
        """Whether the declared spec failed and was rolled back. Our own condition remembers it where another write has made the engine forget."""
        if own.rolled_back_by_failure:
            return True
        applied = next((c for c in self._previous.conditions if c.type == ConditionType.APPLIED.value), None)
        return applied is not None and applied.reason == Reason.ROLLED_BACK.value and applied.observed_generation == self._subject.generation

    def _hold(self, own: LiveService, status: SwarmServiceStatus, available: Finding, texts: list[str]) -> ServicePlan:
        message = f"{own.update_message or 'the update was rolled back'}; held until the spec changes: {'; '.join(texts)}"[:2048]
        problem, ended = Finding("False", Reason.ROLLED_BACK, message), own.update_state != "rollback_started"
        findings = Findings(
            REACHABLE,
            problem,
            available,
            yes(Reason.ROLLED_BACK, message),
            reconciling=no(Reason.ROLLED_BACK) if ended else yes(Reason.ROLLED_BACK, "the engine rolls the update back"),
            stalled=yes(Reason.ROLLED_BACK, message) if ended else no(Reason.AS_EXPECTED),
            ready=problem,
        )
        status = status.model_copy(update={"revision": None})  # what runs is not what was applied last
        seen = () if (self._previous.update_state or "").startswith("rollback_") else (Announcement(Reason.ROLLED_BACK, message, True),)
        return self._end(findings, status, requeue=10.0 if ended else 1.0, seen=seen + news.failures(self._previous, status))

    # -- there, and as declared

    def _settled(self, desired: Desired, own: LiveService) -> ServicePlan:
        measured = self._measured(own)
        verdict = settle(self._spec, self._previous, own, measured, desired.digest, self._observed.steady_seconds, self._subject.generation, self._now)
        status = self._observe().model_copy(
            update={
                "version": own.version,
                "applied_hash": desired.digest,
                "applied_labels": desired.label_keys,
                "drift": [],
                "progressed_at": verdict.progressed_at,
            }
        )
        if verdict.available.status == "True":
            status = status.model_copy(update={"failing_tasks": []})
        unresolved = self._unresolved()
        findings = Findings(
            REACHABLE,
            yes(Reason.APPLIED) if unresolved is None else yes(Reason.IMAGE_UNRESOLVED, unresolved),
            verdict.available,
            no(Reason.NO_DRIFT),
            reconciling=verdict.reconciling,
            stalled=verdict.stalled,
            paused=self._spec.paused,
        )
        watched = watch(self._subject, own, self._observed.view, self._now)
        status = status.model_copy(update={"rebalance": watched.status})
        seen = news.failures(self._previous, status) + news.pause(self._previous, own)
        if (again := resume(self._spec, own, findings, status, self._now)) is not None:
            step = Update(own.id, own.version, own.spec, ("resume",), False, self._registry_auth) if again.due else None
            return self._end(again.findings, again.status, step=step, requeue=again.requeue, seen=news.pause(self._previous, own), done=again.done)
        quiet = own.update_state in ("", "completed") and verdict.available.status == "True" and not self._spec.paused
        if quiet and self._credentials_hash != self._previous.pull_secrets_hash and self._spec.mode in ("replicated", "global"):
            # Only the credentials of the task template change, from which no running task restarts; of a job any update would be a new run.
            told = Announcement(Reason.UPDATED, f"gave the engine new registry credentials for service {own.name}")
            status = status.model_copy(update={"pull_secrets_hash": self._credentials_hash})
            step = Update(own.id, own.version, own.spec, ("imagePullSecrets",), False, self._registry_auth)
            return self._end(findings, status, step=step, requeue=0.3, seen=seen, done=(told,))
        if quiet and self._supplies is not None and (stale := self._supplies.superfluous(own)):
            told = Announcement(Reason.DELETED, f"removed what nothing refers to any more: {', '.join(m.name for m in stale)}"[:1024])
            return self._end(findings, status, step=Prune(stale), requeue=0.3, seen=seen, done=(told,))
        judged = judge(self._subject, own, watched, self._observed.tasks, measured, self._now, quiet=quiet)
        status = status.model_copy(update={"rebalance": judged.status})
        if judged.document is not None:
            return self._rebalance(own, judged.document, judged.message, status, seen)
        ahead = watched.wait if quiet and not (watched.due and measured is not None) else None
        return self._end(findings, status, requeue=min((s for s in (ahead, verdict.requeue) if s is not None), default=None), seen=seen)

    def _rebalance(self, own: LiveService, document: Json, message: str, status: SwarmServiceStatus, seen: news.News) -> ServicePlan:
        """All tasks replaced once, as the restart annotation does; only that the counter is no part of what the manifest says."""
        status = status.model_copy(update={"update_state": None, "resumes": 0, "progressed_at": rfc3339(self._now)})
        going = yes(Reason.UPDATING, message)
        findings = Findings(REACHABLE, yes(Reason.APPLIED), no(going.reason, message), no(Reason.NO_DRIFT), reconciling=going)
        step = Update(own.id, own.version, document, ("rebalance",), True, self._registry_auth)
        return self._end(findings, status, step=step, requeue=0.3, seen=seen, done=(Announcement(Reason.REBALANCED, message),))

    # -- parts

    def _contested(self, fields: frozenset[str], summary: str, available: Finding, status: SwarmServiceStatus) -> ServicePlan | None:
        """Waiting instead of a correction, where the same fields had to be put back again and again."""
        found = contest(self._observed.corrections, fields)
        if found.pause <= 0:
            return None
        message = f"put back {found.times} times within ten minutes and changed again; the next correction waits: {summary}"[:1024]
        known = next((c for c in self._previous.conditions if c.type == ConditionType.DRIFTED.value), None)
        told = known is not None and known.reason == Reason.DRIFT_CONFLICT.value
        seen = () if told else (Announcement(Reason.DRIFT_CONFLICT, message, True),)
        conflict = yes(Reason.DRIFT_CONFLICT, message)
        return self._end(Findings(REACHABLE, no(conflict.reason, message), available, conflict), status, requeue=found.pause, seen=seen)

    def _prepare(self) -> ServicePlan | None:
        """The step before a write that refers to configs and secrets which are not there yet."""
        if self._supplies is None or not self._supplies.missing:
            return None
        wanted = self._supplies.missing
        pending = no(Reason.PROGRESSING, f"made first: {', '.join(w.name for w in wanted)}"[:1024])
        return self._end(self._blocked(pending, self._available(), stalled=False), self._previous, step=Prepare(wanted), requeue=0.3)

    @property
    def _registry_auth(self) -> str | None:
        return None if self._supplies is None else self._supplies.registry_auth(self._previous.pull_secrets_hash)

    @property
    def _credentials_hash(self) -> str | None:
        return None if self._supplies is None else self._supplies.credentials_hash

    def _unresolved(self) -> str | None:
        image = self._observed.inputs.image
        return None if image is None else image.message

    def _measured(self, own: LiveService) -> Convergence | None:
        o = self._observed
        return None if o.tasks is None else measure(own, o.view, o.tasks, o.history)

    def _available(self) -> Finding:
        """For decisions that do not turn on it: whether as many tasks run as the live service wants."""
        own = self._observed.own
        measured = None if own is None else self._measured(own)
        if measured is None:
            held = was(self._previous, ConditionType.AVAILABLE)
            return yes(Reason.TASKS_RUNNING) if own is not None and held == "True" else UNJUDGED
        told = f"{measured.running}/{measured.desired} tasks run"
        return yes(Reason.TASKS_RUNNING, told) if measured.full else no(Reason.TASKS_FAILING if measured.crashed else Reason.TASKS_STARTING, told)

    def _observe(self) -> SwarmServiceStatus:
        """The previous status with what was seen of the live service."""
        own = self._observed.own
        return self._previous if own is None else seen_of(self._previous, own, self._observed, self._measured(own))

    def _blocked(self, problem: Finding, available: Finding, *, stalled: bool) -> Findings:
        return blocked(problem, available, stalled=stalled, paused=self._spec.paused)

    def _rejected(self, desired: Desired) -> Finding | None:
        rejection = self._observed.rejection
        return no(rejection.reason, rejection.message) if rejection is not None and rejection.digest == desired.digest else None

    def _end(
        self,
        findings: Findings,
        status: SwarmServiceStatus,
        *,
        step: Step | None = None,
        requeue: float | None = None,
        done: tuple[Announcement, ...] = (),
        seen: tuple[Announcement, ...] = (),
    ) -> ServicePlan:
        image, known = self._observed.inputs.image, self._previous.image
        status = status.model_copy(update={"image": image, "materials": self._supplies.status() if self._supplies is not None else self._previous.materials})
        if image is not None and image.message is not None and (known is None or known.message != image.message):
            seen += (Announcement(Reason.IMAGE_UNRESOLVED, f"{image.requested} is deployed as {image.resolved or 'it is'}: {image.message}"[:1024], True),)
        if self._look is not None:
            if self._look.skipped:
                seen += (Announcement(Reason.RUN_SKIPPED, self._look.skipped, True),)
            ahead = self._look.wait(self._now)
            requeue = ahead if requeue is None or (ahead is not None and ahead < requeue) else requeue
        status = self._timed(status)
        requeue = polled(self._spec) if requeue is None else requeue
        return finish(self._subject, findings, status, self._now, step=step, requeue=requeue, done=done, seen=seen, digest=self._digest)
