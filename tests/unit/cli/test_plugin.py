"""`kubectl swarm` over fake objects: what is shown, what is written, and what never is."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.cli.plugin import execute, parser
from swarm_operator.cli.view import Style, tree
from swarm_operator.domain.errors import ErrorKind, ExternalError

Json = dict[str, Any]


def condition(kind: str, status: str, reason: str, message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


CLUSTER: Json = {
    "apiVersion": "swarmops.io/v1alpha1",
    "kind": "SwarmCluster",
    "metadata": {"namespace": "shop", "name": "main", "uid": "u1", "generation": 3, "managedFields": [{"manager": "x"}]},
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
    "metadata": {"namespace": "shop", "name": "web", "uid": "u2", "generation": 1},
    "spec": {"clusterRef": {"name": "main"}, "image": "nginx:1", "env": ["MODE=prod", "DB_PASS=hunter2"]},
    "status": {
        "observedGeneration": 1,
        "replicas": {"summary": "1/2"},
        "conditions": [condition("Ready", "False", "Converging", "1 of 2 run")],
        "drift": ["TaskTemplate.ContainerSpec.Env"],
        "failingTasks": [{"node": "w-0", "state": "rejected", "error": "No such image: nginx:1", "count": 3}],
    },
}
LOST: Json = {**SERVICE, "metadata": {**SERVICE["metadata"], "name": "lost"}, "spec": {"clusterRef": {"name": "gone"}, "image": "x"}, "status": {}}

GOLDEN = """\
SwarmCluster shop/main  not ready: NodesDown
├─ managers 1/1  workers 0/1  engine 26.1.5  endpoint tcp://192.0.2.10:2376
├─ Reconciling NodesDown: w-0: heartbeat failure
├─ manager m-0  Ready  10.0.0.2 192.0.2.10
├─ worker w-0  Down  10.0.0.3
│     last repair SoftReboot at 2026-01-01T00:01:00Z, 2 attempt(s)
│     the node is down: heartbeat failure
└─ service web  not ready: Converging  1/2  nginx:1
      Ready Converging: 1 of 2 run
      drift: TaskTemplate.ContainerSpec.Env
      3 task(s) rejected on w-0: No such image: nginx:1
SwarmCluster shop/gone: not there
└─ service lost  not seen by the operator yet  0/0  x
"""


class FakeReader:
    """Objects of one namespace in memory."""

    def __init__(self, cluster: Json = CLUSTER) -> None:
        self.cluster = cluster
        self.writes: list[tuple[str, str, bool]] = []

    def list(self, plural: str, namespace: str | None) -> Any:
        return [self.cluster] if plural == "swarmclusters" else [SERVICE, LOST]

    def get(self, plural: str, namespace: str, name: str) -> Json:
        if name != "main":
            raise ExternalError(ErrorKind.NOT_FOUND, "kubernetes", f"{name} not found")
        return self.cluster

    def events(self, namespace: str) -> Any:
        def event(kind: str, name: str, at: str, message: str, api: str = "swarmops.io/v1alpha1") -> Json:
            about = {"apiVersion": api, "kind": kind, "name": name}
            return {"involvedObject": about, "lastTimestamp": at, "type": "Normal", "reason": "R", "message": message, "count": 2}

        return [
            event("SwarmService", "web", "2026-01-01T00:00:02Z", "second password=abc"),
            event("SwarmCluster", "main", "2026-01-01T00:00:01Z", "first"),
            event("Pod", "main", "2026-01-01T00:00:00Z", "foreign", "v1"),
        ]

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        return {"ca.pem": b"ca", "ca-key.pem": b"never", "cert.pem": b"cert", "key.pem": b"key"} if name == "main-docker-tls" else {}

    def set_paused(self, plural: str, namespace: str, name: str, paused: bool) -> None:
        self.writes.append((plural, name, paused))


def run(*argv: str, reader: FakeReader | None = None) -> str:
    out = io.StringIO()
    assert execute(parser().parse_args(argv), reader or FakeReader(), "shop", out) == 0
    return out.getvalue()


def test_status_is_a_tree() -> None:
    assert run("status") == GOLDEN


def test_wide_adds_ids_and_one_name_leaves_others_out() -> None:
    text = run("status", "main", "-o", "wide")
    assert "server s1  node n1  since 2026-01-01T00:00:00Z" in text
    assert "gone" not in text


def test_colours_change_nothing_but_codes() -> None:
    import re

    coloured = tree([CLUSTER], [SERVICE, LOST], Style(True))
    assert "\x1b[31mDown\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == GOLDEN


def test_a_new_generation_is_not_called_ready() -> None:
    ready = {
        **CLUSTER,
        "metadata": {**CLUSTER["metadata"], "generation": 4},
        "status": {**CLUSTER["status"], "conditions": [condition("Ready", "True", "Reconciled")]},
    }
    assert "the last change is not seen by the operator yet" in run("status", "main", reader=FakeReader(ready))


def test_json_gives_the_objects() -> None:
    assert [item["metadata"]["name"] for item in json.loads(run("status", "-o", "json"))["items"]] == ["main", "web", "lost"]


def test_pause_and_resume_write_only_paused() -> None:
    reader = FakeReader()
    assert run("pause", "main", reader=reader) == "cluster shop/main paused\n"
    assert run("resume", "service/web", reader=reader) == "service shop/web resumed\n"
    assert reader.writes == [("swarmclusters", "main", True), ("swarmservices", "web", False)]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ExternalError, match="neither"):
        run("pause", "pod/x")


def test_events_are_ours_in_order() -> None:
    lines = run("events").splitlines()
    assert [line.split()[2] for line in lines] == ["cluster/main", "service/web"]
    assert lines[0].endswith("R (x2): first")
    assert run("events", "service/web").count("\n") == 1


def test_docker_env_writes_the_client_certificate_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "with space"
    text = run("docker-env", "main", "--directory", str(target))
    assert "export DOCKER_HOST=tcp://192.0.2.10:2376\n" in text
    assert f"export DOCKER_CERT_PATH='{target}'\n" in text
    assert sorted(path.name for path in target.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert stat.S_IMODE((target / "key.pem").stat().st_mode) == 0o600


def test_docker_env_needs_an_endpoint() -> None:
    with pytest.raises(ExternalError, match="no endpoint yet"):
        run("docker-env", "main", reader=FakeReader({**CLUSTER, "status": {}}))


def test_report_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "r.zip"
    run("report", "main", "--file", str(path))
    with zipfile.ZipFile(path) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert sorted(texts) == ["about.yaml", "cluster.yaml", "events.yaml", "services.yaml"]
    whole = "".join(texts.values())
    assert "DB_PASS=[redacted]" in whole
    assert "password=[redacted]" in whole
    assert not any(word in whole for word in ("hunter2", "abc", "never", "managedFields", "foreign", "lost"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
