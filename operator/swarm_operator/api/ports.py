"""Neutron ports of a machine: the first is the one that the swarm uses, further ones are for other networks. Names of fields as Cluster API's provider for OpenStack has them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, IPv4Address, IPv4AddressOrCidr, ResourceRef, Tag, cel, schema_extra

PORT_FIELDS_OF_OURS: Final = (
    "name",
    "description",
    "network_id",
    "fixed_ips",
    "security_groups",
    "port_security_enabled",
    "allowed_address_pairs",
    "device_id",
    "device_owner",
    "project_id",
    "tenant_id",
    "tags",
    "binding:vnic_type",
    "binding:profile",
)
"""Fields of a Neutron port that the operator sets, or Nova does: `valueSpecs` must not."""


class FixedIPSpec(ApiModel):
    """A fixed address of a port: of a subnet, or this one."""

    model_config = ConfigDict(json_schema_extra=schema_extra(cel("has(self.subnet) || has(self.ipAddress)", "must set `subnet` or `ipAddress`, or both")))

    subnet: ResourceRef | None = Field(default=None, description="Subnet that the address is of.")
    ip_address: IPv4Address | None = Field(
        default=None, alias="ipAddress", description="The address. Only where there is one machine of the kind: it can't be on two ports."
    )


class AddressPairSpec(ApiModel):
    """An address besides its own that a port may send from."""

    ip_address: IPv4AddressOrCidr = Field(alias="ipAddress", description="IPv4 address or network.")
    mac_address: Annotated[str, Field(max_length=17, pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$")] | None = Field(
        default=None, description="MAC address; the port's own when absent."
    )


class BindingProfile(ApiModel):
    """What the host's network card is asked for; most clouds let only administrators set it."""

    ovs_hw_offload: bool = Field(default=False, alias="ovsHWOffload", description="Offload of Open vSwitch to the card (capability `switchdev`).")
    trusted_vf: bool = Field(default=False, alias="trustedVF", description="Let the virtual function change its MAC address and receive everything.")


class ValueSpec(ApiModel):
    """A further field of the Neutron port, for extensions that the operator does not know."""

    key: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="Name of the field.",
        json_schema_extra=schema_extra(cel(f"!(self in {list(PORT_FIELDS_OF_OURS)})", "must not be a field that the operator or Nova sets")),
    )
    value: Annotated[str, Field(max_length=255)] = Field(description="Its value.")


class PortSpec(ApiModel):
    """One port of each machine."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel(
                "!has(self.portSecurity) || self.portSecurity == 'Enabled' || !has(self.allowedAddressPairs) || self.allowedAddressPairs.size() == 0",
                "`allowedAddressPairs` have no use with `portSecurity: Disabled`",
                fieldPath=".allowedAddressPairs",
            ),
            cel(
                "!has(self.portSecurity) || self.portSecurity == 'Enabled' || !has(self.securityGroups) || self.securityGroups.size() == 0",
                "`securityGroups` can't be with `portSecurity: Disabled`",
                fieldPath=".securityGroups",
            ),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        description="Name of the port among those of a machine. A further port of another name is another port."
    )
    network: ResourceRef | None = Field(
        default=None, description="Network of a further port; that of spec.network when absent. The first port is always on spec.network."
    )
    fixed_ips: list[FixedIPSpec] = Field(
        default_factory=list, max_length=4, alias="fixedIPs", description="Fixed addresses; one of the cloud's choice when empty. The first is the port's own."
    )
    vnic_type: (
        Literal["normal", "direct", "direct-physical", "macvtap", "baremetal", "virtio-forwarder", "smart-nic", "vdpa", "remote-managed", "accelerator-direct"]
        | None
    ) = Field(default=None, description="Kind of the interface (Neutron's binding:vnic_type); the cloud's default when absent.")
    port_security: Literal["Enabled", "Disabled"] | None = Field(
        default=None, description="Whether only the port's own addresses may be used and security groups hold; as the network says when absent."
    )
    security_groups: list[ResourceRef] | None = Field(
        default=None,
        max_length=16,
        description="Security groups. On the first port besides the cluster's, which the swarm needs; on a further one instead of the cluster's.",
    )
    allowed_address_pairs: list[AddressPairSpec] = Field(
        default_factory=list, max_length=16, description="Further addresses that may be used on the port, such as a virtual address that moves among machines."
    )
    profile: BindingProfile | None = Field(default=None, description="Demands on the host's network card.")
    value_specs: list[ValueSpec] = Field(
        default_factory=list,
        max_length=8,
        description="Further fields of the Neutron port.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["key"]},
    )
    tags: list[Tag] = Field(
        default_factory=list,
        max_length=16,
        description="Tags. New ones are put on ports that exist; tags of others stay.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    trunk: bool = Field(default=False, description="Make the port the parent of a Neutron trunk, which subports can be added to.")


Ports = Annotated[list[PortSpec], Field(max_length=8)]
PORTS: Final = schema_extra(
    cel("self.size() == 0 || !has(self[0].network)", "the first port is on spec.network: `network` is for further ports"),
    **{LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
)


def ports_rule(replicas: str) -> dict[str, str]:
    """CEL rule of what has `machine` and a number of machines, `replicas`: an address can't be on two ports."""
    alone = "self.machine.ports.all(p, !has(p.fixedIPs) || p.fixedIPs.all(f, !has(f.ipAddress)))"
    return cel(
        f"{replicas} <= 1 || !has(self.machine) || !has(self.machine.ports) || {alone}",
        "`machine.ports[].fixedIPs[].ipAddress` needs a single machine: an address can't be on two ports",
        fieldPath=".machine.ports",
    )


COMMON_PORTS_RULE: Final = cel(
    "!has(self.ports) || self.ports.all(p, !has(p.fixedIPs) || p.fixedIPs.all(f, !has(f.ipAddress)))",
    "`fixedIPs[].ipAddress` belongs into the `machine` of managers or of a pool: an address can't be on two ports",
    fieldPath=".ports",
)


def has_own_address(ports: list[PortSpec]) -> bool:
    """Whether a machine has an address that the spec names, and so can't be there twice."""
    return any(address.ip_address is not None for port in ports for address in port.fixed_ips)
