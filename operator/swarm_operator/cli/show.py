"""Commands that read objects and show them: `status`, `events`, `orphans`, `history`."""

from __future__ import annotations

import time
from typing import Any, Final

from swarm_operator.api.base import API_VERSION
from swarm_operator.cli import output
from swarm_operator.cli.context import Context, target
from swarm_operator.cli.output import Cell, Column
from swarm_operator.cli.view import tree

Json = dict[str, Any]
POLL_SECONDS: Final = 2.0
"""Between two looks of --watch: a list of a namespace's Events is small, and the API server keeps them for an hour."""


def status(context: Context) -> int:
    """Clusters, machines and services as a tree, or the objects themselves."""
    name, form = context.arguments.name, context.arguments.output
    clusters = [context.cluster(name)] if name else context.api.list("swarmclusters", context.scope)
    services = context.services_of(name) if name else context.api.list("swarmservices", context.scope)
    stacks = context.stacks(context.namespace if name else context.scope, name)
    pools = context.pools(context.namespace if name else context.scope, name)
    if form in ("json", "yaml"):
        output.dump(context.out, form, {"apiVersion": "v1", "kind": "List", "items": [*clusters, *pools, *stacks, *services]})
        return 0
    text = tree(clusters, services, context.style, wide=form == "wide", stacks=stacks, pools=pools)
    context.out.write(text or f"No SwarmClusters in {_where(context)}\n")
    return 0


def events(context: Context) -> int:
    """Events of our kinds, oldest first; with --watch also those to come, until interrupted."""
    asked, form = context.arguments.target, context.arguments.output
    wanted = None if asked is None else target(asked)
    found = _events(context, wanted)
    if form in ("json", "yaml"):
        output.dump(context.out, form, {"apiVersion": "v1", "kind": "List", "items": found})
        return 0
    told: dict[str, int] = {}
    while True:
        for event in found:
            count = event.get("count") or 1
            if told.get(event["metadata"]["uid"]) != count:
                told[event["metadata"]["uid"]] = count
                context.out.write(_event_line(event, context))
        context.out.flush()
        if not context.arguments.watch:
            return 0
        time.sleep(POLL_SECONDS)
        found = _events(context, wanted)


def _events(context: Context, wanted: tuple[str, str] | None) -> list[Json]:
    return [event for event in sorted(context.api.events(context.namespace), key=when) if ours(event) and wanted in (None, _about(event))]


def _event_line(event: Json, context: Context) -> str:
    kind, name = _about(event)
    repeated = f" (x{event['count']})" if (event.get("count") or 1) > 1 else ""
    head = f"{when(event) or '-'}  {context.style('yellow' if event['type'] == 'Warning' else 'dim', event['type'].ljust(7))}"
    return f"{head}  {kind}/{name}  {event['reason']}{repeated}: {event['message']}\n"


def orphans(context: Context) -> int:
    """What carries a cluster's UID in the cloud and serves no part of it: the findings of the operator's sweep, in `status.orphans`. 0 where there is none, 3 where there is."""
    name, form = context.arguments.name, context.arguments.output
    clusters = [context.cluster(name)] if name else context.api.list("swarmclusters", context.scope)
    rows, found = [], []
    for cluster in sorted(clusters, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"])):
        metadata, policy = cluster["metadata"], cluster["spec"].get("orphans", "Report")
        for orphan in (cluster.get("status") or {}).get("orphans") or []:
            rows.append([metadata["namespace"], metadata["name"], orphan["kind"], orphan["id"], orphan.get("name", ""), orphan["firstSeen"], policy])
            found.append({"namespace": metadata["namespace"], "cluster": metadata["name"], "policy": policy, **orphan})
    columns = [Column("NAMESPACE", wide=context.scope is not None), *(Column(t) for t in ("CLUSTER", "KIND", "ID", "NAME", "FIRST SEEN", "POLICY"))]
    output.write(context.out, form, columns, rows, found, context.style, empty=f"No orphans in {_where(context)}")
    for cluster in clusters:
        unseen = _unseen(cluster)
        if unseen:
            context.err.write(f"warning: {cluster['metadata']['name']}: the operator could not look for all of them: {unseen}\n")
    return 3 if found else 0


def history(context: Context) -> int:
    """The revisions of a service, the newest number first."""
    service = context.service(context.arguments.service)
    status = service.get("status") or {}
    pinned = (service["spec"].get("rollbackTo") or {}).get("revision")
    revisions = status.get("revisions") or []
    rows = [
        [
            str(entry["revision"]),
            _mark(entry["revision"], status.get("revision"), pinned),
            entry["appliedAt"],
            entry.get("image", ""),
            entry["hash"][:12],
            entry["name"],
        ]
        for entry in revisions
    ]
    columns = [*(Column(t) for t in ("REVISION", "STATE", "APPLIED", "IMAGE")), Column("HASH", wide=True), Column("CONTROLLERREVISION", wide=True)]
    output.write(context.out, context.arguments.output, columns, rows, revisions, context.style, empty="No revisions yet")
    return 0


def ours(event: Json) -> bool:
    """Whether an Event is about one of our objects."""
    return bool(event["involvedObject"].get("apiVersion") == API_VERSION)


def when(event: Json) -> str:
    """When an Event was last seen; "" where it does not say."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _about(event: Json) -> tuple[str, str]:
    about = event["involvedObject"]
    return about["kind"].removeprefix("Swarm").lower(), about["name"]


def _mark(revision: int, current: int | None, pinned: int | None) -> str | Cell:
    if revision == pinned:
        return Cell("pinned", "yellow")
    return Cell("applied", "green") if revision == current else ""


def _unseen(cluster: Json) -> str:
    """Why the sweep is not complete, as the condition says."""
    found = next((c for c in (cluster.get("status") or {}).get("conditions") or [] if c["type"] == "OrphansFound"), None)
    return str(found.get("message") or found["reason"]) if found is not None and found["status"] == "Unknown" else ""


def _where(context: Context) -> str:
    return "any namespace" if context.scope is None else f"namespace {context.namespace}"
