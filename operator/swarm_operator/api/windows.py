"""Maintenance windows: whether one is open, when the next one opens, and what of a window can't be read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from swarm_operator.api import cron
from swarm_operator.api.rollout import MaintenanceWindow


@dataclass(frozen=True)
class Opening:
    """`open`: now. `next_in`: seconds until the next window opens; None while one is open, or where none ever opens."""

    open: bool
    next_in: float | None = None


def opening(windows: Sequence[MaintenanceWindow], now: datetime) -> Opening:
    """Whether one of the windows is open at `now` (aware). Without windows it is always so. A window that can't be read never opens (`problem` says why)."""
    if not windows:
        return Opening(True)
    readable = [w for w in windows if problem(w) is None]
    if any(_is_open(window, now) for window in readable):
        return Opening(True)
    begins = [moment for window in readable if (moment := next(_begins(window, now), None)) is not None]
    return Opening(False, (min(begins) - now).total_seconds() if begins else None)


def problem(window: MaintenanceWindow) -> tuple[str, str] | None:
    """The field (as in the manifest) that can't be read, and what is wrong with it."""
    try:
        ZoneInfo(window.time_zone)
    except (KeyError, ValueError, OSError):
        return "timeZone", f"must be an IANA time zone such as Europe/Berlin, not {window.time_zone!r}"
    if len(window.schedule.split()) != 5:
        return "schedule", f"must have five fields (minute, hour, day of the month, month, day of the week), not {window.schedule!r}"
    if text := cron.problem(window.schedule):
        return "schedule", f"can't be read as a cron schedule: {text} in {window.schedule!r}"
    return None


def _is_open(window: MaintenanceWindow, now: datetime) -> bool:
    """Whether it has begun within the last `durationMinutes`; the moment of its end is not in it."""
    begin = next(_begins(window, now - timedelta(minutes=window.duration_minutes)), None)
    return begin is not None and begin <= now


def _begins(window: MaintenanceWindow, after: datetime) -> Iterator[datetime]:
    """Begins later than `after`, in UTC."""
    return cron.times(window.schedule, after.astimezone(ZoneInfo(window.time_zone)))
