"""What every command of `kubectl swarm` works with: the API server, the swarm behind a cluster, where output goes, and how targets are named.

Commands are functions of one `Context`. The ports here are what they need of the outer world; tests give fakes. Does not: parse arguments (`plugin`) or know a client library.
"""

from __future__ import annotations

import argparse
import builtins
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TextIO
from urllib.parse import urlsplit

from swarm_operator.cli.view import Style
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.swarm import TlsMaterial

Json = dict[str, Any]
PLURALS: Final = {"cluster": "swarmclusters", "service": "swarmservices", "stack": "swarmstacks"}
ENGINE_PORT: Final = 2376


class Api(Protocol):
    """What the commands need of the API server; raises ExternalError. `adapters.kubernetes.user.UserApi`."""

    def list(self, plural: str, namespace: str | None) -> list[Json]: ...
    def get(self, plural: str, namespace: str, name: str) -> Json: ...
    def events(self, namespace: str) -> builtins.list[Json]: ...
    def secret(self, namespace: str, name: str) -> dict[str, bytes]: ...
    def patch(self, plural: str, namespace: str, name: str, body: Json) -> Json:
        """A merge patch of the object; what it is then. CONFLICT where `body` carries a resourceVersion that is not the present one."""

    def preview(self, plural: str, namespace: str, manifest: Json) -> Json:
        """What the object would be with the manifest's spec, without writing it: defaulted and validated by the API server. An object that is not there gets no UID."""


