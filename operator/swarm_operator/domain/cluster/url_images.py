"""Images that come from the web: made once per checksum and cluster, whichever pools boot from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.image_validation import image_sources
from swarm_operator.api.images import ImageState, ImageStatus, UrlImage
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Image
from swarm_operator.domain.cluster.machines import SETTLE_SECONDS
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import CreateImage, DeleteImage, FillImage, Step, VerifyImage
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import IMAGE_IMPORT, IMAGE_VERIFIED, part_of_image, url_part

TRANSFER_SECONDS = 3 * 3600.0
"""How long an image may be on its way before it is given up."""
RETRY_SECONDS = 300.0
POLL_SECONDS = 3.0
UNDER_WAY = frozenset({"saving", "uploading", "importing"})


@dataclass
class UrlImages:
    """`waits`: seconds until something is to be looked at again."""

    statuses: list[ImageStatus] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


def declared(spec: SwarmClusterSpec) -> dict[str, UrlImage]:
    """By checksum; the first URL of several is the one that is used."""
    found: dict[str, UrlImage] = {}
    for _, source in image_sources(spec):
        if source.url is not None:
            found.setdefault(source.url.checksum, source.url)
    return found


def plan_url_images(
    spec: SwarmClusterSpec, records: Sequence[ImageStatus], images: Sequence[Image], observation: ClusterObservation, now: datetime
) -> UrlImages:
    """The declared ones. Those that are not declared any more go as images of snapshots do (`domain.cluster.images`)."""
    plan = UrlImages()
    for checksum, source in declared(spec).items():
        record = next((r for r in records if r.checksum == checksum), None) or ImageStatus(checksum=checksum, state=ImageState.PENDING)
        ours = [i for i in images if part_of_image(i.properties, observation.uid) == url_part(checksum)]
        ours.sort(key=lambda i: (i.id != record.image_id, i.status != "active", i.created, i.id))
        plan.statuses.append(_one(source, record, ours, observation, plan, now))
    return plan


def _one(source: UrlImage, record: ImageStatus, ours: Sequence[Image], observation: ClusterObservation, plan: UrlImages, now: datetime) -> ImageStatus:
    age = times.age(record.created_at, now)
    failed = record.state is ImageState.FAILED
    if failed and age is not None and age < RETRY_SECONDS:
        plan.waits.append(RETRY_SECONDS - age)
        return record
    if not ours:
        if record.state is ImageState.UPLOADING and record.image_id is None and age is not None and age < SETTLE_SECONDS:
            plan.waits.append(SETTLE_SECONDS - age)
            return record
        plan.steps.append(CreateImage(source))
        plan.waits.append(POLL_SECONDS)
        return ImageStatus(checksum=source.checksum, state=ImageState.PENDING, message="the image is to be made")
    image = ours[0]
    plan.steps += [DeleteImage("image", Known(i.id), "made twice") for i in ours[1:] if not _in_use(i, observation)]
    since = times.stamp(now) if failed or record.created_at is None else record.created_at
    facts = record.model_copy(update={"image_id": image.id, "created_at": since, "message": ""})
    if image.status == "active":
        return _active(source, image, facts, observation, plan, now)
    late = (times.age(since, now) or 0.0) > TRANSFER_SECONDS
    if late or image.status not in (*UNDER_WAY, "queued"):
        why = f"it was not complete within {TRANSFER_SECONDS / 3600:.0f} hours" if late else f"Glance says that it is {image.status}"
        plan.steps.append(DeleteImage("image", Known(image.id), why))
        return facts.model_copy(update={"state": ImageState.FAILED, "created_at": times.stamp(now), "message": why})
    plan.waits.append(POLL_SECONDS)
    if image.status == "queued":
        plan.steps.append(FillImage(source, image.id, IMAGE_IMPORT in image.properties))
    return facts.model_copy(update={"state": ImageState.UPLOADING, "message": f"Glance says {image.status}"})


def _active(source: UrlImage, image: Image, facts: ImageStatus, observation: ClusterObservation, plan: UrlImages, now: datetime) -> ImageStatus:
    """Booted from only when the content is known to be the declared one."""
    if image.properties.get(IMAGE_VERIFIED) == source.checksum:
        return facts.model_copy(update={"state": ImageState.ACTIVE})
    plan.waits.append(POLL_SECONDS)
    if image.checksum == source.checksum:
        plan.steps.append(VerifyImage(source, image.id))
        return facts.model_copy(update={"state": ImageState.UPLOADING, "message": "Glance has it and the checksum is right"})
    why = f"the content that Glance holds has the checksum {image.checksum or 'unknown'}, not the declared one"
    if not _in_use(image, observation):
        plan.steps.append(DeleteImage("image", Known(image.id), why))
    return facts.model_copy(update={"state": ImageState.FAILED, "created_at": times.stamp(now), "message": why})


def _in_use(image: Image, observation: ClusterObservation) -> bool:
    """Whether a server of the cluster was booted from it, or that is not known."""
    return not isinstance(observation.servers, Known) or any(s.image_id == image.id for s in observation.servers.value)
