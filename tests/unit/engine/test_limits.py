"""The token bucket and the circuit breaker, on a clock of their own."""

from __future__ import annotations

import pytest

from swarm_operator.engine.backoff import Backoff
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.limits import CircuitBreaker, TokenBucket


def test_a_burst_then_the_rate() -> None:
    clock = FakeClock()
    bucket = TokenBucket(clock, rate=2.0, burst=3)
    assert [bucket.reserve(10) for _ in range(5)] == [(True, 0.0)] * 3 + [(True, 0.5), (True, 1.0)]
    clock.advance(1.0)
    assert bucket.reserve(10) == (True, 0.5)
    clock.advance(100)
    assert [bucket.reserve(0)[0] for _ in range(4)] == [True, True, True, False], "what was not used is kept up to the burst only"


def test_who_would_wait_too_long_takes_nothing() -> None:
    bucket = TokenBucket(FakeClock(), rate=1.0, burst=1)
    assert bucket.reserve(0) == (True, 0.0)
    for _ in range(3):
        assert bucket.reserve(0.5) == (False, 1.0)


def test_a_pause_that_was_asked_for_holds_for_all() -> None:
    clock = FakeClock()
    bucket = TokenBucket(clock, rate=10.0, burst=10)
    bucket.hold(7)
    bucket.hold(3)
    assert bucket.reserve(5) == (False, 7.0)
    clock.advance(7)
    assert bucket.reserve(0) == (True, 0.0)


def test_the_circuit_opens_lets_one_through_and_closes() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(clock, threshold=3, shortest=5, longest=20)
    for _ in range(2):
        assert breaker.enter() is None
        breaker.failed()
    breaker.succeeded()
    for _ in range(3):
        assert breaker.enter() is None
        breaker.failed()
    opened = clock.now()
    breaker.failed()  # one that had begun before
    outage = breaker.enter()
    assert outage is not None and outage.since == opened and (outage.next_try - opened).total_seconds() == 5
    clock.advance(2.3)
    later = breaker.enter()
    assert later is not None and later.next_try == outage.next_try, "a message made of it does not change from look to look"
    pauses = []
    for _ in range(4):
        waiting = breaker.enter()
        assert waiting is not None
        clock.advance(waiting.wait)
        assert breaker.enter() is None and breaker.enter() is not None, "one, not all of them"
        breaker.failed()
        after = breaker.enter()
        assert after is not None and after.since == opened
        pauses.append(round(after.wait))
    assert pauses == [10, 20, 20, 20]
    clock.advance(20)
    assert breaker.enter() is None
    breaker.succeeded()
    assert not breaker.open and breaker.enter() is None


def test_the_one_let_through_may_never_tell() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(clock, threshold=1, shortest=5)
    breaker.failed()
    clock.advance(5)
    assert breaker.enter() is None
    clock.advance(5)
    assert breaker.enter() is None


@pytest.mark.parametrize("maximum", [15.0, 0.1])
def test_a_class_of_failures_has_its_own_cap(maximum: float) -> None:
    backoff: Backoff[str] = Backoff(floor=1.0, cap=300.0)
    delays = [backoff.failed("a", 0.0, maximum) for _ in range(30)]
    assert max(delays) <= max(1.0, maximum)
    assert min(backoff.failed("a", 40.0, maximum) for _ in range(10)) >= 40.0, "what a server asked for goes before it"
