"""A thread that looks at something all the while that a test does something else. A look that fails fails the test: nothing is proved by what was not seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class Watch(Generic[T]):
    """Calls `look` every so often between `with` and its end; `seen` has the answers.

    Exceptions of the kinds in `tolerated` (an API that is away for a moment) are kept in `errors`, and the test says how many may be. Any other ends the looking, and the end of
    `with` raises it, as it does where there were fewer than `fewest` answers.
    """

    def __init__(self, look: Callable[[], T], *, every: float = 0.25, tolerated: tuple[type[Exception], ...] = (), fewest: int = 1) -> None:
        self.seen: list[T] = []
        self.errors: list[Exception] = []
        self._look, self._every, self._tolerated, self._fewest = look, every, tolerated, fewest
        self._failure: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def number(self) -> int:
        """How many looks there were, with an answer or without."""
        return len(self.seen) + len(self.errors)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                self.seen.append(self._look())
            except self._tolerated as error:
                self.errors.append(error)
            except BaseException as error:
                self._failure = error
                return

    def __enter__(self) -> Watch[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._over.set()
        self._thread.join(timeout=120)
        if error is not None:
            return  # what the test itself found comes first
        assert not self._thread.is_alive(), "the last look never ends"
        if self._failure is not None:
            raise AssertionError(f"the watch failed after {self.number} looks: {self._failure!r}") from self._failure
        assert len(self.seen) >= self._fewest, (
            f"{len(self.seen)} answers in {self.number} looks, at least {self._fewest} are needed; the last error: {self.errors[-1:]}"
        )


class Answer(Enum):
    """What all managers together said to one question."""

    GIVEN = "given"
    REFUSED = "refused"
    """No manager answered, and at least one said that it can't: no leader, no quorum, or no manager (any more, or not yet)."""
    SILENT = "silent"
    """No manager said anything in time. It may be a loaded machine as well as a lost leader."""


@dataclass(frozen=True)
class Asked:
    """One question to the managers: when it began and ended (seconds of one clock), and what came of it."""

    began: float
    ended: float
    answer: Answer
    text: str = ""


@dataclass(frozen=True)
class Gap:
    """A time without an answer. `refused`: seconds for which it is sure that there was no leader. `whole`: seconds between the answers around it."""

    refused: float
    whole: float
    texts: tuple[str, ...]


def gaps(asked: Sequence[Asked]) -> list[Gap]:
    """The runs of questions without an answer, those at the begin and the end of the watch among them.

    `refused` counts from the first refusal to the last one, both at the moment at which they were heard: silence before and after proves nothing, since it may be that of a loaded machine.
    """
    found: list[Gap] = []
    run: list[Asked] = []
    before = asked[0].began if asked else 0.0

    def close(end: float) -> None:
        if run:
            heard = [a.ended for a in run if a.answer is Answer.REFUSED]
            found.append(Gap(heard[-1] - heard[0] if heard else 0.0, end - before, tuple(dict.fromkeys(a.text for a in run))))
            run.clear()

    for question in asked:
        if question.answer is Answer.GIVEN:
            close(question.began)
            before = question.ended
        else:
            run.append(question)
    close(asked[-1].ended if asked else 0.0)
    return found


def too_long(asked: Iterable[Asked], *, refused: float, whole: float) -> list[Gap]:
    """Gaps longer than allowed."""
    return [g for g in gaps(list(asked)) if g.refused > refused or g.whole > whole]


def now() -> float:
    """The clock of `Asked`."""
    return time.monotonic()
