"""`kubectl swarm`: what is going on in swarms, for people. Installed as `kubectl-swarm`, also `python -m swarm_operator.cli`.

Reads objects with the user's own kubeconfig and rights, and talks to nothing but the API server. The only writes are `pause` and `resume`: `spec.paused`, at the user's word.
Does not: reach OpenStack, machines or engines.
"""

from __future__ import annotations

import argparse
import builtins
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO
from urllib.parse import urlsplit

import yaml

from swarm_operator import __version__
from swarm_operator.api.base import API_VERSION
from swarm_operator.cli.report import write_report
from swarm_operator.cli.view import Style, tree
from swarm_operator.domain.errors import ErrorKind, ExternalError

Json = dict[str, Any]
PLURALS = {"cluster": "swarmclusters", "service": "swarmservices"}


class Reader(Protocol):
    """What the commands need of the API server; raises ExternalError. `adapters.kubernetes.user.UserApi`."""

    def list(self, plural: str, namespace: str | None) -> list[Json]: ...
    def get(self, plural: str, namespace: str, name: str) -> Json: ...
    def events(self, namespace: str) -> builtins.list[Json]: ...
    def secret(self, namespace: str, name: str) -> dict[str, bytes]: ...
    def set_paused(self, plural: str, namespace: str, name: str, paused: bool) -> None: ...


def parser() -> argparse.ArgumentParser:
    """Flags as kubectl has them."""
    top = argparse.ArgumentParser(prog="kubectl swarm", description="Swarms as swarm-operator keeps them.")
    top.add_argument("--version", action="version", version=__version__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--namespace", "-n", help="default: that of the context")
    common.add_argument("--kubeconfig")
    common.add_argument("--context")
    verbs = top.add_subparsers(dest="verb", required=True)
    status = verbs.add_parser("status", parents=[common], help="clusters, machines and services as a tree")
    status.add_argument("name", nargs="?", help="one SwarmCluster")
    status.add_argument("--all-namespaces", "-A", action="store_true")
    status.add_argument("--output", "-o", choices=("tree", "wide", "json", "yaml"), default="tree")
    status.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    for verb, text in (("pause", "have the operator change nothing"), ("resume", "end a pause")):
        verbs.add_parser(verb, parents=[common], help=text).add_argument("target", help="NAME of a SwarmCluster, or service/NAME")
    events = verbs.add_parser("events", parents=[common], help="Events of our kinds, oldest first")
    events.add_argument("target", nargs="?", help="NAME of a SwarmCluster, or service/NAME")
    docker = verbs.add_parser("docker-env", parents=[common], help="write the client certificate and print exports for the docker command")
    docker.add_argument("name", help="a SwarmCluster")
    docker.add_argument("--directory", type=Path, help="for the certificates; default: ~/.docker/swarm-operator/NAMESPACE/NAME")
    report = verbs.add_parser("report", parents=[common], help="write a support bundle without secrets")
    report.add_argument("name", help="a SwarmCluster")
    report.add_argument("--file", type=Path, help="default: NAME-report.zip")
    return top


def execute(arguments: argparse.Namespace, reader: Reader, namespace: str, out: TextIO) -> int:
    """Do what was asked; the exit status. Raises ExternalError."""
    verb = arguments.verb
    if verb == "status":
        _status(arguments, reader, namespace, out)
    elif verb in ("pause", "resume"):
        kind, name = _target(arguments.target)
        reader.set_paused(PLURALS[kind], namespace, name, verb == "pause")
        out.write(f"{kind} {namespace}/{name} {verb}d\n")
    elif verb == "events":
        _events(arguments.target, reader, namespace, out)
    elif verb == "docker-env":
        _docker_env(arguments, reader, namespace, out)
    elif verb == "report":
        path = arguments.file or Path(f"{arguments.name}-report.zip")
        cluster = reader.get("swarmclusters", namespace, arguments.name)
        write_report(path, cluster, _services(reader, namespace, arguments.name), reader.events(namespace))
        out.write(f"{path}\n")
    return 0


def _status(arguments: argparse.Namespace, reader: Reader, namespace: str, out: TextIO) -> None:
    scope = None if arguments.all_namespaces else namespace
    clusters = [reader.get("swarmclusters", namespace, arguments.name)] if arguments.name else reader.list("swarmclusters", scope)
    services = _services(reader, namespace, arguments.name) if arguments.name else reader.list("swarmservices", scope)
    if arguments.output in ("json", "yaml"):
        body = {"apiVersion": "v1", "kind": "List", "items": [*clusters, *services]}
        out.write(json.dumps(body, indent=2) + "\n" if arguments.output == "json" else yaml.safe_dump(body, sort_keys=False))
        return
    colour = arguments.color == "always" or (arguments.color == "auto" and out.isatty() and "NO_COLOR" not in os.environ)
    text = tree(clusters, services, Style(colour), wide=arguments.output == "wide")
    out.write(text or f"No SwarmClusters in {'any namespace' if scope is None else 'namespace ' + scope}\n")


def _services(reader: Reader, namespace: str, cluster: str) -> list[Json]:
    return [item for item in reader.list("swarmservices", namespace) if item["spec"]["clusterRef"]["name"] == cluster]


def _events(target: str | None, reader: Reader, namespace: str, out: TextIO) -> None:
    wanted = None if target is None else _target(target)
    for event in sorted(reader.events(namespace), key=lambda found: found.get("lastTimestamp") or ""):
        about = event["involvedObject"]
        if about.get("apiVersion") != API_VERSION:
            continue
        kind = about["kind"].removeprefix("Swarm").lower()
        if wanted not in (None, (kind, about["name"])):
            continue
        repeated = f" (x{event['count']})" if (event.get("count") or 1) > 1 else ""
        out.write(f"{event.get('lastTimestamp') or '-'}  {event['type']:<7}  {kind}/{about['name']}  {event['reason']}{repeated}: {event['message']}\n")


def _docker_env(arguments: argparse.Namespace, reader: Reader, namespace: str, out: TextIO) -> None:
    cluster = reader.get("swarmclusters", namespace, arguments.name)
    endpoint = (cluster.get("status") or {}).get("endpoint")
    if not endpoint or not urlsplit(endpoint).hostname:
        raise ExternalError(ErrorKind.NOT_FOUND, "kubernetes", f"SwarmCluster {namespace}/{arguments.name} has no endpoint yet")
    secret = reader.secret(namespace, f"{arguments.name}-docker-tls")
    directory: Path = arguments.directory or Path.home() / ".docker" / "swarm-operator" / namespace / arguments.name
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The CA's key stays in the cluster: the docker command has no use for it.
    for name in ("ca.pem", "cert.pem", "key.pem"):
        with os.fdopen(os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secret[name])
    for variable, value in (("DOCKER_HOST", endpoint), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", str(directory.resolve()))):
        out.write(f"export {variable}={shlex.quote(value)}\n")


def _target(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not slash:
        return "cluster", text
    if kind not in PLURALS or not name:
        raise ExternalError(ErrorKind.INVALID, "kubernetes", f"{text!r} is neither NAME, cluster/NAME nor service/NAME")
    return kind, name


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `kubectl-swarm`; 1 when the API server refuses or can't be reached."""
    arguments = parser().parse_args(argv)
    from swarm_operator.adapters.kubernetes.user import UserApi

    try:
        reader = UserApi(arguments.kubeconfig, arguments.context)
        return execute(arguments, reader, arguments.namespace or reader.namespace, sys.stdout)
    except (ExternalError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
