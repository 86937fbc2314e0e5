"""Cinder volumes of machines: the root disk, and data volumes that belong to a slot and outlive its machines."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, cel, schema_extra

MOST_VOLUMES: Final = 8
SYSTEM_PATHS: Final = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",  # noqa: S108 - a path that is refused
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
    "/home",
)
"""Mounting over one of these would take the guest away from under our login."""
_Size = Annotated[int, Field(ge=1, le=65536)]
_Name = Annotated[str, Field(min_length=1, max_length=255)]


class RootVolumeSpec(ApiModel):
    """The server's root disk as a Cinder volume made from the image; it is deleted with the server."""

    size_gib: _Size = Field(alias="sizeGiB", description="Size in GiB; at least the image's minimum.")
    type: _Name | None = Field(default=None, description="Cinder volume type; the cloud's default when absent.")
    availability_zone: _Name | None = Field(
        default=None, description="Cinder availability zone. When set, the operator makes the volume before the server; else Nova makes it."
    )


class VolumeSpec(ApiModel):
    """A data volume. Each slot has one: its content stays when the slot's machine is replaced."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.sizeGiB >= oldSelf.sizeGiB", "`sizeGiB` must not shrink: volumes can only grow", fieldPath=".sizeGiB"),
            cel("self.format == 'none' || has(self.mountPath)", "`mountPath` must be set unless `format` is `none`", fieldPath=".mountPath"),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=24, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        description="Name of the volume within its machine; a slot's volume of another name is another volume."
    )
    size_gib: _Size = Field(alias="sizeGiB", description="Size in GiB. A larger one extends volume and file system in use; it can't shrink.")
    type: _Name | None = Field(default=None, description="Cinder volume type; the cloud's default when absent. For volumes made after a change.")
    availability_zone: _Name | None = Field(
        default=None, description="Cinder availability zone; the cloud's default when absent. For volumes made after a change."
    )
    format: Literal["ext4", "xfs", "none"] = Field(
        default="ext4",
        description="File system that is made on a blank volume. Nothing is ever made over something that is there. none: nothing is made; with mountPath, what is there is mounted.",
    )
    mount_path: Annotated[str, Field(min_length=2, max_length=255, pattern=r"^(/[A-Za-z0-9._@+-]+)+$")] | None = Field(
        default=None,
        description="Where it is mounted, before the engine joins the swarm. `/var/lib/docker` or `engine.dataRoot`: before the engine is used at all.",
        json_schema_extra=schema_extra(
            cel(
                f"!(self in [{', '.join(repr(p) for p in SYSTEM_PATHS)}]) && !self.contains('/../') && !self.endsWith('/..')",
                "must not be a directory of the system itself, nor hold `..`",
            )
        ),
    )
    mount_options: list[Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._=:/+-]+$")]] = Field(
        default_factory=list, max_length=16, description="Options of mount(8), such as `noatime`; `nofail` is always added."
    )
    retain: bool = Field(
        default=False,
        description="Keep the volume when its slot goes, by scaling down, by leaving the spec or with the cluster. A slot that comes back takes it up again.",
    )


Volumes = Annotated[
    list[VolumeSpec],
    Field(
        max_length=MOST_VOLUMES,
        json_schema_extra=schema_extra(
            cel(
                "self.all(v, !has(v.mountPath) || self.exists_one(w, has(w.mountPath) && w.mountPath == v.mountPath))",
                "`mountPath` must be unique among the volumes of a machine",
            ),
            **{LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
        ),
    ),
]
"""Data volumes of a machine."""


class MachineVolumeStatus(ApiModel):
    """A data volume of a machine."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name in the spec.")
    volume_id: Annotated[str, Field(max_length=64)] = Field(alias="volumeID", description="Cinder volume.")
    size_gib: int = Field(default=0, ge=0, alias="sizeGiB", description="Size in GiB up to which the machine uses it; 0 before it is set up there.")
    attached: bool = Field(default=False, description="It is attached to the machine and set up there: formatted and mounted as declared.")


class RetainedVolumeStatus(ApiModel):
    """A data volume without a machine that is kept because of `retain`."""

    volume_id: Annotated[str, Field(max_length=64)] = Field(alias="volumeID", description="Cinder volume.")
    name: Annotated[str, Field(max_length=255)] = Field(default="", description="Its name in Cinder: cluster, pool, slot and volume.")
    size_gib: int = Field(default=0, ge=0, alias="sizeGiB", description="Size in GiB.")
