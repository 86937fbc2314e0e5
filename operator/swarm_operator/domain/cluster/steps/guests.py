"""Steps over ssh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cluster.steps.base import GuestStep


@dataclass(frozen=True)
class PinHostKeys(GuestStep):
    """Remember the verified public host keys in status."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class ConfigureEngine(GuestStep):
    """Give a manager's engine its server certificate for `addresses` and restart it."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class InitSwarm(GuestStep):
    """`server_id` gets the mark ownership.SWARM_STARTED first."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    server_id: str
    advertise: str


@dataclass(frozen=True)
class JoinNode(GuestStep):
    """Join as worker, through one of `managers` (host:port). `leave_first`: the engine is in another or an old swarm, or was removed from ours."""

    advertise: str
    managers: tuple[str, ...]
    leave_first: bool = False


@dataclass(frozen=True)
class JoinManager(JoinNode):
    """Join as manager: changes raft, so there is never more than one in a plan. `server_id` gets the mark ownership.SWARM_STARTED first."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    server_id: str = ""
