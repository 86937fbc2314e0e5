"""Backups of the raft state: when, of whom, how many; and a swarm that comes back from one when no manager is left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.api.backup import BackupStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError

THREE: dict[str, Any] = {"managers": {"replicas": 3}}


def backups(world: World) -> BackupStatus:
    found = world.status.backup
    return found if found is not None else BackupStatus()


def ready(spec: dict[str, Any]) -> World:
    world = World(spec)
    drive(world, lambda: world.ready and (world.status.autolock is None or world.status.autolock.key_stored))
    return world


def ask(world: World, text: str, **spec: Any) -> None:
    world.edit(backup={"now": text, **spec})


def saved(world: World, text: str) -> bool:
    found = backups(world)
    return found.done_for == text and found.running is None and found.failures == 0


def idle(world: World, rounds: int = 30, seconds: float = 15) -> None:
    controller = world.controller()
    for _ in range(rounds):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(seconds)


@pytest.mark.parametrize("spec", [{}, THREE])
def test_a_backup_now_is_taken_of_a_follower_and_described(spec: dict[str, Any]) -> None:
    world = ready(spec)
    assert world.condition("BackupReady") == ("True", "AsExpected")
    ask(world, "first")
    drive(world, lambda: saved(world, "first"))
    found = backups(world)
    record = found.kept[0]
    assert found.last_name == record.name and found.last_attempt is not None and found.last_attempt <= (found.last_successful_time or "")
    assert record.verified and record.nodes == len(world.swarm.nodes) and record.swarm_id == "swarm0" and record.size > 0 and len(record.sha256) == 64
    assert world.condition("BackupReady") == ("True", "BackupDone")
    assert world.copies_taken == [f"demo-manager-{world.status.managers.desired - 1}"]
    image = world.cloud.images[record.image_id]
    assert image.status == "active" and b"swarm0" not in world.cloud.contents[image.id], "the content is encrypted"
    assert all(g.archive == b"" for g in world.guests.values()), "nothing stays on the guest"
    key = world.objects.secrets[("default", "demo-backup-key")][1]["key"]
    assert len(key) == 32 and key not in world.cloud.contents[image.id]
    writes = world.external_writes()
    idle(world)
    assert world.external_writes() == writes and len(world.copies_taken) == 1


def test_the_schedule_is_followed_and_retention_kept() -> None:
    world = ready({"backup": {"schedule": "0 * * * *", "retention": 2}})
    begun = world.clock.now()
    following = datetime.fromisoformat(backups(world).next or "").astimezone(UTC)
    assert (following.minute, following.second) == (0, 0) and 0 < (following - begun).total_seconds() <= 3600
    assert world.condition("BackupReady") == ("Unknown", "BackupPending")
    names = []
    for count in range(1, 5):
        drive(world, lambda count=count: len(world.copies_taken) == count and backups(world).running is None, limit=600)
        names.append(backups(world).last_name)
    drive(world, lambda: len(backups(world).kept) == 2)
    assert [r.name for r in backups(world).kept] == names[-2:] and len(set(names)) == 4
    assert sorted(world.cloud.images) == sorted(r.image_id for r in backups(world).kept)


def test_none_while_a_manager_is_away() -> None:
    world = ready({**THREE, "remediation": {"policy": "None"}})
    world.kill(world.server("demo-manager-1").id)
    world.clock.advance(20)
    ask(world, "now")
    idle(world)
    assert not world.copies_taken and not world.cloud.images and "reachable" in world.message("BackupReady")


def test_a_copy_that_is_not_verified_is_no_backup() -> None:
    world = ready({})
    world.copies_torn = True
    ask(world, "now")
    drive(world, lambda: backups(world).failures == 1)
    assert world.condition("BackupReady") == ("False", "BackupFailed") and "corrupt" in world.message("BackupReady")
    idle(world, 4)
    assert not world.cloud.images and not backups(world).kept and world.ready
    world.copies_torn = False
    drive(world, lambda: len(backups(world).kept) == 1)
    assert backups(world).failures == 0 and world.condition("BackupReady")[0] == "True"


def test_glance_that_does_not_answer_costs_the_backup_and_nothing_else() -> None:
    world = ready({})
    world.faults.errors["cloud.upload_image"] = ExternalError(ErrorKind.TRANSIENT, "openstack", "down", reason=Reason.CLOUD_FAILING)
    ask(world, "now")
    drive(world, lambda: backups(world).failures == 1)
    del world.faults.errors["cloud.upload_image"]
    drive(world, lambda: len(backups(world).kept) == 1)


def test_a_lost_status_is_rebuilt_from_the_images() -> None:
    world = ready({"backup": {"schedule": "0 0 1 1 *"}})
    world.edit(backup={"schedule": "0 0 1 1 *", "now": "x"})
    drive(world, lambda: len(backups(world).kept) == 1)
    before = backups(world).kept
    world.edit(backup={"schedule": "0 0 1 1 *"})
    world.lose_status()
    drive(world, lambda: world.ready and len(backups(world).kept) == 1)
    assert backups(world).kept == before and len(world.copies_taken) == 1 and backups(world).last_name == before[0].name


def test_without_a_spec_backups_stay_and_they_go_with_the_cluster() -> None:
    world = ready({})
    ask(world, "x")
    drive(world, lambda: len(backups(world).kept) == 1)
    found = world.resource
    assert found is not None
    del found.spec["backup"]
    world.edit()
    idle(world)
    assert len(world.cloud.images) == 1 and not world.status.orphans
    world.delete()
    drive(world, lambda: world.resource is None)
    assert not world.cloud.images


def test_what_a_restore_needs_is_left_behind_with_the_cluster() -> None:
    world = ready({"deletionPolicy": "Retain", "swarm": {"autolock": True}})
    ask(world, "x")
    drive(world, lambda: len(backups(world).kept) == 1)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert len(world.cloud.images) == 1
    assert {world.objects.secrets[("default", f"demo-{name}")][0] for name in ("backup-key", "unlock-key", "ssh")} == {""}


def test_a_key_that_a_user_made_is_used_and_stays_theirs() -> None:
    world = ready({})
    world.objects.secrets[("default", "demo-backup-key")] = ("user", {"key": b"u" * 40})
    ask(world, "x")
    drive(world, lambda: len(backups(world).kept) == 1)
    assert world.objects.secrets[("default", "demo-backup-key")] == ("user", {"key": b"u" * 40})


def test_crash_at_every_call_of_a_backup() -> None:
    """Never two images of one backup, and always one in the end."""
    start = ready(THREE)
    ask(start, "x")
    found = deaths(start, lambda world: drive(world, lambda: saved(world, "x")))
    assert len(found) > 6
    for point, world in found:
        drive(world, lambda world=world: saved(world, "x") and len(backups(world).kept) == 1)
        idle(world, 2)
        assert len(world.cloud.images) == 1 == len(backups(world).kept), point


# --- restore


def lost(spec: dict[str, Any]) -> World:
    """A backup was made; then every manager's server is deleted behind our back, and something that came after the backup is lost with them."""
    world = ready({**spec, "recovery": {"afterSeconds": 30}})
    world.swarm.attached.append("net")
    ask(world, "x")
    drive(world, lambda: saved(world, "x"))
    world.swarm.attached.append("later")
    for name in [n for n in world.servers if "manager" in n]:
        world.delete_behind_our_back(name)
    world.clock.advance(20)
    drive(world, lambda: world.condition("ManagersQuorate") == ("False", "QuorumLost") and world.status.recovery is not None)
    return world


