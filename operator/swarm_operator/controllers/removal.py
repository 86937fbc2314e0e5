"""What the removals of SwarmServices and SwarmStacks have in common.

A cluster that is gone, or is being deleted, takes what runs on it with it and so never holds up a removal. One that merely can't be reached does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from swarm_operator.api.base import FINALIZER
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.session import ClusterSession, ClusterSessions
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import Done, Outcome, Retry
from swarm_operator.ports.objects import Key, Objects, Resource


class Removal(ABC):
    """Of one kind of object."""

    def __init__(self, objects: Objects, sessions: ClusterSessions, clock: Clock) -> None:
        self._objects, self._sessions, self._clock = objects, sessions, clock

    @abstractmethod
    def _tell(self, resource: Resource, reason: Reason, message: str) -> None:
        """Write the status of an object that is being removed."""

    def _through(self, resource: Resource, cluster: Key, left: str, work: Callable[[ClusterSession], Outcome]) -> Outcome:
        """`work` with the cluster's session. `left`: what may still be there while there is none. Raises ExternalError of Kubernetes."""
        self._sessions.await_cluster(cluster, resource.key)
        session = self._sessions.get(cluster)
        if session is None:
            if self._leaving(cluster):
                return self._release(resource)
            return self._blocked(resource, Reason.DELETION_BLOCKED, f"SwarmCluster {cluster.name!r} has no reachable manager; {left}", None)
        try:
            return work(session)
        except ExternalError as error:
            if error.system != "docker":
                raise
            if error.kind in (ErrorKind.UNREACHABLE, ErrorKind.TRANSIENT, ErrorKind.UNAUTHORIZED) and self._leaving(cluster):
                return self._release(resource)
            return self._blocked(resource, Reason.DELETION_BLOCKED, error.message, error)

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