class LogLine(Protocol):
    """A line that a task wrote. `stream` is stdout or stderr, `text` has no line end, `time` is the engine's (RFC 3339, nanoseconds) where it was asked for."""

    @property
    def task_id(self) -> str: ...
    @property
    def node_id(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def time(self) -> str: ...


class Engine(Protocol):
    """What the commands need of a swarm, as the Docker Engine API writes it; raises ExternalError. `adapters.docker.user.UserSwarm`."""

    def nodes(self) -> list[Json]: ...
    def services(self) -> list[Json]: ...
    def tasks(self, service_id: str | None = None) -> list[Json]: ...
    def set_availability(self, node_id: str, availability: str) -> None: ...
    def logs(self, service_id: str, *, follow: bool, tail: str, since: int, times: bool) -> Iterable[LogLine]:
        """Lines of all tasks. `since` is in seconds since 1970, 0 for all; `tail` a number of lines of each task, or "all"."""

    def close(self) -> None: ...


OpenEngine = Callable[[list[str], TlsMaterial], Engine]


@dataclass
class Context:
    """One call of the plugin. `namespace`: of the flag, else of the kubeconfig's context."""

    arguments: argparse.Namespace
    api: Api
    namespace: str
    out: TextIO
    err: TextIO
    open_engine: OpenEngine

    @property
    def style(self) -> Style:
        """Colours on a terminal only, and not where NO_COLOR (https://no-color.org: present and not empty) says no; `--color` goes before both."""
        wanted = self.arguments.color
        return Style(wanted == "always" or (wanted == "auto" and self.out.isatty() and not os.environ.get("NO_COLOR")))

    @property
    def scope(self) -> str | None:
        """The namespace, None for all of them."""
        return None if getattr(self.arguments, "all_namespaces", False) else self.namespace

    def cluster(self, name: str) -> Json:
        """A SwarmCluster."""
        return self.api.get("swarmclusters", self.namespace, name)

    def service(self, name: str) -> Json:
        """A SwarmService; `service/NAME` and NAME both name it."""
        return self.api.get("swarmservices", self.namespace, name.removeprefix("service/"))

    def services_of(self, cluster: str) -> list[Json]:
        """The SwarmServices that name the cluster."""
        return [item for item in self.api.list("swarmservices", self.namespace) if item["spec"]["clusterRef"]["name"] == cluster]

    def stacks(self, scope: str | None, cluster: str | None = None) -> list[Json]:
        """The SwarmStacks, of a cluster where one is named."""
        return self._of_later_versions("swarmstacks", scope, cluster)

    def pools(self, scope: str | None, cluster: str | None = None) -> list[Json]:
        """The SwarmWorkerPools, of a cluster where one is named."""
        return self._of_later_versions("swarmworkerpools", scope, cluster)

    def _of_later_versions(self, plural: str, scope: str | None, cluster: str | None) -> list[Json]:
        """None where the API server has no such kind, for its CRDs are of an earlier version."""
        try:
            found = self.api.list(plural, scope)
        except ExternalError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            return []
        return [item for item in found if cluster is None or item["spec"]["clusterRef"]["name"] == cluster]

    def machine(self, name: str, cluster: str | None = None) -> tuple[Json, Json]:
        """The cluster that has a machine of that name, and the machine's record in its status. INVALID where several have."""
        clusters = [self.cluster(cluster)] if cluster else self.api.list("swarmclusters", self.namespace)
        found = [(item, node) for item in clusters for node in (item.get("status") or {}).get("nodes") or [] if node["name"] == name]
        if not found:
            raise missing(f"no SwarmCluster in namespace {self.namespace} has a machine {name!r}; `kubectl swarm status` lists them")
        if len(found) > 1:
            raise wrong(f"several clusters have a machine {name!r}: name one of {', '.join(item['metadata']['name'] for item, _ in found)} with --cluster")
        return found[0]

    def certificate(self, cluster: Json) -> TlsMaterial:
        """The client certificate for the cluster's Docker API. Raises NOT_FOUND where its Secret is not there, or lacks a key."""
        name = tls_secret(cluster)
        found = TlsMaterial.of_secret(self.api.secret(self.namespace, name))
        if found is None:
            raise missing(f"Secret {self.namespace}/{name} lacks one of {', '.join(TlsMaterial.KEYS)}")
        return found

    @contextmanager
    def engine(self, cluster: Json) -> Iterator[Engine]:
        """The cluster's swarm, by the client certificate that the operator keeps for users. Raises NOT_FOUND while the cluster has no endpoint."""
        engine = self.open_engine(endpoints(cluster), self.certificate(cluster))
        try:
            yield engine
        finally:
            engine.close()


def tls_secret(cluster: Json) -> str:
    """Name of the Secret with the client certificate: the operator's, or that of a swarm of somebody else."""
    external = cluster["spec"].get("external")
    return str(external["tlsSecretRef"]["name"] if external else f"{cluster['metadata']['name']}-docker-tls")


def endpoints(cluster: Json) -> list[str]:
    """Docker API endpoints of the managers, that of the status first. Raises NOT_FOUND where there is none yet."""
    metadata, status = cluster["metadata"], cluster.get("status") or {}
    if cluster["spec"].get("external"):
        return list(cluster["spec"]["external"]["endpoints"])
    endpoint = status.get("endpoint")
    if not endpoint or not urlsplit(endpoint).hostname:
        raise missing(f"SwarmCluster {metadata['namespace']}/{metadata['name']} has no endpoint yet")
    floating = (((cluster.get("spec") or {}).get("managers") or {}).get("floatingIP") or {}).get("enabled", True)
    others = [node.get("floatingIP" if floating else "address") for node in status.get("nodes") or [] if node["role"] == "Manager" and node["phase"] == "Ready"]
    return list(dict.fromkeys([endpoint, *(f"tcp://{address}:{ENGINE_PORT}" for address in others if address)]))


def target(text: str) -> tuple[str, str]:
    """Kind (a key of PLURALS) and name of NAME, cluster/NAME, service/NAME or stack/NAME."""
    kind, slash, name = text.partition("/")
    if not slash:
        return "cluster", text
    if kind not in PLURALS or not name:
        raise wrong(f"{text!r} is neither NAME, cluster/NAME, service/NAME nor stack/NAME")
    return kind, name


def wrong(message: str) -> ExternalError:
    """What was asked for can't be done; the text is for the user."""
    return ExternalError(ErrorKind.INVALID, "kubernetes", message)


def missing(message: str) -> ExternalError:
    """Something named is not there."""
    return ExternalError(ErrorKind.NOT_FOUND, "kubernetes", message)
