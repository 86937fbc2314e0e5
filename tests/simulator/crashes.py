"""A process that dies at a call, the same way in every test that crashes one."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import NamedTuple, TypeVar

from simulator.faults import When
from simulator.world import KEY, World

W = TypeVar("W", bound=World)


class Death(NamedTuple):
    """When a process died: the call's number and name, and the side of it."""

    number: int
    call: str
    when: When


def deaths(start: W, run: Callable[[W], object], *, lose_status: bool = False, of: Collection[str] | None = None) -> list[tuple[Death, W]]:
    """The worlds that processes leave which die while they `run` in a copy of `start`, and whose status is lost then, if asked: one for each moment at which what is left differs from
    what was left a moment before. The memory of a process is gone with it, so what it was about to do tells nothing apart. `of`: only the moments before and after calls of
    operations with these names. Each world goes its own way, with the calls made so far."""
    world = start.copy()
    world.faults.calls.clear()
    found: list[tuple[Death, W]] = []
    last = remains(world, status=not lose_status)

    def look(number: int, call: str, when: When) -> None:
        nonlocal last
        if of is not None and call.split(".")[1] not in of:
            return
        left = remains(world, status=not lose_status)
        if left == last:
            return
        last = left
        copied = world.copy()
        if lose_status:
            copied.lose_status()
        found.append((Death(number, call, when), copied))

    world.faults.look = look
    run(world)
    return found


def remains(world: World, *, status: bool = True) -> bytes:
    """What the next process finds, for comparison: all but the time, and the list of servers that Nova has given out and keeps for a second. `status`: False leaves out the
    cluster's status and what tells that it was written."""
    cloud, objects = world.cloud, world.objects
    kept = [(owner, vars(owner).copy()) for owner in (world, cloud, objects)]
    try:
        vars(world).update(clock=None, faults=None)
        cloud._cache = None
        if not status:
            objects._version, objects.status_writes, objects.events = 0, 0, []
            if KEY in objects.resources:
                objects.resources = {**objects.resources, KEY: replace(objects.resources[KEY], status={}, resource_version="")}
        return pickle.dumps(world)
    finally:
        for owner, state in kept:
            vars(owner).update(state)
