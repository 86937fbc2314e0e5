"""Guests of the simulated servers, with an engine each, and the swarm that the engines make."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from simulator.backups import run_backup
from simulator.demand import NODE_CPUS, NODE_MEMORY, SimDemand, raw_services, raw_tasks, schedule
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap import raft_log, raft_program
from swarm_operator.bootstrap.engine import DAEMON_JSON_PATH
from swarm_operator.bootstrap.guest_files import DROP_IN_PATH, TLS_DIRECTORY
from swarm_operator.domain.cluster.template import RELOADED
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import ENGINE_LABEL_CLUSTER, ENGINE_LABEL_MACHINE, JOIN_TOKEN
from swarm_operator.domain.swarm import EngineInfo, Node, OverlayInfo, RootAuthority, SwarmSettings, SwarmView
from swarm_operator.domain.volumes import GuestVolume, Mount
from swarm_operator.ports.hosts import CommandResult, FileToWrite, HostTarget, HowApplied, ScannedKeys, SwarmInit
from swarm_operator.ports.swarm import SwarmEvent, TlsMaterial

if TYPE_CHECKING:
    from simulator.cloud import SimServer
    from simulator.world import World

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
DOWN_AFTER = 15.0
PROMOTION = 5.0
"""Seconds from the write that promotes a node until it is a member of raft: it gets another certificate, starts a manager, and joins."""
NEWS = 10.0
"""Seconds from a change of the members of raft until workers know of it."""
RENEWAL = 3.0
"""Seconds that nodes take to get certificates of a new root."""
CAST_OUT = (7.0, 20.0, 44.0)
"""Seconds from `--force-new-cluster` on one manager until another one that lives stops its manager, speaks to the new leader as an agent, and is a member of raft again; as seen on 20.10."""
TASK_SECONDS = 2.0
"""From a task being put on a node to its running."""


@dataclass
class Guest:
    """`died`: when its kernel stopped. `listening` and `authority`: the certificates that the engine was last started with."""

    server: SimServer
    host_key: str
    died: float | None = None
    engine_up: bool = True
    engine_broken: bool = False
    """Neither a restart of the engine nor a boot brings it back."""
    hopeless: bool = False
    """No reboot brings the host back."""
    files: dict[str, bytes] = field(default_factory=dict)
    listening: bytes | None = None
    authority: bytes | None = None
    swarm: SimSwarm | None = None
    node_id: str = ""
    mounts: dict[str, str] = field(default_factory=dict)
    fstab: dict[str, str] = field(default_factory=dict)
    """Volume ids by mount point."""
    flushed: bool = False
    raft_committed: int | None = 40
    """As its raft log says; None: it can't be read."""
    stays_out: bool = False
    """Once it has been cast out of raft, it does not come back by itself."""
    images: set[str] = field(default_factory=set)
    """Docker images."""
    kek: tuple[str, int] = ("", 0)
    """The unlock key that its own key file is encrypted with, and the version of the cluster object since when."""
    locked: bool = False
    expired: bool = False
    """Its node certificate is over and its engine was started since."""
    archive: bytes = b""
    """A copy of its raft state, on its disk."""
    restored: str = ""
    """What its engine was filled for."""
    reloads: int = 0
    restarts: int = 0
    in_force: dict[str, Any] | None = None
    """daemon.json as the engine has it, where it is not that of the user data."""
    disturbed: int = 0
    """Tasks that ran there when the engine was restarted by us."""

    def daemon_json(self) -> dict[str, Any]:
        """As it lies on the disk."""
        written = self.files.get(DAEMON_JSON_PATH)
        if written is not None:
            return dict(json.loads(written))
        if not self.server.request.user_data.startswith("#cloud-config"):
            return {"labels": [f"{key}={value}" for key, value in self.labels().items()]}
        found = next(f for f in yaml.safe_load(self.server.request.user_data)["write_files"] if f["path"] == DAEMON_JSON_PATH)
        return dict(json.loads(found["content"]))

    def restart(self) -> None:
        """The engine starts again."""
        self.engine_up = not self.engine_broken
        self.locked = self.swarm is not None and bool(self.kek[0])

    def labels(self) -> dict[str, str]:
        """As daemon.json in the user data sets them."""
        found = re.search(r"daemon\.json.*?content: (.*?)(?=\n- |\nruncmd)", self.server.request.user_data, re.DOTALL)
        text = self.server.request.user_data if found is None else found.group(0)
        pairs = re.findall(rf"({re.escape(ENGINE_LABEL_MACHINE)}|{re.escape(ENGINE_LABEL_CLUSTER)})=([0-9a-f-]+)", text)
        return dict(pairs)


