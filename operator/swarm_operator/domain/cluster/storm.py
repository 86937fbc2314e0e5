"""When so much has failed at once that the cause is elsewhere, or when it is we who are cut off: then nothing is repaired or replaced, and the condition says why.

Replacing machines one by one in the outage of a zone makes it worse (gardener/machine-controller-manager#760), and an operator that has lost its own network sees everything
dead. What is frozen stays so until the cause is gone; all graces start anew then (`remediation`), for nobody's time ran while we could not act.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import RepairCount, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import Machine, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Unknown
from swarm_operator.domain.quorum import is_quorate

ZONE_LEAST = 2
"""Machines of one zone that must be down together before it counts as an outage of the zone: one alone proves nothing."""


@dataclass(frozen=True)
class Storm:
    """Why repairs are frozen. `blind`: we can't see; then not even what a person asks for is done."""

    reason: Reason
    message: str
    blind: bool = False


def out_of_retries(spec: SwarmClusterSpec, status: SwarmClusterStatus, now: datetime) -> Storm | None:
    """Whether the retry budget of the cluster is spent: so many repairs that did not last have a cause that no repair removes."""
    budget, repairs = spec.remediation.retry_budget, status.repairs
    age = times.age(repairs.since, now)
    if age is None or age >= budget.window_seconds or repairs.count < budget.per_cluster:
        return None
    text = f"{repairs.count} repairs and replacements since {repairs.since}, of at most {budget.per_cluster} within {budget.window_seconds} s"
    return Storm(Reason.RETRY_BUDGET_EXHAUSTED, text)


def count_repairs(spec: SwarmClusterSpec, status: SwarmClusterStatus, number: int, now: datetime) -> RepairCount:
    """The account with `number` more repairs; a new window begins with the first repair after the old one's end."""
    age = times.age(status.repairs.since, now)
    if age is None or age >= spec.remediation.retry_budget.window_seconds:
        return RepairCount(count=number, since=times.stamp(now)) if number else RepairCount()
    return status.repairs.model_copy(update={"count": status.repairs.count + number})


def find_storm(spec: SwarmClusterSpec, observation: ClusterObservation, machines: Sequence[Machine], unhealthy: Collection[str]) -> Storm | None:
    """`machines`: the present holder of each slot; `unhealthy`: UIDs of those that are, or should be, working members and are not. None: all is clear."""
    servers, view = observation.servers, observation.swarm
    if isinstance(servers, Unknown):
        return Storm(servers.reason, f"OpenStack does not tell which servers there are: {servers.message}", blind=True)
    if isinstance(view, Unknown):
        return Storm(Reason.MANAGER_UNREACHABLE, f"no manager answers: {view.message}", blind=True)
    if not is_quorate(view.value.nodes):
        return Storm(Reason.QUORUM_LOST, "the managers have no majority: the swarm's own view is not to be trusted", blind=True)
    total = sum(replicas for _, _, replicas in pools(spec))
    if total and 100 * len(unhealthy) > spec.remediation.max_unhealthy_percent * total:
        return Storm(Reason.BUDGET_EXHAUSTED, f"{len(unhealthy)} of {total} machines are unhealthy, more than {spec.remediation.max_unhealthy_percent} %")
    zones: dict[str, list[str]] = {}
    for machine in machines:
        server = machine.present
        if server is not None and server.availability_zone:
            zones.setdefault(server.availability_zone, []).append(machine.uid)
    for zone, members in sorted(zones.items()) if len(zones) > 1 else ():
        if len(members) >= ZONE_LEAST and all(uid in unhealthy for uid in members):
            return Storm(Reason.ZONE_DOWN, f"all {len(members)} machines in availability zone {zone} are unhealthy at once")
    return None
