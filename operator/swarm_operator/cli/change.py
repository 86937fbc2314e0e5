"""Commands that change an object at the user's word, by a merge patch under field manager `kubectl-swarm`: `pause`, `resume`, `restart`, `rollback`, `adopt`, `replace`,
`renew`, `rotate`, `backup`.

Nothing is done to a swarm or a cloud from here: the operator carries out what the object then says, within its budgets.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from swarm_operator.api.base import RESTARTED_AT
from swarm_operator.cli.context import PLURALS, Context, missing, target, wrong
from swarm_operator.domain.cluster.remediation import REMEDIATE_ANNOTATION
from swarm_operator.domain.errors import ErrorKind, ExternalError

Json = dict[str, Any]
TRIES: Final = 5
ROTATED: Final = {"join-tokens": "rotateJoinTokens", "unlock-key": "rotateUnlockKey", "ca": "rotateCA"}
"""What can be made anew, and the field of spec.swarm whose change asks for it."""


def pause(context: Context) -> int:
    """Have the operator change nothing."""
    return _set_paused(context, True)


def resume(context: Context) -> int:
    """End a pause."""
    return _set_paused(context, False)


def restart(context: Context) -> int:
    """Replace the tasks of services once, as their update settings say."""
    for name in context.arguments.services:
        service = context.service(name)
        name = service["metadata"]["name"]
        if service["spec"].get("mode", "replicated") in ("replicated-job", "global-job"):
            raise wrong(f"service {name} is a job: run it again by another job.runId")
        context.api.patch("swarmservices", context.namespace, name, {"metadata": {"annotations": {RESTARTED_AT: stamp()}}})
        context.out.write(f"service {context.namespace}/{name} restarted\n")
    return 0


def rollback(context: Context) -> int:
    """Hold a service at an earlier revision, or let it follow its spec again."""
    arguments = context.arguments
    service = context.service(arguments.service)
    name, status = service["metadata"]["name"], service.get("status") or {}
    if arguments.release:
        context.api.patch("swarmservices", context.namespace, name, {"spec": {"rollbackTo": None}})
        context.out.write(f"service {context.namespace}/{name} follows its spec again\n")
        return 0
    revisions = status.get("revisions") or []
    chosen = arguments.to_revision if arguments.to_revision is not None else _previous(name, status.get("revision"), revisions)
    if chosen not in {entry["revision"] for entry in revisions}:
        kept = ", ".join(str(entry["revision"]) for entry in revisions) or "none"
        raise missing(f"service {name} has no revision {chosen}; kept are: {kept}")
    context.api.patch("swarmservices", context.namespace, name, {"spec": {"rollbackTo": {"revision": chosen}}})
    context.out.write(f"service {context.namespace}/{name} is held at revision {chosen}; `kubectl swarm rollback {name} --release` ends that\n")
    return 0


def adopt(context: Context) -> int:
    """Let a SwarmService take over a service of its name that nobody owns."""
    service = context.service(context.arguments.service)
    name = service["metadata"]["name"]
    if (service.get("status") or {}).get("serviceID"):
        raise wrong(f"service {name} has its service in the swarm already")
    context.api.patch("swarmservices", context.namespace, name, {"spec": {"adoptionPolicy": "IfUnowned"}})
    taken = service["spec"].get("serviceName") or name
    context.out.write(f"service {context.namespace}/{name} takes over the service {taken} of the swarm, if nobody owns it\n")
    return 0


def replace(context: Context) -> int:
    """Have a machine replaced: drained, removed, and made anew, within the disruption budget."""
    arguments = context.arguments
    if arguments.cancel and arguments.cluster:
        cluster, name = context.cluster(arguments.cluster), arguments.machine
    else:
        cluster, machine = context.machine(arguments.machine, arguments.cluster)
        name = machine["name"]
        alone = machine["role"] == "Manager" and (cluster["spec"].get("managers") or {}).get("replicas", 1) == 1
        if alone and (cluster["spec"].get("rollout") or {}).get("loneManager") != "Replace":
            raise wrong(f"machine {name} is the only manager: it is replaced only where spec.rollout.loneManager is Replace")
    chosen = cluster["metadata"]["name"]

    def names(present: list[str]) -> list[str]:
        others = [entry for entry in present if entry != name]
        return others if arguments.cancel else [*others, name]

    _annotate(context, chosen, REMEDIATE_ANNOTATION, names)
    done = "is not asked to be replaced any more" if arguments.cancel else "will be replaced when the disruption budget allows it"
    context.out.write(f"machine {name} of cluster {context.namespace}/{chosen} {done}\n")
    return 0


def renew(context: Context) -> int:
    """Have all machines made anew, as spec.rollout says how."""
    name = context.cluster(context.arguments.name)["metadata"]["name"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    context.api.patch("swarmclusters", context.namespace, name, {"spec": {"rollout": {"after": now}}})
    context.out.write(f"all machines of cluster {context.namespace}/{name} that were made before {now} will be made anew\n")
    return 0


def rotate(context: Context) -> int:
    """Have join tokens, the unlock key or the swarm's CA made anew, all that are named by one patch."""
    cluster = context.cluster(context.arguments.name)
    name, chosen = cluster["metadata"]["name"], list(dict.fromkeys(context.arguments.what or ["join-tokens"]))
    unknown = [what for what in chosen if what not in ROTATED]
    if unknown:
        raise wrong(f"{unknown[0]!r} is none of {', '.join(ROTATED)}")
    if "unlock-key" in chosen and not (cluster["spec"].get("swarm") or {}).get("autolock"):
        raise wrong(f"cluster {name} has no unlock key: spec.swarm.autolock is off")
    nonce = stamp()
    context.api.patch("swarmclusters", context.namespace, name, {"spec": {"swarm": {ROTATED[what]: nonce for what in chosen}}})
    for what in chosen:
        context.out.write(f"{what} of cluster {context.namespace}/{name}: made anew\n")
    return 0


