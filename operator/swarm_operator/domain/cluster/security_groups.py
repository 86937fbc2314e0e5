"""The security groups of a cluster: one that all machines are in, and one that managers are in besides.

Each port is open to those who need it and nobody else: cluster management (2377/tcp) on managers to members; the Docker API (2376, TLS) and ssh on managers to the operator; ssh on
workers to managers, through whom the operator reaches them; gossip (7946), the VXLAN data path and ESP for encrypted overlays among members (Docker documentation, "Getting started
with swarm mode", "Open protocols and ports between the hosts", and "Use overlay networks").

A cluster whose ports are in one group only, as earlier versions made them, is moved over without a gap: the second group is made, the managers' ports join it, and only then the
rules that managers have there leave the first.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import InfrastructureStatus
from swarm_operator.api.network import ManagedSecurityGroup
from swarm_operator.domain.cloud import OwnedNetworking, Port, SecurityGroup, SecurityRule
from swarm_operator.domain.cluster.owned import choose, owned
from swarm_operator.domain.cluster.steps import AddRule, CreateSecurityGroup, DeleteInfrastructure, GroupRole, JoinGroups, RemoveRule, Step
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import PORT_PART, MachineId, Role, part_of, slot_of_port

ANYWHERE: Final = "0.0.0.0/0"
PARTS: Final[Mapping[GroupRole, str]] = {"members": "security-group", "managers": "security-group/managers"}
"""What the description of a group says of it (`ownership.part_of`)."""
MOST_MANAGERS: Final = 7
"""`spec.managers.replicas` can't be more, and slots count from 0."""


@dataclass(frozen=True)
class GroupsPlan:
    """Ids in use, as status has them."""

    steps: tuple[Step, ...]
    members: tuple[str, ...]
    managers: tuple[str, ...] = ()


def groups_of(facts: InfrastructureStatus, role: Role) -> tuple[str, ...]:
    """Ids of the groups that a machine's port is in."""
    return (*facts.security_group_ids, *(facts.manager_security_group_ids if role == "Manager" else ()))


def plan_security_groups(
    spec: SwarmClusterSpec, facts: InfrastructureStatus, uid: str, existing: tuple[str, ...] | None, networking: OwnedNetworking
) -> GroupsPlan:
    """Groups and rules that are missing, ports that are in too few, then what is too much. `existing`: the groups that the spec names instead."""
    if existing is not None:
        return GroupsPlan((), existing)
    recorded = {"members": facts.security_group_ids, "managers": facts.manager_security_group_ids}
    found: dict[GroupRole, SecurityGroup | None] = {}
    steps: list[Step] = []
    surplus: list[SecurityGroup] = []
    for role in get_args(GroupRole):
        found[role], more = choose(owned(networking.security_groups, uid, PARTS[role]), next(iter(recorded[role]), None))
        surplus += more
        if found[role] is None:
            steps.append(CreateSecurityGroup(role))
    roles: dict[str, str] = {group.id: role for role, group in found.items() if group is not None}
    wanted = wanted_rules(spec)
    too_much: list[Step] = []
    for role, group in found.items():
        present = {} if group is None else {normal(rule, roles): rule_id for rule_id, rule in sorted(group.rules.items())}
        steps += [AddRule(rule, role) for rule in wanted[role] if rule not in present]
        kept = {present[rule] for rule in wanted[role] if rule in present}
        too_much += [RemoveRule(Known((i, rule))) for i, rule in sorted(group.rules.items()) if i not in kept] if group is not None else []
    ids = {role: (group.id,) if group is not None else () for role, group in found.items()}
    outside = _outside(uid, networking.ports, ids) if all(ids.values()) else ()
    steps += [JoinGroups(Known(port), role) for port, role in outside]
    if all(ids.values()) and not outside:
        steps += too_much
        steps += [DeleteInfrastructure("security-group", Known(group.id), "made twice") for group in surplus]
    return GroupsPlan(tuple(steps), ids["members"], ids["managers"])


def _outside(uid: str, ports: Sequence[Port], ids: Mapping[GroupRole, tuple[str, ...]]) -> tuple[tuple[Port, Role], ...]:
    """Ports for the swarm that are not in all groups of their role; which groups a further port is in is the spec's."""
    managers = {MachineId("Manager", "", slot, 1).slot_uid(uid) for slot in range(MOST_MANAGERS)}
    found: list[tuple[Port, Role]] = []
    for port in sorted(ports, key=lambda p: p.id):
        part = part_of(port.description, uid) or ""
        role: Role = "Manager" if slot_of_port(part) in managers else "Worker"
        needed = {*ids["members"], *(ids["managers"] if role == "Manager" else ())}
        if part.startswith(PORT_PART) and port.secured and not needed <= set(port.security_group_ids):
            found.append((port, role))
    return tuple(found)


def normal(rule: SecurityRule, roles: Mapping[str, str] | None = None) -> SecurityRule:
    """A rule in the one form that compares equal: host bits of the CIDR cleared, "from anywhere" spelt out, another group of ours named by its role (`roles`: by id)."""
    if rule.remote_self or rule.remote_group_id is not None:
        other = rule.remote_group_id
        return replace(rule, remote_cidr=None, remote_group_id=None if other is None else (roles or {}).get(other, other))
    cidr = ANYWHERE if rule.remote_cidr is None else str(ipaddress.ip_network(rule.remote_cidr, strict=False))
    return replace(rule, remote_cidr=cidr)


def wanted_rules(spec: SwarmClusterSpec) -> dict[GroupRole, tuple[SecurityRule, ...]]:
    """Ingress rules of the two managed groups, see the module. `remote_group_id` is the role of the other group."""
    group = spec.security_groups.managed or ManagedSecurityGroup()
    ssh, data = spec.ssh.port, spec.swarm.data_path_port
    among = [("tcp", 7946, 7946), ("udp", 7946, 7946), ("udp", data, data), ("esp", None, None)]
    members = [SecurityRule(protocol, low, high, remote_self=True) for protocol, low, high in among]
    members.append(SecurityRule("tcp", ssh, ssh, remote_group_id="managers"))
    for published in group.published_ports:
        protocol, _, ports = published.partition("/")
        low, _, high = ports.partition("-")
        members.append(SecurityRule(protocol, int(low), int(high or low), ANYWHERE))
    managers = [SecurityRule("tcp", 2377, 2377, remote_group_id="members")]
    for cidr in group.operator_cidrs:
        managers += [SecurityRule("tcp", port, port, str(ipaddress.ip_network(cidr, strict=False))) for port in (ssh, 2376)]
    return {"members": tuple(dict.fromkeys(members)), "managers": tuple(dict.fromkeys(managers))}
