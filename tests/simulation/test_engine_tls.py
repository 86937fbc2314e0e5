"""Server certificates of the managers' Docker API are renewed before they end, one engine after the other."""

from __future__ import annotations

import pytest

from simulator import World, drive
from simulator.world import KEY

DAY = 86400.0


def certificates(world: World) -> dict[str, bytes | None]:
    return {g.server.request.name: g.listening for g in world.swarm.raft.values()}


@pytest.mark.parametrize("managers", [1, 3])
def test_renewed_in_time_one_at_a_time(managers: int) -> None:
    world = World({"managers": {"replicas": managers}, "swarm": {"autolock": True}})
    drive(world, lambda: world.ready and bool(world.swarm.unlock_key))
    first = certificates(world)
    ends = [n.engine_certificate_expires for n in world.status.nodes if n.role == "Manager"]
    assert all(ends), "when it ends is in the status"
    controller = world.controller()
    world.clock.advance(230 * DAY)
    for _ in range(5):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(50)
    assert certificates(world) == first, "far from the end nothing is done"
    calls = len(world.faults.calls)
    controller.reconcile(KEY)
    assert not any(c.startswith("host") for c in world.faults.calls[calls:]), "nor is a guest asked"
    world.clock.advance(20 * DAY)
    changes = []
    for _ in range(60):
        before = certificates(world)
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(2)
        changes.append(sum(before[name] != pem for name, pem in certificates(world).items()))
    assert sum(changes) == managers and max(changes) == 1
    drive(world, lambda: world.ready, controller)
    assert {n.engine_certificate_expires for n in world.status.nodes if n.role == "Manager"}.isdisjoint(ends)
    assert world.cloud.created_servers == managers + 1


def test_a_lost_status_learns_the_end_anew_without_a_restart() -> None:
    world = World()
    drive(world, lambda: world.ready)
    first = certificates(world)
    world.lose_status()
    drive(world, lambda: world.ready and all(n.engine_certificate_expires for n in world.status.nodes if n.role == "Manager"))
    assert certificates(world) == first


def test_none_while_another_manager_is_down() -> None:
    world = World({"managers": {"replicas": 3}, "remediation": {"policy": "None"}})
    drive(world, lambda: world.ready)
    world.clock.advance(250 * DAY)
    world.kill(world.server("demo-manager-2").id, hopeless=True)
    world.clock.advance(20)
    first = certificates(world)
    controller = world.controller()
    for _ in range(20):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(5)
    assert certificates(world) == first
