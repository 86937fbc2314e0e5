"""Removal of a SwarmStack: its SwarmServices go first (each removes its service), then the networks, the finalizer last.

A cluster that is gone, or is being deleted, takes the networks with it. One that merely can't be reached holds up the removal. `kubectl delete --cascade=orphan` keeps the
services: then networks that they use stay as well.
"""

from __future__ import annotations

from typing import Final

from swarm_operator.api.base import FINALIZER
from swarm_operator.api.parse import SpecError, parse_stack, parse_stack_status
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.removal import Removal
from swarm_operator.controllers.session import ClusterSession, ClusterSessions
from swarm_operator.controllers.stack_networks import fresh_swarm, remove_network
from swarm_operator.domain.facts import Known
from swarm_operator.domain.service.status import no, yes
from swarm_operator.domain.stack.decide import ours
from swarm_operator.domain.stack.status import Findings, document
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import After, Done, Outcome
from swarm_operator.ports.objects import Key, Objects, Resource

ORPHAN: Final = "orphan"
"""The garbage collector's finalizer: it takes our owner references off, and then itself."""
LOOK_SECONDS: Final = 2.0


class StackRemoval(Removal):
    """Takes a stack down."""

    def __init__(self, objects: Objects, sessions: ClusterSessions, clock: Clock) -> None:
        super().__init__(objects, sessions, clock)
        self._removed: set[str] = set()

    def reconcile(self, resource: Resource) -> Outcome:
        """One round for an object with a deletion timestamp. Raises ExternalError of Kubernetes."""
        if FINALIZER not in resource.finalizers:
            return self._release(resource)
        if ORPHAN in resource.finalizers:
            return After(LOOK_SECONDS)
        try:
            spec = parse_stack(resource.spec)
        except SpecError as error:
            return self._blocked(resource, Reason.INVALID_SPEC, f"the spec can't be read, so the cluster can't be found: {error}", None)
        if spec.paused:
            self._tell(resource, Reason.PAUSED, "nothing is removed while spec.paused is set")
            return Done()
        services = self._objects.dependents.list(resource)
        for service in services:
            if not service.deleting:
                self._objects.dependents.delete(service)
        if services:
            self._tell(resource, Reason.DELETING, f"being removed: {', '.join(sorted(service.key.name for service in services))}"[:1024])
            return After(LOOK_SECONDS)
        cluster = Key("SwarmCluster", resource.key.namespace, spec.cluster_ref.name)
        return self._through(resource, cluster, "networks of the stack may still be there", lambda session: self._remove(resource, session))

    def _remove(self, resource: Resource, session: ClusterSession) -> Outcome:
        swarm = fresh_swarm(session)
        left = []
        for network in ours(resource.uid, Known(swarm)):
            if network.id in swarm.used:
                self._objects.event(resource, Reason.RETAINED, f"network {network.name} stays: services that are not of this stack use it")
            else:
                # A manager shows it until its own last task there has ended: another stack of that name would meet it, so we wait until it is seen no more.
                if remove_network(session, network.id) and network.id not in self._removed:
                    self._removed.add(network.id)
                    self._objects.event(resource, Reason.DELETED, f"removed network {network.name}")
                left.append(network.name)
        if left:
            self._tell(resource, Reason.DELETING, f"networks wait for tasks that are ending: {', '.join(left)}"[:1024])
            return After(LOOK_SECONDS)
        return self._release(resource)

    def _tell(self, resource: Resource, reason: Reason, message: str) -> None:
        status = parse_stack_status(resource.status)
        findings = Findings(reconciling=yes(reason, message), ready=no(reason, message), paused=reason is Reason.PAUSED)
        self._objects.apply_status(resource, document(status, status, findings, resource.generation, self._clock.now()).to_manifest())
