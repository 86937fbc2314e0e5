"""The commit index of a raft log, from segments made as etcd makes them."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from swarm_operator.bootstrap import raft_log

METADATA, ENTRY, STATE, CRC = 1, 2, 3, 4


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def numbers(*values: int) -> bytes:
    return b"".join(varint(number << 3) + varint(value) for number, value in enumerate(values, 1))


def record(kind: int, data: bytes = b"") -> bytes:
    body = numbers(kind, 2**31 + 5) + varint(3 << 3 | 2) + varint(len(data)) + data
    padding = -len(body) % 8
    length = len(body) | ((0x80 | padding) << 56 if padding else 0)
    return struct.pack("<Q", length) + body + bytes(padding)


def state(commit: int) -> bytes:
    return record(STATE, numbers(2, 77, commit))


def entry(index: int, data: bytes) -> bytes:
    return record(ENTRY, numbers(0, 2, index) + varint(4 << 3 | 2) + varint(len(data)) + data)


HEAD = record(CRC) + record(METADATA, b"encrypted")


def read(root: Path, **segments: bytes) -> int | None:
    folder = root / "swarm/raft/wal-v3-encrypted"
    folder.mkdir(parents=True)
    for name, content in segments.items():
        (folder / f"{name}.wal").write_bytes(content)
    (folder / "0.tmp").write_bytes(bytes(64))
    done = subprocess.run(raft_log.argv(str(root)), capture_output=True, text=True, check=False)
    return raft_log.parse(done.returncode, done.stdout)


def test_the_last_state_counts_and_the_rest_of_the_segment_is_empty(tmp_path: Path) -> None:
    log = HEAD + b"".join(entry(i, b"x" * i) + state(i - 1) for i in range(1, 400))
    assert read(tmp_path, first=log + bytes(4096)) == 398


def test_the_last_segment_counts(tmp_path: Path) -> None:
    assert read(tmp_path, **{"0000-0000": HEAD + state(10), "0001-000b": HEAD + state(12)}) == 12


def test_a_segment_that_has_no_state_yet_is_not_the_last_word(tmp_path: Path) -> None:
    assert read(tmp_path, **{"0000-0000": HEAD + state(10), "0001-000b": record(CRC)}) == 10


def test_a_record_that_is_half_written_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, first=HEAD + state(10) + state(11)[:-3]) == 10


@pytest.mark.parametrize("content", [b"", bytes(64), HEAD, struct.pack("<Q", 8) + b"\xff" * 8])
def test_what_is_no_log_tells_nothing(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, first=content) is None


def test_no_folder(tmp_path: Path) -> None:
    assert raft_log.parse(1, "") is None and raft_log.parse(0, "?") is None
    assert subprocess.run(raft_log.argv(str(tmp_path)), capture_output=True, check=False).returncode != 0
