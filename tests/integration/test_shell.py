"""The process shell on a real API server, with a reconcile that only writes down its keys."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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
settings = Settings(namespaces=(sys.argv[1],), leader_elect=False, metrics_port=0, shutdown_seconds=5, startup_seconds=3, watch_patience_seconds=patience)
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


class Cable:
    """A TCP relay to the API server that can be cut (open connections break, new ones are refused) or frozen (open connections fall silent, new ones work)."""

    def __init__(self, kubeconfig: str, directory: Path) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster = config["clusters"][0]["cluster"]
        target = urllib.parse.urlsplit(cluster["server"])
        self.target = (target.hostname, target.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        cluster["server"] = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = directory / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.sockets: list[socket.socket] = []
        self.silent: set[socket.socket] = set()
        self.mend(self.listener)

    def mend(self, listener: socket.socket | None = None) -> None:
        self.listener = listener or socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def cut(self) -> None:
        # shutdown wakes the thread that waits in accept; close alone would leave the port open behind it.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.sockets.clear()

    def freeze(self) -> None:
        """As when a firewall forgets its connections: nothing comes through any more, and nobody says so."""
        self.silent |= set(self.sockets)

    def accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self.target)
                self.sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source not in self.silent:
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


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
    try:
        assert shell.process.wait(30) == 1, shell.out.read_text()
    finally:
        shell.process.kill()
    assert "the watch is dead" in shell.out.read_text()
    assert shell.reconciles(f"SwarmService/{ns}/web") >= 1, "the sweep works all the same"


def test_an_outage_of_the_api_server_is_outlived(api: KubernetesApi, ns: str, lab_kubeconfig: str, tmp_path: Path) -> None:
    cable = Cable(lab_kubeconfig, tmp_path)
    shell = Shell(str(cable.kubeconfig), ns, tmp_path / "out")
    try:
        shell.wait(lambda: ready(shell))
        create_service(api, ns, "before")
        shell.wait(lambda: shell.reconciles(f"SwarmService/{ns}/before") >= 1)
        cable.cut()
        create_service(api, ns, "meanwhile")
        time.sleep(5)
        assert shell.reconciles(f"SwarmService/{ns}/meanwhile") == 0
        cable.mend()
        create_service(api, ns, "after")
        shell.wait(lambda: shell.reconciles(f"SwarmService/{ns}/meanwhile") >= 1 and shell.reconciles(f"SwarmService/{ns}/after") >= 1, 40)
        assert shell.terminate()[0] == 0
    finally:
        if shell.process.poll() is None:
            shell.process.kill()
            shell.process.wait(10)
        cable.cut()


def test_connections_that_fall_silent_are_given_up_and_made_anew(api: KubernetesApi, ns: str, lab_kubeconfig: str, tmp_path: Path) -> None:
    """The server's bookmarks come each minute or so; a watch on which nothing at all comes for 70 s is opened again, in the same process and long before the next list."""
    cable = Cable(lab_kubeconfig, tmp_path)
    shell = Shell(str(cable.kubeconfig), ns, tmp_path / "out")
    try:
        shell.wait(lambda: ready(shell))
        create_service(api, ns, "before")
        shell.wait(lambda: shell.reconciles(f"SwarmService/{ns}/before") >= 1)
        cable.freeze()
        began = time.monotonic()
        create_service(api, ns, "unseen")
        shell.wait(lambda: shell.reconciles(f"SwarmService/{ns}/unseen") >= 1, 100)
        seconds = time.monotonic() - began
        print(f"silent connections: the object was seen after {seconds:.0f} s")
        assert seconds > 5, "it was not seen by the silent watch"
        assert re.search(r"^swarm_operator_watch_silent_total [1-9]", metrics(shell), re.MULTILINE)
        create_service(api, ns, "after")
        shell.wait(lambda: shell.reconciles(f"SwarmService/{ns}/after") >= 1, 5)
        assert shell.terminate()[0] == 0
    finally:
        if shell.process.poll() is None:
            shell.process.kill()
            shell.process.wait(10)
        cable.cut()
