"""Steps for backups of the raft state, and for bringing a swarm back from one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from swarm_operator.api.backup import BackupRecord
from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cluster.steps.base import GuestStep


@dataclass(frozen=True)
class BeginBackup(GuestStep):
    """An empty image for a backup of this manager. Written into status before it is asked for. `asked_for`: the spec.backup.now that it carries out."""

    condition: ClassVar[ConditionType] = ConditionType.BACKUP_READY
    touches_cloud: ClassVar[bool] = True
    name: str
    asked_for: str | None

    @property
    def lane(self) -> str:
        return "backup"


@dataclass(frozen=True)
class RunBackup(GuestStep):
    """Begin to fill it, or see how it goes."""

    condition: ClassVar[ConditionType] = ConditionType.BACKUP_READY
    name: str
    image_id: str
    verify: bool

    @property
    def lane(self) -> str:
        return "backup"


@dataclass(frozen=True)
class RestoreSwarm(GuestStep):
    """Begin to fill this manager's engine from a backup and make the swarm anew on it, or see how it goes. There is no other manager."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    server_id: str
    backup: BackupRecord = field(hash=False)
    advertise: str
