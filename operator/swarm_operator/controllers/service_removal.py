"""Removal of a SwarmService: the service goes first, then the configs and secrets that we made for it, the finalizer last, once a complete read has shown that the service
is gone.

A cluster that is gone, or is being deleted, takes its services with it and so never holds up the removal. One that merely can't be reached does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from swarm_operator.api.base import FINALIZER
from swarm_operator.api.parse import SpecError, parse_service, parse_service_status
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.session import ClusterSession, ClusterSessions
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.materials import ours
from swarm_operator.domain.service.render import Owner, service_name
from swarm_operator.domain.service.reports import REACHABLE, deletion, removal
from swarm_operator.domain.service.status import no
from swarm_operator.domain.swarm import Material
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.objects import Key, Objects, Resource

CONFIRM_SECONDS = 0.5

log = logging.getLogger(__name__)


def remove_materials(session: ClusterSession, materials: Iterable[Material]) -> None:
    """Remove configs and secrets of ours. One that somebody has begun to use meanwhile stays: the engine refuses to remove it, and that is as it should be."""
    try:
        for material in materials:
            try:
                session.swarm.remove_material(material.kind, material.id)
            except ExternalError as error:
                if error.kind is not ErrorKind.INVALID:
                    raise
                log.info("not removed", extra={"kind": material.kind, "material": material.name, "error": error.message})
    finally:
        session.forget_materials()


class ServiceRemoval:
    """Carries out deletionPolicy."""

    def __init__(self, objects: Objects, sessions: ClusterSessions, clock: Clock) -> None:
        self._objects, self._sessions, self._clock = objects, sessions, clock

    def reconcile(self, resource: Resource) -> Outcome:
        """One round for an object with a deletion timestamp. Raises ExternalError of Kubernetes."""
        if FINALIZER not in resource.finalizers:
            return self._release(resource)
        try:
            spec = parse_service(resource.spec)
        except SpecError as error:
            return self._blocked(resource, Reason.INVALID_SPEC, f"the spec can't be read, so the service can't be found: {error}", None)
        if spec.paused:
            self._tell(resource, Reason.PAUSED, "nothing is removed while spec.paused is set")
            return Done()
        if spec.deletion_policy == "Retain":
            return self._release(resource)
        cluster = Key("SwarmCluster", resource.key.namespace, spec.cluster_ref.name)
        self._sessions.await_cluster(cluster, resource.key)
        session = self._sessions.get(cluster)
        if session is None:
            if self._leaving(cluster):
                return self._release(resource)
            return self._blocked(
                resource, Reason.DELETION_BLOCKED, f"SwarmCluster {cluster.name!r} has no reachable manager; the service may still run there", None
            )
        name = service_name(spec, resource.key.name)
        try:
            own, _ = session.find(Owner(resource.uid, resource.key.namespace, resource.key.name), name, parse_service_status(resource.status).service_id)
            if removal(spec, own) == "release" or own is None:
                if spec.configs or spec.secrets or parse_service_status(resource.status).materials:
                    session.forget_materials()  # absence is to be believed from a fresh read only
                    remove_materials(session, ours(session.materials(set()), Owner(resource.uid, resource.key.namespace, resource.key.name)))
                return self._release(resource)
            return self._remove(resource, session, own.id, name)
        except ExternalError as error:
            if error.system != "docker":
                raise
            if error.kind in (ErrorKind.UNREACHABLE, ErrorKind.TRANSIENT, ErrorKind.UNAUTHORIZED) and self._leaving(cluster):
                return self._release(resource)
            return self._blocked(resource, Reason.DELETION_BLOCKED, error.message, error)

    def _remove(self, resource: Resource, session: ClusterSession, service_id: str, name: str) -> Outcome:
        session.track(resource.key, name, service_id)
        session.invalidate(service_id)
        session.swarm.remove_service(service_id)
        self._tell(resource, Reason.DELETING, f"service {name} is being removed")
        self._objects.event(resource, Reason.DELETED, f"removed service {name}")
        return After(CONFIRM_SECONDS)

    def _leaving(self, cluster: Key) -> bool:
        found = self._objects.get(cluster)
        return found is None or found.deleting

    def _release(self, resource: Resource) -> Outcome:
        self._sessions.forget(resource.key)
        if FINALIZER in resource.finalizers:
            self._objects.set_finalizer(resource, False)
        return Done()

    def _blocked(self, resource: Resource, reason: Reason, message: str, error: ExternalError | None) -> Outcome:
        self._tell(resource, reason, message)
        return Retry(message, (error.retry_after if error is not None else None) or 0.0)

    def _tell(self, resource: Resource, reason: Reason, message: str) -> None:
        reachable = REACHABLE if reason is Reason.DELETING else no(reason, message)
        document = deletion(parse_service_status(resource.status), resource.generation, reachable, reason, message, self._clock.now())
        self._objects.apply_status(resource, document.to_manifest())
