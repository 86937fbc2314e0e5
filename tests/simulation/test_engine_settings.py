"""Other settings of engines that live: taken over by a reload where that is enough, by a rolling restart where it is not. The simulator itself asserts that no majority is lost by our hand."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.guests import Guest, SimService
from swarm_operator.api.engine import EngineSpec
from swarm_operator.controllers.cluster import ClusterController
from swarm_operator.domain.cluster.template import ENGINE, engine_mark

RELOAD: dict[str, Any] = {"insecureRegistries": ["registry:5000"], "labels": {"site": "a"}}
RESTART: dict[str, Any] = {"mtu": 1400}
WORKERS: dict[str, Any] = {"workerPools": [{"name": "web", "replicas": 3}]}


def started(**spec: Any) -> tuple[World, ClusterController]:
    world = World({**WORKERS, **spec})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    return world, controller


def engines(world: World) -> dict[str, Guest]:
    return {g.server.request.name: g for g in world.guests.values() if world.alive(g)}


def in_force(world: World, key: str, value: Any) -> bool:
    return all((g.in_force or g.daemon_json()).get(key) == value for g in engines(world).values())


def settled(world: World) -> bool:
    nodes = world.swarm.nodes.values()
    return (
        world.ready
        and world.status.rollout.state == "Complete"
        and all((n.availability == "active" or n.role == "manager") and n.state == "ready" for n in nodes)
    )


def pace(world: World, controller: ClusterController, seconds: float) -> None:
    until = world.clock.monotonic() + seconds
    drive(world, lambda: world.clock.monotonic() >= until, controller, limit=2000)


def test_what_is_reloaded_stops_nothing() -> None:
    world, controller = started(maintenanceWindows=[{"schedule": "0 3 29 2 *"}], rollout={"strategy": "OnDelete"})
    service = world.swarm.services["web"] = SimService(3)
    pace(world, controller, 60)
    drains = len(world.swarm.raft_changes)
    world.edit(engine=RELOAD)
    drive(world, lambda: settled(world) and in_force(world, "insecure-registries", ["registry:5000"]), controller)
    assert {g.reloads for g in engines(world).values()} == {1} and not any(g.restarts for g in engines(world).values())
    assert service.lowest == 3 and len(world.swarm.raft_changes) == drains and world.cloud.created_servers == 4
    world.edit(engine={})
    drive(world, lambda: settled(world) and in_force(world, "insecure-registries", []), controller)
    writes = world.external_writes()
    pace(world, controller, 600)
    assert world.external_writes() == writes, "and then it is over"


def test_a_restart_is_rolled_node_by_node() -> None:
    world, controller = started()
    world.swarm.services["web"] = SimService(3)
    world.swarm.nodes = {i: n if n.hostname != "demo-web-1" else n.__class__(**{**n.__dict__, "availability": "pause"}) for i, n in world.swarm.nodes.items()}
    pace(world, controller, 60)
    out: list[int] = []
    world.edit(engine=RESTART)

    def done() -> bool:
        nodes = world.swarm.nodes.values()
        out.append(sum(n.availability == "drain" or n.state != "ready" for n in nodes))
        return world.ready and in_force(world, "mtu", 1400) and not any(n.availability == "drain" for n in nodes)

    drive(world, done, controller, limit=1000)
    assert max(out) == 1
    assert {g.restarts for g in engines(world).values()} == {1} and not any(g.disturbed for g in engines(world).values())
    assert {n.hostname: n.availability for n in world.swarm.nodes.values()}["demo-web-1"] == "pause", "who was paused by somebody is paused again"
    assert world.cloud.created_servers == 4
    marks = {s.metadata[ENGINE] for s in world.cloud.servers.values()}
    assert len(marks) == 1 and all(n.up_to_date for n in world.status.nodes)
    assert not any(label.startswith("io.swarmops.engine") for n in world.swarm.nodes.values() for label in n.labels)


def test_a_service_is_never_taken_below_its_floor() -> None:
    world, controller = started(managers={"schedulable": False}, workerPools=[{"name": "web", "replicas": 2}])
    service = world.swarm.services["web"] = SimService(2, {"swarmops.io/min-running": "1"})
    pace(world, controller, 60)
    world.edit(engine=RESTART)
    pace(world, controller, 900)
    assert service.lowest == 1 and "and must keep 1" in world.status.rollout.message, (
        "swarm puts the tasks of a drained node together, and does not spread them again by itself"
    )
    service.labels.clear()
    drive(world, lambda: settled(world) and in_force(world, "mtu", 1400), controller, limit=1000)
    assert {g.restarts for g in engines(world).values()} == {1} and not any(g.disturbed for g in engines(world).values())


def test_managers_follow_the_leader_last_and_are_unlocked() -> None:
    world, controller = started(managers={"replicas": 3}, workerPools=[{"name": "web", "replicas": 1}], swarm={"autolock": True})
    drive(world, lambda: bool(world.swarm.unlock_key) and world.ready, controller)
    pace(world, controller, 60)
    leader = world.swarm.nodes[world.swarm._leader].hostname
    order: list[str] = []
    world.edit(engine=RESTART)

    def done() -> bool:
        order.extend(name for name, g in engines(world).items() if g.restarts and name not in order)
        return settled(world) and in_force(world, "mtu", 1400)

    drive(world, done, controller, limit=1000)
    assert order[0] == "demo-web-0" and order[-1] == leader and len(order) == 4
    assert {g.restarts for g in engines(world).values()} == {1}
    assert len(world.swarm.raft) == 3 and not any(g.locked for g in engines(world).values())


def test_on_delete_leaves_restarts_alone() -> None:
    world, controller = started(rollout={"strategy": "OnDelete"})
    world.edit(engine=RESTART)
    pace(world, controller, 300)
    assert not any(g.restarts for g in engines(world).values())
    assert world.status.rollout.state == "OnDelete" and "engine settings, by a restart" in world.status.rollout.message
    assert world.condition("Ready")[0] == "True" and not any(n.up_to_date for n in world.status.nodes)


def test_outside_of_a_window_no_engine_is_restarted() -> None:
    world, controller = started(maintenanceWindows=[{"schedule": "0 3 29 2 *"}])
    world.edit(engine=RESTART)
    pace(world, controller, 300)
    assert not any(g.restarts for g in engines(world).values()) and world.status.rollout.state == "Waiting"
    world.edit(maintenanceWindows=[])
    drive(world, lambda: settled(world) and in_force(world, "mtu", 1400), controller, limit=1000)


def test_refused_settings_halt_and_the_engines_run_on() -> None:
    world, controller = started()
    service = world.swarm.services["web"] = SimService(3)
    pace(world, controller, 60)
    world.edit(engine={"logDriver": "nonsense"})
    drive(world, lambda: world.status.rollout.state == "Halted", controller)
    pace(world, controller, 300)
    assert sum(g.restarts for g in engines(world).values()) == 1, "no other engine is asked"
    assert world.condition("RolloutHalted") == ("True", "RolloutHalted") and "the engine refuses them: nonsense" in world.message("RolloutHalted")
    assert in_force(world, "log-driver", None) and service.lowest == 2
    assert all(n.availability == "active" and n.state == "ready" for n in world.swarm.nodes.values()), "the drained one serves again"
    world.edit(engine={})
    drive(world, lambda: settled(world), controller)
    pace(world, controller, 300)
    assert sum(g.restarts for g in engines(world).values()) == 1
    world.edit(engine={"logDriver": "local"})
    drive(world, lambda: settled(world) and in_force(world, "log-driver", "local"), controller, limit=1000)


def test_an_upgrade_of_the_operator_restarts_nothing_that_was_declared_before() -> None:
    world, controller = started(engine=RESTART)
    old = engine_mark(EngineSpec()).replace("v2.", "v1.")
    for server in world.cloud.servers.values():
        server.metadata[ENGINE] = old
    drive(world, lambda: all(s.metadata[ENGINE].startswith("v2.") for s in world.cloud.servers.values()), controller)
    pace(world, controller, 600)
    assert not any(g.restarts for g in engines(world).values()) and settled(world) and all(n.up_to_date for n in world.status.nodes)
    world.edit(engine={"mtu": 1300})
    drive(world, lambda: settled(world) and in_force(world, "mtu", 1300), controller, limit=1000)


def test_metadata_workers_are_reached_through_a_manager() -> None:
    world, controller = started(join="Metadata")
    world.edit(engine=RESTART | RELOAD)
    drive(world, lambda: settled(world) and in_force(world, "mtu", 1400) and in_force(world, "insecure-registries", ["registry:5000"]), controller, limit=1000)


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
@pytest.mark.parametrize("engine", [RELOAD, RESTART], ids=["reload", "restart"])
def test_crash_at_every_call(engine: dict[str, Any], lose_status: bool) -> None:
    """All engines have the settings at the end, all nodes their availability, and no engine was restarted more than once more."""
    key, value = ("insecure-registries", ["registry:5000"]) if "mtu" not in engine else ("mtu", 1400)

    def finish(world: World) -> None:
        drive(world, lambda: settled(world) and in_force(world, key, value), limit=1000)

    start = World({"workerPools": [{"name": "web", "replicas": 1}]})
    drive(start, lambda: start.ready)
    start.edit(engine=engine)
    found = deaths(start, finish, lose_status=lose_status)
    assert len(found) >= 6
    for point, world in found:
        finish(world)
        assert all(g.restarts <= 2 for g in engines(world).values()), point
        assert sum(g.restarts for g in engines(world).values()) <= 4, point
        assert world.cloud.created_servers == 2, point
        writes = world.external_writes()
        pace(world, world.controller(), 200)
        assert world.external_writes() <= writes + 1, point
