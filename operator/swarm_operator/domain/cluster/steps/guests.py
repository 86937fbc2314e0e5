"""Steps over ssh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cluster.steps.base import GuestStep
from swarm_operator.domain.facts import Known
from swarm_operator.domain.swarm import Node


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
class RecoverSwarm(GuestStep):
    """Make the swarm anew from this manager; all others cease to be members. `approval`: what it was approved by."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    needs_fresh_servers: ClassVar[bool] = True
    advertise: str
    approval: str | None


@dataclass(frozen=True)
class JoinNode(GuestStep):
    """Join as worker, through one of `managers` (host:port). `leave_first`: the engine is in another or an old swarm, or was removed from ours. `drained`: with availability drain, so that
    it takes no tasks yet."""

    advertise: str
    managers: tuple[str, ...]
    leave_first: bool = False
    drained: bool = False


@dataclass(frozen=True)
class PreloadImages(GuestStep):
    """Begin to give a node its Docker images, or see how it goes; at the end, label it with `digest` and let it in. `sources`: UIDs of the machines that may have them.
    `hold`: drain it first, for it joined without that."""

    evidence: Known[Node]
    images: tuple[str, ...]
    sources: tuple[str, ...]
    digest: str
    hold: bool = False

    @property
    def lane(self) -> str:
        return f"preload:{self.machine_uid}"


@dataclass(frozen=True)
class JoinManager(JoinNode):
    """Join as manager: changes raft, so there is never more than one in a plan. `server_id` gets the mark ownership.SWARM_STARTED first."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    server_id: str = ""
