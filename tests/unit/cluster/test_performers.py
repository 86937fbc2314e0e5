"""Every step that a plan can hold has somebody who performs it."""

from __future__ import annotations

from collections.abc import Iterator

from swarm_operator.controllers.perform import performed
from swarm_operator.domain.cluster.steps import EngineStep, GuestStep, Step, SwarmStep, UnlockKeyStep, VolumeStep

FAMILIES = frozenset({Step, EngineStep, GuestStep, SwarmStep, UnlockKeyStep, VolumeStep})


def kinds(base: type[Step]) -> Iterator[type[Step]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def test_each_step_is_performed() -> None:
    assert {k for k in kinds(Step) if k.__module__.startswith("swarm_operator.")} - FAMILIES == performed()
