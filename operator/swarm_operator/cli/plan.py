"""`kubectl swarm plan`: what the operator would do next, for objects as they are or as a manifest would make them.

The operator's own observation and decision, run with the user's login: it reads what the operator reads (Secrets, cloud, managers, guests) and writes nothing. `domain` makes the
plan, `controllers.planner` runs it, here it becomes words.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from swarm_operator.api.base import API_VERSION
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.parse import SpecError
from swarm_operator.api.reasons import Reason
from swarm_operator.cli import output
from swarm_operator.cli.context import PLURALS, Context, Json, target, wrong
from swarm_operator.cli.report import cleaned
from swarm_operator.cli.view import Style
from swarm_operator.controllers.planner import ClusterLook
from swarm_operator.domain.cluster.rollout_report import MachineChange
from swarm_operator.domain.cluster.steps import Step
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.service.decision import Create, Prepare, Prune, ServicePlan, Update
from swarm_operator.ports.objects import Key, Kind, Resource

KINDS: Final[dict[str, Kind]] = {"cluster": "SwarmCluster", "service": "SwarmService"}
PENDING: Final = 3
"""Exit status with --exit-code where there is something to do."""
_STOPS_TASKS: Final = ("new server", "engine restart")
"""Changes of a machine for which its node is drained."""
_NOT_SHOWN: Final = ("machine", "machine_uid", "evidence", "missing")
"""Fields of steps that the step's subject tells, or that only the engine needs."""
_TAKES_AWAY: Final = re.compile(r"^(Delete|Detach|Remove|ReleaseFloatingIP|Drain|Demote|Repair|Preserve|Prune|Recover|Restart|Restore)")


class Planner(Protocol):
    """`controllers.planner.Planner`."""

    def cluster(self, resource: Resource) -> ClusterLook: ...
    def service(self, resource: Resource, cluster: Resource | None) -> ServicePlan: ...


@dataclass(frozen=True)
class Action:
    """A step in words. `takes_away`: something is removed, drained, or restarted by it."""

    step: str
    what: str
    because: str = ""
    takes_away: bool = False


@dataclass(frozen=True)
class Outlook:
    """What will become of one object. `changes`: fields in which it differs from what is stored. `unseen`: what could not be looked at from here."""

    kind: str
    namespace: str
    name: str
    changes: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    again_in: float | None = None
    unseen: tuple[str, ...] = ()
    machines: tuple[MachineChange, ...] = ()


def plan(context: Context, planner: Planner) -> int:
    """Print the plans of what the arguments name; with --exit-code 3 where one of them has something to do."""
    arguments = context.arguments
    found = [outlook(context, planner, *entry) for entry in _subjects(context)]
    if arguments.output in ("json", "yaml"):
        output.dump(context.out, arguments.output, [document(entry) for entry in found])
    else:
        for entry in found:
            context.out.write("".join(f"{line}\n" for line in lines(entry, context.style)))
    return PENDING if arguments.exit_code and any(entry.actions for entry in found) else 0


def outlook(context: Context, planner: Planner, item: Json, stored: Json | None) -> Outlook:
    """The plan of one object. `stored`: what there is of it now, None where it is new."""
    kind = "cluster" if item["kind"] == "SwarmCluster" else "service"
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    changes = tuple(differences(cleaned((stored or {}).get("spec") or {}), cleaned(item["spec"]), (stored or {}).get("spec") or {}, item["spec"]))
    if stored is None:
        changes = ("it is new",)
    resource = resource_of(item)
    try:
        if kind == "cluster":
            look = planner.cluster(resource)
            unseen = tuple(dict.fromkeys(f"{error.system}: {error.message}" for error in look.errors))
            actions = tuple(describe(step, name) for step in look.plan.steps)
            return Outlook(kind, namespace, name, changes, actions, look.plan.verdicts, look.plan.requeue_after, unseen, look.plan.changes)
        if resource.deleting:
            return Outlook(kind, namespace, name, changes, (Action("Remove", f"service {name}", "the object is being deleted", True),))
        decided = planner.service(resource, _cluster_of(context, item))
        return Outlook(kind, namespace, name, changes, tuple(_service_actions(decided)), decided.verdicts, decided.requeue)
    except SpecError as error:
        refused = Verdict(type=ConditionType.READY, status="False", reason=Reason.INVALID_SPEC, message=str(error))
        return Outlook(kind, namespace, name, changes, (), (refused,))


