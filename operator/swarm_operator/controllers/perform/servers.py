"""Servers, their ports and floating IPs, and the rungs of repair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swarm_operator.api.cluster_status import MachinePhase
from swarm_operator.api.machine import MachineSpec
from swarm_operator.api.ports import PortSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.cloud_init import MetadataJoin
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_quota import FLOATING_IP_NEEDS, PORT_NEEDS, check_quota, note_taken, server_needs
from swarm_operator.controllers.cluster_repair import repair
from swarm_operator.controllers.first_boot import first_boot
from swarm_operator.controllers.perform.registry import described, known_id, perform, performs
from swarm_operator.domain.cloud import PortRequest, RootVolume, ServerRequest
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.floating_ips import taken_by
from swarm_operator.domain.cluster.machine_ports import wanted_ports
from swarm_operator.domain.cluster.machines import machine_spec, origin_of
from swarm_operator.domain.cluster.observation import MachineReferences, PortReferences
from swarm_operator.domain.cluster.security_groups import groups_of
from swarm_operator.domain.cluster.template import marks
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Unknown
from swarm_operator.domain.ownership import (
    JOIN_ADVERTISE,
    JOIN_MANAGER,
    JOIN_TOKEN,
    PROMOTED,
    SWARM_STARTED,
    floating_ip_part,
    part_of,
    port_part,
    server_metadata,
)


@performs(s.ExposeJoinToken, s.CreatePort, s.CreateServer, s.DeleteServer, s.EnsureFloatingIP)
def _server(action: Action, step: s.Step) -> None:
    match step:
        case s.ExposeJoinToken():
            action.status = action.status.model_copy(update={"join": action.status.join.model_copy(update={"token_exposed": True})})
            action.write_status()
        case s.CreatePort():
            _create_port(action, step)
        case s.CreateServer():
            _create_server(action, step)
        case s.DeleteServer(evidence, machine_uid, reason, because):
            action.cloud.delete_server(evidence.value.id)
            action.set_machine(machine_uid, phase=MachinePhase.DELETING, phase_since=action.now(), message=because[:1024])
            action.objects.event(action.resource, reason, f"server {evidence.value.name} ({evidence.value.id}) is deleted: {because}")
        case s.EnsureFloatingIP():
            _floating_ip(action, step)
        case _:
            raise AssertionError(f"no way to perform {step}")


@performs(s.PromoteWorker)
def _promote(action: Action, step: s.PromoteWorker) -> None:
    """Its disk will hold the swarm's state: that is written along, as before a join."""
    machine, server = step.machine, step.evidence.value
    action.cloud.update_server_metadata(server.id, {PROMOTED: f"{machine.slot}/{machine.incarnation}", SWARM_STARTED: "started"})
    action.set_machine(step.machine_uid, role="Manager", pool="", slot=machine.slot, incarnation=machine.incarnation, promoted_from=origin_of(machine))
    action.write_status()
    name = replace(machine, origin=(), incarnation=1).server_name(action.name)
    action.objects.event(action.resource, Reason.PROMOTED, f"worker {server.name} becomes a manager in the place of {name}, which is lost", warning=True)


@performs(s.AdoptPort)
def _adopt_port(action: Action, step: s.AdoptPort) -> None:
    port, facts = step.evidence.value, action.status.infrastructure
    groups = tuple(dict.fromkeys((*port.security_group_ids, *groups_of(facts, "Manager"))))
    action.cloud.adopt_port(port.id, described(action, port_part(step.machine.slot_uid(action.uid))), groups)


@performs(s.PreserveServer)
def _preserve(action: Action, step: s.PreserveServer) -> None:
    server = step.evidence.value
    action.set_machine(step.machine_uid, phase=MachinePhase.PRESERVED, phase_since=action.now())
    action.write_status()
    action.objects.event(action.resource, Reason.PRESERVED, f"server {server.name} ({server.id}) is kept out of the swarm: {step.because}", warning=True)


@performs(s.Repair)
def _repair(action: Action, step: s.Repair) -> None:
    repair(action, step, lambda join: perform(action, join))


def _create_port(action: Action, step: s.CreatePort) -> None:
    machine, facts = step.machine, action.status.infrastructure
    wanted = wanted_ports(action.spec, machine, action.uid)[step.index]
    server = replace(machine, incarnation=1).server_name(action.name)
    name = server if step.index == 0 or wanted.spec is None else f"{server}-{wanted.spec.name}"
    request = PortRequest(
        name=name,
        description=described(action, wanted.part),
        network_id=known_id(facts.network_id, "network"),
        # Which subnet of somebody else's network is the spec's to say, or Neutron's.
        subnet_id=known_id(facts.subnet_id, "subnet") if action.spec.network.existing is None else facts.subnet_id,
        security_group_ids=groups_of(facts, machine.role),
    )
    if wanted.spec is not None:
        request = _as_declared(request, step.index, wanted.spec, step.references or PortReferences())
    check_quota(action, f"port for {name}", {name_of: count * step.missing for name_of, count in PORT_NEEDS.items()})
    made = action.cloud.create_port(request)
    note_taken(action, PORT_NEEDS)
    action.objects.event(action.resource, Reason.CREATED, f"port {made} for {name}")


