"""Docker images on a node before it takes tasks: from another node, else from a registry; and nobody in before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.guests import Guest

APP = "registry.example/app:1"
SPEC: dict[str, Any] = {"workerPools": [{"name": "web", "replicas": 2, "machine": {"preloadImages": [APP]}}]}


def guest(world: World, name: str) -> Guest:
    return world.guests[world.server(name).id]


def availability(world: World, name: str) -> str:
    return next(n.availability for n in world.swarm.nodes.values() if n.hostname == name and n.state == "ready")


def phase(world: World, name: str) -> str:
    return next((n.phase.value for n in world.status.nodes if n.name == name), "")


def loaded(world: World) -> bool:
    return world.ready and all(APP in guest(world, f"demo-web-{slot}").images for slot in range(2))


def test_nodes_wait_drained_until_the_image_is_there_and_get_it_from_a_node() -> None:
    world = World(SPEC)
    controller = world.controller()
    drive(world, lambda: "it can't be pulled" in world.message("MembersUpToDate"), controller)
    assert world.condition("MembersUpToDate") == ("False", "ImageFailed")
    assert {availability(world, f"demo-web-{slot}") for slot in range(2)} == {"drain"}
    assert phase(world, "demo-web-0") == "Joining" and world.status.workers.ready == 0
    guest(world, "demo-manager-0").images.add(APP)
    drive(world, lambda: loaded(world), controller)
    assert world.pulls == [] and {availability(world, f"demo-web-{slot}") for slot in range(2)} == {"active"}
    assert world.status.workers.summary == "2/2"
    before = world.external_writes()
    for _ in range(3):
        world.clock.advance(400)
        controller.reconcile(next(iter(world.objects.resources)))
    assert world.external_writes() == before


def test_it_is_pulled_where_no_node_has_it() -> None:
    world = World(SPEC)
    world.registry.add(APP)
    drive(world, lambda: loaded(world))
    assert world.pulls


def test_a_new_list_is_loaded_without_a_drain_and_a_drain_by_hand_stays() -> None:
    world = World(SPEC)
    world.registry |= {APP, "other:2"}
    controller = world.controller()
    drive(world, lambda: loaded(world), controller)
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-web-0")

    world.swarm.nodes[node.id] = replace(node, availability="drain", version=node.version + 1)
    world.edit(workerPools=[{"name": "web", "replicas": 2, "machine": {"preloadImages": [APP, "other:2"]}}])
    seen: set[str] = set()

    def done() -> bool:
        seen.add(availability(world, "demo-web-1"))
        return world.ready and all("other:2" in guest(world, f"demo-web-{slot}").images for slot in range(2))

    drive(world, done, controller)
    for _ in range(3):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(60)
    assert seen == {"active"} and availability(world, "demo-web-0") == "drain"


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_call_of_the_loading(lose_status: bool) -> None:
    start = World(SPEC)
    drive(start, lambda: len(start.swarm.nodes) == 3 if any(g.swarm for g in start.guests.values()) else False)
    start.registry.add(APP)
    found = deaths(start, lambda world: drive(world, lambda: loaded(world)), lose_status=lose_status)
    assert len(found) >= 4
    for point, world in found:
        drive(world, lambda world=world: loaded(world))
        assert {availability(world, f"demo-web-{slot}") for slot in range(2)} == {"active"}, point


def test_workers_that_join_by_themselves_are_drained_before_they_are_filled() -> None:
    world = World({**SPEC, "join": "Metadata"})
    controller = world.controller()
    drive(world, lambda: "it can't be pulled" in world.message("MembersUpToDate"), controller)
    assert {availability(world, f"demo-web-{slot}") for slot in range(2)} == {"drain"}
    world.registry.add(APP)
    drive(world, lambda: loaded(world), controller)
    assert {availability(world, f"demo-web-{slot}") for slot in range(2)} == {"active"}


def test_nodes_that_work_already_are_not_drained_for_their_first_list() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    world.registry.add(APP)
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.edit(**SPEC)
    seen: set[str] = set()

    def done() -> bool:
        seen.update(availability(world, f"demo-web-{slot}") for slot in range(2))
        return loaded(world)

    drive(world, done, controller)
    assert seen == {"active"}