def describe(step: Step, cluster: str) -> Action:
    """A step of a cluster. Steps hold no secrets, so what they hold may be shown; what is as it is by default says nothing."""
    kind = type(step).__name__
    values = {entry.name: value for entry in fields(step) if (value := getattr(step, entry.name)) != entry.default}
    because = str(values.pop("because", "") or "")
    subject = [_named(value, cluster) for value in values.values()]
    named = next((text for text in subject if text), "")
    rest = [f"{name}={_short(value)}" for name, value in values.items() if _short(value) and name not in _NOT_SHOWN]
    return Action(kind, " ".join([named, *rest]).strip(), because, bool(_TAKES_AWAY.match(kind)))


def _service_actions(decided: ServicePlan) -> Iterator[Action]:
    match decided.step:
        case Create(spec):
            yield Action("Create", f"service {spec['Name']}")
        case Update():
            step = decided.step
            why = "tasks are replaced" if step.restarts else "no running task restarts"
            yield from (Action("Update", text, why, step.restarts) for text in step.fields)
        case Prepare(wanted):
            yield Action("Prepare", ", ".join(f"{want.kind.lower()} {want.name}" for want in wanted), "made before the service is written")
        case Prune(materials):
            yield Action("Prune", ", ".join(f"{material.kind.lower()} {material.name}" for material in materials), "nothing refers to it any more", True)


def lines(entry: Outlook, style: Style) -> Iterator[str]:
    """The plan for people."""
    ready = next((v for v in entry.verdicts if v.type is ConditionType.READY), None)
    head = f"{KINDS[entry.kind]} {entry.namespace}/{entry.name}"
    if ready is None or (entry.kind == "service" and entry.actions):
        told = ""  # the verdicts of a service are those of after the step
    elif ready.status == "True" and not entry.actions:
        told = style("green", "as declared")
    else:
        told = f"{ready.reason}: {ready.message}".rstrip(": ")
    yield f"{style('bold', head)}  {told}".rstrip()
    for change in entry.changes:
        yield f"  {style('yellow', '~')} {change}"
    for number, action in enumerate(entry.actions, 1):
        because = f"  {style('dim', f'({action.because})')}" if action.because else ""
        yield f"  {number}. {style('red' if action.takes_away else 'green', words(action.step))} {action.what}".rstrip() + because
    if not entry.actions:
        yield f"  {style('dim', 'nothing to do now')}"
    if entry.machines:
        yield "  machines that are not as declared, in the order in which they are changed:"
    for machine in entry.machines:
        yield f"    {machine.name}  {style('red' if machine.how in _STOPS_TASKS else 'green', machine.how)}  {style('dim', f'({machine.why})')}"
    if entry.again_in is not None and (entry.actions or ready is None or ready.status != "True"):
        then = "then looked" if entry.actions else "looked"
        yield f"  {style('dim', f'{then} at again within {max(1.0, entry.again_in):.0f} s')}"
    for text in entry.unseen:
        yield f"  {style('yellow', 'not seen from here')} {text}"


def document(entry: Outlook) -> Json:
    """The plan for programs."""
    return {
        "kind": KINDS[entry.kind],
        "namespace": entry.namespace,
        "name": entry.name,
        "changes": list(entry.changes),
        "steps": [{"step": a.step, "what": a.what, "because": a.because, "takesAway": a.takes_away} for a in entry.actions],
        "conditions": [{"type": v.type.value, "status": v.status, "reason": v.reason.value, "message": v.message} for v in entry.verdicts],
        "machines": [{"name": m.name, "change": m.how, "because": m.why} for m in entry.machines],
        "lookedAtAgainSeconds": entry.again_in,
        "notSeen": list(entry.unseen),
    }


def differences(shown_before: Any, shown_after: Any, before: Any, after: Any, path: str = "spec") -> Iterator[str]:
    """Fields in which two specs differ. What is shown of their values is from the redacted forms."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping) and isinstance(shown_before, Mapping) and isinstance(shown_after, Mapping):
        for key in sorted({*before, *after}):
            yield from differences(shown_before.get(key), shown_after.get(key), before.get(key), after.get(key), f"{path}.{key}")
    elif _lists_of_named(before, after):
        olds, news = {entry["name"]: index for index, entry in enumerate(before)}, {entry["name"]: index for index, entry in enumerate(after)}
        for name in dict.fromkeys([*olds, *news]):
            old, new = olds.get(name), news.get(name)
            if old is None or new is None:
                yield f"{path}[{name}]: {'added' if old is None else 'removed'}"
            else:
                yield from differences(shown_before[old], shown_after[new], before[old], after[new], f"{path}[{name}]")
    elif shown_before == shown_after:
        yield f"{path}: changed"
    else:
        yield f"{path}: {_value(shown_before)} -> {_value(shown_after)}"


def words(step: str) -> str:
    """CreateServer -> create server."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", step).lower()


