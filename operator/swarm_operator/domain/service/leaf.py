"""What one leaf of the ServiceSpec is to us: where it lives, how it is rendered, when two values of it mean the same, and which engine can carry it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service.canonical import Canon, Raw


class Unmanaged:
    """The type of UNMANAGED."""

    def __repr__(self) -> str:
        return "UNMANAGED"


UNMANAGED: Final = Unmanaged()
"""Rendered where the manifest leaves a leaf to others: it is neither compared nor written."""


ApiVersion = tuple[int, int]


@dataclass(frozen=True)
class RenderContext:
    """What rendering needs besides the manifest: swarm network ids by name; values of variables that are taken from elsewhere; references to configs and secrets as
    raw JSON without ids (see `materials.with_ids`); the image with its digest and its platforms where imagePolicy has found them."""

    networks: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    configs: Sequence[Raw] = ()
    secrets: Sequence[Raw] = ()
    image: str | None = None
    platforms: Sequence[tuple[str, str]] | None = None


def _keep(live: Canon, _desired: Canon) -> Canon:
    return live


@dataclass(frozen=True)
class Leaf:
    """One leaf.

    name: the manifest's field, for messages. path: keys in the ServiceSpec. render: raw value, None for the engine's default, or UNMANAGED. canonical: see that module.
    align: drops from the live form what the desired form leaves open. merge: the value is a struct that is written over the live one, so that keys we do not know
    survive. shown: values may appear in Events and status (never for what can hold a secret). since: the first version of the Docker Engine API that carries it, where
    that is later than the oldest we work with; needs: the same for single keys of a struct.
    """

    name: str
    path: tuple[str, ...]
    render: Callable[[SwarmServiceSpec, RenderContext], Raw]
    canonical: Callable[[Raw], Canon]
    align: Callable[[Canon, Canon], Canon] = _keep
    merge: bool = False
    shown: bool = False
    since: ApiVersion | None = None
    needs: Mapping[str, ApiVersion] = field(default_factory=dict)

    @property
    def restarts(self) -> bool:
        """Whether a change replaces tasks (swarmkit `orchestrator.IsTaskDirty`: the task template or the endpoint spec). A placement that a task's node still meets is
        exempt there; it counts as restarting here, which errs on the careful side."""
        return self.path[0] in ("TaskTemplate", "EndpointSpec") or self.path[:2] == ("Mode", "ReplicatedJob")


CONTAINER: Final = ("TaskTemplate", "ContainerSpec")
PLACEMENT: Final = ("TaskTemplate", "Placement")
