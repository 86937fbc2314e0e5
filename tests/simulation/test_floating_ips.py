"""Floating IPs that the spec names, those that are let go instead of deleted, and those of workers: whoever's an address is, nothing is taken from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from simulator import World, deaths, drive
from swarm_operator.domain.cloud import FloatingIP
from swarm_operator.domain.ownership import description

GIVEN = "203.0.113.5"
OTHER = "203.0.113.6"
NO_WORKERS: dict[str, Any] = {"workerPools": []}


def given(*addresses: str, **more: Any) -> dict[str, Any]:
    return {"managers": {"floatingIP": {"addresses": list(addresses), **more}}}


def project(world: World, *addresses: str) -> None:
    """The user's own floating IPs."""
    for address in addresses:
        world.cloud.floating_ips[f"fip-{address}"] = FloatingIP(f"fip-{address}", address, None, "for the swarm")


def at(world: World, address: str) -> FloatingIP | None:
    return next((f for f in world.cloud.floating_ips.values() if f.address == address), None)


def leads_to(world: World, address: str, name: str) -> bool:
    found = at(world, address)
    return found is not None and found.port_id is not None and world.cloud.ports[found.port_id].device_id == world.server(name).id


def test_a_given_address_is_used_and_outlives_the_cluster() -> None:
    world = World({**NO_WORKERS, **given(GIVEN)})
    project(world, GIVEN)
    drive(world, lambda: world.ready)
    assert leads_to(world, GIVEN, "demo-manager-0") and len(world.cloud.floating_ips) == 1
    assert world.status.nodes[0].floating_ip == GIVEN and world.status.endpoint == f"tcp://{GIVEN}:2376"
    assert world.cloud.floating_ips[f"fip-{GIVEN}"].description == "for the swarm", "nothing is written into it"
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == [f"fip-{GIVEN}"]
    assert world.cloud.floating_ips[f"fip-{GIVEN}"] == FloatingIP(f"fip-{GIVEN}", GIVEN, None, "for the swarm")


def test_it_follows_the_slot_to_the_next_server_and_the_orphan_sweep_leaves_it() -> None:
    world = World({"managers": {"replicas": 3, "floatingIP": {"addresses": [GIVEN]}}, "workerPools": [], "orphans": "Delete", "orphanGraceSeconds": 0})
    project(world, GIVEN)
    drive(world, lambda: world.ready)
    assert len(world.cloud.floating_ips) == 3, "slots beyond the list get new ones"
    world.kill(world.server("demo-manager-0").id, hopeless=True)
    world.clock.advance(20)
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready and "demo-manager-0-2" in world.servers)
    assert leads_to(world, GIVEN, "demo-manager-0-2")
    assert len(world.cloud.floating_ips) == 3


@pytest.mark.parametrize("taken", ["port", "cluster"])
def test_an_address_of_somebody_else_is_named_and_left(taken: str) -> None:
    world = World({**NO_WORKERS, **given(GIVEN)})
    project(world, GIVEN)
    foreign = description("f0000000-0000-0000-0000-000000000000", "demo", "fip/x")
    mine = world.cloud.floating_ips[f"fip-{GIVEN}"]
    theirs = replace(mine, port_id="their-port") if taken == "port" else replace(mine, description=foreign)
    world.cloud.floating_ips[f"fip-{GIVEN}"] = theirs
    controller = world.controller()
    drive(world, lambda: world.condition("InfrastructureReady") == ("False", "AddressInUse"), controller)
    text = world.message("InfrastructureReady")
    assert text.startswith(f"spec.managers.floatingIP.addresses[0]: {GIVEN} ")
    assert ("their-port" if taken == "port" else "f0000000-0000-0000-0000-000000000000") in text
    for _ in range(5):
        controller.reconcile(world.resource.key)  # type: ignore[union-attr]
        world.tick()
        world.clock.advance(60)
    assert world.cloud.floating_ips == {f"fip-{GIVEN}": theirs}
    project(world, GIVEN)
    drive(world, lambda: world.ready and leads_to(world, GIVEN, "demo-manager-0"), controller)


def test_one_that_is_not_there_is_named() -> None:
    world = World({**NO_WORKERS, **given(GIVEN)})
    drive(world, lambda: world.condition("InfrastructureReady") == ("False", "ReferenceNotFound"))
    assert world.message("InfrastructureReady") == f"spec.managers.floatingIP.addresses[0]: the project has no floating IP {GIVEN}"
    assert not world.cloud.floating_ips
    of_pool = World({"workerPools": [{"name": "web", "floatingIP": {"enabled": True, "addresses": [GIVEN]}}]})
    drive(of_pool, lambda: of_pool.condition("InfrastructureReady") == ("False", "ReferenceNotFound"))
    assert of_pool.message("InfrastructureReady") == f"floatingIP.addresses[0] of pool web: the project has no floating IP {GIVEN}"
    drive(of_pool, lambda: len(of_pool.status.nodes) == 2 and all(n.phase == "Ready" for n in of_pool.status.nodes))


