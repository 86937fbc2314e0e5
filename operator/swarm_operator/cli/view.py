"""`kubectl swarm status` as text: a tree of each cluster, its machines and its services.

Pure: objects as the API server holds them go in, lines come out. Does not: read anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Json = Mapping[str, Any]

_CODES: Final = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}
_NORMAL_TRUE: Final = ("Ready",)
_SHOWN_WHEN_TRUE: Final = (
    *("Reconciling", "Stalled", "Paused", "DeletionBlocked", "Drifted", "Pinned"),
    *("RolloutHalted", "SpreadDegraded", "CredentialsExpiring", "OrphansFound"),
)
"""Conditions that are worth a line only while they are True."""
_PHASES: Final = {"Ready": "green", "Down": "red", "Failed": "red"}


SHOWN_REMAINING: Final = 5
"""Of the objects that a deletion has still to remove."""


class Style:
    """Colours by ANSI codes (ECMA-48, SGR), or none."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, name: str, text: str) -> str:
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self._colour else text


def tree(
    clusters: Iterable[Json], services: Iterable[Json], style: Style, *, wide: bool = False, stacks: Iterable[Json] = (), pools: Iterable[Json] = ()
) -> str:
    """All clusters, each with the pools, stacks and services that name it; those without a cluster come last."""
    by_cluster: dict[tuple[str, str], list[list[str]]] = {}
    kinds = ((pools, _pool), (stacks, _stack), (services, _service))
    for item, lines_of in [(item, lines_of) for items, lines_of in kinds for item in sorted(items, key=_name)]:
        by_cluster.setdefault((_name(item)[0], item["spec"]["clusterRef"]["name"]), []).append(lines_of(item, style))
    lines: list[str] = []
    for cluster in sorted(clusters, key=_name):
        lines += _cluster(cluster, by_cluster.pop(_name(cluster), []), style, wide)
    for (namespace, name), left in sorted(by_cluster.items()):
        lines.append(style("red", f"SwarmCluster {namespace}/{name}: not there"))
        lines += _branches(left, style)
    return "".join(line + "\n" for line in lines)


def _cluster(cluster: Json, runs: list[list[str]], style: Style, wide: bool) -> list[str]:
    status = cluster.get("status") or {}
    namespace, name = _name(cluster)
    head = f"{style('bold', f'SwarmCluster {namespace}/{name}')}  {_readiness(cluster, style)}"
    facts = [f"managers {_summary(status, 'managers')}", f"workers {_summary(status, 'workers')}"]
    facts += [f"{label} {status[field]}" for label, field in (("engine", "engineVersion"), ("endpoint", "endpoint")) if status.get(field)]
    branches = [["  ".join(facts)], *([line] for line in _conditions(status, style))]
    branches += [[line] for line in _under_way(status, style)]
    branches += [_machine(machine, style, wide) for machine in sorted(status.get("nodes") or [], key=_machine_order)]
    branches += runs
    orphans = status.get("orphans") or []
    if orphans:
        branches.append([style("yellow", f"{len(orphans)} orphan(s) in the cloud: ") + ", ".join(f"{orphan['kind']} {orphan['id']}" for orphan in orphans[:5])])
    return [head, *_branches(branches, style)]


def _under_way(status: Json, style: Style) -> list[str]:
    """What takes its time and is no condition: a deletion, a takeover, a rollout, a rotation of the CA, managers without the key in force."""
    adoption, rollout, authority, lock, deletion = (status.get(field) or {} for field in ("adoption", "rollout", "authority", "autolock", "deletion"))
    lines = []
    if deletion:
        named = ", ".join(f"{left['kind']} {left.get('name') or left['id']}" for left in (deletion.get("remaining") or [])[:SHOWN_REMAINING])
        more = ", ..." if deletion.get("count", 0) > SHOWN_REMAINING else ""
        lines.append(f"{style('yellow', 'deletion')} {deletion['stage']}: {deletion.get('count', 0)} object(s) left  {named}{more}".rstrip())
    if adoption.get("state") == "Observing":
        found = f"{adoption.get('managers', 0)} manager(s), {adoption.get('workers', 0)} worker(s) found"
        lines.append(f"{style('yellow', 'takeover')} nothing is changed: {adoption.get('message') or found}")
    if rollout.get("state", "Complete") != "Complete":
        counts = f"{rollout.get('updated', 0)} machine(s) as declared, {rollout.get('outdated', 0)} not"
        lines.append(f"{style('yellow', 'rollout')} {rollout['state']}: {counts}  {rollout.get('message', '')}".rstrip())
    if authority.get("rotating"):
        lines.append(f"{style('yellow', 'CA is rotated')} {authority.get('nodesRenewed', 0)} of {authority.get('nodesTotal', 0)} nodes have new certificates")
    if lock.get("unconfirmed"):
        lines.append(f"{style('yellow', 'unlock key')} not confirmed by {', '.join(lock['unconfirmed'])}")
    return lines


