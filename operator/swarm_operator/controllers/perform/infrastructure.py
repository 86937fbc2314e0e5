"""Network, subnet, router, security group, key pair, Secrets: made, and removed with all that is ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from swarm_operator.api.cluster_status import OrphanKind
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.keys import new_ssh_keypair
from swarm_operator.bootstrap.tls import PemPair, issue, new_ca
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_facts import SSH_PRIVATE, SSH_PUBLIC, ssh_secret_name, tls_secret_name
from swarm_operator.controllers.cluster_quota import SERVER_GROUP_NEEDS, check_quota, note_taken
from swarm_operator.controllers.perform.registry import described, known_id, made_infrastructure, performs
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.security_groups import PARTS, groups_of
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import (
    TRUNK_PART,
    keypair_name,
    object_name,
)

_GROUP_FACTS: Final = {"members": "security_group_ids", "managers": "manager_security_group_ids"}
"""By role of the group, the field of status.infrastructure."""


@performs(
    s.EnsureSecrets,
    s.CreateNetwork,
    s.CreateSubnet,
    s.CreateRouter,
    s.AddRouterInterface,
    s.CreateSecurityGroup,
    s.AddRule,
    s.JoinGroups,
    s.TagPort,
    s.CreateTrunk,
    s.CreateServerGroup,
    s.EnsureKeyPair,
)
def _infrastructure(action: Action, step: s.Step) -> None:
    name, facts = object_name(action.name, action.uid), action.status.infrastructure
    match step:
        case s.EnsureSecrets():
            _ensure_secrets(action, step)
        case s.CreateNetwork(mtu):
            made = action.cloud.create_network(name, described(action, "network"), mtu)
            made_infrastructure(action, "network", made, network_id=made)
        case s.CreateSubnet(cidr, dns):
            made = action.cloud.create_subnet(name, described(action, "subnet"), known_id(facts.network_id, "network"), cidr, dns)
            made_infrastructure(action, "subnet", made, subnet_id=made)
        case s.CreateRouter(external):
            made = action.cloud.create_router(name, described(action, "router"), external)
            made_infrastructure(action, "router", made, router_id=made)
        case s.AddRouterInterface():
            action.cloud.add_router_interface(known_id(facts.router_id, "router"), known_id(facts.subnet_id, "subnet"))
        case s.CreateSecurityGroup(role):
            called = name if role == "members" else f"{name}-{role}"
            made = action.cloud.create_security_group(called, described(action, PARTS[role]))
            made_infrastructure(action, "security group", made, **{_GROUP_FACTS[role]: [made]})
        case s.AddRule(rule, role):
            other = None if rule.remote_group_id is None else _group(action, rule.remote_group_id)
            action.cloud.create_security_rule(_group(action, role), dataclasses.replace(rule, remote_group_id=other))
        case s.JoinGroups(evidence, role):
            port = evidence.value
            action.cloud.set_port_security_groups(port.id, tuple(dict.fromkeys((*port.security_group_ids, *groups_of(facts, role)))))
        case s.TagPort(evidence, tags):
            action.cloud.set_port_tags(evidence.value.id, tags)
        case s.CreateTrunk(port_id):
            made = action.cloud.create_trunk(name, described(action, TRUNK_PART), port_id)
            action.objects.event(action.resource, Reason.CREATED, f"trunk {made} of port {port_id}")
        case s.CreateServerGroup(pool, group, policy):
            check_quota(action, f"server group {group}", SERVER_GROUP_NEEDS)
            made = action.cloud.create_server_group(group, policy)
            note_taken(action, SERVER_GROUP_NEEDS)
            made_infrastructure(action, "server group", made, server_group_ids={**facts.server_group_ids, pool or "manager": made})
        case s.EnsureKeyPair(replace):
            public = action.gathered.secrets.ssh_public
            if public is None:
                raise ExternalError(
                    ErrorKind.INVALID, "openstack", f"Secret {ssh_secret_name(action.name)!r} has no key {SSH_PUBLIC}", reason=Reason.SECRET_NOT_FOUND
                )
            if replace:
                action.cloud.delete_keypair(keypair_name(action.uid))
            action.cloud.create_keypair(keypair_name(action.uid), public)
            made_infrastructure(action, "key pair", keypair_name(action.uid), key_name=keypair_name(action.uid))
        case _:
            raise AssertionError(f"no way to perform {step}")


@performs(s.ReleaseFloatingIP, s.DetachFloatingIP)
def _let_go(action: Action, step: s.Step) -> None:
    match step:
        case s.ReleaseFloatingIP(evidence, because, keep_port):
            action.cloud.release_floating_ip(evidence.value.id, keep_port=keep_port)
            text = f"floating IP {evidence.value.address} ({evidence.value.id}) stays in the project and is the cluster's no more: {because}"
            action.objects.event(action.resource, Reason.RETAINED, text)
        case s.DetachFloatingIP(evidence, because):
            found = action.cloud.get_floating_ip(evidence.value.id)
            if found.port_id != evidence.value.port_id:
                return  # somebody moved it meanwhile
            action.cloud.associate_floating_ip(found.id, None)
            action.objects.event(action.resource, Reason.UPDATED, f"floating IP {found.address} was taken off port {found.port_id}: {because}")
        case _:
            raise AssertionError(f"no way to perform {step}")


@performs(s.RemoveRule, s.RemoveRouterInterface, s.DeleteOrphan, s.DeleteKeyPair, s.DeleteInfrastructure, s.DeletePort, s.DeleteTrunk, s.DeleteImage)
def _remove(action: Action, step: s.Step) -> None:
    cloud = action.cloud
    match step:
        case s.RemoveRule(evidence):
            cloud.delete_security_rule(evidence.value[0])
        case s.RemoveRouterInterface(router_id, evidence):
            cloud.remove_router_interface(router_id, evidence.value)
        case s.DeleteOrphan(orphan, evidence, called):
            _way(action, orphan)(evidence.value)
            action.objects.event(action.resource, Reason.DELETED, f"{orphan} {evidence.value} {called}: it served nothing")
        case s.DeleteKeyPair(evidence):
            cloud.delete_keypair(evidence.value)
        case s.DeleteTrunk(evidence, because):
            cloud.delete_trunk(evidence.value, action.uid)
            action.objects.event(action.resource, Reason.DELETED, f"trunk {evidence.value}: {because}")
        case s.DeleteInfrastructure(kind, evidence, because):
            _way(action, kind)(evidence.value)
            action.objects.event(action.resource, Reason.DELETED, f"{kind} {evidence.value}: {because}")
        case _:
            raise AssertionError(f"no way to perform {step}")


def _group(action: Action, role: str) -> str:
    """Id of the group of a role."""
    ids: list[str] = getattr(action.status.infrastructure, _GROUP_FACTS[role])
    return known_id(next(iter(ids), None), f"security group of the {role}")


def _way(action: Action, kind: OrphanKind | s.InfrastructureKind) -> Callable[[str], None]:
    """How an object of a kind is deleted, given its id (a key pair's name)."""
    cloud = action.cloud
    ways: dict[OrphanKind | s.InfrastructureKind, Callable[[str], None]] = {
        "server": cloud.delete_server,
        "trunk": lambda identity: cloud.delete_trunk(identity, action.uid),
        "port": cloud.delete_port,
        "floating-ip": cloud.delete_floating_ip,
        "router": cloud.delete_router,
        "subnet": cloud.delete_subnet,
        "network": cloud.delete_network,
        "security-group": cloud.delete_security_group,
        "key-pair": cloud.delete_keypair,
        "volume": cloud.delete_volume,
        "image": cloud.delete_image,
        "server-group": cloud.delete_server_group,
    }
    return ways[kind]


def _ensure_secrets(action: Action, step: s.EnsureSecrets) -> None:
    contents, now = action.gathered.secrets, action.clock.now()
    if step.ssh:
        pair = new_ssh_keypair()
        data = action.objects.ensure_secret(action.resource, ssh_secret_name(action.name), {SSH_PRIVATE: pair.private, SSH_PUBLIC: pair.public.encode()})
        contents.ssh_private, contents.ssh_public = data[SSH_PRIVATE], data[SSH_PUBLIC].decode().strip()
    if step.tls:
        authority = new_ca(f"swarm {action.name}", now)
        client = issue(authority, "swarm-operator", (), "client", now)
        fresh = {"ca.pem": authority.cert, "ca-key.pem": authority.key, "cert.pem": client.cert, "key.pem": client.key}
        contents.tls = action.objects.ensure_secret(action.resource, tls_secret_name(action.name), fresh)
    elif step.renew_client and contents.tls is not None:
        client = issue(PemPair(contents.tls["ca.pem"], contents.tls["ca-key.pem"]), "swarm-operator", (), "client", now)
        contents.tls = {**contents.tls, "cert.pem": client.cert, "key.pem": client.key}
        action.objects.update_secret(action.resource, tls_secret_name(action.name), contents.tls)
