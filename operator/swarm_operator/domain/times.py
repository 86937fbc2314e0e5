"""Times as status carries them: RFC 3339, UTC, whole seconds. Pure: the clock is an argument everywhere."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(moment: datetime) -> str:
    """`moment` (aware) as 2026-01-01T00:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str | None) -> datetime | None:
    """The aware UTC datetime, or None where there is none or it is no time: status and labels can be edited by anyone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def age(text: str | None, now: datetime) -> float | None:
    """Seconds from `text` to `now`, never negative; None where `text` is no time."""
    moment = parse(text)
    return None if moment is None else max(0.0, (now - moment).total_seconds())
