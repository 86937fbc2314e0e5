from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from swarm_operator.engine.clock import FakeClock, SystemClock
from swarm_operator.engine.leader import NOBODY, Candidate, Election, LeaseConflict, LeaseRecord, LeaseTimes


@dataclass
class FakeLease:
    """A lease with the API server's rules. `before` runs ahead of each call: to raise, or to let time pass."""

    record: LeaseRecord | None = None
    versions: int = 0
    before: Callable[[str], None] = field(default=lambda call: None)
    after: Callable[[str], None] = field(default=lambda call: None)

    def read(self) -> LeaseRecord | None:
        self.before("read")
        return self.record

    def write(self, record: LeaseRecord, *, acquired: bool) -> LeaseRecord:
        self.before("write")
        if (self.record.version if self.record is not None else "") != record.version:
            raise LeaseConflict
        self.versions += 1
        self.record = LeaseRecord(record.holder, record.duration, record.transitions, str(self.versions))
        self.after("write")
        return self.record


class Rig:
    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.lease = FakeLease()
        self.candidates = {name: self.candidate(name) for name in names}

    def candidate(self, name: str) -> Candidate:
        return Candidate(self.lease, name, self.clock, lambda: None, lambda why: None)

    def attempt(self, name: str) -> bool:
        self.candidates[name].attempt()
        return self.candidates[name].leading

    def fail(self, call: str) -> None:
        raise OSError("the API server is away")


def test_the_first_leads_and_the_second_waits_as_long_as_it_renews() -> None:
    rig = Rig("a", "b")
    assert rig.attempt("a")
    for _ in range(60):
        rig.clock.advance(2)
        assert rig.attempt("a")
        assert not rig.attempt("b")
    assert rig.lease.record is not None
    assert (rig.lease.record.holder, rig.lease.record.transitions) == ("a", 0)


def test_a_dead_holder_is_followed_after_the_duration_from_when_it_was_seen() -> None:
    rig = Rig("a", "b")
    rig.attempt("a")
    rig.clock.advance(1000)
    assert not rig.attempt("b"), "b has only just seen the lease: how old it is it can't know"
    rig.clock.advance(14.9)
    assert not rig.attempt("b")
    rig.clock.advance(0.1)
    assert rig.attempt("b")
    assert rig.lease.record is not None
    assert rig.lease.record.transitions == 1


def test_leadership_ends_by_itself_before_another_may_begin() -> None:
    rig = Rig("a", "b")
    rig.attempt("a")
    rig.attempt("b")
    rig.lease.before = lambda call: rig.fail(call)
    rig.clock.advance(9.9)
    assert rig.attempt("a")
    assert rig.candidates["a"].problem == "the API server is away"
    rig.clock.advance(0.1)
    assert not rig.attempt("a")


def test_a_renewal_counts_from_before_it_was_sent() -> None:
    rig = Rig("a")
    rig.attempt("a")
    rig.lease.after = lambda call: rig.clock.advance(4)
    rig.clock.advance(2)
    rig.attempt("a")
    assert rig.candidates["a"].election.remaining() == 6


def test_a_lost_answer_is_no_lease_and_no_harm() -> None:
    rig = Rig("a", "b")
    rig.lease.after = lambda call: rig.fail(call)
    assert not rig.attempt("a"), "written, but a does not know"
    rig.lease.after = lambda call: None
    assert not rig.attempt("b")
    assert rig.attempt("a"), "reads that it holds it, and writes once more to know since when"


def test_a_late_write_of_the_old_holder_fails_and_it_never_leads_again() -> None:
    rig = Rig("a", "b")
    rig.attempt("a")
    rig.attempt("b")
    read = rig.lease.record
    claim = rig.candidates["a"].election.consider(read)
    assert claim is not None
    rig.clock.advance(15)
    assert rig.attempt("b")
    with pytest.raises(LeaseConflict):
        rig.lease.write(claim, acquired=False)
    assert not rig.attempt("a")
    rig.candidates["b"].resign()
    assert not rig.attempt("a"), "a process that was superseded has to end"


def test_a_lease_given_back_is_taken_at_the_next_look() -> None:
    rig = Rig("a", "b")
    rig.attempt("a")
    rig.attempt("b")
    assert rig.candidates["a"].resign()
    assert rig.lease.record is not None
    assert rig.lease.record.holder == NOBODY
    assert not rig.candidates["a"].leading
    assert rig.attempt("b")


