"""Whose a data volume is, and what a guest is told of it and says of it.

A volume belongs to a slot of a cluster, not to a machine: machines of one slot follow one another, and the volume goes from the one to the next. Ownership is in Cinder's
metadata, written by the POST that makes the volume (Block Storage API 3, "Create a volume").
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from swarm_operator.domain.ownership import CLUSTER_NAME, CLUSTER_UID, MACHINE_UID, POOL, ROLE, SLOT, MachineId, Role

VOLUME_NAME: Final = "swarmops-volume"
VOLUME_UID: Final = "swarmops-volume-uid"
RETAIN: Final = "swarmops-retain"
"""`true` on a volume that stays when its slot goes; kept equal to the spec, and read when the spec does not name the volume any more."""
ROOT: Final = "root"

_NAMESPACE: Final = uuid.UUID("0d4b5f2e-41c8-5f0b-8f5e-3b8c6a0d7e21")


@dataclass(frozen=True, order=True)
class SlotVolume:
    """Which data volume of a cluster: that of a slot, by its name in the spec. `pool` is "" for managers."""

    role: Role
    pool: str
    slot: int
    name: str

    def uid(self, cluster_uid: str) -> str:
        """Deterministic, so that a create repeated after a crash finds what was made; also the UUID of the file system on it."""
        return str(uuid.uuid5(_NAMESPACE, f"{cluster_uid}/{self.role}/{self.pool}/{self.slot}/{self.name}"))

    def display_name(self, cluster_name: str) -> str:
        """Its name in Cinder, for people: at most 255 characters."""
        return f"{cluster_name}-{self.pool or 'manager'}-{self.slot}-{self.name}"[:255]

    def is_of(self, machine: MachineId) -> bool:
        return (self.role, self.pool, self.slot) == (machine.role, machine.pool, machine.slot)


def slot_volume(machine: MachineId, name: str) -> SlotVolume:
    """The volume of that name of the machine's slot."""
    return SlotVolume(machine.role, machine.pool, machine.slot, name)


def volume_metadata(cluster_uid: str, cluster_name: str, volume: SlotVolume, *, retain: bool) -> dict[str, str]:
    """Ownership metadata of a data volume."""
    return {
        CLUSTER_UID: cluster_uid,
        CLUSTER_NAME: cluster_name,
        ROLE: volume.role,
        POOL: volume.pool,
        SLOT: str(volume.slot),
        VOLUME_NAME: volume.name,
        VOLUME_UID: volume.uid(cluster_uid),
        RETAIN: "true" if retain else "false",
    }


def root_metadata(cluster_uid: str, cluster_name: str, machine_uid: str) -> dict[str, str]:
    """Ownership metadata of a root volume that the operator makes: it belongs to one machine."""
    return {CLUSTER_UID: cluster_uid, CLUSTER_NAME: cluster_name, MACHINE_UID: machine_uid, VOLUME_NAME: ROOT}


def slot_volume_of(metadata: Mapping[str, str], cluster_uid: str) -> SlotVolume | None:
    """The slot's volume that the metadata names, or None where it is none of this cluster's or was tampered with (the UID must agree)."""
    role, slot, name = metadata.get(ROLE), metadata.get(SLOT, ""), metadata.get(VOLUME_NAME, "")
    if metadata.get(CLUSTER_UID) != cluster_uid or role not in ("Manager", "Worker") or not slot.isdigit() or not name:
        return None
    found = SlotVolume("Manager" if role == "Manager" else "Worker", metadata.get(POOL, ""), int(slot), name)
    return found if metadata.get(VOLUME_UID) == found.uid(cluster_uid) else None


def root_of(metadata: Mapping[str, str], cluster_uid: str) -> str | None:
    """The UID of the machine whose root volume it is, or None."""
    if metadata.get(CLUSTER_UID) != cluster_uid or metadata.get(VOLUME_NAME) != ROOT or VOLUME_UID in metadata:
        return None
    return metadata.get(MACHINE_UID)


def retained(metadata: Mapping[str, str]) -> bool:
    return metadata.get(RETAIN) == "true"


@dataclass(frozen=True)
class Mount:
    """What a guest is told of a volume. `uid`: the UUID that the file system is made with, by which it is known as ours. `format` is ext4, xfs or none. `data_root`: the
    engine's data directory where it lies on this volume; `machine_uid` is then noted there, since engine state of another machine must not be used."""

    name: str
    volume_id: str
    uid: str
    format: str
    path: str | None = None
    options: tuple[str, ...] = ()
    data_root: str | None = None
    machine_uid: str = ""


@dataclass(frozen=True)
class GuestVolume:
    """What a guest says of a volume. `size_gib`: of the device as its kernel sees it, 0: there is no such device; `used_gib`: how much of it the file system takes.
    `refused`: why nothing may be written to it, "" where it is blank or ours. `ready`: formatted, mounted and in fstab."""

    volume_id: str
    size_gib: int = 0
    refused: str = ""
    ready: bool = False
    used_gib: int = 0


def lies_on(path: str, mount_path: str) -> bool:
    """Whether `path` is `mount_path` or below it."""
    return re.sub(r"/+$", "", path) == mount_path or path.startswith(mount_path + "/")
