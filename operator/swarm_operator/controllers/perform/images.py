"""Snapshots of workers, and images from files of the web."""

from __future__ import annotations

from swarm_operator.api.images import ImageState, ImageStatus, SnapshotState, SnapshotStatus, UrlImage
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import MAYBE_DONE, Action
from swarm_operator.controllers.image_transfers import fill_image
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.domain.cloud import ImageRequest
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import FROM_URL, IMAGE_RETAIN, IMAGE_VERIFIED, image_properties, object_name, snapshot_part, url_part


@performs(s.CreateSnapshot, s.CreateImage, s.FillImage, s.VerifyImage, s.RetainImage)
def _image(action: Action, step: s.Step) -> None:
    match step:
        case s.CreateSnapshot():
            _snapshot(action, step)
        case s.CreateImage(source):
            _create(action, source)
        case s.FillImage():
            _fill(action, step)
        case s.VerifyImage(source, image_id):
            action.cloud.set_image_property(image_id, IMAGE_VERIFIED, source.checksum)
        case s.RetainImage(image_id, retain):
            action.cloud.set_image_property(image_id, IMAGE_RETAIN, "true" if retain else "false")
        case _:
            raise AssertionError(f"no way to perform {step}")


def _snapshot(action: Action, step: s.CreateSnapshot) -> None:
    server = step.evidence.value
    _flush(action, step.machine_uid, server.name)
    _note(
        action,
        step.name,
        state=SnapshotState.CREATING,
        machine=server.name[:63],
        created_at=action.now(),
        image_id=None,
        message="Nova is asked to save the disk",
    )
    action.write_status()
    properties = image_properties(action.uid, action.name, snapshot_part(step.name), server.id, retain=step.retain)
    try:
        image_id = action.cloud.create_server_image(server.id, f"{object_name(action.name, action.uid)}-{step.name}", properties)
    except ExternalError as error:
        if error.kind is ErrorKind.CONFLICT:
            _note(
                action, step.name, state=SnapshotState.PENDING, created_at=None, message=error.message[:1024]
            )  # the server is busy: no failure of the snapshot
        elif error.kind not in MAYBE_DONE:
            _note(action, step.name, state=SnapshotState.FAILED, message=error.message[:1024])
        raise
    _note(action, step.name, image_id=image_id)
    action.write_status()
    action.objects.event(action.resource, Reason.CREATED, f"snapshot {step.name} of {server.name}: image {image_id}")


def _create(action: Action, source: UrlImage) -> None:
    _note_image(action, source.checksum, state=ImageState.UPLOADING, created_at=action.now(), image_id=None, message="Glance is asked for an image")
    action.write_status()
    name = f"{object_name(action.name, action.uid)}-{source.checksum[:19].replace(':', '-')}"
    properties = {**source.properties, **image_properties(action.uid, action.name, url_part(source.checksum), FROM_URL)}
    try:
        image_id = action.cloud.create_image(ImageRequest(name, source.disk_format, properties))
    except ExternalError as error:
        if error.kind not in MAYBE_DONE:
            _note_image(action, source.checksum, state=ImageState.FAILED, message=error.message[:1024])
        raise
    _note_image(action, source.checksum, image_id=image_id)
    action.write_status()
    action.objects.event(action.resource, Reason.CREATED, f"image {image_id} for {source.url}")


def _fill(action: Action, step: s.FillImage) -> None:
    cloud, downloads = action.cloud, action.downloads

    def job() -> None:
        fill_image(cloud, downloads, step.image_id, step.source, imported=step.imported)

    try:
        action.transfers.run(step.image_id, job)
    except ExternalError as error:
        if error.kind is ErrorKind.CONFLICT:
            return  # the last try is still being received, or has just been: the next look at Glance tells
        _note_image(action, step.source.checksum, state=ImageState.FAILED, created_at=action.now(), message=error.message[:1024])
        raise ExternalError(error.kind, error.system, f"image {step.source.url}: {error.message}", reason=Reason.IMAGE_FAILED) from error


def _note_image(action: Action, checksum: str, **changes: object) -> None:
    records = {r.checksum: r for r in action.status.images}
    record = records.get(checksum) or ImageStatus(checksum=checksum, state=ImageState.PENDING)
    records[checksum] = record.model_copy(update=changes)
    action.status = action.status.model_copy(update={"images": list(records.values())})


def _flush(action: Action, machine_uid: str, name: str) -> None:
    """What was written a moment ago is to be in the image: Nova saves what the disk holds, not what the guest still keeps in memory."""
    done = action.gathered.logins.open(machine_uid).run(["sync"], sudo=True, timeout=60.0)
    if done.status != 0:
        raise ExternalError(ErrorKind.TRANSIENT, "ssh", f"sync on {name} before its disk is saved: {done.stderr.strip()[:200]}", reason=Reason.IMAGE_PENDING)


def _note(action: Action, name: str, **changes: object) -> None:
    records = {r.name: r for r in action.status.snapshots}
    record = records.get(name) or SnapshotStatus(name=name, state=SnapshotState.PENDING)
    records[name] = record.model_copy(update=changes)
    action.status = action.status.model_copy(update={"snapshots": list(records.values())})
