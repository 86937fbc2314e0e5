"""How many tasks of its services a node carries, and whether it may be drained: services keep what they need.

Swarm drains a node at once: all its tasks are stopped and started elsewhere (swarmkit, manager/orchestrator/restart), so a service is short of the node's tasks for as long as that takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from swarm_operator.domain.facts import Fact, Known

FLOOR_LABEL: Final = "swarmops.io/min-running"
"""Label of a service: how many of its tasks must run. No node is drained by choice (`drains`) that would take it below, however long that takes."""


@dataclass(frozen=True)
class ServiceLoad:
    """A replicated service. `running`: its running tasks by node id. `floor`: what its label FLOOR_LABEL says, None without one."""

    name: str
    desired: int
    running: Mapping[str, int]
    floor: int | None = None

    @property
    def total(self) -> int:
        """Running tasks, wherever they are."""
        return sum(self.running.values())


def loads(services: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]]) -> tuple[ServiceLoad, ...]:
    """Of raw `GET /services` and `GET /tasks`; global services and jobs have no floor: their tasks belong to a node, or end by themselves."""
    running: dict[str, Counter[str]] = {}
    for task in tasks:
        if task.get("DesiredState") == "running" and (task.get("Status") or {}).get("State") == "running" and task.get("NodeID"):
            running.setdefault(str(task.get("ServiceID")), Counter())[str(task["NodeID"])] += 1
    found = []
    for service in services:
        spec = service.get("Spec") or {}
        replicated = (spec.get("Mode") or {}).get("Replicated")
        if replicated is not None:
            identity, label = str(service.get("ID")), (spec.get("Labels") or {}).get(FLOOR_LABEL, "")
            floor = int(label) if str(label).isdigit() else None
            desired = int(replicated.get("Replicas", 1))
            found.append(ServiceLoad(str(spec.get("Name") or identity), desired, dict(running.get(identity, Counter())), floor))
    return tuple(sorted(found, key=lambda load: load.name))


def refusal(found: Fact[tuple[ServiceLoad, ...]], node_id: str, *, patient: bool, stopping: Collection[str] = ()) -> str:
    """Why the node may not be drained now; "" where it may. `patient`: services that have a task there must be complete; else only floors count. `stopping`: ids of the
    other nodes whose tasks are about to stop: a floor does not stand on them."""
    if not isinstance(found, Known):
        return f"the services are not known: {found.message}"
    for load in found.value:
        here = load.running.get(node_id, 0)
        if not here:
            continue
        total = sum(count for node, count in load.running.items() if node == node_id or node not in stopping)
        if load.floor is not None and total - here < load.floor:
            return f"service {load.name} has {total} tasks running, {here} of them there, and must keep {load.floor}"
        if patient and load.total < load.desired:
            return f"service {load.name} has {load.total} of {load.desired} tasks running"
    return ""
