"""What the metric of steps says of a cluster's life."""

from __future__ import annotations

from collections import Counter

from simulator import World, drive
from simulator.world import SimClouds, SimHosts
from swarm_operator.controllers.cluster import ClusterController


def test_each_step_is_counted_once_and_none_at_the_fixed_point() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    seen: Counter[tuple[str, str]] = Counter()
    controller = ClusterController(
        world.objects,
        SimClouds(world),
        SimHosts(world),
        world.sessions,
        world.clock,
        guest_threads=1,
        observe_step=lambda step, result: seen.update([(step, result)]),
    )
    drive(world, lambda: world.ready, controller)
    assert seen["CreateServer", "ok"] == len(world.servers) == 3
    assert seen["JoinNode", "ok"] == 2
    before = seen.copy()
    for _ in range(3):
        world.tick()
        drive(world, lambda: world.ready, controller)
    assert seen == before
