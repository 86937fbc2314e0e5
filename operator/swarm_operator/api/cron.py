"""Cron fields, read in one place: what is wrong with them, and which times they name. The library (`cronsim`) follows Debian's cron in the hours that a change of the clock adds and
leaves out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError

_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


def problem(fields: str) -> str:
    """Why the five fields can't be read; "" where they can."""
    try:
        CronSim(fields, _ANY_TIME)
    except CronSimError as error:
        return str(error)
    return ""


def ever_comes(fields: str) -> bool:
    """Whether they name any time."""
    return next(times(fields, _ANY_TIME), None) is not None


def times(fields: str, local: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    """The times, in UTC, after `local`, or before it and backwards. `local` is aware, and in the time zone that the fields are of. A ValueError where they can't be read."""
    try:
        found = CronSim(fields, local, reverse=reverse)
    except CronSimError as error:
        raise ValueError(f"{error} in {fields!r}") from error
    return (moment.astimezone(UTC) for moment in found)
