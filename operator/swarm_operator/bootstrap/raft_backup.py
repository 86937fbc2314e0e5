"""What runs on a manager, as root, for a copy of its raft state (`<data-root>/swarm`): take and verify one, and fill an engine from one. Python's standard library, util-linux and
iproute2 only.

The engine is frozen (SIGSTOP) for the fraction of a second that the copy takes, and not stopped as Docker's manual says ("Back up the swarm"): what it writes is as still as after a
stop, while its containers run on, nobody's tasks move, and a locked manager stays unlocked. Should this program be killed in between, a guard that it started before thaws the engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.bootstrap.raft_program import SCRIPT

FREEZE_SECONDS: Final = 5
"""Longest time for which the engine is frozen. The dispatcher gives a node 15 s between heartbeats, and raft ten ticks of 1 s to its leader (swarmkit: defaultHeartBeatPeriod,
defaultGracePeriodMultiplier, ElectionTick)."""
TAKE_SECONDS: Final = 300.0
RESTORE_SECONDS: Final = 400.0


@dataclass(frozen=True)
class RaftCopy:
    """A copy that lies on the manager as `archive` (a compressed tar), with what was counted in it. `counts`: by kind, of nodes, services, secrets, configs and networks. `locked`:
    an unlock key is needed for it. `verified`: an engine was started from it. `size` in bytes, `frozen_ms`: how long the engine stood still."""

    archive: str
    sha256: str
    size: int
    engine: str
    swarm_id: str
    locked: bool
    verified: bool
    frozen_ms: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


def take_argv() -> list[str]:
    """Answers for `parse_copy`; its order is on stdin (`take_order`). Once the copy `name` is complete it is answered with again."""
    return ["python3", "-I", "-c", SCRIPT, "take"]


def take_order(name: str, data_root: str, unlock_keys: Sequence[str], *, verify: bool) -> bytes:
    """The order. Holds unlock keys: to stdin, and nowhere else."""
    order = {"name": name, "data_root": data_root, "unlock_keys": list(unlock_keys), "verify": verify, "freeze_seconds": FREEZE_SECONDS}
    return json.dumps(order).encode() + b"\n"


def send_argv(copy: RaftCopy) -> list[str]:
    """Prints the archive."""
    return ["cat", copy.archive]


def wipe_argv() -> list[str]:
    """Removes all copies from the manager."""
    return ["python3", "-I", "-c", SCRIPT, "wipe"]


def restore_argv() -> list[str]:
    """Answers for `parse_counts`; on stdin the order (`restore_order`) and right behind it the archive."""
    return ["python3", "-I", "-c", SCRIPT, "restore"]


def restore_order(name: str, data_root: str, sha256: str, unlock_keys: Sequence[str], init: Mapping[str, Any]) -> bytes:
    """The order. `init`: body of `POST /swarm/init` with ForceNewCluster. Holds unlock keys: to stdin, and nowhere else."""
    order = {"name": name, "data_root": data_root, "sha256": sha256, "unlock_keys": list(unlock_keys), "init": dict(init)}
    return json.dumps(order).encode() + b"\n"


def parse_copy(text: str) -> RaftCopy:
    """Raises ValueError with what failed, or where the text is no answer."""
    found = _answer(text)
    return RaftCopy(
        str(found["archive"]),
        str(found["sha256"]),
        int(found["size"]),
        str(found["engine"]),
        str(found["swarm_id"]),
        bool(found["locked"]),
        bool(found["verified"]),
        int(found["frozen_ms"]),
        {str(kind): int(count) for kind, count in found["counts"].items()},
    )


def parse_counts(text: str) -> dict[str, int]:
    """What the restored swarm holds, by kind. Raises ValueError as `parse_copy`."""
    return {str(kind): int(count) for kind, count in _answer(text)["counts"].items()}


def _answer(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    found = json.loads(lines[-1]) if lines else {"failed": "no answer"}
    if not isinstance(found, dict) or "failed" in found:
        raise ValueError(str(found["failed"]) if isinstance(found, dict) else "no answer")
    return found