def _machine_order(machine: Json) -> tuple[str, str, int]:
    return machine["role"], machine.get("pool") or "", machine["slot"]


def _machine(machine: Json, style: Style, wide: bool) -> list[str]:
    phase = machine["phase"]
    addresses = [machine[field] for field in ("address", "floatingIP") if machine.get(field)]
    outdated = style("yellow", "outdated") if machine.get("upToDate") is False else ""
    parts = (f"{machine['role'].lower()} {machine['name']}", style(_PHASES.get(phase, "yellow"), phase), " ".join(addresses), outdated)
    line = "  ".join(part for part in parts if part)
    lines = [line]
    if wide:
        ids = [
            f"{label} {machine[field]}"
            for label, field in (("server", "serverID"), ("node", "nodeID"), ("engine", "engineVersion"), ("zone", "availabilityZone"))
            if machine.get(field)
        ]
        lines.append(style("dim", "  ".join([*ids, f"since {machine['phaseSince']}"])))
    repair = machine.get("remediation")
    if repair:
        lines.append(style("yellow", f"last repair {repair['rung']} at {repair['since']}, {repair.get('attempts', 1)} attempt(s)"))
    if machine.get("message"):
        lines.append(style("dim", machine["message"]))
    return lines


def _service(service: Json, style: Style) -> list[str]:
    status = service.get("status") or {}
    lines = [
        f"service {_name(service)[1]}  {_readiness(service, style)}  {_summary(status, 'replicas')}  {style('dim', service['spec'].get('image', ''))}".rstrip()
    ]
    lines += _conditions(status, style)
    if status.get("drift"):
        lines.append(style("yellow", "drift: ") + ", ".join(status["drift"]))
    for task in status.get("failingTasks") or []:
        lines.append(style("red", f"{task.get('count', 1)} task(s) {task['state']}") + f" on {task.get('node') or 'no node'}: {task.get('error', '')}")
    return lines


def _pool(pool: Json, style: Style) -> list[str]:
    status = pool.get("status") or {}
    lines = [f"pool {_name(pool)[1]}  {_readiness(pool, style)}  workers {status.get('summary', '0/0')}"]
    lines += _conditions(status, style)
    return lines + ([style("dim", status["why"])] if status.get("why") else [])


def _stack(stack: Json, style: Style) -> list[str]:
    status = stack.get("status") or {}
    lines = [f"stack {_name(stack)[1]}  {_readiness(stack, style)}  services {_summary(status, 'services')}"]
    lines += _conditions(status, style)
    lines += [f"{style('yellow', network['name'])}: {network['message']}" for network in status.get("networks") or [] if network.get("message")]
    return lines + [style("dim", f"warning: {warning}") for warning in status.get("warnings") or []]


def _readiness(item: Json, style: Style) -> str:
    if item["metadata"].get("deletionTimestamp"):
        return style("yellow", "Deleting")
    ready = next((found for found in (item.get("status") or {}).get("conditions") or [] if found["type"] == "Ready"), None)
    if ready is None:
        return style("yellow", "not seen by the operator yet")
    if (item.get("status") or {}).get("observedGeneration") != item["metadata"].get("generation"):
        return style("yellow", "the last change is not seen by the operator yet")
    if ready["status"] == "True":
        return style("green", "Ready")
    return style("red" if ready["status"] == "False" else "yellow", f"not ready: {ready['reason']}")


def _conditions(status: Json, style: Style) -> list[str]:
    """Those that say more than Ready: what is going on, and what is wrong."""
    lines: list[str] = []
    said = set()
    # Ready says the same as the condition that it sums up; the other goes first.
    for condition in sorted(status.get("conditions") or [], key=lambda found: found["type"] in _NORMAL_TRUE):
        kind, value = condition["type"], condition["status"]
        wrong = value == "True" if kind in _SHOWN_WHEN_TRUE else value != "True" and kind in _NORMAL_TRUE
        text = f"{condition['reason']}: {condition.get('message', '')}"
        if wrong and (kind not in _NORMAL_TRUE or text not in said):
            said.add(text)
            lines.append(f"{style('red' if kind in ('Stalled', 'DeletionBlocked') else 'yellow', kind)} {text}")
    return lines


def _summary(status: Json, field: str) -> str:
    return str((status.get(field) or {}).get("summary", "0/0"))


def _name(item: Json) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _branches(branches: list[list[str]], style: Style) -> Iterator[str]:
    for number, (first, *rest) in enumerate(branches, 1):
        last = number == len(branches)
        yield style("dim", "└─ " if last else "├─ ") + first
        for line in rest:
            yield style("dim", "      " if last else "│     ") + line
