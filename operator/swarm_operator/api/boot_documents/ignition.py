"""An Ignition config of version 3, but for its storage section.

Source: Ignition, "Configuration specifications", v3.0.0 to v3.6.0 (https://coreos.github.io/ignition/specs/); what a value must be beyond its type is what Ignition's
validation says. The operator renders 3.3.0; a config that is merged may have any version that the machine's Ignition reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from swarm_operator.api.boot_documents.ignition_storage import Storage
from swarm_operator.api.boot_documents.ignition_values import Camel, Resource, SourcedResource, unique
from swarm_operator.api.boot_documents.shape import Version, problems_of, where

NEWEST_MINOR: Final = 6
"""The models hold what is in 3.0 to this version."""

_UNIT: Final = (".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".snapshot", ".slice", ".scope")


class Merged(Camel):
    """Other configs that this one is made of."""

    merge: list[SourcedResource] | None = None
    replace: Resource | None = None


class Timeouts(Camel):
    """How long to wait for resources, in seconds; 0 is for ever."""

    http_response_headers: int | None = None
    http_total: int | None = None


class Tls(Camel):
    """Certificate authorities to trust while resources are fetched."""

    certificate_authorities: Annotated[list[SourcedResource], unique("source")] | None = None


class Security(Camel):
    """Security of the fetching."""

    tls: Tls | None = None


_Proxy = Annotated[str, where(lambda url: re.match(r"(?i)https?:", str(url)), "must be a URL that begins with http:// or https://")]


class Proxy(Camel):
    """Proxies of the fetching."""

    http_proxy: _Proxy | None = None
    https_proxy: _Proxy | None = None
    no_proxy: list[str] | None = None


class Ignition(Camel):
    """Section `ignition`."""

    since: ClassVar[Mapping[str, int]] = {"proxy": 1}

    version: str
    config: Merged | None = None
    timeouts: Timeouts | None = None
    security: Security | None = None
    proxy: Proxy | None = None


class DropIn(Camel):
    """A file that changes a unit."""

    name: Annotated[str, where(lambda name: str(name).endswith(".conf"), "must end with `.conf`")]
    contents: str | None = None


class Unit(Camel):
    """A systemd unit."""

    name: Annotated[str, where(lambda name: str(name).endswith(_UNIT), "must end as units do, with `.service` for instance")]
    enabled: bool | None = None
    mask: bool | None = None
    contents: str | None = None
    dropins: Annotated[list[DropIn], unique("name")] | None = None


class Systemd(Camel):
    """Section `systemd`."""

    units: Annotated[list[Unit], unique("name")] | None = None


class User(Camel):
    """An account."""

    since: ClassVar[Mapping[str, int]] = {"shouldExist": 2}

    name: str
    password_hash: str | None = None
    ssh_authorized_keys: Annotated[list[str], where(lambda keys: len(set(keys)) == len(keys), "must not hold a key twice")] | None = None
    uid: int | None = None
    gecos: str | None = None
    home_dir: str | None = None
    no_create_home: bool | None = None
    primary_group: str | None = None
    groups: list[str] | None = None
    no_user_group: bool | None = None
    no_log_init: bool | None = None
    shell: str | None = None
    should_exist: bool | None = None
    system: bool | None = None


class Group(Camel):
    """A group of accounts."""

    since: ClassVar[Mapping[str, int]] = {"shouldExist": 2}

    name: str
    gid: int | None = None
    password_hash: str | None = None
    should_exist: bool | None = None
    system: bool | None = None


class Passwd(Camel):
    """Section `passwd`."""

    users: Annotated[list[User], unique("name")] | None = None
    groups: Annotated[list[Group], unique("name")] | None = None


class KernelArguments(Camel):
    """Section `kernelArguments`."""

    should_exist: list[str] | None = None
    should_not_exist: list[str] | None = None


class IgnitionConfig(Camel):
    """The whole config."""

    since: ClassVar[Mapping[str, int]] = {"kernelArguments": 3}

    ignition: Ignition
    storage: Storage | None = None
    systemd: Systemd | None = None
    passwd: Passwd | None = None
    kernel_arguments: KernelArguments | None = None


def ignition_problems(document: Mapping[str, Any], minor: int) -> list[str]:
    """What is wrong with a config that says it is of version 3.`minor`, each with its path and without values.

    Ignition itself only warns of keys that it does not know, and goes on without them, which nobody wants. So they are refused here, but for versions newer than 3.6.
    """
    return problems_of(IgnitionConfig, document, Version(minor, NEWEST_MINOR))