def _as_declared(request: PortRequest, index: int, port: PortSpec, ids: PortReferences) -> PortRequest:
    """The request with what `machine.ports` says of the port."""
    groups = request.security_group_ids
    if index == 0:
        groups = tuple(dict.fromkeys((*groups, *(ids.security_group_ids or ()))))
    elif ids.security_group_ids is not None:
        groups = ids.security_group_ids
    profile: dict[str, Any] = {}
    if port.profile is not None:
        profile |= {"capabilities": ["switchdev"]} if port.profile.ovs_hw_offload else {}
        profile |= {"trusted": True} if port.profile.trusted_vf else {}
    return replace(
        request,
        network_id=ids.network_id or request.network_id,
        subnet_id=request.subnet_id if ids.network_id is None else None,
        security_group_ids=() if port.port_security == "Disabled" else groups,
        fixed_ips=tuple((subnet, address.ip_address) for subnet, address in zip(ids.subnet_ids, port.fixed_ips, strict=True)),
        secured=None if port.port_security is None else port.port_security == "Enabled",
        vnic_type=port.vnic_type,
        address_pairs=tuple((pair.ip_address, pair.mac_address) for pair in port.allowed_address_pairs),
        profile=profile,
        extra={value.key: value.value for value in port.value_specs},
    )


def _create_server(action: Action, step: s.CreateServer) -> None:
    machine, uid, facts = step.machine, step.machine.uid(action.uid), action.status.infrastructure
    template = machine_spec(action.spec, machine.pool)
    user_data = first_boot(action, machine, template, MetadataJoin() if step.join_addresses else None)
    marks_of = marks(action.spec, machine.pool, MachineReferences(step.declared_flavor_id or step.flavor_id, step.image_id))
    metadata = {**template.metadata, **server_metadata(action.uid, action.name, machine), **marks_of}
    if step.join_addresses:
        metadata |= {JOIN_ADVERTISE: step.advertise} if step.advertise is not None else {}
        metadata |= {JOIN_MANAGER: ",".join(step.join_addresses), JOIN_TOKEN: action.swarm.join_token("worker")}
    request = ServerRequest(
        name=machine.server_name(action.name),
        flavor_id=step.flavor_id,
        image_id=step.image_id,
        network_id=known_id(facts.network_id, "network"),
        key_name=known_id(facts.key_name, "key pair"),
        security_groups=groups_of(facts, machine.role),
        metadata=metadata,
        user_data=user_data,
        config_drive=template.config_drive,
        availability_zone=step.availability_zone,
        server_group_id=step.server_group_id,
        port_id=step.port_id,
        further_port_ids=step.further_port_ids,
        tags=tuple(template.tags),
        root_volume=_root_volume(template, step),
    )
    made_by_nova = request.root_volume is not None and request.root_volume.volume_id is None
    root_gib = request.root_volume.size_gib if request.root_volume is not None and made_by_nova else 0
    needs = server_needs(action, step.flavor_id, port=step.port_id is None, root_gib=root_gib)
    check_quota(action, f"server {request.name}", needs)
    server_id = action.cloud.create_server(request)
    note_taken(action, needs)
    action.set_machine(uid, server_id=server_id, phase=MachinePhase.BUILDING, phase_since=action.now())
    action.write_status()
    instead = f", of the fallback flavor {step.fallback_flavor_id}" if step.fallback_flavor_id is not None else ""
    action.objects.event(action.resource, Reason.CREATED, f"server {request.name} ({server_id}){instead}")


def _root_volume(template: MachineSpec, step: s.CreateServer) -> RootVolume | None:
    wanted = template.root_volume
    return None if wanted is None else RootVolume(wanted.size_gib, wanted.type, step.root_volume_id)


def _floating_ip(action: Action, step: s.EnsureFloatingIP) -> None:
    first = wanted_ports(action.spec, step.machine, action.uid)[0].part
    network = action.status.infrastructure.network_id
    found = action.cloud.list_ports(device_id=step.server_id)
    ports = sorted(found, key=lambda p: (part_of(p.description, action.uid) != first, p.network_id != network, p.id))
    if not ports:
        raise ExternalError(ErrorKind.CONFLICT, "openstack", f"server {step.server_id} has no port yet", reason=Reason.INFRASTRUCTURE_PENDING)
    if step.floating_ip_id is not None:
        if step.field is not None:
            _still_free(action, step.floating_ip_id, step.field)
        action.cloud.associate_floating_ip(step.floating_ip_id, ports[0].id)
        return
    external = step.network_id or known_id(action.status.infrastructure.external_network_id, "external network")
    check_quota(action, "floating IP", FLOATING_IP_NEEDS)
    made = action.cloud.create_floating_ip(external, described(action, floating_ip_part(step.machine.slot_uid(action.uid))), ports[0].id)
    note_taken(action, FLOATING_IP_NEEDS)
    action.set_machine(step.machine_uid, floating_ip=made.address)
    action.write_status()
    action.objects.event(action.resource, Reason.CREATED, f"floating IP {made.address}")


def _still_free(action: Action, floating_ip_id: str, field: str) -> None:
    """Neutron moves an address from one port to another without a word: it may have been put to use since it was listed."""
    networking, servers = action.gathered.observation.networking, action.gathered.observation.servers
    address = action.cloud.get_floating_ip(floating_ip_id)
    if isinstance(networking, Unknown) or isinstance(servers, Unknown):
        raise ExternalError(ErrorKind.CONFLICT, "openstack", f"{field}: whose {address.address} is can't be known now")
    if taken := taken_by(address, networking.value, action.uid, servers.value):
        raise ExternalError(ErrorKind.CONFLICT, "openstack", f"{field}: {address.address} {taken}", reason=Reason.ADDRESS_IN_USE)
