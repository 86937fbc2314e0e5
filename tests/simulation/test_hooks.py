"""Lifecycle hooks, and which worker goes first when there are to be fewer."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY

DRAIN = {"name": "leave-queue", "at": "PreDrain", "timeoutSeconds": 900}
TERMINATE = {"name": "copy-logs", "at": "PreTerminate", "timeoutSeconds": 300}


def made(*hooks: dict[str, Any], **spec: Any) -> World:
    world = World({"workerPools": [{"name": "web", "replicas": 2}], "lifecycleHooks": [*hooks], **spec})
    drive(world, lambda: world.ready)
    return world


def hooks(world: World, name: str) -> list[tuple[str, str]]:
    return [(h.name, h.at) for n in world.status.nodes if n.name == name for h in n.hooks]


def pass_time(world: World, seconds: float) -> int:
    """How many reconciles that took, at the pace that the operator asks for."""
    controller, until, count = world.controller(), world.clock.monotonic() + seconds, 0

    def over() -> bool:
        nonlocal count
        count += 1
        return world.clock.monotonic() >= until

    drive(world, over, controller, limit=2000)
    return count


def drained(world: World, name: str) -> bool:
    return any(n.hostname == name and n.availability == "drain" for n in world.swarm.nodes.values())


def test_a_machine_that_goes_waits_for_both_hooks_in_turn() -> None:
    world = made(DRAIN, TERMINATE)
    world.scale(1)
    drive(world, lambda: hooks(world, "demo-web-1") == [("leave-queue", "PreDrain")])
    assert "its removal waits for leave-queue (PreDrain)" in next(n.message for n in world.status.nodes if n.name == "demo-web-1")
    assert pass_time(world, 400) < 20, "it is not looked at each second"
    assert not drained(world, "demo-web-1") and hooks(world, "demo-web-0") == []
    world.annotate({"swarmops.io/hook-done": "demo-web-0/leave-queue, demo-web-1/leave-queue"})
    drive(world, lambda: hooks(world, "demo-web-1") == [("copy-logs", "PreTerminate")])
    pass_time(world, 100)
    assert drained(world, "demo-web-1") and "demo-web-1" in world.servers
    world.annotate({"swarmops.io/hook-done": "demo-web-1/leave-queue,demo-web-1/copy-logs"})
    drive(world, lambda: world.ready and world.servers == ["demo-manager-0", "demo-web-0"])


def test_its_time_is_over_and_the_removal_goes_on() -> None:
    world = made(DRAIN, TERMINATE)
    world.scale(1)
    start = world.clock.monotonic()
    drive(world, lambda: drained(world, "demo-web-1"), limit=900)
    assert 900 <= world.clock.monotonic() - start < 960
    drive(world, lambda: world.ready and world.servers == ["demo-manager-0", "demo-web-0"], limit=900)
    assert 1200 <= world.clock.monotonic() - start < 1320


def test_hooks_hold_those_pools_only_that_they_name() -> None:
    world = made({**DRAIN, "pools": ["apps", "manager"]})
    world.scale(1)
    drive(world, lambda: world.ready and world.servers == ["demo-manager-0", "demo-web-0"])


def test_managers_wait_before_their_drain_and_before_their_end() -> None:
    world = made({**DRAIN, "pools": ["manager"]}, TERMINATE, managers={"replicas": 3})
    world.edit(managers={"replicas": 1})
    drive(world, lambda: hooks(world, "demo-manager-2") == [("leave-queue", "PreDrain")])
    pass_time(world, 60)
    assert len(world.swarm.raft) == 3
    for name in ("demo-manager-2", "demo-manager-1"):
        world.annotate({"swarmops.io/hook-done": f"{name}/leave-queue"})
        drive(world, lambda name=name: hooks(world, name) == [("copy-logs", "PreTerminate")])
        world.annotate({"swarmops.io/hook-done": f"{name}/leave-queue,{name}/copy-logs"})
        drive(world, lambda name=name: name not in world.servers)
    drive(world, lambda: world.ready and len(world.swarm.raft) == 1)


def test_a_machine_that_has_failed_is_not_held() -> None:
    world = made(DRAIN, TERMINATE)
    world.delete_behind_our_back("demo-web-1")
    world.clock.advance(20)
    drive(world, lambda: world.ready and "demo-web-1-2" in world.servers)
    assert world.clock.monotonic() < 300


def test_a_rollout_waits_for_them() -> None:
    world = made(TERMINATE)
    world.edit(workerPools=[{"name": "web", "replicas": 2, "machine": {"flavor": {"name": "other"}}}])
    drive(world, lambda: hooks(world, "demo-web-0") == [("copy-logs", "PreTerminate")])
    pass_time(world, 60)
    assert {"demo-web-0", "demo-web-0-2"} <= {*world.servers}
    world.annotate({"swarmops.io/hook-done": "demo-web-0/copy-logs,demo-web-1/copy-logs"})
    drive(world, lambda: world.ready and world.servers == ["demo-manager-0", "demo-web-0-2", "demo-web-1-2"], limit=600)


def test_the_deletion_of_the_cluster_waits_for_none() -> None:
    world = made(DRAIN, TERMINATE)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_write(lose_status: bool) -> None:
    """A hook is never cut short: where status is lost its time begins anew."""
    world = made(TERMINATE)
    world.scale(1)

    def gone(tried: World) -> None:
        drive(tried, lambda: tried.ready and tried.servers == ["demo-manager-0", "demo-web-0"] and len(tried.swarm.nodes) == 2, limit=900)

    start = world.clock.monotonic()
    found = deaths(world, gone, lose_status=lose_status)
    assert len(found) > 3
    for point, tried in found:
        gone(tried)
        assert tried.clock.monotonic() - start >= 300, point
        assert tried.cloud.created_servers == 3 and len(tried.cloud.ports) == 2, point


def pool(replicas: int, order: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "web", "replicas": replicas, "deletionOrder": order, **more}]


def aged(order: str) -> World:
    """Three workers of which that of slot 1 is the newest and that of slot 0 the oldest."""
    world = World({"workerPools": pool(3, order)})
    drive(world, lambda: world.ready)
    world.clock.advance(100)
    for name in ("demo-web-2", "demo-web-1"):
        world.delete_behind_our_back(name)
        world.clock.advance(20)
        drive(world, lambda name=name: world.ready and f"{name}-2" in world.servers)
        world.clock.advance(100)
    return world


@pytest.mark.parametrize(
    ("order", "left"),
    [
        ("HighestSlot", ["demo-web-0", "demo-web-1-2"]),
        ("Newest", ["demo-web-0", "demo-web-2-2"]),
        ("Oldest", ["demo-web-1-2", "demo-web-2-2"]),
    ],
)
def test_deletion_order(order: str, left: list[str]) -> None:
    world = aged(order)
    world.edit(workerPools=pool(2, order))
    drive(world, lambda: world.ready and len(world.servers) == 3)
    assert world.servers == ["demo-manager-0", *left]
    made = world.cloud.created_servers
    world.lose_status()
    pass_time(world, 200)
    assert world.cloud.created_servers == made and world.servers == ["demo-manager-0", *left], "a slot that is free in the middle stays so"
    world.edit(workerPools=pool(3, order))
    drive(world, lambda: world.ready and len(world.servers) == 4)
    slots = sorted(n.slot for n in world.status.nodes if n.role == "Worker")
    assert slots == [0, 1, 2], "the free slot is filled"


def test_the_named_worker_goes_first_and_naming_alone_removes_nobody() -> None:
    world = made(workerPools=pool(3, "HighestSlot"))
    world.annotate({"swarmops.io/delete-first": "demo-web-0, demo-web-9"})
    pass_time(world, 100)
    assert len(world.servers) == 4
    world.edit(workerPools=pool(2, "HighestSlot"))
    drive(world, lambda: world.ready and len(world.servers) == 3)
    assert world.servers == ["demo-manager-0", "demo-web-1", "demo-web-2"]


def test_a_worker_that_is_drained_already_is_not_exchanged_for_another() -> None:
    world = made(workerPools=pool(3, "HighestSlot"), drainTimeoutSeconds=600)
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-web-2")
    world.swarm.tasks[node.id] = 1
    world.edit(workerPools=pool(2, "HighestSlot"))
    drive(world, lambda: drained(world, "demo-web-2"))
    world.annotate({"swarmops.io/delete-first": "demo-web-0"})
    controller = world.controller()
    for _ in range(5):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(2)
    assert not drained(world, "demo-web-0")
    world.swarm.tasks.clear()
    drive(world, lambda: world.ready and len(world.servers) == 3)
    assert "demo-web-2" not in world.servers
