"""Data volumes of slots: made, attached, set up on the guest, extended, kept or deleted.

A volume follows its slot. It is attached to the slot's present machine once nothing else has it: the server before it gives it up when it goes (Nova detaches what was
attached to a server that is deleted), never earlier, since its engine may still write. A machine joins the swarm only when its volumes are set up.

Does not: detach a volume from a server that lives. A volume whose entry has left the spec, or that a person attached elsewhere, stays where it is until that server goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.api.storage import MachineVolumeStatus, RetainedVolumeStatus, VolumeSpec
from swarm_operator.domain.cloud import Volume
from swarm_operator.domain.cluster.guest_volumes import (
    AVAILABLE,
    IN_USE,
    by_slot,
    chosen_volumes,
    declares_volumes,
    holds_engine_data,
    is_attached,
    mount_of,
    recorded,
    said,
    wanted_volumes,
)
from swarm_operator.domain.cluster.guests import is_up
from swarm_operator.domain.cluster.machines import Machine, MachineTable, machine_spec
from swarm_operator.domain.cluster.membership import Membership
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import AttachVolume, CreateVolume, DeleteVolume, ExtendVolume, MarkRetained, SetUpVolume, Step
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.volumes import GuestVolume, SlotVolume, retained, root_of, slot_volume

DELETABLE: Final = frozenset({AVAILABLE, "error", "error_restoring", "error_extending", "error_managing"})
"""States in which Cinder deletes a volume (Block Storage API 3, "Delete a volume"); `error_deleting` needs the cloud's administrator."""


@dataclass(frozen=True)
class VolumePlan:
    """By machine UID: `hold`, what a machine waits for before its engine may join; `states`, for status. `problem`: what needs a person, or can't be learned. `pending`: what
    is on its way. `yielding`: UIDs of machines to be removed that have a volume for which their successor waits. `kept`: volumes without machine that stay."""

    steps: tuple[Step, ...] = ()
    hold: dict[str, str] = field(default_factory=dict)
    states: dict[str, tuple[MachineVolumeStatus, ...]] = field(default_factory=dict)
    problem: Unknown | None = None
    pending: str = ""
    yielding: frozenset[str] = frozenset()
    kept: tuple[RetainedVolumeStatus, ...] = ()


@dataclass
class _Draft:
    """The plan while it is made; the first of several problems, and of several things under way, is told."""

    steps: list[Step] = field(default_factory=list)
    hold: dict[str, str] = field(default_factory=dict)
    states: dict[str, tuple[MachineVolumeStatus, ...]] = field(default_factory=dict)
    problems: list[Unknown] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    yielding: set[str] = field(default_factory=set)
    kept: tuple[RetainedVolumeStatus, ...] = ()

    def plan(self) -> VolumePlan:
        problem, pending = next(iter(self.problems), None), next(iter(self.pending), "")
        return VolumePlan(tuple(self.steps), self.hold, self.states, problem, pending, frozenset(self.yielding), self.kept)


def plan_volumes(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, membership: Membership
) -> VolumePlan:
    """Pure; see the module."""
    draft = _Draft()
    if isinstance(observation.volumes, Unknown):
        draft.kept = tuple(status.retained_volumes)
        if declares_volumes(spec):
            _blind(spec, observation.volumes, membership, draft)
        return draft.plan()
    chosen = chosen_volumes(observation)
    present = {m.id: m for m in membership.keep}
    wanted: set[SlotVolume] = set()
    identities = (*present, *membership.create, *membership.waiting)
    for identity in identities:
        for declared in wanted_volumes(spec, identity):
            slot = slot_volume(identity, declared.name)
            wanted.add(slot)
            _SlotWork(spec, observation, table, membership, identity, present.get(identity), declared, chosen.get(slot), draft).decide()
    _without_use(spec, observation, membership, wanted, draft)
    alive = {m.uid for m in table.machines if not m.gone} | {i.uid(observation.uid) for i in identities}
    if isinstance(observation.servers, Known):
        draft.steps += [DeleteVolume(Known(v), "its machine is no more") for v in _idle_roots(observation) if root_of(v.metadata, observation.uid) not in alive]
    return draft.plan()


def _blind(spec: SwarmClusterSpec, why: Unknown, membership: Membership, draft: _Draft) -> None:
    """Cinder can't be asked: what status knows stays, machines that are not set up wait."""
    for machine in membership.keep:
        entries = tuple(machine.record.volumes) if machine.record is not None else ()
        draft.states[machine.uid] = entries
        if {v.name for v in wanted_volumes(spec, machine.id)} - {v.name for v in entries if v.attached}:
            text = f"the volumes of the project can't be listed: {why.message}"
            draft.hold[machine.uid] = text
            draft.problems.append(Unknown(why.reason, text))


