"""What carries the cluster's UID and serves nothing: named at once, deleted only when asked to, after the grace, and when it is seen again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import World, deaths, drive
from simulator.world import UID
from swarm_operator.domain import times
from swarm_operator.domain.cloud import FloatingIP, KeyPair, Network, Port, Router, SecurityGroup, ServerRequest, Subnet, Volume
from swarm_operator.domain.ownership import CLUSTER_UID, description


def leak(world: World) -> None:
    """One of each kind of ours that serves nothing; beside them the like of somebody else."""
    cloud = world.cloud
    for owner, tag in ((UID, "ours"), ("f0000000-0000-0000-0000-000000000000", "foreign")):
        text = description(owner, "demo", "left")
        cloud.ports[f"port-{tag}"] = Port(f"port-{tag}", "elsewhere", "", "", (), text)
        cloud.floating_ips[f"fip-{tag}"] = FloatingIP(f"fip-{tag}", "198.51.100.250", None, text)
        cloud.groups[f"group-{tag}"] = SecurityGroup(f"group-{tag}", "swarm-demo", text)
        cloud.networks[f"network-{tag}"] = Network(f"network-{tag}", "swarm-demo", text)
        cloud.subnets[f"subnet-{tag}"] = Subnet(f"subnet-{tag}", "swarm-demo", text, f"network-{tag}", "10.99.0.0/24")
        cloud.routers[f"router-{tag}"] = Router(f"router-{tag}", "swarm-demo", text, None)
        cloud.keypairs[f"swarmops-{owner}-old"] = KeyPair(f"swarmops-{owner}-old", "ssh-ed25519 AAAA")
    cloud.volumes["volume-ours"] = Volume("volume-ours", "old", "available")


def orphans(world: World) -> list[str]:
    return sorted(o.id for o in world.status.orphans)


OURS = ["fip-ours", "group-ours", "network-ours", "port-ours", "router-ours", "subnet-ours", f"swarmops-{UID}-old", "volume-ours"]
FOREIGN = {f"{kind}-foreign" for kind in ("fip", "group", "network", "port", "router", "subnet")} | {"swarmops-f0000000-0000-0000-0000-000000000000-old"}


def leaked(**spec: object) -> World:
    world = World({"orphanGraceSeconds": 60, **spec})
    drive(world, lambda: world.ready)
    leak(world)
    return world


def test_they_are_named_and_left_alone_unless_asked() -> None:
    world = leaked()
    controller = world.controller()
    drive(world, lambda: orphans(world) == OURS, controller)
    assert world.condition("OrphansFound") == ("True", "OrphansFound")
    assert "port port-ours" in world.message("OrphansFound")
    assert world.condition("Ready")[0] == "True", "they take nothing from the swarm"
    assert len([e for e in world.objects.events if "OrphansFound" in str(e)]) == len(OURS)
    for _ in range(20):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(60)
    assert orphans(world) == OURS
    assert {*OURS, *FOREIGN} <= set(world.cloud.leftovers())
    assert len([e for e in world.objects.events if "OrphansFound" in str(e)]) == len(OURS), "one Event for each, once"


def test_they_are_deleted_after_the_grace_and_foreign_ones_stay() -> None:
    world = leaked(orphans="Delete")
    controller = world.controller()
    drive(world, lambda: "port-ours" in orphans(world), controller)
    first = next(o.first_seen for o in world.status.orphans if o.id == "port-ours")
    drive(world, lambda: "port-ours" not in world.cloud.ports, controller)
    assert 60 <= (times.age(first, world.clock.now()) or 0) <= 110
    drive(world, lambda: not set(OURS) & set(world.cloud.leftovers()), controller)
    drive(world, lambda: world.condition("OrphansFound") == ("False", "AsExpected"), controller)
    assert orphans(world) == []
    assert set(world.cloud.leftovers()) >= FOREIGN
    assert world.ready and len(world.cloud.floating_ips) == 2


def test_one_that_is_gone_or_put_to_use_meanwhile_is_forgotten() -> None:
    world = leaked(orphans="Delete")
    controller = world.controller()
    drive(world, lambda: orphans(world) == OURS, controller)
    world.cloud.ports["port-ours"] = replace(world.cloud.ports["port-ours"], device_id=world.server("demo-web-0").id)
    del world.cloud.volumes["volume-ours"]
    drive(world, lambda: orphans(world) == [], controller)
    assert "port-ours" in world.cloud.ports, "it is in use now"


def test_a_trunk_whose_port_serves_nothing_goes_before_it() -> None:
    world = leaked(orphans="Delete")
    world.cloud.trunks["trunk-ours"] = description(UID, "demo", "trunk")
    world.cloud.ports["port-ours"] = replace(world.cloud.ports["port-ours"], trunk_id="trunk-ours")
    controller = world.controller()
    drive(world, lambda: orphans(world) == sorted([*OURS, "trunk-ours"]), controller)
    assert next(o for o in world.status.orphans if o.kind == "trunk").name == "of port port-ours"
    first = next(o.first_seen for o in world.status.orphans if o.kind == "trunk")
    assert {"trunk-ours"} == set(world.cloud.trunks), "not before the grace is over"
    drive(world, lambda: "trunk-ours" not in world.cloud.trunks, controller)
    assert 60 <= (times.age(first, world.clock.now()) or 0) <= 110
    calls = [c for c in world.faults.calls if c in ("cloud.delete_trunk", "cloud.delete_port")]
    assert calls == ["cloud.delete_trunk", "cloud.delete_port"], "Neutron was not asked for the port before"
    drive(world, lambda: orphans(world) == [], controller)


def test_a_port_waits_until_the_grace_of_its_trunk_is_over() -> None:
    world = leaked(orphans="Delete")
    controller = world.controller()
    drive(world, lambda: "port-ours" in orphans(world), controller)
    world.clock.advance(40)
    world.cloud.trunks["trunk-ours"] = description(UID, "demo", "trunk")
    world.cloud.ports["port-ours"] = replace(world.cloud.ports["port-ours"], trunk_id="trunk-ours")
    drive(world, lambda: "trunk-ours" in orphans(world), controller)
    drive(world, lambda: "port-ours" not in world.cloud.ports, controller)
    assert not world.cloud.trunks and world.faults.calls.count("cloud.delete_port") == 1


def test_somebody_elses_trunk_on_a_port_that_serves_nothing_stays() -> None:
    world = leaked(orphans="Delete")
    world.cloud.trunks["theirs"] = ""
    world.cloud.ports["port-ours"] = replace(world.cloud.ports["port-ours"], trunk_id="theirs")
    controller = world.controller()
    drive(world, lambda: "trunk of somebody else" in world.message("OrphansFound"), controller)
    assert "port-ours" in world.cloud.ports and "theirs" in world.cloud.trunks
    assert world.condition("Ready")[0] == "True"
    drive(world, lambda: "volume-ours" not in world.cloud.volumes, controller)


def test_lost_status_starts_the_grace_anew() -> None:
    world = leaked(orphans="Delete", orphanGraceSeconds=600)
    controller = world.controller()
    drive(world, lambda: orphans(world) == OURS, controller)
    world.clock.advance(590)
    world.lose_status()
    drive(world, lambda: orphans(world) == OURS, world.controller())
    assert set(OURS) <= set(world.cloud.leftovers())


def test_a_server_of_our_uid_that_is_no_machine_of_ours() -> None:
    """And one of the same name as ours that carries no UID is nobody's business."""
    world = leaked(orphans="Delete")
    network, key = next(iter(world.cloud.networks)), next(iter(world.cloud.keypairs))
    request = ServerRequest("demo-web-0", "f", "i", network, key, (), {}, "")
    foreign = world.cloud.create_server(request)
    stray = world.cloud.create_server(replace(request, metadata={CLUSTER_UID: UID}))
    controller = world.controller()
    drive(world, lambda: stray in orphans(world), controller)
    drive(world, lambda: stray not in world.cloud.servers, controller)
    assert foreign in world.cloud.servers
    assert world.ready


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_call_of_a_sweep(lose_status: bool) -> None:
    def swept(world: World) -> bool:
        return not set(OURS) & set(world.cloud.leftovers()) and world.condition("OrphansFound")[0] == "False"

    found = deaths(leaked(orphans="Delete"), lambda world: drive(world, lambda: swept(world)), lose_status=lose_status)
    assert len(found) > 5
    for point, world in found:
        drive(world, lambda world=world: swept(world) and world.ready)
        assert set(world.cloud.leftovers()) >= FOREIGN, point
        assert world.cloud.created_servers == 2, point


