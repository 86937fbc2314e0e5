"""Nova server groups: one for the managers, one for each pool, so that their servers are put on different hosts.

A group can't be changed: another policy is another group, and the former one goes once none of its members is left. Nova's scheduler looks at the hosts of the members that are
placed already, so two members asked for at once may land on one host (nova, "soft-anti-affinity" is a weigher): members are made one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.placement import GroupPolicy, ServerGroupSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import ServerGroup
from swarm_operator.domain.cluster.machines import MachineTable, machine_spec, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import CreateServerGroup, DeleteInfrastructure, Step
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import server_group_name
from swarm_operator.domain.quota import SERVER_GROUP, SERVER_GROUP_MEMBERS, shortage

DEFAULT_POLICY: Final[GroupPolicy] = "SoftAntiAffinity"
NOVA_POLICIES: Final[Mapping[GroupPolicy, str]] = {
    "SoftAntiAffinity": "soft-anti-affinity",
    "AntiAffinity": "anti-affinity",
    "SoftAffinity": "soft-affinity",
    "Affinity": "affinity",
}


@dataclass(frozen=True)
class Grouping:
    """Of one pool. `group_id` None: its servers get none. `waits`: the group is to be made first, or it is not known whether there is one. `without`: why there is none against the default."""

    group_id: str | None = None
    waits: bool = False
    without: str = ""


@dataclass(frozen=True)
class GroupPlan:
    """By pool ("" for managers). `problem`: why a pool waits, where it is a fact that is missing."""

    by_pool: Mapping[str, Grouping] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    problem: Unknown | None = None

    @property
    def ids(self) -> dict[str, str]:
        """As status has them."""
        return {pool or "manager": g.group_id for pool, g in self.by_pool.items() if g.group_id is not None}


def policy_of(spec: SwarmClusterSpec, pool: str) -> GroupPolicy | None:
    """The policy of the group that the operator makes for a pool; None where a group that exists is named."""
    return _policy(machine_spec(spec, pool).server_group)


def _policy(chosen: ServerGroupSpec | None) -> GroupPolicy | None:
    return DEFAULT_POLICY if chosen is None else chosen.policy


def usage_matters(spec: SwarmClusterSpec, status: SwarmClusterStatus) -> bool:
    """Whether the room in quotas may decide something: a pool has no group yet, or servers are to be made."""
    wanted = {pool: replicas for _, pool, replicas in pools(spec) if replicas and policy_of(spec, pool) not in (None, "None")}
    made = Counter(n.pool for n in status.nodes if n.server_id is not None)
    return any((pool or "manager") not in status.infrastructure.server_group_ids or made[pool] < replicas for pool, replicas in wanted.items())


def plan_groups(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable) -> GroupPlan:
    """Groups that are missing and groups that are of no use any more. The default policy is a wish: where the project has no room for a group, servers are made without."""
    by_pool: dict[str, Grouping] = {}
    steps: list[Step] = []
    problem: Unknown | None = None
    wanted: set[str] = set()
    for _, pool, replicas in pools(spec):
        chosen = machine_spec(spec, pool).server_group
        policy, by_default = _policy(chosen), chosen is None
        if policy == "None" or not replicas:
            by_pool[pool] = Grouping()
            continue
        if policy is None:
            references = observation.machine_references.get(pool)
            by_pool[pool] = Grouping(references.value.server_group_id) if isinstance(references, Known) else Grouping(waits=True)
            continue
        groups = observation.server_groups
        if isinstance(groups, Unknown):
            if by_default and groups.reason is Reason.FORBIDDEN:
                by_pool[pool] = Grouping(without=groups.message)
            else:
                by_pool[pool], problem = Grouping(waits=True), problem or groups
            continue
        name = server_group_name(observation.uid, pool, NOVA_POLICIES[policy])
        recorded = status.infrastructure.server_group_ids.get(pool or "manager")
        found = min((g for g in groups.value if g.name == name), key=lambda g: (g.id != recorded, g.id), default=None)
        if found is not None:
            wanted.add(found.id)
            full = by_default and _full(observation, table, pool, found)
            by_pool[pool] = Grouping(None, without=full) if full else Grouping(found.id)
        elif by_default and (short := _short(observation)):
            by_pool[pool] = Grouping(without=short)
        else:
            by_pool[pool] = Grouping(waits=True)
            steps.append(CreateServerGroup(pool, name, NOVA_POLICIES[policy]))
    return GroupPlan(by_pool, (*steps, *_useless(observation, wanted)), problem)


def _short(observation: ClusterObservation) -> str:
    usage = observation.compute_usage
    return (shortage({SERVER_GROUP: 1}, usage.value) or "") if isinstance(usage, Known) else ""


def _full(observation: ClusterObservation, table: MachineTable, pool: str, group: ServerGroup) -> str:
    """Why no further server can be in a group, or ""."""
    limit = observation.compute_usage.value.get(SERVER_GROUP_MEMBERS) if isinstance(observation.compute_usage, Known) else None
    servers = {m.present.id for m in table.machines if m.id.pool == pool and m.present is not None}
    members = max(len(group.members), len(servers))
    full = limit is not None and limit.limit is not None and members >= limit.limit
    return f"its server group is full: {members} of {limit.limit} members" if full and limit is not None else ""


def _useless(observation: ClusterObservation, wanted: set[str]) -> list[Step]:
    """Groups of ours that no pool uses and that none of our servers is in."""
    if not isinstance(observation.server_groups, Known) or not isinstance(observation.servers, Known) or not observation.project_fresh:
        return []
    servers = {s.id for s in observation.servers.value}
    useless = [g for g in observation.server_groups.value if g.id not in wanted and not servers & set(g.members)]
    return [DeleteInfrastructure("server-group", Known(g.id), "no pool uses it") for g in sorted(useless, key=lambda g: g.id)]


def being_placed(table: MachineTable, pool: str) -> bool:
    """Whether a server of the pool has no host yet, or was asked for a moment ago: the next member of its group waits for it."""
    return any(
        m.id.pool == pool
        and ((isinstance(m.server, Unknown) and m.record is not None) or (m.present is not None and m.present.status == "BUILD" and m.present.host_id is None))
        for m in table.machines
    )
