"""What the controllers would do next, without doing it: the same observation and the same decision, and then nothing.

For `kubectl swarm plan`, which runs it with a user's login. The plan is that of this moment and of whoever looks: what the operator remembers between two reconciles (a refusal of the
engine, corrections of drift) is not known here, and what can't be reached from here the operator may reach. Does not: act, or write anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.parse import SpecError, parse_cluster, parse_cluster_status
from swarm_operator.api.validation import validate_cluster
from swarm_operator.controllers.cluster_decision import decided
from swarm_operator.controllers.cluster_facts import Sessions, tls_secret_name
from swarm_operator.controllers.cluster_gather import Gatherer
from swarm_operator.controllers.pools import read_pools
from swarm_operator.controllers.service import ServiceController
from swarm_operator.domain.cluster.guests import ENGINE_PORT
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.errors import ExternalError
from swarm_operator.domain.service.decision import ServicePlan
from swarm_operator.engine.clock import Clock
from swarm_operator.ports.compute import Clouds
from swarm_operator.ports.hosts import Hosts
from swarm_operator.ports.objects import Key, Objects, Resource
from swarm_operator.ports.swarm import TlsMaterial


class Services(Protocol):
    """What is needed of a ServiceController."""

    def plan(self, resource: Resource) -> ServicePlan: ...


@dataclass(frozen=True)
class ClusterLook:
    """The plan, and what could not be looked at."""

    plan: ClusterPlan
    errors: tuple[ExternalError, ...] = ()


class Planner:
    """`services`: a ServiceController on the same `objects` and `sessions`."""

    def __init__(
        self, objects: Objects, clouds: Clouds, hosts: Hosts, sessions: Sessions, services: Services | ServiceController, clock: Clock, *, threads: int = 8
    ) -> None:
        self._objects, self._clouds, self._hosts, self._sessions, self._services, self._clock = objects, clouds, hosts, sessions, services, clock
        self._threads = threads

    def cluster(self, resource: Resource) -> ClusterLook:
        """The next steps for a SwarmCluster, which need not be stored as it is. Raises SpecError for a spec that can't be carried out, ExternalError where Kubernetes can't be read."""
        spec, status = parse_cluster(resource.spec), parse_cluster_status(resource.status)
        found = read_pools(self._objects, resource.key.namespace, resource.key.name)
        if not resource.deleting and (problems := validate_cluster(spec, found.names)):
            raise SpecError(problems)
        if spec.external is not None:
            return ClusterLook(ClusterPlan(status))  # nothing is ever done to a swarm of somebody else's
        pools = found.merge(spec, status)
        spec = pools.spec
        gatherer = Gatherer(
            resource,
            pools,
            status,
            objects=self._objects,
            clouds=self._clouds,
            hosts=self._hosts,
            sessions=self._sessions,
            clock=self._clock,
            memo=None,
            threads=self._threads,
        )
        with decided(gatherer, spec, status, self._clock) as (gathered, plan):
            return ClusterLook(plan, tuple(gathered.errors))

    def service(self, resource: Resource, cluster: Resource | None) -> ServicePlan:
        """The next step for a SwarmService of `cluster`, None where there is no such cluster. Raises as `cluster` does."""
        if cluster is not None:
            self._open(cluster)
        return self._services.plan(resource)

    def _open(self, cluster: Resource) -> None:
        """A session by what the cluster's status says of its managers. Without one the plan says that the cluster is not ready."""
        spec, status = parse_cluster(cluster.spec), parse_cluster_status(cluster.status)
        external = spec.external
        name = tls_secret_name(cluster.key.name) if external is None else external.tls_secret_ref.name
        tls = TlsMaterial.of_secret(self._objects.get_secret(cluster.key.namespace, name))
        endpoints = _endpoints(spec, status) if external is None else list(external.endpoints)
        if endpoints and tls is not None:
            self._sessions.publish(Key("SwarmCluster", cluster.key.namespace, cluster.key.name), cluster.uid, endpoints, tls)


def _endpoints(spec: SwarmClusterSpec, status: SwarmClusterStatus) -> list[str]:
    floating = spec.managers.floating_ip.enabled
    managers = [node for node in status.nodes if node.role == "Manager" and node.node_id is not None]
    others = [address for node in managers if (address := node.floating_ip if floating else node.address) is not None]
    return list(dict.fromkeys([*([status.endpoint] if status.endpoint else []), *(f"tcp://{address}:{ENGINE_PORT}" for address in others)]))
