"""Three and more managers: made one by one, lost and made again, scaled. The simulator itself asserts at each change that no majority is lost by our hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from simulator import World, drive
from simulator.world import KEY

THREE: dict[str, Any] = {"managers": {"replicas": 3}}


def managers(world: World) -> list[str]:
    """Host names of the members of raft."""
    return sorted(g.server.request.name for g in world.swarm.raft.values())


def names(*slots: str) -> list[str]:
    return [f"demo-manager-{slot}" for slot in slots]


def scale(world: World, replicas: int) -> None:
    world.edit(managers={"replicas": replicas})


@pytest.fixture
def world() -> World:
    made = World(THREE)
    drive(made, lambda: made.ready)
    return made


@pytest.mark.parametrize("replicas", [3, 5, 7])
def test_managers_are_booted_together_and_joined_one_by_one(replicas: int) -> None:
    world = World({"managers": {"replicas": replicas}})
    seen: list[int] = []

    def ready() -> bool:
        members = [g.swarm for g in world.guests.values() if g.swarm is not None]
        seen.append(len(members[0].raft) if members else 0)
        return world.ready

    drive(world, ready)
    assert managers(world) == names(*map(str, range(replicas)))
    assert max(b - a for a, b in pairwise(seen)) == 1, "one change at a time"
    assert world.status.managers.summary == f"{replicas}/{replicas}"
    assert len(world.cloud.floating_ips) == replicas
    assert world.clock.monotonic() < 90, "the servers are built side by side"
    drive(world, lambda: len(world.sessions.open[KEY]) == replicas)


def test_each_manager_has_its_own_certificate_and_workers_get_all_addresses(world: World) -> None:
    guests = list(world.swarm.raft.values())
    assert len({g.listening for g in guests}) == 3 and len({g.authority for g in guests}) == 1


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_dead_manager_is_replaced_in_the_safe_order(world: World, slot: int) -> None:
    """Slot 0 leads. The dead server makes way; its successor boots on the same port; then the dead one is demoted; then the successor joins."""
    controller = world.controller()
    victim = world.server(f"demo-manager-{slot}")
    ports, addresses = dict(world.cloud.ports), dict(world.cloud.floating_ips)
    successor = f"demo-manager-{slot}-2"
    world.kill(victim.id, hopeless=True)
    changes = len(world.swarm.raft_changes)
    drive(world, lambda: successor in world.servers, controller)
    assert victim.id not in world.cloud.servers, "never two servers on one port"
    assert len(world.swarm.raft_changes) == changes, "no change of raft before the successor is up"
    assert world.server(successor).address == victim.address and world.server(successor).request.port_id == victim.request.port_id
    drive(world, lambda: world.ready and len(world.swarm.nodes) == 4, controller)
    assert world.swarm.raft_changes[changes:] == [f"demote demo-manager-{slot}", f"join {successor}"]
    assert len(managers(world)) == 3 and successor in managers(world)
    assert world.cloud.created_servers == 5
    assert world.cloud.floating_ips == addresses and world.cloud.ports.keys() == ports.keys()


def test_a_killed_manager_comes_back_by_a_reboot(world: World) -> None:
    world.kill(world.server("demo-manager-1").id)
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready)
    assert managers(world) == names("0", "1", "2") and world.cloud.created_servers == 4
    assert world.swarm.raft_changes == ["join demo-manager-0", "join demo-manager-1", "join demo-manager-2"]


def test_a_manager_deleted_behind_our_back_is_replaced(world: World) -> None:
    world.delete_behind_our_back("demo-manager-0")
    world.clock.advance(20)
    drive(world, lambda: "demo-manager-0-2" in world.servers)
    drive(world, lambda: world.ready and len(world.swarm.nodes) == 4)
    assert managers(world) == names("0-2", "1", "2")


def test_losing_each_in_turn(world: World) -> None:
    controller = world.controller()
    for slot in (0, 1, 2):
        world.kill(world.server(f"demo-manager-{slot}").id, hopeless=True)
        drive(world, lambda slot=slot: world.ready and f"demo-manager-{slot}-2" in world.servers, controller, limit=600)
        assert world.condition("ManagersQuorate")[0] == "True"
    assert managers(world) == names("0-2", "1-2", "2-2")
    assert world.swarm.id == "swarm0" and world.swarms_are_one()


def test_two_of_three_lost_is_said_and_nothing_is_touched(world: World) -> None:
    controller = world.controller()
    for slot in (0, 1):
        world.kill(world.server(f"demo-manager-{slot}").id)
    world.edit(workerPools=[{"name": "web", "replicas": 3}])
    created = world.cloud.created_servers
    for _ in range(40):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(15)
    assert world.condition("ManagersQuorate") == ("False", "QuorumLost") == world.condition("Ready")
    assert world.condition("Stalled")[0] == "True"
    assert world.cloud.created_servers == created and len(world.servers) == 4
    assert not any(c.startswith(("cloud.reboot", "cloud.delete", "host.swarm")) for c in world.faults.calls[-200:])


def test_two_of_three_gone_from_nova_is_lost(world: World) -> None:
    for slot in (0, 1):
        world.delete_behind_our_back(f"demo-manager-{slot}")
    world.clock.advance(20)
    controller = world.controller()
    for _ in range(10):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(20)
    assert world.condition("ManagersQuorate") == ("False", "QuorumLost")
    assert "demo-manager-0" in world.message("ManagersQuorate") and world.cloud.created_servers == 4


def test_scale_up_and_down() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    scale(world, 3)
    drive(world, lambda: world.ready, controller)
    assert managers(world) == names("0", "1", "2")
    scale(world, 5)
    drive(world, lambda: world.ready, controller)
    scale(world, 1)
    drive(world, lambda: world.ready and len(world.servers) == 2, controller, limit=600)
    assert managers(world) == names("0") and len(world.cloud.floating_ips) == 1 and len(world.swarm.nodes) == 2
    assert all(change.startswith("demote demo-manager-") for change in world.swarm.raft_changes[-4:])


def test_leader_goes_last() -> None:
    world = World(THREE)
    drive(world, lambda: world.ready)
    world.swarm._leader = next(i for i, g in world.swarm.raft.items() if g.server.request.name == "demo-manager-1")
    scale(world, 1)
    drive(world, lambda: world.ready and len(world.servers) == 2, limit=600)
    assert world.swarm.raft_changes[-2:] == ["demote demo-manager-2", "demote demo-manager-1"]


def test_a_manager_that_leaves_is_drained_first() -> None:
    world = World({**THREE, "drainTimeoutSeconds": 600})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-manager-2")
    world.swarm.tasks[node.id] = 1
    scale(world, 1)
    drive(world, lambda: world.swarm.nodes[node.id].availability == "drain" or len(managers(world)) == 2, controller)
    for _ in range(20):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(2)
    assert node.id in world.swarm.raft or managers(world) == names("0", "2")
    world.swarm.tasks.clear()
    drive(world, lambda: world.ready and len(world.servers) == 2, controller, limit=600)


def test_a_replacement_that_fails_to_build_leaves_the_dead_one_alone(world: World) -> None:
    controller = world.controller()
    world.kill(world.server("demo-manager-2").id, hopeless=True)
    world.cloud.build_fault = "No valid host was found."
    start = world.clock.monotonic()
    drive(world, lambda: world.clock.monotonic() - start > 600, controller, limit=2000)
    assert len(world.swarm.raft) == 3 and world.swarm.raft_changes[-1] == "join demo-manager-2"
    world.cloud.build_fault = None
    drive(world, lambda: world.ready, controller, limit=1000)
    assert len(managers(world)) == 3


def test_a_manager_demoted_by_hand_is_promoted_again(world: World) -> None:
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-manager-2")
    client = world.sessions.publish(KEY, "", world.sessions.open[KEY], world.tls()).swarm
    client.view()
    client.update_node(node.id, world.swarm.nodes[node.id].version, role="worker", availability="active", labels={})
    drive(world, lambda: len(world.swarm.raft) == 3)


def test_named_manager_is_replaced_on_request(world: World) -> None:
    port = world.server("demo-manager-0").request.port_id
    world.annotate({"swarmops.io/remediate": "demo-manager-0"})
    drive(world, lambda: world.ready and "demo-manager-0-2" in world.servers and len(world.servers) == 4, limit=600)
    assert world.swarm.raft_changes[-2:] == ["demote demo-manager-0", "join demo-manager-0-2"], "its successor takes over its port"
    assert world.server("demo-manager-0-2").request.port_id == port


def test_the_only_manager_is_never_replaced() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.annotate({"swarmops.io/remediate": "demo-manager-0"})
    for _ in range(20):
        world.tick()
        world.controller().reconcile(KEY)
        world.clock.advance(30)
    assert world.servers == ["demo-manager-0", "demo-web-0"] and world.cloud.created_servers == 2


def test_delete_with_three_managers_leaves_nothing(world: World) -> None:
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []
