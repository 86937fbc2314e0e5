"""Backups of the managers' raft state: when one is made, of which manager, and which are kept.

A backup is a Glance image: every cloud that has servers has images, and they outlive the servers. What it holds stands in a property of the image, written before its last byte, so
that an image either is a complete backup or none, and a lost status is rebuilt from the images alone.

The manager whose state is copied is never the leader where there is another, and its engine stands still for less than a second (`bootstrap.raft_backup`). Still, a copy begins only
while every manager is reachable and nothing else is done to any of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from swarm_operator.api import cron
from swarm_operator.api.backup import BackupRecord, BackupRun, BackupSpec, BackupStatus
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Image
from swarm_operator.domain.cluster.images import POLL_SECONDS, UNDER_WAY
from swarm_operator.domain.cluster.machines import SETTLE_SECONDS, Machine
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import BeginBackup, DeleteImage, RunBackup, Step
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import BACKUP_PART, IMAGE_BACKUP, backup_part, part_of_image
from swarm_operator.domain.quorum import in_transition, is_quorate, may_be_disturbed, raft_members

RUN_SECONDS: Final = 3600.0
"""How long a backup may take before it is given up."""
RETRY_SECONDS: Final = 300.0
MOST_RETRY_SECONDS: Final = 6 * 3600.0
WAIT_SECONDS: Final = 30.0
_NAME: Final = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class BackupPlan:
    """`wake_in`: seconds until there is something to do."""

    status: BackupStatus | None
    verdict: Verdict
    steps: tuple[Step, ...] = ()
    wake_in: float | None = None


@dataclass
class _Work:
    steps: list[Step] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


def unsettled(spec: SwarmClusterSpec, status: SwarmClusterStatus, now: datetime) -> bool:
    """Whether the images must be read for this reconcile: a backup is being made, is due, is to go, or one is to be restored."""
    known = status.backup or BackupStatus()
    if known.running is not None or (status.recovery is not None and status.recovery.restoring is not None):
        return True
    if spec.recovery.restore_from is not None and status.recovery is not None and status.recovery.lost_since is not None:
        return True
    if spec.backup is not None and status.backup is None:
        return status.swarm_id is not None
    return spec.backup is not None and (_due(spec.backup, known, now) or len(known.kept) > spec.backup.retention)


def to_reach(status: SwarmClusterStatus, machines: Sequence[Machine]) -> list[Machine]:
    """The manager that a backup is being taken of."""
    run = status.backup.running if status.backup is not None else None
    return [m for m in machines if run is not None and m.uid == run.machine_uid and m.joined]


def described(record: BackupRecord) -> str:
    """The property of the image of a backup: all but its name and image."""
    return json.dumps(record.model_dump(by_alias=True, exclude={"name", "image_id"}, exclude_defaults=True), separators=(",", ":"), sort_keys=True)


def record_of(image: Image, cluster_uid: str) -> BackupRecord | None:
    """The complete backup that an image is, if it is one."""
    part = part_of_image(image.properties, cluster_uid) or ""
    if not part.startswith(BACKUP_PART) or image.status != "active" or IMAGE_BACKUP not in image.properties:
        return None
    try:
        told: Any = json.loads(image.properties[IMAGE_BACKUP])
        return BackupRecord.model_validate({**told, "name": part.removeprefix(BACKUP_PART), "imageID": image.id})
    except (ValueError, TypeError, ValidationError):
        return None


def complete(images: Sequence[Image], cluster_uid: str) -> list[BackupRecord]:
    """The complete backups, the oldest first: their names are times. Of two of one name the image that was made first."""
    found: dict[str, BackupRecord] = {}
    for image in sorted(images, key=lambda i: (i.created, i.id)):
        record = record_of(image, cluster_uid)
        if record is not None:
            found.setdefault(record.name, record)
    return sorted(found.values(), key=lambda r: r.name)


def plan_backup(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, keep: Sequence[Machine], now: datetime, *, calm: bool
) -> BackupPlan:
    """Pure. `calm`: no manager is missing, on its way, repaired or replaced, and nothing of the swarm is being rotated. Without a list of images all stays as it was."""
    wanted, images = spec.backup, observation.images
    if isinstance(images, Unknown):
        return BackupPlan(status.backup, _verdict(wanted, status.backup))
    ours = [i for i in images.value if (part_of_image(i.properties, observation.uid) or "").startswith(BACKUP_PART)]
    if wanted is None and not ours:
        return BackupPlan(None, _verdict(None, None))
    known = (status.backup or BackupStatus()).model_copy(update={"kept": complete(ours, observation.uid)[-128:]})
    if known.last_successful_time is None and known.kept:
        known = known.model_copy(update={"last_successful_time": taken_at(known.kept[-1].name), "last_name": known.kept[-1].name})
    work = _Work()
    if known.running is not None:
        known = _watch(spec, known, known.running, ours, observation, keep, work, now)
    _tidy(wanted, spec.recovery.restore_from, known, ours, observation, work)
    if wanted is not None and known.running is None:
        known = _begin(wanted, known, observation, keep, work, now, calm=calm)
    if wanted is None:
        known = known.model_copy(update={"next": None, "failures": 0, "message": ""})
    return BackupPlan(known, _verdict(wanted, known), tuple(work.steps), min(work.waits, default=None))


def name_at(moment: datetime) -> str:
    """The name of a backup that is begun at `moment` (aware)."""
    return moment.astimezone(UTC).strftime(_NAME)


def taken_at(name: str) -> str | None:
    """When the backup of that name was begun; None where the name says nothing of it."""
    try:
        return times.stamp(datetime.strptime(name, _NAME).replace(tzinfo=UTC))
    except ValueError:
        return None


def failed(known: BackupStatus, message: str) -> BackupStatus:
    """The status after an attempt that failed."""
    return known.model_copy(update={"running": None, "failures": known.failures + 1, "message": message[:1024]})


def _watch(
    spec: SwarmClusterSpec,
    known: BackupStatus,
    run: BackupRun,
    images: Sequence[Image],
    observation: ClusterObservation,
    keep: Sequence[Machine],
    work: _Work,
    now: datetime,
) -> BackupStatus:
    """One that is being made."""
    done = next((r for r in known.kept if r.name == run.name), None)
    if done is not None:
        return known.model_copy(
            update={"running": None, "failures": 0, "message": "", "last_successful_time": times.stamp(now), "last_name": done.name},
        )
    work.waits.append(POLL_SECONDS)
    image = next((i for i in images if part_of_image(i.properties, observation.uid) == backup_part(run.name)), None)
    machine = next((m for m in keep if m.uid == run.machine_uid), None)
    if (times.age(run.begun_at, now) or 0.0) > RUN_SECONDS:
        return failed(known, f"it was not complete within {RUN_SECONDS / 60:.0f} minutes")
    if machine is None or machine.gone:
        return failed(known, "the manager that it was taken of is gone")
    if image is None:
        asked = times.age(run.asked_at, now)
        if run.image_id is not None and (asked is None or asked >= SETTLE_SECONDS):
            return failed(known, "its image was deleted before it was complete")
        if asked is None or asked >= SETTLE_SECONDS:
            work.steps.append(BeginBackup(machine.id, machine.uid, run.name, known.done_for))
        return known
    if image.status == "queued":
        if machine.joined:
            work.steps.append(RunBackup(machine.id, machine.uid, run.name, image.id, spec.backup is None or spec.backup.verify))
        return known.model_copy(update={"running": run.model_copy(update={"image_id": image.id})})
    return known if image.status in UNDER_WAY or image.status == "active" else failed(known, f"Glance says that its image is {image.status}")


def _tidy(wanted: BackupSpec | None, restored: str | None, known: BackupStatus, images: Sequence[Image], observation: ClusterObservation, work: _Work) -> None:
    """Images of attempts that came to nothing go, and complete ones beyond the retention: never the last verified one, nor the one that is to be restored."""
    kept = {r.image_id for r in known.kept}
    running = known.running.name if known.running is not None else None
    for image in images:
        if image.id not in kept and part_of_image(image.properties, observation.uid) != backup_part(running or ""):
            work.steps.append(DeleteImage("image", Known(image.id), "a backup that was not completed"))
    if wanted is None:
        return
    precious = {restored, *(r.name for r in known.kept[-wanted.retention :]), *[r.name for r in known.kept if r.verified][-1:]}
    work.steps += [DeleteImage("image", Known(r.image_id), "more backups than spec.backup.retention") for r in known.kept if r.name not in precious]


def _begin(
    wanted: BackupSpec, known: BackupStatus, observation: ClusterObservation, keep: Sequence[Machine], work: _Work, now: datetime, *, calm: bool
) -> BackupStatus:
    """The next one, if it is due and the managers can take it."""
    if known.scheduled_at is None:
        known = known.model_copy(update={"scheduled_at": times.stamp(now)})
    following = upcoming(wanted, known, now)
    known = known.model_copy(update={"next": times.stamp(following) if following is not None else None})
    if not _due(wanted, known, now):
        work.waits += [max(1.0, (following - now).total_seconds())] if following is not None else []
        work.waits += [max(1.0, _retry_in(known, now))] if known.failures else []
        return known
    machine, waiting = _source(observation, keep, calm=calm)
    if machine is None:
        work.waits.append(WAIT_SECONDS)
        return known if known.failures else known.model_copy(update={"message": waiting})
    asked_for = wanted.now if wanted.now != known.done_for else None
    work.steps.append(BeginBackup(machine.id, machine.uid, name_at(now), asked_for))
    work.waits.append(POLL_SECONDS)
    return known


def upcoming(wanted: BackupSpec, known: BackupStatus, now: datetime) -> datetime | None:
    """The first time of the schedule since it was last followed: in the past where it was missed, and then made up for once."""
    since = times.parse(known.scheduled_at) or now
    if wanted.schedule is None:
        return None
    try:
        return next(cron.times(wanted.schedule, since.astimezone(ZoneInfo(wanted.time_zone))), None)
    except (KeyError, ValueError, OSError):
        return None  # `validate_cluster` says so


def _due(wanted: BackupSpec, known: BackupStatus, now: datetime) -> bool:
    if wanted.now is not None and wanted.now != known.done_for:
        return True
    following = upcoming(wanted, known, now)
    if following is not None and following <= now:
        return True
    return known.failures > 0 and _retry_in(known, now) <= 0


def _retry_in(known: BackupStatus, now: datetime) -> float:
    """Seconds until a failed one is tried again: the pause doubles."""
    pause: float = min(MOST_RETRY_SECONDS, RETRY_SECONDS * 2.0 ** min(known.failures - 1, 10))
    return pause - (times.age(known.last_attempt, now) or 0.0)


def _source(observation: ClusterObservation, keep: Sequence[Machine], *, calm: bool) -> tuple[Machine | None, str]:
    """The manager to take it of, or what is waited for."""
    view = observation.swarm
    if not isinstance(view, Known) or not is_quorate(view.value.nodes):
        return None, "waits for a swarm with a leader"
    nodes = view.value.nodes
    members = raft_members(nodes)
    if not calm or in_transition(nodes) or any(n.reachability != "reachable" for n in members):
        return None, "waits until all managers are reachable and none of them is being changed"
    managers = [m for m in keep if m.id.role == "Manager" and m.joined and m.member is not None and not m.being_deleted]
    followers = [m for m in managers if m.member is not None and not m.member.leader and may_be_disturbed(nodes, m.member)]
    # With two members none may be disturbed; with one, the one is copied: there is no other way.
    chosen = followers or [m for m in managers if len(members) == 1]
    return (chosen[-1], "") if chosen else (None, "waits for three managers, or one: without any of two there is no majority")


def _verdict(wanted: BackupSpec | None, known: BackupStatus | None) -> Verdict:
    kind = ConditionType.BACKUP_READY
    if wanted is None or known is None:
        asked = wanted is not None
        text = "not looked at yet" if asked else "spec.backup asks for none"
        return Verdict(type=kind, status="Unknown" if asked else "True", reason=Reason.BACKUP_PENDING if asked else Reason.AS_EXPECTED, message=text)
    if known.failures:
        last = f"; the last good one is of {known.last_successful_time}" if known.last_successful_time else "; there is none"
        return Verdict(type=kind, status="False", reason=Reason.BACKUP_FAILED, message=f"{known.failures} attempts failed: {known.message}{last}")
    if known.last_successful_time is not None or known.kept:
        name = known.last_name or known.kept[-1].name
        return Verdict(type=kind, status="True", reason=Reason.BACKUP_DONE, message=f"the last backup is {name}")
    if wanted.schedule is None and wanted.now is None and known.running is None:
        return Verdict(type=kind, status="True", reason=Reason.AS_EXPECTED, message="no backup was asked for yet")
    return Verdict(type=kind, status="Unknown", reason=Reason.BACKUP_PENDING, message=known.message or "the first backup is still to come")
