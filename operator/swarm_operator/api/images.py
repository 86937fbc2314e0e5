"""Images that a SwarmCluster makes or brings by itself: snapshots of its machines, and files of the web. Spec and status."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import ApiModel, DnsLabel, Moment, ResourceRef, cel, schema_extra

PoolName = Annotated[str, Field(min_length=1, max_length=24, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
SnapshotName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class FromSnapshot(ApiModel):
    """A snapshot of this cluster."""

    snapshot: SnapshotName = Field(description="Name of an entry of spec.snapshots. Machines wait until it is Active.")


Checksum = Annotated[str, Field(max_length=135, pattern=r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$")]


class UrlImage(ApiModel):
    """A file of the web that is brought into Glance."""

    url: Annotated[str, Field(min_length=10, max_length=2048, pattern=r"^https?://[^\s@#]+$")] = Field(description="http or https, without a user name.")
    checksum: Checksum = Field(description="`sha256:` or `sha512:` and the digest of the file. Nothing is booted that has another one.")
    disk_format: Literal["qcow2", "raw", "vmdk", "vdi", "vhd", "vhdx"] = Field(default="qcow2", description="Format of the file; it must not be compressed.")
    properties: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Further properties of the image, such as `hw_disk_bus`. Written when it is made.",
        json_schema_extra=schema_extra(
            cel(
                "self.all(k, !k.startsWith('swarmops') && !k.startsWith('os_glance') && k != 'instance_uuid')",
                "keys must not start with `swarmops` or `os_glance`, nor be `instance_uuid`",
            ),
            maxProperties=32,
        ),
    )


class ImageSource(ResourceRef):
    """What a server boots from: an image of the cloud by id, name or tags, a file of the web, or a snapshot that this cluster takes. Exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel(
                "[has(self.id), has(self.name), has(self.filter), has(self.url), has(self.fromSnapshotOf)].filter(x, x).size() == 1",
                "must set exactly one of `id`, `name`, `filter`, `url`, `fromSnapshotOf`",
            )
        )
    )

    url: UrlImage | None = Field(default=None, description="A file of the web that is brought into Glance, once for all pools that name its checksum.")
    from_snapshot_of: FromSnapshot | None = Field(default=None, description="A snapshot that this cluster takes of one of its machines.")

    @property
    def own(self) -> bool:
        """Whether the image is one that the cluster makes, so that nothing of the cloud is to be looked up."""
        return self.from_snapshot_of is not None or self.url is not None

    def __str__(self) -> str:
        if self.url is not None:
            return f"url {self.url.url}"
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
    created_at: Moment | None = Field(default=None, description="When Nova was asked for it.")
    machine: Annotated[str, Field(max_length=63)] = Field(default="", description="Name of the server that it was taken of.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why it is not Active.")


class ImageState(StrEnum):
    """Where an image from the web is in its life."""

    PENDING = "Pending"
    UPLOADING = "Uploading"
    ACTIVE = "Active"
    FAILED = "Failed"


class ImageStatus(ApiModel):
    """An image from the web."""

    checksum: Checksum = Field(description="Checksum in the spec.")
    image_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="imageID", description="Image in Glance.")
    state: ImageState = Field(
        description="Pending: to be made. Uploading: on its way to Glance. Active: its content is the declared one, and can be booted from. Failed: tried again after five minutes."
    )
    created_at: Moment | None = Field(default=None, description="When this try began; of a failed one, when it failed.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why it is not Active.")
