"""The images of a cluster: snapshots of its workers, files of the web (`url_images`), what pools boot from, and which images go.

A snapshot is taken once. Its image is found again by the properties that Nova writes with it (`ownership.part_of_image`), so that neither a lost answer nor a lost status
takes a second one. An image that somebody deletes is not made anew behind the user's back: the worker's disk is another one by now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.images import ImageState, ImageStatus, SnapshotSpec, SnapshotState, SnapshotStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Image
from swarm_operator.domain.cluster.machines import SETTLE_SECONDS, Machine, MachineTable, current, machine_spec
from swarm_operator.domain.cluster.observation import ClusterObservation, MachineReferences
from swarm_operator.domain.cluster.steps import CreateSnapshot, DeleteImage, RetainImage, Step
from swarm_operator.domain.cluster.url_images import declared, plan_url_images
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import BACKUP_PART, IMAGE_RETAIN, IMAGE_SOURCE, part_of_image, snapshot_part, url_part

SNAPSHOT_SECONDS = 3600.0
"""How long Nova may take to save a disk before the attempt is given up and its image deleted."""
RETRY_SECONDS = 120.0
POLL_SECONDS = 3.0
IDLE_SECONDS = 30.0
UNDER_WAY = frozenset({"queued", "saving", "uploading", "importing"})
SNAPSHOT_TASKS = frozenset({"image_snapshot", "image_snapshot_pending", "image_pending_upload", "image_uploading"})
"""Nova's task states of a server whose disk is being saved (nova.compute.task_states); it may be paused meanwhile."""
WAITS = frozenset({Reason.IMAGE_PENDING, Reason.IMAGE_FAILED})
"""Reasons of a pool that waits for an image of ours: nothing to back off from, `wake_in` says when to look again."""


@dataclass(frozen=True)
class ImagePlan:
    """`references`: the observation's, with the ids of our own images put in. `blocked`: pools whose machines wait for one. `wake_in`: seconds until the next look."""

    snapshots: tuple[SnapshotStatus, ...]
    images: tuple[ImageStatus, ...]
    steps: tuple[Step, ...]
    references: Mapping[str, Fact[MachineReferences]]
    verdict: Verdict
    wake_in: float | None = None

    @property
    def blocked(self) -> frozenset[str]:
        return frozenset(pool for pool, fact in self.references.items() if isinstance(fact, Unknown) and fact.reason in WAITS)


@dataclass
class _Work:
    """What is collected while the entries are gone through."""

    steps: list[Step] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """Ids of servers that a snapshot is taken of: one at a time."""


def unsettled(spec: SwarmClusterSpec, status: SwarmClusterStatus) -> bool:
    """Whether the images must be read for this reconcile: some are on their way, or some are to go."""
    active = {s.name for s in status.snapshots if s.state is SnapshotState.ACTIVE}
    there = {i.checksum for i in status.images if i.state is ImageState.ACTIVE}
    return (
        {s.name for s in spec.snapshots} != active or len(active) != len(status.snapshots) or declared(spec).keys() != there or len(there) != len(status.images)
    )


def to_reach(spec: SwarmClusterSpec, status: SwarmClusterStatus, machines: Sequence[Machine]) -> list[Machine]:
    """The members that must be reached over ssh because a snapshot may be taken of them now."""
    begun = {s.name for s in status.snapshots if s.state in (SnapshotState.ACTIVE, SnapshotState.CREATING, SnapshotState.LOST)}
    sources = {(s.of.pool, s.of.slot) for s in spec.snapshots if s.name not in begun}
    return [m for m in machines if m.id.role == "Worker" and (m.id.pool, m.id.slot) in sources and m.joined]


