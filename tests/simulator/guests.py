"""Guests of the simulated servers, with an engine each, and the swarm that the engines make."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.guest_files import DROP_IN_PATH, TLS_DIRECTORY
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import ENGINE_LABEL_CLUSTER, ENGINE_LABEL_MACHINE, JOIN_TOKEN
from swarm_operator.domain.swarm import EngineInfo, Node, OverlayInfo, SwarmView
from swarm_operator.ports.hosts import CommandResult, FileToWrite, HostTarget, ScannedKeys, SwarmInit
from swarm_operator.ports.swarm import SwarmEvent, TlsMaterial

if TYPE_CHECKING:
    from simulator.cloud import SimServer
    from simulator.world import World

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
DOWN_AFTER = 15.0


@dataclass
class Guest:
    """`died`: when its kernel stopped. `listening` and `authority`: the certificates that the engine was last started with."""

    server: SimServer
    host_key: str
    died: float | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    listening: bytes | None = None
    authority: bytes | None = None
    swarm: SimSwarm | None = None
    node_id: str = ""

    def labels(self) -> dict[str, str]:
        """As daemon.json in the user data sets them."""
        found = re.search(r"daemon\.json.*?content: (.*?)(?=\n- |\nruncmd)", self.server.request.user_data, re.DOTALL)
        text = self.server.request.user_data if found is None else found.group(0)
        pairs = re.findall(rf"({re.escape(ENGINE_LABEL_MACHINE)}|{re.escape(ENGINE_LABEL_CLUSTER)})=([0-9a-f-]+)", text)
        return dict(pairs)


@dataclass
class SimSwarm:
    """One swarm: raft state lives with its manager's guest."""

    id: str
    manager: Guest
    nodes: dict[str, Node] = field(default_factory=dict)
    networks: list[OverlayInfo] = field(default_factory=list)
    token_generation: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    writes: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def token(self) -> str:
        return f"SWMTKN-1-{self.id}-{self.token_generation}"

    def add(self, guest: Guest, role: str) -> None:
        node_id = f"node-{self.id}-{next(self._numbers)}"
        self.nodes[node_id] = Node(
            id=node_id,
            hostname=guest.server.request.name,
            role=role,
            availability="active",
            state="ready",
            version=1,
            address=guest.server.address,
            leader=role == "manager",
            reachability="reachable" if role == "manager" else "",
            engine_version="20.10.24",
            machine_uid=guest.labels().get(ENGINE_LABEL_MACHINE),
        )
        guest.swarm, guest.node_id = self, node_id


class SimHost:
    """An ssh login."""

    def __init__(self, world: World, guest: Guest) -> None:
        self._world, self._guest = world, guest

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", sudo: bool = False, timeout: float = 30.0) -> CommandResult:
        match list(argv):
            case ["cat", path]:
                content = self._guest.files.get(path)
                return CommandResult(1, "", "no such file") if content is None else CommandResult(0, content.decode(), "")
            case ["systemctl", "daemon-reload"]:
                return CommandResult(0, "", "")
            case ["systemctl", "restart", _]:
                assert DROP_IN_PATH in self._guest.files
                self._guest.listening = self._guest.files[f"{TLS_DIRECTORY}/cert.pem"]
                self._guest.authority = self._guest.files[f"{TLS_DIRECTORY}/ca.pem"]
                return CommandResult(0, "", "")
        raise AssertionError(f"not modelled: {argv}")

    def write_files(self, files: Sequence[FileToWrite]) -> bool:
        changed = [f for f in files if self._guest.files.get(f.path) != f.content]
        self._guest.files |= {f.path: f.content for f in changed}
        return bool(changed)

    def engine_info(self) -> EngineInfo:
        guest = self._guest
        state = "active" if guest.swarm is not None else "inactive"
        manager = guest.swarm is not None and guest.swarm.manager is guest
        return EngineInfo("20.10.24", state, guest.node_id, guest.swarm.id if guest.swarm else "", manager, labels=guest.labels())

    def engine_request(self, method: str, path: str, body: Any = None) -> Any:
        raise AssertionError(f"not modelled: {method} {path} {json.dumps(body)}")

    def swarm_init(self, init: SwarmInit) -> str:
        if self._guest.swarm is not None:
            raise ExternalError(ErrorKind.CONFLICT, "docker", "already part of a swarm")
        swarm = SimSwarm(f"swarm{self._world.swarms_made}", self._guest)
        self._world.swarms_made += 1
        swarm.add(self._guest, "manager")
        return self._guest.node_id

    def swarm_join(self, remote_addrs: Sequence[str], token: str, advertise_addr: str | None = None) -> None:
        self._world.join(self._guest, list(remote_addrs), token)

    def swarm_leave(self, force: bool) -> None:
        self._guest.swarm, self._guest.node_id = None, ""

    def close(self) -> None:
        return None


