"""The watches of the lab's tests can fail: by a look that fails, by too few looks, and by a swarm that has no leader for too long."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from harness.watch import Answer, Asked, Watch, gaps, too_long


def until(watch: Watch[int], number: int) -> None:
    deadline = time.monotonic() + 10
    while watch.number < number and time.monotonic() < deadline:
        time.sleep(0.005)


def test_it_looks_and_counts_what_may_fail() -> None:
    answers: Iterator[int | Exception] = iter([1, OSError("away"), *range(2, 10_000)])

    def look() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Watch(look, every=0.001, tolerated=(OSError,), fewest=3) as watch:
        until(watch, 5)
    assert watch.seen[:3] == [1, 2, 3] and len(watch.errors) == 1 and watch.number >= 5


def test_a_look_that_fails_fails_the_test() -> None:
    def look() -> int:
        raise ValueError("a defect of the watch")

    watch = Watch(look, every=0.001)
    with pytest.raises(AssertionError, match="a defect of the watch"), watch:
        time.sleep(0.05)


def test_too_few_answers_fail_the_test() -> None:
    def look() -> int:
        raise OSError("away")

    with pytest.raises(AssertionError, match="0 answers"), Watch(look, every=0.001, tolerated=(OSError,)) as watch:
        until(watch, 3)


def test_what_the_test_itself_found_comes_first() -> None:
    def look() -> int:
        raise ValueError

    with pytest.raises(KeyError), Watch(look, every=0.001):
        time.sleep(0.02)
        raise KeyError("the test's own")


def asked(letters: str, seconds: float = 1.0) -> list[Asked]:
    """`g`iven, `r`efused or `s`ilent, one after the other."""
    kinds = {answer.value[0]: answer for answer in Answer}
    return [Asked(i * seconds, i * seconds + 0.1, kinds[letter], letter) for i, letter in enumerate(letters)]


def test_a_swarm_that_stays_without_leader_is_seen() -> None:
    assert [round(g.refused) for g in gaps(asked("ggrrrrrrrrrrrrrgg"))] == [12]
    assert too_long(asked("ggrrrrrrrrrrrrrgg"), refused=10, whole=60)
    assert too_long(asked("gg" + "r" * 13), refused=10, whole=60), "one that the watch does not see the end of"
    assert too_long(asked("r" * 13 + "g"), refused=10, whole=60)


def test_an_election_and_a_loaded_machine_are_no_loss() -> None:
    assert not too_long(asked("ggsrrrrrgggrg"), refused=10, whole=60)
    assert not too_long(asked("gg" + "s" * 30 + "rgg"), refused=10, whole=60), "a slow answer is no refusal"
    assert [g.refused for g in gaps(asked("gsssg"))] == [0.0]


def test_silence_has_an_end_too() -> None:
    assert too_long(asked("g" + "s" * 61 + "g"), refused=10, whole=60)
    assert too_long(asked("g" + "rs" * 10 + "g"), refused=10, whole=60), "silence between refusals ends nothing"
    assert gaps([]) == [] and gaps(asked("ggg")) == []
