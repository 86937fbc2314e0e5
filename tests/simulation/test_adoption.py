"""A SwarmCluster whose object was lost is taken over by a new one: the same servers, the same nodes, and nothing is touched before the spec declares what is there."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, drive
from simulator.world import KEY, SPEC, UID
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.outcome import After
from swarm_operator.ports.objects import Key, Resource

NEW = "9f9f9f9f-1111-2222-3333-444455556666"
ADOPT = {"adopt": {"clusterUID": UID}}


def lost(spec: dict[str, Any] | None = None) -> World:
    """A ready cluster whose object went without its finalizer; its Secrets are there without an owner, as after a restore."""
    world = World(spec)
    drive(world, lambda: world.ready)
    del world.objects.resources[KEY]
    for name, (owner, data) in list(world.objects.secrets.items()):
        if owner == UID:
            world.objects.secrets[name] = ("", data)
    return world


def apply(world: World, uid: str = NEW, key: Key = KEY, **spec: Any) -> None:
    world.objects.resources[key] = Resource(key, uid, 1, "0", {**SPEC, **ADOPT, **spec}, {})


def facts(world: World) -> dict[str, tuple[str | None, str | None]]:
    return {n.name: (n.server_id, n.node_id) for n in world.status.nodes}


def test_all_is_taken_over_with_the_same_servers_and_nodes() -> None:
    world = World()
    drive(world, lambda: world.ready)
    before, swarm, made, writes = facts(world), world.status.swarm_id, world.cloud.created_servers, world.cloud.writes
    world = lost()
    apply(world)
    drive(world, lambda: world.ready)
    assert facts(world) == before and world.status.swarm_id == swarm
    assert world.cloud.created_servers == made and world.cloud.writes == writes, "nothing in the cloud was written"
    assert world.status.adoption is not None and world.status.adoption.state == "Adopted"
    assert {owner for name, (owner, _) in world.objects.secrets.items() if name != ("default", "cloud")} == {NEW}
    assert [text for reason, text in world.objects.events if reason is Reason.ADOPTED]
    world.scale(2)
    drive(world, lambda: world.ready)
    assert len(world.servers) == 3
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"workerPools": [{"name": "web", "replicas": 2}]}, "replicas of pool web is 2, servers found: 1"),
        ({"workerPools": [{"name": "web", "replicas": 0}]}, "replicas of pool web is 0, servers found: 1"),
        ({"workerPools": [{"name": "other", "replicas": 1}]}, "the spec has no pool web, servers found: 1"),
        ({"managers": {"replicas": 3}}, "spec.managers.replicas is 3, servers found: 1"),
        ({"network": {"existing": {"network": {"name": "mine"}}}}, ""),
        ({"adopt": {"clusterUID": "12345678-1111-2222-3333-444455556666"}}, "no server carries the UID 12345678-1111-2222-3333-444455556666"),
    ],
)
def test_nothing_is_touched_until_the_spec_declares_what_is_there(spec: dict[str, Any], said: str) -> None:
    world = lost()
    apply(world, **spec)
    if not said:
        world.objects.resources[KEY].spec.pop("network")
        world.cloud.routers.clear()
        said = "CreateRouter would be done"
    writes, held, others = world.cloud.writes, dict(world.objects.secrets), world.objects.writes
    controller = world.controller()
    for _ in range(20):
        world.tick()
        outcome = controller.reconcile(KEY)
        assert isinstance(outcome, After)
        world.clock.advance(outcome.seconds)
    assert world.condition("MembersUpToDate") == ("False", "AdoptionPending") == world.condition("Ready") and world.condition("Stalled")[0] == "True"
    assert said in world.message("Ready")
    assert (world.cloud.writes, world.objects.secrets, world.objects.writes) == (writes, held, others)
    assert world.resource is not None and world.resource.finalizers == ()
    world.delete()
    assert world.resource is None and len(world.servers) == 2, "an object that has not taken over takes nothing down"


def test_it_is_taken_over_once_the_spec_is_mended() -> None:
    world = lost()
    apply(world, workerPools=[{"name": "web", "replicas": 2}])
    controller = world.controller()
    controller.reconcile(KEY)
    assert world.status.adoption is not None and world.status.adoption.state == "Observing" and world.status.adoption.workers == 1
    world.scale(1)
    drive(world, lambda: world.ready, controller)
    assert world.cloud.created_servers == 2


def test_two_objects_for_one_cluster_take_nothing() -> None:
    world = lost()
    apply(world)
    other = Key("SwarmCluster", "elsewhere", "demo")
    apply(world, "8888", other)
    world.controller().reconcile(KEY)
    assert "SwarmCluster elsewhere/demo owns or adopts the same UID" in world.message("Ready")
    del world.objects.resources[other]
    drive(world, lambda: world.ready)


def test_an_object_that_still_lives_keeps_what_is_its_own() -> None:
    world = World()
    drive(world, lambda: world.ready)
    thief = Key("SwarmCluster", "default", "thief")
    apply(world, "8888", thief)
    world.objects.secrets[("default", "thief-ssh")] = world.objects.secrets[("default", "demo-ssh")]
    world.controller().reconcile(thief)
    status = world.objects.resources[thief].status
    assert status["adoption"]["state"] == "Observing" and "default/demo" in status["adoption"]["message"]


def test_without_the_ssh_key_it_waits_and_without_the_certificates_they_are_made_anew() -> None:
    world = lost()
    kept = world.objects.secrets.pop(("default", "demo-ssh"))
    del world.objects.secrets[("default", "demo-docker-tls")]
    apply(world)
    controller = world.controller()
    controller.reconcile(KEY)
    assert "Secret demo-ssh is missing" in world.message("Ready")
    assert ("default", "demo-docker-tls") not in world.objects.secrets
    world.objects.secrets[("default", "demo-ssh")] = kept
    drive(world, lambda: world.ready, controller)
    assert world.cloud.created_servers == 2


def test_a_cloud_that_does_not_answer_is_no_empty_one() -> None:
    world = lost()
    apply(world)
    world.faults.errors["cloud.list_servers"] = ExternalError(ErrorKind.TRANSIENT, "openstack", "no answer")
    world.controller().reconcile(KEY)
    assert world.status.adoption is not None and world.status.adoption.message == "no answer"
    world.faults.errors.clear()
    drive(world, lambda: world.ready)


def test_retain_and_adopt_move_a_cluster_to_another_object() -> None:
    world = World({"deletionPolicy": "Retain"})
    drive(world, lambda: world.ready)
    before = facts(world)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.objects.secrets[("default", "demo-ssh")][0] == "", "the Secrets stay with what they open"
    apply(world)
    drive(world, lambda: world.ready)
    assert facts(world) == before


def test_a_lost_status_is_judged_anew() -> None:
    world = lost()
    apply(world)
    drive(world, lambda: world.ready)
    world.lose_status()
    drive(world, lambda: world.ready)
    assert world.cloud.created_servers == 2
    world.lose_status()
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == [], "the finalizer is there since it was taken over"


def test_three_managers_are_taken_over() -> None:
    world = lost({"managers": {"replicas": 3}})
    apply(world, managers={"replicas": 3})
    drive(world, lambda: world.ready)
    assert world.cloud.created_servers == 4 and world.swarms_are_one()
