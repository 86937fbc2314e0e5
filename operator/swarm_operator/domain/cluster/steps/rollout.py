"""Steps of changing machines that live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.steps.base import Step
from swarm_operator.domain.facts import Known


@dataclass(frozen=True)
class TagServer(Step):
    """Put tags of the spec on a server that lacks them."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    evidence: Known[Server]
    machine_uid: str
    tags: tuple[str, ...]

    @property
    def lane(self) -> str:
        return "tags"


@dataclass(frozen=True)
class StampServer(Step):
    """Write metadata of ours on a server that has none: what it was made of."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    evidence: Known[Server]
    machine_uid: str
    values: dict[str, str] = field(hash=False)

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"
