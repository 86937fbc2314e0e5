"""Steps for the images of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.steps.base import Step
from swarm_operator.domain.cluster.steps.infrastructure import DeleteInfrastructure
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MachineId


@dataclass(frozen=True)
class CreateSnapshot(Step):
    """Have Nova save the disk of a ready worker. Written into status before it is asked for."""

    condition: ClassVar[ConditionType] = ConditionType.IMAGES_READY
    needs_fresh_servers: ClassVar[bool] = True
    name: str
    evidence: Known[Server]
    machine: MachineId
    machine_uid: str
    retain: bool

    @property
    def lane(self) -> str:
        return f"image:{self.name}"


@dataclass(frozen=True)
class RetainImage(Step):
    """Note at the image whether it outlives the cluster."""

    condition: ClassVar[ConditionType] = ConditionType.IMAGES_READY
    image_id: str
    retain: bool

    @property
    def lane(self) -> str:
        return f"image:{self.image_id}"


@dataclass(frozen=True)
class DeleteImage(DeleteInfrastructure):
    """An image that no server uses: judged on a fresh server list only."""

    condition: ClassVar[ConditionType] = ConditionType.IMAGES_READY
    needs_fresh_servers: ClassVar[bool] = True

    @property
    def lane(self) -> str:
        return f"image:{self.evidence.value}"
