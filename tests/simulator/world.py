"""All parts together, and the loop that stands for the queue."""

from __future__ import annotations

import base64
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, Self

from simulator.cloud import SimCloud, SimServer, port_id
from simulator.faults import Faults, Port
from simulator.guests import CAST_OUT, DOWN_AFTER, Guest, SimHosts, SimSwarm, SimSwarmClient, wants_metadata_join
from simulator.images import SimDownloads
from simulator.objects import SimObjects
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.parse import parse_cluster
from swarm_operator.controllers.cluster import ClusterController
from swarm_operator.domain.cluster.machines import machine_spec
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import JOIN_MANAGER, JOIN_TOKEN, POOL, SLOT
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.objects import Key, Resource
from swarm_operator.ports.swarm import TlsMaterial
from swarm_operator.telemetry.requests import ObserveFailure, ignore_failure

KEY = Key("SwarmCluster", "default", "demo")
UID = "0b5d7f4e-1111-2222-3333-444455556666"
SPEC: dict[str, Any] = {
    "identityRef": {"secretName": "cloud"},
    "machine": {"flavor": {"name": "small"}, "image": {"name": "debian"}},
    "workerPools": [{"name": "web", "replicas": 1}],
}


class SimSession:
    def __init__(self, swarm: Any) -> None:
        self.swarm = swarm


