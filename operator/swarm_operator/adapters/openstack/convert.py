"""JSON of Nova and Neutron into domain types (Compute API 2.69, Networking API 2.0)."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

from swarm_operator.adapters.openstack.errors import stable
from swarm_operator.domain.cloud import (
    FloatingIP,
    KeyPair,
    Network,
    Port,
    PortRequest,
    Router,
    SecurityGroup,
    SecurityRule,
    Server,
    ServerGroup,
    Subnet,
    Volume,
)

Json = dict[str, Any]

ROUTER_INTERFACE_OWNERS: Final = ("network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface")
"""device_owner of a router's interface ports: plain, distributed and highly available routers (neutron-lib, constants)."""
ANY_PROTOCOL: Final = "any"
"""How a rule for all protocols is written in `SecurityRule.protocol`; Neutron has null."""


def fault_text(fault: Json) -> str | None:
    """Message and code of a server's `fault`: ERROR servers carry it (Nova API reference, "Show Server Details"). The code 500 is left out: it says nothing."""
    message, code = fault.get("message"), fault.get("code")
    if not message and not code:
        return None
    return stable(f"{message or 'no message'}" + (f" ({code})" if code not in (None, 500) else ""))


def server(item: Json) -> Server:
    """An entry of `GET /servers/detail`. Since 2.47 Nova gives a flavor's name, not its id."""
    addresses = [address for network in (item.get("addresses") or {}).values() for address in network if address.get("version") == 4]
    image, flavor, fault = item.get("image") or {}, item.get("flavor") or {}, item.get("fault") or {}
    return Server(
        id=item["id"],
        name=item.get("name") or "",
        status=item.get("status") or "UNKNOWN",
        metadata=dict(item.get("metadata") or {}),
        created=item.get("created") or "",
        task_state=item.get("OS-EXT-STS:task_state"),
        fault=fault_text(fault),
        fixed=tuple(a["addr"] for a in addresses if a.get("OS-EXT-IPS:type", "fixed") == "fixed"),
        floating=tuple(a["addr"] for a in addresses if a.get("OS-EXT-IPS:type") == "floating"),
        image_id=image.get("id"),
        flavor=flavor.get("original_name") or flavor.get("id"),
        security_groups=tuple(dict.fromkeys(group["name"] for group in item.get("security_groups") or [])),
        availability_zone=item.get("OS-EXT-AZ:availability_zone") or None,
        host_id=item.get("hostId") or None,
        tags=tuple(item.get("tags") or ()),
    )


def volume(item: Json) -> Volume:
    """An entry of `GET /volumes/detail`."""
    return Volume(
        id=item["id"],
        name=item.get("name") or "",
        status=item.get("status") or "",
        size_gib=int(item.get("size") or 0),
        metadata=dict(item.get("metadata") or {}),
        attached_to=tuple(a["server_id"] for a in item.get("attachments") or () if a.get("server_id")),
        created=item.get("created_at") or "",
    )


def server_group(item: Json) -> ServerGroup:
    """An entry of `GET /os-server-groups` (2.64 and later: one `policy`)."""
    return ServerGroup(id=item["id"], name=item["name"], policy=item["policy"], members=tuple(item.get("members") or ()))


def key_pair(item: Json) -> KeyPair:
    """The `keypair` of Nova's answer."""
    return KeyPair(name=item["name"], public_key=item["public_key"].strip())


def network(item: Json) -> Network:
    """A Neutron network."""
    return Network(
        id=item["id"],
        name=item.get("name") or "",
        description=item.get("description") or "",
        external=bool(item.get("router:external", False)),
        subnet_ids=tuple(item.get("subnets") or ()),
        mtu=item.get("mtu"),
    )


def subnet(item: Json) -> Subnet:
    """A Neutron subnet."""
    return Subnet(
        id=item["id"],
        name=item.get("name") or "",
        description=item.get("description") or "",
        network_id=item["network_id"],
        cidr=item["cidr"],
        gateway_ip=item.get("gateway_ip"),
    )


def port(item: Json) -> Port:
    """A Neutron port."""
    return Port(
        id=item["id"],
        network_id=item["network_id"],
        device_id=item.get("device_id") or "",
        device_owner=item.get("device_owner") or "",
        fixed_ips=tuple(address["ip_address"] for address in item.get("fixed_ips") or ()),
        description=item.get("description") or "",
        security_group_ids=tuple(item.get("security_groups") or ()),
        secured=bool(item.get("port_security_enabled", True)),
        tags=tuple(item.get("tags") or ()),
        trunk_id=(item.get("trunk_details") or {}).get("trunk_id"),
    )


