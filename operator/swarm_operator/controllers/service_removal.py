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
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.controllers.removal import Removal
from swarm_operator.controllers.session import ClusterSession
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.materials import ours
from swarm_operator.domain.service.render import Owner, service_name
from swarm_operator.domain.service.reports import REACHABLE, deletion, removal
from swarm_operator.domain.service.status import no
from swarm_operator.domain.swarm import Material
from swarm_operator.engine.outcome import After, Done, Outcome
from swarm_operator.ports.objects import Key, Resource

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


class ServiceRemoval(Removal):
    """Carries out deletionPolicy."""

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
        return self._through(resource, cluster, "the service may still run there", lambda session: self._take_down(resource, spec, session))

    def _take_down(self, resource: Resource, spec: SwarmServiceSpec, session: ClusterSession) -> Outcome:
        """The service, and then what was made for it."""
        name, owner = service_name(spec, resource.key.name), Owner(resource.uid, resource.key.namespace, resource.key.name)
        former = parse_service_status(resource.status)
        own, _ = session.find(owner, name, former.service_id)
        if removal(spec, own) == "release" or own is None:
            if spec.configs or spec.secrets or former.materials:
                session.forget_materials()  # absence is to be believed from a fresh read only
                remove_materials(session, ours(session.materials(set()), owner))
            return self._release(resource)
        return self._remove(resource, session, own.id, name)

    def _remove(self, resource: Resource, session: ClusterSession, service_id: str, name: str) -> Outcome:
        session.track(resource.key, name, service_id)
        session.invalidate(service_id)
        session.swarm.remove_service(service_id)
        self._tell(resource, Reason.DELETING, f"service {name} is being removed")
        self._objects.event(resource, Reason.DELETED, f"removed service {name}")
        return After(CONFIRM_SECONDS)

    def _tell(self, resource: Resource, reason: Reason, message: str) -> None:
        reachable = REACHABLE if reason is Reason.DELETING else no(reason, message)
        document = deletion(parse_service_status(resource.status), resource.generation, reachable, reason, message, self._clock.now())
        self._objects.apply_status(resource, document.to_manifest())
