"""Server groups and zones against a scheduler that races as Nova's does: members that are asked for at once land on one host."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, drive
from simulator.cloud import NO_HOST
from swarm_operator.domain.errors import ErrorKind, ExternalError

MACHINE: dict[str, Any] = {"flavor": {"name": "small"}, "image": {"name": "debian"}}


def machine(**changes: Any) -> dict[str, Any]:
    return {**MACHINE, **changes}


def pool(replicas: int) -> list[dict[str, Any]]:
    return [{"name": "web", "replicas": replicas}]


def hosts(world: World, of: str) -> list[str]:
    return sorted(s.host for s in world.cloud.servers.values() if s.request.name.startswith(f"demo-{of}-") and s.deleted_at is None)


def zones(world: World, of: str) -> list[str | None]:
    return sorted(n.availability_zone or "" for n in world.status.nodes if n.name.startswith(f"demo-{of}-"))


def test_members_of_a_group_are_made_one_by_one_and_spread() -> None:
    world = World({"managers": {"replicas": 3}, "workerPools": pool(4)})
    drive(world, lambda: world.ready)
    assert len(set(hosts(world, "manager"))) == 3 and len(set(hosts(world, "web"))) == 4
    assert {g.name.rpartition("-soft")[0].rpartition("-")[2] for g in world.cloud.server_groups.values()} == {"manager", "web"}
    assert world.status.infrastructure.server_group_ids.keys() == {"manager", "web"}
    assert {n.host_id for n in world.status.nodes} == {*hosts(world, "manager"), *hosts(world, "web")}
    assert world.condition("SpreadDegraded") == ("False", "AsExpected")
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []


def test_without_a_group_they_share_a_host_and_nobody_complains() -> None:
    world = World({"managers": {"replicas": 3}, "machine": machine(serverGroup={"policy": "None"})})
    drive(world, lambda: world.ready)
    assert set(hosts(world, "manager")) == {"nova-host-0"} and not world.cloud.server_groups
    assert world.condition("SpreadDegraded")[0] == "False"


def test_managers_on_one_host_are_told_and_the_cluster_is_ready() -> None:
    world = World({"managers": {"replicas": 3}})
    drive(world, lambda: world.ready)
    for server in world.cloud.servers.values():
        server.host = "nova-host-0"
    drive(world, lambda: world.condition("SpreadDegraded") == ("True", "SpreadDegraded"))
    assert "managers: demo-manager-0, demo-manager-1, demo-manager-2 are on one host" in world.message("SpreadDegraded")
    assert world.ready


def test_no_room_for_groups_or_members_is_told_and_servers_are_made_all_the_same() -> None:
    world = World({"workerPools": pool(3)})
    world.cloud.group_limit = 0
    drive(world, lambda: world.ready)
    assert not world.cloud.server_groups and "no server group" in world.message("SpreadDegraded")
    world = World({"workerPools": pool(3)})
    world.cloud.member_limit = 2
    drive(world, lambda: world.ready)
    assert [s.request.server_group_id is None for s in world.cloud.servers.values()].count(True) == 1
    assert "full: 3 of 2 members" in world.message("SpreadDegraded")


def test_a_policy_that_was_asked_for_is_not_given_up() -> None:
    world = World({"machine": machine(serverGroup={"policy": "AntiAffinity"})})
    world.cloud.group_limit = 0
    drive(world, lambda: world.condition("InfrastructureReady") == ("False", "QuotaExceeded"))
    assert "needs 1 server groups, 0 of 0 used" in world.message("InfrastructureReady") and not world.cloud.servers
    world.cloud.group_limit = None
    drive(world, lambda: world.ready)
    assert {g.policy for g in world.cloud.server_groups.values()} == {"anti-affinity"}


def test_a_cloud_that_forbids_server_groups() -> None:
    world = World()
    world.faults.errors["cloud.list_server_groups"] = ExternalError(ErrorKind.FORBIDDEN, "openstack", "policy does not allow it")
    drive(world, lambda: world.ready)
    assert not world.cloud.server_groups and "policy does not allow it" in world.message("SpreadDegraded")
    world.delete()
    drive(world, lambda: world.resource is None)


def test_another_policy_is_another_group_and_the_former_one_goes_with_its_members() -> None:
    world = World({"workerPools": pool(1)})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    former = {g.id for g in world.cloud.server_groups.values()}
    world.edit(machine=machine(serverGroup={"policy": "AntiAffinity"}))
    drive(world, lambda: len(world.cloud.server_groups) == 4, controller)
    drive(world, lambda: world.ready and "demo-web-0-2" in world.servers, controller, limit=800)
    world.clock.advance(400)
    drive(world, lambda: len(world.cloud.server_groups) == 3, controller)
    assert len(former & world.cloud.server_groups.keys()) == 1, "the manager is still in its group"


@pytest.mark.parametrize("call", ["cloud.create_server_group", "cloud.create_port", "cloud.create_server"])
def test_lost_answers_leave_one_group_per_pool(call: str) -> None:
    world = World({"workerPools": pool(2)})
    controller = world.controller()
    world.faults.lose_answer_of = call
    drive(world, lambda: world.ready, controller)
    assert world.faults.lose_answer_of is None, "the fault was met"
    assert len(world.cloud.server_groups) == 2 and world.cloud.created_servers == 3 and len(world.cloud.ports) == 3


def test_servers_are_spread_over_zones() -> None:
    world = World({"managers": {"replicas": 3}, "workerPools": pool(4), "machine": machine(availabilityZones=["a", "b"])})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    assert zones(world, "manager") == ["a", "a", "b"] and zones(world, "web") == ["a", "a", "b", "b"]
    world.kill(world.server("demo-web-1").id, hopeless=True)
    drive(world, lambda: world.ready and "demo-web-1-2" in world.servers, controller, limit=800)
    assert zones(world, "web") == ["a", "a", "b", "b"], "the successor is where its predecessor was missed"


def test_a_full_subnet_is_no_reason_for_another_zone_or_flavor() -> None:
    world = World({"workerPools": pool(1), "machine": machine(availabilityZones=["a"], fallbackZones=["c"])})
    drive(world, lambda: world.ready)
    world.edit(workerPools=pool(2))
    world.cloud.subnet_full = True
    controller = world.controller()
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "AddressesExhausted"), controller)
    refused = next(n for n in world.status.nodes if n.name == "demo-web-1")
    assert refused.phase == "Failed" and refused.message.startswith("AddressesExhausted: ")
    assert "No more IP addresses" in world.message("MembersUpToDate")
    asked = world.faults.calls.count("cloud.create_port")
    for _ in range(6):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(4)
    assert world.faults.calls.count("cloud.create_port") <= asked + 1, "it is left alone for a while"
    world.cloud.subnet_full = False
    drive(world, lambda: world.ready and len(world.servers) == 3, controller)
    assert "c" not in zones(world, "web")
    assert not any(n.zones_tried for n in world.status.nodes)


def test_a_full_zone_is_passed_over_and_fallback_zones_come_last() -> None:
    world = World({"workerPools": pool(1), "machine": machine(availabilityZones=["a", "b"], fallbackZones=["c"])})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.cloud.full_zones = {"a", "b"}
    world.edit(workerPools=pool(2))
    drive(world, lambda: world.condition("Ready") == ("False", "NoCapacity"), controller)
    assert NO_HOST.split(".")[0] in world.message("Ready")
    drive(world, lambda: world.ready, controller, limit=1500)
    assert "c" in zones(world, "web") and "servers in fallback zone c" in world.message("SpreadDegraded")
    tried = [s.request.availability_zone for s in world.cloud.servers.values() if "web-1" in s.request.name]
    assert tried == ["c"]
    assert all(not n.zones_tried for n in world.status.nodes), "a machine of the slot is ready"
    world.cloud.full_zones = {"a", "b", "c"}
    world.edit(workerPools=pool(3))
    start = world.clock.monotonic()
    drive(world, lambda: world.clock.monotonic() - start > 900, controller, limit=3000)
    world.cloud.full_zones = {"a", "c"}
    drive(world, lambda: world.ready, controller, limit=3000)
    assert "b" in zones(world, "web"), "all zones are open again after the last"
