"""Whether the tasks of a replicated service are spread anew after its nodes have changed (opt-in, `spec.rebalance`). Pure.

The engine never moves a task that runs: a node that returns or joins stays empty until something else replaces tasks. The only way that it offers is to replace all of them
(TaskTemplate.ForceUpdate), one batch of updateConfig after the other; the scheduler gives each new task to the node (or branch of a spread preference) that has the fewest of the
service (swarmkit `manager/scheduler`). Since that costs every task a restart it is done at most once per change of the set of nodes, whatever comes of it: the token of the change
goes into a label with the very update that restarts, so that neither a crash nor a lost status repeats it.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from swarm_operator.api.schedule import RebalanceStatus
from swarm_operator.domain.ownership import SERVICE_LABEL_REBALANCED
from swarm_operator.domain.service import placement
from swarm_operator.domain.service.convergence import Convergence
from swarm_operator.domain.service.decision import Subject
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.render import Json
from swarm_operator.domain.swarm import Node, SwarmView
from swarm_operator.engine.clock import rfc3339

HASH_DIGITS: Final = 12
LARGEST: Final = 200_000
"""Tasks times nodes up to which the scheduler's choices are gone through one by one."""


@dataclass(frozen=True)
class Watch:
    """`status`: which set of nodes is there and since when. `nodes`: that set, None where it can't be told. `due`: the change is to be judged. `wait`: seconds until it is."""

    status: RebalanceStatus | None = None
    nodes: tuple[Node, ...] | None = None
    due: bool = False
    wait: float | None = None


@dataclass(frozen=True)
class Judgement:
    """`document`: the ServiceSpec that spreads the tasks anew, None where nothing is to be done."""

    status: RebalanceStatus | None
    document: Json | None = None
    message: str = ""


def watch(subject: Subject, own: LiveService, view: SwarmView, now: datetime) -> Watch:
    """What became of the set of eligible nodes. A set that was left for a short while and came back is a change as well: its tasks have moved meanwhile."""
    spec, before = subject.spec.rebalance, subject.status.rebalance
    if spec is None:
        return Watch()
    nodes = _nodes(own, view)
    if nodes is None:
        return Watch(before)
    found = hashlib.sha256(" ".join(sorted(node.id for node in nodes)).encode()).hexdigest()[:HASH_DIGITS]
    status = before
    if status is None or status.nodes != found:
        status = RebalanceStatus(nodes=found, since=rfc3339(now))
        if before is not None:
            status = status.model_copy(update={"rebalanced_at": before.rebalanced_at, "skew": before.skew})
        elif own.labels.get(SERVICE_LABEL_REBALANCED, "").split(" ")[0] == found:
            status = status.model_copy(update={"judged_at": rfc3339(now)})  # the status is lost: the service tells that it was done for these nodes
    if status.judged_at is not None or subject.spec.paused or subject.pinned.status == "True":
        return Watch(status, nodes)
    left = spec.settle_seconds - (now - datetime.fromisoformat(status.since)).total_seconds()
    return Watch(status, nodes, due=left <= 0, wait=max(0.2, left))


def judge(
    subject: Subject, own: LiveService, watched: Watch, tasks: Iterable[Json] | None, measured: Convergence | None, now: datetime, *, quiet: bool
) -> Judgement:
    """`quiet`: no update is under way or stuck, and as many tasks run as are wanted. `tasks` None: not read."""
    spec, status = subject.spec.rebalance, watched.status
    if spec is None or status is None or watched.nodes is None or tasks is None or measured is None or not (quiet and measured.full):
        return Judgement(status)
    running = [task for task in tasks if str(task["ID"]) in measured.task_ids]
    skew = spread(own, watched.nodes, running)
    if skew is None:
        return Judgement(status)
    status = status.model_copy(update={"skew": skew})
    if not watched.due:
        return Judgement(status)
    token, at = f"{status.nodes} {status.since}", rfc3339(now)
    status = status.model_copy(update={"judged_at": at, "message": ""})
    if own.labels.get(SERVICE_LABEL_REBALANCED) == token:
        return Judgement(status.model_copy(update={"rebalanced_at": at}))  # it was, and the status could not be written
    if skew < spec.min_skew:
        return Judgement(status)
    if (expected := predict(own, watched.nodes, running)) >= skew:
        return Judgement(
            status.model_copy(update={"message": f"left as it is: as updateConfig rolls, a difference of {skew} tasks could become one of {expected}"})
        )
    document = copy.deepcopy(own.spec)
    template = document.setdefault("TaskTemplate", {})
    template["ForceUpdate"] = int(template.get("ForceUpdate") or 0) + 1
    document["Labels"] = {**(document.get("Labels") or {}), SERVICE_LABEL_REBALANCED: token}
    message = f"the nodes have changed, and one has {skew} tasks more than another; all tasks are replaced, as updateConfig says, to be spread anew"
    return Judgement(status.model_copy(update={"rebalanced_at": at}), document, message)


