"""A listing that several threads ask for at once, fetched once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedList(Generic[T]):
    """Remembers the last result of `fetch` for `ttl` seconds; threads that ask while a fetch is under way wait for it instead of making their own.

    A result is never given to who asked, with `fresh`, after its fetch had begun: it may lack what happened in between. Failures are shared among those who wait for
    the same fetch, and remembered no longer.
    """

    def __init__(self, fetch: Callable[[], T], ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = float("-inf")
        self._changed = float("-inf")
        self._value: T | None = None
        self._error: Exception | None = None

    def invalidate(self) -> None:
        """Something was written: what was fetched up to now is outdated, also a fetch that is under way."""
        self._changed = self._clock()

    def get(self, *, fresh: bool = False) -> T:
        """The listing; raises what `fetch` raises."""
        asked = self._clock()
        with self._lock:
            if self._error is not None and self._begun >= asked:
                raise self._error
            valid = self._value is not None and self._error is None and self._begun > self._changed
            if self._value is not None and valid and (self._begun >= asked or (not fresh and self._clock() - self._begun <= self._ttl)):
                return self._value
            self._begun = self._clock()
            try:
                self._value = self._fetch()
                self._error = None
            except Exception as error:
                self._error = error
                raise
            return self._value
