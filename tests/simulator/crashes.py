"""A process that dies at a call, the same way in every test that crashes one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

import pytest

from simulator.faults import Crash, When
from simulator.world import World

W = TypeVar("W", bound=World)
Point = tuple[int, When]
"""The number of a call, and the side of it."""


READS = ("get", "list", "check", "resolve", "console", "view", "connect", "engine_info", "join_token", "find", "scan", "look", "open", "close")
"""How the names of calls begin that change nothing."""
COMMANDS = "run"
"""How those begin of which the name does not say it."""


def both_sides(numbers: Iterable[int]) -> list[Point]:
    """Before and after each call, in order."""
    sides: tuple[When, When] = ("before", "after")
    return [(number, when) for number in numbers for when in sides]


def every_moment(calls: Sequence[str], first: int = 0) -> list[Point]:
    """The points at which what a dead process leaves behind differs, from call `first` on: after each call that does something, and before it where a command ran since the one
    before. Otherwise what is left before a call is what is left after the last one: the memory of the process is gone either way, and nothing was done in between."""
    found: list[Point] = []
    differs = True
    for number, name in enumerate(calls[first:], first):
        verb = name.split(".")[1]
        if verb.startswith(COMMANDS):
            differs = True
        elif not verb.startswith(READS):
            found += [(number, "before")] if differs else []
            found.append((number, "after"))
            differs = False
    return found


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
