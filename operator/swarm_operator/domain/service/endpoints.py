"""Where a service answers: its published ports on the nodes, and its virtual addresses. Pure.

An ingress port answers on every node of the swarm that is up, a host-mode port on those that run a task (Docker Engine API, `PortStatus` of a task). Addresses are the
nodes' own in the swarm; what leads to them from outside (a floating IP, a load balancer) the swarm does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from swarm_operator.api.service import Endpoint, VirtualIP
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.swarm import SwarmView

MOST: Final = 64


def endpoints(service: LiveService, view: SwarmView, tasks: Iterable[Mapping[str, Any]] | None, before: Iterable[Endpoint]) -> list[Endpoint]:
    """`tasks` None: they were not read since nothing has changed; the host-mode ones of `before` stand."""
    up = {node.id: node.address for node in view.nodes if node.state == "ready" and node.address}
    found = {
        (address, p.published_port, p.protocol, p.target_port, "ingress")
        for p in service.ports
        if p.publish_mode == "ingress" and p.published_port
        for address in up.values()
    }
    if tasks is None:
        found |= {(e.address, e.port, e.protocol, e.target_port, "host") for e in before if e.publish_mode == "host"}
    for task in tasks or ():
        status = task.get("Status") or {}
        node = str(task.get("NodeID") or "")
        if status.get("State") != "running" or task.get("DesiredState") != "running" or node not in up:
            continue
        for port in (status.get("PortStatus") or {}).get("Ports") or ():
            if port.get("PublishMode") == "host" and port.get("PublishedPort"):
                found.add((up[node], int(port["PublishedPort"]), str(port.get("Protocol") or "tcp"), int(port.get("TargetPort") or 0), "host"))
    return [Endpoint(address=a, port=port, protocol=protocol, target_port=target, publish_mode=mode) for a, port, protocol, target, mode in sorted(found)][
        :MOST
    ]


def virtual_ips(service: LiveService, view: SwarmView) -> list[VirtualIP]:
    """By network, sorted."""
    names = {network.id: network.name for network in view.networks}
    pairs = sorted((names.get(network, network), address.split("/")[0]) for network, address in service.virtual_ips if address)
    return [VirtualIP(network=network, address=address) for network, address in pairs][:MOST]