def port_options(request: PortRequest) -> Json:
    """What of a port to create is not the default (Networking API, "Create port", with the extensions binding, port-security and allowed-address-pairs)."""
    fields: Json = {}
    if request.fixed_ips:
        fields["fixed_ips"] = [
            {name: value for name, value in (("subnet_id", subnet), ("ip_address", address)) if value is not None} for subnet, address in request.fixed_ips
        ]
    elif request.subnet_id is not None:
        fields["fixed_ips"] = [{"subnet_id": request.subnet_id}]
    if request.secured is not None:
        fields["port_security_enabled"] = request.secured
    if request.vnic_type is not None:
        fields["binding:vnic_type"] = request.vnic_type
    if request.address_pairs:
        fields["allowed_address_pairs"] = [{"ip_address": ip} if mac is None else {"ip_address": ip, "mac_address": mac} for ip, mac in request.address_pairs]
    if request.profile:
        fields["binding:profile"] = request.profile
    return fields


def router(item: Json, interface_ports: list[Json]) -> Router:
    """A Neutron router and the subnets of those of `interface_ports` that are its own."""
    gateway = item.get("external_gateway_info") or {}
    subnets = [a["subnet_id"] for p in interface_ports if p.get("device_id") == item["id"] for a in p.get("fixed_ips") or ()]
    return Router(
        id=item["id"],
        name=item.get("name") or "",
        description=item.get("description") or "",
        external_network_id=gateway.get("network_id"),
        subnet_ids=tuple(dict.fromkeys(subnets)),
    )


def routers_in(routers: list[Json], ports: list[Json], subnet_ids: Collection[str]) -> tuple[Router, ...]:
    """Those of `routers` that have an interface among `ports` in one of these subnets; of their subnets only these."""
    interfaces = [p for p in ports if p.get("device_owner") in ROUTER_INTERFACE_OWNERS and any(a["subnet_id"] in subnet_ids for a in p.get("fixed_ips") or ())]
    holders = {p.get("device_id") for p in interfaces}
    found = [router(item, interfaces) for item in routers if item["id"] in holders]
    return tuple(replace(r, subnet_ids=tuple(s for s in r.subnet_ids if s in subnet_ids)) for r in found)


def floating_ip(item: Json) -> FloatingIP:
    """A Neutron floating IP."""
    return FloatingIP(id=item["id"], address=item["floating_ip_address"], port_id=item.get("port_id"), description=item.get("description") or "")


def security_group(item: Json) -> SecurityGroup:
    """A Neutron security group with its ingress IPv4 rules."""
    rules = {
        rule["id"]: security_rule(rule, item["id"])
        for rule in item.get("security_group_rules") or ()
        if rule.get("direction") == "ingress" and rule.get("ethertype", "IPv4") == "IPv4"
    }
    return SecurityGroup(id=item["id"], name=item.get("name") or "", description=item.get("description") or "", rules=rules)


def security_rule(item: Json, group_id: str) -> SecurityRule:
    """A rule; its source in canonical form (10.0.0.5/24 is 10.0.0.0/24), so that rules can be compared."""
    prefix = item.get("remote_ip_prefix")
    return SecurityRule(
        protocol=str(item.get("protocol") or ANY_PROTOCOL).lower(),
        port_min=item.get("port_range_min"),
        port_max=item.get("port_range_max"),
        remote_cidr=str(ipaddress.ip_network(prefix, strict=False)) if prefix else None,
        remote_self=item.get("remote_group_id") == group_id,
        remote_group_id=other if (other := item.get("remote_group_id")) != group_id else None,
    )


def rule_request(group_id: str, rule: SecurityRule) -> Json:
    """The body's `security_group_rule` for a rule."""
    body: Json = {
        "security_group_id": group_id,
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": None if rule.protocol in ("", ANY_PROTOCOL) else rule.protocol,
        "port_range_min": rule.port_min,
        "port_range_max": rule.port_max,
    }
    if rule.remote_self:
        body["remote_group_id"] = group_id
    elif rule.remote_group_id is not None:
        body["remote_group_id"] = rule.remote_group_id
    elif rule.remote_cidr is not None:
        body["remote_ip_prefix"] = str(ipaddress.ip_network(rule.remote_cidr, strict=False))
    return body
