"""Golden images: taken once, waited for, kept while used, and gone with the cluster; whatever is lost on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import UID
from swarm_operator.domain.cloud import Image
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import CLUSTER_UID, IMAGE_PART, IMAGE_SOURCE, image_properties

GOLD = {"name": "gold", "of": {"pool": "web", "slot": 0}}
WEB = {"name": "web", "replicas": 1}
COPIES = {"name": "copies", "replicas": 1, "machine": {"image": {"fromSnapshotOf": {"snapshot": "gold"}}}}
SPEC: dict[str, Any] = {"workerPools": [WEB, COPIES], "snapshots": [GOLD]}


def state(world: World, name: str = "gold") -> str:
    return next((s.state.value for s in world.status.snapshots if s.name == name), "")


def only_image(world: World) -> Image:
    (image,) = world.cloud.images.values()
    return image


def settled() -> World:
    world = World(SPEC)
    drive(world, lambda: world.ready)
    return world


def test_a_pool_waits_for_the_snapshot_and_boots_from_it() -> None:
    world = World(SPEC)
    controller = world.controller()
    drive(world, lambda: state(world) == "Creating", controller)
    assert world.condition("ImagesReady") == ("False", "ImagePending")
    assert world.condition("MembersUpToDate")[1] in ("ImagePending", "NodesJoining", "ServerBuilding")
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "ImagePending"), controller)
    assert "pool copies: waits for snapshot 'gold'" in world.message("MembersUpToDate")
    assert world.condition("Stalled")[0] == "False"
    drive(world, lambda: world.ready, controller)
    assert world.servers == ["demo-copies-0", "demo-manager-0", "demo-web-0"]
    assert world.cloud.snapshots_taken == 1
    assert world.server("demo-copies-0").request.image_id == only_image(world).id
    assert only_image(world).properties[IMAGE_SOURCE] == world.server("demo-web-0").id
    assert world.status.snapshots[0].machine == "demo-web-0"
    events = [str(e) for e in world.objects.events]
    assert sum("snapshot gold of demo-web-0" in e for e in events) == sum("can be booted from" in e for e in events) == 1


def test_a_steady_cluster_with_a_snapshot_writes_nothing() -> None:
    world = settled()
    controller = world.controller()
    controller.reconcile(next(iter(world.objects.resources)))
    before = world.external_writes()
    for _ in range(5):
        world.clock.advance(400)
        controller.reconcile(next(iter(world.objects.resources)))
    assert world.external_writes() == before


@pytest.mark.parametrize("call", ["cloud.create_server_image", "cloud.delete_image"])
def test_lost_answers(call: str) -> None:
    world = World(SPEC)
    world.faults.lose_answer_of = call
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    assert world.cloud.snapshots_taken == len(world.cloud.images) == 1
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == []
    assert world.faults.lose_answer_of is None, "the fault was met"


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_write_from_snapshot_to_the_end(lose_status: bool) -> None:
    start = World({"workerPools": [WEB]})
    drive(start, lambda: start.ready)
    start.edit(**SPEC)

    def run(world: World) -> None:
        drive(world, lambda: world.ready)
        assert world.cloud.snapshots_taken == len(world.cloud.images) == 1
        assert world.cloud.created_servers == 3

    found = deaths(start, run, lose_status=lose_status)
    assert len(found) > 5
    for point, world in found:
        run(world)
        world.delete()
        drive(world, lambda world=world: world.resource is None)
        assert world.cloud.leftovers() == [], point


def test_a_save_that_fails_is_tried_again_after_a_while() -> None:
    world = World(SPEC)
    world.cloud.save_fails = True
    controller = world.controller()
    drive(world, lambda: state(world) == "Failed", controller)
    assert world.condition("ImagesReady") == ("False", "ImageFailed")
    failed = world.clock.monotonic()
    world.cloud.save_fails = False
    drive(world, lambda: world.ready, controller)
    assert world.clock.monotonic() - failed >= 90
    assert world.cloud.snapshots_taken == 2 and len(world.cloud.images) == 1


@pytest.mark.parametrize("kind", [ErrorKind.QUOTA, ErrorKind.FORBIDDEN, ErrorKind.INVALID])
def test_a_refusal_is_told_and_nothing_is_hammered(kind: ErrorKind) -> None:
    world = World(SPEC)
    world.faults.errors["cloud.create_server_image"] = ExternalError(kind, "openstack", "no")
    controller = world.controller()
    drive(world, lambda: state(world) == "Failed", controller)
    asked = world.faults.calls.count("cloud.create_server_image")
    for _ in range(10):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(5)
    assert world.faults.calls.count("cloud.create_server_image") == asked
    del world.faults.errors["cloud.create_server_image"]
    drive(world, lambda: world.ready, controller)


def test_a_busy_server_is_waited_for() -> None:
    world = World({**SPEC, "snapshots": [GOLD, {"name": "silver", "of": {"pool": "web"}}]})
    drive(world, lambda: world.ready and state(world, "silver") == "Active")
    assert world.cloud.snapshots_taken == 2


def test_an_image_that_somebody_deletes_is_not_taken_again() -> None:
    world = settled()
    controller = world.controller()
    del world.cloud.images[only_image(world).id]
    world.clock.advance(400)
    drive(world, lambda: state(world) == "Lost", controller)
    assert world.condition("Ready") == ("False", "ImageFailed")
    world.edit(workerPools=[WEB, {**COPIES, "replicas": 2}])
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "ImageFailed"), controller)
    for _ in range(5):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(400)
    assert world.cloud.snapshots_taken == 1 and world.servers == ["demo-copies-0", "demo-manager-0", "demo-web-0"]


def test_an_image_in_use_is_kept_until_its_servers_are_gone() -> None:
    world = settled()
    controller = world.controller()
    world.edit(snapshots=[], workerPools=[WEB, {"name": "copies", "replicas": 1}])
    drive(world, lambda: state(world) == "Deleting", controller)
    assert "demo-copies-0" in world.status.snapshots[0].message
    assert len(world.cloud.images) == 1
    world.edit(workerPools=[WEB])
    drive(world, lambda: not world.cloud.images and world.ready and not world.status.snapshots, controller)


def test_nothing_is_deleted_while_servers_or_images_can_not_be_listed() -> None:
    world = settled()
    controller = world.controller()
    world.edit(snapshots=[], workerPools=[WEB])
    world.faults.errors["cloud.list_owned_images"] = ExternalError(ErrorKind.TRANSIENT, "openstack", "Glance is down")
    drive(world, lambda: world.servers == ["demo-manager-0", "demo-web-0"], controller)
    assert len(world.cloud.images) == 1 and state(world) == "Active"
    world.delete()
    drive(world, lambda: "Glance is down" in world.message("DeletionBlocked"), controller)
    assert world.resource is not None
    del world.faults.errors["cloud.list_owned_images"]
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == []


def test_a_retained_image_outlives_its_entry_and_the_cluster() -> None:
    world = settled()
    controller = world.controller()
    world.edit(snapshots=[{**GOLD, "retain": True}])
    drive(world, lambda: only_image(world).properties["swarmops-retain"] == "true", controller)
    world.edit(snapshots=[], workerPools=[WEB])
    drive(world, lambda: world.ready and not world.status.snapshots, controller)
    assert len(world.cloud.images) == 1
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == [only_image(world).id]


def test_an_image_that_only_inherited_our_properties_is_left_alone() -> None:
    """Somebody takes a snapshot, by hand, of a server that booted from ours: Nova copies the properties of the image."""
    world = settled()
    controller = world.controller()
    copy = world.server("demo-copies-0").id
    theirs = replace(only_image(world), id="by-hand", properties={**only_image(world).properties, "instance_uuid": copy})
    world.cloud.images["by-hand"] = theirs
    strange = image_properties(UID, "demo", "something/new", "s1")
    world.cloud.images["strange"] = Image("strange", "left", "active", theirs.created, {**strange, "instance_uuid": "s1"})
    assert theirs.properties[CLUSTER_UID] == UID and theirs.properties[IMAGE_PART] == "snapshot/gold"
    world.clock.advance(400)
    drive(world, lambda: "strange" in {o.id for o in world.status.orphans}, controller)
    assert {o.id for o in world.status.orphans} == {"strange"}
    world.edit(snapshots=[], workerPools=[WEB], orphans="Delete", orphanGraceSeconds=30)
    drive(world, lambda: list(world.cloud.images) == ["by-hand"], controller)
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == ["by-hand"]


def test_a_server_deleted_while_it_is_saved() -> None:
    world = World(SPEC)
    controller = world.controller()
    drive(world, lambda: state(world) == "Creating", controller)
    world.delete_behind_our_back("demo-web-0")
    drive(world, lambda: world.ready, controller)
    assert len(world.cloud.images) == 1 and world.cloud.snapshots_taken == 2
    assert only_image(world).properties[IMAGE_SOURCE] == world.server("demo-web-0-2").id


def test_retain_of_the_whole_cluster_keeps_images() -> None:
    world = World({**SPEC, "deletionPolicy": "Retain"})
    drive(world, lambda: world.ready)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert only_image(world).id in world.cloud.leftovers()
