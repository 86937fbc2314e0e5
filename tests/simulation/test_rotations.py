"""The managers' lock and the root CA: keys in the Secret before they are needed, former ones until nobody needs them, locked managers unlocked, rotations done exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.controllers.cluster_unlock import UnlockSecret, decoded

THREE: dict[str, Any] = {"managers": {"replicas": 3}, "healthCheck": {"nodeDownGraceSeconds": 60}, "remediation": {"rungSeconds": 40}}
SECRET = ("default", "demo-unlock-key")


def secret(world: World) -> UnlockSecret:
    found = decoded(world.objects.secrets[SECRET][1])
    assert found is not None
    return found


def safe(world: World) -> bool:
    """Autolock is on, and the key of every manager is in the Secret."""
    held = SECRET in world.objects.secrets and all(g.kek[0] in secret(world).keys for g in world.swarm.raft.values())
    return world.ready and bool(world.swarm.unlock_key) and held and secret(world).key == world.swarm.unlock_key


def locked_down(spec: dict[str, Any]) -> World:
    world = World({**spec, "swarm": {"autolock": True}})
    drive(world, lambda: safe(world))
    return world


def repairs(world: World) -> list[str]:
    return [message.split(" ")[0] for reason, message in world.objects.events if reason == "Repaired"]


@pytest.fixture
def world() -> World:
    return locked_down(THREE)


@pytest.mark.parametrize("spec", [{}, THREE], ids=["one", "three"])
def test_the_key_is_in_the_secret_and_a_rebooted_manager_is_unlocked(spec: dict[str, Any]) -> None:
    world = locked_down(spec)
    assert world.status.autolock is not None and (world.status.autolock.enabled, world.status.autolock.key_stored) == (True, True)
    assert world.objects.secrets[SECRET][0] == world.resource.uid  # type: ignore[union-attr]
    guest = world.guests[world.server("demo-manager-0").id]
    guest.restart()
    assert guest.locked
    drive(world, lambda: not guest.locked)
    drive(world, lambda: world.ready)
    assert repairs(world) == ["Unlock"] and world.cloud.created_servers == len(world.servers)


def test_all_managers_locked_at_once_are_unlocked(world: World) -> None:
    """No quorum, and not lost: nothing else is touched."""
    for guest in world.swarm.raft.values():
        guest.restart()
    seen: list[tuple[str, str]] = []

    def back() -> bool:
        seen.append(world.condition("ManagersQuorate"))
        return world.ready and not any(g.locked for g in world.guests.values())

    drive(world, back)
    assert ("False", "SwarmLocked") in seen and ("False", "QuorumLost") not in seen
    assert len(world.swarm.raft) == 3 and world.cloud.created_servers == 4


def test_the_key_is_rotated_once_and_the_former_one_forgotten_when_all_have_the_new_one(world: World) -> None:
    first = secret(world).key
    world.edit(swarm={"autolock": True, "rotateUnlockKey": "one"})
    drive(world, lambda: safe(world) and world.status.autolock.rotated_for == "one" and not secret(world).former)  # type: ignore[union-attr]
    assert world.swarm.keys_made == 2 and secret(world).key != first
    controller = world.controller()
    controller.reconcile(KEY)
    writes = world.external_writes()
    for _ in range(5):
        controller.reconcile(KEY)
        world.clock.advance(50)
    assert world.external_writes() == writes


def test_a_manager_that_was_away_during_a_rotation_is_unlocked_with_the_former_key(world: World) -> None:
    """The rotation begins with all there; one dies before it hears of it."""
    away = world.guests[world.server("demo-manager-2").id]
    client = world.sessions.publish(KEY, "", world.sessions.open[KEY], world.tls()).swarm
    away.died = world.clock.monotonic()
    client.rotate_unlock_key(client.cluster_version())  # somebody else, by `docker swarm unlock-key --rotate`
    drive(world, lambda: secret(world).key == world.swarm.unlock_key)
    assert len(secret(world).former) == 1 and away.kek[0] == secret(world).former[0]
    away.died = None
    away.restart()
    drive(world, lambda: safe(world) and not away.locked and not secret(world).former)
    assert away.kek[0] == world.swarm.unlock_key


def test_autolock_off_keeps_the_key_until_no_manager_needs_it(world: World) -> None:
    world.edit(swarm={"autolock": False})
    drive(world, lambda: world.ready and not world.swarm.unlock_key and not secret(world).keys)
    guest = world.guests[world.server("demo-manager-0").id]
    guest.restart()
    assert not guest.locked


def test_autolock_that_a_person_turned_on_is_turned_off_again() -> None:
    world = World()
    drive(world, lambda: world.ready)
    client = world.sessions.publish(KEY, "", world.sessions.open[KEY], world.tls()).swarm
    client.set_autolock(True, client.cluster_version())
    drive(world, lambda: world.ready and not world.swarm.unlock_key and not secret(world).keys)


def test_a_key_that_nobody_has_is_said(world: World) -> None:
    """A person has overwritten the Secret while all managers were down."""
    for guest in world.swarm.raft.values():
        guest.restart()
    world.objects.secrets[SECRET] = (world.objects.secrets[SECRET][0], {"unlock-key": b"SWMKEY-1-wrong"})
    drive(world, lambda: world.condition("ManagersQuorate") == ("False", "UnlockKeyMissing"))
    assert world.condition("Stalled")[0] == "True" and "2 keys" not in world.message("ManagersQuorate")
    world.objects.secrets[SECRET] = (world.objects.secrets[SECRET][0], {"unlock-key": world.swarm.unlock_key.encode()})
    drive(world, lambda: world.ready)


def test_a_foreign_secret_of_that_name_keeps_autolock_off() -> None:
    world = World({"swarm": {"autolock": True}})
    world.objects.foreign.add(SECRET)
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "NameConflict"))
    assert not world.swarm.unlock_key


def test_the_root_is_rotated_once_with_progress_and_nobody_joins_meanwhile(world: World) -> None:
    slow = world.guests[world.server("demo-web-0").id]
    world.edit(swarm={"autolock": True, "rotateCA": "one"})
    drive(world, lambda: world.swarm.root.rotating)
    slow.engine_up = False
    drive(world, lambda: world.status.authority is not None and world.status.authority.rotating)
    world.edit(swarm={"autolock": True, "rotateCA": "one", "rotateUnlockKey": "now"}, workerPools=[{"name": "web", "replicas": 2}])
    controller = world.controller()
    for _ in range(20):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(1)
    assert world.status.authority is not None
    assert (world.status.authority.nodes_renewed, world.status.authority.nodes_total) == (3, 4)
    assert "demo-web-0" in world.message("MembersUpToDate") or not world.ready
    assert world.swarm.keys_made == 1 and len(world.swarm.nodes) == 4
    slow.engine_up = True
    drive(world, lambda: safe(world) and len(world.swarm.nodes) == 5)
    assert world.swarm.root.force_rotate == 1 and world.status.authority.rotated_for == "one"
    world.edit(swarm={"autolock": True, "rotateCA": "two"})
    drive(world, lambda: world.ready and world.status.authority.rotated_for == "two")  # type: ignore[union-attr]
    assert world.swarm.root.force_rotate == 2


def test_the_root_is_not_rotated_while_a_node_is_down(world: World) -> None:
    world.kill(world.server("demo-web-0").id)
    world.clock.advance(20)
    drive(world, lambda: not world.ready)
    world.edit(swarm={"autolock": True, "rotateCA": "one"})
    controller = world.controller()
    for _ in range(5):
        controller.reconcile(KEY)
    assert world.swarm.root.force_rotate == 0
    drive(world, lambda: world.ready and world.swarm.root.force_rotate == 1)


def turned_on(world: World) -> None:
    world.edit(swarm={"autolock": True})


def key_rotated(world: World) -> None:
    world.edit(swarm={"autolock": True, "rotateUnlockKey": "one"})


def root_rotated(world: World) -> None:
    world.edit(swarm={"autolock": True, "rotateCA": "one"})


CHANGES: dict[str, tuple[dict[str, Any], Callable[[World], None], int, int]] = {
    "turn-on": ({}, turned_on, 1, 0),
    "rotate-key": ({"autolock": True}, key_rotated, 2, 0),
    "rotate-root": ({"autolock": True}, root_rotated, 1, 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_crash_at_every_call_of_a_rotation(name: str) -> None:
    """Done once, whenever the process dies; and at no moment does a manager hold a key that neither the Secret nor the swarm itself can tell."""
    before, change, keys, roots = CHANGES[name]
    start = World({**THREE, "workerPools": [], "swarm": before})
    drive(start, lambda: safe(start) if before else start.ready)
    change(start)

    def done(world: World) -> bool:
        root = world.swarm.root.force_rotate == roots and not world.swarm.root.rotating
        return safe(world) and root and not secret(world).former and not world.status.autolock.former_keys  # type: ignore[union-attr]

    found = deaths(start, lambda world: drive(world, lambda: done(world)))
    assert len(found) >= 3
    for point, world in found:
        drive(world, lambda world=world: done(world))
        assert (world.swarm.keys_made, world.swarm.root.force_rotate) == (keys, roots), point