@dataclass(frozen=True)
class _SlotWork:
    """One declared volume of one slot: `machine` and `volume` as far as they are there."""

    spec: SwarmClusterSpec
    observation: ClusterObservation
    table: MachineTable
    membership: Membership
    identity: MachineId
    machine: Machine | None
    declared: VolumeSpec
    volume: Volume | None
    draft: _Draft

    @property
    def name(self) -> str:
        return slot_volume(self.identity, self.declared.name).display_name(self.observation.name)

    @property
    def entry(self) -> MachineVolumeStatus | None:
        """What status says of it."""
        entries = self.machine.record.volumes if self.machine is not None and self.machine.record is not None else []
        return next((v for v in entries if v.name == self.declared.name and self.volume is not None and v.volume_id == self.volume.id), None)

    def decide(self) -> None:
        declared, volume, machine, draft = self.declared, self.volume, self.machine, self.draft
        if volume is None:
            slot = slot_volume(self.identity, declared.name)
            draft.steps.append(CreateVolume(slot, declared.size_gib, declared.type, declared.availability_zone, declared.retain))
            self._wait(f"volume {self.name} is being made")
            return
        if retained(volume.metadata) != declared.retain:
            draft.steps.append(MarkRetained(Known(volume), declared.retain))
        self._size(volume)
        if volume.status.startswith("error"):
            self._wait(f"volume {self.name} ({volume.id}) is in status {volume.status}: see to it in Cinder, or delete it there", Reason.VOLUME_FAILED)
        elif machine is None or not is_up(machine) or machine.being_deleted:
            self._state(self.entry)
        elif is_attached(volume, machine):
            self._attached(machine, volume)
        elif volume.status == IN_USE:
            self._elsewhere(machine, volume)
        elif volume.status != AVAILABLE:
            self._wait(f"volume {self.name} is {volume.status}")
        elif machine.member is not None and holds_engine_data(self.spec, declared) is not None:
            self._needs_new_machine(machine)
        elif machine.present is not None:
            draft.steps.append(AttachVolume(Known(volume), machine.present.id, machine.present.name))
            self._wait(f"volume {self.name} is being attached")

    def _size(self, volume: Volume) -> None:
        wanted = self.declared.size_gib
        if volume.size_gib > wanted:
            text = f"volume {self.name} has {volume.size_gib} GiB, the spec says {wanted}: a volume can't shrink"
            self.draft.problems.append(Unknown(Reason.INVALID_SPEC, text))
        elif volume.size_gib < wanted and volume.status in (AVAILABLE, IN_USE):
            self.draft.steps.append(ExtendVolume(Known(volume), wanted))
            self.draft.pending.append(f"volume {self.name} is being extended to {wanted} GiB")

    def _attached(self, machine: Machine, volume: Volume) -> None:
        """It is on the machine's server: is it set up there?"""
        told = said(self.observation, machine.uid, volume.id)
        known = recorded(machine.record, self.declared.name, volume)
        if isinstance(told, Unknown):
            # What the guest says now goes before what it said once.
            if known is not None:
                self._state(known)
            else:
                self._wait(f"volume {self.name}: {told.message}")
        elif told.value.size_gib == 0:
            self._wait(f"volume {self.name}: its device does not show on the machine yet")
        elif told.value.refused:
            self._wait(f"volume {self.name} ({volume.id}): {told.value.refused}", Reason.VOLUME_REFUSED)
        elif told.value.ready:
            self._state(MachineVolumeStatus(name=self.declared.name, volume_id=volume.id, size_gib=told.value.used_gib, attached=True))
            self._grow(machine, volume, told.value)
        elif machine.joined and not (self.entry is not None and self.entry.size_gib) and holds_engine_data(self.spec, self.declared) is not None:
            self._needs_new_machine(machine)
        else:
            self._set_up(machine, volume)
            self._wait(f"volume {self.name} is being set up")

    def _set_up(self, machine: Machine, volume: Volume) -> None:
        self.draft.steps.append(SetUpVolume(machine.id, machine.uid, mount_of(self.spec, self.observation.uid, machine, self.declared, volume.id)))

    def _grow(self, machine: Machine, volume: Volume, told: GuestVolume) -> None:
        """The file system follows the volume. It holds nobody up: what is mounted can be used."""
        if told.used_gib < told.size_gib:
            self._set_up(machine, volume)
            self.draft.pending.append(f"volume {self.name}: its file system is being grown to {told.size_gib} GiB")
        elif told.used_gib < volume.size_gib:
            self.draft.pending.append(f"volume {self.name}: the machine does not see its new size yet")

    def _elsewhere(self, machine: Machine, volume: Volume) -> None:
        """Another server has it: mostly the slot's last one, which gives it up when it goes."""
        holder = next((m for m in self.table.machines if m.present is not None and m.present.id in volume.attached_to), None)
        if holder is not None and holder in self.membership.remove and holder.id.role == machine.id.role == "Manager":
            self.draft.yielding.add(holder.uid)
        what = holder.present.name if holder is not None and holder.present is not None else f"server {', '.join(volume.attached_to)}"
        self._wait(f"volume {self.name} is still attached to {what}")

    def _needs_new_machine(self, machine: Machine) -> None:
        """Not under an engine that is at work: what it has would be hidden."""
        member = machine.id.server_name(self.observation.name)
        self._wait(f"volume {self.name} is for the engine's data: {member} is a member already, only the slot's next machine gets it", Reason.VOLUME_REFUSED)

    def _state(self, entry: MachineVolumeStatus | None) -> None:
        if entry is not None and self.machine is not None:
            self.draft.states[self.machine.uid] = (*self.draft.states.get(self.machine.uid, ()), entry)

    def _wait(self, text: str, problem: Reason | None = None) -> None:
        """The machine, if there is one, is held back; `problem`: it takes a person."""
        if self.machine is not None:
            self.draft.hold.setdefault(self.machine.uid, text)
        if self.volume is not None:
            size = self.entry.size_gib if self.entry is not None else 0
            self._state(MachineVolumeStatus(name=self.declared.name, volume_id=self.volume.id, size_gib=size, attached=False))
        if problem is not None:
            self.draft.problems.append(Unknown(problem, text))
        else:
            self.draft.pending.append(text)


