"""How far a manager's copy of the raft log is committed, read from its disk: what a swarm that is made anew from it still knows.

`--force-new-cluster` drops what follows the commit index of the log (swarmkit, manager/state/raft/storage.go, `loadAndStart`), and committed logs never differ but in length, so of several
managers the one with the highest index knows all that the others know. No key is needed: swarmkit encrypts the data of entries only (manager/state/raft/storage/walwrap.go). The
frames are etcd's: a length of 8 bytes, whose highest one tells of padding, and a `walpb.Record` (etcd, server/storage/wal: encoder.go, walpb/record.proto; raftpb.HardState).
"""

from __future__ import annotations

from typing import Final

SECONDS: Final = 30.0
SCRIPT: Final = r"""
import os, struct, sys

STATE = 3


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        elif key & 7:
            raise ValueError
        found[key >> 3] = value
    return found


def commit(path):
    last = None
    with open(path, "rb") as segment:
        while True:
            head = segment.read(8)
            length = struct.unpack("<q", head)[0] if len(head) == 8 else 0
            size = length & (1 << 56) - 1
            padding = length >> 56 & 7 if length < 0 else 0
            record = segment.read(size + padding) if length else b""
            if not length or len(record) < size + padding:
                return last  # the segment is longer than what is written, and its last record may be half there
            found = fields(record[:size])
            if found.get(1) == STATE:
                last = fields(found.get(3, b"")).get(3, 0)


folder = sys.argv[1]
for name in sorted((n for n in os.listdir(folder) if n.endswith(".wal")), reverse=True):
    index = commit(os.path.join(folder, name))
    if index is not None:
        print(index)
        sys.exit(0)
sys.exit(1)
"""


def argv(data_root: str) -> list[str]:
    """Prints the commit index (`parse`)."""
    return ["python3", "-I", "-c", SCRIPT, f"{data_root}/swarm/raft/wal-v3-encrypted"]


def parse(status: int, text: str) -> int | None:
    """None where the log can't be read."""
    return int(text) if status == 0 and text.strip().isdigit() else None
