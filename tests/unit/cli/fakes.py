"""One namespace of objects, and one swarm, in memory: what the commands of the plugin are run against."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import Any

from swarm_operator.adapters.docker.user import Line
from swarm_operator.cli.context import Context
from swarm_operator.cli.plugin import parse
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.swarm import TlsMaterial

Json = dict[str, Any]


def condition(kind: str, status: str, reason: str, message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


CLUSTER: Json = {
    "apiVersion": "swarmops.io/v1alpha1",
    "kind": "SwarmCluster",
    "metadata": {"namespace": "shop", "name": "main", "uid": "u1", "generation": 3, "resourceVersion": "1", "managedFields": [{"manager": "x"}]},
    "spec": {"paused": False},
    "status": {
        "observedGeneration": 3,
        "endpoint": "tcp://192.0.2.10:2376",
        "engineVersion": "26.1.5",
        "managers": {"summary": "1/1"},
        "workers": {"summary": "0/1"},
        "conditions": [
            condition("Ready", "False", "NodesDown", "w-0: heartbeat failure"),
            condition("Reconciling", "True", "NodesDown", "w-0: heartbeat failure"),
            condition("Stalled", "False", "Progressing"),
        ],
        "nodes": [
            {
                "name": "w-0",
                "role": "Worker",
                "pool": "workers",
                "slot": 0,
                "phase": "Down",
                "phaseSince": "2026-01-01T00:00:00Z",
                "serverID": "s2",
                "nodeID": "n2",
                "address": "10.0.0.3",
                "message": "the node is down: heartbeat failure",
                "remediation": {"rung": "SoftReboot", "attempts": 2, "since": "2026-01-01T00:01:00Z"},
            },
            {
                "name": "m-0",
                "role": "Manager",
                "slot": 0,
                "phase": "Ready",
                "phaseSince": "2026-01-01T00:00:00Z",
                "serverID": "s1",
                "nodeID": "n1",
                "address": "10.0.0.2",
                "floatingIP": "192.0.2.10",
            },
        ],
    },
}
SERVICE: Json = {
    "apiVersion": "swarmops.io/v1alpha1",
    "kind": "SwarmService",
    "metadata": {"namespace": "shop", "name": "web", "uid": "u2", "generation": 1, "resourceVersion": "1"},
    "spec": {"clusterRef": {"name": "main"}, "image": "nginx:1", "env": ["MODE=prod", "DB_PASS=hunter2"]},
    "status": {
        "observedGeneration": 1,
        "serviceID": "svc1",
        "replicas": {"summary": "1/2"},
        "conditions": [condition("Ready", "False", "Converging", "1 of 2 run")],
        "drift": ["TaskTemplate.ContainerSpec.Env"],
        "failingTasks": [{"node": "w-0", "state": "rejected", "error": "No such image: nginx:1", "count": 3}],
        "revision": 3,
        "revisions": [
            {"revision": 3, "hash": "c" * 40, "appliedAt": "2026-01-03T00:00:00Z", "name": "web-c", "image": "nginx:3"},
            {"revision": 2, "hash": "b" * 40, "appliedAt": "2026-01-01T12:00:00Z", "name": "web-b", "image": "nginx:2"},
            {"revision": 1, "hash": "a" * 40, "appliedAt": "2026-01-02T00:00:00Z", "name": "web-a", "image": "nginx:1"},
        ],
    },
}
LOST: Json = {**SERVICE, "metadata": {**SERVICE["metadata"], "name": "lost"}, "spec": {"clusterRef": {"name": "gone"}, "image": "x"}, "status": {}}


STACK: Json = {
    "apiVersion": "swarmops.io/v1alpha1",
    "kind": "SwarmStack",
    "metadata": {"namespace": "shop", "name": "blog", "uid": "u3", "generation": 1, "resourceVersion": "1"},
    "spec": {"clusterRef": {"name": "main"}, "compose": "services: {web: {environment: [TOKEN=planted-30]}}"},
    "status": {
        "observedGeneration": 1,
        "services": {"summary": "1/2"},
        "conditions": [condition("Ready", "False", "ServicesNotReady", "blog-db: TasksFailing")],
        "warnings": ["services.web.build is ignored"],
    },
}


def node(node_id: str, name: str, role: str = "worker", **more: Any) -> Json:
    spec = {"Role": role, "Availability": "active", "Labels": {}, **more}
    resources = {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 * 2**30}
    return {
        "ID": node_id,
        "Spec": spec,
        "Status": {"State": "ready", "Addr": "10.0.0.9"},
        "Description": {"Hostname": name, "Resources": resources, "Engine": {"EngineVersion": "26.1.5"}},
        **({"ManagerStatus": {"Leader": True}} if role == "manager" else {}),
    }


def task(task_id: str, slot: int, node_id: str, state: str = "running", created: str = "2026-01-01T00:00:00Z", **status: Any) -> Json:
    reservations = {"NanoCPUs": 500_000_000, "MemoryBytes": 256 * 2**20}
    return {
        "ID": task_id,
        "Slot": slot,
        "NodeID": node_id,
        "CreatedAt": created,
        "DesiredState": "running" if state == "running" else "shutdown",
        "Status": {"State": state, "Timestamp": "2026-01-01T00:00:00.123456789Z", **status},
        "Spec": {"ContainerSpec": {"Image": "nginx:1"}, "Resources": {"Reservations": reservations}},
    }


class FakeApi:
    """Objects of one namespace in memory. `writes` are the patches, as (plural, name, body)."""

    def __init__(self, *objects: Json) -> None:
        self.objects = copy.deepcopy(list(objects or (CLUSTER, SERVICE, LOST)))
        self.writes: list[tuple[str, str, Json]] = []
        self.conflicts = 0
        self.secrets = {"main-docker-tls": {"ca.pem": b"ca", "ca-key.pem": b"never", "cert.pem": b"cert", "key.pem": b"key"}}

    def list(self, plural: str, namespace: str | None) -> Any:
        return [item for item in self.objects if item["kind"].lower() + "s" == plural]

    def get(self, plural: str, namespace: str, name: str) -> Json:
        found = next((item for item in self.list(plural, namespace) if item["metadata"]["name"] == name), None)
        if found is None:
            raise ExternalError(ErrorKind.NOT_FOUND, "kubernetes", f"{name} not found")
        return dict(found)

    def events(self, namespace: str) -> Any:
        def event(kind: str, name: str, at: str, message: str, api: str = "swarmops.io/v1alpha1") -> Json:
            about = {"apiVersion": api, "kind": kind, "name": name}
            return {
                "metadata": {"uid": f"{kind}/{name}"},
                "involvedObject": about,
                "lastTimestamp": at,
                "type": "Normal",
                "reason": "R",
                "message": message,
                "count": 2,
            }

        return [
            event("SwarmService", "web", "2026-01-01T00:00:02Z", "second password=abc"),
            event("SwarmCluster", "main", "2026-01-01T00:00:01Z", "first"),
            event("Pod", "main", "2026-01-01T00:00:00Z", "foreign", "v1"),
        ]

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        return self.secrets[name]

    def patch(self, plural: str, namespace: str, name: str, body: Json) -> Json:
        if self.conflicts:
            self.conflicts -= 1
            raise ExternalError(ErrorKind.CONFLICT, "kubernetes", "changed")
        self.writes.append((plural, name, body))
        return self.get(plural, namespace, name)

    def preview(self, plural: str, namespace: str, manifest: Json) -> Json:
        raise NotImplementedError


class FakeEngine:
    """A swarm of two nodes. `opened` is what it was opened with."""

    def __init__(self) -> None:
        self.opened: list[tuple[list[str], TlsMaterial]] = []
        self.closed = 0
        self.found = [node("n1", "m-0", "manager"), node("n2", "w-0")]
        self.running = [task("t1", 1, "n1"), task("t2", 2, "n2"), task("t0", 2, "n2", "failed", "2025-12-31T00:00:00Z", Err="exit 1")]
        self.emptying: list[int] = []
        self.writes: list[tuple[str, str]] = []
        self.asked: Json = {}
        self.said: list[Line] = []

    def open(self, endpoints: list[str], tls: TlsMaterial) -> FakeEngine:
        self.opened.append((endpoints, tls))
        return self

    def nodes(self) -> list[Json]:
        return self.found

    def services(self) -> list[Json]:
        return []

    def tasks(self, service_id: str | None = None) -> list[Json]:
        return self.running[: self.emptying.pop(0)] if self.emptying else self.running

    def set_availability(self, node_id: str, availability: str) -> None:
        self.writes.append((node_id, availability))

    def logs(self, service_id: str, **asked: Any) -> Iterator[Line]:
        self.asked = {"service": service_id, **asked}
        yield from self.said

    def close(self) -> None:
        self.closed += 1


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


class Call:
    """What one run of the plugin gave."""

    def __init__(self, *argv: str, api: FakeApi | None = None, engine: FakeEngine | None = None, terminal: bool = False) -> None:
        self.api, self.engine = api or FakeApi(), engine or FakeEngine()
        out, err = Terminal() if terminal else io.StringIO(), io.StringIO()
        arguments = parse(argv)
        context = Context(arguments, self.api, arguments.namespace or "shop", out, err, self.engine.open)
        self.status = arguments.run(context)
        self.out, self.err = out.getvalue(), err.getvalue()


def run(*argv: str, api: FakeApi | None = None, engine: FakeEngine | None = None) -> str:
    """The output of a call that succeeds."""
    call = Call(*argv, api=api, engine=engine)
    assert call.status == 0
    return call.out
