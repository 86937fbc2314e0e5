"""What the domain needs of a cloud. Every method may raise `ExternalError` (system "openstack"). Lists are complete or raise: never partial."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from swarm_operator.api.base import ResourceRef
from swarm_operator.domain.cloud import (
    CredentialExpiry,
    FlavorSize,
    FloatingIP,
    Image,
    ImageRequest,
    KeyPair,
    Network,
    OwnedNetworking,
    Port,
    PortRequest,
    ReferenceKind,
    SecurityRule,
    Server,
    ServerGroup,
    ServerRequest,
    Subnet,
    Volume,
    VolumeRequest,
)
from swarm_operator.domain.quota import Usage


class Cloud(Protocol):
    """One project of one OpenStack cloud, by one set of credentials."""

    def check_credentials(self) -> None:
        """Get (or reuse) a token. Raises UNAUTHORIZED, UNREACHABLE or TRANSIENT."""

    def credential_expiry(self) -> CredentialExpiry:
        """What Keystone says of the credentials' end; remembered for some minutes. FORBIDDEN or NOT_FOUND where it does not tell."""

    def resolve(self, kind: ReferenceKind, ref: ResourceRef | None) -> str:
        """The id of the one object that `ref` names (None: the only external network). Raises NOT_FOUND with reason ReferenceNotFound or INVALID with
        reason ReferenceAmbiguous; the message names the reference. Cached for a minute where found."""

    # Nova
    def list_servers(self, cluster_uid: str, *, fresh: bool = False) -> tuple[Server, ...]:
        """All servers whose metadata names the cluster. Served from one cached `GET /servers/detail` per credential unless `fresh`."""

    def find_servers_by_name(self, name: str) -> tuple[Server, ...]:
        """Servers of exactly that name, whoever owns them."""

    def create_server(self, request: ServerRequest) -> str:
        """POST /servers; the id. Nothing follows the POST. AMBIGUOUS when the answer was lost."""

    def delete_server(self, server_id: str) -> None:
        """DELETE; already gone is no error."""

    def update_server_metadata(self, server_id: str, values: dict[str, str]) -> None:
        """Set metadata keys."""

    def add_server_tags(self, server_id: str, tags: Sequence[str]) -> None:
        """Put tags on; others stay, and one that is there is no error."""

    def delete_server_metadata(self, server_id: str, keys: Sequence[str]) -> None:
        """Delete metadata keys; missing ones are no error."""

    def start_server(self, server_id: str) -> None:
        """Start one that is SHUTOFF. CONFLICT when it is in a state that forbids it."""

    def reboot_server(self, server_id: str, *, hard: bool) -> None:
        """Soft: by the guest's own means. Hard: as a reset button; starts one that is off. CONFLICT when it is in a state that forbids it."""

    def rebuild_server(self, server_id: str, image_id: str) -> None:
        """A new root disk from the image; id, ports, addresses, volumes, metadata and user data stay. CONFLICT when it is in a state that forbids it."""

    def console_output(self, server_id: str) -> str:
        """The console log, as far as Nova keeps it."""

    def list_owned_keypairs(self, cluster_uid: str) -> tuple[KeyPair, ...]:
        """Those of our user whose name says that they are the cluster's (`ownership.is_own_keypair`)."""

    def get_keypair(self, name: str) -> KeyPair | None: ...
    def create_keypair(self, name: str, public_key: str) -> None: ...
    def delete_keypair(self, name: str) -> None: ...

    def list_server_groups(self, cluster_uid: str) -> tuple[ServerGroup, ...]:
        """All server groups whose name holds the cluster's UID."""

    def create_server_group(self, name: str, policy: str) -> str:
        """The id. `policy` is Nova's word. Names are not unique in Nova."""

    def delete_server_group(self, group_id: str) -> None:
        """Already gone is no error; servers in it stay."""

    # Quotas: by the names of `domain.quota`; what the cloud has no limit or no figure for may be missing
    def get_flavor_size(self, flavor_id: str) -> FlavorSize: ...
    def get_compute_usage(self) -> dict[str, Usage]: ...
    def get_network_usage(self) -> dict[str, Usage]: ...
    def get_volume_usage(self) -> dict[str, Usage]: ...

    # Glance
    def list_owned_images(self, cluster_uid: str) -> tuple[Image, ...]:
        """All images of the project whose properties name the cluster, in any state. It says nothing of who made them: see `ownership.part_of_image`."""

    def create_server_image(self, server_id: str, name: str, properties: dict[str, str]) -> str:
        """Have Nova save the disk of a server as an image with these properties; the image's id, at once: it is saved in the background. CONFLICT while the server is
        busy with something else."""

    def create_image(self, request: ImageRequest) -> str:
        """An image without content (Glance: queued); the id. Nothing follows the POST."""

    def upload_image(self, image_id: str, chunks: Iterator[bytes]) -> None:
        """Send the content. What `chunks` raises is raised, and the image stays without content. CONFLICT when it has content, or is receiving it."""

    def download_image(self, image_id: str) -> Iterator[bytes]:
        """The content, piece by piece. NOT_FOUND where there is none; TRANSIENT where it breaks off."""

    def image_import_methods(self) -> frozenset[str]:
        """Ways of import that Glance offers; empty where it has none."""

    def import_image(self, image_id: str, url: str) -> None:
        """Have Glance fetch the content by `web-download`, in the background. INVALID or FORBIDDEN where it does not fetch from there."""

    def set_image_property(self, image_id: str, name: str, value: str) -> None: ...
    def delete_image(self, image_id: str) -> None:
        """Already gone is no error. CONFLICT while the cloud needs it, FORBIDDEN where it is protected."""

    # Cinder
    def list_owned_volumes(self, cluster_uid: str) -> tuple[Volume, ...]:
        """All volumes whose metadata names the cluster; raises where the cloud has no Cinder."""

    def create_volume(self, request: VolumeRequest) -> str:
        """POST /volumes; the id. Nothing follows the POST. AMBIGUOUS when the answer was lost."""

    def attach_volume(self, server_id: str, volume_id: str) -> None:
        """Through Nova. INVALID or CONFLICT where it is attached already or the server is in a state that forbids it."""

    def extend_volume(self, volume_id: str, size_gib: int) -> None:
        """Grow it, in use or not (Block Storage API 3.42). Where it is in use Nova tells the guest's kernel. INVALID where it is as large already."""

    def update_volume_metadata(self, volume_id: str, values: dict[str, str]) -> None:
        """Set metadata keys; others stay."""

    def delete_volume(self, volume_id: str) -> None:
        """Already gone is no error; INVALID or CONFLICT while in use."""

    # Neutron
    def list_owned_networking(self, cluster_uid: str, addresses: Collection[str] = ()) -> OwnedNetworking:
        """Everything in Neutron whose description names the cluster, and of the project's floating IPs those with these `addresses`."""

    def get_network(self, network_id: str) -> Network: ...
    def get_subnets(self, network_id: str) -> tuple[Subnet, ...]: ...
    def list_ports(self, *, device_id: str | None = None, network_id: str | None = None) -> tuple[Port, ...]: ...
    def create_network(self, name: str, description: str, mtu: int | None) -> str: ...
    def create_subnet(self, name: str, description: str, network_id: str, cidr: str, dns: Sequence[str]) -> str: ...
    def create_router(self, name: str, description: str, external_network_id: str) -> str: ...
    def add_router_interface(self, router_id: str, subnet_id: str) -> None: ...
    def remove_router_interface(self, router_id: str, subnet_id: str) -> None: ...
    def create_security_group(self, name: str, description: str) -> str: ...
    def create_security_rule(self, group_id: str, rule: SecurityRule) -> str: ...
    def delete_security_rule(self, rule_id: str) -> None: ...
    def create_port(self, request: PortRequest) -> str:
        """A port; the id. Tags can't be given with it everywhere, and are set apart."""

    def set_port_tags(self, port_id: str, tags: Sequence[str]) -> None:
        """Replace all tags of a port."""

    def create_trunk(self, name: str, description: str, port_id: str) -> str:
        """A trunk without subports; the id. CONFLICT where the port is in use, or in a trunk already."""

    def delete_trunk(self, trunk_id: str, cluster_uid: str) -> None:
        """Already gone is no error. CONFLICT where its description does not name the cluster: it is somebody else's."""

    def set_port_security_groups(self, port_id: str, security_group_ids: tuple[str, ...]) -> None:
        """Replace the security groups of a port."""

    def adopt_port(self, port_id: str, description: str, security_group_ids: tuple[str, ...]) -> None:
        """Replace description and security groups of a port, in use or not, in one write."""

    def create_floating_ip(self, external_network_id: str, description: str, port_id: str | None) -> FloatingIP: ...
    def associate_floating_ip(self, floating_ip_id: str, port_id: str | None) -> None: ...
    def get_floating_ip(self, floating_ip_id: str) -> FloatingIP:
        """As it is now; NOT_FOUND where there is none."""

    def release_floating_ip(self, floating_ip_id: str, *, keep_port: bool) -> None:
        """Empty its description, so that it is nobody's; in the same call take it off its port unless `keep_port`. Already gone is no error."""

    def delete_floating_ip(self, floating_ip_id: str) -> None: ...
    def delete_port(self, port_id: str) -> None: ...
    def delete_network(self, network_id: str) -> None: ...
    def delete_subnet(self, subnet_id: str) -> None: ...
    def delete_router(self, router_id: str) -> None: ...
    def delete_security_group(self, group_id: str) -> None: ...


class Clouds(Protocol):
    """Gives the Cloud for a set of credentials; connections and tokens are shared per credential."""

    def open(self, clouds_yaml: bytes, cloud_name: str, cacert: bytes | None) -> Cloud:
        """Raises INVALID with reason CloudNotFound or CredentialsMalformed; makes no call yet."""