@dataclass
class SimTask:
    """`since`: when it was put on its node."""

    node: str
    since: float


@dataclass
class SimService:
    """A replicated service. `lowest`: the fewest of its tasks that ever ran at once, since it was complete."""

    desired: int
    labels: dict[str, str] = field(default_factory=dict)
    tasks: list[SimTask] = field(default_factory=list)
    lowest: int | None = None

    def running(self, now: float) -> list[SimTask]:
        return [t for t in self.tasks if now - t.since >= TASK_SECONDS]


@dataclass
class SimSwarm:
    """One swarm: raft state lives with its managers' guests. `raft`: node ids of its members and their guests; one that is dead stays a member."""

    id: str
    raft: dict[str, Guest] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    networks: list[OverlayInfo] = field(default_factory=list)
    attached: list[str] = field(default_factory=list)
    """Ids of networks that a service is attached to."""
    token_generation: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    """Running tasks by node that no service of `services` explains: they stay where they are."""
    services: dict[str, SimService] = field(default_factory=dict)
    demands: list[SimDemand] = field(default_factory=list)
    """Tasks that reserve something."""
    writes: int = 0
    settings: SwarmSettings = field(default_factory=lambda: SwarmSettings(5, 5, 2160))
    manager_token_generation: int = 0
    away_since: dict[str, float] = field(default_factory=dict)
    version: int = 10
    """Of the cluster object."""
    unlock_key: str = ""
    keys_made: int = 0
    root: RootAuthority = field(default_factory=lambda: RootAuthority("root-0", "root-0"))
    rotated_at: float = 0.0
    issuers: dict[str, str] = field(default_factory=dict)
    """By node id, where it is not the first root."""
    raft_changes: list[str] = field(default_factory=list)
    news: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    """Since when the members of raft have had which addresses."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def schedule(self, now: float) -> None:
        """As swarmkit: tasks of nodes that are drained, down or gone are made anew on the node that has the fewest."""
        able = [n.id for n in self.nodes.values() if n.state == "ready" and n.availability == "active"]
        usable = {n.id for n in self.nodes.values() if n.state == "ready" and n.availability != "drain"}
        for service in self.services.values():
            service.tasks = [t for t in service.tasks if t.node in usable]
            while able and len(service.tasks) < service.desired:
                load = {i: (sum(t.node == i for t in service.tasks), i) for i in able}
                service.tasks.append(SimTask(min(able, key=lambda i: load[i]), now))
            running = len(service.running(now))
            if service.lowest is not None or running == service.desired:
                service.lowest = min(running, service.desired if service.lowest is None else service.lowest)

    def running_by_node(self, now: float) -> dict[str, int]:
        found = dict(self.tasks)
        for service in self.services.values():
            for task in service.running(now):
                found[task.node] = found.get(task.node, 0) + 1
        return found

    def token(self, role: str = "worker") -> str:
        return f"SWMTKN-1-{self.id}-{self.token_generation if role == 'worker' else f'm{self.manager_token_generation}'}"

    def reachable(self, world: World) -> list[str]:
        """Ids of the members that answer."""
        return [i for i, g in self.raft.items() if world.alive(g) and g.engine_up and not g.locked and not g.expired and g.swarm is self and g.node_id == i]

    def known_managers(self, now: float) -> frozenset[str]:
        """Addresses of the managers that workers know: they are told of a change a moment after it."""
        members = frozenset(g.server.address for g in self.raft.values())
        if not self.news or self.news[-1][1] != members:
            self.news.append((now, members))
        return next((found for at, found in reversed(self.news) if now - at >= NEWS), self.news[0][1])

    def quorate(self, world: World) -> bool:
        return len(self.reachable(world)) * 2 > len(self.raft)

    def leader(self, world: World) -> str | None:
        """The member that leads: it stays until it is lost."""
        found = self.reachable(world)
        if self._leader not in found:
            self._leader = found[0] if found else ""
        return self._leader or None

    def cast_out_for(self, node_id: str, now: float) -> float | None:
        """Seconds since `--force-new-cluster` on another manager has removed this one from raft; None where that is not so."""
        return now - self.cast_out[node_id][1] if node_id in self.cast_out else None

    _leader: str = ""
    cast_out: dict[str, tuple[Guest, float]] = field(default_factory=dict)
    promoted: dict[str, tuple[Guest, float]] = field(default_factory=dict)
    """Nodes whose promotion is under way, and until when: they have no reachability yet."""

    def spread(self, world: World) -> None:
        """What reachable managers learn by themselves: the key in force. And living nodes get certificates of a new root; when all have one, the rotation is complete."""
        for node_id in self.reachable(world):
            guest = self.raft[node_id]
            if guest.kek[0] != self.unlock_key:
                guest.kek = (self.unlock_key, self.version)
        if self.root.rotating and world.clock.monotonic() - self.rotated_at >= RENEWAL:
            living = {g.node_id for g in world.guests.values() if g.swarm is self and world.alive(g) and g.engine_up and not g.locked}
            self.issuers |= dict.fromkeys(living & self.nodes.keys(), self.root.issuer)
            if all(self.issuers.get(i) == self.root.issuer for i in self.nodes):
                self.version += 1
                self.root = replace(self.root, fingerprint=self.root.issuer, rotating=False)

    def add(self, guest: Guest, role: str, *, drained: bool = False) -> None:
        node_id = f"node-{self.id}-{next(self._numbers)}"
        self.nodes[node_id] = Node(
            id=node_id,
            hostname=guest.server.request.name,
            role=role,
            availability="drain" if drained else "active",
            state="ready",
            version=1,
            address=guest.server.address,
            engine_version="20.10.24",
            cpus=NODE_CPUS,
            memory=NODE_MEMORY,
            machine_uid=guest.labels().get(ENGINE_LABEL_MACHINE),
        )
        guest.swarm, guest.node_id = self, node_id
        self.issuers[node_id] = self.root.issuer
        if role == "manager":
            self.raft[node_id] = guest
            self.raft_changes.append(f"join {guest.server.request.name}")


class SimHost:
    """An ssh login."""

    def __init__(self, world: World, guest: Guest) -> None:
        self._world, self._guest = world, guest

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", sudo: bool = False, timeout: float = 30.0) -> CommandResult:
        match list(argv):
            case ["cat", path] if path == DAEMON_JSON_PATH:
                return CommandResult(0, json.dumps(self._guest.daemon_json()), "")
            case ["cat", path]:
                content = self._guest.files.get(path)
                return CommandResult(1, "", "no such file") if content is None else CommandResult(0, content.decode(), "")
            case ["docker", "image", "inspect", "--format", _, image]:
                return CommandResult(0 if image in self._guest.images else 1, "", "")
            case ["docker", "pull", "--quiet", image]:
                if image not in self._world.registry:
                    return CommandResult(1, "", "manifest unknown")
                self._guest.images.add(image)
                self._world.pulls.append(image)
                return CommandResult(0, "", "")
            case ["python3", "-I", "-c", raft_program.SCRIPT, what]:
                return run_backup(self._world, self._guest, what, stdin)
            case ["python3", "-I", "-c", raft_log.SCRIPT, "/var/lib/docker/swarm/raft/wal-v3-encrypted"]:
                index = self._guest.raft_committed
                return CommandResult(1, "", "no such file") if index is None else CommandResult(0, f"{index}\n", "")
            case ["sync"]:
                self._guest.flushed = True
                return CommandResult(0, "", "")
            case ["systemctl", "daemon-reload"]:
                return CommandResult(0, "", "")
            case ["systemctl", "restart", _]:
                self._guest.restart()
                if DROP_IN_PATH not in self._guest.files:
                    return CommandResult(0, "", "")
                self._guest.listening = self._guest.files[f"{TLS_DIRECTORY}/cert.pem"]
                self._guest.authority = self._guest.files[f"{TLS_DIRECTORY}/ca.pem"]
                return CommandResult(0, "", "")
            case ["grep", "-a", "-E", _, path] if path.endswith("/swarm-node.key"):
                key, version = self._guest.kek
                return CommandResult(0, ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n" if key else "") + f"kek-version: {version}\n", "")
        raise AssertionError(f"not modelled: {argv}")

    def pipe(self, argv: Sequence[str], target: Any, target_argv: Sequence[str], *, sudo: bool = False, timeout: float = 600.0) -> None:
        match list(argv), list(target_argv):
            case ["docker", "save", image], ["docker", "load", "--quiet"]:
                assert image in self._guest.images
                target.guest().images.add(image)
                return
        raise AssertionError(f"not modelled: {argv}")

    def read(self, argv: Sequence[str], *, sudo: bool = False, timeout: float = 600.0) -> Iterator[bytes]:
        assert list(argv) == ["cat", "/archive"]
        yield self._guest.archive

    def feed(self, argv: Sequence[str], pieces: Iterator[bytes], *, sudo: bool = False, timeout: float = 600.0) -> CommandResult:
        return self.run(argv, stdin=b"".join(pieces), sudo=sudo, timeout=timeout)

    def guest(self) -> Guest:
        return self._guest

    def write_files(self, files: Sequence[FileToWrite]) -> bool:
        changed = [f for f in files if self._guest.files.get(f.path) != f.content]
        self._guest.files |= {f.path: f.content for f in changed}
        return bool(changed)

    def engine_info(self) -> EngineInfo:
        guest = self._guest
        if not guest.engine_up:
            raise ExternalError(ErrorKind.TRANSIENT, "docker", "the engine does not answer")
        if guest.locked:
            return EngineInfo("20.10.24", "locked", error="Swarm is encrypted and needs to be unlocked before it can be used.", labels=guest.labels())
        if guest.expired:
            # Seen in moby/moby#42660; without a node there is no id either (moby, daemon/cluster/noderunner.go, `NodeID`).
            text = "certificate (1 - x) not valid after Fri, 25 Jun 2021 01:41:00 UTC, and it is currently Wed, 21 Jul 2021 00:39:25 UTC"
            where = "error while loading TLS certificate in /var/lib/docker/swarm/certificates/swarm-node.crt"
            return EngineInfo("20.10.24", "error", error=f"{where}: {text}: x509: certificate has expired or is not yet valid", labels=guest.labels())
        state = "active" if guest.swarm is not None else "inactive"
        out_for = guest.swarm.cast_out_for(guest.node_id, self._world.clock.monotonic()) if guest.swarm is not None else None
        manager = guest.swarm is not None and (guest.node_id in guest.swarm.raft or (out_for is not None and out_for < CAST_OUT[0]))
        known = guest.swarm.known_managers(self._world.clock.monotonic()) if guest.swarm else frozenset()
        peers = tuple(f"{address}:2377" for address in sorted(known))
        return EngineInfo("20.10.24", state, guest.node_id, guest.swarm.id if guest.swarm else "", manager, labels=guest.labels(), remote_managers=peers)

    def apply_engine_settings(self, settings: bytes, how: HowApplied) -> None:
        """The engine has no --validate, and takes any settings but those of a log driver `nonsense`."""
        guest, wanted = self._guest, json.loads(settings)
        if how == "check":
            return
        former = guest.in_force or guest.daemon_json()
        bad = wanted.get("log-driver") == "nonsense" or wanted.get("debug") == "nonsense"
        if how == "restart":
            now = self._world.clock.monotonic()
            guest.disturbed += guest.swarm.running_by_node(now).get(guest.node_id, 0) if guest.swarm is not None else 0
            guest.restarts += 1
            guest.restart()
            assert guest.swarm is None or guest.node_id not in guest.swarm.raft or len(guest.swarm.raft) == 1 or guest.swarm.quorate(self._world)
        if bad:
            raise ExternalError(ErrorKind.INVALID, "ssh", "the engine refuses them: nonsense", reason=Reason.ENGINE_FAILED)
        guest.files[DAEMON_JSON_PATH] = settings
        guest.reloads += how == "reload"
        if how == "restart":
            guest.in_force = wanted
        else:
            guest.in_force = {k: v for k, v in former.items() if k not in RELOADED} | {k: v for k, v in wanted.items() if k in RELOADED}

    def engine_request(self, method: str, path: str, body: Any = None) -> Any:
        if (method, path) == ("GET", "/info"):
            daemon = self._guest.in_force or self._guest.daemon_json()
            registry = {
                "IndexConfigs": {name: {"Secure": False} for name in daemon.get("insecure-registries", [])},
                "InsecureRegistryCIDRs": ["127.0.0.0/8"],
                "Mirrors": [f"{mirror}/" for mirror in daemon.get("registry-mirrors", [])],
            }
            return {"Labels": daemon["labels"], "RegistryConfig": registry}
        if (method, path) == ("GET", "/services"):
            return [{}] * len(self._guest.swarm.attached) if self._guest.swarm is not None else []
        if (method, path) == ("POST", "/swarm/unlock"):
            if not self._guest.locked:
                raise ExternalError(ErrorKind.TRANSIENT, "docker", "POST /swarm/unlock: swarm is not locked (409)")
            if body["UnlockKey"] != self._guest.kek[0]:
                raise ExternalError(ErrorKind.INVALID, "docker", "POST /swarm/unlock: swarm could not be unlocked: invalid key provided (400)")
            self._guest.locked = False
            return None
        raise AssertionError(f"not modelled: {method} {path} {json.dumps(body)}")

    def look_at_volumes(self, mounts: Sequence[Mount]) -> tuple[GuestVolume, ...]:
        return tuple(self._look(mount) for mount in mounts)

    def _look(self, mount: Mount) -> GuestVolume:
        cloud = self._world.cloud
        volume = cloud.volumes.get(mount.volume_id)
        if volume is None or self._guest.server.id not in volume.attached_to or volume.status == "attaching":
            return GuestVolume(mount.volume_id)
        disk = cloud.disks[volume.id]
        if disk.signature not in (None, (mount.format, mount.uid)):
            return GuestVolume(volume.id, volume.size_gib, f"it holds {disk.signature[0]}: nothing is written" if disk.signature else "")
        assert mount.path is not None, "not modelled"
        done = self._guest.mounts.get(mount.path) == volume.id
        return GuestVolume(volume.id, volume.size_gib, "", done, disk.file_system_gib)

    def set_up_volume(self, mount: Mount) -> None:
        found = self._look(mount)
        if found.size_gib == 0 or found.refused:
            raise ExternalError(ErrorKind.INVALID, "ssh", found.refused or "no device", reason=Reason.VOLUME_REFUSED)
        disk = self._world.cloud.disks[mount.volume_id]
        if disk.signature is None:
            assert not disk.content, "a file system was made over content"
            disk.signature = (mount.format, mount.uid)
        assert mount.path is not None
        disk.file_system_gib = found.size_gib
        self._guest.fstab[mount.path] = self._guest.mounts[mount.path] = mount.volume_id

    def swarm_init(self, init: SwarmInit) -> str:
        self._world.check_volumes(self._guest)
        if init.force_new_cluster:
            return self._force_new_cluster()
        if self._guest.swarm is not None:
            raise ExternalError(ErrorKind.CONFLICT, "docker", "already part of a swarm")
        assert init.advertise_addr == self._guest.server.address, "the swarm is on another network"
        swarm = SimSwarm(f"swarm{self._world.swarms_made}")
        self._world.swarms_made += 1
        swarm.add(self._guest, "manager")
        return self._guest.node_id

    def swarm_join(self, remote_addrs: Sequence[str], token: str, advertise_addr: str | None = None, *, drained: bool = False) -> None:
        assert advertise_addr in (None, self._guest.server.address), "it advertises an address of another network"
        self._world.join(self._guest, list(remote_addrs), token, drained=drained)

    def _force_new_cluster(self) -> str:
        """Raft has this one only; the others' rows go on saying that they are managers, without a status as such (swarmkit: manager/state/raft/storage.go, `loadAndStart`, appends the
        removal of all others to the log; manager/controlapi/node.go, `ListNodes`, gives a ManagerStatus to members), and their state is unknown until they report or have not for
        long (manager/dispatcher/dispatcher.go, `markNodesUnknown`). One that lives asks for votes and is told that it was removed (manager/state/raft/raft.go,
        `ProcessRaftMessage`); it stops its manager and clears its raft state (node/node.go, `runManager`). Its agent then turns to the new leader: the row is ready. After twice
        16 s without another role it starts its manager again and joins raft under the same node id (`superviseManager`, raft.go `Join`)."""
        swarm, node_id, now = self._guest.swarm, self._guest.node_id, self._world.clock.monotonic()
        assert swarm is not None and node_id in swarm.raft and not self._guest.locked
        assert not swarm.quorate(self._world), "a swarm with a majority was made anew"
        swarm.cast_out = {i: (g, now) for i, g in swarm.raft.items() if i != node_id}
        swarm.raft = {node_id: self._guest}
        swarm.raft_changes.append(f"force {self._guest.server.request.name}")
        return node_id

    def swarm_leave(self, force: bool) -> None:
        swarm, node_id = self._guest.swarm, self._guest.node_id
        assert swarm is None or node_id not in swarm.raft, "a manager must be demoted before it leaves"
        self._guest.swarm, self._guest.node_id, self._guest.expired = None, "", False

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
        return self._world.port("host", SimHost(self._world, guest), free=frozenset({"close", "guest"}))

    def scan_host_keys(self, target: HostTarget, *, timeout: float = 10.0) -> ScannedKeys:
        guest = self._world.reach(target.address, through=target.jump is not None)
        return ScannedKeys((guest.host_key,) if guest is not None else ())


class SimSwarmClient:
    """The Docker API of the manager at an endpoint."""

    def __init__(self, world: World, endpoints: list[str], tls: TlsMaterial) -> None:
        self._world, self.endpoints, self._tls = world, endpoints, tls

    def _swarm(self) -> SimSwarm:
        leaderless = None
        for endpoint in self.endpoints:
            guest = self._world.reach(endpoint.removeprefix("tcp://").rpartition(":")[0], through=False)
            if guest is not None and guest.listening is not None and guest.engine_up:
                if guest.locked:
                    leaderless = ExternalError(ErrorKind.TRANSIENT, "docker", "Swarm is encrypted and needs to be unlocked", reason=Reason.QUORUM_LOST)
                    continue
                if guest.expired:
                    leaderless = ExternalError(ErrorKind.TRANSIENT, "docker", "This node is not a swarm manager", reason=Reason.QUORUM_LOST)
                    continue
                if guest.authority != self._tls.ca:
                    raise ExternalError(ErrorKind.UNAUTHORIZED, "docker", "the certificates do not match")
                swarm = guest.swarm
                if swarm is not None and guest.node_id in swarm.raft and swarm.quorate(self._world):
                    self._world.refresh_nodes(swarm)
                    return swarm
                text = "not a swarm manager" if swarm is None or guest.node_id not in swarm.raft else "the swarm does not have a leader"
                leaderless = ExternalError(ErrorKind.TRANSIENT, "docker", text, reason=Reason.QUORUM_LOST)
        if leaderless is not None:
            raise leaderless
        raise ExternalError(ErrorKind.UNREACHABLE, "docker", "no manager answers")

    def view(self, *, with_tasks: bool = False) -> SwarmView:
        swarm = self._swarm()
        running = swarm.running_by_node(self._world.clock.monotonic()) if with_tasks else {}
        settings = replace(swarm.settings, autolock=bool(swarm.unlock_key))
        nodes = tuple(replace(n, issuer=swarm.issuers.get(n.id, "")) for n in swarm.nodes.values())
        return SwarmView(swarm.id, nodes, tuple(swarm.networks), running, "20.10.24", "1.41", settings, swarm.root)

    def cluster_version(self) -> int:
        return self._swarm().version

    def unlock_key(self) -> str:
        return self._swarm().unlock_key

    def set_autolock(self, enabled: bool, version: int) -> None:
        self._change_key(version, enabled)

    def rotate_unlock_key(self, version: int) -> None:
        assert self._swarm().unlock_key
        self._change_key(version, True)

    def _change_key(self, version: int, enabled: bool) -> None:
        swarm = self._swarm()
        if version != swarm.version:
            raise ExternalError(ErrorKind.CONFLICT, "docker", "update out of sequence")
        swarm.writes += 1
        swarm.version += 1
        swarm.keys_made += 1
        swarm.unlock_key = f"SWMKEY-1-sim{swarm.keys_made}" if enabled else ""
        # At once, as far as a crash of ours is concerned: the worst moment for the key.
        swarm.spread(self._world)

    def rotate_authority(self, over: int) -> bool:
        swarm = self._swarm()
        if swarm.root.force_rotate > over:
            return False
        assert not swarm.root.rotating, "a second rotation of the root while one is under way"
        swarm.writes += 1
        swarm.version += 1
        swarm.root = replace(swarm.root, issuer=f"root-{over + 1}", rotating=True, force_rotate=over + 1)
        swarm.rotated_at = self._world.clock.monotonic()
        return True

    def update_node(self, node_id: str, version: int, *, role: str, availability: str, labels: dict[str, str]) -> None:
        swarm = self._swarm()
        node = swarm.nodes[node_id]
        if node.version != version:
            raise ExternalError(ErrorKind.CONFLICT, "docker", "update out of sequence")
        swarm.writes += 1
        if role != node.role:
            self._change_role(swarm, node, role)
        swarm.nodes[node_id] = replace(node, role=role, availability=availability, labels=dict(labels), version=version + 1)

    def remove_node(self, node_id: str, *, force: bool = False) -> None:
        swarm = self._swarm()
        swarm.writes += 1
        # swarmkit, manager/controlapi/node.go: a member of raft can't be removed before it was demoted.
        assert node_id not in swarm.raft, "removal of a manager that was not demoted"
        swarm.nodes.pop(node_id, None)
        # Its certificate is refused from now on (BlacklistedCertificates), so one that was cast out does not come back.
        swarm.cast_out.pop(node_id, None)

    def join_token(self, role: str) -> str:
        return self._swarm().token(role)

    def rotate_join_token(self, role: str) -> None:
        swarm = self._swarm()
        swarm.writes += 1
        if role == "manager":
            swarm.manager_token_generation += 1
        else:
            swarm.token_generation += 1

    def update_settings(self, settings: SwarmSettings) -> None:
        swarm = self._swarm()
        swarm.writes += 1
        swarm.settings = settings

    def _change_role(self, swarm: SimSwarm, node: Node, role: str) -> None:
        swarm.known_managers(self._world.clock.monotonic())
        if role == "manager":
            guest = next(g for g in self._world.guests.values() if g.swarm is swarm and g.node_id == node.id)
            self._world.check_join(swarm)
            self._world.check_open_to_members(guest)
            members = {g.server.address for g in swarm.raft.values()}
            assert swarm.known_managers(self._world.clock.monotonic()) <= members | {guest.server.address}, (
                "a node was promoted that may turn to a dead manager"
            )
            swarm.promoted[node.id] = (guest, self._world.clock.monotonic() + PROMOTION)
        elif node.id not in swarm.raft:
            # swarmkit, manager/controlapi/node.go: so it is with those that --force-new-cluster has cast out.
            raise ExternalError(ErrorKind.NOT_FOUND, "docker", "can't find manager in raft memberlist")
        else:
            del swarm.raft[node.id]
        swarm.known_managers(self._world.clock.monotonic())
        swarm.raft_changes.append(f"{'promote' if role == 'manager' else 'demote'} {node.hostname}")
        assert swarm.raft and swarm.quorate(self._world), "a majority was lost by our hand"

    def create_network(
        self,
        name: str,
        *,
        attachable: bool,
        encrypted: bool,
        subnet: str | None,
        labels: dict[str, str],
        internal: bool = False,
        driver_opts: dict[str, str] | None = None,
    ) -> str:
        swarm = self._swarm()
        swarm.writes += 1
        assert name not in {n.name for n in swarm.networks}
        swarm.networks.append(OverlayInfo(f"net-{name}", name, "overlay", attachable, encrypted, dict(labels), internal, (subnet,) if subnet else ()))
        return f"net-{name}"

    def remove_network(self, network_id: str) -> None:
        swarm = self._swarm()
        swarm.writes += 1
        if network_id in swarm.attached:
            raise ExternalError(ErrorKind.INVALID, "docker", f"network {network_id} is in use by service s")
        swarm.networks = [n for n in swarm.networks if n.id != network_id]

    def list_services(self) -> list[dict[str, Any]]:
        swarm = self._swarm()
        attached: list[dict[str, Any]] = [{"Spec": {"TaskTemplate": {"Networks": [{"Target": n}]}}} for n in swarm.attached]
        return (
            attached
            + [
                {"ID": name, "Spec": {"Name": name, "Labels": dict(s.labels), "Mode": {"Replicated": {"Replicas": s.desired}}}}
                for name, s in swarm.services.items()
            ]
            + raw_services(swarm.demands)
        )

    def list_tasks(self, service_id: str | None = None, *, up_to_date: bool = False) -> list[dict[str, Any]]:
        swarm, now = self._swarm(), self._world.clock.monotonic()
        schedule(swarm.demands, swarm.nodes.values())
        return raw_tasks(swarm.demands) + [
            {"ServiceID": name, "NodeID": t.node, "DesiredState": "running", "Status": {"State": "running" if t in s.running(now) else "starting"}}
            for name, s in swarm.services.items()
            for t in s.tasks
        ]

    def events(self, *, timeout: float) -> Iterator[SwarmEvent | None]:
        raise AssertionError("not modelled")

    def close(self) -> None:
        return None


def wants_metadata_join(guest: Guest) -> bool:
    return "swarm_token" in guest.server.request.user_data and JOIN_TOKEN in guest.server.metadata and guest.swarm is None
