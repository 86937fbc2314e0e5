"""Which availability zone a new server is asked for: the least loaded of the list; another one where no host was found; the fallback zones last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, MachineStatus
from swarm_operator.api.machine import MachineSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.faults import fault_reason, refusal_of
from swarm_operator.domain.cluster.machines import Machine, machine_spec
from swarm_operator.domain.ownership import MachineId


@dataclass(frozen=True)
class ZoneChoice:
    """`zone` None: Nova's choice. `tried`: zones in which no host was found for the slot of late; with the one that is chosen now they are in status until a machine of it is ready."""

    zone: str | None
    tried: tuple[str, ...] = ()


def zone_of(machine: Machine) -> str | None:
    """The zone that a machine is in, or was asked for."""
    server = machine.present
    if server is not None and server.availability_zone:
        return server.availability_zone
    return machine.record.availability_zone if machine.record is not None else None


def zones_tried(machine: Machine) -> tuple[str, ...]:
    """The zones in which no host was found for a machine and its predecessors ("" where none was named), that of its server among them where it failed so."""
    known = machine.record.zones_tried if machine.record is not None else ()
    server = machine.present
    if server is None or server.status != "ERROR" or fault_reason(server.fault) is not Reason.NO_CAPACITY:
        return tuple(known)
    return tuple(dict.fromkeys((*known, zone_of(machine) or "")))


def load_of(keep: Iterable[Machine], pool: str) -> Counter[str]:
    """How many machines of a pool are in each zone."""
    return Counter(zone for m in keep if m.id.pool == pool and (zone := zone_of(m)) is not None)


def choose_zone(spec: SwarmClusterSpec, machine: MachineId, load: Mapping[str, int], records: Sequence[MachineStatus], *, anew: bool = False) -> ZoneChoice:
    """The zone for the next holder of a slot. `records`: of status. When no zone is left that was not tried, all are open again; `anew`: so they are in any case.

    A slot with data volumes stays in the zone of its last holder: volumes can be attached within their zone only, on most clouds.
    """
    template = machine_spec(spec, machine.pool)
    last = last_holder(machine, records)
    tried = () if anew else zones_without_host(last)
    first, then = template.availability_zones, template.fallback_zones
    if not first and not then:
        return ZoneChoice(None)
    if template.volumes and last is not None and last.availability_zone in (*first, *then):
        return ZoneChoice(last.availability_zone)
    choices: list[list[str | None]] = [[*first] if first else [None], [*then]]
    for tier in choices:
        open_ones = [z for z in tier if (z or "") not in tried]
        if open_ones:
            return ZoneChoice(min(open_ones, key=lambda z: (load.get(z or "", 0), tier.index(z))), tried)
    return ZoneChoice(min(choices[0], key=lambda z: (load.get(z or "", 0), choices[0].index(z))))


def last_holder(machine: MachineId, records: Sequence[MachineStatus]) -> MachineStatus | None:
    """What status has of the latest machine of a slot."""
    holders = [r for r in records if (r.role, r.pool, r.slot) == (machine.role, machine.pool, machine.slot)]
    return max(holders, key=lambda r: r.incarnation, default=None)


def zones_of(template: MachineSpec, last: MachineStatus) -> tuple[str | None, ...]:
    """All zones that a slot's next holder may be asked for (None: Nova's choice). `last`: its latest."""
    named = (*template.availability_zones, *template.fallback_zones)
    if template.volumes and last.availability_zone in named:
        return (last.availability_zone,)
    first: list[str | None] = [*template.availability_zones] or [None]
    return (*first, *template.fallback_zones)


def zones_without_host(last: MachineStatus | None) -> tuple[str, ...]:
    """The zones in which no host was found for a slot since it last had a ready machine."""
    if last is None:
        return ()
    known = last.zones_tried
    if last.phase == MachinePhase.FAILED and last.server_id is None and refusal_of(last)[0] is Reason.NO_CAPACITY:
        return tuple(dict.fromkeys((*known, last.availability_zone or "")))  # refused at once
    return tuple(known)
