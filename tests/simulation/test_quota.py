"""A quota that is too small is seen before the cloud has to refuse, and said with the numbers."""

from __future__ import annotations

from simulator import World, drive
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.quota import Usage, shortage, taken

TWO = {"workerPools": [{"name": "web", "replicas": 2}]}


def test_too_few_cores_are_said_with_numbers_and_nothing_is_sent() -> None:
    world = World(TWO)
    world.cloud.cores = 5
    controller = world.controller()
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "QuotaExceeded") and len(world.servers) == 2, controller)
    assert "needs 2 cores, 4 of 5 used" in world.message("MembersUpToDate")
    assert "demo-web-1" in world.message("MembersUpToDate")
    assert world.cloud.created_servers == world.faults.calls.count("cloud.create_server") == 2, "the third was not even asked for"

    world.cloud.cores = 6
    drive(world, lambda: world.ready, controller)
    assert world.cloud.created_servers == 3


def test_too_few_floating_ips() -> None:
    world = World()
    world.cloud.floating_limit = 0
    controller = world.controller()
    drive(world, lambda: "needs 1 floating IPs, 0 of 0 used" in world.message("InfrastructureReady"), controller)
    assert not world.cloud.floating_ips
    world.cloud.floating_limit = 1
    drive(world, lambda: world.ready, controller)


def test_a_cloud_that_does_not_tell_is_asked_for_the_thing_itself() -> None:
    world = World(TWO)
    for call in ("get_compute_usage", "get_network_usage", "get_flavor_size"):
        world.faults.errors[f"cloud.{call}"] = ExternalError(ErrorKind.FORBIDDEN, "openstack", "policy")
    drive(world, lambda: world.ready)
    assert world.cloud.created_servers == 3


def test_shortage_names_each_resource_that_is_short() -> None:
    usage = {"cores": Usage(39, 40), "instances": Usage(9, 9), "ports": Usage(3, None)}
    assert shortage({"cores": 1, "ports": 5, "volumes": 1}, usage) is None
    assert shortage({"cores": 2, "instances": 1}, usage) == "needs 2 cores, 39 of 40 used; needs 1 instances, 9 of 9 used"
    assert taken({"cores": 1}, usage)["cores"] == Usage(40, 40)
