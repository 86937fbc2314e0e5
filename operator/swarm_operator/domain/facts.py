"""What is known and what is not. Absence is believed only from a `Known`: a destructive step takes a `Known` argument, so it can't be built from an `Unknown`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from swarm_operator.api.reasons import Reason

T = TypeVar("T")


@dataclass(frozen=True)
class Known(Generic[T]):
    """The result of a complete, fresh read."""

    value: T


@dataclass(frozen=True)
class Unknown:
    """The read failed, was partial, or was not made; `reason` and `message` can go into a condition as they are (no secrets, no request ids)."""

    reason: Reason
    message: str


Fact = Known[T] | Unknown
