"""Section `storage` of an Ignition config (sources as in `ignition`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final

from pydantic import Field, model_validator

from swarm_operator.api.boot_documents.ignition_values import AbsolutePath, Camel, Resource, unique
from swarm_operator.api.boot_documents.shape import matching, refused, where

_Guid = Annotated[str, matching(r"|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "must be a GUID")]
_LABELS: Final = {"ext4": 16, "btrfs": 256, "xfs": 12, "swap": 15, "vfat": 11}
"""Longest label of a filesystem."""


class Partition(Camel):
    """A partition of a disk."""

    since: ClassVar[Mapping[str, int]] = {"resize": 2}

    label: (
        Annotated[str, where(lambda label: len(str(label)) <= 36 and ":" not in str(label), "must be at most 36 characters long, without a colon")] | None
    ) = None
    number: int | None = None
    size_mib: int | None = Field(default=None, alias="sizeMiB")
    start_mib: int | None = Field(default=None, alias="startMiB")
    type_guid: _Guid | None = None
    guid: _Guid | None = None
    wipe_partition_entry: bool | None = None
    should_exist: bool | None = None
    resize: bool | None = None

    @model_validator(mode="after")
    def _whole(self) -> Partition:
        if not self.number and self.label is None:
            raise refused("must have a `label`, or a `number` that is not 0")
        if self.should_exist is False and (self.label is not None or self.type_guid or self.guid or self.start_mib is not None or self.size_mib is not None):
            raise refused("must have nothing but its `number` where `shouldExist` is false")
        return self


class Disk(Camel):
    """A disk whose partition table is set up."""

    device: AbsolutePath
    wipe_table: bool | None = None
    partitions: list[Partition] | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Disk:
        for name, values in (
            ("number", [p.number for p in self.partitions or () if p.number]),
            ("label", [p.label for p in self.partitions or () if p.label is not None]),
        ):
            if len(set(values)) != len(values):
                raise refused(f"must have partitions that differ in `{name}`")
        return self


_LEVELS: Final = ("linear", "raid0", "0", "stripe", "raid1", "1", "mirror", "raid4", "4", "raid5", "5", "raid6", "6", "raid10", "10")


class Raid(Camel):
    """A software RAID."""

    name: str
    level: Annotated[str, where(lambda level: level in _LEVELS, "must be a RAID level such as `raid1`")]
    devices: Annotated[list[AbsolutePath], Field(min_length=1)]
    spares: int | None = None
    options: list[str] | None = None

    @model_validator(mode="after")
    def _spared(self) -> Raid:
        if self.spares and self.level in _LEVELS[:4]:
            raise refused("must have no `spares` at this `level`")
        return self


class Filesystem(Camel):
    """A filesystem to make or to find."""

    since: ClassVar[Mapping[str, int]] = {"mountOptions": 1}

    device: AbsolutePath
    format: (
        Annotated[str, where(lambda name: name in ("", "none", *_LABELS), f"must be one of {', '.join(f'`{name}`' for name in (*_LABELS, 'none'))}")] | None
    ) = None
    path: Annotated[str, where(lambda path: path == "" or str(path).startswith("/"), "must be an absolute path")] | None = None
    wipe_filesystem: bool | None = None
    label: str | None = None
    uuid: str | None = None
    options: list[str] | None = None
    mount_options: list[str] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Filesystem:
        if not self.format and (self.path or self.label or self.uuid or self.wipe_filesystem or self.options or self.mount_options):
            raise refused("must have a `format`")
        most = _LABELS.get(self.format or "", 256)
        if self.label and len(self.label.encode()) > most:
            raise refused(f"must have a `label` of at most {most} bytes")
        return self


class Owner(Camel):
    """A user or group that owns something."""

    id: int | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _single(self) -> Owner:
        if self.id is not None and self.name:
            raise refused("must not have both `id` and `name`")
        return self


class Node(Camel):
    """What files, directories and links have in common."""

    path: AbsolutePath
    overwrite: bool | None = None
    user: Owner | None = None
    group: Owner | None = None


_Mode = Annotated[int, where(lambda mode: 0 <= int(mode) <= 0o7777, "must be a mode as a decimal number, from 0 to 4095 (0644 is 420)")]


class File(Node):
    """A file."""

    contents: Resource | None = None
    append: list[Resource] | None = None
    mode: _Mode | None = None

    @model_validator(mode="after")
    def _replaced(self) -> File:
        if self.overwrite and (self.contents is None or self.contents.source is None):
            raise refused("must have `contents.source` where `overwrite` is true")
        return self


class Directory(Node):
    """A directory."""

    mode: _Mode | None = None


class Link(Node):
    """A link."""

    target: str
    hard: bool | None = None


class Tang(Camel):
    """A Tang server."""

    since: ClassVar[Mapping[str, int]] = {"advertisement": 4}

    url: Annotated[str, matching(r"https?:.*", "must be a URL that begins with http:// or https://")]
    thumbprint: Annotated[str, where(bool, "must not be empty")]
    advertisement: str | None = None


class ClevisCustom(Camel):
    """Clevis by its own configuration."""

    pin: Annotated[str, where(lambda pin: pin in ("", "tpm2", "tang", "sss"), "must be one of `tpm2`, `tang`, `sss`")] | None = None
    config: str | None = None
    needs_network: bool | None = None

    @model_validator(mode="after")
    def _whole(self) -> ClevisCustom:
        if bool(self.pin) != bool(self.config) or (self.needs_network and not self.pin):
            raise refused("must have both `pin` and `config`")
        return self


class Clevis(Camel):
    """How an encrypted device is opened."""

    tang: Annotated[list[Tang], unique("url")] | None = None
    tpm2: bool | None = None
    threshold: int | None = None
    custom: ClevisCustom | None = None

    @model_validator(mode="after")
    def _either(self) -> Clevis:
        if self.custom is not None and self.custom.pin and (self.tang or self.tpm2 or self.threshold):
            raise refused("must have nothing beside `custom`")
        return self


class Cex(Camel):
    """Encryption by a card of IBM."""

    enabled: bool | None = None


class Luks(Camel):
    """An encrypted device."""

    since: ClassVar[Mapping[str, int]] = {"discard": 4, "openOptions": 4, "cex": 5}

    name: Annotated[str, where(lambda name: "/" not in str(name), "must not hold a slash")]
    device: AbsolutePath
    key_file: Resource | None = None
    label: Annotated[str, where(lambda label: len(str(label)) <= 47, "must be at most 47 characters long")] | None = None
    uuid: str | None = None
    options: list[str] | None = None
    wipe_volume: bool | None = None
    clevis: Clevis | None = None
    discard: bool | None = None
    open_options: list[str] | None = None
    cex: Cex | None = None


class Storage(Camel):
    """Section `storage`."""

    since: ClassVar[Mapping[str, int]] = {"luks": 2}

    disks: Annotated[list[Disk], unique("device")] | None = None
    raid: Annotated[list[Raid], unique("name")] | None = None
    filesystems: Annotated[list[Filesystem], unique("device")] | None = None
    files: list[File] | None = None
    directories: list[Directory] | None = None
    links: list[Link] | None = None
    luks: Annotated[list[Luks], unique("name")] | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Storage:
        nodes: list[Node] = [*(self.files or ()), *(self.directories or ()), *(self.links or ())]
        if len({node.path for node in nodes}) != len(nodes):
            raise refused("must not make a path twice, as file, directory or link")
        return self
