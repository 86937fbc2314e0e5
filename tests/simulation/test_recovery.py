"""A majority of managers that is gone for good: nothing without Nova's word, a person's approval or `mode: Auto`, and time; then the swarm comes back from the one that is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.errors import ErrorKind, ExternalError

THREE: dict[str, Any] = {"managers": {"replicas": 3}, "recovery": {"afterSeconds": 100}}
FIVE: dict[str, Any] = {**THREE, "managers": {"replicas": 5}}


def lost(spec: dict[str, Any], slots: Sequence[int] = (1, 2)) -> World:
    """The servers of most managers are deleted behind our back; status says that the quorum is lost."""
    world = World(spec)
    drive(world, lambda: world.ready and (world.status.autolock is None or world.status.autolock.key_stored))
    for slot in slots:
        world.delete_behind_our_back(f"demo-manager-{slot}")
    world.clock.advance(20)
    drive(world, lambda: world.condition("ManagersQuorate") == ("False", "QuorumLost"))
    return world


def idle(world: World, rounds: int = 30) -> None:
    controller = world.controller()
    for _ in range(rounds):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(15)


def forced(world: World) -> list[str]:
    return [c for g in world.guests.values() if g.swarm is not None for c in g.swarm.raft_changes if c.startswith("force")]


def approve(world: World, text: str = "yes", **recovery: Any) -> None:
    world.edit(recovery={"afterSeconds": 100, "approve": text, **recovery})


def whole(world: World, managers: int = 3) -> bool:
    return world.ready and len(world.swarm.raft) == managers == len(world.swarm.reachable(world)) and len(world.swarm.nodes) == managers + 1


def test_nothing_without_an_approval_then_the_swarm_comes_back() -> None:
    world = lost(THREE)
    world.swarm.attached.append("net")
    idle(world)
    assert "spec.recovery.approve" in world.message("ManagersQuorate") and world.condition("Stalled")[0] == "True"
    assert not set(forced(world)) and world.cloud.created_servers == 4
    approve(world)
    drive(world, lambda: whole(world), limit=800)
    assert world.swarm.id == "swarm0" and world.swarms_are_one() and world.cloud.created_servers == 6
    assert world.swarm.raft_changes.count("force demo-manager-0") == 1
    recovery = world.status.recovery
    assert recovery is not None and (recovery.done_for, recovery.from_manager, recovery.services, recovery.lost_since) == ("yes", "demo-manager-0", 1, None)


def test_an_approval_is_good_once() -> None:
    world = lost(THREE)
    approve(world)
    drive(world, lambda: whole(world), limit=800)
    for name in ("demo-manager-1-2", "demo-manager-2-2"):
        world.delete_behind_our_back(name)
    world.clock.advance(20)
    idle(world)
    assert world.condition("ManagersQuorate") == ("False", "QuorumLost") and world.swarm.raft_changes.count("force demo-manager-0") == 1
    approve(world, "again")
    drive(world, lambda: whole(world), limit=800)
    assert world.swarm.raft_changes.count("force demo-manager-0") == 2


def test_auto_waits_for_its_time() -> None:
    world = lost({**THREE, "recovery": {"mode": "Auto", "afterSeconds": 300}})
    assert world.status.recovery is not None and not forced(world)
    since = world.status.recovery.lost_since
    drive(world, lambda: bool(forced(world)))
    elapsed = times.age(since, world.clock.now())
    assert elapsed is not None and 300 <= elapsed < 360
    drive(world, lambda: whole(world), limit=800)


def test_managers_that_nova_still_has_are_not_given_up() -> None:
    """Two hosts are dead and their servers are there: a person may start them, and their disks hold the swarm."""
    world = World({**THREE, "recovery": {"mode": "Auto", "afterSeconds": 30, "approve": "yes"}})
    drive(world, lambda: world.ready)
    for slot in (1, 2):
        world.kill(world.server(f"demo-manager-{slot}").id)
    idle(world)
    assert world.condition("ManagersQuorate") == ("False", "QuorumLost") and not forced(world)


def test_nothing_is_believed_of_a_nova_that_does_not_answer() -> None:
    world = lost({**THREE, "recovery": {"mode": "Auto", "afterSeconds": 100}})
    world.faults.errors["cloud.list_servers"] = ExternalError(ErrorKind.TRANSIENT, "openstack", "down", reason=Reason.CLOUD_UNREACHABLE)
    idle(world)
    assert not forced(world)
    del world.faults.errors["cloud.list_servers"]
    drive(world, lambda: whole(world), limit=800)


def test_a_silent_survivor_is_no_survivor() -> None:
    world = lost(THREE)
    world.kill(world.server("demo-manager-0").id)
    approve(world)
    idle(world)
    assert "nothing to recover" in world.message("ManagersQuorate") and world.cloud.created_servers == 4


def test_an_autolocked_swarm_is_left_to_a_person() -> None:
    """The engine ends such an attempt without a swarm (seen on 20.10)."""
    world = lost({**THREE, "swarm": {"autolock": True}})
    approve(world)
    idle(world)
    assert "autolocked" in world.message("ManagersQuorate") and not forced(world)


def test_paused_is_paused() -> None:
    world = lost({**THREE, "paused": False})
    world.edit(paused=True)
    approve(world)
    idle(world)
    assert not forced(world)


def test_crash_at_every_write_of_a_recovery() -> None:
    """The swarm is made anew at most once for an approval; where the process died between the note and the deed, a person approves again."""
    start = lost(THREE)
    approve(start)

    def recovered(world: World) -> None:
        drive(world, lambda: bool(forced(world)) and world.condition("ManagersQuorate")[0] == "True")

    found = deaths(start, recovered)
    assert len(found) >= 6
    for point, world in found:
        idle(world, 3)
        if not forced(world):
            approve(world, "once more")
        drive(world, lambda world=world: whole(world), limit=800)
        assert world.swarm.raft_changes.count("force demo-manager-0") == 1, point
        assert world.cloud.created_servers == 6, point


def test_of_five_one_is_left() -> None:
    world = lost(FIVE, (1, 2, 3, 4))
    approve(world)
    drive(world, lambda: whole(world, 5), limit=1200)
    assert world.swarms_are_one() and world.cloud.created_servers == 10 and world.swarm.raft_changes.count("force demo-manager-0") == 1


def test_of_five_two_are_left_and_the_second_comes_back_by_itself() -> None:
    """Its engine does, and its row is that of a ready manager meanwhile: the quorum is not lost for that, and neither is its server."""
    world = lost(FIVE, (1, 2, 3))
    second = world.guests[world.server("demo-manager-4").id]
    node = second.node_id
    approve(world)
    drive(world, lambda: bool(forced(world)) and world.condition("ManagersQuorate")[0] == "True")
    seen = []

    def is_whole() -> bool:
        seen.append((world.condition("ManagersQuorate"), world.swarm.nodes[node].state, node in world.swarm.raft))
        return whole(world, 5)

    drive(world, is_whole, limit=1200)
    assert (("True", "Quorum"), "ready", False) in seen and (("False", "QuorumLost"), "ready", False) not in seen
    assert second.node_id == node and "rejoin demo-manager-4" in world.swarm.raft_changes
    assert world.swarms_are_one() and world.cloud.created_servers == 9


def test_of_seven_three_are_left() -> None:
    world = lost({**THREE, "managers": {"replicas": 7}}, (0, 2, 4, 5))
    approve(world)
    drive(world, lambda: whole(world, 7), limit=1600)
    assert world.swarm.raft_changes.count("force demo-manager-1") == 1 and world.cloud.created_servers == 12
    assert {"rejoin demo-manager-3", "rejoin demo-manager-6"} <= set(world.swarm.raft_changes)


def out(spec: dict[str, Any], slots: Sequence[int], survivors: Sequence[int]) -> World:
    """Survivors whose engines do not come back by themselves."""
    world = lost(spec, slots)
    for slot in survivors:
        world.guests[world.server(f"demo-manager-{slot}").id].stays_out = True
    approve(world)
    return world


def test_a_survivor_that_stays_outside_is_joined_anew() -> None:
    world = out(FIVE, (1, 2, 3), (4,))
    second = world.guests[world.server("demo-manager-4").id]
    node = second.node_id
    drive(world, lambda: whole(world, 5), limit=1200)
    assert node not in world.swarm.nodes and second.node_id in world.swarm.raft and second.died is None
    assert "rejoin demo-manager-4" not in world.swarm.raft_changes and world.swarm.raft_changes.count("join demo-manager-4") == 2
    assert world.swarms_are_one() and world.cloud.created_servers == 9


def test_survivors_that_stay_outside_are_joined_one_at_a_time() -> None:
    world = out({**THREE, "managers": {"replicas": 7}}, (1, 2, 3, 4), (5, 6))
    drive(world, lambda: whole(world, 7), limit=1600)
    assert all(world.swarm.raft_changes.count(f"join demo-manager-{slot}") == 2 for slot in (5, 6)) and world.cloud.created_servers == 12


def test_a_survivor_that_dies_meanwhile_is_replaced() -> None:
    world = out(FIVE, (1, 2, 3), (4,))
    drive(world, lambda: bool(forced(world)))
    world.kill(world.server("demo-manager-4").id, hopeless=True)
    drive(world, lambda: whole(world, 5), limit=1600)
    assert "demo-manager-4" not in world.servers and world.cloud.created_servers == 10


@pytest.mark.parametrize("stays_out", [False, True])
def test_crash_at_every_moment_until_the_second_survivor_is_a_member_again(stays_out: bool) -> None:
    """Of the one that stays outside only the end, when it is joined anew: until then it is as with the other."""
    start = out(FIVE, (1, 2, 3), (4,) if stays_out else ())
    if stays_out:
        drive(start, lambda: bool(forced(start)))
        forced_at = start.clock.monotonic()
        drive(start, lambda: start.clock.monotonic() - forced_at > 135)
        assert start.guests[start.server("demo-manager-4").id].node_id in start.swarm.nodes

    def is_back(world: World) -> bool:
        return bool(forced(world)) and world.guests[world.server("demo-manager-4").id].node_id in world.swarm.reachable(world)

    found = deaths(start, lambda world: drive(world, lambda: is_back(world)))
    assert len(found) >= 6
    for point, world in found:
        idle(world, 3)
        if not forced(world):
            approve(world, "once more")
        drive(world, lambda world=world: is_back(world) and world.condition("ManagersQuorate")[0] == "True")
        assert world.swarm.raft_changes.count("force demo-manager-0") == 1, point
        assert world.cloud.created_servers <= 9 and "demo-manager-4" in world.servers, point


@pytest.mark.parametrize(
    ("committed", "chosen"),
    [((40, 41, 41), "demo-manager-3"), ((41, 40, 41), "demo-manager-0"), ((None, None, 7), "demo-manager-4"), ((None, None, None), "demo-manager-0")],
)
def test_the_survivor_that_knows_most_is_taken(committed: tuple[int | None, ...], chosen: str) -> None:
    """Three of seven are left: the highest commit index of their raft logs, the lowest slot among equals. A log that can't be read is no reason to take its manager."""
    world = lost({**THREE, "managers": {"replicas": 7}}, (1, 2, 5, 6))
    for slot, index in zip((0, 3, 4), committed, strict=True):
        world.guests[world.server(f"demo-manager-{slot}").id].raft_committed = index
    idle(world, 2)
    assert f"made anew from {chosen}" in world.message("ManagersQuorate")
    approve(world)
    drive(world, lambda: bool(forced(world)))
    assert set(forced(world)) == {f"force {chosen}"}
