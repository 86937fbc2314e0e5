"""The composition root: the only place that knows which adapter stands behind which port.

Does not: run anything (`handlers.application` does).
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swarm_operator.adapters.kubernetes import KubernetesObjects
from swarm_operator.adapters.kubernetes.api import KubernetesApi
from swarm_operator.adapters.kubernetes.events import EventRecorder
from swarm_operator.adapters.kubernetes.leases import KubernetesLease
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import Outcome
from swarm_operator.handlers.observed import ObservedSwarms
from swarm_operator.handlers.settings import Settings
from swarm_operator.ports.objects import Key, Kind, Objects
from swarm_operator.telemetry.metrics import Metrics

Reconcile = Callable[[Key], Outcome]
Wake = Callable[[Key], None]


@dataclass(frozen=True)
class Core:
    """What reconciles keys, and how to end it: closers are called in order after the workers have stopped."""

    reconcile: Reconcile
    closers: tuple[Callable[[], None], ...] = ()


BuildCore = Callable[[Objects, Wake, Clock, Metrics], Core]


def build_objects(configuration: Any, settings: Settings, clock: Clock, metrics: Metrics) -> KubernetesObjects:
    """The Kubernetes adapter; as many connections as there can be callers."""
    api = KubernetesApi(configuration, observe=metrics.observe_request, connections=settings.workers + 4)
    return KubernetesObjects(api, EventRecorder(api, clock, count=metrics.event_recorded))


def build_lease(configuration: Any, settings: Settings, clock: Clock, metrics: Metrics) -> KubernetesLease:
    """The Lease of the election, on a connection of its own and with timeouts far below the renew deadline: calls of the workers must not keep it waiting."""
    api = KubernetesApi(configuration, observe=metrics.observe_request, connect_timeout=2.0, read_timeout=3.0, connections=2)
    return KubernetesLease(api, clock, settings.lease_namespace, settings.lease)


def leader_identity(settings: Settings) -> str:
    """Who we are in the Lease: what was set, or host name and random digits, for two processes of a host must differ."""
    return settings.leader_identity or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


def build_core(objects: Objects, wake: Wake, clock: Clock, metrics: Metrics) -> Core:
    """The controllers on the real adapters. `wake` puts a key in front of the queue."""
    # Imported here: they bring the OpenStack, Docker and ssh clients, which `--help` and the tests of the shell do without.
    from swarm_operator.adapters.docker import DockerSwarms
    from swarm_operator.adapters.download import HttpDownloads
    from swarm_operator.adapters.openstack import OpenStackClouds
    from swarm_operator.adapters.ssh import SshHosts
    from swarm_operator.controllers.cluster import ClusterController
    from swarm_operator.controllers.image_transfers import Transfers
    from swarm_operator.controllers.pool import PoolController
    from swarm_operator.controllers.service import ServiceController
    from swarm_operator.controllers.session import ClusterSessions
    from swarm_operator.controllers.stack import StackController

    observe = metrics.observe_request
    sessions = ClusterSessions(ObservedSwarms(DockerSwarms(), observe), wake, clock)
    hosts = SshHosts(observe)
    clouds = OpenStackClouds(observe, clock=clock)
    metrics.circuits_from(clouds.open_circuits)
    transfers = Transfers()
    clusters = ClusterController(
        objects,
        clouds,
        hosts,
        sessions,
        clock,
        downloads=HttpDownloads(),
        transfers=transfers,
        observe_step=metrics.step_performed,
        observe_failure=metrics.failure_met,
    )
    controllers: dict[Kind, Reconcile] = {
        "SwarmCluster": clusters.reconcile,
        "SwarmService": ServiceController(objects, sessions, clock).reconcile,
        "SwarmStack": StackController(objects, sessions, clock).reconcile,
        "SwarmWorkerPool": PoolController(objects, clock).reconcile,
    }

    def reconcile(key: Key) -> Outcome:
        return controllers[key.kind](key)

    return Core(reconcile, (transfers.close, sessions.close, hosts.close))