def plan_images(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, now: datetime) -> ImagePlan:
    """Pure. Without a complete list of the images what status knows of them stays, and nothing is made or deleted."""
    images, work = observation.images, _Work()
    if isinstance(images, Unknown):
        snapshots, from_web = tuple(status.snapshots), tuple(status.images)
    else:
        records = {s.name: s for s in status.snapshots}
        found = [_snapshot(entry, records.get(entry.name), images.value, observation, table, work, now) for entry in spec.snapshots]
        snapshots = (*found, *_unwanted(spec, images.value, observation, table, work))
        fetched = plan_url_images(spec, status.images, images.value, observation, now)
        from_web = tuple(fetched.statuses)
        work.steps += fetched.steps
        work.waits += fetched.waits
    references = {pool: _reference(spec, pool, fact, snapshots, from_web, images) for pool, fact in observation.machine_references.items()}
    waits = work.waits or ([IDLE_SECONDS] if any(s.state is not SnapshotState.ACTIVE for s in snapshots) else [])
    return ImagePlan(snapshots, from_web, tuple(work.steps), references, _verdict(spec, snapshots, from_web, images), min(waits, default=None))


def serves_nothing(part: str | None) -> bool:
    """Whether an image is ours and no part that this version knows; None: it is not ours."""
    return part is not None and _snapshot_of(part) is None and not part.startswith((url_part(""), BACKUP_PART))


def _snapshot_of(part: str) -> str | None:
    """The name of the snapshot that a part names."""
    match = re.fullmatch(snapshot_part("([a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?)"), part)
    return match.group(1) if match is not None else None


def _snapshot(
    entry: SnapshotSpec,
    record: SnapshotStatus | None,
    images: Sequence[Image],
    observation: ClusterObservation,
    table: MachineTable,
    work: _Work,
    now: datetime,
) -> SnapshotStatus:
    record = record or SnapshotStatus(name=entry.name, state=SnapshotState.PENDING)
    ours = sorted((i for i in images if part_of_image(i.properties, observation.uid) == snapshot_part(entry.name)), key=lambda i: (i.created, i.id))
    chosen = next((i for i in ours if i.id == record.image_id), None) or next((i for i in ours if i.status == "active"), ours[0] if ours else None)
    work.steps += [_delete(i, "made twice") for i in ours if chosen is not None and i.id != chosen.id and not _users(i, observation, table)]
    if chosen is None:
        return _missing(entry, record, observation, table, work, now)
    asked = record.created_at or _stamp(chosen.created)
    facts = record.model_copy(
        update={"image_id": chosen.id, "created_at": asked, "message": "", "machine": record.machine or _machine_name(chosen, observation)}
    )
    if chosen.status == "active":
        if (chosen.properties.get(IMAGE_RETAIN) == "true") != entry.retain:
            work.steps.append(RetainImage(chosen.id, entry.retain))
        return facts.model_copy(update={"state": SnapshotState.ACTIVE})
    if chosen.status not in UNDER_WAY:
        dead = chosen.status == "killed"
        work.steps += [_delete(chosen, "it could not be saved")] if dead else []
        return facts.model_copy(update={"state": SnapshotState.FAILED, "message": f"Glance says that the image is {chosen.status}"})
    source_gone = isinstance(observation.servers, Known) and chosen.properties.get(IMAGE_SOURCE) not in {s.id for s in observation.servers.value}
    if (times.age(asked, now) or 0.0) > SNAPSHOT_SECONDS or (source_gone and (times.age(asked, now) or 0.0) > SETTLE_SECONDS):
        why = "its server was deleted while it was saved" if source_gone else f"it was not saved within {SNAPSHOT_SECONDS:.0f} s"
        work.steps.append(_delete(chosen, why))
        return facts.model_copy(update={"state": SnapshotState.FAILED, "message": why})
    work.waits.append(POLL_SECONDS)
    return facts.model_copy(update={"state": SnapshotState.CREATING, "message": f"Nova saves the disk; Glance says {chosen.status}"})


