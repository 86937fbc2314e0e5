"""Neutron (Networking API 2.0)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from swarm_operator.adapters.openstack import convert
from swarm_operator.adapters.openstack.errors import Effect, body_message, external, from_response
from swarm_operator.adapters.openstack.session import ApiSession, Json, Params
from swarm_operator.adapters.openstack.sharedlist import SharedList
from swarm_operator.domain.cloud import FloatingIP, Network, OwnedNetworking, Port, PortRequest, SecurityRule, Subnet
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.ownership import part_of

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NetworkCalls:
    """The Neutron half of `ports.compute.Cloud`.

    Neutron filters descriptions only by equality, so everything of the project is listed and told apart here. Listings are shared among threads that ask at the same
    time, but never older than the question: they are what "absent" is believed from.
    """

    def __init__(self, api: ApiSession) -> None:
        self._api = api
        self._project: SharedList[_Project] = SharedList(self._fetch_project, 0.0)

    def list_owned_networking(self, cluster_uid: str, addresses: Collection[str] = ()) -> OwnedNetworking:
        """See `ports.compute.Cloud`."""
        everything = self._project.get(fresh=True)

        def mine(items: list[Json]) -> list[Json]:
            return [item for item in items if part_of(item.get("description"), cluster_uid) is not None]

        routers, own_ports = mine(everything.routers), mine(everything.ports)
        ids = {item["id"] for item in own_ports}
        floating_ips = mine(everything.floating_ips)
        owned = {item["id"] for item in floating_ips}
        others = [f for f in everything.floating_ips if f["id"] not in owned and (f["floating_ip_address"] in addresses or f.get("port_id") in ids)]
        ports = self._router_ports([item["id"] for item in routers]) if routers else []
        subnets = tuple(convert.subnet(item) for item in mine(everything.subnets))
        connected = convert.routers_in(everything.routers, everything.ports, {subnet.id for subnet in subnets})
        return OwnedNetworking(
            networks=tuple(convert.network(item) for item in mine(everything.networks)),
            subnets=subnets,
            routers=tuple(convert.router(item, ports) for item in routers),
            security_groups=tuple(convert.security_group(item) for item in mine(everything.security_groups)),
            floating_ips=tuple(convert.floating_ip(item) for item in floating_ips),
            ports=tuple(convert.port(item) for item in own_ports),
            other_floating_ips=tuple(convert.floating_ip(item) for item in others),
            other_routers=tuple(router for router in connected if part_of(router.description, cluster_uid) is None),
        )

    def get_network(self, network_id: str) -> Network:
        """NOT_FOUND where there is none."""
        body = self._api.call_json(
            "network", "GET", f"/networks/{network_id}", operation="network.network.get", what=f"get network {network_id}", effect=Effect.READ
        )
        return convert.network(body["network"])

    def get_subnets(self, network_id: str) -> tuple[Subnet, ...]:
        """The IPv4 subnets of a network."""
        items = self._list("subnets", {"network_id": network_id, "ip_version": "4"}, f"list subnets of network {network_id}")
        return tuple(convert.subnet(item) for item in items)

    def list_ports(self, *, device_id: str | None = None, network_id: str | None = None) -> tuple[Port, ...]:
        """Ports of a device, a network, or both."""
        params = {name: value for name, value in (("device_id", device_id), ("network_id", network_id)) if value is not None}
        return tuple(convert.port(item) for item in self._list("ports", params, "list ports"))

    def create_network(self, name: str, description: str, mtu: int | None) -> str:
        """The id."""
        fields: Json = {"name": name, "description": description}
        return self._create("networks", "network", fields if mtu is None else {**fields, "mtu": mtu})

    def create_subnet(self, name: str, description: str, network_id: str, cidr: str, dns: Sequence[str]) -> str:
        """The id."""
        fields = {"name": name, "description": description, "network_id": network_id, "cidr": cidr, "ip_version": 4, "dns_nameservers": list(dns)}
        return self._create("subnets", "subnet", fields)

    def create_router(self, name: str, description: str, external_network_id: str) -> str:
        """The id."""
        return self._create("routers", "router", {"name": name, "description": description, "external_gateway_info": {"network_id": external_network_id}})

    def add_router_interface(self, router_id: str, subnet_id: str) -> None:
        """An interface that is there already is no error."""
        what = f"connect router {router_id} to subnet {subnet_id}"
        response = self._api.call(
            "network",
            "PUT",
            f"/routers/{router_id}/add_router_interface",
            operation="network.router.add_interface",
            what=what,
            effect=Effect.WRITE,
            json={"subnet_id": subnet_id},
            accept=(400, 409),
        )
        self._project.invalidate()
        if response.status_code >= 400 and "already has a port on subnet" not in body_message(response)[0]:
            raise from_response(response, what, Effect.WRITE)

    def remove_router_interface(self, router_id: str, subnet_id: str) -> None:
        """Already gone is no error."""
        self._api.call(
            "network",
            "PUT",
            f"/routers/{router_id}/remove_router_interface",
            operation="network.router.remove_interface",
            what=f"disconnect router {router_id} from subnet {subnet_id}",
            effect=Effect.WRITE,
            json={"subnet_id": subnet_id},
            accept=(404,),
        )
        self._project.invalidate()

    def create_security_group(self, name: str, description: str) -> str:
        """The id. Neutron adds its two egress rules."""
        return self._create("security-groups", "security_group", {"name": name, "description": description})

    def create_security_rule(self, group_id: str, rule: SecurityRule) -> str:
        """The id; that of the equal rule where there is one."""
        what = f"create rule {rule.protocol} {rule.port_min or ''} in security group {group_id}"
        response = self._api.call(
            "network",
            "POST",
            "/security-group-rules",
            operation="network.security_group_rule.create",
            what=what,
            effect=Effect.CREATE,
            json={"security_group_rule": convert.rule_request(group_id, rule)},
            accept=(409,),
        )
        self._project.invalidate()
        if response.status_code == 409:
            text, fault_type = body_message(response)
            held = _UUID.findall(text)
            if fault_type != "SecurityGroupRuleExists" or not held:
                raise from_response(response, what, Effect.CREATE)
            return str(held[-1])
        return str(response.json()["security_group_rule"]["id"])

    def delete_security_rule(self, rule_id: str) -> None:
        """Already gone is no error."""
        self._delete_neutron("security-group-rules", "security_group_rule", rule_id)

    def create_port(self, request: PortRequest) -> str:
        """The id."""
        fields: Json = {
            "name": request.name,
            "description": request.description,
            "network_id": request.network_id,
            "security_groups": list(request.security_group_ids),
        }
        return self._create("ports", "port", {**request.extra, **fields, **convert.port_options(request)})

    def set_port_tags(self, port_id: str, tags: Sequence[str]) -> None:
        """See `ports.compute.Cloud` (Networking API, extension standard-attr-tag)."""
        self._api.call(
            "network",
            "PUT",
            f"/ports/{port_id}/tags",
            operation="network.port.tags.update",
            what=f"set the tags of port {port_id}",
            effect=Effect.WRITE,
            json={"tags": list(tags)},
        )
        self._project.invalidate()

    def create_trunk(self, name: str, description: str, port_id: str) -> str:
        """See `ports.compute.Cloud` (Networking API, extension trunk)."""
        return self._create("trunks", "trunk", {"name": name, "description": description, "port_id": port_id, "sub_ports": []})

    def delete_trunk(self, trunk_id: str, cluster_uid: str) -> None:
        """See `ports.compute.Cloud`."""
        what = f"get trunk {trunk_id}"
        response = self._api.call("network", "GET", f"/trunks/{trunk_id}", operation="network.trunk.get", what=what, effect=Effect.READ, accept=(404,))
        if response.status_code == 404:
            return
        if part_of(response.json()["trunk"].get("description"), cluster_uid) is None:
            raise external(ErrorKind.CONFLICT, f"trunk {trunk_id} of a port of the cluster was made by somebody else, who has to delete it")
        self._delete_neutron("trunks", "trunk", trunk_id)

    def set_port_security_groups(self, port_id: str, security_group_ids: tuple[str, ...]) -> None:
        """Replace the security groups of a port, in use or not."""
        self._update_neutron("ports", "port", port_id, f"set the security groups of port {port_id}", {"security_groups": list(security_group_ids)})

    def adopt_port(self, port_id: str, description: str, security_group_ids: tuple[str, ...]) -> None:
        """Replace description and security groups of a port, in use or not, in one write."""
        fields: Json = {"description": description, "security_groups": list(security_group_ids)}
        self._update_neutron("ports", "port", port_id, f"make port {port_id} that of another slot", fields)

    def create_floating_ip(self, external_network_id: str, description: str, port_id: str | None) -> FloatingIP:
        """A new address, bound to the port where one is given."""
        fields: Json = {"floating_network_id": external_network_id, "description": description}
        item = self._create_item("floatingips", "floatingip", fields if port_id is None else {**fields, "port_id": port_id})
        return convert.floating_ip(item)

    def associate_floating_ip(self, floating_ip_id: str, port_id: str | None) -> None:
        """Bind to a port, or to none."""
        self._update_neutron("floatingips", "floatingip", floating_ip_id, f"associate floating IP {floating_ip_id}", {"port_id": port_id})

    def get_floating_ip(self, floating_ip_id: str) -> FloatingIP:
        """See `ports.compute.Cloud`."""
        what = f"get floating IP {floating_ip_id}"
        body = self._api.call_json("network", "GET", f"/floatingips/{floating_ip_id}", operation="network.floatingip.get", what=what, effect=Effect.READ)
        return convert.floating_ip(body["floatingip"])

    def release_floating_ip(self, floating_ip_id: str, *, keep_port: bool) -> None:
        """See `ports.compute.Cloud`."""
        fields: Json = {"description": ""} if keep_port else {"description": "", "port_id": None}
        self._update_neutron("floatingips", "floatingip", floating_ip_id, f"release floating IP {floating_ip_id}", fields, accept=(404,))

    def delete_floating_ip(self, floating_ip_id: str) -> None:
        """Already gone is no error."""
        self._delete_neutron("floatingips", "floatingip", floating_ip_id)

    def delete_port(self, port_id: str) -> None:
        """Already gone is no error."""
        self._delete_neutron("ports", "port", port_id)

    def delete_network(self, network_id: str) -> None:
        """Already gone is no error; CONFLICT while in use."""
        self._delete_neutron("networks", "network", network_id)

    def delete_subnet(self, subnet_id: str) -> None:
        """Already gone is no error; CONFLICT while in use."""
        self._delete_neutron("subnets", "subnet", subnet_id)

    def delete_router(self, router_id: str) -> None:
        """Already gone is no error; CONFLICT while in use."""
        self._delete_neutron("routers", "router", router_id)

    def delete_security_group(self, group_id: str) -> None:
        """Already gone is no error; CONFLICT while in use."""
        self._delete_neutron("security-groups", "security_group", group_id)

    def _fetch_project(self) -> _Project:
        scope = self._scope()
        return _Project(
            *(
                self._list(collection, scope, f"list {collection}")
                for collection in ("networks", "subnets", "routers", "security-groups", "floatingips", "ports")
            )
        )

    def _router_ports(self, router_ids: list[str]) -> list[Json]:
        found: list[Json] = []
        for at in range(0, len(router_ids), 50):  # keeps the URL short
            found += self._list("ports", {"device_id": router_ids[at : at + 50]}, "list router interfaces")
        return [item for item in found if item.get("device_owner") in convert.ROUTER_INTERFACE_OWNERS]

    def _scope(self) -> dict[str, str]:
        """With an admin's token Neutron lists all projects unless asked for one."""
        project = self._api.project_id()
        return {"project_id": project} if project else {}

    def _list(self, collection: str, params: Params, what: str) -> list[Json]:
        key = collection.replace("-", "_")
        return self._api.list_all("network", f"/{collection}", key, operation=f"network.{key.rstrip('s')}.list", what=what, params=params)

    def _create(self, collection: str, key: str, fields: Json) -> str:
        return str(self._create_item(collection, key, fields)["id"])

    def _create_item(self, collection: str, key: str, fields: Json) -> Json:
        name = fields.get("name", "")
        what = f"create {key.replace('_', ' ')} {name}".strip()
        try:
            body = self._api.call_json(
                "network", "POST", f"/{collection}", operation=f"network.{key}.create", what=what, effect=Effect.CREATE, json={key: fields}
            )
        finally:
            self._project.invalidate()
        item: Any = body.get(key)
        if not isinstance(item, dict) or "id" not in item:
            raise external(ErrorKind.AMBIGUOUS, f"{what}: the answer holds no id")
        return item

    def _update_neutron(self, collection: str, key: str, object_id: str, what: str, fields: Json, accept: Collection[int] = ()) -> None:
        self._api.call(
            "network",
            "PUT",
            f"/{collection}/{object_id}",
            operation=f"network.{key}.update",
            what=what,
            effect=Effect.WRITE,
            json={key: fields},
            accept=accept,
        )
        self._project.invalidate()

    def _delete_neutron(self, collection: str, key: str, object_id: str) -> None:
        self._api.call(
            "network",
            "DELETE",
            f"/{collection}/{object_id}",
            operation=f"network.{key}.delete",
            what=f"delete {key.replace('_', ' ')} {object_id}",
            effect=Effect.WRITE,
            accept=(404,),
        )
        self._project.invalidate()


class _Project:
    """Raw listings of one project."""

    def __init__(
        self, networks: list[Json], subnets: list[Json], routers: list[Json], security_groups: list[Json], floating_ips: list[Json], ports: list[Json]
    ) -> None:
        self.networks = networks
        self.subnets = subnets
        self.routers = routers
        self.security_groups = security_groups
        self.floating_ips = floating_ips
        self.ports = ports
