"""Changing what machines are made of. The simulator itself asserts at each change of raft that no majority is lost by our hand."""

from __future__ import annotations

from typing import Any

from simulator import World, drive
from simulator.guests import SimService
from simulator.world import KEY
from swarm_operator.controllers.cluster import ClusterController
from swarm_operator.domain.cluster.template import ENGINE, TEMPLATE

NEW: dict[str, Any] = {"flavor": {"name": "small"}, "image": {"name": "trixie"}}


def workers(replicas: int, **spec: Any) -> dict[str, Any]:
    return {"workerPools": [{"name": "web", "replicas": replicas}], **spec}


def roll_workers(world: World, image: str = "trixie") -> None:
    world.edit(workerPools=[{**p, "machine": {"image": {"name": image}}} for p in world.objects.resources[KEY].spec["workerPools"]])


def images(world: World) -> set[str]:
    return {s.request.image_id for s in world.cloud.servers.values()}


def settled(world: World) -> bool:
    """Ready, and no server goes or comes."""
    return world.ready and world.status.rollout.state == "Complete" and len(world.cloud.servers) == len(world.status.nodes) == len(world.swarm.nodes)


def pace(world: World, controller: ClusterController, seconds: float) -> None:
    """Reconcile for a while."""
    until = world.clock.monotonic() + seconds
    drive(world, lambda: world.clock.monotonic() >= until, controller, limit=2000)


def started(replicas: int = 4, **spec: Any) -> tuple[World, ClusterController]:
    world = World(workers(replicas, **spec))
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    return world, controller


def test_servers_made_before_there_were_marks_are_not_replaced() -> None:
    world = World()
    drive(world, lambda: world.ready)
    for server in world.cloud.servers.values():
        del server.metadata[TEMPLATE], server.metadata[ENGINE]
    world.clock.advance(5)
    drive(world, lambda: all(TEMPLATE in s.metadata and ENGINE in s.metadata for s in world.cloud.servers.values()))
    drive(world, lambda: world.ready and all(n.up_to_date for n in world.status.nodes))
    assert world.cloud.created_servers == 2
    writes = world.external_writes()
    drive(world, lambda: world.clock.monotonic() > 1000)
    assert world.external_writes() == writes, "and nothing is written for ever"


def test_workers_are_rolled_one_beside_the_other_and_services_keep_their_tasks() -> None:
    world, controller = started()
    world.swarm.services["web"] = SimService(4)
    pace(world, controller, 60)
    most: list[int] = []
    roll_workers(world)

    def done() -> bool:
        most.append(len(world.servers))
        return settled(world) and len(images(world)) == 2

    drive(world, done, controller, limit=2000)
    assert world.servers == ["demo-manager-0", "demo-web-0-2", "demo-web-1-2", "demo-web-2-2", "demo-web-3-2"]
    assert max(most) == 6, "one beyond what is declared"
    assert world.cloud.created_servers == 9
    assert world.swarm.services["web"].lowest == 3, "the tasks of one node move at a time"
    assert {t.node for t in world.swarm.services["web"].tasks} <= set(world.swarm.nodes)
    assert all(n.up_to_date for n in world.status.nodes)


def test_without_surge_a_machine_goes_first() -> None:
    world, controller = started(3, rollout={"maxSurge": 0, "maxUnavailable": 1})
    fewest: list[int] = []
    roll_workers(world)

    def done() -> bool:
        fewest.append(sum(n.state == "ready" and n.role == "worker" and n.availability == "active" for n in world.swarm.nodes.values()))
        assert len(world.servers) <= 4
        return settled(world) and world.cloud.created_servers == 7

    drive(world, done, controller, limit=2000)
    assert min(fewest) == 2
    assert world.servers == ["demo-manager-0", "demo-web-0-2", "demo-web-1-2", "demo-web-2-2"]


