"""Somebody keeps changing back what we correct (another controller, a script): corrections are spaced out, and said to be in conflict, rather than fought for ever."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 600.0
PATIENCE: Final = 5
"""Corrections of one field within the window that nobody minds."""
FIRST_PAUSE_SECONDS: Final = 15.0
LONGEST_PAUSE_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Correction:
    """One that was written `age` seconds ago; `fields` are the manifest's fields that it put back, or `service` where the service had been removed."""

    age: float
    fields: frozenset[str]


@dataclass(frozen=True)
class Contest:
    """`times`: corrections of these fields within the window. `pause`: seconds until the next one may be written, 0 for at once."""

    times: int
    pause: float


def contest(corrections: Iterable[Correction], fields: frozenset[str]) -> Contest:
    """How contested `fields` are. The pause doubles with each correction beyond PATIENCE, counted from the last one."""
    counts: dict[str, list[float]] = {field: [] for field in fields}
    for correction in corrections:
        for field in correction.fields & fields:
            if correction.age < WINDOW_SECONDS:
                counts[field].append(correction.age)
    ages = max(counts.values(), key=len, default=[])
    if len(ages) < PATIENCE:
        return Contest(len(ages), 0.0)
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (len(ages) - PATIENCE))
    return Contest(len(ages), max(0.0, pause - min(ages)))
