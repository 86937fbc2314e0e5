"""A process that dies at a call, the same way in every test that crashes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from simulator.faults import Crash, When
from simulator.world import World

Point = tuple[int, When]
"""The number of a call, and the side of it."""


def both_sides(numbers: Iterable[int]) -> list[Point]:
    """Before and after each call, in order."""
    sides: tuple[When, When] = ("before", "after")
    return [(number, when) for number in numbers for when in sides]


def die_at(world: World, point: Point, run: Callable[[], object], *, lose_status: bool = False) -> None:
    """`run` with a process that dies at `point`, and the status lost then, if asked; another process may go on. Fails when it did not die."""
    world.faults.crash_at = point
    with pytest.raises(Crash):
        run()
    world.faults.crash_at = None
    if lose_status:
        world.lose_status()
