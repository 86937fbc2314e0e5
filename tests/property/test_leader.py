"""Whatever happens on the way to the lease, two contenders never lead at once; and when all is well again, one does."""

from __future__ import annotations

import contextlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.leader import Election, LeaseConflict, LeaseRecord, LeaseTimes

NAMES = ("a", "b", "c")
TIMES = LeaseTimes()


class Contender:
    """One process. A write is sent at one moment, takes effect at another, and is answered at a third, or never."""

    def __init__(self, name: str, clock: FakeClock) -> None:
        self.election = Election(name, clock, TIMES)
        self.sent: tuple[float, LeaseRecord] | None = None
        self.answer: tuple[float, LeaseRecord] | None = None


class Contention(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.lease: LeaseRecord | None = None
        self.versions = 0
        self.births = 0
        self.contenders: dict[str, Contender] = {}

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.restart(name)

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(name=st.sampled_from(NAMES))
    def look_and_send(self, name: str) -> None:
        contender = self.contenders[name]
        if contender.sent is None and contender.answer is None:
            claim = contender.election.consider(self.lease)
            if claim is not None:
                contender.sent = (self.clock.monotonic(), claim)

    @rule(name=st.sampled_from(NAMES), reply_lost=st.booleans(), request_lost=st.booleans())
    def takes_effect(self, name: str, reply_lost: bool, request_lost: bool) -> None:
        contender = self.contenders[name]
        if contender.sent is None:
            return
        started, claim = contender.sent
        contender.sent = None
        if request_lost:
            return
        try:
            written = self.write(claim)
        except LeaseConflict:
            return
        if not reply_lost:
            contender.answer = (started, written)

    @rule(name=st.sampled_from(NAMES))
    def is_answered(self, name: str) -> None:
        contender = self.contenders[name]
        if contender.answer is not None:
            contender.election.wrote(*contender.answer)
            contender.answer = None

    @rule(name=st.sampled_from(NAMES))
    def resigns(self, name: str) -> None:
        contender = self.contenders[name]
        if contender.sent is None and contender.answer is None:
            claim = contender.election.release()
            if claim is not None:
                with contextlib.suppress(LeaseConflict):
                    self.write(claim)
            self.restart(name)

    @rule(name=st.sampled_from(NAMES))
    def restart(self, name: str) -> None:
        """kill -9, and a new process with a name of its own."""
        self.births += 1
        self.contenders[name] = Contender(f"{name}-{self.births}", self.clock)

    @rule()
    def somebody_touches_the_lease(self) -> None:
        if self.lease is not None:
            self.versions += 1
            self.lease = LeaseRecord(self.lease.holder, self.lease.duration, self.lease.transitions, str(self.versions))

    @precondition(lambda self: self.contenders)
    @invariant()
    def never_two(self) -> None:
        leaders = [name for name, contender in self.contenders.items() if contender.election.leads()]
        assert len(leaders) <= 1, leaders

    def teardown(self) -> None:
        """Liveness: with everything working, somebody leads after a duration and two looks. A process that was superseded or has resigned is started again, as it is in life."""
        for name in NAMES:
            self.restart(name)
        for _ in range(12):
            for contender in self.contenders.values():
                claim = contender.election.consider(self.lease)
                if claim is not None:
                    with contextlib.suppress(LeaseConflict):
                        contender.election.wrote(self.clock.monotonic(), self.write(claim))
            self.never_two()
            self.clock.advance(TIMES.retry)
        assert any(contender.election.leads() for contender in self.contenders.values())

    def write(self, claim: LeaseRecord) -> LeaseRecord:
        if (self.lease.version if self.lease is not None else "") != claim.version:
            raise LeaseConflict
        self.versions += 1
        self.lease = LeaseRecord(claim.holder, claim.duration, claim.transitions, str(self.versions))
        return self.lease


TestContention = Contention.TestCase
TestContention.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
