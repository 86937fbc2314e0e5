"""The process dies at every moment of its work at which what it leaves behind differs; a new one, with or without the old status, finishes the job exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.crashes import Death
from simulator.world import KEY
from swarm_operator.domain.cloud import Network, Subnet

TWO = {"workerPools": [{"name": "web", "replicas": 2}]}


@dataclass(frozen=True)
class Scenario:
    """`before`: brings the world to the start. `expected`: servers at the end; `creates`: how many were ever created."""

    spec: dict[str, Any]
    before: Callable[[World], object]
    done: Callable[[World], bool]
    expected: tuple[str, ...]
    creates: int


def ready(world: World) -> bool:
    return world.ready and not world.status.join.token_exposed


def nothing(world: World) -> None:
    return None


def scaled(to: int) -> Callable[[World], None]:
    def start(world: World) -> None:
        drive(world, lambda: ready(world))
        world.scale(to)

    return start


def deleted(world: World) -> None:
    drive(world, lambda: ready(world))
    world.delete()


def killed(world: World) -> None:
    drive(world, lambda: ready(world))
    world.kill(world.server("demo-web-1").id, hopeless=True)
    world.clock.advance(20)
    drive(world, lambda: not world.ready)
    world.clock.advance(55)


def three(world: World) -> None:
    drive(world, lambda: ready(world))


def manager_lost(slot: int) -> Callable[[World], None]:
    def start(world: World) -> None:
        three(world)
        world.kill(world.server(f"demo-manager-{slot}").id, hopeless=True)
        world.clock.advance(20)
        drive(world, lambda: not world.ready)
        world.clock.advance(55)

    return start


def managers_to(replicas: int) -> Callable[[World], None]:
    def start(world: World) -> None:
        three(world)
        world.edit(managers={"replicas": replicas})

    return start


def whole(world: World, managers: int) -> bool:
    """Ready, and raft has as many members, all of which answer."""
    return ready(world) and len(world.swarm.raft) == managers == len(world.swarm.reachable(world)) and len(world.cloud.floating_ips) == managers


MANAGERS: dict[str, Any] = {"managers": {"replicas": 3}, "workerPools": []}
MANAGER_SCENARIOS = {
    "create-3": Scenario(MANAGERS, nothing, lambda w: whole(w, 3), ("demo-manager-0", "demo-manager-1", "demo-manager-2"), 3),
    "lose-one": Scenario(MANAGERS, manager_lost(2), lambda w: whole(w, 3), ("demo-manager-0", "demo-manager-1", "demo-manager-2-2"), 4),
    "lose-leader": Scenario(MANAGERS, manager_lost(0), lambda w: whole(w, 3), ("demo-manager-0-2", "demo-manager-1", "demo-manager-2"), 4),
    "1-to-3": Scenario({"workerPools": []}, managers_to(3), lambda w: whole(w, 3), ("demo-manager-0", "demo-manager-1", "demo-manager-2"), 3),
    "3-to-1": Scenario(MANAGERS, managers_to(1), lambda w: whole(w, 1), ("demo-manager-0",), 3),
}
LAN = {"existing": {"network": {"name": "lan"}, "subnet": {"name": "office"}}}


def lan(world: World) -> None:
    """A network with two subnets that somebody else made; the second one is to be used."""
    world.cloud.networks["network:lan"] = Network("network:lan", "lan", "")
    for name in ("guests", "office"):
        world.cloud.subnets[f"subnet:{name}"] = Subnet(f"subnet:{name}", name, "", "network:lan", "10.30.0.0/24")


def lan_killed(world: World) -> None:
    lan(world)
    killed(world)


def lan_deleted(world: World) -> None:
    lan(world)
    deleted(world)


def ports_fit(world: World) -> bool:
    """One port per server, each in use."""
    servers = {s.id for s in world.cloud.servers.values()}
    return {p.device_id for p in world.cloud.ports.values()} == servers and len(world.cloud.ports) == len(servers)


SUBNET_SCENARIOS = {
    "create-on-subnet": Scenario({**TWO, "network": LAN}, lan, lambda w: ready(w) and ports_fit(w), ("demo-manager-0", "demo-web-0", "demo-web-1"), 3),
    "replace-on-subnet": Scenario(
        {**TWO, "network": LAN},
        lan_killed,
        lambda w: ready(w) and all(w.alive(w.guests[i]) for i in w.cloud.servers) and ports_fit(w),
        ("demo-manager-0", "demo-web-0", "demo-web-1"),
        4,
    ),
    "delete-on-subnet": Scenario({**TWO, "network": LAN}, lan_deleted, lambda w: w.resource is None, (), 3),
}
SCENARIOS = {
    "create": Scenario(TWO, nothing, ready, ("demo-manager-0", "demo-web-0", "demo-web-1"), 3),
    "create-metadata": Scenario({**TWO, "join": "Metadata"}, nothing, ready, ("demo-manager-0", "demo-web-0", "demo-web-1"), 3),
    "scale-up": Scenario({}, scaled(3), ready, ("demo-manager-0", "demo-web-0", "demo-web-1", "demo-web-2"), 4),
    "scale-down": Scenario(TWO, scaled(1), ready, ("demo-manager-0", "demo-web-0"), 3),
    "replace": Scenario(TWO, killed, lambda w: ready(w) and "demo-web-1-2" in w.servers, ("demo-manager-0", "demo-web-0", "demo-web-1-2"), 4),
    "delete": Scenario(TWO, deleted, lambda w: w.resource is None, (), 3),
}


_STARTS: dict[int, World] = {}


def start_of(scenario: Scenario) -> World:
    """The world at the start of a scenario; made once, given out as copies."""
    if id(scenario) not in _STARTS:
        world = World(scenario.spec)
        scenario.before(world)
        _STARTS[id(scenario)] = world
    return _STARTS[id(scenario)].copy()


def survived(scenario: Scenario, lose_status: bool) -> list[tuple[Death, World]]:
    """What becomes of the worlds of processes that died."""

    def finish(world: World) -> None:
        drive(world, lambda: scenario.done(world))

    found = deaths(start_of(scenario), finish, lose_status=lose_status)
    for _, world in found:
        finish(world)
    return found


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_crash_at_every_call(name: str, lose_status: bool) -> None:
    scenario = SCENARIOS[name]
    found = survived(scenario, lose_status)
    assert len(found) > 4
    for point, world in found:
        assert tuple(world.servers) == scenario.expected, point
        assert world.cloud.created_servers == scenario.creates, point
        if world.resource is None:
            assert world.cloud.leftovers() == [], point
        else:
            nodes = sorted(n.hostname for n in world.swarm.nodes.values())
            assert nodes == world.servers, point
            assert len(world.cloud.networks) == len(world.cloud.routers) == len(world.cloud.floating_ips) == 1 and len(world.cloud.groups) == 2, point


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
@pytest.mark.parametrize("name", SUBNET_SCENARIOS)
def test_crash_at_every_call_with_a_port_per_machine(name: str, lose_status: bool) -> None:
    """No port is made twice or left; the network of somebody else stays as it was."""
    scenario = SUBNET_SCENARIOS[name]
    found = survived(scenario, lose_status)
    assert len(found) > 4
    for point, world in found:
        # Once server and node of the first holder are gone and status is lost, nothing tells that the slot's next holder is the second one.
        assert tuple(name.removesuffix("-2") for name in world.servers) == scenario.expected, point
        assert world.cloud.created_servers == scenario.creates, point
        assert list(world.cloud.networks) == ["network:lan"], point
        assert list(world.cloud.subnets) == ["subnet:guests", "subnet:office"], point
        assert not world.cloud.routers, point
        if world.resource is None:
            assert world.cloud.leftovers() == ["network:lan", "subnet:guests", "subnet:office"], point
        else:
            assert ports_fit(world), point
            assert world.status.infrastructure.subnet_id == "subnet:office", point


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
@pytest.mark.parametrize("name", MANAGER_SCENARIOS)
def test_crash_at_every_call_with_managers(name: str, lose_status: bool) -> None:
    """The simulator asserts at each change of raft that no majority is lost by our hand."""
    scenario = MANAGER_SCENARIOS[name]
    found = survived(scenario, lose_status)
    assert len(found) > 4
    for point, world in found:
        assert tuple(world.servers) == scenario.expected, point
        assert world.cloud.created_servers == scenario.creates, point
        assert sorted(n.hostname for n in world.swarm.nodes.values()) == world.servers, point
        assert world.swarms_made == 1, point


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_delete_at_every_stage_of_creation(lose_status: bool) -> None:
    for point, world in deaths(World(TWO), lambda world: drive(world, lambda: world.ready), lose_status=lose_status):
        world.delete()
        drive(world, lambda world=world: world.resource is None)
        assert world.cloud.leftovers() == [], point
        assert list(world.objects.secrets) == [("default", "cloud")]


@pytest.mark.parametrize("call", ["cloud.create_port", "cloud.delete_port", "cloud.create_server"])
def test_lost_answers_leave_one_port_per_machine(call: str) -> None:
    world = World({**TWO, "network": LAN})
    lan(world)
    world.faults.lose_answer_of = call
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.scale(1)
    drive(world, lambda: world.ready and ports_fit(world), controller)
    assert world.faults.lose_answer_of is None, "the fault was met"
    assert world.servers == ["demo-manager-0", "demo-web-0"]


def test_a_subnet_of_another_network_is_refused() -> None:
    world = World({**TWO, "network": {"existing": {"network": {"name": "lan"}, "subnet": {"name": "elsewhere"}}}})
    lan(world)
    drive(world, lambda: world.condition("InfrastructureReady") == ("False", "InvalidSpec"))
    assert "spec.network.existing.subnet" in world.message("InfrastructureReady")
    assert world.cloud.created_servers == 0 and not world.cloud.ports


@pytest.mark.parametrize(
    "call",
    [
        "cloud.create_network",
        "cloud.create_subnet",
        "cloud.create_router",
        "cloud.add_router_interface",
        "cloud.create_security_group",
        "cloud.create_security_rule",
        "cloud.create_keypair",
        "cloud.create_server",
        "cloud.create_floating_ip",
        "host.swarm_init",
        "host.swarm_join",
        "cloud.delete_server",
        "swarm.remove_node",
    ],
)
def test_lost_answers_make_no_second_object(call: str) -> None:
    world = World(TWO)
    world.faults.lose_answer_of = call
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.scale(1)
    drive(world, lambda: world.ready, controller)
    assert world.faults.lose_answer_of is None, "the fault was met"
    assert world.servers == ["demo-manager-0", "demo-web-0"]
    assert world.cloud.created_servers == 3
    assert len(world.cloud.networks) == len(world.cloud.subnets) == len(world.cloud.routers) == len(world.cloud.floating_ips) == 1
    assert len(world.cloud.groups) == 2 and len({tuple(sorted(g.rules.values(), key=repr)) for g in world.cloud.groups.values()}) == 2
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == []
    assert KEY not in world.sessions.open
