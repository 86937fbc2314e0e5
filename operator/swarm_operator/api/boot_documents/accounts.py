"""Modules of cloud-config about users, passwords and ssh.

Source: cloud-init reference, "Module reference": Users and Groups, Set Passwords, SSH, SSH AuthKey Fingerprints, SSH Import ID
(https://cloudinit.readthedocs.io/en/latest/reference/modules.html).
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from pydantic import Field, Tag, model_validator

from swarm_operator.api.boot_documents.shape import (
    BOOL,
    DATE,
    FLAG_WORDS,
    LIST,
    MAP,
    NUMBER,
    TEXT,
    Flag,
    Part,
    TextOrNumber,
    Texts,
    by_kind,
    one_of,
    refused,
)

_Members = Annotated[dict[str, Texts], Tag(MAP)]
_Date = Annotated[Annotated[str, Tag(TEXT)] | Annotated[datetime.date, Tag(DATE)], by_kind("must be a date, YYYY-MM-DD")]
Groups = Annotated[
    Annotated[str, Tag(TEXT)]
    | Annotated[list[Annotated[Annotated[str, Tag(TEXT)] | _Members, by_kind("must be the name of a group, or a mapping of it to its members")]], Tag(LIST)]
    | _Members,
    by_kind("must be a list of groups"),
]
"""Groups to make: names, or names with members."""


class User(Part):
    """An account of `users`."""

    name: str | None = None
    snapuser: str | None = None
    create_groups: Flag | None = None
    doas: Texts | None = None
    expiredate: _Date | None = None
    gecos: str | None = None
    groups: Groups | None = None
    hashed_passwd: str | None = None
    homedir: str | None = None
    # Days; the examples of former versions say true.
    inactive: Annotated[Annotated[bool, Tag(BOOL)] | Annotated[int, Tag(NUMBER)] | Annotated[str, Tag(TEXT)], by_kind("must be a number of days")] | None = None
    lock_passwd: Flag | None = None
    no_create_home: Flag | None = None
    no_log_init: Flag | None = None
    no_user_group: Flag | None = None
    passwd: str | None = None
    plain_text_passwd: TextOrNumber | None = None
    primary_group: str | None = None
    selinux_user: str | None = None
    shell: str | None = None
    ssh_authorized_keys: Texts | None = None
    ssh_import_id: Texts | None = None
    ssh_redirect_user: Flag | None = None
    sudo: (
        Annotated[Annotated[bool, Tag(BOOL)] | Annotated[str, Tag(TEXT)] | Annotated[list[str], Tag(LIST)], by_kind("must be a rule, a list of rules or false")]
        | None
    ) = None
    system: Flag | None = None
    uid: TextOrNumber | None = None

    @classmethod
    def respelt(cls, data: dict[Any, Any]) -> dict[Any, Any]:
        """cloud-init takes dashes in these keys for underscores (`lock-passwd`)."""
        return {str(key).replace("-", "_"): value for key, value in data.items()}

    @model_validator(mode="after")
    def _named(self) -> User:
        if self.name is None and self.snapuser is None:
            raise refused("must have a `name` or a `snapuser`: cloud-init leaves it out else")
        return self


Users = list[
    Annotated[
        Annotated[str, Tag(TEXT)] | Annotated[list[str], Tag(LIST)] | Annotated[User, Tag(MAP)],
        by_kind("must be the name of a user or a mapping"),
    ]
]


class Password(Part):
    """A password of `chpasswd`."""

    name: str
    password: TextOrNumber | None = None
    type: Annotated[str, one_of("hash", "text", "random")] | None = None

    @model_validator(mode="after")
    def _given(self) -> Password:
        if self.password is None and (self.type or "").lower() != "random":
            raise refused("must have a `password` unless its `type` is RANDOM")
        return self


class Chpasswd(Part):
    """Module Set Passwords, `chpasswd`. `list` is the former spelling of `users`."""

    expire: Flag | None = None
    users: list[Password] | None = None
    former: Texts | None = Field(default=None, alias="list")


class PublishHostKeys(Part):
    """Module SSH, `ssh_publish_hostkeys`."""

    enabled: Flag | None = None
    blacklist: Texts | None = None


SshPasswords = Annotated[
    Annotated[bool, Tag(BOOL)] | Annotated[str, one_of(*FLAG_WORDS, "unchanged", "", expected="must be true, false or `unchanged`"), Tag(TEXT)],
    by_kind("must be true, false or `unchanged`"),
]