def test_one_that_was_put_to_use_since_it_was_listed_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neutron would move it without a word: it is looked at again just before."""
    world = World({**NO_WORKERS, **given(GIVEN)})
    project(world, GIVEN)
    free, theirs = world.cloud.floating_ips[f"fip-{GIVEN}"], replace(world.cloud.floating_ips[f"fip-{GIVEN}"], port_id="their-port")
    world.cloud.floating_ips[f"fip-{GIVEN}"] = theirs
    listed = type(world.cloud).list_owned_networking
    monkeypatch.setattr(type(world.cloud), "list_owned_networking", lambda self, *a: replace(listed(self, *a), other_floating_ips=(free,)))
    drive(world, lambda: world.condition("InfrastructureReady") == ("False", "AddressInUse"))
    assert "is on port their-port" in world.message("InfrastructureReady")
    assert "cloud.associate_floating_ip" not in world.faults.calls
    assert world.cloud.floating_ips[f"fip-{GIVEN}"] == theirs


def test_the_spec_moves_from_a_made_one_to_a_given_one_to_another_and_back() -> None:
    world = World(NO_WORKERS)
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    (made,) = world.cloud.floating_ips
    project(world, GIVEN, OTHER)
    world.edit(**given(GIVEN))
    drive(world, lambda: world.ready and leads_to(world, GIVEN, "demo-manager-0"), controller)
    assert made not in world.cloud.floating_ips, "the one that was made has no use any more"
    world.edit(**given(OTHER))
    drive(world, lambda: world.ready and leads_to(world, OTHER, "demo-manager-0"), controller)
    assert at(world, GIVEN) == FloatingIP(f"fip-{GIVEN}", GIVEN, None, "for the swarm")
    world.edit(**given())
    drive(world, lambda: world.ready and len(world.cloud.floating_ips) == 3 and at(world, OTHER).port_id is None, controller)  # type: ignore[union-attr]
    assert world.cloud.created_servers == 1


def test_addresses_change_places() -> None:
    world = World({"managers": {"replicas": 3, "floatingIP": {"addresses": [GIVEN, OTHER]}}, "workerPools": []})
    project(world, GIVEN, OTHER)
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.edit(managers={"replicas": 3, "floatingIP": {"addresses": [OTHER, GIVEN]}})
    drive(world, lambda: world.ready and leads_to(world, OTHER, "demo-manager-0") and leads_to(world, GIVEN, "demo-manager-1"), controller)


def test_one_that_was_made_and_is_named_later_becomes_the_users() -> None:
    world = World(NO_WORKERS)
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    (made,) = world.cloud.floating_ips.values()
    world.edit(**given(made.address))
    drive(world, lambda: world.ready and world.cloud.floating_ips[made.id].description == "", controller)
    assert world.cloud.floating_ips[made.id].port_id == made.port_id, "it stays where it is"
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == [made.id]


def test_release_leaves_addresses_in_the_project() -> None:
    world = World({"managers": {"replicas": 3, "floatingIP": {"deletionPolicy": "Release"}}, "workerPools": [], "orphans": "Delete", "orphanGraceSeconds": 0})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.edit(managers={"replicas": 1, "floatingIP": {"deletionPolicy": "Release"}})
    drive(world, lambda: world.ready and world.servers == ["demo-manager-0"], controller)
    drive(world, lambda: sum(f.description == "" and f.port_id is None for f in world.cloud.floating_ips.values()) == 2, controller)
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert [(f.port_id, f.description) for f in world.cloud.floating_ips.values()] == [(None, "")] * 3
    assert world.cloud.leftovers() == sorted(world.cloud.floating_ips)
    assert "cloud.delete_floating_ip" not in world.faults.calls


def test_workers_get_floating_ips_where_their_pool_asks() -> None:
    pool = {"name": "web", "replicas": 2, "floatingIP": {"enabled": True, "addresses": [GIVEN], "pool": {"name": "dmz"}}}
    world = World({"workerPools": [pool, {"name": "db", "replicas": 1}]})
    project(world, GIVEN)
    controller = world.controller()
    drive(world, lambda: world.ready and len(world.cloud.floating_ips) == 3, controller)
    assert leads_to(world, GIVEN, "demo-web-0")
    (made,) = [n.floating_ip for n in world.status.nodes if n.name == "demo-web-1"]
    assert made is not None and leads_to(world, made, "demo-web-1")
    assert [n.floating_ip for n in world.status.nodes if n.pool == "db"] == [None]
    world.edit(workerPools=[{**pool, "replicas": 0}, {"name": "db", "replicas": 1}])
    drive(world, lambda: world.ready and len(world.cloud.floating_ips) == 2, controller)
    assert at(world, GIVEN) == FloatingIP(f"fip-{GIVEN}", GIVEN, None, "for the swarm")


def managed(start: dict[str, Any], then: Callable[[World], object] | None, done: Callable[[World], bool]) -> None:
    """Die at every write of what follows `then`, with the status kept and lost; `done` must come all the same."""
    begun = World(start)
    project(begun, GIVEN)
    if then is not None:
        drive(begun, lambda: begun.ready)
        then(begun)
    for lose_status in (False, True):
        found = deaths(begun, lambda world: drive(world, lambda: done(world)), lose_status=lose_status)
        assert len(found) >= 3
        for point, world in found:
            drive(world, lambda world=world: done(world))
            given = at(world, GIVEN)
            assert given is not None and given.description == "for the swarm", point


def test_crash_at_every_call_while_a_given_address_is_put_on() -> None:
    managed({**NO_WORKERS, **given(GIVEN)}, None, lambda w: w.ready and leads_to(w, GIVEN, "demo-manager-0") and len(w.cloud.floating_ips) == 1)


def test_crash_at_every_call_while_a_given_one_takes_the_place_of_a_made_one() -> None:
    managed(NO_WORKERS, lambda w: w.edit(**given(GIVEN)), lambda w: w.ready and leads_to(w, GIVEN, "demo-manager-0") and len(w.cloud.floating_ips) == 1)


def test_crash_at_every_call_while_the_cluster_goes() -> None:
    start = {"managers": {"floatingIP": {"deletionPolicy": "Release"}}, "workerPools": [{"name": "web", "floatingIP": {"enabled": True, "addresses": [GIVEN]}}]}
    managed(
        start,
        lambda w: w.delete(),
        lambda w: w.resource is None and all(f.port_id is None for f in w.cloud.floating_ips.values()) and len(w.cloud.leftovers()) == 2,
    )
