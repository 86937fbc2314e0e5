"""What the lab knows of one server: a JSON file in the server's own directory, the source from which every boot is made."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NIC_PREFIX = "ens"
FIRST_NIC = 3
"""KVM guests on OpenStack commonly see their first virtio interface as ens3."""


@dataclass(frozen=True)
class Nic:
    """One Neutron port as the guest sees it.

    ``addresses`` are CIDR strings (``10.0.0.5/24``), ``routes`` pairs of (destination CIDR, gateway),
    ``gateway`` the default gateway or empty.
    """

    port_id: str
    network_id: str
    mac: str
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    routes: tuple[tuple[str, str], ...] = ()
    mtu: int = 1450


@dataclass(frozen=True)
class Volume:
    """One attached volume: ``device`` as the guest names it (``/dev/vdb``), ``path`` the backing file on this machine."""

    volume_id: str
    device: str
    path: str


@dataclass(frozen=True)
class Server:
    """One server. ``rootfs`` is the read-only lower layer; ``memory_mb`` and ``vcpus`` come from the flavor.

    ``datasource`` is the one cloud-init data source that the host offers: ``OpenStack`` (metadata service) or ``ConfigDrive``.
    """

    uuid: str
    name: str
    hostname: str
    rootfs: str
    memory_mb: int = 1024
    vcpus: int = 1
    datasource: str = "OpenStack"
    image: str = ""
    nics: tuple[Nic, ...] = ()
    volumes: tuple[Volume, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def dumps(server: Server) -> str:
    """JSON text of a record."""
    return json.dumps(dataclasses.asdict(server), indent=1, sort_keys=True)


def loads(text: str) -> Server:
    """The record in JSON text; fields this version does not know are ignored."""
    raw = json.loads(text)
    known = {f.name for f in dataclasses.fields(Server)}
    values = {key: value for key, value in raw.items() if key in known}
    values["nics"] = tuple(Nic(**{**n, "addresses": tuple(n["addresses"]), "routes": tuple((r[0], r[1]) for r in n["routes"])}) for n in raw.get("nics", ()))
    values["volumes"] = tuple(Volume(**v) for v in raw.get("volumes", ()))
    return Server(**values)


def read(directory: Path) -> Server:
    """The record in a server's directory; FileNotFoundError when there is none."""
    return loads((directory / "server.json").read_text())


def write(directory: Path, server: Server) -> None:
    """Replace the record at once: a reader sees the old or the new one, never a part."""
    temporary = directory / f".server.json.{os.getpid()}"
    temporary.write_text(dumps(server))
    temporary.replace(directory / "server.json")


def nic_name(index: int) -> str:
    """Guest name of the interface with that place in the server's list."""
    return f"{NIC_PREFIX}{FIRST_NIC + index}"
