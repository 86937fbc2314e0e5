"""Pools whose number of workers follows what tasks need, in a simulated world: good, bounded, blind, and a crash at every write."""

from __future__ import annotations

from typing import Any

import pytest

from simulation.test_pools import APPS, PoolWorld
from simulator.crashes import deaths
from simulator.demand import SimDemand
from simulator.world import KEY, World, drive
from swarm_operator.domain.errors import ErrorKind, ExternalError

SCALING = {"minReplicas": 1, "maxReplicas": 3, "scaleUp": {"pendingSeconds": 20}, "scaleDownAfterSeconds": 60}
CPU = 1_000_000_000


def demand(name: str, cpus: float = 1.5, *constraints: str) -> SimDemand:
    return SimDemand(name, int(cpus * CPU), constraints or ("node.role == worker",))


@pytest.fixture(scope="module")
def settled() -> PoolWorld:
    world = PoolWorld({"workerPools": [{"name": "web", "replicas": 1, "autoscaling": SCALING}]})
    drive(world, lambda: world.ready)
    return world


@pytest.fixture
def world(settled: PoolWorld) -> PoolWorld:
    copied = settled.copy()
    assert isinstance(copied, PoolWorld)
    return copied


def web(world: World) -> list[str]:
    return [name for name in world.servers if "-web-" in name]


def run(world: World, seconds: float) -> None:
    """The operator works for so long."""
    end, controller = world.clock.monotonic() + seconds, world.controller()
    drive(world, lambda: world.clock.monotonic() >= end, controller, limit=1000)


def entry(world: World, name: str = "web") -> Any:
    return next(p for p in world.status.pools if p.name == name)


def test_tasks_that_wait_get_a_worker_and_it_goes_when_they_do(world: PoolWorld) -> None:
    world.swarm.demands += [demand("a"), demand("b")]
    run(world, 15)
    assert web(world) == ["demo-web-0"], "not before pendingSeconds"
    assert "1 tasks wait for a node: b: no suitable node" in entry(world).autoscaling.why
    run(world, 200)
    assert web(world) == ["demo-web-0", "demo-web-1"] and all(d.node for d in world.swarm.demands)
    assert world.ready and world.status.workers.summary == "2/2"
    told = [text for reason, text in world.objects.events if reason == "Scaled" and text.startswith("pool web: 1 -> 2 workers")]
    assert len(told) == 1 and "no suitable node" in told[0]
    run(world, 300)
    assert len(web(world)) == 2, "both are of use"
    assert "reserves is free nowhere else" in entry(world).autoscaling.why
    world.swarm.demands.clear()
    run(world, 45)
    assert len(web(world)) == 2, "not before scaleDownAfterSeconds"
    run(world, 150)
    assert web(world) == ["demo-web-0"] and entry(world).desired == 1
    run(world, 300)
    assert web(world) == ["demo-web-0"] and entry(world).autoscaling.why == "minReplicas"


def test_at_rest_nothing_is_written(world: PoolWorld) -> None:
    world.swarm.demands.append(demand("a"))
    run(world, 120)
    before = world.external_writes()
    run(world, 400)
    assert world.external_writes() == before


def test_a_worker_whose_tasks_fit_elsewhere_is_drained(world: PoolWorld) -> None:
    world.swarm.demands += [demand("a", 1.2), demand("b", 1.2)]
    run(world, 200)
    assert len(web(world)) == 2
    world.swarm.demands[0].cpus = int(0.5 * CPU)
    run(world, 300)
    assert web(world) == ["demo-web-0"] and all(d.node for d in world.swarm.demands)


def test_a_worker_with_a_task_that_reserves_nothing_stays(world: PoolWorld) -> None:
    world.swarm.demands += [demand("a"), demand("b")]
    run(world, 200)
    world.swarm.demands[1].cpus = 0
    run(world, 400)
    assert len(web(world)) == 2 and "reserves nothing" in entry(world).autoscaling.why


def test_the_bounds_hold(world: PoolWorld) -> None:
    world.swarm.demands += [demand(f"t{n}") for n in range(6)]
    run(world, 600)
    assert len(web(world)) == 3 and entry(world).autoscaling.why.startswith("maxReplicas reached")
    world.edit(workerPools=[{"name": "web", "replicas": 1, "autoscaling": {**SCALING, "maxReplicas": 2}}])
    run(world, 200)
    assert len(web(world)) == 2
    world.swarm.demands.clear()
    world.edit(workerPools=[{"name": "web", "replicas": 1, "autoscaling": {**SCALING, "minReplicas": 2, "maxReplicas": 4}}])
    run(world, 400)
    assert len(web(world)) == 2


