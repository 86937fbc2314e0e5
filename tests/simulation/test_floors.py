"""No node is drained by our own wish that takes a service below its floor: whether machines are rolled, are to be fewer, or are named by a person."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, drive
from simulator.guests import SimService, SimTask
from swarm_operator.controllers.cluster import ClusterController
from swarm_operator.domain.errors import ErrorKind, ExternalError

FLOOR = "swarmops.io/min-running"
NEW: dict[str, Any] = {"flavor": {"name": "small"}, "image": {"name": "trixie"}}


def made(managers: int = 1, workers: int = 0, *, schedulable: bool = False, **spec: Any) -> tuple[World, ClusterController]:
    pools = [{"name": "web", "replicas": workers}] if workers else []
    world = World({"managers": {"replicas": managers, "schedulable": schedulable}, "workerPools": pools, **spec})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    return world, controller


def serve(world: World, controller: ClusterController, desired: int, floor: int | None) -> SimService:
    """A service that is complete."""
    service = world.swarm.services["web"] = SimService(desired, {} if floor is None else {FLOOR: str(floor)})
    pace(world, controller, 60)
    assert service.lowest == desired
    return service


def pace(world: World, controller: ClusterController, seconds: float) -> int:
    """Reconcile for a while. How many reconciles that took, at the pace that the operator asks for."""
    until = world.clock.monotonic() + seconds
    return len(drive(world, lambda: world.clock.monotonic() >= until, controller, limit=2000))


def message(world: World, name: str) -> str:
    return next(n.message for n in world.status.nodes if n.name == name)


def drained(world: World) -> set[str]:
    return {n.hostname for n in world.swarm.nodes.values() if n.availability == "drain"}


def node(world: World, name: str) -> str:
    return next(n.id for n in world.swarm.nodes.values() if n.hostname == name)


def settled(world: World, servers: int) -> bool:
    return world.ready and len(world.cloud.servers) == len(world.status.nodes) == len(world.swarm.nodes) == servers


def test_managers_that_are_rolled_wait_for_a_floor() -> None:
    world, controller = made(3, schedulable=True)
    service = serve(world, controller, 3, 3)
    world.edit(machine=NEW)
    pace(world, controller, 600)
    assert service.lowest == 3 and drained(world) == set() and world.cloud.created_servers == 3
    told = "demo-manager-1 can't be drained yet: service web has 3 tasks running, 1 of them there, and must keep 3"
    assert world.status.rollout.state == "Waiting" and told in world.status.rollout.message
    assert world.condition("MembersUpToDate") == ("False", "RollingOut") and told in world.message("MembersUpToDate")
    service.labels[FLOOR] = "1"
    drive(world, lambda: settled(world, 3) and world.cloud.created_servers == 6, controller, limit=3000)
    assert service.lowest >= 1


def test_managers_that_are_to_be_fewer_wait_for_a_floor() -> None:
    world, controller = made(5, schedulable=True)
    service = serve(world, controller, 5, 5)
    world.edit(managers={"replicas": 3, "schedulable": True})
    assert pace(world, controller, 600) < 90, "it is not looked at each second"
    assert service.lowest == 5 and len(world.swarm.raft) == 5 and drained(world) == set()
    told = "demo-manager-4 can't be drained yet: service web has 5 tasks running, 1 of them there, and must keep 5"
    assert world.condition("MembersUpToDate") == ("False", "NodesDraining") and told in world.message("MembersUpToDate")
    assert told in message(world, "demo-manager-4")
    service.labels[FLOOR] = "3"
    drive(world, lambda: settled(world, 3), controller, limit=2000)
    assert service.lowest >= 3 and world.condition("MembersUpToDate")[0] == "True"


def test_managers_that_take_no_tasks_wait_for_nothing() -> None:
    world, controller = made(5, 1)
    service = serve(world, controller, 1, 1)
    world.edit(managers={"replicas": 3, "schedulable": False})
    drive(world, lambda: settled(world, 4), controller, limit=2000)
    assert service.lowest == 1


def test_workers_that_are_to_be_fewer_go_as_far_as_the_floor_lets_them() -> None:
    world, controller = made(1, 4)
    service = serve(world, controller, 3, 3)
    assert node(world, "demo-web-3") not in {t.node for t in service.tasks}
    world.scale(1)
    assert pace(world, controller, 600) < 120, "it is not looked at each second"
    assert service.lowest == 3 and world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1", "demo-web-2"], "the one without tasks is gone"
    told = "demo-web-2 can't be drained yet: service web has 3 tasks running, 1 of them there, and must keep 3"
    assert world.condition("MembersUpToDate") == world.condition("Ready") == ("False", "NodesDraining") and told in world.message("MembersUpToDate")
    assert told in message(world, "demo-web-2") and world.condition("Stalled")[0] == "False"
    # Its tasks run elsewhere.
    service.tasks = [SimTask(node(world, "demo-web-0"), t.since) for t in service.tasks]
    drive(world, lambda: settled(world, 2), controller)
    assert service.lowest == 3 and world.servers == ["demo-manager-0", "demo-web-0"]


def test_of_several_that_go_no_more_are_drained_than_the_floor_lets() -> None:
    world, controller = made(1, 4)
    service = serve(world, controller, 4, 2)
    world.scale(1)
    drive(world, lambda: settled(world, 2), controller)
    assert service.lowest == 2, "the third when tasks of the first two run elsewhere"


def test_a_service_that_is_scaled_to_fewer_lets_workers_go() -> None:
    world, controller = made(1, 3)
    service = serve(world, controller, 3, 3)
    world.scale(1)
    pace(world, controller, 120)
    assert len(world.servers) == 4
    service.labels[FLOOR] = "1"
    service.desired, service.tasks = 1, [t for t in service.tasks if t.node == node(world, "demo-web-0")]
    drive(world, lambda: settled(world, 2), controller)
    assert len(service.tasks) == 1 and service.tasks[0].node == node(world, "demo-web-0")


def test_workers_that_are_wanted_again_stay() -> None:
    world, controller = made(1, 3)
    service = serve(world, controller, 3, 3)
    world.scale(1)
    pace(world, controller, 120)
    world.scale(3)
    drive(world, lambda: settled(world, 4), controller)
    assert service.lowest == 3 and world.cloud.created_servers == 4


def test_a_healthy_worker_that_a_person_names_waits_for_a_floor() -> None:
    world, controller = made(1, 2)
    service = serve(world, controller, 2, 2)
    world.annotate({"swarmops.io/remediate": "demo-web-1"})
    assert pace(world, controller, 600) < 120, "it is not looked at each second"
    assert service.lowest == 2 and world.cloud.created_servers == 3 and drained(world) == {"demo-manager-0"}
    told = "demo-web-1 can't be drained yet: service web has 2 tasks running, 1 of them there, and must keep 2"
    assert world.condition("MembersUpToDate") == ("False", "NodesDraining") and told in world.message("MembersUpToDate")
    assert told in message(world, "demo-web-1")
    service.labels.clear()
    drive(world, lambda: settled(world, 3) and "demo-web-1-2" in world.servers, controller)


def test_a_healthy_manager_that_a_person_names_waits_for_a_floor() -> None:
    world, controller = made(3, schedulable=True)
    service = serve(world, controller, 3, 3)
    world.annotate({"swarmops.io/remediate": "demo-manager-2"})
    pace(world, controller, 300)
    assert service.lowest == 3 and len(world.swarm.raft) == 3 and "demo-manager-2 can't be drained yet" in world.message("MembersUpToDate")
    service.labels.clear()
    drive(world, lambda: settled(world, 3) and "demo-manager-2-2" in world.servers, controller, limit=1000)


def test_one_that_waits_for_a_floor_keeps_no_dead_machine_from_its_successor() -> None:
    """The service can only be complete again when the dead one has been replaced: whoever waits holds no part of the budget."""
    world, controller = made(1, 3)
    service = serve(world, controller, 3, 3)
    world.annotate({"swarmops.io/remediate": "demo-web-0"})
    pace(world, controller, 60)
    world.kill(world.server("demo-web-2").id, hopeless=True)
    drive(world, lambda: "demo-web-2-2" in world.servers, controller, limit=1000)
    pace(world, controller, 300)
    assert "demo-web-0" in world.servers and node(world, "demo-web-0") in {t.node for t in service.tasks}


def test_a_dead_machine_that_is_not_wanted_any_more_goes_whatever_the_floor() -> None:
    world, controller = made(1, 3)
    serve(world, controller, 3, 3)
    world.kill(world.server("demo-web-2").id, hopeless=True)
    world.clock.advance(60)
    pace(world, controller, 10)
    world.scale(2)
    drive(world, lambda: settled(world, 3), controller)
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1"]


@pytest.mark.parametrize("floor", [None, 1])
def test_without_a_floor_in_the_way_all_that_go_are_drained_at_once(floor: int | None) -> None:
    world, controller = made(1, 4)
    service = serve(world, controller, 4, floor)
    world.scale(1)
    drive(world, lambda: len(drained(world)) > 1, controller)
    assert drained(world) == {"demo-manager-0", "demo-web-1", "demo-web-2", "demo-web-3"}
    drive(world, lambda: settled(world, 2), controller)
    assert service.lowest == 1


def test_services_are_looked_at_only_where_a_node_is_to_be_drained() -> None:
    world, controller = made(1, 2)
    world.scale(1)
    drive(world, lambda: settled(world, 2), controller)
    asked = [call for call in world.faults.calls if call.endswith("list_tasks")]
    assert len(asked) == 1
    pace(world, controller, 200)
    assert [call for call in world.faults.calls if call.endswith("list_tasks")] == asked


def test_where_services_are_not_known_nothing_is_drained() -> None:
    world, controller = made(1, 2)
    world.faults.errors["swarm.list_services"] = ExternalError(ErrorKind.TRANSIENT, "docker", "broken")
    world.scale(1)
    pace(world, controller, 120)
    assert len(world.servers) == 3 and "demo-web-1 can't be drained yet: the services are not known: broken" in world.message("MembersUpToDate")
    world.faults.errors.clear()
    drive(world, lambda: settled(world, 2), controller)
