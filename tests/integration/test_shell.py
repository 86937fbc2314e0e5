"""The process shell on a real API server, with a reconcile that only writes down its keys."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.apiserver import apply_crds, create_cluster, create_service, namespace, open_api, services
from swarm_operator.adapters.kubernetes.api import KubernetesApi

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import os, sys, time
from swarm_operator.engine.outcome import Done
from swarm_operator.handlers.application import Application
from swarm_operator.handlers.settings import Settings
from swarm_operator.handlers.wiring import Core
from swarm_operator.telemetry import logs

def say(text):
    # One write: print() writes the line end apart, and two threads mix their lines.
    os.write(1, (text + chr(10)).encode())

def build(objects, wake, clock, metrics):
    def reconcile(key):
        say(f"reconcile {key}")
        if "slow" in key.name:
            time.sleep(2)
            say(f"finished {key}")
        if "hung" in key.name:
            time.sleep(600)
        return Done()
    return Core(reconcile)

logs.configure("json", "DEBUG")
patience = 120.0
if "deaf" in sys.argv:
    from swarm_operator.handlers.watch import WatchEvents
    WatchEvents.__call__ = lambda *args: None
    patience = 1.0
settings = Settings(namespaces=(sys.argv[1],), metrics_port=0, shutdown_seconds=5, startup_seconds=3, watch_patience_seconds=patience)
sys.exit(Application(settings, build).run())
"""


class Shell:
    """The program as a process, with what it wrote so far."""

    def __init__(self, kubeconfig: str, ns: str, out: Path, *extra: str) -> None:
        self.out = out
        with out.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, ns, *extra],
                env={**os.environ, "KUBECONFIG": kubeconfig, "PYTHONPATH": str(ROOT / "operator")},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()

    def reconciles(self, key: str) -> int:
        return self.lines().count(f"reconcile {key}")

    def wait(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.out.read_text()
            assert time.monotonic() < end, self.out.read_text()
            time.sleep(0.05)

    def url(self, path: str) -> str:
        records = [json.loads(line) for line in self.lines() if line.startswith("{")]
        address = next(str(record["message"]).rsplit(" ", 1)[1] for record in records if "metrics at" in str(record["message"]))
        return f"http://{address}{path}"

    def terminate(self) -> tuple[int, float]:
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - start


@pytest.fixture(scope="module")
def api(lab_kubeconfig: str) -> Iterator[KubernetesApi]:
    apply_crds(lab_kubeconfig)
    api = open_api(lab_kubeconfig)
    yield api
    api.close()


@pytest.fixture
def ns(api: KubernetesApi) -> Iterator[str]:
    with namespace(api) as name:
        yield name


@pytest.fixture
def shell(api: KubernetesApi, ns: str, lab_kubeconfig: str, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(lab_kubeconfig, ns, tmp_path / "out")
    yield shell
    if shell.process.poll() is None:
        shell.process.kill()
        shell.process.wait(10)


def ready(shell: Shell) -> bool:
    try:
        with urllib.request.urlopen(shell.url("/readyz"), timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, StopIteration):
        return False


def metrics(shell: Shell) -> str:
    with urllib.request.urlopen(shell.url("/metrics"), timeout=5) as answer:
        return str(answer.read().decode())


def test_objects_are_seen_edited_and_deleted_and_sigterm_ends_it(api: KubernetesApi, ns: str, shell: Shell) -> None:
    create_cluster(api, ns, "c")
    shell.wait(lambda: ready(shell))
    shell.wait(lambda: shell.reconciles(f"SwarmCluster/{ns}/c") >= 1)

    key = f"SwarmService/{ns}/web"
    start = time.monotonic()
    create_service(api, ns, "web")
    shell.wait(lambda: shell.reconciles(key) >= 1)
    assert time.monotonic() - start < 5, "an event, not the resync"
    # The first event of the cluster brings its services too, so that the number of reconciles is not to be foretold.
    time.sleep(0.5)
    before = shell.reconciles(key)
    api.call("test", "PATCH", services(ns, "web"), body={"spec": {"replicas": 3}}, media_type="application/merge-patch+json")
    shell.wait(lambda: shell.reconciles(key) > before)
    web: dict[str, Any] = api.call("test", "GET", services(ns, "web"))["metadata"]
    assert "finalizers" not in web
    assert "annotations" not in web, "kopf writes nothing on objects"
    assert {entry["manager"] for entry in web["managedFields"]} == {api._client.user_agent.partition("/")[0]}
    before = shell.reconciles(key)
    api.call("test", "DELETE", services(ns, "web"))
    shell.wait(lambda: shell.reconciles(key) > before)

    counted = f'swarm_operator_reconcile_total{{kind="SwarmService",result="done"}} {shell.reconciles(key)}.0'
    shell.wait(lambda: counted in metrics(shell))
    assert "swarm_operator_queue_depth 0.0" in metrics(shell)
    with urllib.request.urlopen(shell.url("/livez"), timeout=5) as answer:
        assert answer.status == 200

    status, seconds = shell.terminate()
    assert status == 0, shell.out.read_text()
    assert seconds < 5


def test_sigterm_lets_the_running_step_finish(api: KubernetesApi, ns: str, shell: Shell) -> None:
    create_service(api, ns, "slow")
    shell.wait(lambda: shell.reconciles(f"SwarmService/{ns}/slow") >= 1)
    status, _ = shell.terminate()
    assert status == 0, shell.out.read_text()
    assert f"finished SwarmService/{ns}/slow" in shell.lines()


def test_sigterm_does_not_wait_for_ever(api: KubernetesApi, ns: str, shell: Shell) -> None:
    create_service(api, ns, "hung")
    shell.wait(lambda: shell.reconciles(f"SwarmService/{ns}/hung") >= 1)
    status, seconds = shell.terminate()
    assert status == 0, shell.out.read_text()
    assert seconds < 15


def test_no_api_server_is_said_and_ends_it(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}
    config = {
        "clusters": [cluster],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    kubeconfig.write_text(json.dumps(config))
    shell = Shell(str(kubeconfig), "nowhere", tmp_path / "out")
    assert shell.process.wait(30) == 1
    assert "the API server can't be reached" in shell.out.read_text()


def test_a_watch_that_delivers_nothing_ends_the_process(api: KubernetesApi, ns: str, lab_kubeconfig: str, tmp_path: Path) -> None:
    create_service(api, ns, "web")
    shell = Shell(lab_kubeconfig, ns, tmp_path / "out", "deaf")
    assert shell.process.wait(30) == 1, shell.out.read_text()
    assert "the watch is dead" in shell.out.read_text()
    assert shell.reconciles(f"SwarmService/{ns}/web") >= 1, "the sweep works all the same"
