"""When a backup is due, and what an image must be to count as one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from swarm_operator.api.backup import BackupRecord, BackupSpec, BackupStatus
from swarm_operator.domain.cloud import Image
from swarm_operator.domain.cluster.backup import complete, described, name_at, record_of, taken_at, upcoming
from swarm_operator.domain.ownership import FROM_URL, IMAGE_BACKUP, backup_part, image_properties

UID = "0b5d7f4e-1111-2222-3333-444455556666"
RECORD = BackupRecord(name="20260101-030000", image_id="i1", size=5, sha256="a" * 64, verified=True, nodes=3, services=2, swarm_id="s")


def image(record: BackupRecord, *, status: str = "active", uid: str = UID, **properties: str) -> Image:
    told = {**image_properties(uid, "demo", backup_part(record.name), FROM_URL), IMAGE_BACKUP: described(record), **properties}
    return Image(record.image_id, "x", status, "2026-01-01T03:00:00Z", told)


@pytest.mark.parametrize(
    ("schedule", "zone", "since", "expected"),
    [
        ("0 3 * * *", "UTC", "2026-01-01T02:59:59Z", datetime(2026, 1, 1, 3, tzinfo=UTC)),
        ("0 3 * * *", "UTC", "2026-01-01T03:00:00Z", datetime(2026, 1, 2, 3, tzinfo=UTC)),
        ("0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", datetime(2026, 7, 1, 1, tzinfo=UTC)),
        ("0 3 * * *", "Mars", "2026-07-01T00:00:00Z", None),
        ("99 3 * * *", "UTC", "2026-07-01T00:00:00Z", None),
    ],
)
def test_the_next_time_of_a_schedule(schedule: str, zone: str, since: str, expected: datetime | None) -> None:
    """The hour of a backup that was made is not asked for again, and one that can't be read never comes."""
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert upcoming(BackupSpec(schedule=schedule, time_zone=zone), BackupStatus(scheduled_at=since), now) == expected


def test_an_image_tells_all_of_a_backup() -> None:
    assert record_of(image(RECORD), UID) == RECORD
    assert len(described(RECORD)) < 255 and "i1" not in described(RECORD)


@pytest.mark.parametrize(
    "other",
    [
        image(RECORD, status="queued"),
        image(RECORD, status="saving"),
        image(RECORD, uid="another"),
        image(RECORD, **{IMAGE_BACKUP: "no JSON"}),
        image(RECORD, **{IMAGE_BACKUP: '["x"]'}),
        image(RECORD, **{IMAGE_BACKUP: '{"size":-1}'}),
        image(RECORD, instance_uuid="taken-of-a-server"),
        Image("i", "x", "active", "", image_properties(UID, "demo", backup_part("a"), FROM_URL)),
    ],
)
def test_what_is_no_backup(other: Image) -> None:
    assert record_of(other, UID) is None


def test_the_oldest_comes_first_and_of_two_of_a_name_the_one_that_was_made_first() -> None:
    later = RECORD.model_copy(update={"name": "20260102-030000", "image_id": "i2"})
    twin = Image("i0", "x", "active", "2026-01-01T04:00:00Z", image(RECORD).properties)
    assert [(r.name, r.image_id) for r in complete([image(later), twin, image(RECORD)], UID)] == [(RECORD.name, "i1"), (later.name, "i2")]


def test_names_are_times() -> None:
    moment = datetime(2026, 1, 1, 3, 0, 5, tzinfo=UTC)
    assert name_at(moment) == "20260101-030005" and taken_at("20260101-030005") == "2026-01-01T03:00:05Z"
    found: Any = taken_at("by-hand")
    assert found is None
