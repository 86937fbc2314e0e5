"""Faults at port calls: every call of every port is numbered; a test says what happens at which number or name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from swarm_operator.domain.errors import ErrorKind, ExternalError


class Crash(BaseException):
    """The process died. Not an Exception: nothing in the operator may catch it."""


When = Literal["before", "after"]


@dataclass
class Faults:
    """`crash_at`: number and moment of the one crash. `lose_answer_at`: the call has its effect and the caller sees AMBIGUOUS. `errors`: by call name, raised instead of the
    call until taken away. `calls` are the names so far. `look` is told of both sides of each: its number, its name and the side."""

    crash_at: tuple[int, When] | None = None
    lose_answer_of: str | None = None
    errors: dict[str, ExternalError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    look: Callable[[int, str, When], object] = lambda *_: None

    def call(self, name: str, effect: Callable[[], Any]) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        self.look(number, name, "before")
        if self.crash_at == (number, "before"):
            raise Crash(f"before call {number} {name}")
        if name in self.errors:
            raise self.errors[name]
        result = effect()
        self.look(number, name, "after")
        if self.crash_at == (number, "after"):
            raise Crash(f"after call {number} {name}")
        if self.lose_answer_of == name:
            self.lose_answer_of = None
            raise ExternalError(ErrorKind.AMBIGUOUS, name.split(".")[0], "the answer was lost")
        return result


class Port:
    """Wraps an object so that each of its public methods is a numbered call `<system>.<method>`."""

    def __init__(self, faults: Faults, system: str, target: object, free: frozenset[str] = frozenset()) -> None:
        self._faults, self._system, self._target, self._free = faults, system, target, free

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if not callable(attribute) or name in self._free:
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._faults.call(f"{self._system}.{name}", lambda: attribute(*args, **kwargs))

        return call
