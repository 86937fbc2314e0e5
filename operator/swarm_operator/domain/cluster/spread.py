"""Whether servers are as far apart as they were meant to be. For information: a cluster that shares hosts works, it only survives less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.machines import Machine, machine_spec, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.server_groups import GroupPlan, policy_of
from swarm_operator.domain.cluster.zones import load_of, zone_of

_APART = frozenset({"SoftAntiAffinity", "AntiAffinity"})


def spread(spec: SwarmClusterSpec, observation: ClusterObservation, keep: Iterable[Machine], groups: GroupPlan) -> Verdict:
    """By Nova's hostId of the kept machines' servers. Managers share no host; a pool's servers are as even as the hosts that the cluster is known to use allow."""
    machines = [m for m in keep if m.present is not None]
    hosts = {m.present.host_id for m in machines if m.present is not None and m.present.host_id}
    told: list[str] = []
    for role, pool, _ in pools(spec):
        of_pool = [m for m in machines if m.id.role == role and m.id.pool == pool]
        called = "managers" if role == "Manager" else f"pool {pool}"
        if policy_of(spec, pool) in _APART:
            told += _hosts(observation, called, of_pool, 1 if role == "Manager" else -(-len(of_pool) // max(1, len(hosts))))
        told += _zones(spec, called, pool, of_pool)
        grouping = groups.by_pool.get(pool)
        if grouping is not None and grouping.without and of_pool:
            told.append(f"{called}: new servers get no server group: {grouping.without}")
    if not told:
        return Verdict(type=ConditionType.SPREAD_DEGRADED, status="False", reason=Reason.AS_EXPECTED, message="servers are spread as declared")
    return Verdict(type=ConditionType.SPREAD_DEGRADED, status="True", reason=Reason.SPREAD_DEGRADED, message="; ".join(told)[:1024])


def _hosts(observation: ClusterObservation, called: str, machines: list[Machine], most: int) -> list[str]:
    by_host: dict[str, list[str]] = {}
    for machine in machines:
        host = machine.present.host_id if machine.present is not None else None
        if host:
            by_host.setdefault(host, []).append(machine.id.server_name(observation.name))
    allowed = max(1, most)
    return [
        f"{called}: {', '.join(names[:5])}{' and more' if len(names) > 5 else ''} are on one host" for names in sorted(by_host.values()) if len(names) > allowed
    ]


def _zones(spec: SwarmClusterSpec, called: str, pool: str, machines: list[Machine]) -> list[str]:
    template = machine_spec(spec, pool)
    told = []
    load = load_of(machines, pool)
    declared = Counter({zone: load.get(zone, 0) for zone in template.availability_zones})
    if len(declared) > 1 and max(declared.values()) - min(declared.values()) > 1:
        told.append(f"{called}: {', '.join(f'{count} in zone {zone}' for zone, count in sorted(declared.items()))}")
    fallen = sorted({zone for m in machines if (zone := zone_of(m)) in template.fallback_zones and zone})
    if fallen:
        told.append(f"{called}: servers in fallback zone {', '.join(fallen)}")
    return told
