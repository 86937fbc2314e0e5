"""Where the servers of a SwarmCluster are: network, security groups, external network."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_TYPE, ApiModel, Cidr, ResourceRef, cel, schema_extra

DEFAULT_CIDR: Final = "10.20.0.0/24"


class ManagedNetwork(ApiModel):
    """A network and subnet, and a router unless one is named, that the operator makes for this cluster and removes with it."""

    cidr: Cidr = Field(default=DEFAULT_CIDR, description="Subnet of the servers.")
    dns_nameservers: list[Annotated[str, Field(max_length=45)]] = Field(default_factory=list, max_length=5, description="DNS servers given to the subnet.")
    mtu: Annotated[int, Field(ge=576, le=9216)] | None = Field(default=None, description="MTU of the network; the cloud's default when absent.")
    router: ResourceRef | None = Field(
        default=None,
        description="A router of the project that exists: the subnet is connected to it, and disconnected at the end; nothing else of it is changed. Without one a router is made.",
    )


class ExistingNetwork(ApiModel):
    """A network that exists already; the operator never changes or removes it."""

    network: ResourceRef = Field(description="The network.")
    subnet: ResourceRef | None = Field(
        default=None, description="The subnet to take fixed addresses from, through a port made for each machine; the choice is the cloud's when absent."
    )


class NetworkSpec(ApiModel):
    """The network that the servers are on: exactly one of managed and existing (managed when neither is given)."""

    model_config = ConfigDict(json_schema_extra=schema_extra(cel("!(has(self.managed) && has(self.existing))", "must not set both `managed` and `existing`")))

    managed: ManagedNetwork | None = Field(default=None, description="Make a network for this cluster.")
    existing: ExistingNetwork | None = Field(default=None, description="Use a network that exists.")
    external: ResourceRef | None = Field(
        default=None, description="External network for floating IPs and the managed router's gateway; the project's only external network when absent."
    )


class ManagedSecurityGroup(ApiModel):
    """The security groups that the operator makes, one for all machines and one more for managers: rules between members, and from the operator."""

    operator_cidrs: list[Cidr] = Field(
        default_factory=lambda: ["0.0.0.0/0"],
        min_length=1,
        max_length=16,
        description="Where ssh and the Docker API (2376, TLS) of managers are allowed from; workers' ssh is open to managers only.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    published_ports: list[Annotated[str, Field(max_length=15, pattern=r"^(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?$")]] = Field(
        default_factory=list,
        max_length=64,
        description="Ports opened to everyone, as tcp/80 or udp/30000-32767.",
        json_schema_extra={LIST_TYPE: "set"},
    )


class SecurityGroupsSpec(ApiModel):
    """Security groups of the servers: exactly one of managed and existing (managed when neither is given)."""

    model_config = ConfigDict(json_schema_extra=schema_extra(cel("!(has(self.managed) && has(self.existing))", "must not set both `managed` and `existing`")))

    managed: ManagedSecurityGroup | None = Field(default=None, description="Make security groups for this cluster.")
    existing: list[ResourceRef] | None = Field(default=None, min_length=1, max_length=8, description="Use groups that exist; they must allow what swarm needs.")
