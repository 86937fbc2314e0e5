"""How each step of a SwarmCluster's plan is performed. A create is the last thing its step sends; its id goes into status at once."""

from __future__ import annotations

from collections.abc import Callable

from swarm_operator.api.cluster import JoinStatus, MachinePhase, OrphanKind
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.cloud_init import MetadataJoin, render_user_data
from swarm_operator.bootstrap.keys import new_ssh_keypair
from swarm_operator.bootstrap.tls import PemPair, issue, new_ca
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_gather import SSH_PRIVATE, SSH_PUBLIC, ssh_secret_name, tls_secret_name
from swarm_operator.controllers.cluster_guests import configure_engine
from swarm_operator.controllers.cluster_quota import FLOATING_IP_NEEDS, PORT_NEEDS, check_quota, note_taken, server_needs
from swarm_operator.controllers.cluster_repair import repair
from swarm_operator.domain.cloud import ServerRequest
from swarm_operator.domain.cluster import overlays
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.machines import machine_spec
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import (
    JOIN_MANAGER,
    JOIN_TOKEN,
    NODE_LABEL_DRAINED,
    SWARM_STARTED,
    description,
    keypair_name,
    object_name,
    port_part,
    server_metadata,
)
from swarm_operator.ports.hosts import SwarmInit


def perform(action: Action, step: s.Step) -> None:
    """Perform one step. Raises ExternalError."""
    if isinstance(step, s.GuestStep):
        _guest(action, step)
    elif isinstance(step, s.SwarmStep):
        _swarm(action, step)
    elif isinstance(step, s.Repair):
        repair(action, step, lambda join: _guest(action, join))
    elif isinstance(step, s.CreatePort | s.CreateServer | s.DeleteServer | s.EnsureFloatingIP | s.ExposeJoinToken):
        _server(action, step)
    elif isinstance(step, s.DeleteInfrastructure | s.RemoveRouterInterface | s.DeleteKeyPair | s.DeleteOrphan | s.RemoveFinalizer | s.RemoveRule):
        _remove(action, step)
    else:
        _infrastructure(action, step)


def _infrastructure(action: Action, step: s.Step) -> None:
    name, facts = object_name(action.name, action.uid), action.status.infrastructure
    match step:
        case s.EnsureSecrets():
            _ensure_secrets(action, step)
        case s.CreateNetwork(mtu):
            made = action.cloud.create_network(name, _described(action, "network"), mtu)
            _made(action, "network", made, network_id=made)
        case s.CreateSubnet(cidr, dns):
            made = action.cloud.create_subnet(name, _described(action, "subnet"), _id(facts.network_id, "network"), cidr, dns)
            _made(action, "subnet", made, subnet_id=made)
        case s.CreateRouter(external):
            made = action.cloud.create_router(name, _described(action, "router"), external)
            _made(action, "router", made, router_id=made)
        case s.AddRouterInterface():
            action.cloud.add_router_interface(_id(facts.router_id, "router"), _id(facts.subnet_id, "subnet"))
        case s.CreateSecurityGroup():
            made = action.cloud.create_security_group(name, _described(action, "security-group"))
            _made(action, "security group", made, security_group_ids=[made])
        case s.AddRule(rule):
            action.cloud.create_security_rule(_id(next(iter(facts.security_group_ids), None), "security group"), rule)
        case s.EnsureKeyPair(replace):
            public = action.gathered.secrets.ssh_public
            if public is None:
                raise ExternalError(
                    ErrorKind.INVALID, "openstack", f"Secret {ssh_secret_name(action.name)!r} has no key {SSH_PUBLIC}", reason=Reason.SECRET_NOT_FOUND
                )
            if replace:
                action.cloud.delete_keypair(keypair_name(action.uid))
            action.cloud.create_keypair(keypair_name(action.uid), public)
            _made(action, "key pair", keypair_name(action.uid), key_name=keypair_name(action.uid))
        case _:
            raise AssertionError(f"no way to perform {step}")


def _described(action: Action, part: str) -> str:
    return description(action.uid, action.name, part)


def _id(value: str | None, what: str) -> str:
    if value is None:
        raise ExternalError(ErrorKind.CONFLICT, "openstack", f"there is no {what} yet", reason=Reason.INFRASTRUCTURE_PENDING)
    return value


def _made(action: Action, what: str, made: str, **facts: object) -> None:
    action.set_infrastructure(**facts)
    action.write_status()
    action.objects.event(action.resource, Reason.CREATED, f"{what} {made}")


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


