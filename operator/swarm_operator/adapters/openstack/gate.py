"""What stands before every call of one credential: a rate limit for all of them, and a circuit breaker for each service.

A service that does not answer, or answers with errors of its own, is left alone for a while: a call meanwhile fails at once and says since when and until when. Nothing
was sent then, so nothing is in doubt; what could not be read is unknown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from swarm_operator.adapters.openstack.errors import SYSTEM
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import Clock, SystemClock, rfc3339
from swarm_operator.engine.limits import CircuitBreaker, Outage, TokenBucket

_OUTAGES: Final = frozenset({ErrorKind.UNREACHABLE, ErrorKind.TRANSIENT, ErrorKind.AMBIGUOUS})
_PAUSE_WITHOUT_RETRY_AFTER: Final = 5.0
"""Seconds of a 429 that names none."""


@dataclass(frozen=True)
class Limits:
    """Calls a second in the long run and at once, of one credential; `patience` is how many seconds a call may wait for its turn before it is given up."""

    rate: float = 20.0
    burst: int = 60
    patience: float = 10.0


class CircuitOpen(ExternalError):
    """Not sent: the service is being left alone. Kind UNREACHABLE, reason that of the last failure, `retry_after` until the next try."""


class Throttled(ExternalError):
    """Not sent: too many calls of this credential wait already, or the cloud asked for a pause. Kind RATE_LIMITED."""


class Gate:
    """Of one credential. Thread safe."""

    def __init__(self, limits: Limits = Limits(), clock: Clock | None = None) -> None:
        self._limits = limits
        self._clock = clock if clock is not None else SystemClock()
        self._bucket = TokenBucket(self._clock, limits.rate, limits.burst)
        self._lock = threading.Lock()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._causes: dict[str, ExternalError] = {}

    def open_circuits(self) -> tuple[str, ...]:
        """The services that are being left alone."""
        with self._lock:
            return tuple(sorted(service for service, breaker in self._breakers.items() if breaker.open))

    @contextmanager
    def passing(self, service: str, what: str, *, counted: bool = True) -> Iterator[None]:
        """Around one call of a service. Raises CircuitOpen or Throttled instead of running the block. `counted`: it sends a request and takes its turn."""
        with self._lock:
            breaker = self._breakers.setdefault(service, CircuitBreaker(self._clock))
        outage = breaker.enter()
        if outage is not None:
            raise self._left_alone(service, what, outage)
        if counted:
            self._take_turn(what)
        try:
            yield
        except ExternalError as error:
            if error.kind in _OUTAGES:
                with self._lock:
                    self._causes[service] = error
                breaker.failed()
                raise
            if error.kind is ErrorKind.RATE_LIMITED:
                self._bucket.hold(error.retry_after or _PAUSE_WITHOUT_RETRY_AFTER)
            breaker.succeeded()
            raise
        breaker.succeeded()

    def _take_turn(self, what: str) -> None:
        granted, wait = self._bucket.reserve(self._limits.patience)
        if not granted:
            raise Throttled(ErrorKind.RATE_LIMITED, SYSTEM, f"{what}: not sent: calls of this credential are being held back", retry_after=wait)
        if wait:
            self._clock.sleep(wait)

    def _left_alone(self, service: str, what: str, outage: Outage) -> CircuitOpen:
        with self._lock:
            cause = self._causes.get(service)
        last = f"; last failure: {cause.message}" if cause is not None else ""
        text = f"{what}: not sent: the {service} API has failed since {rfc3339(outage.since)}, next try at {rfc3339(outage.next_try)}{last}"
        reason = cause.reason if cause is not None else Reason.CLOUD_UNREACHABLE
        return CircuitOpen(ErrorKind.UNREACHABLE, SYSTEM, text, retry_after=max(1.0, outage.wait), reason=reason)
