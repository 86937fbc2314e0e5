"""What tasks need of nodes: placement and reservations, and which of them wait for a node. Pure.

Source: swarmkit `manager/scheduler/scheduler.go`: a task that fits nowhere stays `pending` with the error "no suitable node (…)", and a node's room is what its engine has
(Description.Resources) less the reservations of the tasks that it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.domain.service.placement import eligible
from swarm_operator.domain.swarm import Node

NO_NODE: Final = "no suitable node"
_OVER: Final = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
_WANTED: Final = frozenset({"running", "ready", "complete"})


@dataclass(frozen=True)
class TaskNeed:
    """One task that shall run. `node`: where; "" while it waits, and `why` is then what the scheduler says. `cpus` in billionths, `memory` in bytes. `everywhere`: of a
    global service, whose tasks belong to their nodes. `fixed`: it can't be known that another node would take it (a port of the host)."""

    service: str
    node: str = ""
    cpus: int = 0
    memory: int = 0
    placement: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    everywhere: bool = False
    fixed: bool = False

    @property
    def most_on_a_node(self) -> int:
        """0: no limit."""
        return int(self.placement.get("MaxReplicas") or 0)


@dataclass(frozen=True)
class Workload:
    """All tasks that shall run."""

    tasks: tuple[TaskNeed, ...] = ()

    @property
    def waiting(self) -> tuple[TaskNeed, ...]:
        """Those for which the scheduler finds no node."""
        return tuple(t for t in self.tasks if not t.node and not t.everywhere and t.why.startswith(NO_NODE))

    def on(self, node_id: str) -> tuple[TaskNeed, ...]:
        """Those of a node that would have to go elsewhere."""
        return tuple(t for t in self.tasks if t.node == node_id and not t.everywhere)


def workload(services: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]]) -> Workload:
    """Of raw `GET /services` and `GET /tasks`."""
    known = {str(s.get("ID")): s.get("Spec") or {} for s in services}
    found = []
    for task in tasks:
        status = task.get("Status") or {}
        spec = known.get(str(task.get("ServiceID")))
        if spec is None or status.get("State") in _OVER or task.get("DesiredState") not in _WANTED:
            continue
        template = task.get("Spec") or {}
        reserved = (template.get("Resources") or {}).get("Reservations") or {}
        node = str(task.get("NodeID") or "")
        found.append(
            TaskNeed(
                service=str(spec.get("Name") or task.get("ServiceID")),
                node=node,
                cpus=int(reserved.get("NanoCPUs") or 0),
                memory=int(reserved.get("MemoryBytes") or 0),
                placement=template.get("Placement") or {},
                why=str(status.get("Err") or "") if not node and status.get("State") == "pending" else "",
                everywhere=any(mode in (spec.get("Mode") or {}) for mode in ("Global", "GlobalJob")),
                fixed=any(p.get("PublishMode") == "host" for p in (spec.get("EndpointSpec") or {}).get("Ports") or ()),
            )
        )
    return Workload(tuple(found))


class Room:
    """What is left on some nodes; `place` takes of it. A node that does not tell what it has (0) has room for nothing that reserves."""

    def __init__(self, nodes: Iterable[Node], tasks: Iterable[TaskNeed]) -> None:
        self._nodes = list(nodes)
        self._cpus = {n.id: n.cpus for n in self._nodes}
        self._memory = {n.id: n.memory for n in self._nodes}
        self._count: dict[tuple[str, str], int] = {}
        for task in tasks:
            if task.node in self._cpus:
                self._take(task, task.node)

    def add(self, node: Node) -> None:
        """One more node."""
        self._nodes.append(node)
        self._cpus[node.id], self._memory[node.id] = node.cpus, node.memory

    def place(self, task: TaskNeed) -> bool:
        """Whether a node takes the task: the first that may and can."""
        for node in eligible(self._nodes, task.placement)[0]:
            full = task.most_on_a_node and self._count.get((task.service, node.id), 0) >= task.most_on_a_node
            if not full and task.cpus <= self._cpus[node.id] and task.memory <= self._memory[node.id]:
                self._take(task, node.id)
                return True
        return False

    def _take(self, task: TaskNeed, node_id: str) -> None:
        self._cpus[node_id] -= task.cpus
        self._memory[node_id] -= task.memory
        self._count[(task.service, node_id)] = self._count.get((task.service, node_id), 0) + 1