def test_a_refused_delete_is_said_and_tried_again() -> None:
    world = leaked(orphans="Delete")
    controller = world.controller()
    drive(world, lambda: orphans(world) == OURS, controller)
    world.cloud.refuse_volume_deletes = True
    drive(world, lambda: "in use" in world.message("OrphansFound"), controller)
    assert world.condition("Ready")[0] == "True"
    assert "port-ours" not in world.cloud.ports, "one that is refused holds up no other"
    world.cloud.refuse_volume_deletes = False
    drive(world, lambda: "volume-ours" not in world.cloud.volumes, controller)


def test_deleting_the_cluster_takes_them_along() -> None:
    world = leaked()
    drive(world, lambda: orphans(world) == OURS)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert set(world.cloud.leftovers()) == FOREIGN


def test_a_volume_that_takes_its_time_to_go_is_waited_for() -> None:
    world = leaked()
    controller = world.controller()
    world.cloud.volumes["volume-ours"] = Volume("volume-ours", "old", "deleting")
    world.delete()
    drive(world, lambda: "volume-ours" in world.message("DeletionBlocked"), controller)
    assert world.resource is not None
    del world.cloud.volumes["volume-ours"]
    drive(world, lambda: world.resource is None, controller)


def test_a_router_with_an_interface_is_named_and_never_deleted() -> None:
    world = leaked(orphans="Delete")
    world.cloud.routers["router-ours"] = replace(world.cloud.routers["router-ours"], subnet_ids=("subnet-foreign",))
    controller = world.controller()
    drive(world, lambda: orphans(world) == ["router-ours"], controller, limit=200)
    for _ in range(10):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(60)
    assert orphans(world) == ["router-ours"] and "router-ours" in world.cloud.routers


def test_what_the_cluster_uses_is_no_orphan_whatever_its_description_says() -> None:
    """Its own network, made by it, named as an existing one after status was lost and the spec changed: in use all the same."""
    world = leaked(orphans="Delete")
    drive(world, lambda: orphans(world) == [], limit=800)
    network = world.status.infrastructure.network_id
    assert network is not None
    world.edit(network={"existing": {"network": {"id": network}}, "external": {"name": "public"}})
    drive(world, lambda: world.ready)
    for _ in range(10):
        world.controller().reconcile(next(iter(world.objects.resources)))
        world.clock.advance(60)
    assert network in world.cloud.networks and network not in orphans(world)