@pytest.mark.parametrize("task", [demand("big", 3.0), demand("other", 1.9, "node.labels.tier == db"), demand("named", 1.9, "node.hostname == elsewhere")])
def test_tasks_that_no_worker_of_the_pool_could_run_get_none(world: PoolWorld, task: SimDemand) -> None:
    world.swarm.demands.append(task)
    run(world, 400)
    assert web(world) == ["demo-web-0"] and not task.node


def test_the_pool_whose_labels_fit_grows(world: PoolWorld) -> None:
    world.put("apps", autoscaling={**SCALING, "minReplicas": 0}, replicas=0)
    run(world, 30)
    assert not [s for s in world.servers if "-apps-" in s]
    world.swarm.demands.append(demand("a", 1.0, "node.labels.tier == apps"))
    run(world, 200)
    world.pool()
    assert [s for s in world.servers if "-apps-" in s] == ["demo-apps-0"] and len(web(world)) == 1
    assert world.told()["desiredReplicas"] == 1 and world.told()["summary"] == "1/1" and "no suitable" not in world.told()["why"]
    world.swarm.demands[0].cpus = 5 * CPU
    world.swarm.demands[0].node = ""
    run(world, 600)
    assert not [s for s in world.servers if "-apps-" in s], "its size is remembered when the last one has gone"
    world.swarm.demands.clear()
    world.drop(APPS)
    drive(world, lambda: (world.pool(), APPS not in world.objects.resources)[1])


@pytest.mark.parametrize("call", ["swarm.view", "swarm.list_tasks", "swarm.list_services", "cloud.list_servers"])
def test_what_is_not_known_takes_nobody_away(world: PoolWorld, call: str) -> None:
    world.swarm.demands += [demand("a"), demand("b")]
    run(world, 200)
    world.swarm.demands.clear()
    world.faults.errors[call] = ExternalError(ErrorKind.UNREACHABLE, call.split(".")[0].replace("cloud", "openstack").replace("swarm", "docker"), "away")
    run(world, 600)
    assert len(web(world)) == 2 and entry(world).desired == 2
    world.faults.errors.clear()
    run(world, 40)
    assert len(web(world)) == 2, "the time in which nobody looked does not count"
    run(world, 200)
    assert len(web(world)) == 1


def test_a_status_that_was_lost_takes_nobody_away(world: PoolWorld) -> None:
    world.swarm.demands += [demand("a"), demand("b")]
    run(world, 200)
    ids = [world.server(name).id for name in web(world)]
    assert len(ids) == 2
    world.lose_status()
    run(world, 200)
    assert [world.server(name).id for name in web(world)] == ids, "the very same: nobody went and came again"
    assert entry(world).desired == 2 and world.ready


def test_a_paused_cluster_scales_nothing(world: PoolWorld) -> None:
    world.edit(paused=True)
    world.swarm.demands += [demand("a"), demand("b")]
    for _ in range(30):
        world.controller().reconcile(KEY)
        world.clock.advance(30)
    assert len(web(world)) == 1 and entry(world).desired == 1


def scenario(world: PoolWorld) -> None:
    """Up, and down again; what was done before a crash is not done again."""
    if not world.swarm.demands and entry(world).autoscaling.scaled_at is None:
        world.swarm.demands += [demand("a"), demand("b")]
    if world.swarm.demands:
        drive(world, lambda: world.ready and all(d.node for d in world.swarm.demands) and len(web(world)) == 2)
        assert entry(world).desired == 2
        world.swarm.demands.clear()
    drive(world, lambda: world.ready and len(web(world)) == 1)


def test_a_crash_at_any_write_is_made_good_by_the_next_process(world: PoolWorld) -> None:
    made = len(world.cloud.servers)
    found = deaths(world, scenario)
    assert len(found) >= 8
    for point, tried in found:
        scenario(tried)
        assert web(tried) == ["demo-web-0"], point
        created = [name for name in tried.faults.calls if name == "cloud.create_server"]
        assert len(created) <= 2, point
    assert made
