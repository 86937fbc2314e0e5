"""When maintenance windows are open."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from swarm_operator.api.rollout import MaintenanceWindow
from swarm_operator.api.windows import Opening, opening


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(schedule: str, minutes: int = 60, zone: str = "UTC") -> MaintenanceWindow:
    return MaintenanceWindow(schedule=schedule, duration_minutes=minutes, time_zone=zone)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-05-01T02:59:59", Opening(False, 1.0)),
        ("2026-05-01T03:00:00", Opening(True)),
        ("2026-05-01T03:59:59", Opening(True)),
        ("2026-05-01T04:00:00", Opening(False, 23 * 3600.0)),
    ],
)
def test_one_window_a_day(now: str, expected: Opening) -> None:
    assert opening([window("0 3 * * *")], at(now)) == expected


def test_a_window_may_reach_over_midnight() -> None:
    assert opening([window("30 23 * * FRI", 120)], at("2026-05-02T01:00:00")) == Opening(True)


def test_the_time_zone_counts_in_summer_and_winter() -> None:
    berlin = [window("0 3 * * *", 60, "Europe/Berlin")]
    assert opening(berlin, at("2026-07-01T01:30:00")).open and not opening(berlin, at("2026-07-01T02:30:00")).open
    assert opening(berlin, at("2026-12-01T02:30:00")).open and not opening(berlin, at("2026-12-01T01:30:00")).open


def test_several_windows_and_none() -> None:
    assert opening([], at("2026-05-01T00:00:00")) == Opening(True)
    both = [window("0 3 * * *"), window("0 1 * * *")]
    assert opening(both, at("2026-05-01T00:00:00")) == Opening(False, 3600.0)


def test_a_window_that_can_not_be_read_never_opens() -> None:
    assert opening([window("0 3 30 2 *")], at("2026-05-01T00:00:00")) == Opening(False)
    assert opening([window("0 3 * * *", 60, "Nowhere/City")], at("2026-05-01T03:30:00")) == Opening(False)
