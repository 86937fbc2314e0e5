"""Quotas of a project: what is used, what a new object needs, and what is short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SERVER = "instances"
CORES = "cores"
RAM = "MiB of RAM"
PORT = "ports"
FLOATING_IP = "floating IPs"
VOLUME = "volumes"
GIGABYTES = "GiB of volumes"
SERVER_GROUP = "server groups"
SERVER_GROUP_MEMBERS = "members of a server group"
"""Of this the limit alone is told."""


@dataclass(frozen=True)
class Usage:
    """Of one resource; RAM in MiB. `limit` None: there is none."""

    used: int
    limit: int | None


def shortage(needs: Mapping[str, int], usage: Mapping[str, Usage]) -> str | None:
    """What is short, with the numbers, or None. A resource whose usage is not known is not short."""
    short = []
    for resource, amount in needs.items():
        known = usage.get(resource)
        if known is not None and known.limit is not None and known.used + amount > known.limit:
            short.append(f"needs {amount} {resource}, {known.used} of {known.limit} used")
    return "; ".join(short) or None


def taken(needs: Mapping[str, int], usage: Mapping[str, Usage]) -> dict[str, Usage]:
    """The usage after `needs` were met."""
    return {name: Usage(u.used + needs.get(name, 0), u.limit) for name, u in usage.items()}
