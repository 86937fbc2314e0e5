"""Neutron objects of the cluster among those that were listed: the one in use, and the surplus of a request that was repeated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from swarm_operator.domain.ownership import part_of


class Described(Protocol):
    """Any Neutron object."""

    @property
    def id(self) -> str: ...
    @property
    def description(self) -> str: ...


D = TypeVar("D", bound=Described)


def owned(objects: Iterable[D], cluster_uid: str, part: str) -> list[D]:
    """Objects of one part, by id."""
    return sorted((o for o in objects if part_of(o.description, cluster_uid) == part), key=lambda o: o.id)


def choose(objects: Sequence[D], recorded: str | None) -> tuple[D | None, list[D]]:
    """The one in use (that which status names, else the first) and the surplus of a POST that was repeated."""
    chosen = next((o for o in objects if o.id == recorded), objects[0] if objects else None)
    return chosen, [o for o in objects if chosen is not None and o.id != chosen.id]
