"""Progress lines with times, for people who wait."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator


class Progress:
    """Prints ``[ 12.3s] text`` lines; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print one line with the time since the start."""
        with self._lock:
            print(f"[{self.elapsed:6.1f}s] {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, text: str, announce: bool = False) -> Iterator[None]:
        """Print how long the body took; ``announce`` also prints a line before it, for steps of minutes."""
        began = time.monotonic()
        if announce:
            self.say(f"{text} ...")
        try:
            yield
        except BaseException:
            self.say(f"{text}: FAILED after {time.monotonic() - began:.1f}s")
            raise
        self.say(f"{text}: {time.monotonic() - began:.1f}s")
