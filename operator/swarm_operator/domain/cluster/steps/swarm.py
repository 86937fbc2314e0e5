"""Steps through the Docker API of the managers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.swarm import OverlayNetwork
from swarm_operator.domain.cluster.steps.base import SwarmStep
from swarm_operator.domain.facts import Known
from swarm_operator.domain.swarm import Node, SwarmSettings


@dataclass(frozen=True)
class SetNode(SwarmStep):
    evidence: Known[Node]
    role: str
    availability: str
    labels: dict[str, str] = field(hash=False)

    @property
    def lane(self) -> str:
        return f"node:{self.evidence.value.id}"


@dataclass(frozen=True)
class DrainNode(SwarmStep):
    """Availability drain, marked with the time `at`."""

    evidence: Known[Node]
    at: str
    because: str

    @property
    def lane(self) -> str:
        return f"node:{self.evidence.value.id}"


@dataclass(frozen=True)
class DemoteManager(SwarmStep):
    """Make a manager a worker: raft loses a member. Only where `domain.quorum.may_leave` holds, and never more than one in a plan."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Node]
    because: str

    @property
    def lane(self) -> str:
        return f"node:{self.evidence.value.id}"


@dataclass(frozen=True)
class RemoveNode(SwarmStep):
    """`docker node rm --force` of a node that is drained or whose machine is gone. In the machine's lane: its server is not deleted when this fails."""

    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Node]
    machine_uid: str
    because: str

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class CreateOverlay(SwarmStep):
    network: OverlayNetwork

    @property
    def lane(self) -> str:
        return f"overlay:{self.network.name}"


@dataclass(frozen=True)
class RemoveOverlay(SwarmStep):
    """Remove a network that no service uses; `evidence` are the ids of those that are used. The engine refuses where something has been attached meanwhile."""

    evidence: Known[frozenset[str]]
    network_id: str
    name: str

    @property
    def lane(self) -> str:
        return f"overlay:{self.name}"


@dataclass(frozen=True)
class UpdateSwarm(SwarmStep):
    """Settings of the whole swarm."""

    settings: SwarmSettings

    @property
    def lane(self) -> str:
        return "swarm"


@dataclass(frozen=True)
class RotateToken(SwarmStep):
    """Make the join token of a role worthless."""

    role: str = "worker"

    @property
    def lane(self) -> str:
        return "token"


@dataclass(frozen=True)
class ClearJoinMetadata(SwarmStep):
    """Take the (now worthless) token out of the servers' metadata."""

    touches_cloud: ClassVar[bool] = True
    server_ids: tuple[str, ...]

    @property
    def lane(self) -> str:
        return "token"


@dataclass(frozen=True)
class TokenRotated(SwarmStep):
    """Note in status that no token is out any more, and for which spec.swarm.rotateJoinTokens they were made."""

    nonce: str | None = None

    @property
    def lane(self) -> str:
        return "token"
