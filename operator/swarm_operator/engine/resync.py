"""The periodic sweep: list everything, enqueue everything. Events may be lost; a sweep is not.

Does not: list (the caller's `sweep` does).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from swarm_operator.engine.clock import Clock

log = logging.getLogger(__name__)


class Resync:
    """One thread that calls `sweep` at once and then every `period` seconds, give or take `jitter` (a share of the period, so that several processes drift apart).

    `sweep` may return the seconds until the next sweep to ask for an earlier one. A sweep that raises is logged and repeated after `retry` seconds.
    """

    def __init__(
        self, sweep: Callable[[], float | None], period: float, clock: Clock, *, jitter: float = 0.1, retry: float = 15.0, name: str = "resync"
    ) -> None:
        if not 0 <= jitter < 1:
            raise ValueError("0 <= jitter < 1")
        self._sweep = sweep
        self._period = period
        self._clock = clock
        self._jitter = jitter
        self._retry = min(retry, period)
        self._random = random.Random()  # noqa: S311 - spreads load, protects nothing
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._last_success: float | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Start no further sweep; waits at most `timeout` seconds for the one that runs."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def last_success(self) -> float | None:
        """When the last complete sweep ended, in Unix seconds; None before the first."""
        return self._last_success

    def once(self) -> float:
        """One sweep; the seconds until the next."""
        try:
            wanted = self._sweep()
        except Exception as error:
            log.warning("resync failed, again in %.0f s: %s", self._retry, error)
            return self._retry
        self._last_success = self._clock.now().timestamp()
        delay = self._period * self._random.uniform(1 - self._jitter, 1 + self._jitter)
        return delay if wanted is None else min(delay, wanted)

    def _run(self) -> None:
        delay = 0.0
        while not self._stop.wait(delay):
            delay = self.once()
