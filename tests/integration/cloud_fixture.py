"""Servers on the lab made through the operator's own cloud adapter, without the operator: what the adapters' tests stand on."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from swarm_operator.adapters.openstack import OpenStackCloud, OpenStackClouds
from swarm_operator.api.base import ResourceRef
from swarm_operator.api.engine import EngineSpec
from swarm_operator.bootstrap.cloud_init import MetadataJoin, render_user_data
from swarm_operator.bootstrap.keys import SshKeyPair, new_ssh_keypair
from swarm_operator.domain.cloud import FloatingIP, SecurityRule, Server, ServerRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import MachineId, description, keypair_name, object_name, server_metadata

T = TypeVar("T")
NAME = "adapters"
RULES = (
    SecurityRule("tcp", 22, 22, "0.0.0.0/0"),
    SecurityRule("tcp", 2376, 2376, "0.0.0.0/0"),
    SecurityRule("tcp", 2377, 2377, None, True),
    SecurityRule("tcp", 7946, 7946, None, True),
    SecurityRule("udp", 7946, 7946, None, True),
    SecurityRule("icmp", None, None, "0.0.0.0/0"),
)


def open_cloud(lab_env: dict[str, str], name: str = "swarm") -> OpenStackCloud:
    """A Cloud of the lab with tokens of its own."""
    return OpenStackClouds().open(Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_bytes(), name, None)


def until(what: str, ask: Callable[[], T | None], timeout: float = 120.0, pause: float = 0.5) -> T:
    """The first answer that is not None or False."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(pause)


@dataclass
class Site:
    """A network with a router, a security group and a key pair; servers are added by `boot`."""

    cloud: OpenStackCloud
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    key: SshKeyPair = field(default_factory=new_ssh_keypair)
    network: str = ""
    subnet: str = ""
    router: str = ""
    group: str = ""
    external: str = ""

    def build(self) -> None:
        cloud, name = self.cloud, object_name(NAME, self.uid)
        self.external = cloud.resolve("external network", None)
        self.network = cloud.create_network(name, self._describe("network"), None)
        self.subnet = cloud.create_subnet(name, self._describe("subnet"), self.network, "10.77.0.0/24", ())
        self.router = cloud.create_router(name, self._describe("router"), self.external)
        cloud.add_router_interface(self.router, self.subnet)
        self.group = cloud.create_security_group(name, self._describe("security-group"))
        for rule in RULES:
            cloud.create_security_rule(self.group, rule)
        cloud.create_keypair(keypair_name(self.uid), self.key.public)

    def boot(self, slot: int, join: MetadataJoin | None = None) -> str:
        """Ask for a server; its id."""
        machine = MachineId("Worker", "w", slot, 1)
        return self.cloud.create_server(
            ServerRequest(
                name=machine.server_name(NAME),
                flavor_id=self.cloud.resolve("flavor", ResourceRef(name="m1.small")),
                image_id=self.cloud.resolve("image", ResourceRef(name="debian-12-docker")),
                network_id=self.network,
                key_name=keypair_name(self.uid),
                security_groups=(self.group,),
                metadata=server_metadata(self.uid, NAME, machine),
                user_data=render_user_data(
                    cluster_uid=self.uid,
                    machine_uid=machine.uid(self.uid),
                    hostname=machine.server_name(NAME),
                    engine=EngineSpec(mtu=1350),
                    authorized_keys=(),
                    join=join,
                ),
            )
        )

    def active(self, server_id: str) -> Server:
        """Wait for ACTIVE."""

        def look() -> Server | None:
            server = next(s for s in self.cloud.list_servers(self.uid, fresh=True) if s.id == server_id)
            assert server.status != "ERROR", server.fault
            return server if server.status == "ACTIVE" and server.fixed else None

        return until(f"server {server_id} active", look)

    def float(self, server_id: str) -> FloatingIP:
        """A floating IP for the server's port."""
        (port,) = self.cloud.list_ports(device_id=server_id)
        return self.cloud.create_floating_ip(self.external, self._describe(f"fip/{server_id}"), port.id)

    def tear_down(self) -> None:
        """Remove all; repeats what is still in use."""
        cloud = self.cloud
        for server in cloud.list_servers(self.uid, fresh=True):
            cloud.delete_server(server.id)
        until("servers gone", lambda: not cloud.list_servers(self.uid, fresh=True))
        owned = cloud.list_owned_networking(self.uid)
        for address in owned.floating_ips:
            cloud.delete_floating_ip(address.id)
        for router in owned.routers:
            for subnet_id in router.subnet_ids:
                cloud.remove_router_interface(router.id, subnet_id)
            cloud.delete_router(router.id)
        for network in owned.networks:
            until("network deleted", lambda network_id=network.id: _gone(lambda: cloud.delete_network(network_id)))  # type: ignore[misc]
        for group in owned.security_groups:
            until("group deleted", lambda group_id=group.id: _gone(lambda: cloud.delete_security_group(group_id)))  # type: ignore[misc]
        cloud.delete_keypair(keypair_name(self.uid))

    def _describe(self, part: str) -> str:
        return description(self.uid, NAME, part)


def _gone(delete: Callable[[], None]) -> bool:
    try:
        delete()
    except ExternalError as error:
        if error.kind is not ErrorKind.CONFLICT:
            raise
        return False
    return True


@contextlib.contextmanager
def site(lab_env: dict[str, str]) -> Iterator[Site]:
    """A site that is removed at the end, whatever happens."""
    built = Site(open_cloud(lab_env))
    try:
        built.build()
        yield built
    finally:
        built.tear_down()
