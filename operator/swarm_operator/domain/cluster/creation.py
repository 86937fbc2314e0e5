"""Which servers are asked for now, with what they need before: port, root volume, server group, zone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import Port
from swarm_operator.domain.cluster.flavors import choose_flavor
from swarm_operator.domain.cluster.guests import manager_addresses
from swarm_operator.domain.cluster.infrastructure import InfrastructurePlan
from swarm_operator.domain.cluster.machine_ports import free_port, in_the_way, trunk_step, wanted_ports
from swarm_operator.domain.cluster.machines import MachineTable
from swarm_operator.domain.cluster.membership import Membership
from swarm_operator.domain.cluster.observation import ClusterObservation, MachineReferences
from swarm_operator.domain.cluster.root_volumes import root_volume
from swarm_operator.domain.cluster.server_groups import GroupPlan, being_placed
from swarm_operator.domain.cluster.steps import CreatePort, CreateRootVolume, CreateServer, CreateTrunk
from swarm_operator.domain.cluster.zones import choose_zone, load_of
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import MachineId


@dataclass(frozen=True)
class Creation:
    """`refused`: why a server can't be asked for, if so. `placing`: the next member of a group waits until the last one has a host."""

    steps: tuple[CreatePort | CreateTrunk | CreateRootVolume | CreateServer, ...] = ()
    refused: Unknown | None = None
    placing: bool = False


def plan_creation(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    membership: Membership,
    infrastructure: InfrastructurePlan,
    groups: GroupPlan,
) -> Creation:
    """Creates of all missing servers whose flavor and image are known. With join=Metadata workers wait for a manager, whose address and token they carry."""
    refused = (groups.problem if membership.create else None) or _nowhere(observation)
    steps: list[CreatePort | CreateTrunk | CreateRootVolume | CreateServer] = []
    managers = manager_addresses([m for m in membership.keep if m.id.role == "Manager"])
    loads: dict[str, Counter[str]] = {}
    asked: set[str] = set()
    placing = False
    for identity in membership.create:
        pool = identity.pool
        references = observation.machine_references.get(pool)
        if isinstance(references, Unknown):
            refused = refused or references
        if infrastructure.problem is not None or not isinstance(references, Known):
            continue
        by_metadata = identity.role == "Worker" and spec.join == "Metadata"
        if by_metadata and (not isinstance(observation.swarm, Known) or not managers):
            continue
        ports, before = _ports(spec, observation, identity, references.value)
        if before or not ports:
            steps += before
            continue
        port, *further = ports
        chosen = references.value
        root = root_volume(spec, observation, identity, chosen.image_id)
        if isinstance(root, Unknown):
            refused = refused or root
            continue
        if isinstance(root, CreateRootVolume):
            steps.append(root)
            continue
        group = groups.by_pool[pool]
        if group.waits:
            continue
        if group.group_id is not None and (pool in asked or being_placed(table, pool)):
            placing = True
            continue
        asked.add(pool)
        load = loads.setdefault(pool, load_of(membership.keep, pool))
        flavor = choose_flavor(spec, identity, chosen, status.nodes)
        zone = choose_zone(spec, identity, load, status.nodes, anew=flavor.anew)
        if zone.zone is not None:
            load[zone.zone] += 1
        join = managers if by_metadata else ()
        advertise = port.fixed_ips[0] if further and port.fixed_ips else None
        steps.append(
            CreateServer(
                identity,
                flavor.flavor_id,
                chosen.image_id,
                join,
                port.id,
                root,
                group.group_id,
                zone.zone,
                zone.tried,
                chosen.flavor_id,
                flavor.tried,
                tuple(p.id for p in further),
                advertise,
            )
        )
    return Creation(tuple(steps), refused, placing)


def _ports(
    spec: SwarmClusterSpec, observation: ClusterObservation, machine: MachineId, references: MachineReferences
) -> tuple[list[Port], list[CreatePort | CreateTrunk]]:
    """The free ports of a machine, and what must be made before it can boot on them; neither while the slot's former ports hold its address."""
    if in_the_way(spec, observation, machine):
        return [], []
    wanted = wanted_ports(spec, machine, observation.uid)
    found = [(w, free_port(observation, machine, w.part)) for w in wanted]
    missing = [w for w, port in found if port is None]
    steps: list[CreatePort | CreateTrunk] = []
    for number, w in enumerate(missing):
        steps.append(CreatePort(machine, w.index, references.ports[w.index] if w.spec is not None else None, len(missing) - number))
    steps += [trunk for w, port in found if port is not None and (trunk := trunk_step(w, port)) is not None]
    return [port for _, port in found if port is not None], steps


def _nowhere(observation: ClusterObservation) -> Unknown | None:
    """A flavor or image that is certainly not there, or not one: told even while no server is to be made, since an edit to such a one changes nothing, and nothing could be repaired."""
    found = (fact for _, fact in sorted(observation.machine_references.items()))
    return next((f for f in found if isinstance(f, Unknown) and f.reason in (Reason.REFERENCE_NOT_FOUND, Reason.REFERENCE_AMBIGUOUS)), None)