def test_without_room_for_a_successor_a_rollout_waits_or_one_worker_goes_first() -> None:
    """The quota has no room for one machine more. Floors of services hold for the worker that goes first as for any other."""
    world, controller = started(2, drainTimeoutSeconds=30)
    world.cloud.cores = 2 * 3
    service = world.swarm.services["web"] = SimService(2, {"swarmops.io/min-running": "2"})
    pace(world, controller, 60)
    roll_workers(world)
    pace(world, controller, 300)
    assert world.cloud.created_servers == 3 and service.lowest == 2, "held by default"
    assert "needs 2 cores, 6 of 6 used" in world.message("MembersUpToDate")

    world.edit(rollout={"quotaFallback": "DeleteFirst"})
    pace(world, controller, 300)
    assert world.cloud.created_servers == 3 and service.lowest == 2
    assert "room in the quota: demo-web-0 can't be drained yet: service web has 2 tasks running" in world.status.rollout.message

    service.labels.clear()
    fewest: list[int] = []

    def done() -> bool:
        fewest.append(sum(n.state == "ready" and n.role == "worker" and n.availability == "active" for n in world.swarm.nodes.values()))
        assert len(world.servers) <= 3
        return settled(world) and world.cloud.created_servers == 5

    drive(world, done, controller, limit=2000)
    assert min(fewest) == 1, "one at a time"
    assert world.servers == ["demo-manager-0", "demo-web-0-2", "demo-web-1-2"]
    assert len(world.cloud.ports) == 3


def test_an_explicit_floor_holds_a_drain_back_for_as_long_as_it_takes() -> None:
    world, controller = started(2, drainTimeoutSeconds=30)
    service = world.swarm.services["web"] = SimService(2, {"swarmops.io/min-running": "2"})
    pace(world, controller, 60)
    roll_workers(world)
    pace(world, controller, 600)
    assert service.lowest == 2 and world.cloud.created_servers == 4, "a successor was made, nothing was drained"
    assert "service web has 2 tasks running" in world.status.rollout.message
    service.labels.clear()
    drive(world, lambda: settled(world) and world.cloud.created_servers == 5, controller, limit=2000)
    assert service.lowest == 1


def test_managers_are_rolled_after_the_workers_the_leader_last() -> None:
    world, controller = started(1, managers={"replicas": 3})
    last = world.swarm.nodes[world.swarm._leader].hostname
    addresses, before = dict(world.cloud.floating_ips), len(world.swarm.raft_changes)
    world.edit(machine=NEW)
    drive(world, lambda: any(c.startswith("demote") for c in world.swarm.raft_changes), controller, limit=3000)
    assert "demo-web-0-2" in world.servers and "demo-web-0" not in world.servers
    drive(world, lambda: settled(world) and images(world) == {"image:trixie"}, controller, limit=3000)
    assert world.servers == [*(f"demo-manager-{n}-2" for n in range(3)), "demo-web-0-2"]
    changes = world.swarm.raft_changes[before:]
    assert [c.split()[0] for c in changes] == ["demote", "join"] * 3 and changes[-2] == f"demote {last}"
    assert len(world.swarm.raft) == 3 and world.swarms_are_one() and world.swarms_made == 1
    assert world.cloud.floating_ips == addresses, "the endpoint stays"


def test_the_only_manager_is_left_as_it_is() -> None:
    world, controller = started(1)
    world.edit(machine=NEW)
    drive(world, lambda: world.ready and "demo-web-0-2" in world.servers and world.status.rollout.state == "Held", controller, limit=1000)
    pace(world, controller, 600)
    assert world.servers == ["demo-manager-0", "demo-web-0-2"]
    assert world.condition("MembersUpToDate") == ("False", "MachinesOutdated") and world.ready


def test_a_bad_image_halts_after_the_first_and_going_back_ends_it() -> None:
    world, controller = started(healthCheck={"nodeStartupTimeoutSeconds": 60})
    world.cloud.bad_images.add("image:broken")
    roll_workers(world, "broken")
    drive(world, lambda: world.condition("RolloutHalted")[0] == "True", controller, limit=1000)
    pace(world, controller, 2000)
    assert world.condition("MembersUpToDate") == world.condition("Ready") == ("False", "RolloutHalted")
    assert world.condition("Stalled")[0] == "True"
    assert "demo-web-0-2" in world.message("RolloutHalted")
    assert world.cloud.created_servers == 6, "one was made and is left to be looked at"
    assert sum(n.state == "ready" for n in world.swarm.nodes.values()) == 5, "everyone who served still does"
    world.edit(drainTimeoutSeconds=5)
    pace(world, controller, 120)
    assert world.condition("RolloutHalted")[0] == "True", "an edit of something else does not end it"
    roll_workers(world, "debian")
    drive(world, lambda: settled(world), controller, limit=1000)
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1", "demo-web-2", "demo-web-3"]
    assert world.cloud.created_servers == 6 and world.condition("RolloutHalted")[0] == "False"


