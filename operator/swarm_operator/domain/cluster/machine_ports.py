"""Neutron ports that are made ahead of their servers: where the spec names the subnet of an existing network, since Nova can be told a network only, not a subnet.

Nova leaves a port that it was given when the server goes (Compute API, "Create Server", `networks.port`), so such a port is ours to delete: it is found by its description,
which holds the machine's UID.
"""

from __future__ import annotations

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.domain.cloud import OwnedNetworking, Port
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import DeletePort, Step
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import part_of, port_part


def needs_port(spec: SwarmClusterSpec) -> bool:
    """Whether machines get a port of their own making."""
    return spec.network.existing is not None and spec.network.existing.subnet is not None


def port_of(networking: Fact[OwnedNetworking], cluster_uid: str, machine_uid: str) -> Port | None:
    """The port that was made for a machine; one that is in use before one that is not."""
    if isinstance(networking, Unknown):
        return None
    found = [p for p in networking.value.ports if part_of(p.description, cluster_uid) == port_part(machine_uid)]
    return min(found, key=lambda p: (not p.device_id, p.id)) if found else None


def port_steps(observation: ClusterObservation, alive: frozenset[str]) -> tuple[Step, ...]:
    """Deletes of ports whose machine is no more, and of those made twice. `alive`: UIDs that still have, or will have, a server.

    A port that a server of ours uses is never deleted, whatever its description says.
    """
    if isinstance(observation.networking, Unknown) or isinstance(observation.servers, Unknown):
        return ()
    servers = {s.id for s in observation.servers.value}
    steps: list[Step] = []
    for port in sorted(observation.networking.value.ports, key=lambda p: p.id):
        part = part_of(port.description, observation.uid) or ""
        holder = part.removeprefix(port_part(""))
        if holder == part or port.device_id in servers:
            continue
        chosen = port_of(observation.networking, observation.uid, holder)
        if holder not in alive or (chosen is not None and chosen.id != port.id):
            steps.append(DeletePort("port", Known(port.id), "no machine has it"))
    return tuple(steps)
