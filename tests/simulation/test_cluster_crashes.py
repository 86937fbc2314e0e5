"""The process dies at every call of every port, before and after its effect; a new one, with or without the old status, finishes the job exactly.

A call that only reads is tried at its first three occurrences and on one side: dying before or after it is the same to the world outside, and so is the n-th poll.
Writes are tried one and all, on both sides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from simulator import Crash, World, drive
from simulator.faults import When
from simulator.world import KEY

TWO = {"workerPools": [{"name": "web", "replicas": 2}]}
READS = ("get", "list", "check", "resolve", "console", "view", "connect", "engine_info", "run", "join_token", "find", "scan")


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
    world.kill(world.server("demo-web-1").id)
    world.clock.advance(20)
    drive(world, lambda: not world.ready)
    world.clock.advance(55)


SCENARIOS = {
    "create": Scenario(TWO, nothing, ready, ("demo-manager-0", "demo-web-0", "demo-web-1"), 3),
    "create-metadata": Scenario({**TWO, "join": "Metadata"}, nothing, ready, ("demo-manager-0", "demo-web-0", "demo-web-1"), 3),
    "scale-up": Scenario({}, scaled(3), ready, ("demo-manager-0", "demo-web-0", "demo-web-1", "demo-web-2"), 4),
    "scale-down": Scenario(TWO, scaled(1), ready, ("demo-manager-0", "demo-web-0"), 3),
    "replace": Scenario(TWO, killed, lambda w: ready(w) and "demo-web-1-2" in w.servers, ("demo-manager-0", "demo-web-0", "demo-web-1-2"), 4),
    "delete": Scenario(TWO, deleted, lambda w: w.resource is None, (), 3),
}


def is_read(name: str) -> bool:
    return name.split(".")[1].startswith(READS)


def points(scenario: Scenario) -> list[tuple[int, When]]:
    """The calls of an undisturbed run at which to die."""
    world = World(scenario.spec)
    scenario.before(world)
    first = len(world.faults.calls)
    drive(world, lambda: scenario.done(world))
    found: list[tuple[int, When]] = []
    seen: Counter[str] = Counter()
    for number, name in enumerate(world.faults.calls[first:], first):
        seen[name] += 1
        if not is_read(name):
            found += [(number, "before"), (number, "after")]
        elif seen[name] <= 3:
            found.append((number, "before"))
    return found


def run(scenario: Scenario, point: tuple[int, When], lose_status: bool) -> World:
    world = World(scenario.spec)
    scenario.before(world)
    world.faults.crash_at = point
    with pytest.raises(Crash):
        drive(world, lambda: scenario.done(world))
    world.faults.crash_at = None
    if lose_status:
        world.lose_status()
    drive(world, lambda: scenario.done(world))
    return world


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_crash_at_every_call(name: str, lose_status: bool) -> None:
    scenario = SCENARIOS[name]
    found = points(scenario)
    assert len(found) > 20
    for point in found:
        world = run(scenario, point, lose_status)
        assert tuple(world.servers) == scenario.expected, point
        assert world.cloud.created_servers == scenario.creates, point
        if world.resource is None:
            assert world.cloud.leftovers() == [], point
        else:
            nodes = sorted(n.hostname for n in world.swarm.nodes.values())
            assert nodes == world.servers, point
            assert len(world.cloud.networks) == len(world.cloud.routers) == len(world.cloud.groups) == len(world.cloud.floating_ips) == 1, point


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_delete_at_every_stage_of_creation(lose_status: bool) -> None:
    for point in points(SCENARIOS["create"]):
        world = World(TWO)
        world.faults.crash_at = point
        with pytest.raises(Crash):
            drive(world, lambda world=world: world.ready)
        world.faults.crash_at = None
        if lose_status:
            world.lose_status()
        world.delete()
        drive(world, lambda world=world: world.resource is None)
        assert world.cloud.leftovers() == [], point
        assert list(world.objects.secrets) == [("default", "cloud")]


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
    assert len(world.cloud.networks) == len(world.cloud.subnets) == len(world.cloud.routers) == len(world.cloud.groups) == len(world.cloud.floating_ips) == 1
    assert len({tuple(sorted(g.rules.values(), key=repr)) for g in world.cloud.groups.values()}) == 1
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == []
    assert KEY not in world.sessions.open
