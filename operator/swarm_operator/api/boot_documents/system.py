"""Modules of cloud-config about files, disks and the rest of the system.

Source: cloud-init reference, "Module reference": Write Files, Disk Setup, Mounts, Growpart, CA Certificates, NTP, Keyboard, Rsyslog, Resolv Conf, Phone Home,
Power State Change, Seed Random (https://cloudinit.readthedocs.io/en/latest/reference/modules.html).
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, Tag, model_validator

from swarm_operator.api.boot_documents.shape import (
    BOOL,
    BYTES,
    LIST,
    MAP,
    NULL,
    NUMBER,
    TEXT,
    Command,
    Flag,
    Part,
    Scalar,
    TextOrNumber,
    Texts,
    Whole,
    by_kind,
    matching,
    one_of,
    refused,
)

_Content = Annotated[Annotated[str, Tag(TEXT)] | Annotated[bytes, Tag(BYTES)], by_kind("must be a string")]
"""YAML makes bytes of what is tagged as binary."""
_ENCODINGS: Final = ("gz", "gzip", "gz+base64", "gzip+base64", "gz+b64", "gzip+b64", "b64", "base64", "text/plain")


class FileSource(Part):
    """Module Write Files, `source`."""

    uri: str
    headers: dict[str, Scalar] | None = None


class WriteFile(Part):
    """Module Write Files, an entry."""

    path: str
    content: _Content | None = None
    source: FileSource | None = None
    owner: str | None = None
    # A number is not what the reference says, but cloud-init takes it, and YAML reads 0644 as the right one.
    permissions: (
        Annotated[
            Annotated[int, Field(ge=0, le=0o7777), Tag(NUMBER)]
            | Annotated[str, matching("(0o)?[0-7]{1,5}", "must be an octal number in quotes, such as '0644'"), Tag(TEXT)],
            by_kind("must be an octal number in quotes, such as '0644'"),
        ]
        | None
    ) = None
    encoding: Annotated[str, one_of(*_ENCODINGS)] | None = None
    append: Flag | None = None
    defer: Flag | None = None


_Share = Annotated[
    Annotated[int | float, Tag(NUMBER)]
    | Annotated[str, matching("[0-9]+", "must be a percentage of the disk"), Tag(TEXT)]
    | Annotated[list[TextOrNumber], Field(min_length=2, max_length=2), Tag(LIST)],
    by_kind("must be a percentage of the disk, or a list of it and a type of partition"),
]


class DiskSetup(Part):
    """Module Disk Setup, an entry of `disk_setup`."""

    table_type: Annotated[str, one_of("mbr", "gpt")] | None = None
    layout: (
        Annotated[
            Annotated[bool, Tag(BOOL)] | Annotated[str, one_of("remove"), Tag(TEXT)] | Annotated[list[_Share], Tag(LIST)],
            by_kind("must be true, false, `remove` or a list"),
        ]
        | None
    ) = None
    overwrite: Flag | None = None


class FilesystemSetup(Part):
    """Module Disk Setup, an entry of `fs_setup`."""

    device: str
    filesystem: str | None = None
    label: str | None = None
    partition: (
        Annotated[
            Annotated[int, Tag(NUMBER)] | Annotated[str, matching("auto|any|none|[0-9]+", "must be a number, `auto`, `any` or `none`"), Tag(TEXT)],
            by_kind("must be a number, `auto`, `any` or `none`"),
        ]
        | None
    ) = None
    overwrite: Flag | None = None
    replace_fs: str | None = None
    extra_opts: Texts | None = None
    cmd: Texts | None = None

    @model_validator(mode="after")
    def _typed(self) -> FilesystemSetup:
        if self.filesystem is None and self.cmd is None:
            raise refused("must have a `filesystem`")
        return self


_Field = Annotated[
    Annotated[str, Tag(TEXT)] | Annotated[int, Tag(NUMBER)] | Annotated[None, Tag(NULL)],
    by_kind("must be a string or a number"),
]
Mount = Annotated[list[_Field], Field(min_length=1, max_length=6)]
"""Module Mounts, an entry of `mounts`: the fields of a line of fstab. Null where the default is meant, or a mount point is to be none."""
MountDefaults = Annotated[list[_Field], Field(min_length=6, max_length=6)]


class Swap(Part):
    """Module Mounts, `swap`."""

    filename: str | None = None
    size: (
        Annotated[
            Annotated[int, Tag(NUMBER)] | Annotated[str, matching(r"auto|[0-9]+(\.[0-9]+)?[BKMGT]?B?", "must be `auto` or a size, such as 2G"), Tag(TEXT)],
            by_kind("must be `auto` or a size, such as 2G"),
        ]
        | None
    ) = None
    maxsize: (
        Annotated[
            Annotated[int, Tag(NUMBER)] | Annotated[str, matching(r"[0-9]+(\.[0-9]+)?[BKMGT]?B?", "must be a size, such as 2G"), Tag(TEXT)],
            by_kind("must be a size, such as 2G"),
        ]
        | None
    ) = None


class Growpart(Part):
    """Module Growpart."""

    mode: (
        Annotated[
            Annotated[bool, Tag(BOOL)] | Annotated[str, one_of("auto", "growpart", "growfs", "gpart", "off", "false"), Tag(TEXT)],
            by_kind("must be `auto`, `growpart`, `growfs`, `gpart` or `off`"),
        ]
        | None
    ) = None
    devices: Texts | None = None
    ignore_growroot_disabled: Flag | None = None


ResizeRootfs = Annotated[
    Annotated[bool, Tag(BOOL)] | Annotated[str, one_of("noblock", "true", "false", "yes", "no", "on", "off"), Tag(TEXT)],
    by_kind("must be true, false or `noblock`"),
]


class CaCerts(Part):
    """Module CA Certificates."""

    remove_defaults: Flag | None = None
    trusted: Texts | None = None

    @classmethod
    def respelt(cls, data: dict[Any, Any]) -> dict[Any, Any]:
        """`remove-defaults` is the former spelling."""
        return {"remove_defaults" if key == "remove-defaults" else key: value for key, value in data.items()}


class NtpClient(Part):
    """Module NTP, `config`."""

    confpath: str | None = None
    check_exe: str | None = None
    packages: Texts | None = None
    service_name: str | None = None
    template: str | None = None


class Ntp(Part):
    """Module NTP."""

    enabled: Flag | None = None
    ntp_client: str | None = None
    servers: Texts | None = None
    pools: Texts | None = None
    peers: Texts | None = None
    allow: Texts | None = None
    config: NtpClient | None = None


class Keyboard(Part):
    """Module Keyboard."""

    layout: str
    model: str | None = None
    variant: str | None = None
    options: str | None = None


class RsyslogConfig(Part):
    """Module Rsyslog, an entry of `configs`."""

    content: str
    filename: str | None = None


_Configs = list[Annotated[Annotated[str, Tag(TEXT)] | Annotated[RsyslogConfig, Tag(MAP)], by_kind("must be a string or a mapping")]]


class RsyslogSection(Part):
    """Module Rsyslog."""

    config_dir: str | None = None
    config_filename: str | None = None
    configs: _Configs | None = None
    remotes: dict[str, Annotated[Annotated[str, Tag(TEXT)] | Annotated[None, Tag(NULL)], by_kind("must be a host, with a port maybe")]] | None = None
    service_reload_command: Command | None = None
    check_exe: str | None = None
    install_rsyslog: Flag | None = None
    packages: Texts | None = None


Rsyslog = Annotated[Annotated[RsyslogSection, Tag(MAP)] | Annotated[_Configs, Tag(LIST)], by_kind("must be a mapping")]
"""A list is the former spelling of its `configs`."""


class ResolvConf(Part):
    """Module Resolv Conf."""

    nameservers: Texts | None = None
    searchdomains: Texts | None = None
    domain: str | None = None
    sortlist: Texts | None = None
    options: dict[str, Scalar] | None = None


_POSTED: Final = ("pub_key_dsa", "pub_key_rsa", "pub_key_ecdsa", "pub_key_ed25519", "instance_id", "hostname", "fqdn")


class PhoneHome(Part):
    """Module Phone Home."""

    url: str
    post: (
        Annotated[
            Annotated[str, one_of("all"), Tag(TEXT)] | Annotated[list[Annotated[str, one_of(*_POSTED)]], Tag(LIST)],
            by_kind("must be `all` or a list of keys"),
        ]
        | None
    ) = None
    tries: Whole | None = None


class PowerState(Part):
    """Module Power State Change."""

    mode: Annotated[str, one_of("poweroff", "reboot", "halt")]
    delay: (
        Annotated[
            Annotated[int, Field(ge=0), Tag(NUMBER)] | Annotated[str, matching(r"now|\+?[0-9]+", "must be `now` or a number of minutes"), Tag(TEXT)],
            by_kind("must be `now` or a number of minutes"),
        ]
        | None
    ) = None
    message: str | None = None
    timeout: TextOrNumber | None = None
    condition: (
        Annotated[
            Annotated[bool, Tag(BOOL)] | Annotated[str, Tag(TEXT)] | Annotated[list[Scalar], Tag(LIST)],
            by_kind("must be true, false or a command"),
        ]
        | None
    ) = None


class RandomSeed(Part):
    """Module Seed Random."""

    file: str | None = None
    data: _Content | None = None
    encoding: Annotated[str, one_of("raw", "base64", "b64", "gzip", "gz")] | None = None
    command: Annotated[list[Scalar], Tag(LIST)] | None = None
    command_required: Flag | None = None


Locale = Annotated[Annotated[bool, Tag(BOOL)] | Annotated[str, Tag(TEXT)], by_kind("must be the name of a locale, or false")]