def keeps(spec: SwarmClusterSpec, slot: SlotVolume, volume: Volume) -> bool:
    """Whether the volume stays when its slot goes: by the spec where that names it, else by what its metadata says."""
    known = slot.pool == "" or any(p.name == slot.pool for p in spec.worker_pools)
    declared = next((v for v in machine_spec(spec, slot.pool).volumes if v.name == slot.name), None) if known else None
    return declared.retain if declared is not None else retained(volume.metadata)


def _without_use(spec: SwarmClusterSpec, observation: ClusterObservation, membership: Membership, wanted: set[SlotVolume], draft: _Draft) -> None:
    """Volumes that no machine shall have: kept, or deleted once the server of their slot is gone."""
    assert isinstance(observation.volumes, Known)
    kept: list[RetainedVolumeStatus] = []
    for slot, same in sorted(by_slot(observation.volumes.value, observation.uid).items()):
        volume = same[0]
        if slot in wanted or volume.attached_to or slot.pool in observation.frozen_pools:
            continue
        if keeps(spec, slot, volume):
            kept.append(RetainedVolumeStatus(volume_id=volume.id, name=volume.name, size_gib=volume.size_gib))
        elif volume.status in DELETABLE and isinstance(observation.servers, Known) and not any(slot.is_of(m.id) and not m.gone for m in membership.remove):
            draft.steps.append(DeleteVolume(Known(volume), "its slot is no more"))
    draft.kept = tuple(kept)


def _idle_roots(observation: ClusterObservation) -> list[Volume]:
    """Root volumes that the operator made and that no server has."""
    assert isinstance(observation.volumes, Known)
    return [v for v in observation.volumes.value if root_of(v.metadata, observation.uid) is not None and not v.attached_to and v.status in DELETABLE]


def in_service(volumes: Sequence[Volume], cluster_uid: str) -> frozenset[str]:
    """Ids of those that are a slot's, or a machine's root, and so accounted for. A second one of a slot is not: nothing says that it is empty, so a person, or the sweep that a
    person asked for, decides."""
    roots = {v.id for v in volumes if root_of(v.metadata, cluster_uid) is not None}
    return frozenset(roots | {same[0].id for same in by_slot(volumes, cluster_uid).values()})


@dataclass(frozen=True)
class LastVolumes:
    """Volumes of a cluster that is deleted, after its servers: `going` can be deleted now, `waiting` are not gone yet, `kept` stay. `unknown`: they had to be listed and
    could not be."""

    going: tuple[Volume, ...] = ()
    waiting: tuple[Volume, ...] = ()
    kept: tuple[RetainedVolumeStatus, ...] = ()
    unknown: Unknown | None = None


def volumes_of_the_deleted(spec: SwarmClusterSpec, observation: ClusterObservation) -> LastVolumes:
    """Retained ones stay; all others of the cluster's UID go, leaked ones too. A cloud without Cinder holds up nobody whose spec has no volumes."""
    if isinstance(observation.volumes, Unknown):
        return LastVolumes(unknown=observation.volumes if declares_volumes(spec) else None)
    slots = {v.id: slot for slot, same in by_slot(observation.volumes.value, observation.uid).items() for v in same}
    kept = [v for v in observation.volumes.value if v.id in slots and keeps(spec, slots[v.id], v)]
    rest = tuple(v for v in observation.volumes.value if v not in kept)
    entries = tuple(RetainedVolumeStatus(volume_id=v.id, name=v.name, size_gib=v.size_gib) for v in sorted(kept, key=lambda v: v.id))
    return LastVolumes(tuple(v for v in rest if v.status in DELETABLE), rest, entries)