class SimHosts:
    """Opens logins: a floating address is reached directly, a fixed one only through a jump host."""

    def __init__(self, world: World) -> None:
        self._world = world

    def connect(self, target: HostTarget, private_key: bytes, *, timeout: float = 10.0) -> Any:
        assert private_key.startswith(b"-----BEGIN OPENSSH PRIVATE KEY")
        if target.jump is not None:
            self.connect(target.jump, private_key)
        guest = self._world.reach(target.address, through=target.jump is not None)
        if guest is None:
            raise ExternalError(ErrorKind.UNREACHABLE, "ssh", "no answer")
        if guest.host_key not in target.host_keys:
            raise ExternalError(ErrorKind.INVALID, "ssh", "unknown host key", reason=Reason.HOST_KEY_UNVERIFIED)
        return self._world.port("host", SimHost(self._world, guest), free=frozenset({"close"}))

    def scan_host_keys(self, target: HostTarget, *, timeout: float = 10.0) -> ScannedKeys:
        guest = self._world.reach(target.address, through=target.jump is not None)
        return ScannedKeys((guest.host_key,) if guest is not None else ())


class SimSwarmClient:
    """The Docker API of the manager at an endpoint."""

    def __init__(self, world: World, endpoints: list[str], tls: TlsMaterial) -> None:
        self._world, self.endpoints, self._tls = world, endpoints, tls

    def _swarm(self) -> SimSwarm:
        for endpoint in self.endpoints:
            guest = self._world.reach(endpoint.removeprefix("tcp://").rpartition(":")[0], through=False)
            if guest is not None and guest.listening is not None and guest.swarm is not None:
                if guest.authority != self._tls.ca:
                    raise ExternalError(ErrorKind.UNAUTHORIZED, "docker", "the certificates do not match")
                self._world.refresh_nodes(guest.swarm)
                return guest.swarm
        raise ExternalError(ErrorKind.UNREACHABLE, "docker", "no manager answers")

    def view(self, *, with_tasks: bool = False) -> SwarmView:
        swarm = self._swarm()
        running = dict(swarm.tasks) if with_tasks else {}
        return SwarmView(swarm.id, tuple(swarm.nodes.values()), tuple(swarm.networks), running, "20.10.24", "1.41")

    def update_node(self, node_id: str, version: int, *, role: str, availability: str, labels: dict[str, str]) -> None:
        swarm = self._swarm()
        node = swarm.nodes[node_id]
        if node.version != version:
            raise ExternalError(ErrorKind.CONFLICT, "docker", "update out of sequence")
        swarm.writes += 1
        swarm.nodes[node_id] = replace(node, role=role, availability=availability, labels=dict(labels), version=version + 1)

    def remove_node(self, node_id: str, *, force: bool = False) -> None:
        swarm = self._swarm()
        swarm.writes += 1
        swarm.nodes.pop(node_id, None)

    def join_token(self, role: str) -> str:
        assert role == "worker"
        return self._swarm().token()

    def rotate_join_token(self, role: str) -> None:
        swarm = self._swarm()
        swarm.writes += 1
        swarm.token_generation += 1

    def create_network(self, name: str, *, attachable: bool, encrypted: bool, subnet: str | None, labels: dict[str, str]) -> str:
        swarm = self._swarm()
        swarm.writes += 1
        assert name not in {n.name for n in swarm.networks}
        swarm.networks.append(OverlayInfo(f"net-{name}", name, "overlay", attachable, encrypted))
        return f"net-{name}"

    def events(self, *, timeout: float) -> Iterator[SwarmEvent | None]:
        raise AssertionError("not modelled")

    def close(self) -> None:
        return None


def wants_metadata_join(guest: Guest) -> bool:
    return "swarm_token" in guest.server.request.user_data and JOIN_TOKEN in guest.server.metadata and guest.swarm is None
