"""What every step is, and the two families that reach guests and the swarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.ownership import MachineId


@dataclass(frozen=True)
class Step:
    """Base of all steps. `condition` is the condition that reports the step's failure; `needs_fresh_servers`: never planned on a cached server list;
    `touches_cloud`: after it, remembered facts of the cloud are read anew."""

    condition: ClassVar[ConditionType] = ConditionType.INFRASTRUCTURE_READY
    requires: ClassVar[tuple[str, ...]] = ()
    needs_fresh_servers: ClassVar[bool] = False
    touches_cloud: ClassVar[bool] = True

    @property
    def lane(self) -> str:
        """Which steps fail together."""
        return "infrastructure"


@dataclass(frozen=True)
class GuestStep(Step):
    """Base of steps over ssh."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    touches_cloud: ClassVar[bool] = False
    machine: MachineId
    machine_uid: str

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class SwarmStep(Step):
    """Base of steps through the Docker API of the managers."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    touches_cloud: ClassVar[bool] = False
