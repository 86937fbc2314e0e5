"""Which flavor a new server is asked for: that of the spec, and where no host was found for it in any zone, the next of `machine.fallbackFlavors`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachineStatus
from swarm_operator.domain.cluster.machines import machine_spec
from swarm_operator.domain.cluster.observation import MachineReferences
from swarm_operator.domain.cluster.zones import last_holder, zones_of, zones_without_host
from swarm_operator.domain.ownership import MachineId


@dataclass(frozen=True)
class FlavorChoice:
    """`tried`: flavors for which no host was found for the slot of late. `anew`: the zones are open again, for this flavor was not tried in them."""

    flavor_id: str
    tried: tuple[str, ...] = ()
    anew: bool = False


def choose_flavor(spec: SwarmClusterSpec, machine: MachineId, references: MachineReferences, records: Sequence[MachineStatus]) -> FlavorChoice:
    """The flavor for the next holder of a slot. `records`: of status. When all were tried the first one is open again."""
    flavors = tuple(dict.fromkeys((references.flavor_id, *references.fallback_flavor_ids)))
    last = last_holder(machine, records)
    if len(flavors) == 1 or last is None:
        return FlavorChoice(references.flavor_id)
    tried = tuple(f for f in last.flavors_tried if f in flavors)
    left = [f for f in flavors if f not in tried]
    without = zones_without_host(last)
    exhausted = bool(without) and all((zone or "") in without for zone in zones_of(machine_spec(spec, machine.pool), last))
    if exhausted and left:
        tried, left = (*tried, left[0]), left[1:]
    return FlavorChoice(left[0], tried, exhausted) if left else FlavorChoice(flavors[0], (), True)