def _remove(action: Action, step: s.Step) -> None:
    cloud = action.cloud if not isinstance(step, s.RemoveFinalizer) else None
    match step:
        case s.RemoveFinalizer():
            action.resource = action.objects.set_finalizer(action.resource, False)
            action.released = True
            return
        case s.RemoveRule(evidence) if cloud is not None:
            cloud.delete_security_rule(evidence.value[0])
        case s.RemoveRouterInterface(router_id, evidence) if cloud is not None:
            cloud.remove_router_interface(router_id, evidence.value)
        case s.DeleteOrphan(orphan, evidence, called) if cloud is not None:
            ways: dict[OrphanKind, Callable[[str], None]] = {
                "server": cloud.delete_server,
                "port": cloud.delete_port,
                "floating-ip": cloud.delete_floating_ip,
                "security-group": cloud.delete_security_group,
                "volume": cloud.delete_volume,
            }
            ways[orphan](evidence.value)
            action.objects.event(action.resource, Reason.DELETED, f"{orphan} {evidence.value} {called}: it served nothing")
        case s.DeleteKeyPair(evidence) if cloud is not None:
            cloud.delete_keypair(evidence.value)
        case s.DeleteInfrastructure(kind, evidence, because) if cloud is not None:
            delete = {
                "floating-ip": cloud.delete_floating_ip,
                "router": cloud.delete_router,
                "port": cloud.delete_port,
                "subnet": cloud.delete_subnet,
                "network": cloud.delete_network,
                "security-group": cloud.delete_security_group,
                "volume": cloud.delete_volume,
            }[kind]
            delete(evidence.value)
            action.objects.event(action.resource, Reason.DELETED, f"{kind} {evidence.value}: {because}")
        case _:
            raise AssertionError(f"no way to perform {step}")


def _server(action: Action, step: s.Step) -> None:
    match step:
        case s.ExposeJoinToken():
            action.status = action.status.model_copy(update={"join": action.status.join.model_copy(update={"token_exposed": True})})
            action.write_status()
        case s.CreatePort(machine):
            facts, uid = action.status.infrastructure, machine.uid(action.uid)
            network, subnet = _id(facts.network_id, "network"), _id(facts.subnet_id, "subnet")
            described = description(action.uid, action.name, port_part(uid))
            check_quota(action, f"port for {machine.server_name(action.name)}", PORT_NEEDS)
            made = action.cloud.create_port(machine.server_name(action.name), described, network, subnet, tuple(facts.security_group_ids))
            note_taken(action, PORT_NEEDS)
            action.objects.event(action.resource, Reason.CREATED, f"port {made} for {machine.server_name(action.name)}")
        case s.CreateServer():
            _create_server(action, step)
        case s.DeleteServer(evidence, machine_uid, reason, because):
            action.cloud.delete_server(evidence.value.id)
            action.set_machine(machine_uid, phase=MachinePhase.DELETING, phase_since=action.now(), message=because[:1024])
            action.objects.event(action.resource, reason, f"server {evidence.value.name} ({evidence.value.id}) is deleted: {because}")
        case s.EnsureFloatingIP(machine_uid, server_id, floating_ip_id):
            _floating_ip(action, machine_uid, server_id, floating_ip_id)
        case _:
            raise AssertionError(f"no way to perform {step}")


def _create_server(action: Action, step: s.CreateServer) -> None:
    machine, uid, facts = step.machine, step.machine.uid(action.uid), action.status.infrastructure
    template = machine_spec(action.spec, machine.pool)
    try:
        user_data = render_user_data(
            cluster_uid=action.uid,
            machine_uid=uid,
            hostname=machine.server_name(action.name),
            engine=action.spec.engine,
            authorized_keys=action.spec.ssh.authorized_keys,
            join=MetadataJoin() if step.join_addresses else None,
        )
    except ValueError as error:
        raise ExternalError(ErrorKind.INVALID, "openstack", str(error), reason=Reason.INVALID_SPEC) from error
    metadata = {**template.metadata, **server_metadata(action.uid, action.name, machine)}
    if step.join_addresses:
        metadata |= {JOIN_MANAGER: ",".join(step.join_addresses), JOIN_TOKEN: action.swarm.join_token("worker")}
    request = ServerRequest(
        name=machine.server_name(action.name),
        flavor_id=step.flavor_id,
        image_id=step.image_id,
        network_id=_id(facts.network_id, "network"),
        key_name=_id(facts.key_name, "key pair"),
        security_groups=tuple(facts.security_group_ids),
        metadata=metadata,
        user_data=user_data,
        config_drive=template.config_drive,
        availability_zone=template.availability_zone,
        port_id=step.port_id,
    )
    needs = server_needs(action, step.flavor_id, port=step.port_id is None)
    check_quota(action, f"server {request.name}", needs)
    server_id = action.cloud.create_server(request)
    note_taken(action, needs)
    action.set_machine(uid, server_id=server_id, phase=MachinePhase.BUILDING, phase_since=action.now())
    action.write_status()
    action.objects.event(action.resource, Reason.CREATED, f"server {request.name} ({server_id})")


def _floating_ip(action: Action, machine_uid: str, server_id: str, floating_ip_id: str | None) -> None:
    ports = sorted(action.cloud.list_ports(device_id=server_id), key=lambda p: (p.network_id != action.status.infrastructure.network_id, p.id))
    if not ports:
        raise ExternalError(ErrorKind.CONFLICT, "openstack", f"server {server_id} has no port yet", reason=Reason.INFRASTRUCTURE_PENDING)
    if floating_ip_id is not None:
        action.cloud.associate_floating_ip(floating_ip_id, ports[0].id)
        return
    external = _id(action.status.infrastructure.external_network_id, "external network")
    check_quota(action, "floating IP", FLOATING_IP_NEEDS)
    made = action.cloud.create_floating_ip(external, _described(action, f"fip/{machine_uid}"), ports[0].id)
    note_taken(action, FLOATING_IP_NEEDS)
    action.set_machine(machine_uid, floating_ip=made.address)
    action.write_status()
    action.objects.event(action.resource, Reason.CREATED, f"floating IP {made.address}")


