"""Steps for the data volumes of slots, and for root volumes that the operator makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cloud import Volume
from swarm_operator.domain.cluster.steps.base import GuestStep, Step
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.volumes import Mount, SlotVolume


@dataclass(frozen=True)
class VolumeStep(Step):
    """Base of steps through Cinder and Nova."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE


@dataclass(frozen=True)
class CreateVolume(VolumeStep):
    """The data volume of a slot, which complete listings showed to have none."""

    volume: SlotVolume
    size_gib: int
    type: str | None
    availability_zone: str | None
    retain: bool

    @property
    def lane(self) -> str:
        return f"volume:{self.volume.role}/{self.volume.pool}/{self.volume.slot}/{self.volume.name}"


@dataclass(frozen=True)
class CreateRootVolume(VolumeStep):
    """The root volume that a server is to be made with. The server follows once it is available."""

    machine: MachineId
    image_id: str
    size_gib: int
    type: str | None
    availability_zone: str | None

    @property
    def lane(self) -> str:
        return "servers"


@dataclass(frozen=True)
class AttachVolume(VolumeStep):
    """To a server that is ACTIVE, of a volume that nothing has."""

    needs_fresh_servers: ClassVar[bool] = True
    volume: Known[Volume]
    server_id: str
    server_name: str

    @property
    def lane(self) -> str:
        return f"volume:{self.volume.value.id}"


@dataclass(frozen=True)
class ExtendVolume(VolumeStep):
    """Grow a volume, in use or not; the file system follows (`SetUpVolume`)."""

    volume: Known[Volume]
    size_gib: int

    @property
    def lane(self) -> str:
        return f"volume:{self.volume.value.id}"


@dataclass(frozen=True)
class MarkRetained(VolumeStep):
    """Write `retain` of the spec into the volume's metadata."""

    volume: Known[Volume]
    retain: bool

    @property
    def lane(self) -> str:
        return f"volume:{self.volume.value.id}"


@dataclass(frozen=True)
class DeleteVolume(VolumeStep):
    """A volume of ours that nothing is attached to, whose slot (or, for a root volume, whose machine) is no more."""

    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Volume]
    because: str

    @property
    def lane(self) -> str:
        return f"volume:{self.evidence.value.id}"


@dataclass(frozen=True)
class SetUpVolume(GuestStep):
    """Format where blank, mount, note in fstab, grow the file system. The guest looks again before it writes."""

    mount: Mount
