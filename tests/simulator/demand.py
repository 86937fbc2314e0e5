"""Tasks that reserve something, and a scheduler that gives them to nodes with room: as swarmkit, one after the other, pending with its words where none has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from swarm_operator.domain.service.placement import eligible
from swarm_operator.domain.swarm import Node

NODE_CPUS = 2_000_000_000
NODE_MEMORY = 4 << 30


@dataclass
class SimDemand:
    """One task of a service of its own."""

    name: str
    cpus: int = 0
    constraints: tuple[str, ...] = ()
    node: str = ""

    @property
    def placement(self) -> dict[str, Any]:
        return {"Constraints": list(self.constraints)}


def schedule(demands: Iterable[SimDemand], nodes: Iterable[Node]) -> None:
    """A task leaves a node that is drained or gone; one without a node is given the first that has room."""
    known = {n.id: n for n in nodes}
    tasks = list(demands)
    for task in tasks:
        node = known.get(task.node)
        if node is None or node.state != "ready" or node.availability != "active":
            task.node = ""
    for task in tasks:
        if task.node:
            continue
        for node in eligible(known.values(), task.placement)[0]:
            if sum(t.cpus for t in tasks if t.node == node.id) + task.cpus <= NODE_CPUS:
                task.node = node.id
                break


def raw_services(demands: Iterable[SimDemand]) -> list[dict[str, Any]]:
    return [{"ID": d.name, "Spec": {"Name": d.name, "Mode": {"Replicated": {"Replicas": 1}}}} for d in demands]


def raw_tasks(demands: Iterable[SimDemand]) -> list[dict[str, Any]]:
    return [
        {
            "ServiceID": d.name,
            "NodeID": d.node,
            "DesiredState": "running",
            "Status": {"State": "running"} if d.node else {"State": "pending", "Err": "no suitable node (insufficient resources on 1 node)"},
            "Spec": {"Resources": {"Reservations": {"NanoCPUs": d.cpus}}, "Placement": d.placement},
        }
        for d in demands
    ]
