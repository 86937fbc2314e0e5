"""A majority of managers that is gone for good: nothing without Nova's word, a person's approval or `mode: Auto`, and time; then the swarm comes back from the one that is left."""

from __future__ import annotations

from typing import Any

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.errors import ErrorKind, ExternalError

THREE: dict[str, Any] = {"managers": {"replicas": 3}, "recovery": {"afterSeconds": 100}}


def lost(spec: dict[str, Any]) -> World:
    """Two of three servers are deleted behind our back; status says that the quorum is lost."""
    world = World(spec)
    drive(world, lambda: world.ready and (world.status.autolock is None or world.status.autolock.key_stored))
    for slot in (1, 2):
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


def whole(world: World) -> bool:
    return world.ready and len(world.swarm.raft) == 3 == len(world.swarm.reachable(world)) and len(world.swarm.nodes) == 4


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
