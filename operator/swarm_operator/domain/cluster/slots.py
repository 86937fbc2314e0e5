"""Slots whose holder is being changed: the newest machine of a slot, and the former one that serves until the newest is ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.standing import NOT_KNOWN, Standing
from swarm_operator.domain.facts import Known, Unknown


@dataclass(frozen=True)
class Slot:
    """`holder`: the machine that is to hold it. `former`: earlier holders that are still there, the newest first. `given_up`: later machines that are not wanted any more,
    because the spec has gone back to what a former one is."""

    holder: Machine
    former: tuple[Machine, ...] = ()
    given_up: tuple[Machine, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether some machine of the slot works."""
        return self.holder.joined or any(m.joined for m in self.former)


def slots(machines: Sequence[Machine], standing: Mapping[str, Standing], *, going_back: bool, alone: bool = False) -> tuple[Slot, ...]:
    """By slot. `going_back`: a rollout was under way, so that a successor that was not made yet can be given up as well. `alone`: these are managers, of which there shall be one."""
    by_slot: dict[int, list[Machine]] = {}
    for machine in sorted(machines, key=lambda m: m.id, reverse=True):
        by_slot.setdefault(machine.id.slot, []).append(machine)
    return tuple(_slot(found, standing, going_back, alone) for _, found in sorted(by_slot.items()))


def _slot(machines: Sequence[Machine], standing: Mapping[str, Standing], going_back: bool, alone: bool) -> Slot:
    newest, *rest = machines
    former = [m for m in rest if _is_there(m, alone)]
    if former and former[0].joined and standing.get(former[0].uid, NOT_KNOWN).made_as_declared:
        no_server = newest.gone and (going_back or newest.was_created)
        if no_server or standing.get(newest.uid, NOT_KNOWN).outdated:
            return Slot(former[0], tuple(former[1:]), (newest,))
    return Slot(newest, tuple(former))


def _is_there(machine: Machine, alone: bool) -> bool:
    """Whether an earlier holder still serves or may again. Of several managers each leaves before its successor is made, in the order of `managers.change_managers`; the only one
    is a manager until its successor is one, as far as is known."""
    if machine.present is None or machine.being_deleted:
        return False
    return machine.id.role == "Worker" or (alone and (isinstance(machine.node, Unknown) or (machine.member is not None and machine.member.role == "manager")))


def ready_for(machine: Machine, now: datetime) -> float:
    """Seconds for which status has known the machine as Ready; 0 where it is not, or not written down yet."""
    record = machine.record
    if not machine.joined or record is None or record.phase != "Ready":
        return 0.0
    return times.age(record.phase_since, now) or 0.0


def never_served(machine: Machine) -> bool:
    """Whether it certainly has not come into the swarm: nothing is lost with it."""
    return machine.node == Known(None) and (machine.record is None or machine.record.node_id is None)


def is_ready(machine: Machine, min_ready_seconds: float, now: datetime) -> bool:
    """Whether a new machine counts."""
    return machine.joined and ready_for(machine, now) >= min_ready_seconds
