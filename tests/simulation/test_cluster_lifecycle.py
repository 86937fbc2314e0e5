"""A cluster's life in the simulator: created, scaled, repaired, deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import World, drive
from simulator.world import UID
from swarm_operator.domain.ownership import JOIN_TOKEN, part_of


@pytest.mark.parametrize("join", ["SSH", "Metadata"])
def test_create_reaches_ready(join: str) -> None:
    world = World({"join": join, "workerPools": [{"name": "web", "replicas": 3, "nodeLabels": {"tier": "web"}}]})
    drive(world, lambda: world.ready)
    assert not world.status.join.token_exposed
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1", "demo-web-2"]
    assert {n.state for n in world.swarm.nodes.values()} == {"ready"} and len(world.swarm.nodes) == 4
    assert world.status.workers.summary == "3/3" and world.status.managers.summary == "1/1"
    drive(world, lambda: all(n.labels.get("tier") == "web" for n in world.swarm.nodes.values() if n.role == "worker"))
    if join == "Metadata":
        assert world.swarm.token_generation >= 1
        assert not any(JOIN_TOKEN in s.metadata for s in world.cloud.servers.values())


def test_fixed_point_makes_no_writes() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    for _ in range(5):
        world.tick()
        controller.reconcile(world.resource.key)  # type: ignore[union-attr]
        world.clock.advance(45)
    before, calls = world.external_writes(), len(world.faults.calls)
    for _ in range(40):
        controller.reconcile(world.resource.key)  # type: ignore[union-attr]
        world.clock.advance(45)
    assert world.external_writes() == before
    cloud = [c for c in world.faults.calls[calls:] if c.startswith("cloud.") and c != "cloud.check_credentials"]
    assert len(cloud) / 30 < 3.6, "calls of OpenStack per minute"
    # A new process reaches the same fixed point.
    other = world.controller()
    for _ in range(3):
        other.reconcile(world.resource.key)  # type: ignore[union-attr]
    assert world.external_writes() == before


def test_scale_up_and_down() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.scale(3)
    drive(world, lambda: world.ready, controller)
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1", "demo-web-2"]
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-web-2")
    world.swarm.tasks[node.id] = 2
    world.scale(2)
    drive(world, lambda: world.swarm.nodes[node.id].availability == "drain", controller)
    for _ in range(10):
        controller.reconcile(world.resource.key)  # type: ignore[union-attr]
    assert "demo-web-2" in world.servers, "not before its tasks are gone"
    assert world.condition("Ready") == ("False", "NodesDraining")
    world.swarm.tasks.clear()
    drive(world, lambda: world.ready, controller)
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1"]
    assert sorted(n.hostname for n in world.swarm.nodes.values()) == world.servers


def test_drain_timeout() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}], "drainTimeoutSeconds": 30})
    drive(world, lambda: world.ready)
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-web-1")
    world.swarm.tasks[node.id] = 1
    world.scale(1)
    start = world.clock.monotonic()
    drive(world, lambda: world.ready)
    assert world.servers == ["demo-manager-0", "demo-web-0"]
    assert world.clock.monotonic() - start >= 30


def test_scale_back_up_while_draining() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    drive(world, lambda: world.ready)
    node = next(n for n in world.swarm.nodes.values() if n.hostname == "demo-web-1")
    world.swarm.tasks[node.id] = 1
    world.scale(1)
    drive(world, lambda: world.swarm.nodes[node.id].availability == "drain")
    world.scale(2)
    drive(world, lambda: world.ready and world.swarm.nodes[node.id].availability == "active")
    assert world.cloud.created_servers == 3


def test_killed_worker_is_replaced() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    killed = world.server("demo-web-1").id
    world.kill(killed, hopeless=True)
    start = world.clock.monotonic()
    drive(world, lambda: not world.ready, controller)
    drive(world, lambda: world.ready and "demo-web-1-2" in world.servers, controller)
    assert killed not in world.cloud.servers
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1-2"]
    assert world.clock.monotonic() - start >= 120, "the grace, and the time of a hard reboot that did not help"
    drive(world, lambda: len(world.swarm.nodes) == 3, controller)


def test_worker_deleted_in_nova_is_replaced() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    drive(world, lambda: world.ready)
    world.delete_behind_our_back("demo-web-0")
    world.clock.advance(20)
    drive(world, lambda: world.ready and "demo-web-0-2" in world.servers)
    assert world.servers == ["demo-manager-0", "demo-web-0-2", "demo-web-1"]


def test_too_many_down_at_once_are_left_alone() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 3}]})
    drive(world, lambda: world.ready)
    for name in ("demo-web-0", "demo-web-1", "demo-web-2"):
        world.kill(world.server(name).id)
    world.clock.advance(20)
    controller = world.controller()
    for _ in range(50):
        world.tick()
        controller.reconcile(world.resource.key)  # type: ignore[union-attr]
        world.clock.advance(10)
    assert world.cloud.created_servers == 4
    assert world.condition("RemediationAllowed") == ("False", "BudgetExhausted")
    assert world.condition("MembersUpToDate") == ("False", "NodesDown")


def test_unreachable_manager_destroys_nothing() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    drive(world, lambda: world.ready)
    world.kill(world.server("demo-manager-0").id)
    world.kill(world.server("demo-web-0").id)
    controller = world.controller()
    world.scale(1)
    for _ in range(60):
        world.tick()
        controller.reconcile(world.resource.key)  # type: ignore[union-attr]
        world.clock.advance(10)
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1"]
    assert world.condition("ManagersQuorate") == ("Unknown", "ManagerUnreachable")
    assert world.cloud.created_servers == 3


def test_lost_manager_is_said_and_left() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.delete_behind_our_back("demo-manager-0")
    world.clock.advance(20)
    drive(world, lambda: world.condition("ManagersQuorate") == ("False", "QuorumLost"))
    assert world.condition("Stalled") == ("True", "QuorumLost")
    for _ in range(5):
        world.controller().reconcile(world.resource.key)  # type: ignore[union-attr]
        world.clock.advance(20)
    assert world.servers == ["demo-web-0"]


def test_delete_leaves_nothing() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    drive(world, lambda: world.ready)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []
    assert list(world.objects.secrets) == [("default", "cloud")]


def test_retain_leaves_everything() -> None:
    world = World({"deletionPolicy": "Retain"})
    drive(world, lambda: world.ready)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.servers == ["demo-manager-0", "demo-web-0"]


def test_paused_changes_nothing() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.edit(paused=True, workerPools=[{"name": "web", "replicas": 3}])
    writes = world.cloud.writes
    for _ in range(5):
        world.controller().reconcile(world.resource.key)  # type: ignore[union-attr]
        world.clock.advance(10)
    assert world.cloud.writes == writes
    assert world.condition("Paused") == ("True", "Paused")
    world.edit(paused=False)
    drive(world, lambda: world.ready)
    assert len(world.servers) == 4


def test_labels_of_others_survive_and_ours_are_withdrawn() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 1, "nodeLabels": {"a": "1", "b": "2"}}]})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    node_id = next(i for i, n in world.swarm.nodes.items() if n.role == "worker")
    node = world.swarm.nodes[node_id]
    node.labels["theirs"] = "x"
    world.edit(workerPools=[{"name": "web", "replicas": 1, "nodeLabels": {"b": "3"}}])
    drive(world, lambda: world.swarm.nodes[node_id].labels.get("b") == "3", controller)
    labels = world.swarm.nodes[node_id].labels
    assert labels["theirs"] == "x" and "a" not in labels


def test_managers_not_schedulable_and_overlays() -> None:
    world = World({"managers": {"schedulable": False}, "swarm": {"networks": [{"name": "apps", "attachable": True}]}})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    drive(world, lambda: {n.availability for n in world.swarm.nodes.values() if n.role == "manager"} == {"drain"}, controller)
    assert [n.name for n in world.swarm.networks] == ["apps"]
    world.edit(managers={"schedulable": True})
    drive(world, lambda: {n.availability for n in world.swarm.nodes.values()} == {"active"}, controller)


def test_one_security_group_of_an_earlier_version_becomes_two() -> None:
    """At no moment a manager's port is without the rules that it needs."""
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    members, managers = sorted(world.cloud.groups.values(), key=lambda g: part_of(g.description, UID) or "")
    needs = {(r.port_min, r.port_max) for r in managers.rules.values()}
    world.cloud.groups[members.id] = replace(
        members, rules={**members.rules, **{k: replace(r, remote_self=r.remote_group_id is not None, remote_group_id=None) for k, r in managers.rules.items()}}
    )
    del world.cloud.groups[managers.id]
    for port in list(world.cloud.ports.values()):
        world.cloud.ports[port.id] = replace(port, security_group_ids=(members.id,))
    manager = next(p for p in world.cloud.ports.values() if p.device_id == world.server("demo-manager-0").id)

    def done() -> bool:
        groups = [world.cloud.groups[g] for g in world.cloud.ports[manager.id].security_group_ids]
        assert needs <= {(r.port_min, r.port_max) for g in groups for r in g.rules.values()}
        return len(world.cloud.groups) == 2 and len(world.cloud.groups[members.id].rules) == len(members.rules)

    drive(world, done, world.controller())
    drive(world, lambda: world.ready)
    assert len(world.cloud.ports[manager.id].security_group_ids) == 2
