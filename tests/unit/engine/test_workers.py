from __future__ import annotations

import threading
import time

import pytest

from swarm_operator.engine.clock import FakeClock, SystemClock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.engine.queue import WorkQueue
from swarm_operator.engine.resync import Resync
from swarm_operator.engine.watchdog import WatchOracle
from swarm_operator.engine.workers import WorkerPool, settle


def taken(queue: WorkQueue[str], key: str) -> None:
    queue.add(key)
    assert queue.get(0) == key


def test_done_forgets_the_backoff_and_does_not_come_back() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    taken(queue, "a")
    queue.retry("a")
    settle(queue, "a", Done())
    assert queue.figures().backing_off == 0
    clock.advance(2)
    assert queue.get(0) == "a"  # the retry that was asked for before
    settle(queue, "a", Done())
    clock.advance(10_000)
    assert queue.get(0) is None


@pytest.mark.parametrize(("outcome", "low", "high"), [(After(30), 30, 30), (Retry("x"), 1, 2), (Retry("x", minimum=50), 50, 55)])
def test_the_key_comes_back_when_the_outcome_says(outcome: Outcome, low: float, high: float) -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    taken(queue, "a")
    settle(queue, "a", outcome)
    clock.advance(low - 0.001)
    assert queue.get(0) is None
    clock.advance(high - low + 0.001)
    assert queue.get(0) == "a"


class Record:
    def __init__(self) -> None:
        self.finishes: list[tuple[str, Outcome]] = []
        self.event = threading.Event()

    def started(self, key: str) -> None: ...

    def finished(self, key: str, outcome: Outcome, seconds: float) -> None:
        self.finishes.append((key, outcome))
        self.event.set()


def test_a_reconcile_that_raises_is_retried_and_its_thread_goes_on() -> None:
    queue: WorkQueue[str] = WorkQueue(SystemClock())
    record = Record()

    def reconcile(key: str) -> Outcome:
        if key == "bad":
            raise RuntimeError("defect")
        return Done()

    pool = WorkerPool(queue, reconcile, 1, record)
    pool.start()
    queue.add("bad")
    assert record.event.wait(5)
    record.event.clear()
    queue.add("good")
    assert record.event.wait(5)
    assert [key for key, _ in record.finishes] == ["bad", "good"]
    assert isinstance(record.finishes[0][1], Retry)
    assert queue.figures().delayed == 1
    assert pool.alive() == 1
    assert pool.stop(5)


def test_stop_waits_for_the_running_reconcile_but_not_for_ever() -> None:
    queue: WorkQueue[str] = WorkQueue(SystemClock())
    release, running = threading.Event(), threading.Event()

    def reconcile(key: str) -> Outcome:
        running.set()
        release.wait(30)
        return Done()

    pool = WorkerPool(queue, reconcile, 2)
    pool.start()
    queue.add("a")
    queue.add("b")
    assert running.wait(5)
    start = time.monotonic()
    assert not pool.stop(0.2)
    assert time.monotonic() - start < 5
    release.set()
    assert pool.stop(5)


def test_a_hung_group_leaves_threads_for_others() -> None:
    queue: WorkQueue[str] = WorkQueue(SystemClock(), group=lambda key: key[0], group_limit=2)
    release, served = threading.Event(), threading.Event()

    def reconcile(key: str) -> Outcome:
        if key[0] == "x":
            release.wait(30)
        else:
            served.set()
        return Done()

    pool = WorkerPool(queue, reconcile, 3)
    pool.start()
    for number in range(20):
        queue.add(f"x{number}", urgent=True)
    queue.add("y")
    assert served.wait(5)
    release.set()
    assert pool.stop(10)


def test_resync_sweeps_at_once_survives_errors_and_stops() -> None:
    sweeps: list[int] = []
    done = threading.Event()

    def sweep() -> float | None:
        sweeps.append(1)
        if len(sweeps) == 1:
            raise OSError("apiserver away")
        done.set()
        return None

    resync = Resync(sweep, 60, SystemClock(), retry=0.05)
    assert resync.last_success() is None
    resync.start()
    assert done.wait(5)
    resync.stop()
    assert len(sweeps) == 2
    assert resync.last_success() is not None


def test_resync_spreads_its_period_and_takes_an_earlier_wish() -> None:
    clock = FakeClock()
    spread = [Resync(lambda: None, 100, clock, jitter=0.1).once() for _ in range(200)]
    assert 90 <= min(spread) < max(spread) <= 110
    assert Resync(lambda: 20.0, 100, clock).once() == 20


def test_the_oracle_suspects_only_what_the_watch_never_brought() -> None:
    clock = FakeClock()
    oracle: WatchOracle[str] = WatchOracle(clock, patience=120)
    oracle.delivered("seen", "1")
    assert oracle.listed({"seen": "1", "missed": "2", "late": "3"}) == []
    assert oracle.waiting()
    clock.advance(60)
    oracle.delivered("late", "3")
    clock.advance(60)
    suspects = oracle.listed({"seen": "1", "missed": "2", "late": "3"})
    assert suspects == ["missed"]
    assert oracle.undelivered(suspects) == ["missed"]


def test_the_oracle_does_not_wait_for_what_was_deleted_in_a_gap() -> None:
    clock = FakeClock()
    oracle: WatchOracle[str] = WatchOracle(clock)
    oracle.listed({"a": "1"})
    clock.advance(500)
    assert oracle.listed({}) == []
    assert not oracle.waiting()


def test_a_watch_ahead_of_the_list_and_a_change_during_it_are_no_proof() -> None:
    clock = FakeClock()
    oracle: WatchOracle[str] = WatchOracle(clock, patience=120)
    oracle.delivered("a", "7")
    oracle.listed({"a": "6"})
    clock.advance(120)
    suspects = oracle.listed({"a": "8"})
    oracle.delivered("a", "8")
    assert oracle.undelivered(suspects) == []
    oracle.listed({"a": "8"})
    assert not oracle.waiting()
