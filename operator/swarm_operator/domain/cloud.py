"""OpenStack objects as the domain sees them: the few fields that decisions need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Server:
    """A Nova server. `status` is Nova's (BUILD, ACTIVE, ERROR, SHUTOFF, REBOOT, DELETED, SOFT_DELETED, ...); `fault` is fault.message of a failed one.

    `fixed` and `floating` are IPv4 addresses by network name order of Nova's `addresses`; `created` is RFC 3339 UTC.
    """

    id: str
    name: str
    status: str
    metadata: dict[str, str] = field(repr=False)  # with join=Metadata it holds a join token for a while: never printed
    created: str
    task_state: str | None = None
    fault: str | None = None
    fixed: tuple[str, ...] = ()
    floating: tuple[str, ...] = ()
    image_id: str | None = None
    flavor: str | None = None
    security_groups: tuple[str, ...] = ()
    availability_zone: str | None = None
    host_id: str | None = None
    """Nova's hostId: equal for servers of one project on one host; None until a host was chosen."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerRequest:
    """A server to create. `security_groups` and `network_id` are ids; `user_data` is plain text (the adapter encodes it)."""

    name: str
    flavor_id: str
    image_id: str
    network_id: str
    key_name: str
    security_groups: tuple[str, ...]
    metadata: dict[str, str] = field(repr=False)
    user_data: str = field(repr=False)
    config_drive: bool = False
    availability_zone: str | None = None
    server_group_id: str | None = None
    port_id: str | None = None
    """A port made before: the server gets it instead of one that Nova makes on `network_id`; its security groups are the port's, and Nova leaves it when the server goes."""
    further_port_ids: tuple[str, ...] = ()
    """Ports made before, beside `port_id`: further interfaces, in this order."""
    tags: tuple[str, ...] = ()
    root_volume: RootVolume | None = None


@dataclass(frozen=True)
class Port:
    """A Neutron port; `device_id` is the server's id for a server port."""

    id: str
    network_id: str
    device_id: str
    device_owner: str
    fixed_ips: tuple[str, ...]
    description: str = ""
    security_group_ids: tuple[str, ...] = ()
    secured: bool = True
    """Port security is on: without it no security group can be on the port."""
    tags: tuple[str, ...] = ()
    trunk_id: str | None = None
    """Of the trunk that it is the parent of."""


@dataclass(frozen=True)
class PortRequest:
    """A port to create. `subnet_id` None: Neutron takes an address from any subnet of the network, or what `fixed_ips` (subnet's id, address; one may be None) say.
    `secured` None: as the network says. `address_pairs`: (address or network, MAC address or None). `extra`: further fields, those above go before."""

    name: str
    description: str
    network_id: str
    subnet_id: str | None
    security_group_ids: tuple[str, ...]
    fixed_ips: tuple[tuple[str | None, str | None], ...] = ()
    secured: bool | None = None
    vnic_type: str | None = None
    address_pairs: tuple[tuple[str, str | None], ...] = ()
    profile: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FlavorSize:
    """What a server of a flavor takes; `ram` in MiB."""

    vcpus: int
    ram: int


@dataclass(frozen=True)
class Volume:
    """A Cinder volume; `status` is Cinder's (available, in-use, deleting, ...), `attached_to` are ids of servers, `created` is RFC 3339 UTC."""

    id: str
    name: str
    status: str
    size_gib: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    attached_to: tuple[str, ...] = ()
    created: str = ""


@dataclass(frozen=True)
class VolumeRequest:
    """A volume to create. `image_id`: a bootable one with the image's content."""

    name: str
    size_gib: int
    metadata: dict[str, str]
    type: str | None = None
    availability_zone: str | None = None
    image_id: str | None = None


@dataclass(frozen=True)
class RootVolume:
    """The root disk of a server as a volume that goes with the server: `volume_id` was made before, or Nova makes one of `size_gib` from the server's image."""

    size_gib: int
    type: str | None = None
    volume_id: str | None = None


@dataclass(frozen=True)
class Image:
    """A Glance image. `status` is Glance's (queued, saving, importing, active, killed, deactivated, ...); `properties` are the additional ones; `created` is RFC 3339 UTC."""

    id: str
    name: str
    status: str
    created: str
    properties: dict[str, str] = field(default_factory=dict)
    checksum: str | None = None
    """As Glance computed it, `sha512:...` or another algorithm."""


@dataclass(frozen=True)
class ImageRequest:
    """An image to create, without content yet; `disk_format` is Glance's."""

    name: str
    disk_format: str
    properties: dict[str, str]


@dataclass(frozen=True)
class FloatingIP:
    """A Neutron floating IP; `port_id` is None while it is not associated."""

    id: str
    address: str
    port_id: str | None
    description: str


@dataclass(frozen=True)
class SecurityRule:
    """One ingress rule, IPv4. Its source: `remote_cidr`, or the members of the same group (`remote_self`) or of another (`remote_group_id`), or anybody. Ports None: all."""

    protocol: str
    port_min: int | None
    port_max: int | None
    remote_cidr: str | None = None
    remote_self: bool = False
    remote_group_id: str | None = None


@dataclass(frozen=True)
class SecurityGroup:
    """A Neutron security group with its ingress IPv4 rules, each by its id."""

    id: str
    name: str
    description: str
    rules: dict[str, SecurityRule] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A Neutron network."""

    id: str
    name: str
    description: str
    external: bool = False
    subnet_ids: tuple[str, ...] = ()
    mtu: int | None = None


@dataclass(frozen=True)
class Subnet:
    """A Neutron subnet."""

    id: str
    name: str
    description: str
    network_id: str
    cidr: str
    gateway_ip: str | None = None


@dataclass(frozen=True)
class Router:
    """A Neutron router; `subnet_ids` are those it has an interface in."""

    id: str
    name: str
    description: str
    external_network_id: str | None
    subnet_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyPair:
    """A Nova key pair; `public_key` in OpenSSH form."""

    name: str
    public_key: str


@dataclass(frozen=True)
class ServerGroup:
    """A Nova server group; `policy` is Nova's word (soft-anti-affinity, ...), `members` are ids of servers that are not deleted."""

    id: str
    name: str
    policy: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnedNetworking:
    """Everything in Neutron whose description names one cluster, from one complete set of listings."""

    networks: tuple[Network, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    routers: tuple[Router, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    floating_ips: tuple[FloatingIP, ...] = ()
    ports: tuple[Port, ...] = ()
    other_floating_ips: tuple[FloatingIP, ...] = ()
    """Of the project, whose description does not name the cluster: those that were asked for by address, and those on `ports`. Never the cluster's to delete."""
    other_routers: tuple[Router, ...] = ()
    """Of the project, whose description does not name the cluster, with an interface in one of `subnets`, which are all that is in `subnet_ids`. Never the cluster's to delete."""


ReferenceKind = Literal["flavor", "image", "network", "subnet", "security group", "external network", "router", "key pair", "server group"]


@dataclass(frozen=True)
class CredentialExpiry:
    """What Keystone says of the credentials in use. `expires_at` is RFC 3339, None where they do not expire."""

    kind: Literal["ApplicationCredential", "Password"]
    id: str
    expires_at: str | None
