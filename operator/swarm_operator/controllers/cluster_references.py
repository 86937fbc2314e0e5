"""Ids of the OpenStack objects that a spec names."""

from __future__ import annotations

from swarm_operator.api.base import ResourceRef
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.ports import PortSpec
from swarm_operator.domain.cluster.floating_ips import settings_of
from swarm_operator.domain.cluster.machines import machine_spec, pools
from swarm_operator.domain.cluster.observation import MachineReferences, NetworkReferences, PortReferences
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.compute import Cloud


def network_references(cloud: Cloud, spec: SwarmClusterSpec) -> NetworkReferences:
    """Raises NOT_FOUND or INVALID for the first that is not there, or not one."""
    existing, groups = spec.network.existing, spec.security_groups.existing
    router = spec.network.managed.router if spec.network.managed is not None else None
    floating = {pool: settings_of(spec, pool) for _, pool, _ in pools(spec)}
    needs_external = existing is None or any(f.enabled and f.pool is None for f in floating.values())
    network_id = cloud.resolve("network", existing.network) if existing is not None else None
    subnet_id = cloud.resolve("subnet", existing.subnet) if existing is not None and existing.subnet is not None else None
    if network_id is not None and subnet_id is not None and subnet_id not in {s.id for s in cloud.get_subnets(network_id)}:
        raise ExternalError(ErrorKind.INVALID, "openstack", f"spec.network.existing.subnet: {subnet_id} is no IPv4 subnet of network {network_id}")
    return NetworkReferences(
        network_id=network_id,
        subnet_id=subnet_id,
        external_network_id=cloud.resolve("external network", spec.network.external) if needs_external else None,
        floating_network_ids={p: cloud.resolve("external network", f.pool) for p, f in floating.items() if f.enabled and f.pool is not None},
        security_group_ids=tuple(cloud.resolve("security group", group) for group in groups) if groups is not None else None,
        router_id=cloud.resolve("router", router) if router is not None else None,
    )


def machine_references(cloud: Cloud, spec: SwarmClusterSpec, pool: str) -> MachineReferences:
    """Of a pool ("" for managers). Raises as `network_references`."""
    machine = machine_spec(spec, pool)
    chosen = machine.server_group
    named = ResourceRef(id=chosen.id, name=chosen.name) if chosen is not None and chosen.policy is None else None
    group = cloud.resolve("server group", named) if named is not None else None
    image = "" if machine.image.own else cloud.resolve("image", machine.image)
    others = tuple(cloud.resolve("flavor", flavor) for flavor in machine.fallback_flavors)
    ports = tuple(_port_references(cloud, port) for port in machine.ports)
    return MachineReferences(cloud.resolve("flavor", machine.flavor), image, group, others, ports)


def _port_references(cloud: Cloud, port: PortSpec) -> PortReferences:
    groups = port.security_groups
    return PortReferences(
        cloud.resolve("network", port.network) if port.network is not None else None,
        tuple(cloud.resolve("subnet", address.subnet) if address.subnet is not None else None for address in port.fixed_ips),
        tuple(cloud.resolve("security group", group) for group in groups) if groups is not None else None,
    )
