"""Leader election over a lease that contenders read and write conditionally: at most one of them leads at any time.

The protocol is that of client-go's `tools/leaderelection` (observe, then wait): a contender takes a held lease only after it has itself seen the very same version of it for
the whole duration. No wall clock of any machine is compared with another's: all waiting is on the own monotonic clock, the times in the lease are for people.

Why two can't lead at once: the holder counts its leadership from the moment *before* it sent its last successful write, and for `renew_deadline`; a contender counts from the
moment *after* it read that write, and for `duration`, which is longer. Writes are conditional, so a late one of the old holder fails. The difference (5 s by default) is what
the clocks' rates may differ by, and what the holder has to stop in. A machine that is suspended as a whole and wakes up later is not covered by that, as in any lease
protocol without fencing; each write of the controllers is safe to repeat for that reason too.

Does not: know what a lease is made of, run in threads by itself (`Candidate` does), or decide what the leader does.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from swarm_operator.engine.clock import Clock

NOBODY = ""
"""The holder of a lease that was given back."""

RELEASED_SECONDS = 1.0
"""Duration that a given-back lease carries, as client-go writes it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseTimes:
    """In seconds; the defaults are those of Kubernetes' own controllers."""

    duration: float = 15.0
    """How long contenders wait from the last sign of the holder."""
    renew_deadline: float = 10.0
    """How long the holder leads after its last successful write."""
    retry: float = 2.0
    """Between two looks, of the holder and of contenders; at most so much is lost after a lease was given back."""

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError("0 < retry < renew_deadline < duration")


@dataclass(frozen=True)
class LeaseRecord:
    """What the lease says. `version` is opaque and changes with each write; it is empty for a lease that does not exist yet."""

    holder: str
    duration: float
    transitions: int = 0
    version: str = ""


class LeaseConflict(Exception):
    """The lease changed since it was read; nothing was written."""


class LeaseStore(Protocol):
    """Where the lease is. Any exception but LeaseConflict means: unknown whether it was read or written."""

    def read(self) -> LeaseRecord | None:
        """The lease, fresh; None where there is none."""

    def write(self, record: LeaseRecord, *, acquired: bool) -> LeaseRecord:
        """Put `record` in the place of the version that it names (none: create), and return it with its new version. `acquired`: the holder changes by it."""


class Election:
    """One contender's view of the lease. Pure but for the clock; thread safe."""

    def __init__(self, identity: str, clock: Clock, times: LeaseTimes) -> None:
        """`identity` must be unique among processes that can run at the same time. One that starts again under its old identity, once the old process is surely gone, leads at
        once."""
        if not identity:
            raise ValueError("identity must not be empty")
        self.identity = identity
        self._clock = clock
        self._times = times
        self._lock = threading.Lock()
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self._confirmed: float | None = None
        self._superseded = False

    def consider(self, record: LeaseRecord | None) -> LeaseRecord | None:
        """What to write, given that the lease was just read as `record`; None: wait and look again."""
        with self._lock:
            now = self._clock.monotonic()
            if self._superseded:
                return None
            if record is None:
                return self._absent(now)
            if self._seen is None or self._seen.version != record.version:
                self._seen, self._seen_at = record, now
            if record.holder == self.identity:
                return LeaseRecord(self.identity, self._times.duration, record.transitions, record.version)
            if self._confirmed is not None and record.holder != NOBODY:
                self._superseded = True
                return None
            if record.holder != NOBODY and now - self._seen_at < max(record.duration, self._times.duration):
                return None
            return LeaseRecord(self.identity, self._times.duration, record.transitions + 1, record.version)

    def wrote(self, started: float, record: LeaseRecord) -> None:
        """A write that was sent at `started` (monotonic) succeeded."""
        with self._lock:
            self._seen, self._seen_at = record, self._clock.monotonic()
            self._confirmed = started

    def leads(self) -> bool:
        """Whether nobody else can be leading now."""
        return self.remaining() > 0

    def remaining(self) -> float:
        """Seconds for which we lead even if nothing is heard any more; 0 when we do not."""
        with self._lock:
            if self._confirmed is None or self._superseded:
                return 0.0
            return max(0.0, self._confirmed + self._times.renew_deadline - self._clock.monotonic())

    def release(self) -> LeaseRecord | None:
        """What to write to give the lease back; None where it is not ours. We do not lead from now on."""
        with self._lock:
            held = self._confirmed is not None and not self._superseded and self._seen is not None and self._seen.holder == self.identity
            self._superseded = True
            if not held or self._seen is None:
                return None
            return LeaseRecord(NOBODY, RELEASED_SECONDS, self._seen.transitions, self._seen.version)

    def _absent(self, now: float) -> LeaseRecord | None:
        """Nobody has made it yet; or somebody removed it under its holder, who may still lead for a while."""
        if self._seen is not None and self._seen.holder not in (NOBODY, self.identity):
            if self._seen.version:
                # From now on what is waited out is the absence.
                self._seen, self._seen_at = LeaseRecord(self._seen.holder, self._seen.duration, self._seen.transitions), now
            if now - self._seen_at < max(self._seen.duration, self._times.duration):
                return None
        return LeaseRecord(self.identity, self._times.duration, self._seen.transitions if self._seen is not None else 0)