def restore(world: World, text: str = "yes") -> None:
    world.edit(recovery={"afterSeconds": 30, "restoreFrom": backups(world).kept[-1].name, "approve": text})


def whole(world: World) -> bool:
    return world.ready and len(world.swarm.raft) == world.status.managers.desired == len(world.swarm.reachable(world))


@pytest.mark.parametrize("spec", [{}, THREE, {"swarm": {"autolock": True}}])
def test_nothing_without_a_name_and_an_approval_then_the_swarm_comes_back(spec: dict[str, Any]) -> None:
    world = lost(spec)
    made = world.cloud.created_servers
    idle(world)
    assert world.cloud.created_servers == made and "spec.recovery.restoreFrom" in world.message("ManagersQuorate") and world.condition("Stalled")[0] == "True"
    world.edit(recovery={"afterSeconds": 30, "mode": "Auto", "restoreFrom": backups(world).kept[-1].name})
    idle(world)
    assert world.cloud.created_servers == made and "approve" in world.message("ManagersQuorate")
    restore(world)
    drive(world, lambda: whole(world), limit=800)
    assert world.swarm.id == "swarm0" and world.swarm.attached == ["net"] and world.swarms_are_one()
    assert world.swarm.raft_changes.count("restore demo-manager-0-2") == 1
    assert world.cloud.created_servers == made + world.status.managers.desired, "the workers stayed"
    recovery = world.status.recovery
    assert recovery is not None and (recovery.done_for, recovery.restored_from, recovery.restoring, recovery.from_manager) == (
        "yes",
        backups(world).kept[-1].name,
        None,
        "demo-manager-0-2",
    )


def test_an_approval_is_good_for_one_restore() -> None:
    world = lost({})
    restore(world)
    drive(world, lambda: whole(world), limit=800)
    world.delete_behind_our_back("demo-manager-0-2")
    world.clock.advance(20)
    idle(world)
    assert world.condition("ManagersQuorate") == ("False", "QuorumLost")
    restore(world, "again")
    drive(world, lambda: whole(world), limit=800)
    assert "restore demo-manager-0-3" in world.swarm.raft_changes


def test_a_manager_that_is_there_and_silent_is_not_given_up() -> None:
    world = ready({**THREE, "recovery": {"afterSeconds": 30}})
    ask(world, "x")
    drive(world, lambda: saved(world, "x"))
    for slot in (0, 1):
        world.delete_behind_our_back(f"demo-manager-{slot}")
    world.kill(world.server("demo-manager-2").id)
    restore(world)
    made = world.cloud.created_servers
    idle(world)
    assert world.cloud.created_servers == made and not [c for c in world.faults.calls if c == "host.feed"]


def test_a_backup_that_another_key_sealed_is_said_so() -> None:
    world = lost({})
    world.objects.secrets[("default", "demo-backup-key")][1]["key"] = b"z" * 32
    restore(world)
    drive(world, lambda: "another key" in world.message("ManagersQuorate"))
    assert not any(g.restored for g in world.guests.values())


def test_crash_at_every_call_of_a_restore() -> None:
    start = lost({})
    restore(start)
    found = deaths(start, lambda world: drive(world, lambda: whole(world), limit=800))
    assert len(found) > 10
    for point, world in found:
        drive(world, lambda world=world: whole(world) and world.status.recovery.restored_from is not None, limit=800)  # type: ignore[union-attr]
        assert world.swarm.attached == ["net"] and world.swarm.raft_changes.count("restore demo-manager-0-2") == 1, point
