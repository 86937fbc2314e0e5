"""Overlay networks of a cluster: made, kept while used, removed, and never somebody else's."""

from __future__ import annotations

from dataclasses import replace

from simulation.test_cluster_lifecycle import drive
from simulator.world import KEY, World
from swarm_operator.controllers.cluster import ClusterController
from swarm_operator.domain.ownership import NETWORK_LABEL_CLUSTER
from swarm_operator.domain.swarm import OverlayInfo

DECLARED = [{"name": "apps", "attachable": True, "labels": {"team": "a"}}, {"name": "inner", "internal": True, "subnet": "10.64.1.0/24"}]


def converged(networks: list[dict[str, object]]) -> tuple[World, ClusterController]:
    world = World({"swarm": {"networks": networks}})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    drive(world, lambda: len(world.status.networks) == len(networks), controller)
    return world, controller


def states(world: World) -> dict[str, str]:
    return {n.name: n.state for n in world.status.networks}


def test_networks_are_made_as_declared_with_the_owners_label() -> None:
    world, _ = converged(DECLARED)
    apps, inner = sorted(world.swarm.networks, key=lambda n: n.name)
    assert apps.attachable and apps.labels["team"] == "a"
    assert inner.internal and inner.subnets == ("10.64.1.0/24",)
    assert apps.labels[NETWORK_LABEL_CLUSTER] == inner.labels[NETWORK_LABEL_CLUSTER] == world.objects.resources[KEY].uid
    assert states(world) == {"apps": "Ready", "inner": "Ready"}


def test_one_that_left_the_spec_goes_when_no_service_uses_it_any_more() -> None:
    world, controller = converged(DECLARED)
    world.swarm.attached.append("net-apps")
    world.edit(swarm={"networks": DECLARED[1:]})
    drive(world, lambda: states(world) == {"apps": "Unwanted", "inner": "Ready"}, controller)
    writes = world.swarm.writes
    for _ in range(5):
        controller.reconcile(KEY)
        world.clock.advance(60)
    assert world.swarm.writes == writes and world.ready
    world.swarm.attached.clear()
    drive(world, lambda: states(world) == {"inner": "Ready"}, controller)
    assert [n.name for n in world.swarm.networks] == ["inner"]


def test_others_networks_are_neither_removed_nor_changed() -> None:
    world, controller = converged(DECLARED[:1])
    world.swarm.networks += [OverlayInfo("net-theirs", "theirs", "overlay"), OverlayInfo("net-other", "other", "overlay", labels={NETWORK_LABEL_CLUSTER: "x"})]
    world.edit(swarm={"networks": [{"name": "theirs", "attachable": True}, {"name": "other"}]})
    drive(world, lambda: states(world) == {"theirs": "Differs", "other": "Differs"}, controller)
    told = {n.name: n.message or "" for n in world.status.networks}
    assert "attachable is false" in told["theirs"] and "another SwarmCluster" in told["other"]
    assert {n.name for n in world.swarm.networks} == {"theirs", "other"}
    world.edit(swarm={"networks": []})
    drive(world, lambda: states(world) == {}, controller)
    assert {n.name for n in world.swarm.networks} == {"theirs", "other"}


def test_one_that_was_removed_outside_is_made_again() -> None:
    world, controller = converged(DECLARED[:1])
    world.swarm.networks = [replace(n, id="gone") for n in world.swarm.networks if n.name != "apps"]
    drive(world, lambda: [n.name for n in world.swarm.networks] == ["apps"], controller)
