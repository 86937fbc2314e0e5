"""Images that a SwarmCluster makes or brings by itself: snapshots of its machines. Spec and status."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from swarm_operator.api.base import ApiModel, DnsLabel, ResourceRef, cel, schema_extra

PoolName = Annotated[str, Field(min_length=1, max_length=24, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
SnapshotName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class FromSnapshot(ApiModel):
    """A snapshot of this cluster."""

    snapshot: SnapshotName = Field(description="Name of an entry of spec.snapshots. Machines wait until it is Active.")


class ImageSource(ResourceRef):
    """What a server boots from: an image of the cloud by id, name or tags, or a snapshot that this cluster takes. Exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel(
                "[has(self.id), has(self.name), has(self.filter), has(self.fromSnapshotOf)].filter(x, x).size() == 1",
                "must set exactly one of `id`, `name`, `filter`, `fromSnapshotOf`",
            )
        )
    )

    from_snapshot_of: FromSnapshot | None = Field(default=None, description="A snapshot that this cluster takes of one of its machines.")

    @property
    def own(self) -> bool:
        """Whether the image is one that the cluster makes, so that nothing of the cloud is to be looked up."""
        return self.from_snapshot_of is not None

    def __str__(self) -> str:
        return f"snapshot {self.from_snapshot_of.snapshot!r}" if self.from_snapshot_of is not None else super().__str__()


class SnapshotOf(ApiModel):
    """The worker that a snapshot is taken of."""

    pool: PoolName = Field(description="Worker pool. Managers are not taken: their disk holds the keys of the swarm.")
    slot: Annotated[int, Field(ge=0, le=999)] = Field(default=0, description="Which worker of the pool.")


class SnapshotSpec(ApiModel):
    """A golden image: the disk of a running worker, saved once as an image."""

    name: SnapshotName = Field(description="Name of the snapshot. It is taken once; for a new one use another name.")
    of: SnapshotOf = Field(description="The worker whose disk is saved. Can't change: the snapshot has been taken.")
    retain: bool = Field(default=False, description="Keep the image when the entry goes or the cluster is deleted.")


class SnapshotState(StrEnum):
    """Where a snapshot is in its life."""

    PENDING = "Pending"
    CREATING = "Creating"
    ACTIVE = "Active"
    FAILED = "Failed"
    LOST = "Lost"
    DELETING = "Deleting"


class SnapshotStatus(ApiModel):
    """A snapshot and the image that it became."""

    name: DnsLabel = Field(description="Name in spec.snapshots.")
    image_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="imageID", description="Image in Glance.")
    state: SnapshotState = Field(
        description="Pending: its machine is not ready. Creating: Nova saves the disk. Active: can be booted from. Failed: taken again after two minutes. "
        "Lost: the image was deleted by somebody else; it is not taken again. Deleting: not declared any more; kept while servers use it."
    )
    created_at: str | None = Field(default=None, description="When Nova was asked for it.", json_schema_extra={"format": "date-time"})
    machine: Annotated[str, Field(max_length=63)] = Field(default="", description="Name of the server that it was taken of.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why it is not Active.")
