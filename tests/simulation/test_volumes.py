"""Data volumes of slots: made, attached and set up before a machine joins, kept across replacement, extended, retained or deleted. The simulator asserts at each join that
the machine's volumes are mounted, and never lets a file system be made over content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.volumes import RETAIN

DATA = {"name": "data", "sizeGiB": 10, "mountPath": "/data"}


def pool(replicas: int = 2, **changes: Any) -> dict[str, Any]:
    return {"workerPools": [{"name": "web", "replicas": replicas, "machine": {"volumes": [{**DATA, **changes}]}}]}


def volume_of(world: World, slot: int) -> str:
    """Id of the volume of a slot of the pool."""
    (found,) = (v.id for v in world.cloud.volumes.values() if v.name == f"demo-web-{slot}-data")
    return found


def reasons(world: World) -> list[str]:
    return [str(reason.value) for reason, _ in world.objects.events]


def killed(world: World, name: str = "demo-web-1") -> None:
    world.kill(world.server(name).id, hopeless=True)
    world.clock.advance(20)
    drive(world, lambda: not world.ready)
    world.clock.advance(55)


def fits(world: World, slots: int = 2) -> bool:
    """Ready, and each slot has its one volume, known to status."""
    entries = {n.name: n.volumes for n in world.status.nodes if n.role == "Worker"}
    return world.ready and len(entries) == slots and all(len(v) == 1 and v[0].attached for v in entries.values())


def test_each_slot_gets_its_own_before_it_joins() -> None:
    world = World(pool())
    drive(world, lambda: fits(world))
    assert sorted(v.name for v in world.cloud.volumes.values()) == ["demo-web-0-data", "demo-web-1-data"]
    assert all(v.metadata[RETAIN] == "false" for v in world.cloud.volumes.values())
    entry = next(n for n in world.status.nodes if n.name == "demo-web-1").volumes[0]
    assert (entry.name, entry.volume_id, entry.size_gib) == ("data", volume_of(world, 1), 10)
    assert world.condition("OrphansFound") == ("False", "AsExpected")
    writes, looks = world.external_writes(), world.faults.calls.count("host.look_at_volumes")
    for _ in range(10):
        world.clock.advance(60)
        world.controller().reconcile(KEY)
    assert world.external_writes() == writes, "a steady cluster is not written"
    assert world.faults.calls.count("host.look_at_volumes") == looks, "members are not asked again"


def test_it_follows_its_slot_with_its_content() -> None:
    world = World(pool())
    controller = world.controller()
    drive(world, lambda: fits(world), controller)
    before = volume_of(world, 1)
    world.cloud.disks[before].content["file"] = "mine"
    killed(world)
    drive(world, lambda: fits(world) and "demo-web-1-2" in world.servers, controller)
    assert volume_of(world, 1) == before and world.cloud.disks[before].content == {"file": "mine"}
    assert world.guests[world.server("demo-web-1-2").id].mounts == {"/data": before}
    assert world.cloud.created_volumes == 2


def test_a_server_deleted_behind_our_back() -> None:
    world = World(pool())
    controller = world.controller()
    drive(world, lambda: fits(world), controller)
    before = volume_of(world, 0)
    world.delete_behind_our_back("demo-web-0")
    drive(world, lambda: fits(world) and "demo-web-0-2" in world.servers, controller)
    assert volume_of(world, 0) == before and world.cloud.created_volumes == 2


def test_a_foreign_signature_is_said_and_nothing_is_written() -> None:
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: bool(world.cloud.volumes), controller)
    world.cloud.disks[volume_of(world, 0)].signature = ("ntfs", "")
    world.cloud.disks[volume_of(world, 0)].content["theirs"] = "x"
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "VolumeRefused"), controller)
    assert "demo-web-0-data" in world.message("MembersUpToDate") and "ntfs" in world.message("MembersUpToDate")
    assert world.condition("Stalled") == ("True", "VolumeRefused")
    for _ in range(40):
        world.clock.advance(60)
        world.tick()
        controller.reconcile(KEY)
    assert world.servers == ["demo-manager-0", "demo-web-0"], "another machine would be no better off"
    assert "host.set_up_volume" not in world.faults.calls
    world.cloud.disks[volume_of(world, 0)].signature = None
    world.cloud.disks[volume_of(world, 0)].content.clear()
    drive(world, lambda: fits(world, 1), controller)


def test_it_grows_in_use_and_does_not_shrink() -> None:
    world = World(pool())
    controller = world.controller()
    drive(world, lambda: fits(world), controller)
    world.edit(**pool(2, sizeGiB=15))
    drive(world, lambda: fits(world) and {d.file_system_gib for d in world.cloud.disks.values()} == {15}, controller)
    assert {v.size_gib for n in world.status.nodes for v in n.volumes} == {15}
    assert world.cloud.created_servers == 3, "no machine was replaced"
    world.edit(**pool(2, sizeGiB=5))
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "InvalidSpec"), controller)
    assert "can't shrink" in world.message("MembersUpToDate")
    assert {v.size_gib for v in world.cloud.volumes.values()} == {15}


def test_scaled_down_it_goes_after_its_server() -> None:
    world = World(pool())
    controller = world.controller()
    drive(world, lambda: fits(world), controller)
    world.edit(**pool(1))
    drive(world, lambda: fits(world, 1) and len(world.cloud.volumes) == 1, controller)
    assert world.servers == ["demo-manager-0", "demo-web-0"]
    assert [v.name for v in world.cloud.volumes.values()] == ["demo-web-0-data"]
    assert world.status.retained_volumes == []


def test_retained_it_stays_is_told_and_taken_up_again() -> None:
    world = World(pool(2, retain=True))
    controller = world.controller()
    drive(world, lambda: fits(world), controller)
    kept = volume_of(world, 1)
    world.cloud.disks[kept].content["file"] = "mine"
    world.edit(**pool(1, retain=True))
    drive(world, lambda: fits(world, 1) and bool(world.status.retained_volumes), controller)
    assert [(v.volume_id, v.name, v.size_gib) for v in world.status.retained_volumes] == [(kept, "demo-web-1-data", 10)]
    assert reasons(world).count("Retained") == 1
    assert world.condition("OrphansFound")[0] == "False", "it is no orphan"
    world.edit(**pool(2, retain=True))
    drive(world, lambda: fits(world), controller)
    assert volume_of(world, 1) == kept and world.cloud.disks[kept].content == {"file": "mine"}
    assert world.status.retained_volumes == []


def test_retain_is_read_from_the_volume_once_its_pool_is_gone() -> None:
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: fits(world, 1), controller)
    world.edit(**pool(1, retain=True))
    drive(world, lambda: world.cloud.volumes[volume_of(world, 0)].metadata[RETAIN] == "true", controller)
    world.edit(workerPools=[])
    drive(world, lambda: world.ready and bool(world.status.retained_volumes) and world.servers == ["demo-manager-0"], controller)
    assert len(world.cloud.volumes) == 1


@pytest.mark.parametrize("retain", [False, True])
def test_deleting_the_cluster(retain: bool) -> None:
    world = World(pool(2, retain=retain))
    controller = world.controller()
    drive(world, lambda: fits(world), controller)
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == (sorted(world.cloud.volumes) if retain else [])
    assert len(world.cloud.volumes) == (2 if retain else 0)
    told = [text for reason, text in world.objects.events if reason == "Retained"]
    assert len(told) == (1 if retain else 0) and all("demo-web-0-data" in text and "demo-web-1-data" in text for text in told)


def test_without_cinder_a_cluster_that_has_volumes_is_not_let_go() -> None:
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: fits(world, 1), controller)
    world.faults.errors["cloud.list_owned_volumes"] = ExternalError(ErrorKind.UNREACHABLE, "openstack", "no route to Cinder")
    world.delete()
    drive(world, lambda: world.condition("DeletionBlocked") == ("True", "CloudUnreachable") and not world.servers, controller)
    assert world.resource is not None and len(world.cloud.volumes) == 1
    del world.faults.errors["cloud.list_owned_volumes"]
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == []


def test_without_cinder_members_stay_and_new_machines_wait() -> None:
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: fits(world, 1), controller)
    world.faults.errors["cloud.list_owned_volumes"] = ExternalError(ErrorKind.UNREACHABLE, "openstack", "no route to Cinder")
    world.edit(**pool(2))
    drive(world, lambda: "can't be listed" in world.message("MembersUpToDate") and len(world.servers) == 3, controller)
    for _ in range(30):
        world.clock.advance(60)
        world.tick()
        controller.reconcile(KEY)
    assert world.servers == ["demo-manager-0", "demo-web-0", "demo-web-1"], "no machine is replaced for it"
    del world.faults.errors["cloud.list_owned_volumes"]
    drive(world, lambda: fits(world), controller)


def test_too_few_gigabytes_are_said_with_numbers() -> None:
    world = World(pool())
    world.cloud.gigabytes = 15
    controller = world.controller()
    drive(world, lambda: "needs 10 GiB of volumes, 10 of 15 used" in world.message("MembersUpToDate"), controller)
    assert world.cloud.created_volumes == 1
    world.cloud.gigabytes = 20
    drive(world, lambda: fits(world), controller)


def test_an_entry_added_to_a_living_pool_is_mounted_and_one_taken_away_stays_until_the_machine_goes() -> None:
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: fits(world, 1), controller)
    both = [DATA, {"name": "more", "sizeGiB": 1, "format": "xfs", "mountPath": "/data/more"}]
    world.edit(workerPools=[{"name": "web", "replicas": 1, "machine": {"volumes": both}}])
    guest = world.guests[world.server("demo-web-0").id]
    drive(world, lambda: world.ready and set(guest.mounts) == {"/data", "/data/more"}, controller)
    world.edit(**pool(1))
    drive(world, lambda: world.ready, controller)
    assert len(world.cloud.volumes) == 2 and set(guest.mounts) == {"/data", "/data/more"}
    world.delete_behind_our_back("demo-web-0")
    drive(world, lambda: fits(world, 1) and len(world.cloud.volumes) == 1, controller)


def test_engine_data_goes_to_new_machines_only() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.edit(**pool(1, mountPath="/var/lib/docker"))
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "VolumeRefused"), controller)
    assert "only the slot's next machine gets it" in world.message("MembersUpToDate")
    assert "cloud.attach_volume" not in world.faults.calls
    world.delete_behind_our_back("demo-web-0")
    drive(world, lambda: fits(world, 1) and world.servers == ["demo-manager-0", "demo-web-0-2"], controller)


@pytest.mark.parametrize("slot", [0, 2])
def test_a_dead_manager_hands_its_volume_over(slot: int) -> None:
    world = World({"managers": {"replicas": 3, "machine": {"volumes": [DATA]}}, "workerPools": []})
    controller = world.controller()
    drive(world, lambda: world.ready and len(world.swarm.raft) == 3, controller)
    before = {v.name: v.id for v in world.cloud.volumes.values()}
    killed(world, f"demo-manager-{slot}")
    drive(world, lambda: world.ready and f"demo-manager-{slot}-2" in world.servers and len(world.swarm.raft) == 3, controller)
    assert {v.name: v.id for v in world.cloud.volumes.values()} == before and len(world.servers) == 3


def test_a_living_manager_that_is_to_be_replaced_leaves_first() -> None:
    world = World({"managers": {"replicas": 3, "machine": {"volumes": [DATA]}}, "workerPools": []})
    controller = world.controller()
    drive(world, lambda: world.ready and len(world.swarm.raft) == 3, controller)
    world.annotate({"swarmops.io/remediate": "demo-manager-1"})
    drive(world, lambda: "demo-manager-1-2" in world.servers, controller)
    world.annotate({})
    drive(world, lambda: world.ready and "demo-manager-1" not in world.servers and len(world.swarm.raft) == 3, controller)
    assert world.cloud.created_volumes == 3


def test_a_root_volume_in_a_zone_is_made_before_the_server_and_goes_with_it() -> None:
    world = World({**SPEC_ROOT, "workerPools": [{"name": "web", "replicas": 1}]})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    assert {v.name for v in world.cloud.volumes.values()} == {"demo-manager-0-root", "demo-web-0-root"}
    assert all(s.request.root_volume and s.request.root_volume.volume_id for s in world.cloud.servers.values())
    world.scale(0)
    drive(world, lambda: world.ready and len(world.cloud.volumes) == 1, controller)
    world.delete()
    drive(world, lambda: world.resource is None, controller)
    assert world.cloud.leftovers() == []


SPEC_ROOT: dict[str, Any] = {
    "machine": {"flavor": {"name": "small"}, "image": {"name": "debian"}, "rootVolume": {"sizeGiB": 20, "availabilityZone": "rack-1"}},
}


def test_a_second_volume_of_a_slot_is_an_orphan_and_deleted_only_when_asked() -> None:
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: fits(world, 1), controller)
    first = world.cloud.volumes[volume_of(world, 0)]
    second = replace(first, id="volume-second", status="available", attached_to=(), created="2999-01-01T00:00:00Z")
    world.cloud.volumes[second.id] = second
    drive(world, lambda: [o.id for o in world.status.orphans] == ["volume-second"], world.controller())
    assert "volume-second" in world.cloud.volumes


@pytest.mark.parametrize("call", ["cloud.create_volume", "cloud.attach_volume", "cloud.extend_volume", "cloud.delete_volume", "host.set_up_volume"])
def test_lost_answers_make_no_second_volume(call: str) -> None:
    world = World(pool())
    world.faults.lose_answer_of = call
    controller = world.controller()
    drive(world, lambda: fits(world), controller)
    world.edit(**pool(2, sizeGiB=12))
    drive(world, lambda: fits(world) and {d.file_system_gib for d in world.cloud.disks.values()} == {12}, controller)
    world.edit(**pool(1, sizeGiB=12))
    drive(world, lambda: fits(world, 1) and len(world.cloud.volumes) == 1, controller)
    assert world.faults.lose_answer_of is None, "the fault was met"
    assert world.cloud.created_volumes == 2


def grown(world: World) -> None:
    drive(world, lambda: fits(world))
    world.edit(**pool(2, sizeGiB=12))


def replaced(world: World) -> None:
    drive(world, lambda: fits(world))
    world.cloud.disks[volume_of(world, 1)].content["file"] = "mine"
    killed(world)


def shrunk(world: World) -> None:
    drive(world, lambda: fits(world))
    world.edit(**pool(1))


def deleted(world: World) -> None:
    drive(world, lambda: fits(world))
    world.delete()


SCENARIOS: dict[str, tuple[Callable[[World], object], Callable[[World], bool], int]] = {
    "create": (lambda world: None, fits, 2),
    "grow": (grown, lambda w: fits(w) and {d.file_system_gib for d in w.cloud.disks.values()} == {12}, 2),
    "replace": (replaced, lambda w: fits(w) and len(w.servers) == 3 and "demo-web-1" not in w.servers, 2),
    "scale-down": (shrunk, lambda w: fits(w, 1) and len(w.cloud.volumes) == 1, 1),
    "delete": (deleted, lambda w: w.resource is None, 0),
}


@pytest.mark.parametrize(
    ("name", "lose_status"), [*((name, False) for name in SCENARIOS), ("create", True), ("replace", True), ("delete", True)], ids=lambda value: str(value)
)
def test_crash_at_every_write(name: str, lose_status: bool) -> None:
    """The process dies before and after each write; a new one finishes: no volume twice, none left, content kept."""
    before, done, volumes = SCENARIOS[name]
    start = World(pool())
    before(start)
    found = deaths(start, lambda world: drive(world, lambda: done(world)), lose_status=lose_status)
    assert len(found) > 6
    for point, world in found:
        drive(world, lambda world=world: done(world))
        assert len(world.cloud.volumes) == volumes, point
        assert world.cloud.created_volumes == 2, point
        if name == "replace":
            assert world.cloud.disks[volume_of(world, 1)].content == {"file": "mine"}, point
        if name == "delete":
            assert world.cloud.leftovers() == [], point


def test_a_machine_that_lost_its_mounts_gets_them_back_before_it_joins_again() -> None:
    """As after a rebuild: status still says that the volume is set up, the guest does not."""
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: fits(world, 1), controller)
    guest, server = world.guests[world.server("demo-web-0").id], world.server("demo-web-0").id
    guest.mounts.clear()
    guest.fstab.clear()
    guest.swarm, guest.node_id = None, ""
    drive(world, lambda: not world.ready, controller)
    drive(world, lambda: fits(world, 1), controller)
    assert guest.mounts == {"/data": volume_of(world, 0)} and world.server("demo-web-0").id == server, "the same machine, joined again"


def test_a_file_system_that_can_not_be_grown_holds_nobody_up() -> None:
    """Its error is told; a machine that takes the volume over joins with what there is."""
    world = World(pool(1))
    controller = world.controller()
    drive(world, lambda: fits(world, 1), controller)
    world.faults.errors["host.set_up_volume"] = ExternalError(ErrorKind.TRANSIENT, "ssh", "resize2fs: no", reason=Reason.VOLUME_FAILED)
    world.edit(**pool(1, sizeGiB=12))
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "VolumeFailed"), controller)
    assert "resize2fs: no" in world.message("MembersUpToDate")
    entry = world.status.nodes[1].volumes[0]
    assert entry.attached and entry.size_gib == 10 and world.cloud.volumes[volume_of(world, 0)].size_gib == 12
    del world.faults.errors["host.set_up_volume"]
    drive(world, lambda: fits(world, 1) and world.status.nodes[1].volumes[0].size_gib == 12, controller)