def _missing(entry: SnapshotSpec, record: SnapshotStatus, observation: ClusterObservation, table: MachineTable, work: _Work, now: datetime) -> SnapshotStatus:
    """There is certainly no image of this snapshot, unless Nova was asked for it a moment ago."""
    age = times.age(record.created_at, now)
    if record.state in (SnapshotState.ACTIVE, SnapshotState.LOST):
        return record.model_copy(
            update={"state": SnapshotState.LOST, "message": "its image was deleted by somebody else; declare it under another name to take it again"}
        )
    if record.state is SnapshotState.CREATING and age is not None and age < SETTLE_SECONDS:
        work.waits.append(SETTLE_SECONDS - age)
        return record
    if record.state is SnapshotState.CREATING and record.image_id is not None:
        record = record.model_copy(update={"state": SnapshotState.FAILED, "image_id": None, "message": "Nova gave the image up while it saved the disk"})
    if record.state is SnapshotState.FAILED and age is not None and age < RETRY_SECONDS:
        work.waits.append(RETRY_SECONDS - age)
        return record.model_copy(update={"image_id": None})
    machine = next((m for m in current(table.of("Worker", entry.of.pool)) if m.id.slot == entry.of.slot), None)
    step, message = _take(entry, machine, observation, work)
    if step is not None:
        work.steps.append(step)
        work.waits.append(POLL_SECONDS)
    return SnapshotStatus(
        name=entry.name,
        state=SnapshotState.PENDING,
        machine=machine.id.server_name(observation.name) if machine is not None else "",
        message=message,
    )


def _take(entry: SnapshotSpec, machine: Machine | None, observation: ClusterObservation, work: _Work) -> tuple[CreateSnapshot | None, str]:
    """The step, or what is waited for."""
    if machine is None:
        return None, f"there is no worker {entry.of.pool}-{entry.of.slot}"
    name, server = machine.id.server_name(observation.name), machine.present
    if server is None or server.status != "ACTIVE" or not machine.joined or machine.drained_at is not None:
        return None, f"{name} is not a ready node"
    if server.task_state is not None or server.id in work.asked:
        work.waits.append(POLL_SECONDS)
        return None, f"{name} is busy: {server.task_state or 'another snapshot is taken of it'}"
    work.asked.add(server.id)
    return CreateSnapshot(entry.name, Known(server), machine.id, machine.uid, entry.retain), f"the disk of {name} is to be saved"


def _unwanted(spec: SwarmClusterSpec, images: Sequence[Image], observation: ClusterObservation, table: MachineTable, work: _Work) -> list[SnapshotStatus]:
    """Images of what is not declared any more: deleted once no server of the cluster uses them; retained ones are nobody's business."""
    wanted = {snapshot_part(s.name) for s in spec.snapshots} | {url_part(checksum) for checksum in declared(spec)}
    found: dict[str, SnapshotStatus] = {}
    for image in images:
        part = part_of_image(image.properties, observation.uid) or ""
        name = _snapshot_of(part)
        if (name is None and not part.startswith(url_part(""))) or part in wanted or image.properties.get(IMAGE_RETAIN) == "true":
            continue
        users = _users(image, observation, table)
        if not users:
            work.steps.append(_delete(image, "it is not declared any more"))
            work.waits.append(POLL_SECONDS)
        if name is None:
            continue
        found[name] = SnapshotStatus(
            name=name,
            image_id=image.id,
            state=SnapshotState.DELETING,
            created_at=_stamp(image.created),
            message=f"in use by {', '.join(users)}"[:1024] if users else "",
        )
    return list(found.values())


def _users(image: Image, observation: ClusterObservation, table: MachineTable) -> list[str]:
    """Names of the servers that were booted from an image; not empty where that is not known for certain."""
    if isinstance(observation.servers, Unknown):
        return ["servers that can't be listed now"]
    if any(isinstance(m.server, Unknown) for m in table.machines):
        return ["a server that was just asked for"]
    return [s.name for s in observation.servers.value if s.image_id == image.id]


