"""Data volumes as the guests see them: what is to be mounted where, which guests are asked, and which machines are ready.

What a guest said is kept in status (`nodes[].volumes`), so that a member is asked once and not in every reconcile; a lost status asks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachineStatus
from swarm_operator.api.storage import MachineVolumeStatus, VolumeSpec
from swarm_operator.domain.cloud import Volume
from swarm_operator.domain.cluster.guests import is_up
from swarm_operator.domain.cluster.machines import Machine, machine_spec
from swarm_operator.domain.cluster.observation import NOT_LOOKED_AT, ClusterObservation
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.volumes import GuestVolume, Mount, SlotVolume, lies_on, slot_volume, slot_volume_of

DATA_ROOT: Final = "/var/lib/docker"
"""The engine's data directory where neither the spec nor its configuration names one (dockerd reference, `--data-root`)."""
IN_USE: Final = "in-use"
AVAILABLE: Final = "available"


def wanted_volumes(spec: SwarmClusterSpec, machine: MachineId) -> tuple[VolumeSpec, ...]:
    """The data volumes of a machine, those that others are mounted below first."""
    return tuple(sorted(machine_spec(spec, machine.pool).volumes, key=lambda v: (v.mount_path or "", v.name)))


def declares_volumes(spec: SwarmClusterSpec) -> bool:
    """Whether any machine has data volumes or a root volume of our making."""
    machines = [machine_spec(spec, ""), *(machine_spec(spec, pool.name) for pool in spec.worker_pools)]
    return any(m.volumes or (m.root_volume is not None and m.root_volume.availability_zone is not None) for m in machines)


def holds_engine_data(spec: SwarmClusterSpec, volume: VolumeSpec) -> str | None:
    """The engine's data directory, where it lies on the volume."""
    root = spec.engine.data_root or DATA_ROOT
    return root if volume.mount_path is not None and lies_on(root, volume.mount_path) else None


def by_slot(volumes: Iterable[Volume], cluster_uid: str) -> dict[SlotVolume, list[Volume]]:
    """The data volumes of each slot; the one in use first, then the oldest. More than one comes from a POST whose answer was lost."""
    found: dict[SlotVolume, list[Volume]] = {}
    for volume in volumes:
        identity = slot_volume_of(volume.metadata, cluster_uid)
        if identity is not None:
            found.setdefault(identity, []).append(volume)
    for same in found.values():
        same.sort(key=lambda v: (not v.attached_to, v.created, v.id))
    return found


def chosen_volumes(observation: ClusterObservation) -> dict[SlotVolume, Volume]:
    """The data volume of each slot that has one, where the volumes are known."""
    if isinstance(observation.volumes, Unknown):
        return {}
    return {identity: same[0] for identity, same in by_slot(observation.volumes.value, observation.uid).items()}


def recorded(record: MachineStatus | None, name: str, volume: Volume) -> MachineVolumeStatus | None:
    """What status says of a volume of a machine, where it is set up there in its present size."""
    entries = record.volumes if record is not None else []
    return next((v for v in entries if v.name == name and v.volume_id == volume.id and v.attached and v.size_gib >= volume.size_gib), None)


def is_attached(volume: Volume, machine: Machine) -> bool:
    """Whether Cinder says that it is attached to the machine's server and no other."""
    return machine.present is not None and volume.status == IN_USE and volume.attached_to == (machine.present.id,)


def mounts_to_look_at(spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine) -> tuple[Mount, ...]:
    """The volumes that a guest is asked for when it is asked: those that are attached to it. Of one that is a member in good order, those that status does not know as set up;
    of any other all, since it may have been rebuilt or booted without them."""
    chosen = chosen_volumes(observation)
    trusted = machine.joined or isinstance(machine.node, Unknown)
    mounts = []
    for wanted in wanted_volumes(spec, machine.id):
        volume = chosen.get(slot_volume(machine.id, wanted.name))
        if volume is not None and is_attached(volume, machine) and not (trusted and recorded(machine.record, wanted.name, volume) is not None):
            mounts.append(mount_of(spec, observation.uid, machine, wanted, volume.id))
    return tuple(mounts)


def mount_of(spec: SwarmClusterSpec, cluster_uid: str, machine: Machine, wanted: VolumeSpec, volume_id: str) -> Mount:
    """What the guest is told."""
    identity, data_root = slot_volume(machine.id, wanted.name), holds_engine_data(spec, wanted)
    options = tuple(wanted.mount_options)
    return Mount(wanted.name, volume_id, identity.uid(cluster_uid), wanted.format, wanted.mount_path, options, data_root, machine.uid)


def to_look_at(spec: SwarmClusterSpec, observation: ClusterObservation, machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """The machines whose guests are asked because of their volumes alone: those with one that is attached and that status does not know as set up."""
    chosen = chosen_volumes(observation)

    def unknown(machine: Machine) -> bool:
        volumes = ((v.name, chosen.get(slot_volume(machine.id, v.name))) for v in wanted_volumes(spec, machine.id))
        return any(v is not None and is_attached(v, machine) and recorded(machine.record, name, v) is None for name, v in volumes)

    return tuple(m for m in machines if is_up(m) and not m.being_deleted and unknown(m))


def said(observation: ClusterObservation, machine_uid: str, volume_id: str) -> Fact[GuestVolume]:
    """What the guest says of a volume; Unknown where it was not asked for it."""
    guest = observation.guest(machine_uid)
    if isinstance(guest, Unknown):
        return guest
    found = next((v for v in guest.value.volumes if v.volume_id == volume_id), None)
    return Known(found) if found is not None else NOT_LOOKED_AT


def waits_for_volumes(spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine) -> bool:
    """Whether a machine that answers is held back by its volumes alone: another machine would be no better off."""
    wanted = wanted_volumes(spec, machine.id)
    if not wanted or not isinstance(observation.guest(machine.uid), Known):
        return False
    if isinstance(observation.volumes, Unknown):
        return True
    chosen = chosen_volumes(observation)
    for volume in wanted:
        present = chosen.get(slot_volume(machine.id, volume.name))
        if present is None or not is_attached(present, machine):
            return True
        told = said(observation, machine.uid, present.id)
        if not (told.value.ready if isinstance(told, Known) else recorded(machine.record, volume.name, present) is not None):
            return True
    return False


def settled(spec: SwarmClusterSpec, observation: ClusterObservation, machines: Sequence[Machine]) -> bool:
    """Whether remembered volumes will do: each present machine has all of its own attached and in their declared size, and no other waits for its fate."""
    if not isinstance(observation.volumes, Known):
        return not declares_volumes(spec)
    volumes = by_slot(observation.volumes.value, observation.uid)
    held = {}
    for machine in machines:
        for wanted in wanted_volumes(spec, machine.id):
            found = volumes.get(slot_volume(machine.id, wanted.name))
            if not found or not is_attached(found[0], machine) or found[0].size_gib < wanted.size_gib:
                return False
            held[found[0].id] = machine
    return all(v.id in held or v.status == AVAILABLE for same in volumes.values() for v in same)
