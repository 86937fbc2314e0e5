"""Network, subnet, router, security group and key pair: what is there, what is missing, what is too much."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import InfrastructureStatus, SwarmClusterStatus
from swarm_operator.api.network import ManagedNetwork, ManagedSecurityGroup
from swarm_operator.domain.cloud import OwnedNetworking, SecurityRule
from swarm_operator.domain.cluster.observation import ClusterObservation, NetworkReferences
from swarm_operator.domain.cluster.steps import (
    AddRouterInterface,
    AddRule,
    CreateNetwork,
    CreateRouter,
    CreateSecurityGroup,
    CreateSubnet,
    DeleteInfrastructure,
    EnsureKeyPair,
    EnsureSecrets,
    InfrastructureKind,
    RemoveRule,
    Step,
)
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import keypair_name, part_of

ANYWHERE = "0.0.0.0/0"


class Described(Protocol):
    """Any Neutron object."""

    @property
    def id(self) -> str: ...
    @property
    def description(self) -> str: ...


D = TypeVar("D", bound=Described)


@dataclass(frozen=True)
class InfrastructurePlan:
    """`complete`: servers can be made, or will be able to once `steps` are done. `problem`: the fact that is missing."""

    steps: tuple[Step, ...]
    status: InfrastructureStatus
    problem: Unknown | None = None


def plan_infrastructure(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> InfrastructurePlan:
    """The steps towards complete networking and key pair; floating IPs come with their machines (`floating_ips`)."""
    facts = (observation.credentials, observation.secrets, observation.network_references, observation.networking, observation.keypair)
    references, networking, keypair, secrets = observation.network_references, observation.networking, observation.keypair, observation.secrets
    if isinstance(references, Unknown) or isinstance(networking, Unknown) or isinstance(keypair, Unknown) or isinstance(secrets, Unknown):
        problem = next(f for f in facts if isinstance(f, Unknown))
        return InfrastructurePlan((), status.infrastructure, problem)
    steps: list[Step] = []
    renew = secrets.value.tls_client_expiring
    wants_ssh = not secrets.value.ssh and spec.ssh.private_key_secret_ref is None
    if wants_ssh or not secrets.value.tls or renew:
        steps.append(EnsureSecrets(ssh=wants_ssh, tls=not secrets.value.tls, renew_client=renew))
    network_steps, network_id, subnet_id, router_id = _network(spec, status, observation.uid, references.value, networking.value)
    group_steps, group_ids = _security_groups(spec, status, observation.uid, references.value, networking.value)
    steps += [*network_steps, *group_steps]
    if spec.ssh.key_name is None:
        public = secrets.value.ssh_public_key
        if keypair.value is None:
            steps.append(EnsureKeyPair())
        elif public is not None and _key_material(keypair.value.public_key) != _key_material(public):
            steps.append(EnsureKeyPair(replace=True))
    facts_status = InfrastructureStatus(
        network_id=network_id,
        subnet_id=subnet_id,
        router_id=router_id,
        external_network_id=references.value.external_network_id,
        security_group_ids=list(group_ids),
        key_name=spec.ssh.key_name or keypair_name(observation.uid),
        server_group_ids=status.infrastructure.server_group_ids,
    )
    return InfrastructurePlan(tuple(steps), facts_status)


def _key_material(public_key: str) -> list[str]:
    """Type and key without the comment."""
    return public_key.split()[:2]


def owned(objects: Iterable[D], cluster_uid: str, part: str) -> list[D]:
    """Objects of one part, by id."""
    return sorted((o for o in objects if part_of(o.description, cluster_uid) == part), key=lambda o: o.id)


def _choose(objects: Sequence[D], recorded: str | None) -> tuple[D | None, list[D]]:
    """The one in use (that which status names, else the first) and the surplus of a POST that was repeated."""
    chosen = next((o for o in objects if o.id == recorded), objects[0] if objects else None)
    return chosen, [o for o in objects if chosen is not None and o.id != chosen.id]


def _surplus(kind: InfrastructureKind, objects: Iterable[Described]) -> list[Step]:
    return [DeleteInfrastructure(kind, Known(o.id), "made twice") for o in objects]


def _network(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, uid: str, references: NetworkReferences, networking: OwnedNetworking
) -> tuple[list[Step], str | None, str | None, str | None]:
    if references.network_id is not None:
        return [], references.network_id, references.subnet_id, None
    managed = spec.network.managed or ManagedNetwork()
    recorded = status.infrastructure
    steps: list[Step] = []
    network, more_networks = _choose(owned(networking.networks, uid, "network"), recorded.network_id)
    subnet, more_subnets = _choose(owned(networking.subnets, uid, "subnet"), recorded.subnet_id)
    router, more_routers = _choose(owned(networking.routers, uid, "router"), recorded.router_id)
    if network is None:
        steps.append(CreateNetwork(managed.mtu))
    if subnet is None:
        steps.append(CreateSubnet(managed.cidr, tuple(managed.dns_nameservers)))
    if router is None and references.external_network_id is not None:
        steps.append(CreateRouter(references.external_network_id))
    attached = router is not None and subnet is not None and subnet.id in router.subnet_ids
    if not attached and references.external_network_id is not None:
        steps.append(AddRouterInterface())
    steps += _surplus("router", (r for r in more_routers if not r.subnet_ids)) + _surplus("subnet", more_subnets) + _surplus("network", more_networks)
    return steps, network.id if network else None, subnet.id if subnet else None, router.id if router else None


def _security_groups(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, uid: str, references: NetworkReferences, networking: OwnedNetworking
) -> tuple[list[Step], tuple[str, ...]]:
    if references.security_group_ids is not None:
        return [], references.security_group_ids
    recorded = status.infrastructure.security_group_ids
    group, more = _choose(owned(networking.security_groups, uid, "security-group"), recorded[0] if recorded else None)
    wanted = wanted_rules(spec)
    present = {normal(rule): rule_id for rule_id, rule in sorted(group.rules.items())} if group is not None else {}
    steps: list[Step] = [] if group is not None else [CreateSecurityGroup()]
    steps += [AddRule(rule) for rule in wanted if rule not in present]
    if group is not None:
        kept = {present[rule] for rule in wanted if rule in present}
        steps += [RemoveRule(Known((rule_id, rule))) for rule_id, rule in sorted(group.rules.items()) if rule_id not in kept]
    return steps + _surplus("security-group", more), (group.id,) if group is not None else ()


def normal(rule: SecurityRule) -> SecurityRule:
    """A rule in the one form that compares equal: host bits of the CIDR cleared, "from anywhere" spelt out."""
    cidr = rule.remote_cidr
    if rule.remote_self:
        cidr = None
    elif cidr is None:
        cidr = ANYWHERE
    else:
        cidr = str(ipaddress.ip_network(cidr, strict=False))
    return SecurityRule(rule.protocol, rule.port_min, rule.port_max, cidr, rule.remote_self)


def wanted_rules(spec: SwarmClusterSpec) -> tuple[SecurityRule, ...]:
    """Ingress rules of the managed group. Between members: ssh (workers are reached through a manager), 2377/tcp cluster management, 7946 tcp and udp gossip, the VXLAN data
    path port, and ESP for encrypted overlays (Docker documentation, "Manage swarm security" and "Use overlay networks"). From the operator: ssh and the Docker API (2376, TLS).
    """
    group = spec.security_groups.managed or ManagedSecurityGroup()
    ssh, data = spec.ssh.port, spec.swarm.data_path_port
    among = [("tcp", ssh, ssh), ("tcp", 2377, 2377), ("tcp", 7946, 7946), ("udp", 7946, 7946), ("udp", data, data), ("esp", None, None)]
    rules = [SecurityRule(protocol, low, high, None, True) for protocol, low, high in among]
    for cidr in group.operator_cidrs:
        rules += [SecurityRule("tcp", port, port, cidr) for port in (ssh, 2376)]
    for published in group.published_ports:
        protocol, _, ports = published.partition("/")
        low, _, high = ports.partition("-")
        rules.append(SecurityRule(protocol, int(low), int(high or low), ANYWHERE))
    return tuple(dict.fromkeys(normal(rule) for rule in rules))
