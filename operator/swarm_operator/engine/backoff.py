"""Exponential back-off with full jitter.

The jitter keeps keys that failed together (an API was down) from coming back together. Does not: sleep, or know what a key is.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass
class Backoff(Generic[K]):
    """Counts failures by key. Not thread safe: its owner locks.

    The delay after the n-th failure in a row is uniform in [`floor`, min(`cap`, `maximum`, `floor` * 2**n)] seconds, or `minimum` plus at most a tenth of it where that is
    later: a server that asked all of us to wait for 60 s is not answered by all of us at 60.0 s.
    """

    floor: float = 1.0
    cap: float = 300.0
    random: random.Random = field(default_factory=random.Random)
    _failures: dict[K, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.cap:
            raise ValueError("0 < floor <= cap")

    def failed(self, key: K, minimum: float = 0.0, maximum: float | None = None) -> float:
        """Note one more failure; seconds to wait. `maximum`: this class of failure is looked at again by then."""
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        # 2**n overflows a float long after it passed any cap.
        cap = self.cap if maximum is None else max(self.floor, min(self.cap, maximum))
        ceiling = min(cap, self.floor * 2.0 ** min(failures, 64))
        delay = self.random.uniform(self.floor, ceiling)
        if delay < minimum:
            delay = minimum * self.random.uniform(1.0, 1.1)
        return delay

    def forget(self, key: K) -> None:
        """The key succeeded or is gone."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    def __len__(self) -> int:
        return len(self._failures)
