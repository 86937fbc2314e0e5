"""A process that dies at a call, the same way in every test that crashes one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import pytest

from simulator.faults import Crash, When
from simulator.world import World

W = TypeVar("W", bound=World)
Point = tuple[int, When]
"""The number of a call, and the side of it."""


def both_sides(numbers: Iterable[int]) -> list[Point]:
    """Before the first of these calls and after each, in order. What a process that dies before a call leaves behind is what one that dies after the call before it does: its
    memory is gone either way, and nothing was done in between, where `numbers` are all calls that do something."""
    found = list(numbers)
    return [(number, "before") for number in found[:1]] + [(number, "after") for number in found]


def die_at(world: World, point: Point, run: Callable[[], object], *, lose_status: bool = False) -> None:
    """`run` with a process that dies at `point`, and the status lost then, if asked; another process may go on. Fails when it did not die."""
    world.faults.crash_at = point
    with pytest.raises(Crash):
        run()
    world.faults.crash_at = None
    if lose_status:
        world.lose_status()


def calls_of(world: W, run: Callable[[W], object], operations: Collection[str]) -> list[int]:
    """Numbers of the calls of these operations that `run` makes in a world like this one."""
    whole = alike(world)
    run(whole)
    return [number for number, name in enumerate(whole.faults.calls) if name.split(".")[1] in operations]


def made_good(world: W, point: Point, run: Callable[[W], object]) -> W:
    """What becomes of a world like this one where the process dies at `point`, if it gets there, and the next one runs the same."""
    tried = alike(world)
    tried.faults.crash_at = point
    try:
        run(tried)
    except Crash:
        tried.faults.crash_at = None
        run(tried)
    return tried


def alike(world: W) -> W:
    """A copy in which no call has been made yet."""
    copied = world.copy()
    assert isinstance(copied, type(world))
    copied.faults.calls.clear()
    return copied
