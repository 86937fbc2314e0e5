"""One OpenStack project."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simulator.images import SimImages
from swarm_operator.api.base import ResourceRef
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import (
    CredentialExpiry,
    FlavorSize,
    FloatingIP,
    KeyPair,
    Network,
    OwnedNetworking,
    Port,
    PortRequest,
    ReferenceKind,
    Router,
    SecurityGroup,
    SecurityRule,
    Server,
    ServerGroup,
    ServerRequest,
    Subnet,
    Volume,
    VolumeRequest,
)
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import CLUSTER_UID, is_own_keypair, part_of, server_group_prefix
from swarm_operator.domain.quota import CORES, FLOATING_IP, GIGABYTES, PORT, SERVER_GROUP, SERVER_GROUP_MEMBERS, Usage

if TYPE_CHECKING:
    from simulator.world import World

BUILD_SECONDS = 3.0
PLACED_SECONDS = 0.5
"""After that Nova shows the host, and the scheduler counts it."""
NO_HOST = "No valid host was found. There are not enough hosts available."
HOSTS = 4
"""In each zone."""
BOOT_SECONDS = 4.0
DELETE_SECONDS = 3.0
CACHE_SECONDS = 1.5
VOLUME_SECONDS = 2.0
"""How long Cinder takes for anything."""


@dataclass
class SimServer:
    """Times are monotonic seconds. `fail_with`: the build ends in ERROR with this text."""

    id: str
    request: ServerRequest
    created: str
    started: float
    address: str
    metadata: dict[str, str]
    fail_with: str | None = None
    deleted_at: float | None = None
    host: str = ""
    off: bool = False
    tags: set[str] = field(default_factory=set)
    """Those that were put on later."""
    rebuilt: int = 0
    """How often its disk was made anew."""


@dataclass
class SimDisk:
    """What is on a volume. `signature`: type and UUID of a file system, or something else."""

    signature: tuple[str, str] | None = None
    content: dict[str, str] = field(default_factory=dict)
    file_system_gib: int = 0
    became: float = 0.0
    """Since when Cinder has been busy with it."""


def port_id(server: SimServer) -> str:
    """The port it was made with, or the one that Nova made."""
    return server.request.port_id or f"port-{server.id}"


def port_ids(server: SimServer) -> tuple[str, ...]:
    """All that it was made with."""
    return (*((server.request.port_id,) if server.request.port_id is not None else ()), *server.request.further_port_ids)


@dataclass(kw_only=True)
class SimCloud(SimImages):
    world: World
    servers: dict[str, SimServer] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    routers: dict[str, Router] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    floating_ips: dict[str, FloatingIP] = field(default_factory=dict)
    ports: dict[str, Port] = field(default_factory=dict)
    """Those that were made apart from a server."""
    asked_ports: dict[str, PortRequest] = field(default_factory=dict)
    """By id, how they were asked for."""
    trunks: dict[str, str] = field(default_factory=dict)
    """Descriptions by id."""
    has_trunks: bool = True
    port_limit: int | None = None
    subnet_full: bool = False
    keypairs: dict[str, KeyPair] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    """All of them carry the cluster's UID."""
    disks: dict[str, SimDisk] = field(default_factory=dict)
    gigabytes: int | None = None
    created_volumes: int = 0
    server_groups: dict[str, ServerGroup] = field(default_factory=dict)
    full_zones: set[str] = field(default_factory=set)
    full_flavors: set[str] = field(default_factory=set)
    """Names of zones, and ids of flavors, for which there is no host."""
    group_limit: int | None = None
    member_limit: int | None = None
    cores: int | None = None
    floating_limit: int | None = None
    """Quotas."""
    expiry: CredentialExpiry | ExternalError = field(default_factory=lambda: CredentialExpiry("ApplicationCredential", "app-1", None))
    refuse_volume_deletes: bool = False
    missing: set[str] = field(default_factory=set)
    build_fault: str | None = None
    bad_images: set[str] = field(default_factory=set)
    """Ids of images whose servers never come up."""
    created_servers: int = 0
    writes: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _addresses: itertools.count[int] = field(default_factory=lambda: itertools.count(10))
    _cache: tuple[float, tuple[Server, ...]] | None = None

    def _id(self, kind: str) -> str:
        self.writes += 1
        return f"{kind}-{next(self._numbers):04d}"

    # --- time

    def tick(self) -> None:
        self.tick_images()
        now = self.world.clock.monotonic()
        for volume in list(self.volumes.values()):
            after = {"creating": "available", "attaching": "in-use", "extending": "in-use" if volume.attached_to else "available"}.get(volume.status)
            if after is not None and now - self.disks[volume.id].became >= VOLUME_SECONDS:
                self.volumes[volume.id] = replace(volume, status=after)
            elif volume.status == "deleting" and volume.id in self.disks and now - self.disks[volume.id].became >= VOLUME_SECONDS:
                del self.volumes[volume.id], self.disks[volume.id]
        for server in [s for s in self.servers.values() if s.deleted_at is not None and now >= s.deleted_at]:
            del self.servers[server.id]
            for volume in [v for v in self.volumes.values() if server.id in v.attached_to]:
                if server.request.root_volume is not None and server.request.root_volume.volume_id == volume.id:
                    del self.volumes[volume.id]
                else:
                    self.volumes[volume.id] = replace(volume, status="available", attached_to=())
            made = server.request.port_id in self.ports
            for port in port_ids(server):
                self.ports[port] = replace(self.ports[port], device_id="", device_owner="")
            for fip in [f for f in self.floating_ips.values() if f.port_id == port_id(server) and not made]:
                self.floating_ips[fip.id] = replace(fip, port_id=None)

    def status_of(self, server: SimServer) -> str:
        if self.world.clock.monotonic() - server.started < BUILD_SECONDS:
            return "REBUILD" if server.rebuilt else "BUILD"
        return "ERROR" if server.fail_with else "SHUTOFF" if server.off else "ACTIVE"

    def booted(self, server: SimServer) -> bool:
        return (
            server.request.image_id not in self.bad_images
            and self.status_of(server) == "ACTIVE"
            and self.world.clock.monotonic() - server.started >= BUILD_SECONDS + BOOT_SECONDS
        )

    # --- the port

    def check_credentials(self) -> None:
        return None

    def credential_expiry(self) -> CredentialExpiry:
        if isinstance(self.expiry, ExternalError):
            raise self.expiry
        return self.expiry

    def resolve(self, kind: ReferenceKind, ref: ResourceRef | None) -> str:
        name = str(ref) if ref is not None else "the external network"
        if ref is not None and (ref.name in self.missing or ref.id in self.missing):
            raise ExternalError(ErrorKind.NOT_FOUND, "openstack", f"no {kind} with {name}", reason=Reason.REFERENCE_NOT_FOUND)
        if ref is not None and ref.id in self.networks:
            return ref.id
        return f"{kind}:{ref.name or ref.id}" if ref is not None else "external"

    def _server(self, server: SimServer) -> Server:
        floating = tuple(f.address for f in self.floating_ips.values() if f.port_id == port_id(server))
        status = self.status_of(server)
        return Server(
            id=server.id,
            name=server.request.name,
            status=status,
            metadata=dict(server.metadata),
            created=server.created,
            task_state=self.task_state(server),
            image_id=server.request.image_id,
            fault=server.fail_with if status == "ERROR" else None,
            fixed=self._fixed(server) if status in ("ACTIVE", "SHUTOFF") else (),
            floating=floating,
            availability_zone=server.request.availability_zone,
            host_id=server.host if server.host and self.placed(server) else None,
            tags=tuple(sorted(server.tags | set(server.request.tags))),
        )

    def _fixed(self, server: SimServer) -> tuple[str, ...]:
        """Nova gives them by network, in no order that means anything: here the first port's are the last."""
        further = [a for port in reversed(server.request.further_port_ids) for a in self.ports[port].fixed_ips]
        return (*further, *(self.ports[server.request.port_id].fixed_ips if server.request.port_id in self.ports else (server.address,)))

    def placed(self, server: SimServer) -> bool:
        return self.world.clock.monotonic() - server.started >= PLACED_SECONDS

    def _schedule(self, request: ServerRequest) -> str:
        """As Nova's weigher of soft anti-affinity: the fewest members that are placed by now; the first host where all are equal. "" where there is none."""
        zone = request.availability_zone or "nova"
        if zone in self.full_zones or request.flavor_id in self.full_flavors:
            return ""
        hosts = [f"{zone}-host-{n}" for n in range(HOSTS)]
        if request.server_group_id is None:
            return hosts[0]
        members = [s for s in self.servers.values() if s.request.server_group_id == request.server_group_id and self.placed(s)]
        return min(hosts, key=lambda h: sum(s.host == h for s in members))

    def list_servers(self, cluster_uid: str, *, fresh: bool = False) -> tuple[Server, ...]:
        now = self.world.clock.monotonic()
        if fresh or self._cache is None or now - self._cache[0] >= CACHE_SECONDS:
            self._cache = (now, tuple(self._server(s) for s in self.servers.values()))
        return tuple(s for s in self._cache[1] if s.metadata.get(CLUSTER_UID) == cluster_uid)

    def find_servers_by_name(self, name: str) -> tuple[Server, ...]:
        return tuple(self._server(s) for s in self.servers.values() if s.request.name == name)

    def create_server(self, request: ServerRequest) -> str:
        assert request.network_id in self.networks and request.key_name in self.keypairs, request
        assert set(request.security_groups) <= self.groups.keys()
        assert "SWMTKN-1-" not in request.user_data
        assert request.image_id in self.images or not request.image_id.startswith("image-"), "no such image"
        assert request.image_id not in self.images or self.images[request.image_id].status == "active"
        port = self.ports.get(request.port_id) if request.port_id is not None else None
        asked = (*((request.port_id,) if request.port_id is not None else ()), *request.further_port_ids)
        for one in asked:
            if one not in self.ports or self.ports[one].device_id:
                raise ExternalError(ErrorKind.CONFLICT if one in self.ports else ErrorKind.INVALID, "openstack", "port not found or in use")
        assert request.server_group_id is None or request.server_group_id in self.server_groups
        host = self._schedule(request)
        server_id = self._id("server")
        for one in asked:
            self.ports[one] = replace(self.ports[one], device_id=server_id, device_owner="compute:nova")
        if request.root_volume is not None and request.root_volume.volume_id is not None:
            root = self.volumes[request.root_volume.volume_id]
            assert root.status == "available", root
            self.volumes[root.id] = replace(root, status="in-use", attached_to=(server_id,))
        now = self.world.clock
        self.created_servers += 1
        self.servers[server_id] = SimServer(
            server_id,
            request,
            times.stamp(now.now()),
            now.monotonic(),
            f"10.20.0.{self.created_servers + 9}" if port is None else port.fixed_ips[0],
            dict(request.metadata),
            self.build_fault if host else NO_HOST,
            host=host,
        )
        self.world.new_guest(self.servers[server_id])
        return server_id

    def delete_server(self, server_id: str) -> None:
        self.writes += 1
        server = self.servers.get(server_id)
        if server is not None and server.deleted_at is None:
            if not self.world.deleting_by_hand:
                self.world.check_quorum_without(server_id)
            server.deleted_at = self.world.clock.monotonic() + DELETE_SECONDS
            self.world.kill(server_id)

    def start_server(self, server_id: str) -> None:
        self.writes += 1
        server = self.servers[server_id]
        if not server.off:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "not in vm_state stopped")
        self._boot(server)

    def reboot_server(self, server_id: str, *, hard: bool) -> None:
        self.writes += 1
        if not self.servers[server_id].off:
            self.world.check_quorum_without(server_id)
        self._boot(self.servers[server_id])

    def rebuild_server(self, server_id: str, image_id: str) -> None:
        self.writes += 1
        server = self.servers[server_id]
        assert image_id == server.request.image_id
        self.world.check_quorum_without(server_id)
        server.off, server.started, server.rebuilt = False, self.world.clock.monotonic(), server.rebuilt + 1
        died = self.world.guests[server_id].died
        hopeless = self.world.guests[server_id].hopeless
        self.world.new_guest(server)
        self.world.guests[server_id].hopeless = hopeless
        self.world.guests[server_id].died = died if hopeless else None

    def _boot(self, server: SimServer) -> None:
        guest = self.world.guests[server.id]
        guest.mounts = {path: volume for path, volume in guest.fstab.items() if server.id in self.volumes[volume].attached_to}
        server.off, server.started = False, self.world.clock.monotonic() - BUILD_SECONDS
        if not guest.hopeless:
            guest.died = None
            guest.restart()

    def update_server_metadata(self, server_id: str, values: dict[str, str]) -> None:
        self.writes += 1
        self.servers[server_id].metadata.update(values)

    def add_server_tags(self, server_id: str, tags: Sequence[str]) -> None:
        self.writes += 1
        self.servers[server_id].tags |= set(tags)

    def delete_server_metadata(self, server_id: str, keys: Sequence[str]) -> None:
        self.writes += 1
        for key in keys:
            self.servers[server_id].metadata.pop(key, None)

    def console_output(self, server_id: str) -> str:
        server = self.servers[server_id]
        if not self.booted(server):
            return "booting\n"
        return f"-----BEGIN SSH HOST KEY KEYS-----\n{self.world.guests[server_id].host_key}\n-----END SSH HOST KEY KEYS-----\n"

    def list_owned_keypairs(self, cluster_uid: str) -> tuple[KeyPair, ...]:
        return tuple(k for k in self.keypairs.values() if is_own_keypair(k.name, cluster_uid))

    def get_keypair(self, name: str) -> KeyPair | None:
        return self.keypairs.get(name)

    def create_keypair(self, name: str, public_key: str) -> None:
        self.writes += 1
        if name in self.keypairs:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "key pair exists")
        self.keypairs[name] = KeyPair(name, public_key)

    def delete_keypair(self, name: str) -> None:
        self.writes += 1
        self.keypairs.pop(name, None)

    def get_flavor_size(self, flavor_id: str) -> FlavorSize:
        return FlavorSize(2, 2048)

    def get_compute_usage(self) -> dict[str, Usage]:
        usage = {CORES: Usage(2 * len(self.servers), self.cores), SERVER_GROUP: Usage(len(self.server_groups), self.group_limit)}
        return usage | {SERVER_GROUP_MEMBERS: Usage(0, self.member_limit)}

    def list_server_groups(self, cluster_uid: str) -> tuple[ServerGroup, ...]:
        groups = [g for g in self.server_groups.values() if g.name.startswith(server_group_prefix(cluster_uid))]
        return tuple(replace(g, members=tuple(s.id for s in self.servers.values() if s.request.server_group_id == g.id)) for g in groups)

    def create_server_group(self, name: str, policy: str) -> str:
        made = self._id("servergroup")
        self.server_groups[made] = ServerGroup(made, name, policy)
        return made

    def delete_server_group(self, group_id: str) -> None:
        self.writes += 1
        self.server_groups.pop(group_id, None)

    def get_network_usage(self) -> dict[str, Usage]:
        return {FLOATING_IP: Usage(len(self.floating_ips), self.floating_limit), PORT: Usage(len(self.ports), self.port_limit)}

    def list_owned_volumes(self, cluster_uid: str) -> tuple[Volume, ...]:
        return tuple(self.volumes.values())

    def get_volume_usage(self) -> dict[str, Usage]:
        return {GIGABYTES: Usage(sum(v.size_gib for v in self.volumes.values()), self.gigabytes)}

    def create_volume(self, request: VolumeRequest) -> str:
        made = self._id("volume")
        self.created_volumes += 1
        self.disks[made] = SimDisk(became=self.world.clock.monotonic())
        self.volumes[made] = Volume(made, request.name, "creating", request.size_gib, dict(request.metadata), created=times.stamp(self.world.clock.now()))
        return made

    def _busy(self, volume: Volume, status: str) -> None:
        self.disks[volume.id].became = self.world.clock.monotonic()
        self.volumes[volume.id] = replace(volume, status=status)

    def attach_volume(self, server_id: str, volume_id: str) -> None:
        self.writes += 1
        volume, server = self.volumes[volume_id], self.servers[server_id]
        if volume.status != "available" or self.status_of(server) != "ACTIVE" or server.deleted_at is not None:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", f"volume is {volume.status}, server is {self.status_of(server)}")
        self._busy(replace(volume, attached_to=(server_id,)), "attaching")

    def extend_volume(self, volume_id: str, size_gib: int) -> None:
        self.writes += 1
        volume = self.volumes[volume_id]
        if volume.size_gib >= size_gib or volume.status not in ("available", "in-use"):
            raise ExternalError(ErrorKind.INVALID, "openstack", "new size must be greater")
        self._busy(replace(volume, size_gib=size_gib), "extending")

    def update_volume_metadata(self, volume_id: str, values: dict[str, str]) -> None:
        self.writes += 1
        self.volumes[volume_id] = replace(self.volumes[volume_id], metadata={**self.volumes[volume_id].metadata, **values})

    def delete_volume(self, volume_id: str) -> None:
        self.writes += 1
        volume = self.volumes.get(volume_id)
        if self.refuse_volume_deletes or (volume is not None and volume.attached_to):
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "volume is in use")
        if volume is not None and volume_id in self.disks:
            self._busy(volume, "deleting")
        else:
            self.volumes.pop(volume_id, None)

    def list_owned_networking(self, cluster_uid: str, addresses: Collection[str] = ()) -> OwnedNetworking:
        def mine(objects: dict[str, object]) -> tuple[object, ...]:
            return tuple(o for o in objects.values() if part_of(o.description, cluster_uid) is not None)  # type: ignore[attr-defined]

        kinds = (self.networks, self.subnets, self.routers, self.groups, self.floating_ips, self.ports)
        found = OwnedNetworking(*(mine(dict(objects)) for objects in kinds))  # type: ignore[arg-type]
        ports = {p.id for p in found.ports}
        others = [f for f in self.floating_ips.values() if part_of(f.description, cluster_uid) is None and (f.address in addresses or f.port_id in ports)]
        own = {s.id for s in found.subnets}
        connected = [
            replace(r, subnet_ids=tuple(s for s in r.subnet_ids if s in own)) for r in self.routers.values() if part_of(r.description, cluster_uid) is None
        ]
        return replace(found, other_floating_ips=tuple(others), other_routers=tuple(r for r in connected if r.subnet_ids))

    def get_network(self, network_id: str) -> Network:
        return self.networks[network_id]

    def get_subnets(self, network_id: str) -> tuple[Subnet, ...]:
        return tuple(s for s in self.subnets.values() if s.network_id == network_id)

    def list_ports(self, *, device_id: str | None = None, network_id: str | None = None) -> tuple[Port, ...]:
        ports = [
            Port(port_id(s), s.request.network_id, s.id, "compute:nova", (s.address,))
            for s in self.servers.values()
            if self.status_of(s) == "ACTIVE" and s.request.port_id is None
        ]
        ports += self.ports.values()
        for router in self.routers.values():
            ports += [Port(f"port-{router.id}-{n}", self.subnets[n].network_id, router.id, "network:router_interface", ()) for n in router.subnet_ids]
        return tuple(p for p in ports if device_id in (None, p.device_id) and network_id in (None, p.network_id))

    def create_network(self, name: str, description: str, mtu: int | None) -> str:
        made = self._id("network")
        self.networks[made] = Network(made, name, description, mtu=mtu)
        return made

    def create_subnet(self, name: str, description: str, network_id: str, cidr: str, dns: Sequence[str]) -> str:
        assert network_id in self.networks
        made = self._id("subnet")
        self.subnets[made] = Subnet(made, name, description, network_id, cidr)
        return made

    def create_router(self, name: str, description: str, external_network_id: str) -> str:
        made = self._id("router")
        self.routers[made] = Router(made, name, description, external_network_id)
        return made

    def add_router_interface(self, router_id: str, subnet_id: str) -> None:
        self.writes += 1
        router = self.routers[router_id]
        if subnet_id in router.subnet_ids:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "has an interface already")
        self.routers[router_id] = replace(router, subnet_ids=(*router.subnet_ids, subnet_id))

    def remove_router_interface(self, router_id: str, subnet_id: str) -> None:
        self.writes += 1
        router = self.routers[router_id]
        self.routers[router_id] = replace(router, subnet_ids=tuple(s for s in router.subnet_ids if s != subnet_id))

    def create_security_group(self, name: str, description: str) -> str:
        made = self._id("group")
        self.groups[made] = SecurityGroup(made, name, description, {})
        return made

    def create_security_rule(self, group_id: str, rule: SecurityRule) -> str:
        made = self._id("rule")
        group = self.groups[group_id]
        assert rule.remote_group_id is None or rule.remote_group_id in self.groups
        if rule in group.rules.values():
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "rule exists")
        self.groups[group_id] = replace(group, rules={**group.rules, made: rule})
        return made

    def delete_security_rule(self, rule_id: str) -> None:
        self.writes += 1
        for group in list(self.groups.values()):
            self.groups[group.id] = replace(group, rules={k: v for k, v in group.rules.items() if k != rule_id})

    def create_floating_ip(self, external_network_id: str, description: str, port_id: str | None) -> FloatingIP:
        self._one_address_each(port_id)
        made = self._id("fip")
        self.floating_ips[made] = FloatingIP(made, f"198.51.100.{next(self._addresses)}", port_id, description)
        return self.floating_ips[made]

    def _one_address_each(self, port_id: str | None, but: str = "") -> None:
        """Neutron: a fixed address has one floating IP at most."""
        if port_id is not None and any(f.port_id == port_id and f.id != but for f in self.floating_ips.values()):
            raise ExternalError(ErrorKind.CONFLICT, "openstack", f"port {port_id} has a floating IP already")

    def get_floating_ip(self, floating_ip_id: str) -> FloatingIP:
        return self.floating_ips[floating_ip_id]

    def release_floating_ip(self, floating_ip_id: str, *, keep_port: bool) -> None:
        self.writes += 1
        found = self.floating_ips[floating_ip_id]
        self.floating_ips[floating_ip_id] = replace(found, description="", port_id=found.port_id if keep_port else None)

    def associate_floating_ip(self, floating_ip_id: str, port_id: str | None) -> None:
        self.writes += 1
        self._one_address_each(port_id, floating_ip_id)
        self.floating_ips[floating_ip_id] = replace(self.floating_ips[floating_ip_id], port_id=port_id)

    def delete_floating_ip(self, floating_ip_id: str) -> None:
        self.writes += 1
        self.floating_ips.pop(floating_ip_id, None)

    def create_port(self, request: PortRequest) -> str:
        assert request.network_id in self.networks
        assert all(g in self.groups or g.startswith("security group:") for g in request.security_group_ids)
        assert request.subnet_id is None or self.subnets[request.subnet_id].network_id == request.network_id
        assert request.secured is not False or not (request.security_group_ids or request.address_pairs), "Neutron refuses it"
        wanted = request.fixed_ips or ((None, None),)
        addresses = tuple(address or f"10.30.0.{next(self._addresses)}" for _, address in wanted)
        if any(set(addresses) & set(p.fixed_ips) for p in self.ports.values() if p.network_id == request.network_id):
            raise ExternalError(ErrorKind.CONFLICT, "openstack", f"IP address already allocated: {addresses}")
        if self.subnet_full:
            message = "No more IP addresses available on network x."
            raise ExternalError(ErrorKind.NO_CAPACITY, "openstack", message, reason=Reason.ADDRESSES_EXHAUSTED)
        if self.port_limit is not None and len(self.ports) >= self.port_limit:
            raise ExternalError(ErrorKind.QUOTA, "openstack", "quota exceeded for resources: ['port']")
        made = self._id("port")
        self.asked_ports[made] = request
        self.ports[made] = Port(
            made, request.network_id, "", "", addresses, request.description, request.security_group_ids, secured=request.secured is not False
        )
        return made

    def set_port_tags(self, port_id: str, tags: Sequence[str]) -> None:
        self.writes += 1
        self.ports[port_id] = replace(self.ports[port_id], tags=tuple(tags))

    def create_trunk(self, name: str, description: str, port_id: str) -> str:
        if not self.has_trunks:
            raise ExternalError(ErrorKind.NOT_FOUND, "openstack", "The resource could not be found.")
        port = self.ports[port_id]
        if port.trunk_id is not None or port.device_id:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", f"port {port_id} is in use")
        made = self._id("trunk")
        self.trunks[made] = description
        self.ports[port_id] = replace(port, trunk_id=made)
        return made

    def delete_trunk(self, trunk_id: str, cluster_uid: str) -> None:
        self.writes += 1
        if trunk_id not in self.trunks:
            return
        if part_of(self.trunks[trunk_id], cluster_uid) is None:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "trunk of somebody else")
        del self.trunks[trunk_id]
        for port in [p for p in self.ports.values() if p.trunk_id == trunk_id]:
            assert port.device_id not in self.servers, "a trunk in use was deleted"
            self.ports[port.id] = replace(port, trunk_id=None)

    def set_port_security_groups(self, port_id: str, security_group_ids: tuple[str, ...]) -> None:
        self.writes += 1
        assert set(security_group_ids) <= self.groups.keys()
        self.ports[port_id] = replace(self.ports[port_id], security_group_ids=security_group_ids)

    def adopt_port(self, port_id: str, description: str, security_group_ids: tuple[str, ...]) -> None:
        self.set_port_security_groups(port_id, security_group_ids)
        self.ports[port_id] = replace(self.ports[port_id], description=description)

    def delete_port(self, port_id: str) -> None:
        self.writes += 1
        if port_id in self.ports and self.ports[port_id].trunk_id is not None:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", f"port {port_id} is the parent of a trunk")
        port = self.ports.pop(port_id, None)
        assert port is None or port.device_id not in self.servers, "a port in use was deleted"
        for fip in [f for f in self.floating_ips.values() if f.port_id == port_id]:
            self.floating_ips[fip.id] = replace(fip, port_id=None)

    def delete_network(self, network_id: str) -> None:
        self.writes += 1
        if self.list_ports(network_id=network_id):
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "network in use")
        self.networks.pop(network_id, None)

    def delete_subnet(self, subnet_id: str) -> None:
        self.writes += 1
        if any(subnet_id in r.subnet_ids for r in self.routers.values()):
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "subnet in use")
        self.subnets.pop(subnet_id, None)

    def delete_router(self, router_id: str) -> None:
        self.writes += 1
        if router_id in self.routers and self.routers[router_id].subnet_ids:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "router in use")
        self.routers.pop(router_id, None)

    def delete_security_group(self, group_id: str) -> None:
        self.writes += 1
        if any(group_id in s.request.security_groups for s in self.servers.values()) or any(group_id in p.security_group_ids for p in self.ports.values()):
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "group in use")
        self.groups.pop(group_id, None)

    def leftovers(self) -> list[str]:
        """Ids of everything in the project."""
        kinds = (
            self.servers,
            self.networks,
            self.subnets,
            self.routers,
            self.groups,
            self.floating_ips,
            self.keypairs,
            self.ports,
            self.trunks,
            self.volumes,
            self.images,
            self.server_groups,
        )
        return sorted(str(i) for kind in kinds for i in kind)
