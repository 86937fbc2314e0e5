"""The hook through which adapters report their calls, without knowing what counts them.

An adapter takes an `Observe` and wraps each call in `observed`. Does not: know Prometheus (`telemetry.metrics` gives the function that counts).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from swarm_operator.domain.errors import ErrorKind, ExternalError

Observe = Callable[[str, str, str, float], None]
"""(system, operation, outcome, seconds): `system` as in ExternalError, `operation` a fixed low-cardinality name ("list_servers"), never an id; `outcome` is "ok" or the value
of an ErrorKind, or "error" for anything else."""

ObserveFailure = Callable[[str, str], None]
"""(system, reason): a reconcile met a failure; the value of a Reason."""

ObserveStep = Callable[[str, str], None]
"""(step, result): name of a step of a cluster's plan, and "ok" or "failed"."""

OK = "ok"
ERROR = "error"

NOT_SENT = "not-sent"
"""Outcome of a call that was held back by the credential's rate limit or open circuit."""

EXPECTED = frozenset({OK, ErrorKind.NOT_FOUND.value, ErrorKind.CONFLICT.value, NOT_SENT})
"""Outcomes that are part of normal work: "it is not there" and "look again" are answers; what was not sent has not failed."""


def ignore(system: str, operation: str, outcome: str, seconds: float) -> None:
    """Reports to nobody."""


def ignore_step(step: str, result: str) -> None:
    """Reports to nobody."""


def ignore_failure(system: str, reason: str) -> None:
    """Reports to nobody."""


@contextmanager
def observed(observe: Observe, system: str, operation: str) -> Iterator[None]:
    """Report the duration and outcome of the block; exceptions pass through."""
    start = time.monotonic()
    outcome = ERROR
    try:
        yield
        outcome = OK
    except ExternalError as error:
        outcome = error.kind.value
        raise
    finally:
        observe(system, operation, outcome, time.monotonic() - start)
