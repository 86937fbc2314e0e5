"""A managed network on a router of the project: connected, disconnected at the end, and otherwise let be."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.domain.cloud import Network, Router, Subnet
from swarm_operator.domain.errors import ErrorKind, ExternalError

EDGE = "router:edge"
NAMED: dict[str, Any] = {"network": {"managed": {"router": {"name": "edge"}}}}
OFFICE = Router(EDGE, "edge", "of the office", "external", ("subnet:office",))


THEIRS = ["network:office", EDGE, "subnet:office"]


@pytest.fixture
def world() -> World:
    made = World(NAMED)
    made.cloud.networks["network:office"] = Network("network:office", "office", "")
    made.cloud.subnets["subnet:office"] = Subnet("subnet:office", "office", "", "network:office", "10.30.0.0/24")
    made.cloud.routers[EDGE] = OFFICE
    return made


def ready(world: World) -> None:
    drive(world, lambda: world.ready)


def gone(world: World) -> None:
    drive(world, lambda: world.resource is None)


def test_the_subnet_hangs_on_the_router_that_is_named_and_none_is_made(world: World) -> None:
    ready(world)
    assert list(world.cloud.routers) == [EDGE] and "cloud.create_router" not in world.faults.calls
    subnet = world.status.infrastructure.subnet_id
    assert world.cloud.routers[EDGE].subnet_ids == ("subnet:office", subnet) and world.status.infrastructure.router_id == EDGE
    writes = world.external_writes()
    for _ in range(5):
        world.controller().reconcile(KEY)
        world.clock.advance(60)
    assert world.external_writes() == writes
    world.delete()
    gone(world)
    assert world.cloud.leftovers() == THEIRS and world.cloud.routers[EDGE] == OFFICE


def test_an_interface_that_is_taken_away_comes_back(world: World) -> None:
    ready(world)
    world.cloud.routers[EDGE] = OFFICE
    drive(world, lambda: len(world.cloud.routers[EDGE].subnet_ids) == 2)
    ready(world)


def test_a_router_that_is_not_there_is_told_and_nothing_is_made(world: World) -> None:
    world.cloud.missing.add("edge")
    drive(world, lambda: world.condition("Ready")[1] == "ReferenceNotFound")
    assert "router" in world.message("Ready") and world.cloud.leftovers() == THEIRS
    world.cloud.missing.clear()
    ready(world)


def test_the_router_of_somebody_else_on_the_subnet_holds_the_deletion_up(world: World) -> None:
    ready(world)
    subnet = world.status.infrastructure.subnet_id
    assert subnet is not None
    theirs = Router("router:theirs", "theirs", "", None, (subnet,))
    world.cloud.routers["router:theirs"] = theirs
    world.delete()
    drive(world, lambda: "router:theirs" in world.message("DeletionBlocked"))
    assert world.cloud.routers["router:theirs"] == theirs and subnet in world.cloud.subnets
    del world.cloud.routers["router:theirs"]
    gone(world)
    assert world.cloud.leftovers() == THEIRS


def test_what_is_abandoned_does_not_name_the_router(world: World) -> None:
    ready(world)
    world.faults.errors["cloud.list_owned_networking"] = ExternalError(ErrorKind.UNREACHABLE, "openstack", "Neutron is away")
    world.annotate({"swarmops.io/abandon": "true"})
    world.delete()
    gone(world)
    told = " ".join(text for _, text in world.objects.events)
    assert "network" in told and EDGE not in told


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_moment_of_making_and_of_deletion(world: World, lose_status: bool) -> None:
    for _, tried in deaths(world, ready, lose_status=lose_status):
        ready(tried)
        assert list(tried.cloud.routers) == [EDGE] and len(tried.cloud.routers[EDGE].subnet_ids) == 2
    ready(world)
    world.delete()
    found = deaths(world, gone, lose_status=lose_status)
    assert len(found) > 6
    for death, tried in found:
        gone(tried)
        assert tried.cloud.leftovers() == THEIRS and tried.cloud.routers[EDGE] == OFFICE, death
