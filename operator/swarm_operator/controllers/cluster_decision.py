"""Observing a SwarmCluster and deciding on it: the half of a reconcile that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.controllers.cluster_facts import Gathered
from swarm_operator.controllers.cluster_gather import Gatherer
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.engine.clock import Clock


@contextmanager
def decided(gatherer: Gatherer, spec: SwarmClusterSpec, status: SwarmClusterStatus, clock: Clock) -> Iterator[tuple[Gathered, ClusterPlan]]:
    """With a further or fresh look where the decision needs one. The logins to guests are open in the body. Raises only what Kubernetes itself raises."""
    gathered = gatherer.gather()
    try:
        plan = decide(spec, status, gathered.observation, clock.now())
        if plan.wants_services:
            gatherer.look_at_services(gathered)
            plan = decide(spec, status, gathered.observation, clock.now())
        if plan.wants_fresh:
            gatherer.refresh(gathered)
            plan = decide(spec, status, gathered.observation, clock.now())
        if plan.wants_services:
            # Only the fresh list of servers showed that a node is to be drained.
            gatherer.look_at_services(gathered)
            plan = decide(spec, status, gathered.observation, clock.now())
        yield gathered, plan
    finally:
        gathered.logins.close()