def spread(own: LiveService, nodes: Sequence[Node], running: Iterable[Json]) -> int | None:
    """By how many tasks the most loaded of `nodes` exceeds the least loaded one that has room, as the scheduler would have it: with spread preferences, branches are compared
    with branches of the same level, and nodes within the last. None where a task runs elsewhere (a paused node keeps its tasks, and shall) or a label is not known."""
    wanted = _placement(own)
    counts = Counter(str(task.get("NodeID") or "") for task in running)
    keys = _keys(wanted)
    if not counts.keys() <= {node.id for node in nodes} or any(key.startswith("engine.") and node.engine_labels is None for key in keys for node in nodes):
        return None
    return _skew(nodes, counts, int(wanted.get("MaxReplicas") or 0), keys)


def predict(own: LiveService, nodes: Sequence[Node], running: Sequence[Json]) -> int:
    """The skew that replacing all tasks may leave at worst. With start-first an old task still counts on its node while the scheduler looks for a place for the new one: of two nodes with
    2 and 0 tasks, or with all replaced at once, loads are merely exchanged. With stop-first it comes out even (swarmkit `orchestrator/update`; both seen on a real engine)."""
    config, wanted = own.spec.get("UpdateConfig"), _placement(own)
    batch = (1 if config is None else int(config.get("Parallelism") or 0)) or max(1, len(running))
    start_first = config is not None and config.get("Order") == "start-first"
    most, keys = int(wanted.get("MaxReplicas") or 0), _keys(wanted)
    if len(running) * len(nodes) > LARGEST:
        return batch + 1 if start_first else 1  # by so much it can go too far
    slots = [str(task.get("NodeID") or "") for task in sorted(running, key=lambda task: int(task.get("Slot") or 0))]
    loads = Counter(slots)
    fullest = sorted(slots, key=lambda node: (-loads[node], node))
    orders = (slots, slots[::-1], fullest, fullest[::-1])  # the engine replaces them in no order that it tells
    return max(_rolled(nodes, order, batch, start_first, most, keys) for order in orders)


def _rolled(nodes: Sequence[Node], olds: Sequence[str], batch: int, start_first: bool, most: int, keys: Sequence[str]) -> int:
    """`olds`: the node of each task, in the order in which they are replaced. Of nodes that are alike the one that had fewest gets the new task: it has room."""
    labels = {node.id: [_label(node, key) for key in keys] for node in nodes}
    paths: dict[str, list[tuple[str, ...]]] = {name: [*(tuple(path[: i + 1]) for i in range(len(path))), (*path, name, "")] for name, path in labels.items()}
    before, now = Counter(olds), Counter(prefix for old in olds for prefix in paths[old])
    for start in range(0, len(olds), batch):
        leaving = olds[start : start + batch]
        for step in ("start", "stop") if start_first else ("stop", "start"):
            for old in leaving:
                if step == "stop":
                    now.subtract(paths[old])
                    continue
                free = [name for name, path in paths.items() if not most or now[path[-1]] < most]
                if not free:
                    return len(olds)  # the update would wait for room for ever
                now.update(paths[min(free, key=lambda name: ([now[prefix] for prefix in paths[name]], before[name], name))])
    return _skew(nodes, {name: now[path[-1]] for name, path in paths.items()}, most, keys)


def _skew(nodes: Sequence[Node], counts: Mapping[str, int], most: int, keys: Sequence[str]) -> int:
    """`most`: tasks per node, 0 for no limit. `keys`: labels to spread over, the first first."""
    if not nodes:
        return 0
    if not keys:
        groups = [[node] for node in nodes]
    else:
        by_value: dict[str, list[Node]] = {}
        for node in nodes:
            by_value.setdefault(_label(node, keys[0]), []).append(node)
        groups = list(by_value.values())
    loads = [(sum(counts.get(node.id, 0) for node in group), len(group)) for group in groups]
    highest = max(load for load, _ in loads)
    lowest = min((load for load, size in loads if not most or load < most * size), default=highest)
    below = [_skew(group, counts, most, keys[1:]) for group in groups] if keys else []
    return max(highest - lowest, *below, 0)


def _keys(wanted: Mapping[str, Any]) -> list[str]:
    """The labels of the spread preferences; the engine ignores others."""
    keys = [str((p.get("Spread") or {}).get("SpreadDescriptor") or "") for p in wanted.get("Preferences") or ()]
    return [key for key in keys if key.startswith(("node.labels.", "engine.labels."))]


def _label(node: Node, key: str) -> str:
    """A node without the label is in a branch of its own, that of the empty value."""
    if key.startswith("node.labels."):
        return node.labels.get(key.removeprefix("node.labels."), "")
    return (node.engine_labels or {}).get(key.removeprefix("engine.labels."), "")


def _nodes(own: LiveService, view: SwarmView) -> tuple[Node, ...] | None:
    """The eligible nodes; None while the state of some node is not known (after a change of the leader, of all of them) or placement can't be judged."""
    if any(node.state not in ("ready", "down") for node in view.nodes):
        return None
    nodes, judged = placement.eligible(view.nodes, _placement(own))
    return nodes if judged else None


def _placement(own: LiveService) -> Mapping[str, Any]:
    return (own.spec.get("TaskTemplate") or {}).get("Placement") or {}