def _guest(action: Action, step: s.GuestStep) -> None:
    logins = action.gathered.logins
    match step:
        case s.PinHostKeys(_, uid, keys):
            action.set_machine(uid, host_keys=list(keys))
        case s.ConfigureEngine(machine, uid, addresses):
            tls = action.gathered.secrets.tls
            if tls is None:
                raise ExternalError(ErrorKind.CONFLICT, "ssh", "there is no certificate authority yet", reason=Reason.MANAGER_BOOTSTRAPPING)
            configure_engine(logins.open(uid), tls, machine.server_name(action.name), addresses, action.clock.now())
            action.set_machine(uid, engine_configured=True)
        case s.InitSwarm(_, uid, server_id, advertise):
            _init_swarm(action, uid, server_id, advertise)
        case s.JoinNode(_, uid, advertise, managers, leave_first):
            host = logins.open(uid)
            token = action.swarm.join_token("manager" if isinstance(step, s.JoinManager) else "worker")
            if isinstance(step, s.JoinManager):
                action.cloud.update_server_metadata(step.server_id, {SWARM_STARTED: "started"})
            if leave_first:
                host.swarm_leave(force=True)
            host.swarm_join(list(managers), token, advertise)
            if isinstance(step, s.JoinManager):
                action.objects.event(action.resource, Reason.CREATED, f"manager {step.machine.server_name(action.name)} has joined")
        case _:
            raise AssertionError(f"no way to perform {step}")


def _init_swarm(action: Action, machine_uid: str, server_id: str, advertise: str) -> None:
    wanted, host = action.spec.swarm, action.gathered.logins.open(machine_uid)
    action.cloud.update_server_metadata(server_id, {SWARM_STARTED: "started"})
    init = SwarmInit(advertise, tuple(wanted.default_addr_pools), wanted.subnet_size, wanted.data_path_port, wanted.task_history_limit)
    try:
        node_id = host.swarm_init(init)
    except ExternalError as error:
        # Part of a swarm already: an earlier answer was lost. The next observation shows it.
        if error.kind is ErrorKind.CONFLICT:
            return
        raise
    action.set_machine(machine_uid, node_id=node_id, engine_configured=True)
    action.objects.event(action.resource, Reason.CREATED, f"swarm, first manager {advertise}")


def _swarm(action: Action, step: s.SwarmStep) -> None:
    swarm = action.swarm
    match step:
        case s.SetNode(evidence, role, availability, labels):
            swarm.update_node(evidence.value.id, evidence.value.version, role=role, availability=availability, labels=labels)
        case s.DrainNode(evidence, at, because):
            node = evidence.value
            swarm.update_node(node.id, node.version, role=node.role, availability="drain", labels={**node.labels, NODE_LABEL_DRAINED: at})
            action.objects.event(action.resource, Reason.NODES_DRAINING, f"node {node.hostname}: {because}")
        case s.DemoteManager(evidence, because):
            node = evidence.value
            swarm.update_node(node.id, node.version, role="worker", availability=node.availability, labels=node.labels)
            action.objects.event(action.resource, Reason.SCALED, f"manager {node.hostname} is demoted: {because}")
        case s.RemoveNode(evidence, _, because):
            swarm.remove_node(evidence.value.id, force=True)
            action.objects.event(action.resource, Reason.DELETED, f"node {evidence.value.hostname} ({evidence.value.id}): {because}")
        case s.CreateOverlay(network):
            swarm.create_network(
                network.name,
                attachable=network.attachable,
                encrypted=network.encrypted,
                internal=network.internal,
                subnet=network.subnet,
                driver_opts=network.driver_opts,
                labels=overlays.labels(network, action.resource.uid),
            )
        case s.RemoveOverlay(_, network_id, name):
            swarm.remove_network(network_id)
            action.objects.event(action.resource, Reason.DELETED, f"network {name} of the swarm: not in the spec any more")
        case s.UpdateSwarm(settings):
            swarm.update_settings(settings)
            action.objects.event(action.resource, Reason.UPDATED, "settings of the swarm")
        case s.RotateToken(role):
            swarm.rotate_join_token(role)
            action.objects.event(action.resource, Reason.TOKEN_ROTATED, f"{role} join token")
        case s.ClearJoinMetadata(server_ids):
            for server_id in server_ids:
                action.cloud.delete_server_metadata(server_id, [JOIN_TOKEN, JOIN_MANAGER])
        case s.TokenRotated(nonce):
            action.status = action.status.model_copy(update={"join": JoinStatus(token_exposed=False, rotated_at=action.now(), rotated_for=nonce)})
        case _:
            raise AssertionError(f"no way to perform {step}")