def resource_of(item: Json) -> Resource:
    """An object as JSON, stored or not."""
    metadata = item["metadata"]
    return Resource(
        key=Key("SwarmCluster" if item["kind"] == "SwarmCluster" else "SwarmService", metadata["namespace"], metadata["name"]),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 1),
        resource_version=metadata.get("resourceVersion", ""),
        spec=item.get("spec") or {},
        status=item.get("status") or {},
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers") or ()),
        annotations=dict(metadata.get("annotations") or {}),
    )


def _subjects(context: Context) -> Iterator[tuple[Json, Json | None]]:
    """Objects and what is stored of them: those of the manifest, the one that is named (a cluster with its services), or all of the namespace."""
    arguments = context.arguments
    if arguments.filename:
        if arguments.target:
            raise wrong("name an object or a file, not both")
        yield from _of_file(context, arguments.filename)
        return
    if arguments.target is None:
        items = [*context.api.list("swarmclusters", context.namespace), *context.api.list("swarmservices", context.namespace)]
    else:
        kind, name = target(arguments.target)
        if kind not in KINDS:
            raise wrong("a stack makes SwarmServices: plan those")
        items = [context.cluster(name), *context.services_of(name)] if kind == "cluster" else [context.service(name)]
    for item in items:
        item.setdefault("kind", "SwarmService" if "clusterRef" in item["spec"] else "SwarmCluster")  # items of a list carry none
        yield item, item


def _of_file(context: Context, name: str) -> Iterator[tuple[Json, Json | None]]:
    text = sys.stdin.read() if name == "-" else Path(name).read_text()
    try:
        documents = [entry for found in yaml.safe_load_all(text) if isinstance(found, dict) for entry in found.get("items", [found])]
    except yaml.YAMLError as error:
        raise wrong(f"{name} is no YAML: {error}") from error
    manifests = [entry for entry in documents if entry.get("apiVersion") == API_VERSION and entry.get("kind") in KINDS.values()]
    if not manifests:
        raise wrong(f"{name} holds no SwarmCluster and no SwarmService of {API_VERSION}")
    for manifest in manifests:
        plural = PLURALS["cluster" if manifest["kind"] == "SwarmCluster" else "service"]
        namespace = manifest["metadata"].get("namespace") or context.namespace
        try:
            stored = context.api.get(plural, namespace, manifest["metadata"]["name"])
        except ExternalError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            stored = None
        yield context.api.preview(plural, namespace, manifest), stored


def _cluster_of(context: Context, service: Json) -> Resource | None:
    try:
        found = context.api.get("swarmclusters", service["metadata"]["namespace"], service["spec"]["clusterRef"]["name"])
    except ExternalError as error:
        if error.kind is ErrorKind.NOT_FOUND:
            return None
        raise
    return resource_of({"kind": "SwarmCluster", **found})


def _named(value: Any, cluster: str) -> str:
    """What a step is about, where the value says it."""
    if isinstance(value, MachineId):
        return value.server_name(cluster)
    if isinstance(value, Known):
        known = value.value
        if isinstance(known, str):
            return known
        return str(getattr(known, "name", "") or getattr(known, "hostname", "") or "")
    return str(value.name) if hasattr(value, "name") and not isinstance(value, type) and not hasattr(value, "value") else ""


def _short(value: Any) -> str:
    """A plain value in a few characters; "" for all that is not."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, str | int | float):
        return str(value)[:64]
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return ",".join(value)[:64]
    return ""


def _lists_of_named(before: Any, after: Any) -> bool:
    lists = isinstance(before, list) and isinstance(after, list)
    return lists and all(isinstance(entry, Mapping) and "name" in entry for entry in (*before, *after)) and bool(before or after)


def _value(value: Any) -> str:
    text = "unset" if value is None else yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    return text if len(text) <= 80 else f"{text[:77]}..."