class Candidate:
    """Stands for election in two daemon threads: one reads and renews, one sees to it that a lease that can't be renewed is noticed in time even while a renewal hangs."""

    def __init__(
        self, store: LeaseStore, identity: str, clock: Clock, on_elected: Callable[[], None], on_lost: Callable[[str], None], times: LeaseTimes | None = None
    ) -> None:
        """`on_elected` is called once, when we lead. `on_lost` is called once with the reason, when we no longer may: all work has to end at once. Both are called in a
        thread of ours."""
        self._store = store
        self._clock = clock
        self._times = times if times is not None else LeaseTimes()
        self.election = Election(identity, clock, self._times)
        self._on_elected = on_elected
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._elected = threading.Event()
        self._problem: str | None = None
        self._random = random.Random()  # noqa: S311 - spreads load, protects nothing
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._guard = threading.Thread(target=self._watch, name="lease-guard", daemon=True)

    def start(self) -> None:
        self._renewer.start()
        self._guard.start()

    @property
    def leading(self) -> bool:
        """Whether we lead now."""
        return self.election.leads()

    @property
    def problem(self) -> str | None:
        """Why the last look at the lease failed; None when it did not."""
        return self._problem

    def attempt(self) -> None:
        """Look at the lease once and write it if it is our turn. Raises nothing."""
        try:
            claim = self.election.consider(self._store.read())
            if claim is not None:
                started = self._clock.monotonic()
                self.election.wrote(started, self._store.write(claim, acquired=not self._elected.is_set()))
            self._problem = None
        except LeaseConflict:
            self._problem = None
        except Exception as error:
            if self._problem is None:
                log.warning("the lease can't be read or renewed: %s", error)
            self._problem = str(error) or type(error).__name__

    def resign(self, timeout: float = 5.0) -> bool:
        """Stop standing, and give the lease back if it is ours: whoever waits for it has it within `retry` seconds. To be called when nothing runs any more that only the
        leader may do. Whether the lease was given back."""
        self._stop.set()
        for thread in (self._renewer, self._guard):
            if thread.ident is not None:
                thread.join(timeout)
        release = self.election.release()
        if release is None or self._renewer.is_alive():
            return False
        try:
            self._store.write(release, acquired=False)
        except Exception as error:
            log.warning("the lease could not be given back: %s", error)
            return False
        return True

    def _renew(self) -> None:
        delay = 0.0
        while not self._stop.wait(delay):
            self.attempt()
            if self.election.leads() and not self._elected.is_set():
                self._elected.set()
                self._on_elected()
            delay = self._times.retry * self._random.uniform(0.8, 1.0)

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            if self._elected.is_set() and not self.election.leads():
                if not self._stop.is_set():
                    self._on_lost(self._problem or "another process holds it")
                return