def test_giving_back_what_is_another_s_does_nothing() -> None:
    rig = Rig("a", "b")
    rig.attempt("a")
    rig.attempt("b")
    assert not rig.candidates["b"].resign()
    assert rig.lease.record is not None
    assert rig.lease.record.holder == "a"


def test_a_process_that_starts_again_under_its_name_leads_at_once() -> None:
    rig = Rig("a")
    rig.attempt("a")
    again = rig.candidate("a")
    again.attempt()
    assert again.leading


def test_a_lease_removed_under_its_holder_is_waited_out_by_others_and_made_anew_by_it() -> None:
    rig = Rig("a", "b")
    rig.attempt("a")
    rig.attempt("b")
    rig.clock.advance(14.9)
    rig.attempt("a")
    rig.lease.record = None
    rig.clock.advance(0.1)
    assert not rig.attempt("b"), "a may still lead"
    rig.clock.advance(2)
    assert not rig.attempt("b")
    rig.candidates["a"].attempt()
    assert rig.candidates["a"].leading
    rig.lease.record = None
    rig.attempt("b")
    rig.clock.advance(15)
    assert rig.attempt("b")


def test_a_foreign_holder_s_longer_duration_is_respected() -> None:
    rig = Rig("b")
    rig.lease.record = LeaseRecord("other", 40.0, 3, "x")
    rig.attempt("b")
    rig.clock.advance(39)
    assert not rig.attempt("b")
    rig.clock.advance(1)
    assert rig.attempt("b")


class JumpingClock(FakeClock):
    """Somebody sets the machine's time."""

    jump = timedelta()

    def now(self) -> datetime:
        return super().now() + self.jump


@pytest.mark.parametrize("jump", [timedelta(days=4000), timedelta(days=-4000)])
def test_jumps_of_the_wall_clock_change_nothing(jump: timedelta) -> None:
    rig = Rig()
    rig.clock = JumpingClock()
    a, b = rig.candidate("a"), rig.candidate("b")
    a.attempt()
    b.attempt()
    JumpingClock.jump = jump
    try:
        rig.clock.advance(2)
        b.attempt()
        assert a.leading
        assert not b.leading
        rig.clock.advance(13)
        a.attempt()
        b.attempt()
        assert a.leading
        assert not b.leading
    finally:
        JumpingClock.jump = timedelta()


@pytest.mark.parametrize("times", [(15, 10, 0), (15, 10, 11), (10, 10, 2), (10, 15, 2)])
def test_times_that_allow_two_leaders_are_refused(times: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError):
        LeaseTimes(*times)


def test_nobody_is_no_identity() -> None:
    with pytest.raises(ValueError):
        Election(NOBODY, FakeClock(), LeaseTimes())


def test_a_renewal_that_hangs_is_noticed_in_time() -> None:
    lease, hang, elected, lost = FakeLease(), threading.Event(), threading.Event(), threading.Event()
    candidate = Candidate(lease, "a", SystemClock(), elected.set, lambda why: lost.set(), LeaseTimes(0.6, 0.4, 0.05))
    candidate.start()
    assert elected.wait(10)
    lease.before = lambda call: bool(hang.wait(20)) and None
    began = time.monotonic()
    assert lost.wait(10)
    assert time.monotonic() - began >= 0.3, "not before it was lost"
    assert not candidate.leading
    hang.set()
    candidate.resign()


def test_a_running_candidate_is_elected_once_and_hands_over() -> None:
    lease, elections = FakeLease(), []
    times = LeaseTimes(3, 2, 0.05)
    first = Candidate(lease, "a", SystemClock(), lambda: elections.append("a"), lambda why: elections.append(f"a lost: {why}"), times)
    second = Candidate(lease, "b", SystemClock(), lambda: elections.append("b"), lambda why: elections.append(f"b lost: {why}"), times)
    first.start()
    while not first.leading:
        time.sleep(0.01)
    second.start()
    time.sleep(0.3)
    assert elections == ["a"]
    assert first.resign()
    deadline = time.monotonic() + 10
    while not second.leading and time.monotonic() < deadline:
        time.sleep(0.01)
    assert second.resign()
    assert elections == ["a", "b"]
