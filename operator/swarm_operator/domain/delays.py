"""How long each class of failure is left alone before the next try. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from swarm_operator.api.reasons import Reason


@dataclass(frozen=True)
class Delay:
    """Seconds: at least `least`, at most `most` (the back-off grows between the two). What a server asked for by Retry-After goes before both."""

    least: float = 1.0
    most: float = 300.0


AMBIGUOUS_SETTLE_SECONDS: Final = 5.0
"""After a write whose answer was lost: what it made may not be listed before."""
_ANY: Final = Delay()
DELAYS: Final[Mapping[Reason, Delay]] = {
    # What passes by itself.
    Reason.CONFLICT: Delay(1.0, 15.0),
    Reason.CLOUD_UNREACHABLE: Delay(1.0, 120.0),
    Reason.CLOUD_FAILING: Delay(2.0, 120.0),
    Reason.RATE_LIMITED: Delay(10.0, 120.0),
    # What needs room in the project or in the cloud.
    Reason.QUOTA_EXCEEDED: Delay(30.0, 300.0),
    Reason.NO_CAPACITY: Delay(30.0, 300.0),
    Reason.ADDRESSES_EXHAUSTED: Delay(30.0, 300.0),
    # What needs a person.
    Reason.AUTHENTICATION_FAILED: Delay(30.0, 300.0),
    Reason.FORBIDDEN: Delay(30.0, 300.0),
    Reason.INVALID_SPEC: Delay(30.0, 300.0),
    Reason.REFERENCE_NOT_FOUND: Delay(10.0, 300.0),
    Reason.REFERENCE_AMBIGUOUS: Delay(10.0, 300.0),
    Reason.ADDRESS_IN_USE: Delay(10.0, 300.0),
    Reason.SECRET_NOT_FOUND: Delay(5.0, 60.0),
}
"""By the reason of the failure; `delay_of` answers for all others."""


def delay_of(reason: Reason) -> Delay:
    """The delay of a class of failures."""
    return DELAYS.get(reason, _ANY)