class SimSessions:
    """Stands for ClusterSessions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.open: dict[Key, list[str]] = {}

    def publish(self, cluster: Key, uid: str, endpoints: list[str], tls: TlsMaterial) -> SimSession:
        self.open[cluster] = endpoints
        return SimSession(self._world.port("swarm", SimSwarmClient(self._world, endpoints, tls)))

    def drop(self, cluster: Key) -> None:
        self.open.pop(cluster, None)


class SimClouds:
    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, clouds_yaml: bytes, cloud_name: str, cacert: bytes | None) -> Any:
        return self._world.faults.call("clouds.open", lambda: self._world.port("cloud", self._world.cloud, free=frozenset({"credential_expiry"})))


class World:
    """One Kubernetes, one OpenStack project, its guests."""

    def __init__(self, spec: dict[str, Any] | None = None) -> None:
        self.clock = FakeClock()
        self.faults = Faults()
        self.inside = False
        """The operator reaches fixed addresses, as one that runs on the cluster's network does."""
        self.cloud = SimCloud(world=self)
        self.guests: dict[str, Guest] = {}
        self.objects = SimObjects()
        self.sessions = SimSessions(self)
        self.swarms_made = 0
        self.registry: set[str] = set()
        self.pulls: list[str] = []
        self.web: dict[str, bytes] = {}
        self.raft_copies: dict[str, SimSwarm] = {}
        """By the content of the archive."""
        self.copies_taken: list[str] = []
        """Names of the machines."""
        self.copies_torn = False
        """No engine starts from a copy that is taken now."""
        self.web_cut_off: set[str] = set()
        self.deleting_by_hand = False
        self.objects.secrets[("default", "cloud")] = ("user", {"clouds.yaml": b"clouds: {}"})
        self.objects.resources[KEY] = Resource(KEY, UID, 1, "0", {**SPEC, **(spec or {})}, {})

    def copy(self) -> Self:
        """Another world in the same state, which nobody looks at; the two go their own ways. They share the clock's locks, which nobody holds."""
        copied = deepcopy(self, {id(value): value for value in vars(self.clock).values() if hasattr(value, "acquire")})
        copied.faults.look = Faults().look
        return copied

    def port(self, system: str, target: object, free: frozenset[str] = frozenset()) -> Any:
        return Port(self.faults, system, target, free)

    def controller(self, observe_failure: ObserveFailure = ignore_failure) -> ClusterController:
        """A fresh process: no memory."""
        objects = self.port("kubernetes", self.objects, free=frozenset({"event"}))
        hosts = self.port("hosts", SimHosts(self))
        return ClusterController(
            objects,
            SimClouds(self),
            hosts,
            self.sessions,
            self.clock,
            guest_threads=1,
            downloads=self.port("downloads", SimDownloads(self.web, self.web_cut_off)),
            observe_failure=observe_failure,
        )

    # --- what users and fate do

    def edit(self, **spec: Any) -> None:
        found = self.objects.resources[KEY]
        self.objects.resources[KEY] = replace(found, spec={**found.spec, **spec}, generation=found.generation + 1)

    def scale(self, replicas: int) -> None:
        self.edit(workerPools=[{"name": "web", "replicas": replicas}])

    def delete(self) -> None:
        found = self.objects.resources[KEY]
        self.objects.resources[KEY] = replace(found, deleting=True, generation=found.generation + 1)
        if not found.finalizers:
            del self.objects.resources[KEY]

    def lose_status(self) -> None:
        if KEY in self.objects.resources:
            self.objects.resources[KEY] = replace(self.objects.resources[KEY], status={})

    def kill(self, server_id: str, *, hopeless: bool = False) -> None:
        """The host dies; Nova is not told. `hopeless`: no reboot brings it back."""
        guest = self.guests[server_id]
        guest.hopeless = guest.hopeless or hopeless
        guest.died = self.clock.monotonic() if guest.died is None else guest.died

    def power_off(self, name: str) -> None:
        """The guest powers itself off, and Nova sees it."""
        server = self.server(name)
        self.kill(server.id)
        server.off = True

    def delete_behind_our_back(self, name: str) -> None:
        self.deleting_by_hand = True
        self.cloud.delete_server(self.server(name).id)
        self.deleting_by_hand = False

    def annotate(self, annotations: dict[str, str]) -> None:
        self.objects.resources[KEY] = replace(self.objects.resources[KEY], annotations=annotations)

    def tls(self) -> TlsMaterial:
        """What the operator shows managers."""
        data = self.objects.secrets[("default", "demo-docker-tls")][1]
        return TlsMaterial(data["ca.pem"], data["cert.pem"], data["key.pem"])

    def swarms_are_one(self) -> bool:
        return len({id(g.swarm) for g in self.guests.values() if g.swarm is not None and self.alive(g)}) == 1

    # --- what things do by themselves

    def tick(self) -> None:
        self.cloud.tick()
        for swarm in {id(g.swarm): g.swarm for g in self.guests.values() if g.swarm is not None}.values():
            swarm.spread(self)
        for guest in self.guests.values():
            if wants_metadata_join(guest) and self.alive(guest):
                metadata = guest.server.metadata
                try:
                    self.join(guest, metadata[JOIN_MANAGER].split(","), metadata[JOIN_TOKEN])
                except ExternalError:
                    continue

    def new_guest(self, server: SimServer) -> None:
        kind = b"ssh-ed25519"
        key = f"{server.id}{server.rebuilt or ''}".encode().ljust(32, b"x")[:32]
        blob = len(kind).to_bytes(4, "big") + kind + len(key).to_bytes(4, "big") + key
        self.guests[server.id] = Guest(server, f"ssh-ed25519 {base64.b64encode(blob).decode()}")

    def alive(self, guest: Guest) -> bool:
        return guest.died is None and guest.server.id in self.cloud.servers and self.cloud.booted(guest.server)

    def reach(self, address: str, *, through: bool) -> Guest | None:
        """The living guest at an address: a floating one, or (through a jump host) a fixed one."""
        for fip in self.cloud.floating_ips.values():
            if fip.address == address and fip.port_id is not None:
                bound = [g for g in self.guests.values() if port_id(g.server) == fip.port_id and self.alive(g)]
                return bound[0] if bound else None
        found = [g for g in self.guests.values() if (through or self.inside) and g.server.address == address and self.alive(g)]
        return found[0] if found else None

    def join(self, guest: Guest, managers: list[str], token: str, *, drained: bool = False) -> None:
        if guest.swarm is not None:
            raise ExternalError(ErrorKind.CONFLICT, "docker", "already part of a swarm")
        self.check_volumes(guest)
        for address in managers:
            host, _, port = address.partition(":")
            manager = self.reach(host, through=True)
            assert port == "2377"
            swarm = manager.swarm if manager is not None else None
            if manager is not None and swarm is not None and not manager.expired and manager.node_id in swarm.raft and swarm.quorate(self):
                roles = {swarm.token("worker"): "worker", swarm.token("manager"): "manager"}
                assert not swarm.root.rotating, "a machine joined while the root CA was rotated"
                if token not in roles:
                    raise ExternalError(ErrorKind.INVALID, "docker", "invalid join token")
                if roles[token] == "manager":
                    self.check_join(swarm)
                swarm.add(guest, roles[token], drained=drained)
                return
        raise ExternalError(ErrorKind.UNREACHABLE, "docker", "no manager")

    def check_volumes(self, guest: Guest) -> None:
        """An engine joins: the volumes that the spec gives its machine must be mounted."""
        assert self.resource is not None
        spec, metadata = parse_cluster(self.resource.spec), guest.server.metadata
        for wanted in machine_spec(spec, metadata[POOL]).volumes:
            volume = self.cloud.volumes[guest.mounts[wanted.mount_path or ""]]
            assert volume.attached_to == (guest.server.id,)
            assert volume.name == f"demo-{metadata[POOL] or 'manager'}-{metadata[SLOT]}-{wanted.name}", "the volume of another slot"

    def refresh_nodes(self, swarm: SimSwarm) -> None:
        for node_id, (promoted, at) in list(swarm.promoted.items()):
            if self.clock.monotonic() >= at and self.alive(promoted) and promoted.engine_up:
                swarm.raft[node_id] = promoted
                del swarm.promoted[node_id]
        for node_id, (survivor, at) in list(swarm.cast_out.items()):
            back = self.clock.monotonic() - at >= CAST_OUT[2] and self.alive(survivor) and survivor.engine_up and not survivor.stays_out
            if back and survivor.swarm is swarm and survivor.node_id == node_id:
                swarm.raft[node_id] = survivor
                swarm.raft_changes.append(f"rejoin {survivor.server.request.name}")
                del swarm.cast_out[node_id]
        by_node = {g.node_id: g for g in self.guests.values() if g.swarm is swarm}
        leader, reachable = swarm.leader(self), swarm.reachable(self)
        for node in list(swarm.nodes.values()):
            guest = by_node.get(node.id)
            away = guest is None or not self.alive(guest) or not guest.engine_up or guest.locked or guest.expired
            if away and node.id not in swarm.away_since:
                swarm.away_since[node.id] = guest.died if guest is not None and guest.died is not None else self.clock.monotonic()
            if not away:
                swarm.away_since.pop(node.id, None)
            lost = guest is None or (away and self.clock.monotonic() - swarm.away_since[node.id] >= DOWN_AFTER)
            reach = "" if node.id not in swarm.raft else "reachable" if node.id in reachable else "unreachable"
            out_for = swarm.cast_out_for(node.id, self.clock.monotonic())
            unknown = out_for is not None and out_for < CAST_OUT[1]
            seen = replace(node, state="unknown" if unknown else "down" if lost else "ready", leader=node.id == leader, reachability=reach)
            if seen != node:
                swarm.nodes[node.id] = replace(seen, version=node.version + 1)
        swarm.schedule(self.clock.monotonic())

    def check_join(self, swarm: SimSwarm) -> None:
        """A manager joins: no member may be dead unless the majority holds without the newcomer."""
        members, reachable = len(swarm.raft), len(swarm.reachable(self))
        assert reachable == members or reachable > (members + 1) // 2, f"a manager joined while {members - reachable} of {members} were dead"

    def check_open_to_members(self, guest: Guest) -> None:
        """A node becomes a manager: the other members must get through to its port 2377."""
        port = self.cloud.ports.get(port_id(guest.server))
        groups = port.security_group_ids if port is not None else guest.server.request.security_groups
        rules = [rule for i in groups for rule in self.cloud.groups[i].rules.values()]
        assert any(rule.port_min == 2377 for rule in rules), "a node was promoted that no manager can reach"

    def check_quorum_without(self, server_id: str) -> None:
        """We take a server away for a while or for ever: the rest must keep the majority. Not when the whole cluster goes."""
        guest = self.guests[server_id]
        if self.resource is None or self.resource.deleting or guest.swarm is None or guest.node_id not in guest.swarm.raft:
            return
        rest = [i for i in guest.swarm.reachable(self) if i != guest.node_id]
        assert len(rest) * 2 > len(guest.swarm.raft), "a majority was lost by our hand"

    # --- what tests look at

    @property
    def resource(self) -> Resource | None:
        return self.objects.resources.get(KEY)

    @property
    def status(self) -> SwarmClusterStatus:
        resource = self.resource
        assert resource is not None
        return SwarmClusterStatus.model_validate(resource.status)

    def condition(self, kind: str) -> tuple[str, str]:
        """(status, reason)."""
        return next(((c.status, c.reason) for c in self.status.conditions if c.type == kind), ("", ""))

    def message(self, kind: str) -> str:
        return next((c.message for c in self.status.conditions if c.type == kind), "")

    @property
    def ready(self) -> bool:
        resource = self.resource
        return resource is not None and self.condition("Ready")[0] == "True" and self.status.observed_generation == resource.generation

    @property
    def servers(self) -> list[str]:
        """Names of servers that are not on their way out."""
        return sorted(s.request.name for s in self.cloud.servers.values() if s.deleted_at is None)

    def server(self, name: str) -> SimServer:
        return next(s for s in self.cloud.servers.values() if s.request.name == name and s.deleted_at is None)

    @property
    def swarm(self) -> SimSwarm:
        return next(g.swarm for g in self.guests.values() if g.swarm is not None and g.node_id in g.swarm.raft)

    def external_writes(self) -> int:
        swarms = {id(g.swarm): g.swarm.writes for g in self.guests.values() if g.swarm is not None}
        return self.cloud.writes + self.objects.writes + self.objects.status_writes + sum(swarms.values())


def drive(world: World, until: Callable[[], bool], controller: ClusterController | None = None, *, limit: int = 400) -> list[Outcome]:
    """Reconcile until `until`, time moving on as the outcomes say. Raises AssertionError when it takes more than `limit` reconciles."""
    controller = controller or world.controller()
    outcomes: list[Outcome] = []
    for _ in range(limit):
        world.tick()
        if until():
            return outcomes
        outcome = controller.reconcile(KEY)
        outcomes.append(outcome)
        match outcome:
            case Done():
                world.clock.advance(30)
            case After(seconds):
                world.clock.advance(max(0.1, seconds))
            case Retry(_, minimum):
                world.clock.advance(max(1.0, minimum))
    conditions = [] if world.resource is None else [(c.type, c.status, c.reason, c.message) for c in world.status.conditions]
    raise AssertionError(f"not reached in {limit} reconciles; servers {world.servers}; {conditions}; last {outcomes[-3:]}")
