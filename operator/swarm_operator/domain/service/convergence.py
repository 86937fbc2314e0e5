"""From tasks to "does it run": counts, and a digest of what fails.

The counting follows the Docker CLI (docker/cli `cli/command/service/progress`): of the tasks that carry the present spec, per slot (or node) the one with the lowest
desired state counts, tasks on nodes that are down do not. Unlike the CLI, a global service is measured against the nodes that it could run on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from swarm_operator.api.service import FailingTask
from swarm_operator.domain.service import placement
from swarm_operator.domain.service.compare import is_job, live_mode
from swarm_operator.domain.service.live import LiveService, iteration
from swarm_operator.domain.service.render import Json
from swarm_operator.domain.swarm import SwarmView

STATES = (
    "new",
    "allocated",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "shutdown",
    "failed",
    "rejected",
    "remove",
    "orphaned",
)
"""Task states in order (swarmkit `api/types.proto`)."""
_RANK = {state: rank for rank, state in enumerate(STATES)}
MOST_FAILING = 16


@dataclass(frozen=True)
class Convergence:
    """Tasks wanted and running. `full`: as many run as are wanted. `task_ids`: those that count as running, so that a replaced one shows. `crashed`: some task of the
    present spec has ended in failure. Of a `job` (the mode), `running` and `task_ids` are the tasks of its present run that have ended well, `active` those that run,
    `unfinished` those that run or are still to.
    `room`: how many tasks of a replicated service placement lets run at most, 0 where no node is eligible; None for no limit, or where that can't be judged."""

    desired: int
    running: int
    full: bool
    task_ids: frozenset[str] = frozenset()
    failing: tuple[FailingTask, ...] = ()
    crashed: bool = False
    no_eligible_node: bool = False
    job: bool = False
    active: int = 0
    room: int | None = None
    unfinished: int = 0


def measure(service: LiveService, view: SwarmView, current: Iterable[Json], history: Iterable[Json] = ()) -> Convergence:
    """`current` are the tasks that carry the present spec; `history` further ones whose failures are to be told (those of a spec that was rolled back)."""
    tasks = list(current)
    down = {node.id for node in view.nodes if node.state == "down"}
    if is_job(service.spec):
        return _job(service, view, tasks, history)
    is_global = live_mode(service.spec) == "global"
    leaders: dict[str, Json] = {}
    for task in tasks:
        place = str(task.get("NodeID") or "") if is_global else str(task.get("Slot") or "")
        if task.get("NodeID") in down or (is_global and not place):
            continue
        if place not in leaders or _order(task) < _order(leaders[place]):
            leaders[place] = task
    running = {place: task for place, task in leaders.items() if _desired(task) <= _RANK["running"] and _state(task) == "running"}
    failing = digest([*tasks, *history], view)
    crashed = any(_state(task) in ("failed", "rejected") for task in tasks)
    ids = frozenset(str(task["ID"]) for task in running.values())
    if is_global:
        nodes, judged = placement.eligible(view.nodes, _placement(service))
        wanted = {node.id for node in nodes}
        if not judged:  # the orchestrator knows better: nodes that it gave a task
            wanted &= {place for place, task in leaders.items() if _desired(task) <= _RANK["running"]}
        return Convergence(len(wanted), len(running.keys() & wanted), bool(wanted) and wanted <= running.keys(), ids, failing, crashed, not wanted)
    replicas = ((service.spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas")
    desired = 1 if replicas is None else int(replicas)
    room = _room(service, view)
    return Convergence(desired, len(running), len(running) == desired, ids, failing, crashed, desired > 0 and room == 0, room=room)


def _placement(service: LiveService) -> Mapping[str, Any]:
    return (service.spec.get("TaskTemplate") or {}).get("Placement") or {}


def _room(service: LiveService, view: SwarmView) -> int | None:
    wanted = _placement(service)
    nodes, judged = placement.eligible(view.nodes, wanted)
    if not judged:
        return None
    if not nodes:
        return 0
    most = int(wanted.get("MaxReplicas") or 0)
    return most * len(nodes) if most else None


def _job(service: LiveService, view: SwarmView, tasks: Iterable[Json], history: Iterable[Json]) -> Convergence:
    """A job has run when each slot (or node) of the present iteration has a task that completed; earlier runs' tasks say nothing (docker/cli `progress`)."""
    run = [t for t in tasks if service.job_iteration is None or iteration(t) == service.job_iteration]
    everywhere = live_mode(service.spec) == "global-job"
    key = "NodeID" if everywhere else "Slot"
    complete = {str(t.get(key) or "0"): str(t["ID"]) for t in run if _state(t) == "complete"}
    active = sum(1 for t in run if _state(t) == "running")
    unfinished = sum(1 for t in run if _RANK[_state(t)] < _RANK["complete"] and _desired(t) <= _RANK["complete"])
    crashed = any(_state(t) in ("failed", "rejected") for t in run)
    failing, ids = digest([*run, *history], view), frozenset(complete.values())
    if everywhere:
        nodes, judged = placement.eligible(view.nodes, _placement(service))
        given = {str(t.get("NodeID") or "") for t in run} - {""}
        # Nodes that came later are not part of the run: those that were given a task are, and before any was, those that should be.
        wanted = given if given or not judged else {node.id for node in nodes}
        return Convergence(
            len(wanted), len(complete), bool(wanted) and wanted <= complete.keys(), ids, failing, crashed, not wanted, True, active, unfinished=unfinished
        )
    mode = (service.spec.get("Mode") or {}).get("ReplicatedJob") or {}
    concurrent = mode.get("MaxConcurrent")
    total = mode.get("TotalCompletions")
    desired = int(total if total is not None else 1 if concurrent is None else concurrent)
    return Convergence(desired, len(complete), len(complete) >= desired, ids, failing, crashed, False, True, active, unfinished=unfinished)


def digest(tasks: Iterable[Json], view: SwarmView) -> tuple[FailingTask, ...]:
    """Tasks that failed, were rejected, or wait for a stated reason, grouped by node, state and the engine's error; the most frequent first."""
    hostnames: Mapping[str, str] = {node.id: node.hostname for node in view.nodes}
    groups: Counter[tuple[str, str, str]] = Counter()
    for task in tasks:
        status = task.get("Status") or {}
        state, error = _state(task), str(status.get("Err") or "")
        waiting = error and _RANK[state] < _RANK["running"] and _desired(task) <= _RANK["running"]
        if state in ("failed", "rejected") or waiting:
            node = str(task.get("NodeID") or "")
            groups[(hostnames.get(node, node)[:255], state, error[:1024])] += 1
    ranked = sorted(groups.items(), key=lambda item: (-item[1], item[0]))[:MOST_FAILING]
    return tuple(FailingTask(node=node, state=state, error=error, count=count) for (node, state, error), count in ranked)


def _state(task: Json) -> str:
    state = str((task.get("Status") or {}).get("State") or "new")
    return state if state in _RANK else "new"


def _desired(task: Json) -> int:
    return _RANK.get(str(task.get("DesiredState") or "running"), _RANK["running"])


def _order(task: Json) -> tuple[int, int]:
    return _desired(task), _RANK[_state(task)]