def backup(context: Context) -> int:
    """Have the raft state of a swarm saved now."""
    name = context.cluster(context.arguments.name)["metadata"]["name"]
    context.api.patch("swarmclusters", context.namespace, name, {"spec": {"backup": {"now": stamp()}}})
    context.out.write(f"cluster {context.namespace}/{name}: a backup of its raft state is made; see status.backup\n")
    return 0


def stamp() -> str:
    """Now, to the microsecond: two calls within a second are two."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _set_paused(context: Context, paused: bool) -> int:
    kind, name = target(context.arguments.target)
    context.api.patch(PLURALS[kind], context.namespace, name, {"spec": {"paused": paused}})
    context.out.write(f"{kind} {context.namespace}/{name} {'paused' if paused else 'resumed'}\n")
    return 0


def _previous(name: str, current: int | None, revisions: list[Json]) -> int:
    """The revision that was applied before the present one, as `docker service rollback` would take: the one that was applied last of all others."""
    others = [entry for entry in revisions if entry["revision"] != current]
    if not others:
        raise missing(f"service {name} has no earlier revision")
    return int(max(others, key=lambda entry: (entry["appliedAt"], entry["revision"]))["revision"])


def _annotate(context: Context, cluster: str, annotation: str, change: Callable[[list[str]], list[str]]) -> None:
    """Change a list of names in an annotation. The patch carries the version that it was computed from: two users at once lose neither's name."""
    for _ in range(TRIES):
        found = context.cluster(cluster)
        metadata = found["metadata"]
        present = [part.strip() for part in (metadata.get("annotations") or {}).get(annotation, "").split(",") if part.strip()]
        wanted = change(present)
        if wanted == present:
            return
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "annotations": {annotation: ",".join(wanted) or None}}}
        try:
            context.api.patch("swarmclusters", context.namespace, cluster, body)
            return
        except ExternalError as error:
            if error.kind is not ErrorKind.CONFLICT:
                raise
    raise ExternalError(ErrorKind.CONFLICT, "kubernetes", f"SwarmCluster {cluster} changes too often to be annotated")
