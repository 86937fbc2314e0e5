from __future__ import annotations

import threading

import pytest

from swarm_operator.engine.backoff import Backoff
from swarm_operator.engine.clock import FakeClock, SystemClock
from swarm_operator.engine.queue import WorkQueue


def drain(queue: WorkQueue[str]) -> list[str]:
    """Take and give back until nothing waits."""
    taken = []
    while (key := queue.get(0)) is not None:
        taken.append(key)
        queue.done(key)
    return taken


def test_a_waiting_key_is_not_added_twice() -> None:
    queue: WorkQueue[str] = WorkQueue(FakeClock())
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert drain(queue) == ["a", "b"]


def test_a_key_added_while_it_is_processed_runs_again_once() -> None:
    queue: WorkQueue[str] = WorkQueue(FakeClock())
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    queue.add("a", urgent=True)
    assert queue.get(0) is None
    queue.done("a")
    assert drain(queue) == ["a"]


def test_urgent_keys_go_first_and_an_edit_overtakes_its_own_resync() -> None:
    queue: WorkQueue[str] = WorkQueue(FakeClock())
    for key in ("a", "b", "c"):
        queue.add(key)
    queue.add("c", urgent=True)
    queue.add("d", urgent=True)
    assert drain(queue) == ["c", "d", "a", "b"]


def test_a_key_that_waited_long_goes_before_urgent_ones() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock, starvation_seconds=60)
    queue.add("old")
    clock.advance(60)
    queue.add("edited", urgent=True)
    assert drain(queue) == ["old", "edited"]


def test_a_group_takes_no_more_than_its_limit_and_others_go_on() -> None:
    queue: WorkQueue[str] = WorkQueue(FakeClock(), group=lambda key: key[0], group_limit=2)
    for key in ("x1", "x2", "x3", "x4", "y1"):
        queue.add(key)
    taken = [queue.get(0), queue.get(0), queue.get(0)]
    assert sorted(str(key) for key in taken) == ["x1", "x2", "y1"]
    assert queue.get(0) is None
    queue.done("x1")
    assert queue.get(0) == "x3"


def test_groups_take_turns() -> None:
    queue: WorkQueue[str] = WorkQueue(FakeClock(), group=lambda key: key[0])
    for key in ("x1", "x2", "x3", "y1", "y2"):
        queue.add(key)
    assert drain(queue) == ["x1", "y1", "x2", "y2", "x3"]


def test_delayed_adds_coalesce_to_the_earliest() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_after("a", 30)
    queue.add_after("a", 10)
    queue.add_after("a", 20)
    clock.advance(9.9)
    assert queue.get(0) is None
    clock.advance(0.1)
    assert drain(queue) == ["a"]
    clock.advance(60)
    assert drain(queue) == []


def test_retry_honours_the_minimum_even_where_a_shorter_delay_was_pending() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock, backoff=Backoff(floor=1, cap=300))
    queue.add_after("a", 5)
    queue.add("a")
    assert queue.get(0) == "a"
    delay = queue.retry("a", minimum=40)
    queue.done("a")
    assert 40 <= delay <= 44
    clock.advance(39)
    assert queue.get(0) is None
    clock.advance(delay - 39)
    assert queue.get(0) == "a"


def test_backoff_grows_to_the_cap_and_forget_resets_it() -> None:
    backoff: Backoff[str] = Backoff(floor=1, cap=300)
    delays = [backoff.failed("a") for _ in range(2000)]
    assert all(1 <= delay <= 300 for delay in delays)
    assert delays[0] <= 2
    assert max(delays) > 200
    backoff.forget("a")
    assert backoff.failed("a") <= 2


def test_done_of_a_key_that_is_not_in_flight_is_refused() -> None:
    queue: WorkQueue[str] = WorkQueue(FakeClock())
    queue.add("a")
    with pytest.raises(KeyError):
        queue.done("a")


def test_timers_that_were_overtaken_do_not_pile_up() -> None:
    queue: WorkQueue[str] = WorkQueue(FakeClock())
    for number in range(10_000):
        queue.add_after("a", 10_000 - number)
    assert queue.figures().delayed == 1
    assert len(queue._timers) <= 65


def test_figures_tell_depth_and_ages() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a")
    clock.advance(5)
    queue.add("b", urgent=True)
    queue.add_after("c", 60)
    assert queue.get(0) == "b"
    clock.advance(2)
    queue.add("b")
    figures = queue.figures()
    assert (figures.depth, figures.delayed, figures.in_flight) == (1, 1, 1)
    assert (figures.oldest_age, figures.longest_running) == (7, 2)
    assert figures.adds == 3


def test_a_blocked_get_wakes_for_an_add_for_a_due_key_and_for_close() -> None:
    queue: WorkQueue[str] = WorkQueue(SystemClock())
    got: list[str | None] = []

    def take() -> None:
        while (key := queue.get(30)) is not None:
            got.append(key)
            queue.done(key)
        got.append(None)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    queue.add_after("later", 0.2)
    queue.add("now")
    deadline = SystemClock().monotonic() + 5
    while len(got) < 2 and SystemClock().monotonic() < deadline:
        SystemClock().sleep(0.01)
    queue.close()
    thread.join(5)
    assert got == ["now", "later", None]
    assert not thread.is_alive()
