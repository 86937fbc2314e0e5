"""Two ready nodes say to be one machine: it is told, and nothing that is ready is removed."""

from __future__ import annotations

import pytest

from simulator import World, drive
from simulator.guests import Guest
from simulator.world import KEY
from swarm_operator.domain.errors import ErrorKind, ExternalError

CLONE = "node-clone"


def cloned(name: str) -> tuple[World, Guest, Guest]:
    """Somebody boots a copy of a machine's disk elsewhere; its engine has the label, and a row of its own."""
    world = World({"managers": {"replicas": 3}})
    drive(world, lambda: world.ready)
    world.clock.advance(120)
    drive(world, lambda: world.ready)
    original = world.guests[world.server(name).id]
    clone = Guest(original.server, "ssh-ed25519 AAAA", swarm=original.swarm, node_id=CLONE)
    world.guests["clone"] = clone
    row = world.swarm.nodes[original.node_id]
    world.swarm.nodes[CLONE] = type(row)(**{**vars(row), "id": CLONE, "version": 9999, "leader": False, "reachability": ""})
    return world, original, clone


def idle(world: World, rounds: int = 12) -> None:
    controller = world.controller()
    for _ in range(rounds):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(15)


def node_of(world: World, name: str) -> str | None:
    return next(n.node_id for n in world.status.nodes if n.name == name)


def test_it_is_told_and_the_other_goes_once_it_is_down() -> None:
    world, original, clone = cloned("demo-web-0")
    idle(world)
    assert world.condition("MembersUpToDate") == ("False", "DuplicateNode") and world.condition("Stalled")[0] == "True"
    text = world.message("MembersUpToDate")
    assert CLONE in text and f"its own engine says that it is {original.node_id}" in text and "demo-web-0" in text
    assert {CLONE, original.node_id} <= set(world.swarm.nodes) and node_of(world, "demo-web-0") == original.node_id
    clone.died = world.clock.monotonic()
    drive(world, lambda: world.ready and CLONE not in world.swarm.nodes)
    assert original.node_id in world.swarm.nodes and world.cloud.created_servers == 4


def test_the_engine_of_the_machine_has_the_last_word() -> None:
    """The row that status has is the other one's."""
    world, original, other = cloned("demo-web-0")
    former = original.node_id
    original.node_id, other.node_id = CLONE, former
    idle(world)
    assert node_of(world, "demo-web-0") == CLONE and {CLONE, former} <= set(world.swarm.nodes)
    assert f"its own engine says that it is {CLONE}" in world.message("MembersUpToDate")
    other.died = world.clock.monotonic()
    drive(world, lambda: world.ready and former not in world.swarm.nodes)
    assert CLONE in world.swarm.nodes and world.cloud.created_servers == 4


def test_an_engine_that_can_not_be_asked_is_taken_for_what_it_was() -> None:
    world, original, _ = cloned("demo-web-0")
    world.faults.errors["hosts.connect"] = ExternalError(ErrorKind.UNREACHABLE, "ssh", "no answer")
    idle(world)
    assert world.condition("MembersUpToDate") == ("False", "DuplicateNode") and "can't be asked" in world.message("MembersUpToDate")
    assert node_of(world, "demo-web-0") == original.node_id and {CLONE, original.node_id} <= set(world.swarm.nodes)
    assert world.cloud.created_servers == 4


@pytest.mark.parametrize("member", [False, True])
def test_a_manager_is_not_demoted_for_it(member: bool) -> None:
    world, original, clone = cloned("demo-manager-1")
    row = world.swarm.nodes[CLONE]
    if member:
        world.swarm.raft[CLONE] = clone
    else:
        world.swarm.nodes[CLONE] = type(row)(**{**vars(row), "role": "worker"})
    before = list(world.swarm.raft_changes)
    idle(world)
    assert world.condition("MembersUpToDate") == ("False", "DuplicateNode")
    assert world.swarm.raft_changes == before and {CLONE, original.node_id} <= set(world.swarm.nodes)
    assert node_of(world, "demo-manager-1") == original.node_id
