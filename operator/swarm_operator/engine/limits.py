"""Limits on calls to one other system: a token bucket against too many, a circuit breaker against useless ones. Thread safe.

Does not: make calls, sleep, or know what they are about.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from swarm_operator.engine.clock import Clock


class TokenBucket:
    """At most `rate` calls a second in the long run, `burst` at once."""

    def __init__(self, clock: Clock, rate: float, burst: int) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("rate > 0 and burst >= 1")
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._at = clock.monotonic()
        self._held_until = float("-inf")

    def reserve(self, longest: float) -> tuple[bool, float]:
        """(True, seconds to wait before the call), or (False, seconds until it is worth asking again) where the wait would be longer than `longest`: then nothing is taken."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            wait = max(0.0, self._held_until - now, (1.0 - self._tokens) / self._rate)
            if wait > longest:
                return False, wait
            self._tokens -= 1.0
            return True, wait

    def hold(self, seconds: float) -> None:
        """The other side asked for a pause: no call begins before."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)


@dataclass(frozen=True)
class Outage:
    """An open circuit: since when, the time of the next try, and the seconds until then."""

    since: datetime
    next_try: datetime
    wait: float


class CircuitBreaker:
    """Opens after `threshold` failures in a row and lets one call through every now and then: after `shortest` seconds first, then after twice as many, at most `longest`.

    The one that is let through closes the circuit by its success.
    """

    def __init__(self, clock: Clock, *, threshold: int = 5, shortest: float = 5.0, longest: float = 60.0) -> None:
        self._clock = clock
        self._threshold, self._shortest, self._longest = threshold, shortest, longest
        self._lock = threading.Lock()
        self._failures = 0
        self._since: datetime | None = None
        self._due = 0.0
        self._pause = shortest
        self._trying = False

    def enter(self) -> Outage | None:
        """None: make the call, and tell how it went by `succeeded` or `failed`. Else it is not to be made."""
        with self._lock:
            if self._since is None:
                return None
            now = self._clock.monotonic()
            if now >= self._due:
                # Only this call is let through; should its caller never tell, another is after a pause.
                self._due, self._trying = now + self._pause, True
                return None
            # Whole seconds: the time must read the same however often it is worked out within one pause.
            next_try = (self._clock.now() + timedelta(seconds=self._due - now + 0.5)).replace(microsecond=0)
            return Outage(self._since, next_try, self._due - now)

    def succeeded(self) -> None:
        """The other side answered."""
        with self._lock:
            self._failures, self._since, self._pause, self._trying = 0, None, self._shortest, False

    def failed(self) -> None:
        """The other side did not answer, or with an error of its own."""
        with self._lock:
            self._failures += 1
            now = self._clock.monotonic()
            if self._since is None:
                if self._failures >= self._threshold:
                    self._since, self._pause = self._clock.now().replace(microsecond=0), self._shortest
                    self._due = now + self._pause
            elif self._trying:  # calls that had begun before the circuit opened change nothing
                self._pause, self._trying = min(self._longest, 2.0 * self._pause), False
                self._due = now + self._pause

    @property
    def open(self) -> bool:
        """Whether calls are refused now."""
        with self._lock:
            return self._since is not None
