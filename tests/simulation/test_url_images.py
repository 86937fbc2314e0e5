"""Images from the web: one per checksum, only with the declared content, waited for, and gone when nobody wants them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from simulator import World, deaths, drive
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import IMAGE_IMPORT, IMAGE_VERIFIED

URL = "https://images.example/os.raw"
CONTENT = b"an operating system" * 1000


def source(algorithm: str = "sha256", content: bytes = CONTENT) -> dict[str, Any]:
    checksum = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    return {"image": {"url": {"url": URL, "checksum": checksum, "diskFormat": "raw", "properties": {"hw_disk_bus": "scsi"}}}}


def spec(algorithm: str = "sha256") -> dict[str, Any]:
    return {"workerPools": [{"name": "a", "replicas": 1, "machine": source(algorithm)}, {"name": "b", "replicas": 1, "machine": source(algorithm)}]}


def web(algorithm: str = "sha256", content: bytes = CONTENT) -> World:
    world = World(spec(algorithm))
    world.web[URL] = content
    return world


def test_two_pools_share_one_image() -> None:
    world = web()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    (image,) = world.cloud.images.values()
    assert world.cloud.contents[image.id] == CONTENT
    assert image.properties["hw_disk_bus"] == "scsi" and image.properties[IMAGE_VERIFIED] == source()["image"]["url"]["checksum"]
    assert {world.server(f"demo-{pool}-0").request.image_id for pool in "ab"} == {image.id}
    assert [(i.state.value, i.image_id) for i in world.status.images] == [("Active", image.id)]
    assert sum("can be booted from" in str(e) for e in world.objects.events) == 1
    before = world.external_writes()
    for _ in range(4):
        world.clock.advance(400)
        controller.reconcile(next(iter(world.objects.resources)))
    assert world.external_writes() == before
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == []


@pytest.mark.parametrize("imports", [False, True])
def test_wrong_content_never_becomes_an_image_to_boot_from(imports: bool) -> None:
    """Through us it is not even taken; Glance's own import is looked at afterwards."""
    world = web("sha512", CONTENT[:-1])
    if imports:
        world.cloud.import_methods, world.cloud.import_brings = frozenset({"web-download"}), CONTENT[:-1]
    controller = world.controller()
    drive(world, lambda: world.condition("ImagesReady") == ("False", "ImageFailed"), controller)
    assert "checksum" in world.message("ImagesReady")
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "ImageFailed"), controller)
    for _ in range(30):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(20)
    assert world.servers == ["demo-manager-0"]
    assert not any(i.status == "active" for i in world.cloud.images.values())
    world.web[URL] = CONTENT
    world.cloud.import_brings = CONTENT
    drive(world, lambda: world.ready, controller)


def test_glance_fetches_it_by_itself_where_it_computes_that_checksum() -> None:
    world = World(spec("sha512"))
    world.cloud.import_methods, world.cloud.import_brings = frozenset({"glance-direct", "web-download"}), CONTENT
    drive(world, lambda: world.ready)
    (image,) = world.cloud.images.values()
    assert image.properties[IMAGE_IMPORT] == "web-download"


@pytest.mark.parametrize("refusal", [None, ErrorKind.FORBIDDEN, ErrorKind.INVALID])
def test_an_import_that_does_not_come_about_is_done_by_us(refusal: ErrorKind | None) -> None:
    world = web("sha512")
    world.cloud.import_methods = frozenset({"web-download"})
    if refusal is not None:
        world.faults.errors["cloud.import_image"] = ExternalError(refusal, "openstack", "not from there")
    drive(world, lambda: world.ready)
    assert world.cloud.contents[world.status.images[0].image_id or ""] == CONTENT


def test_a_server_that_is_not_there_and_one_that_breaks_off_are_tried_again() -> None:
    world = World(spec())
    controller = world.controller()
    drive(world, lambda: world.condition("ImagesReady") == ("False", "ImageFailed"), controller)
    assert "404" in world.message("ImagesReady")
    world.web[URL] = CONTENT
    world.web_cut_off.add(URL)
    drive(world, lambda: "broke off" in world.message("ImagesReady"), controller)
    asked = world.faults.calls.count("downloads.open")
    for _ in range(10):
        controller.reconcile(next(iter(world.objects.resources)))
        world.clock.advance(10)
    assert world.faults.calls.count("downloads.open") == asked, "not hammered"
    world.web_cut_off.clear()
    drive(world, lambda: world.ready, controller)
    assert len(world.cloud.images) == 1


@pytest.mark.parametrize("call", ["cloud.create_image", "cloud.upload_image", "cloud.set_image_property", "cloud.delete_image"])
def test_lost_answers(call: str) -> None:
    world = web()
    world.faults.lose_answer_of = call
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    assert len(world.cloud.images) == 1
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == [] and world.faults.lose_answer_of is None


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_write_on_the_way(lose_status: bool) -> None:
    start = World({"workerPools": []})
    start.web[URL] = CONTENT
    drive(start, lambda: start.ready)
    start.edit(**spec())

    def run(world: World) -> None:
        drive(world, lambda: world.ready)
        assert len(world.cloud.images) == 1
        assert world.cloud.created_servers == 3

    found = deaths(start, run, lose_status=lose_status)
    assert len(found) > 6
    for _, world in found:
        run(world)


def test_another_checksum_is_another_image_and_the_old_one_goes_with_its_servers() -> None:
    world = web()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    old = world.status.images[0].image_id
    world.web[URL] = b"newer"
    world.edit(workerPools=[{"name": "c", "replicas": 1, "machine": source("sha256", b"newer")}])
    drive(world, lambda: world.ready and list(world.cloud.images) != [old], controller)
    drive(world, lambda: old not in world.cloud.images, controller)
    assert world.servers == ["demo-c-0", "demo-manager-0"]
