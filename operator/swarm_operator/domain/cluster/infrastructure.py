"""Network, subnet, router, security group and key pair: what is there, what is missing, what is too much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import InfrastructureStatus, SwarmClusterStatus
from swarm_operator.api.network import ManagedNetwork
from swarm_operator.domain.cloud import OwnedNetworking
from swarm_operator.domain.cluster.observation import ClusterObservation, NetworkReferences
from swarm_operator.domain.cluster.owned import Described, choose, owned
from swarm_operator.domain.cluster.security_groups import plan_security_groups
from swarm_operator.domain.cluster.steps import (
    AddRouterInterface,
    CreateNetwork,
    CreateRouter,
    CreateSubnet,
    DeleteInfrastructure,
    EnsureKeyPair,
    EnsureSecrets,
    InfrastructureKind,
    Step,
)
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import keypair_name


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
    groups = plan_security_groups(spec, status.infrastructure, observation.uid, references.value.security_group_ids, networking.value)
    steps += [*network_steps, *groups.steps]
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
        security_group_ids=list(groups.members),
        manager_security_group_ids=list(groups.managers),
        key_name=spec.ssh.key_name or keypair_name(observation.uid),
        server_group_ids=status.infrastructure.server_group_ids,
    )
    return InfrastructurePlan(tuple(steps), facts_status)


def _key_material(public_key: str) -> list[str]:
    """Type and key without the comment."""
    return public_key.split()[:2]


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
    network, more_networks = choose(owned(networking.networks, uid, "network"), recorded.network_id)
    subnet, more_subnets = choose(owned(networking.subnets, uid, "subnet"), recorded.subnet_id)
    router, more_routers = choose(owned(networking.routers, uid, "router"), recorded.router_id)
    router_id = references.router_id if references.router_id is not None else router.id if router is not None else None
    if network is None:
        steps.append(CreateNetwork(managed.mtu))
    if subnet is None:
        steps.append(CreateSubnet(managed.cidr, tuple(managed.dns_nameservers)))
    if router_id is None and references.external_network_id is not None:
        steps.append(CreateRouter(references.external_network_id))
    attached = subnet is not None and any(subnet.id in r.subnet_ids for r in (*networking.routers, *networking.other_routers) if r.id == router_id)
    if not attached and references.external_network_id is not None:
        steps.append(AddRouterInterface())
    steps += _surplus("router", (r for r in more_routers if not r.subnet_ids)) + _surplus("subnet", more_subnets) + _surplus("network", more_networks)
    return steps, network.id if network else None, subnet.id if subnet else None, router_id
