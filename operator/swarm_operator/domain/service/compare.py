"""Semantic difference between what we want and a live raw ServiceSpec, and the smallest patch that removes it.

The patch starts from the live spec and replaces only leaves that differ in meaning. Everything else keeps its live representation (absent or empty, order), because the
engine compares task templates structurally: a nil that becomes an explicit default restarts every task (swarmkit `orchestrator.IsTaskDirty`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from swarm_operator.domain.ownership import SERVICE_LABEL_RESTARTED, SERVICE_LABEL_SCHEDULED
from swarm_operator.domain.service.canonical import Canon, Raw
from swarm_operator.domain.service.leaves import LEAVES, Leaf
from swarm_operator.domain.service.render import Desired, Json


@dataclass(frozen=True)
class Change:
    """One leaf that differs. `text` names it and, where that can hold no secret, says live -> desired. `restarts`: putting it right replaces tasks."""

    name: str
    text: str
    restarts: bool


@dataclass(frozen=True)
class Diff:
    """All differences; false where there are none. `mode` is set where the live service has another mode, which no update can change."""

    changes: tuple[Change, ...] = ()
    mode: str | None = None

    def __bool__(self) -> bool:
        return bool(self.changes) or self.mode is not None

    @property
    def restarts(self) -> bool:
        """Whether putting it right replaces tasks."""
        return any(change.restarts for change in self.changes)

    @property
    def texts(self) -> list[str]:
        """One line per difference."""
        head = [f"mode is {self.mode}"] if self.mode is not None else []
        return head + [change.text for change in self.changes]


def live_mode(spec: Json) -> str:
    """The mode of a raw spec, in the CLI's words; a spec without one is replicated."""
    mode = spec.get("Mode") or {}
    for key, name in (("Global", "global"), ("ReplicatedJob", "replicated-job"), ("GlobalJob", "global-job")):
        if mode.get(key) is not None:
            return name
    return "replicated"


_MODES: Final[dict[str, Json]] = {
    "replicated": {"Replicated": {"Replicas": 1}},
    "global": {"Global": {}},
    "replicated-job": {"ReplicatedJob": {}},
    "global-job": {"GlobalJob": {}},
}
"""Mode of a new service before its numbers are put in."""


def is_job(spec: Json) -> bool:
    """Whether a raw spec is a job's: one that the engine runs again on every update, whatever it changes (swarmkit `manager/controlapi/service.go`, JobIteration)."""
    return live_mode(spec).endswith("-job")


def compare(desired: Desired, live: Json, applied_labels: Iterable[str] = ()) -> Diff:
    """What differs in meaning. `applied_labels` are the label keys that we set before: those that left the manifest are removed, all others on the service are kept."""
    mode = live_mode(live)
    changes = [
        Change(leaf.name, _describe(leaf, leaf.canonical(_get(live, leaf.path)), leaf.canonical(desired.leaves[leaf.name])), leaf.restarts)
        for leaf in LEAVES
        if _differs(leaf, desired, live)
    ]
    put, drop = _label_changes(desired, live, applied_labels)
    changes += [Change("labels", f"labels[{key}]", False) for key in sorted({*put, *drop} - {SERVICE_LABEL_RESTARTED, SERVICE_LABEL_SCHEDULED})]
    if SERVICE_LABEL_RESTARTED in put:
        changes.append(Change("restartedAt", f"restart asked for: {put[SERVICE_LABEL_RESTARTED]}", True))
    if SERVICE_LABEL_SCHEDULED in put:
        changes.append(Change("schedule", f"run of {put[SERVICE_LABEL_SCHEDULED]}", True))
    return Diff(tuple(changes), None if mode == desired.mode else mode)


def patch(desired: Desired, live: Json, applied_labels: Iterable[str] = ()) -> Json:
    """The live spec with every differing leaf replaced; equal to `live` where nothing differs. The argument is not changed."""
    out = copy.deepcopy(live)
    for leaf in LEAVES:
        if _differs(leaf, desired, live):
            _put(out, leaf, desired.leaves[leaf.name])
    put, drop = _label_changes(desired, live, applied_labels)
    if put or drop:
        labels = {key: value for key, value in (out.get("Labels") or {}).items() if key not in drop}
        out["Labels"] = {**labels, **put}
    if SERVICE_LABEL_RESTARTED in put:
        # A counter that the CLI's --force raises too; never lowered, for that would be a restart as well.
        template = out.setdefault("TaskTemplate", {})
        template["ForceUpdate"] = int(template.get("ForceUpdate") or 0) + 1
    return out


def creation(desired: Desired) -> Json:
    """The ServiceSpec to create: only what the manifest says, so that the engine's defaults stay defaults."""
    out: Json = {
        "Name": desired.service_name,
        "Labels": dict(desired.labels),
        "TaskTemplate": {"ContainerSpec": {}},
        "Mode": copy.deepcopy(_MODES[desired.mode]),
    }
    for leaf in LEAVES:
        if desired.leaves.get(leaf.name) is not None:
            _put(out, leaf, desired.leaves[leaf.name])
    return out


def _differs(leaf: Leaf, desired: Desired, live: Json) -> bool:
    if leaf.name not in desired.leaves:
        return False
    if leaf.path[0] == "Mode" and live_mode(live) != desired.mode:
        return False
    want = leaf.canonical(desired.leaves[leaf.name])
    return bool(leaf.align(leaf.canonical(_get(live, leaf.path)), want) != want)


def _label_changes(desired: Desired, live: Json, applied_labels: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    have: dict[str, str] = live.get("Labels") or {}
    put = {key: value for key, value in desired.labels.items() if have.get(key) != value}
    return put, {key for key in applied_labels if key in have and key not in desired.labels}


def _get(spec: Json, path: tuple[str, ...]) -> Raw:
    value: Any = spec
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _put(spec: Json, leaf: Leaf, value: Raw) -> None:
    """Set or, for None, delete the leaf in place; parents are made only where there is something to set."""
    *parents, last = leaf.path
    here = spec
    for key in parents:
        child = here.get(key)
        if not isinstance(child, dict):
            if value is None:
                return
            child = here[key] = {}
        here = child
    if value is None:
        here.pop(last, None)
    elif leaf.merge and isinstance(here.get(last), dict):
        here[last] = {**here[last], **copy.deepcopy(value)}
    else:
        here[last] = copy.deepcopy(value)


def _describe(leaf: Leaf, live: Canon, desired: Canon) -> str:
    if leaf.shown:
        return f"{leaf.name} {live or repr(live)} -> {desired or repr(desired)}"
    if isinstance(live, dict) and isinstance(desired, dict):
        keys = sorted(key for key in {*live, *desired} if live.get(key, leaf) != desired.get(key, leaf))
        if leaf.merge:
            return ", ".join(f"{leaf.name}.{key[0].lower()}{key[1:]} {live[key]} -> {desired[key]}" for key in keys)
        return f"{leaf.name}[{', '.join(keys)}]"
    return leaf.name
