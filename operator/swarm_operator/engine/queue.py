"""The work queue: which key is reconciled next.

Rules (the first three are those of client-go's `util/workqueue`):

* a key that waits already is not added twice;
* a key is never handed out while it is being processed; an add in that time makes it wait again once it is done;
* delayed adds of a key coalesce to the earliest;
* at most `group_limit` keys of a group are in flight, so one hung swarm can't take all threads; groups take turns;
* urgent keys (somebody edited the object) go before others, but a key that has waited `starvation_seconds` goes first of all.

Does not: run anything, know what a key means, or look at the wall clock.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from swarm_operator.engine.backoff import Backoff
from swarm_operator.engine.clock import Clock

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class QueueFigures:
    """A snapshot for metrics; ages in seconds, 0 where there is none. `depth` counts keys that could run now or wait for their group, `delayed` those whose time has not come."""

    depth: int
    delayed: int
    in_flight: int
    backing_off: int
    oldest_age: float
    longest_running: float
    adds: int
    retries: int


@dataclass
class _Group(Generic[K]):
    """Keys of one group that wait, with the time since when, in order of arrival."""

    urgent: OrderedDict[K, float] = field(default_factory=OrderedDict)
    normal: OrderedDict[K, float] = field(default_factory=OrderedDict)
    in_flight: int = 0


@dataclass
class _Running:
    group: Hashable
    since: float
    again: bool = False
    again_urgent: bool = False


class WorkQueue(Generic[K]):
    """See the module. All methods are thread safe; only `get` blocks."""

    def __init__(
        self,
        clock: Clock,
        group: Callable[[K], Hashable] = lambda key: key,
        group_limit: int = 4,
        *,
        backoff: Backoff[K] | None = None,
        starvation_seconds: float = 60.0,
    ) -> None:
        """`group` must be quick and not raise. It is asked when a key starts to wait, so its answer may change over time."""
        if group_limit < 1:
            raise ValueError("group_limit must be at least 1")
        self._clock = clock
        self._group_of = group
        self._limit = group_limit
        self._backoff: Backoff[K] = backoff if backoff is not None else Backoff()
        self._starvation = starvation_seconds
        self._changed = threading.Condition()
        self._groups: dict[Hashable, _Group[K]] = {}
        self._where: dict[K, Hashable] = {}
        # Groups that may start a key now, in the order of their turns.
        self._urgent_turns: OrderedDict[Hashable, None] = OrderedDict()
        self._normal_turns: OrderedDict[Hashable, None] = OrderedDict()
        self._running: dict[K, _Running] = {}
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._sequence = itertools.count()
        self._closed = False
        self._adds = 0
        self._retries = 0

    def add(self, key: K, urgent: bool = False) -> None:
        """`key` is to be processed, as soon as it can be."""
        with self._changed:
            self._add(key, urgent)

    def add_after(self, key: K, seconds: float) -> None:
        """`add(key)` in `seconds`, or at an earlier time that was asked for before."""
        with self._changed:
            due = self._clock.monotonic() + max(0.0, seconds)
            self._schedule(key, min(due, self._due.get(key, due)))

    def retry(self, key: K, minimum: float = 0.0, maximum: float | None = None) -> float:
        """`key` failed: it comes back after its back-off; seconds until then. Takes the place of an earlier `add_after`, for `minimum` may be a server's demand."""
        with self._changed:
            self._retries += 1
            delay = self._backoff.failed(key, minimum, maximum)
            self._schedule(key, self._clock.monotonic() + delay)
            return delay

    def forget(self, key: K) -> None:
        """Forget the back-off of `key`; it stays queued where it is."""
        with self._changed:
            self._backoff.forget(key)

    def get(self, timeout: float | None = None) -> K | None:
        """The next key, to be given back with `done`; None after `timeout` seconds without one, or when the queue is closed."""
        with self._changed:
            end = None if timeout is None else self._clock.monotonic() + timeout
            while not self._closed:
                self._ripen()
                key = self._take()
                if key is not None:
                    return key
                now = self._clock.monotonic()
                if end is not None and now >= end:
                    return None
                waits = [limit - now for limit in (end, self._timers[0][0] if self._timers else None) if limit is not None]
                self._changed.wait(min(waits) if waits else None)
            return None

    def done(self, key: K) -> None:
        """The processing of `key` ended. Raises KeyError for a key that is not in flight."""
        with self._changed:
            running = self._running.pop(key)
            group = self._groups[running.group]
            group.in_flight -= 1
            self._settle(running.group)
            if running.again:
                self._enqueue(key, running.again_urgent)
            self._changed.notify()

    def close(self) -> None:
        """No more keys are handed out; `get` returns None at once, everywhere. Keys in flight may still be given back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def figures(self) -> QueueFigures:
        """Cheap enough for each scrape: proportional to the waiting keys."""
        with self._changed:
            self._ripen()
            now = self._clock.monotonic()
            waiting = [since for group in self._groups.values() for line in (group.urgent, group.normal) for since in line.values()]
            return QueueFigures(
                depth=len(self._where),
                delayed=len(self._due),
                in_flight=len(self._running),
                backing_off=len(self._backoff),
                oldest_age=now - min(waiting, default=now),
                longest_running=now - min((running.since for running in self._running.values()), default=now),
                adds=self._adds,
                retries=self._retries,
            )

    def _add(self, key: K, urgent: bool) -> None:
        self._adds += 1
        running = self._running.get(key)
        if running is not None:
            running.again = True
            running.again_urgent = running.again_urgent or urgent
            return
        self._enqueue(key, urgent)

    def _enqueue(self, key: K, urgent: bool) -> None:
        name = self._where.get(key)
        if name is None:
            name = self._group_of(key)
            self._where[key] = name
            group = self._groups.setdefault(name, _Group())
            (group.urgent if urgent else group.normal)[key] = self._clock.monotonic()
        else:
            group = self._groups[name]
            if not urgent or key in group.urgent:
                return
            group.urgent[key] = group.normal.pop(key)
        self._settle(name)
        self._changed.notify()

    def _schedule(self, key: K, due: float) -> None:
        if self._due.get(key) == due:
            return
        self._due[key] = due
        heapq.heappush(self._timers, (due, next(self._sequence), key))
        # Timers that were overtaken are dropped when they come up; a key that is rescheduled for ever must not make the heap grow for ever.
        if len(self._timers) > 64 and len(self._timers) > 2 * len(self._due):
            self._timers = [(when, next(self._sequence), waiting) for waiting, when in self._due.items()]
            heapq.heapify(self._timers)
        self._changed.notify()

    def _ripen(self) -> None:
        """Move the delayed keys whose time has come to the waiting ones."""
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                del self._due[key]
                self._add(key, urgent=False)

    def _take(self) -> K | None:
        name = self._next_group()
        if name is None:
            return None
        group = self._groups[name]
        line, turns = (group.urgent, self._urgent_turns) if name in self._urgent_turns and not self._starved(name) else (group.normal, self._normal_turns)
        key, _ = line.popitem(last=False)
        del self._where[key]
        group.in_flight += 1
        self._running[key] = _Running(group=name, since=self._clock.monotonic())
        if name in turns:
            turns.move_to_end(name)
        self._settle(name)
        # One wake-up may stand for two adds; pass it on while there is more to do.
        if self._urgent_turns or self._normal_turns:
            self._changed.notify()
        return key

    def _next_group(self) -> Hashable | None:
        waiting = next(iter(self._normal_turns), None)
        if waiting is not None and self._starved(waiting):
            return waiting
        urgent = next(iter(self._urgent_turns), None)
        return urgent if urgent is not None else waiting

    def _starved(self, name: Hashable) -> bool:
        line = self._groups[name].normal
        return bool(line) and self._clock.monotonic() - next(iter(line.values())) >= self._starvation

    def _settle(self, name: Hashable) -> None:
        """Make the turns agree with the group's state; drop a group that is empty."""
        group = self._groups[name]
        free = group.in_flight < self._limit
        for line, turns in ((group.urgent, self._urgent_turns), (group.normal, self._normal_turns)):
            if line and free:
                turns.setdefault(name)
            else:
                turns.pop(name, None)
        if not group.in_flight and not group.urgent and not group.normal:
            del self._groups[name]