def test_a_halted_rollout_goes_on_with_a_better_image() -> None:
    world, controller = started(2, healthCheck={"nodeStartupTimeoutSeconds": 60})
    world.cloud.bad_images.add("image:broken")
    roll_workers(world, "broken")
    drive(world, lambda: world.condition("RolloutHalted")[0] == "True", controller, limit=1000)
    roll_workers(world, "trixie")
    drive(world, lambda: settled(world) and "image:trixie" in images(world), controller, limit=2000)
    assert world.servers == ["demo-manager-0", "demo-web-0-3", "demo-web-1-2"]


def test_on_delete_only_new_machines_are_as_declared() -> None:
    world, controller = started(2, rollout={"strategy": "OnDelete"})
    roll_workers(world)
    pace(world, controller, 300)
    assert world.cloud.created_servers == 3
    assert world.condition("MembersUpToDate") == ("False", "MachinesOutdated") and world.ready
    world.delete_behind_our_back("demo-web-0")
    world.clock.advance(20)
    drive(world, lambda: world.ready and "demo-web-0-2" in world.servers and len(world.swarm.nodes) == 3, controller)
    assert {n.name: n.up_to_date for n in world.status.nodes} == {"demo-manager-0": True, "demo-web-0-2": True, "demo-web-1": False}


def test_the_canary_soaks_before_the_others_follow() -> None:
    world, controller = started(3, rollout={"canary": {"replicas": 1, "soakSeconds": 600}})
    roll_workers(world)
    pace(world, controller, 500)
    assert world.cloud.created_servers == 5 and world.status.rollout.state == "Canary"
    drive(world, lambda: settled(world) and world.cloud.created_servers == 7, controller, limit=3000)


def test_nothing_begins_outside_of_the_windows() -> None:
    world = World(workers(2, maintenanceWindows=[{"schedule": "0 3 * * *", "durationMinutes": 60}]))
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    assert world.clock.now().hour != 3
    roll_workers(world)
    pace(world, controller, 120)
    assert world.cloud.created_servers == 3 and world.condition("MembersUpToDate") == ("False", "WindowClosed") and world.ready
    drive(world, lambda: world.cloud.created_servers > 3, controller, limit=4000)
    assert world.clock.now().hour == 3
    drive(world, lambda: settled(world) and world.cloud.created_servers == 5, controller, limit=4000)


def test_rollout_after_replaces_what_is_older() -> None:
    world, controller = started(2)
    pace(world, controller, 60)
    world.edit(rollout={"after": world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")})
    drive(world, lambda: world.ready and world.cloud.created_servers == 5 and world.status.rollout.state == "Held", controller, limit=3000)
    assert world.servers == ["demo-manager-0", "demo-web-0-2", "demo-web-1-2"]


def test_a_machine_that_dies_in_the_midst_is_replaced_too() -> None:
    world, controller = started(3)
    roll_workers(world)
    drive(world, lambda: "demo-web-1-2" in world.servers, controller, limit=1000)
    world.kill(world.server("demo-web-2").id, hopeless=True)
    drive(world, lambda: settled(world) and {n.up_to_date for n in world.status.nodes} == {True}, controller, limit=3000)
    assert world.cloud.created_servers == 7


def test_an_image_that_is_not_there_is_told_and_changes_nothing() -> None:
    world, controller = started(2)
    world.cloud.missing.add("nowhere")
    roll_workers(world, "nowhere")
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "ReferenceNotFound"), controller)
    pace(world, controller, 300)
    assert world.cloud.created_servers == 3 and not world.ready and "nowhere" in world.message("MembersUpToDate")
    roll_workers(world, "debian")
    drive(world, lambda: settled(world), controller)
    assert world.cloud.created_servers == 3
