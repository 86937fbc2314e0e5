"""Steps for the images of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.images import UrlImage
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
class CreateImage(Step):
    """An empty image for a file of the web; its content follows once it is listed. Written into status before it is asked for."""

    condition: ClassVar[ConditionType] = ConditionType.IMAGES_READY
    source: UrlImage = field(hash=False)

    @property
    def lane(self) -> str:
        return f"image:{self.source.checksum}"


@dataclass(frozen=True)
class FillImage(Step):
    """Begin to bring the content, or see how it goes. `imported`: Glance was asked to do it by itself, and did not."""

    condition: ClassVar[ConditionType] = ConditionType.IMAGES_READY
    touches_cloud: ClassVar[bool] = False
    source: UrlImage = field(hash=False)
    image_id: str
    imported: bool

    @property
    def lane(self) -> str:
        return f"image:{self.source.checksum}"


@dataclass(frozen=True)
class VerifyImage(Step):
    """Note at the image that its content is the declared one."""

    condition: ClassVar[ConditionType] = ConditionType.IMAGES_READY
    source: UrlImage = field(hash=False)
    image_id: str

    @property
    def lane(self) -> str:
        return f"image:{self.source.checksum}"


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
