"""Ports of machines as the spec declares them: kept with their slot, made anew where they are asked for otherwise, and gone with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY, UID
from swarm_operator.domain.cloud import FloatingIP, Network, Port
from swarm_operator.domain.ownership import JOIN_ADVERTISE, part_of

STORAGE: dict[str, Any] = {
    "name": "storage",
    "network": {"name": "san"},
    "fixedIPs": [{"subnet": {"name": "san-servers"}, "ipAddress": "192.0.2.10"}],
    "securityGroups": [],
    "allowedAddressPairs": [{"ipAddress": "192.0.2.200"}],
    "vnicType": "normal",
    "valueSpecs": [{"key": "qos_policy_id", "value": "gold"}],
}


def pool(*ports: dict[str, Any], replicas: int = 1, **more: Any) -> dict[str, Any]:
    return {"workerPools": [{"name": "web", "replicas": replicas, "machine": {"ports": list(ports)}}], **more}


def world_with(spec: dict[str, Any]) -> World:
    world = World(spec)
    world.cloud.networks["network:san"] = Network("network:san", "san", "")
    return world


def ports_of(world: World, name: str) -> list[Port]:
    """In the order in which the server has them."""
    request = world.server(name).request
    assert request.port_id is not None
    return [world.cloud.ports[i] for i in (request.port_id, *request.further_port_ids)]


def test_managers_with_several_ports_make_the_swarm_on_the_first() -> None:
    """The simulated guests fail a join or an init with another address."""
    machine = {"ports": [{"name": "main"}, {"name": "admin", "network": {"name": "san"}}]}
    world = world_with({"managers": {"replicas": 3, "machine": machine}, "workerPools": []})
    drive(world, lambda: world.ready)
    first, _ = ports_of(world, "demo-manager-0")
    (address,) = [f.address for f in world.cloud.floating_ips.values() if f.port_id == first.id]
    assert world.status.endpoint == f"tcp://{address}:2376" and len(world.cloud.ports) == 6


def ended(world: World) -> bool:
    return world.resource is None


def test_a_further_port_is_made_as_declared_and_the_swarm_stays_on_the_first() -> None:
    world = world_with(pool({"name": "main"}, STORAGE))
    drive(world, lambda: world.ready)
    first, storage = ports_of(world, "demo-web-0")
    asked = world.cloud.asked_ports[storage.id]
    assert (asked.network_id, asked.subnet_id, asked.fixed_ips) == ("network:san", None, (("subnet:san-servers", "192.0.2.10"),))
    assert (asked.security_group_ids, asked.secured, asked.vnic_type) == ((), None, "normal")
    assert (asked.address_pairs, asked.extra) == ((("192.0.2.200", None),), {"qos_policy_id": "gold"})
    assert asked.name == "demo-web-0-storage"
    assert first.network_id == world.status.infrastructure.network_id and first.security_group_ids
    (record,) = [n for n in world.status.nodes if n.name == "demo-web-0"]
    assert record.address == first.fixed_ips[0], "Nova gives the other address first"


def test_a_successor_gets_both_ports_and_deletion_leaves_nothing() -> None:
    world = world_with(pool({"name": "main"}, STORAGE, orphans="Delete", orphanGraceSeconds=0))
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    before = [p.id for p in ports_of(world, "demo-web-0")]
    world.kill(world.server("demo-web-0").id, hopeless=True)
    world.clock.advance(20)
    drive(world, lambda: not world.ready, controller)
    drive(world, lambda: world.ready and "demo-web-0-2" in world.servers, controller)
    assert [p.id for p in ports_of(world, "demo-web-0-2")] == before
    assert len(world.cloud.ports) == 3 and world.condition("OrphansFound") == ("False", "AsExpected")
    world.delete()
    drive(world, lambda: ended(world), controller)
    assert world.cloud.leftovers() == ["network:san"]


def test_an_address_of_its_own_makes_the_machine_go_before_its_successor() -> None:
    world = world_with(pool({"name": "main"}, STORAGE))
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    (_, storage) = ports_of(world, "demo-web-0")
    world.edit(**pool({"name": "main"}, {**STORAGE, "vnicType": "direct"}))
    most = 0

    def replaced() -> bool:
        nonlocal most
        most = max(most, len(world.cloud.servers))
        return world.ready and world.cloud.created_servers == 3

    drive(world, replaced, controller)
    assert most == 2, "never two of them"
    first, second = ports_of(world, "demo-web-0-2")
    assert second.id != storage.id and second.fixed_ips == ("192.0.2.10",) and storage.id not in world.cloud.ports
    assert world.cloud.asked_ports[second.id].vnic_type == "direct"
    assert first.fixed_ips, "the first port was not touched"


def test_what_is_the_default_replaces_nothing_and_tags_come_to_ports_that_exist() -> None:
    world = world_with({})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.edit(**pool({"name": "main", "tags": ["team-a"]}))
    drive(world, lambda: world.ready and "team-a" in ports_of(world, "demo-web-0")[0].tags, controller)
    port = ports_of(world, "demo-web-0")[0]
    world.cloud.set_port_tags(port.id, ["team-a", "theirs"])
    world.edit(**pool({"name": "main", "tags": ["team-b"]}))
    drive(world, lambda: world.ready and "team-b" in ports_of(world, "demo-web-0")[0].tags, controller)
    assert set(ports_of(world, "demo-web-0")[0].tags) == {"team-a", "team-b", "theirs"}
    assert world.cloud.created_servers == 2


def test_the_first_port_without_port_security_is_in_no_group_and_stays_so() -> None:
    world = world_with(pool({"name": "main", "portSecurity": "Disabled"}))
    drive(world, lambda: world.ready)
    (port,) = ports_of(world, "demo-web-0")
    assert port.security_group_ids == () and not port.secured
    assert world.cloud.asked_ports[port.id].secured is False


def test_groups_of_the_first_port_are_besides_the_clusters() -> None:
    world = world_with(pool({"name": "main", "securityGroups": [{"name": "web"}]}, {"name": "dmz", "network": {"name": "san"}}))
    drive(world, lambda: world.ready)
    first, dmz = ports_of(world, "demo-web-0")
    ours = tuple(world.status.infrastructure.security_group_ids)
    assert first.security_group_ids == (*ours, "security group:web") and dmz.security_group_ids == ours


def test_a_trunk_is_there_before_the_server_and_goes_before_its_port() -> None:
    world = world_with(pool({"name": "main", "trunk": True}))
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    (port,) = ports_of(world, "demo-web-0")
    assert port.trunk_id is not None and part_of(world.cloud.trunks[port.trunk_id], UID) == "trunk"
    world.edit(workerPools=[])
    drive(world, lambda: world.ready and not world.cloud.trunks and port.id not in world.cloud.ports, controller)
    world.edit(**pool({"name": "main", "trunk": True}))
    drive(world, lambda: world.ready and len(world.cloud.trunks) == 1, controller)
    world.delete()
    drive(world, lambda: ended(world), controller)
    assert world.cloud.leftovers() == ["network:san"]


def test_a_cloud_without_trunks_is_said() -> None:
    world = world_with(pool({"name": "main", "trunk": True}))
    world.cloud.has_trunks = False
    drive(world, lambda: "could not be found" in world.message("MembersUpToDate"))
    assert world.servers == ["demo-manager-0"]


def test_somebody_elses_trunk_on_our_port_is_not_deleted() -> None:
    world = world_with({})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    port = ports_of(world, "demo-web-0")[0]
    world.cloud.trunks["theirs"] = ""
    world.cloud.ports[port.id] = Port(**{**vars(port), "trunk_id": "theirs"})
    world.delete()
    drive(world, lambda: "trunk of somebody else" in str([c.message for c in world.status.conditions]), controller)
    del world.cloud.trunks["theirs"]
    world.cloud.ports[port.id] = Port(**{**vars(world.cloud.ports[port.id]), "trunk_id": None})
    drive(world, lambda: ended(world), controller)


def test_room_is_looked_for_all_ports_of_a_machine_at_once() -> None:
    world = world_with(pool({"name": "main"}, {"name": "b", "network": {"name": "san"}}, {"name": "c", "network": {"name": "san"}}))
    world.cloud.port_limit = 3
    controller = world.controller()
    drive(world, lambda: "needs 3 ports, 1 of 3 used" in world.message("MembersUpToDate"), controller)
    assert len(world.cloud.ports) == 1, "none of the three is made"
    world.cloud.port_limit = 4
    drive(world, lambda: world.ready, controller)


def test_a_worker_that_joins_by_itself_is_told_which_address_it_has() -> None:
    world = world_with(pool({"name": "main"}, {"name": "b", "network": {"name": "san"}}, join="Metadata"))
    drive(world, lambda: world.ready)
    assert world.server("demo-web-0").metadata[JOIN_ADVERTISE] == ports_of(world, "demo-web-0")[0].fixed_ips[0]
    plain = World({"join": "Metadata"})
    drive(plain, lambda: plain.ready)
    assert JOIN_ADVERTISE not in plain.server("demo-web-0").metadata


def test_tags_are_on_servers_from_the_start_and_come_to_those_that_live() -> None:
    world = World({"workerPools": [{"name": "web", "machine": {"tags": ["team-a"]}}]})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    assert world.server("demo-web-0").request.tags == ("team-a",) and world.server("demo-manager-0").request.tags == ()
    world.server("demo-web-0").tags.add("theirs")
    world.edit(workerPools=[{"name": "web", "machine": {"tags": ["team-b"]}}])
    drive(world, lambda: world.ready and world.server("demo-web-0").tags == {"team-b", "theirs"}, controller)
    calls = world.faults.calls.count("cloud.add_server_tags")
    assert calls == 1 and world.cloud.created_servers == 2, "once, and no new server"


def rolled(world: World) -> bool:
    return world.ready and world.cloud.created_servers == 3 and len(world.cloud.ports) == 3


def grown(world: World) -> bool:
    return world.ready and len(world.cloud.ports) == 3 and len(world.cloud.trunks) == 1


TRUNKED = {**STORAGE, "trunk": True, "tags": ["san"]}
CRASHES: dict[str, tuple[dict[str, Any], Callable[[World], object] | None, Callable[[World], bool]]] = {
    "create": (pool({"name": "main"}, TRUNKED), None, grown),
    "change": (pool({"name": "main"}, TRUNKED), lambda w: w.edit(**pool({"name": "main"}, {**TRUNKED, "vnicType": "direct"})), rolled),
    "delete": (pool({"name": "main"}, TRUNKED), lambda w: w.delete(), ended),
}


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
@pytest.mark.parametrize("name", CRASHES)
def test_crash_at_every_call(name: str, lose_status: bool) -> None:
    spec, then, done = CRASHES[name]
    start = world_with(spec)
    if then is not None:
        drive(start, lambda: start.ready)
        then(start)
    whole = start.copy()
    drive(whole, lambda: done(whole))
    found = deaths(start, lambda world: drive(world, lambda: done(world)), lose_status=lose_status)
    assert len(found) > 6
    for point, world in found:
        drive(world, lambda world=world: done(world))
        if world.resource is None:
            assert world.cloud.leftovers() == ["network:san"], point
        else:
            assert world.cloud.created_servers == whole.cloud.created_servers, point
            used = {s.id for s in world.cloud.servers.values()}
            assert all(p.device_id in used for p in world.cloud.ports.values()), point


def test_a_lost_status_at_rest_changes_nothing_in_the_cloud() -> None:
    """Ports, trunk, tags and floating IPs, made and given, are found again by whose they are."""
    workers = {
        "name": "web",
        "machine": {"ports": [{"name": "main"}, TRUNKED], "tags": ["team-a"]},
        "floatingIP": {"enabled": True, "addresses": ["203.0.113.5"]},
    }
    world = world_with({"managers": {"floatingIP": {"deletionPolicy": "Release"}}, "workerPools": [workers], "orphans": "Delete", "orphanGraceSeconds": 0})
    world.cloud.floating_ips["given"] = FloatingIP("given", "203.0.113.5", None, "")
    drive(world, lambda: world.ready and "san" in ports_of(world, "demo-web-0")[1].tags)
    for _ in range(5):
        world.controller().reconcile(KEY)
        world.clock.advance(60)
    before, left = world.cloud.writes, world.cloud.leftovers()
    world.lose_status()
    drive(world, lambda: world.ready)
    for _ in range(5):
        world.controller().reconcile(KEY)
        world.clock.advance(60)
    assert (world.cloud.writes, world.cloud.leftovers()) == (before, left)
    (worker,) = [n for n in world.status.nodes if n.pool == "web"]
    assert worker.floating_ip == "203.0.113.5" and worker.address == ports_of(world, "demo-web-0")[0].fixed_ips[0]
