"""Reconciling a SwarmCluster that names a swarm of somebody else's: its session for the SwarmServices, and what is seen of it.

Does not: touch a cloud, a server, a node or a setting of the swarm. Such an object has no finalizer: there is nothing to take down.
"""

from __future__ import annotations

from typing import Final

from swarm_operator.api.cluster import ExternalSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.conditions import merge_conditions
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_facts import Sessions
from swarm_operator.domain import times
from swarm_operator.domain.cluster.external import another, external_status
from swarm_operator.domain.delays import delay_of
from swarm_operator.domain.errors import ExternalError
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.swarm import SwarmView
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import After, Outcome, Retry
from swarm_operator.ports.objects import Objects, Resource
from swarm_operator.ports.swarm import TlsMaterial

STEADY_SECONDS: Final = 45.0


def reconcile_external(
    resource: Resource, external: ExternalSpec, status: SwarmClusterStatus, objects: Objects, sessions: Sessions, clock: Clock, *, paused: bool
) -> Outcome:
    """One look. Raises ExternalError of Kubernetes only."""
    secret, view = _look(resource, external, status, objects, sessions)
    seen, found = external_status(external, status, secret, view, paused=paused)
    conditions = merge_conditions(status.conditions, found, generation=resource.generation, now=times.stamp(clock.now()))
    whole = seen.model_copy(update={"conditions": conditions, "observed_generation": resource.generation})
    objects.apply_status(resource, whole.to_manifest())
    failure = secret if isinstance(secret, Unknown) else view if isinstance(view, Unknown) else another(status, view)
    if failure is None:
        return After(STEADY_SECONDS)
    return Retry(failure.message, delay_of(failure.reason).least, delay_of(failure.reason).most)


def _look(resource: Resource, external: ExternalSpec, status: SwarmClusterStatus, objects: Objects, sessions: Sessions) -> tuple[Fact[None], Fact[SwarmView]]:
    blind = Unknown(Reason.NOT_EVALUATED, "not looked at yet")
    name = external.tls_secret_ref.name
    tls = TlsMaterial.of_secret(objects.get_secret(resource.key.namespace, name))
    if tls is None:
        sessions.drop(resource.key)
        return Unknown(
            Reason.SECRET_NOT_FOUND, f"Secret {name!r} of spec.external.tlsSecretRef does not exist or lacks one of the keys {', '.join(TlsMaterial.KEYS)}"
        ), blind
    try:
        session = sessions.publish(resource.key, resource.uid, list(external.endpoints), tls)
        view: Fact[SwarmView] = Known(session.swarm.view())
    except ExternalError as error:
        return Known(None), Unknown(error.reason, error.message)
    if another(status, view) is not None:
        sessions.drop(resource.key)
    return Known(None), view
