"""Modules of cloud-config about packages and where they come from.

Source: cloud-init reference, "Module reference": Package Update Upgrade Install, Apt Configure, Apt Pipelining, Snap, Yum Add Repo
(https://cloudinit.readthedocs.io/en/latest/reference/modules.html).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, Tag

from swarm_operator.api.boot_documents.shape import (
    BOOL,
    LIST,
    MAP,
    NUMBER,
    TEXT,
    Command,
    Flag,
    Part,
    Scalar,
    TextOrNumber,
    Texts,
    by_kind,
    one_of,
    where,
)

_WithVersion = Annotated[list[TextOrNumber], Field(min_length=1), Tag(LIST)]
_OfManager = Annotated[list[Annotated[Annotated[str, Tag(TEXT)] | _WithVersion, by_kind("must be a package, or a list of it and its version")]], Tag(LIST)]
Packages = Annotated[
    Annotated[str, Tag(TEXT)]  # one package: cloud-init makes a list of it
    | Annotated[
        list[
            Annotated[
                Annotated[str, Tag(TEXT)] | _WithVersion | Annotated[dict[str, Annotated[_OfManager, by_kind("must be a list of packages")]], Tag(MAP)],
                by_kind("must be a package, a list of it and its version, or a mapping of a package manager to packages"),
            ]
        ],
        Tag(LIST),
    ],
    by_kind("must be a list of packages"),
]


class Mirror(Part):
    """Module Apt Configure, an entry of `primary` or `security`."""

    arches: list[str]
    uri: str | None = None
    search: Texts | None = None
    search_dns: Flag | None = None
    keyid: str | None = None
    key: str | None = None
    keyserver: str | None = None


class AptSource(Part):
    """Module Apt Configure, an entry of `sources`."""

    source: str | None = None
    keyid: str | None = None
    key: str | None = None
    keyserver: str | None = None
    filename: str | None = None
    append: Flag | None = None


class Apt(Part):
    """Module Apt Configure."""

    preserve_sources_list: Flag | None = None
    disable_suites: Texts | None = None
    primary: list[Mirror] | None = None
    security: list[Mirror] | None = None
    add_apt_repo_match: str | None = None
    generate_mirrorlists: Flag | None = None
    debconf_selections: dict[Any, str] | None = None
    sources_list: str | None = None
    conf: str | None = None
    proxy: str | None = None
    http_proxy: str | None = None
    https_proxy: str | None = None
    ftp_proxy: str | None = None
    sources: dict[Any, AptSource] | None = None


AptPipelining = Annotated[
    Annotated[bool, Tag(BOOL)] | Annotated[int, Field(ge=0), Tag(NUMBER)] | Annotated[str, one_of("os", "none", "unchanged"), Tag(TEXT)],
    by_kind("must be a number, false, `os`, `none` or `unchanged`"),
]

_Assertions = Annotated[
    Annotated[list[str], Tag(LIST)] | Annotated[dict[Any, str], Tag(MAP)],
    by_kind("must be a list or a mapping of strings"),
]
_Commands = Annotated[
    Annotated[list[Command], Tag(LIST)] | Annotated[dict[Any, Command], Tag(MAP)],
    by_kind("must be a list or a mapping of commands"),
]


class Snap(Part):
    """Module Snap. The keys of mappings are there for the order only, and may be numbers."""

    assertions: _Assertions | None = None
    commands: _Commands | None = None
    squashfuse_in_container: Flag | None = None


_Option = Annotated[
    Annotated[list[Scalar], Tag(LIST)] | Annotated[bool, Tag(BOOL)] | Annotated[int | float, Tag(NUMBER)] | Annotated[str, Tag(TEXT)],
    by_kind("must be a string, a number, true, false or a list"),
]
_PLACES = ("baseurl", "metalink", "mirrorlist")
YumRepository = Annotated[
    dict[str, _Option],
    where(lambda repository: any(place in repository for place in _PLACES), f"must have one of {', '.join(f'`{place}`' for place in _PLACES)}"),
]
"""Module Yum Add Repo, an entry of `yum_repos`: any option of yum."""
