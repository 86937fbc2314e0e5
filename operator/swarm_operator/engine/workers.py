"""Threads that take keys from the queue, reconcile them and give them back.

Does not: decide when a key comes back (its Outcome does), or kill a thread that hangs (each call of a reconcile has its own timeout).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.engine.queue import WorkQueue

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)

INTERNAL_ERROR = "InternalError"
"""`Retry.reason` of a reconcile that raised."""

log = logging.getLogger(__name__)


class Observer(Protocol[K_contra]):
    """Watches the workers, in the worker's own thread: for metrics and log context. Must not raise."""

    def started(self, key: K_contra) -> None: ...
    def finished(self, key: K_contra, outcome: Outcome, seconds: float) -> None: ...


class Silent:
    """Observes nothing."""

    def started(self, key: object) -> None: ...
    def finished(self, key: object, outcome: Outcome, seconds: float) -> None: ...


def settle(queue: WorkQueue[K], key: K, outcome: Outcome) -> None:
    """Give `key` back to the queue as `outcome` says. The next time is set before the key is released, so it is never in neither place."""
    match outcome:
        case Done():
            queue.forget(key)
        case After(seconds):
            queue.forget(key)
            queue.add_after(key, seconds)
        case Retry(reason, minimum, maximum):
            delay = queue.retry(key, minimum, maximum)
            log.info("retry in %.1f s: %s", delay, reason)
    queue.done(key)


class WorkerPool(Generic[K]):
    """`threads` daemon threads: a hung one can't keep the process alive. A reconcile that raises is logged with its traceback and retried."""

    def __init__(self, queue: WorkQueue[K], reconcile: Callable[[K], Outcome], threads: int, observer: Observer[K] | None = None) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._observer: Observer[K] = observer if observer is not None else Silent()
        self._threads = [threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> bool:
        """Close the queue and wait at most `timeout` seconds for the running reconciles; whether all of them ended."""
        self._queue.close()
        end = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def alive(self) -> int:
        """Threads that run. Fewer than were started means a defect: nothing that a reconcile raises ends a thread."""
        return sum(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (key := self._queue.get()) is not None:
            self._process(key)

    def _process(self, key: K) -> None:
        start = time.monotonic()
        self._observer.started(key)
        try:
            outcome = self._reconcile(key)
        except Exception:
            log.exception("reconcile of %s raised", key)
            outcome = Retry(INTERNAL_ERROR)
        try:
            settle(self._queue, key, outcome)
        finally:
            self._observer.finished(key, outcome, time.monotonic() - start)
