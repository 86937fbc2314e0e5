from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from swarm_operator.engine.clock import FakeClock, SystemClock, parse_rfc3339, rfc3339


def test_rfc3339_is_utc_with_whole_seconds() -> None:
    moment = datetime(2026, 3, 1, 1, 2, 3, 999999, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(moment) == "2026-02-28T23:02:03Z"
    assert parse_rfc3339("2026-02-28T23:02:03Z") == datetime(2026, 2, 28, 23, 2, 3, tzinfo=UTC)


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError):
        rfc3339(datetime(2026, 1, 1))
    with pytest.raises(ValueError):
        parse_rfc3339("2026-01-01T00:00:00")


def test_fake_clock_moves_both_clocks_together() -> None:
    clock = FakeClock()
    before, now = clock.monotonic(), clock.now()
    clock.advance(90.5)
    clock.sleep(9.5)
    assert clock.monotonic() - before == 100
    assert clock.now() - now == timedelta(seconds=100)
    with pytest.raises(ValueError):
        clock.advance(-1)


def test_system_clock_is_aware() -> None:
    assert SystemClock().now().tzinfo is UTC