def _delete(image: Image, because: str) -> DeleteImage:
    return DeleteImage("image", Known(image.id), because)


def _machine_name(image: Image, observation: ClusterObservation) -> str:
    servers = observation.servers.value if isinstance(observation.servers, Known) else ()
    return next((s.name for s in servers if s.id == image.properties.get(IMAGE_SOURCE)), "")[:63]


def _stamp(created: str) -> str | None:
    moment = times.parse(created)
    return times.stamp(moment) if moment is not None else None


def _reference(
    spec: SwarmClusterSpec,
    pool: str,
    fact: Fact[MachineReferences],
    snapshots: Sequence[SnapshotStatus],
    from_web: Sequence[ImageStatus],
    images: Fact[tuple[Image, ...]],
) -> Fact[MachineReferences]:
    """What a pool boots from, once that is there."""
    image = machine_spec(spec, pool).image
    if not image.own or isinstance(fact, Unknown):
        return fact
    if isinstance(images, Unknown):
        return images
    who = f"pool {pool}" if pool else "managers"
    if image.url is not None:
        record = next((r for r in from_web if r.checksum == image.url.checksum), None)
        if record is not None and record.state is ImageState.ACTIVE and record.image_id is not None:
            return Known(replace(fact.value, image_id=record.image_id))
        failed = record is not None and record.state is ImageState.FAILED
        text = f"{record.state.value}: {record.message}" if record is not None else "not there"
        return Unknown(
            Reason.IMAGE_FAILED if failed else Reason.IMAGE_PENDING, f"{who}: waits for the image of checksum {_short(image.url.checksum)}, which is {text}"
        )
    source = image.from_snapshot_of
    assert source is not None
    found = next((s for s in snapshots if s.name == source.snapshot and s.state is not SnapshotState.DELETING), None)
    if found is None:
        return Unknown(Reason.IMAGE_FAILED, f"{who}: there is no snapshot {source.snapshot!r}")
    if found.state is SnapshotState.ACTIVE and found.image_id is not None:
        return Known(replace(fact.value, image_id=found.image_id))
    reason = Reason.IMAGE_FAILED if found.state in (SnapshotState.FAILED, SnapshotState.LOST) else Reason.IMAGE_PENDING
    return Unknown(reason, f"{who}: waits for snapshot {found.name!r}, which is {found.state.value}: {found.message}")


def _short(checksum: str) -> str:
    return checksum[:19] + "..."


def _verdict(spec: SwarmClusterSpec, snapshots: Sequence[SnapshotStatus], from_web: Sequence[ImageStatus], images: Fact[tuple[Image, ...]]) -> Verdict:
    kind = ConditionType.IMAGES_READY
    wanted, fetched = {s.name for s in spec.snapshots}, declared(spec)
    if not wanted and not fetched:
        return Verdict(type=kind, status="True", reason=Reason.AS_EXPECTED, message="no image is declared")
    if isinstance(images, Unknown):
        return Verdict(type=kind, status="Unknown", reason=images.reason, message=images.message)
    open_ends = [
        (s.state in (SnapshotState.FAILED, SnapshotState.LOST), f"snapshot {s.name!r} is {s.state.value}: {s.message}")
        for s in snapshots
        if s.name in wanted and s.state is not SnapshotState.ACTIVE
    ]
    open_ends += [
        (i.state is ImageState.FAILED, f"image {fetched[i.checksum].url} is {i.state.value}: {i.message}")
        for i in from_web
        if i.checksum in fetched and i.state is not ImageState.ACTIVE
    ]
    if open_ends:
        failed, message = max(open_ends, key=lambda end: end[0])
        return Verdict(type=kind, status="False", reason=Reason.IMAGE_FAILED if failed else Reason.IMAGE_PENDING, message=message)
    return Verdict(type=kind, status="True", reason=Reason.AS_EXPECTED, message=f"{len(wanted) + len(fetched)} images can be booted from")
