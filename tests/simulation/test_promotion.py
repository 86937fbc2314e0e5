"""A lost manager and a pool of spares: a worker takes its place at once. The simulator asserts at each change of raft that no majority is lost by our hand, that nobody joins
beside a dead member, and that the others get through to a node that is promoted."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.domain.ownership import PROMOTED

SPEC: dict[str, Any] = {
    "managers": {"replicas": 3, "promoteFrom": "spare"},
    "workerPools": [{"name": "web", "replicas": 1}, {"name": "spare", "replicas": 1, "nodeLabels": {"tier": "spare"}}],
    "remediation": {"rungSeconds": 5},
}
START = ["demo-manager-0", "demo-manager-1", "demo-manager-2", "demo-spare-0", "demo-web-0"]


def managers(world: World) -> list[str]:
    """Host names of the members of raft."""
    return sorted(g.server.request.name for g in world.swarm.raft.values())


def whole(world: World) -> bool:
    """Ready, three members that answer on their Docker API, and both pools of their size."""
    there = world.ready and len(world.swarm.raft) == 3 == len(world.swarm.reachable(world)) and len(world.swarm.nodes) == 5
    return there and all(g.listening is not None for g in world.swarm.raft.values())


@pytest.fixture
def world() -> World:
    made = World(SPEC)
    drive(made, lambda: made.ready)
    return made


def lose(world: World, name: str) -> None:
    world.delete_behind_our_back(name)
    world.clock.advance(20)


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_spare_takes_the_place_of_a_lost_manager(world: World, slot: int) -> None:
    """Slot 0 leads."""
    controller, lost = world.controller(), f"demo-manager-{slot}"
    addresses = {f.address for f in world.cloud.floating_ips.values()}
    changes, created, start = len(world.swarm.raft_changes), world.cloud.created_servers, world.clock.monotonic()
    lose(world, lost)
    drive(world, lambda: "promote demo-spare-0" in world.swarm.raft_changes[changes:], controller)
    assert world.swarm.raft_changes[changes:] == [f"demote {lost}", "promote demo-spare-0"]
    assert world.clock.monotonic() - start < 20 + 30, "no server had to boot for it"
    drive(world, lambda: whole(world), controller)
    assert world.servers == sorted({*START, "demo-spare-0-2"} - {lost})
    assert world.cloud.created_servers == created + 1, "the pool's worker, and no manager"
    assert {f.address for f in world.cloud.floating_ips.values()} == addresses and len(world.cloud.ports) == 5
    record = next(n for n in world.status.nodes if n.name == "demo-spare-0")
    assert (record.role, record.pool, record.slot, record.incarnation) == ("Manager", "", slot, 2)
    assert record.promoted_from is not None and (record.promoted_from.pool, record.promoted_from.slot) == ("spare", 0)
    assert record.floating_ip in addresses and record.up_to_date and record.engine_certificate_expires is not None
    assert record.floating_ip == next(f.address for f in world.cloud.floating_ips.values() if f.port_id == world.server("demo-spare-0").request.port_id)
    assert (world.status.managers.summary, world.status.workers.summary) == ("3/3", "2/2")
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-spare-0")
    assert "tier" not in node.labels and node.availability == "active"
    drive(world, lambda: len(world.sessions.open[KEY]) == 3, controller)


def test_it_stays_the_manager_of_its_slot(world: World) -> None:
    """Nothing is rolled back once the cluster is whole: no writes any more, in this process or in one that has lost all status."""
    lose(world, "demo-manager-1")
    drive(world, lambda: whole(world))
    before = world.servers
    world.lose_status()
    drive(world, lambda: whole(world))
    controller = world.controller()
    for _ in range(3):
        controller.reconcile(KEY)
        world.clock.advance(60)
    writes = world.external_writes()
    for _ in range(5):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(60)
    assert world.servers == before and world.external_writes() == writes
    assert next(n for n in world.status.nodes if n.name == "demo-spare-0").role == "Manager"


def test_one_after_the_other_while_there_are_spares(world: World) -> None:
    controller = world.controller()
    for name in ("demo-manager-0", "demo-manager-1", "demo-spare-0"):
        lose(world, name)
        drive(world, lambda name=name: whole(world) and name not in world.servers, controller, limit=600)
    assert managers(world) == ["demo-manager-2", "demo-spare-0-2", "demo-spare-0-3"]
    assert world.swarms_are_one() and world.swarms_made == 1


def test_without_a_ready_spare_a_server_is_booted(world: World) -> None:
    controller = world.controller()
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-spare-0")
    client = world.sessions.publish(KEY, "", world.sessions.open[KEY], world.tls()).swarm
    client.view()
    client.update_node(node.id, world.swarm.nodes[node.id].version, role="worker", availability="drain", labels=dict(node.labels))
    lose(world, "demo-manager-2")
    drive(world, lambda: whole(world), controller)
    assert managers(world) == ["demo-manager-0", "demo-manager-1", "demo-manager-2-2"]


def test_scaling_and_rolling_managers_promote_nobody(world: World) -> None:
    world.edit(managers={"replicas": 5, "promoteFrom": "spare"})
    drive(world, lambda: world.ready and len(world.swarm.raft) == 5)
    world.annotate({"swarmops.io/remediate": "demo-manager-1"})
    drive(world, lambda: world.ready and "demo-manager-1-2" in managers(world), limit=600)
    assert "demo-spare-0" in world.servers and not any("promote" in change for change in world.swarm.raft_changes)


def test_with_autolock_the_promoted_one_is_unlocked_after_its_engine_restarts() -> None:
    world = World({**SPEC, "swarm": {"autolock": True}})
    controller = world.controller()
    drive(world, lambda: world.ready and bool(world.swarm.unlock_key), controller)
    lose(world, "demo-manager-1")
    drive(world, lambda: whole(world), controller)
    guest = world.guests[world.server("demo-spare-0").id]
    assert guest.kek[0] == world.swarm.unlock_key and not guest.locked


def test_the_spare_of_the_emptiest_zone_is_taken() -> None:
    zones = {"flavor": {"name": "small"}, "image": {"name": "debian"}, "availabilityZones": ["az1", "az2", "az3"]}
    world = World({**SPEC, "machine": zones, "workerPools": [{"name": "spare", "replicas": 3}]})
    drive(world, lambda: world.ready)
    lost = world.server("demo-manager-1")
    lose(world, "demo-manager-1")
    drive(world, lambda: world.ready and len(world.swarm.reachable(world)) == 3)
    taken = next(world.server(name) for name in managers(world) if "spare" in name)
    assert taken.request.availability_zone == lost.request.availability_zone


def test_a_spare_with_a_floating_ip_of_its_own_gets_that_of_the_manager() -> None:
    pools = [{"name": "web", "replicas": 1}, {"name": "spare", "replicas": 1, "floatingIP": {"enabled": True}}]
    world = World({**SPEC, "workerPools": pools})
    drive(world, lambda: world.ready and len(world.cloud.floating_ips) == 4)
    address = next(n.floating_ip for n in world.status.nodes if n.name == "demo-manager-1")
    lose(world, "demo-manager-1")
    drive(world, lambda: whole(world) and len(world.cloud.floating_ips) == 4 and all(f.port_id for f in world.cloud.floating_ips.values()))
    assert next(n.floating_ip for n in world.status.nodes if n.name == "demo-spare-0") == address


def test_delete_leaves_nothing(world: World) -> None:
    lose(world, "demo-manager-1")
    drive(world, lambda: whole(world))
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_write(world: World, lose_status: bool) -> None:
    lose(world, "demo-manager-1")
    found = deaths(world, lambda tried: drive(tried, lambda: whole(tried)), lose_status=lose_status)
    assert len(found) > 15
    for point, tried in found:
        drive(tried, lambda tried=tried: whole(tried))
        assert tried.swarms_made == 1 and len(tried.servers) == 5, point
        assert len(tried.cloud.ports) == 5 and len(tried.cloud.floating_ips) == 3, point
        assert managers(tried) == ["demo-manager-0", "demo-manager-2", "demo-spare-0"], point
        assert sum(PROMOTED in s.metadata for s in tried.cloud.servers.values()) == 1, point
        assert {p.device_id for p in tried.cloud.ports.values()} == set(tried.cloud.servers), point
