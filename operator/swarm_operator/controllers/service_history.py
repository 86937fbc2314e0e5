"""Keeps the revisions of services on record, and reads the one that a spec is held at.

At rest it costs no call: the status names the applied revision by the hash of its fields. What is remembered of revisions can't go stale, for they never change; it can be
lost at any moment.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.domain.errors import ExternalError
from swarm_operator.domain.service.revisions import Kept, RevisionProblem, held_at, is_recorded, listed, object_name, recording, template_of
from swarm_operator.domain.service.status import Finding, no, yes
from swarm_operator.engine.clock import Clock, rfc3339
from swarm_operator.ports.objects import Key, Objects, Resource

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pin:
    """The spec that applies, what the condition Pinned says, and the problem where the revision can't be had."""

    spec: SwarmServiceSpec
    finding: Finding
    problem: Finding | None = None


class ServiceHistory:
    """Safe to share among threads that work on different keys."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects, self._clock = objects, clock
        self._known: dict[Key, tuple[str, list[Kept]]] = {}

    def forget(self, key: Key) -> None:
        """`key` is gone."""
        self._known.pop(key, None)

    def pin(self, resource: Resource, spec: SwarmServiceSpec) -> Pin:
        """What applies: the spec, or what rollbackTo makes of it. Raises ExternalError where the revisions can't be read."""
        if spec.rollback_to is None:
            return Pin(spec, no(Reason.NOT_PINNED))
        number = spec.rollback_to.revision
        uid, kept = self._known.get(resource.key, ("", []))
        if uid != resource.uid or all(k.revision != number for k in kept):
            kept = self._list(resource)
        try:
            held, differing = held_at(spec, kept, number)
        except RevisionProblem as problem:
            return Pin(spec, no(Reason.REVISION_NOT_FOUND, str(problem)), no(Reason.REVISION_NOT_FOUND, str(problem)))
        told = f"not applied of the spec: {', '.join(differing)}" if differing else "the spec asks for the same"
        return Pin(held, yes(Reason.PINNED, f"held at revision {number}; {told}"))

    def record(self, resource: Resource, spec: SwarmServiceSpec, status: SwarmServiceStatus) -> tuple[SwarmServiceStatus, bool]:
        """The status with the revision that is applied (`spec`, as `pin` gave it), and whether that could be kept. The service runs as well without: a failure is told,
        and tried again."""
        template = template_of(spec, status.image.resolved if status.image is not None else None)
        if is_recorded(status, template, spec.revision_history_limit):
            return status, True
        try:
            return self._record(resource, spec, status, template), True
        except ExternalError as error:
            log.warning("revision not kept", extra={"error": error.message})
            self._objects.event(resource, Reason.REVISION_NOT_KEPT, error.message, warning=True)
            return status, False

    def _record(self, resource: Resource, spec: SwarmServiceSpec, status: SwarmServiceStatus, template: dict[str, object]) -> SwarmServiceStatus:
        kept = self._list(resource)
        now = rfc3339(self._clock.now())
        applied = {r.revision: r.applied_at for r in status.revisions}
        pinned = None if spec.rollback_to is None else spec.rollback_to.revision
        plan = recording(kept, template, applied, spec.revision_history_limit, pinned)
        if plan.create:
            new = Kept(plan.number, object_name(resource.key.name, resource.uid, template), template, now)
            self._objects.revisions.create(resource, new)
            kept = [*kept, new]
        for superfluous in plan.drop:
            self._objects.revisions.delete(resource, superfluous.name)
        kept = [k for k in kept if k not in plan.drop]
        self._known[resource.key] = (resource.uid, kept)
        if plan.number != status.revision or plan.number not in applied:
            applied[plan.number] = now
        return status.model_copy(update={"revision": plan.number, "revisions": listed(kept, applied)})

    def _list(self, resource: Resource) -> list[Kept]:
        kept = self._objects.revisions.list(resource)
        self._known[resource.key] = (resource.uid, kept)
        return kept
