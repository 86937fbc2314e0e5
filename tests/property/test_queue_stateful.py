"""The work queue against a model: every rule of its module docstring, over any order of calls."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from swarm_operator.engine.backoff import Backoff
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.queue import WorkQueue

GROUPS = ("x", "y", "z")
KEYS = st.builds(lambda group, number: f"{group}{number}", st.sampled_from(GROUPS), st.integers(0, 3))
LIMIT = 2
CAP = 40.0
STARVATION = 1e9  # never here: so that "urgent first" is strict


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        # Seeded: with other delays the same draws would be of other keys when an example is run again, which hypothesis calls flaky.
        backoff: Backoff[str] = Backoff(floor=1.0, cap=CAP, random=random.Random(0))
        self.queue: WorkQueue[str] = WorkQueue(self.clock, group=lambda key: key[0], group_limit=LIMIT, backoff=backoff, starvation_seconds=STARVATION)
        self.waiting: dict[str, bool] = {}
        self.again: dict[str, bool] = {}
        self.running: set[str] = set()
        self.due: dict[str, float] = {}
        self.failures: dict[str, int] = {}

    def note(self, key: str, urgent: bool) -> None:
        target = self.again if key in self.running else self.waiting
        target[key] = target.get(key, False) or urgent

    def ripen(self) -> None:
        for key in [key for key, due in self.due.items() if due <= self.clock.monotonic()]:
            del self.due[key]
            self.note(key, False)

    def runnable(self) -> dict[str, bool]:
        in_flight = {group: sum(key[0] == group for key in self.running) for group in GROUPS}
        return {key: urgent for key, urgent in self.waiting.items() if in_flight[key[0]] < LIMIT}

    @rule(key=KEYS, urgent=st.booleans())
    def add(self, key: str, urgent: bool) -> None:
        self.queue.add(key, urgent)
        self.note(key, urgent)

    @rule(key=KEYS, seconds=st.floats(0, 100))
    def add_after(self, key: str, seconds: float) -> None:
        self.queue.add_after(key, seconds)
        due = self.clock.monotonic() + seconds
        self.due[key] = min(due, self.due.get(key, due))

    @rule(seconds=st.floats(0, 60))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def get(self) -> None:
        self.ripen()
        runnable = self.runnable()
        key = self.queue.get(0)
        if not runnable:
            assert key is None
            return
        assert key in runnable, "handed out what did not wait, or was in flight, or was over its group's limit"
        assert runnable[key] or not any(runnable.values()), "urgent keys go first"
        del self.waiting[key]
        self.running.add(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.queue.forget(key)
        self.failures.pop(key, None)
        self.release(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), minimum=st.sampled_from([0.0, 0.0, 10.0, 500.0]))
    def fail(self, data: st.DataObject, minimum: float) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.ripen()
        self.queue.figures()  # ripens the queue's timers at the same time as the model's
        delay = self.queue.retry(key, minimum)
        self.failures[key] = self.failures.get(key, 0) + 1
        ceiling = min(CAP, 2.0 ** self.failures[key])
        assert max(1.0, minimum) <= delay <= max(ceiling, minimum * 1.1)
        self.due[key] = self.clock.monotonic() + delay
        self.release(key)

    def release(self, key: str) -> None:
        self.ripen()
        self.queue.figures()
        self.queue.done(key)
        self.running.remove(key)
        if key in self.again:
            self.note(key, self.again.pop(key))

    @invariant()
    def figures_agree(self) -> None:
        self.ripen()
        figures = self.queue.figures()
        assert figures.depth == len(self.waiting)
        assert figures.in_flight == len(self.running)
        assert figures.delayed == len(self.due)
        assert figures.backing_off == len(self.failures)

    def teardown(self) -> None:
        """Nothing is lost: all that waits, or is delayed, comes out in the end."""
        for key in sorted(self.running):
            self.done_quietly(key)
        self.clock.advance(1000)
        self.ripen()
        expected = set(self.waiting)
        got = set()
        while (key := self.queue.get(0)) is not None:
            assert key not in got, "came out twice"
            got.add(key)
            self.queue.done(key)
        assert got == expected
        figures = self.queue.figures()
        assert (figures.depth, figures.delayed, figures.in_flight) == (0, 0, 0)
        assert not self.queue._groups, "empty groups are forgotten"

    def done_quietly(self, key: str) -> None:
        self.release(key)


QueueMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestQueue = QueueMachine.TestCase
