"""What one reconcile of a key ends with: when to look at the key again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """Nothing is left to do. The back-off is forgotten; an event or the periodic resync brings the key back."""


@dataclass(frozen=True)
class After:
    """Progress was made or is awaited: look again in `seconds`. The back-off is forgotten."""

    seconds: float


@dataclass(frozen=True)
class Retry:
    """It failed: look again after an exponential back-off with full jitter, at least `minimum` seconds (what a server asked for). `reason` is for logs and metrics.

    `maximum`: the back-off of this class of failure grows no further; None: no further than the back-off's own cap. `minimum` goes before it.
    """

    reason: str
    minimum: float = 0.0
    maximum: float | None = None


Outcome = Done | After | Retry
