"""Two operator processes on a real API server: one works, and the other follows it, after kill -9 and after SIGTERM. The measured times are printed; only generous bounds are
asserted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.kube import eventually
from integration.apiserver import apply_crds, create_cluster, create_service, namespace, open_api
from swarm_operator.adapters.kubernetes.api import KubernetesApi
from swarm_operator.adapters.kubernetes.leases import KubernetesLease
from swarm_operator.engine.clock import SystemClock
from swarm_operator.engine.leader import LeaseConflict, LeaseRecord
from swarm_operator.handlers.sharding import Shard

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import os, sys, time
from swarm_operator.engine.outcome import Done
from swarm_operator.handlers.application import Application
from swarm_operator.handlers.settings import Settings
from swarm_operator.handlers.sharding import Shard
from swarm_operator.handlers.wiring import Core
from swarm_operator.telemetry import logs

def build(objects, wake, clock, metrics):
    def reconcile(key):
        os.write(1, f"reconcile {key}\\n".encode())
        return Done()
    return Core(reconcile)

logs.configure("text", "INFO")
name, port, shard = sys.argv[1:]
settings = Settings(namespaces=(name,), lease_namespace=name, metrics_port=int(port), shutdown_seconds=5, shard=Shard.parse(shard) if shard else None)
sys.exit(Application(settings, build).run())
"""


class Replica:
    """One operator process with a reconcile that only writes down its keys."""

    def __init__(self, kubeconfig: str, ns: str, out: Path, shard: str = "") -> None:
        self.out = out
        with out.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, ns, "0", shard],
                env={**os.environ, "KUBECONFIG": kubeconfig, "PYTHONPATH": str(ROOT / "operator")},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.out.read_text()

    def saw(self, line: str) -> bool:
        assert self.process.poll() is None, self.text()
        return line in self.text()

    def get(self, path: str) -> str:
        address = self.text().split("metrics at ")[1].split()[0]
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def ready(self) -> bool:
        return self.saw("metrics at ") and "ok" in self.get("/readyz")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


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
def replicas(lab_kubeconfig: str, ns: str, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """A leader, and a standby that is ready."""
    started: list[Replica] = []
    try:
        started.append(Replica(lab_kubeconfig, ns, tmp_path / "first"))
        eventually(lambda: started[0].saw("leading: ") and started[0].ready(), within=60)
        started.append(Replica(lab_kubeconfig, ns, tmp_path / "second"))
        eventually(lambda: started[1].ready(), within=60, what="readiness means able to lead, not leading")
        yield started[0], started[1]
    finally:
        for replica in started:
            if replica.process.poll() is None:
                replica.process.kill()
                replica.process.wait(10)


def test_only_the_leader_works_and_a_killed_one_is_followed(api: KubernetesApi, ns: str, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    create_service(api, ns, "web")
    eventually(lambda: first.saw(f"reconcile SwarmService/{ns}/web"), within=20)
    assert 'swarm_operator_leader{lease="swarm-operator-' in first.get("/metrics")
    assert f'swarm_operator_leader{{lease="swarm-operator-{ns}"}} 1.0' in first.get("/metrics")
    assert f'swarm_operator_leader{{lease="swarm-operator-{ns}"}} 0.0' in second.get("/metrics")
    assert "reconcile" not in second.text()

    first.end(signal.SIGKILL)
    began = time.monotonic()
    create_service(api, ns, "meanwhile")
    eventually(lambda: second.saw("leading: "), within=60, every=0.05)
    print(f"kill -9 of the leader: the other leads after {time.monotonic() - began:.1f} s")
    eventually(lambda: second.saw(f"reconcile SwarmService/{ns}/meanwhile") and second.saw(f"reconcile SwarmService/{ns}/web"), within=20, every=0.05)
    print(f"kill -9 of the leader: all reconciled after {time.monotonic() - began:.1f} s")


def test_a_leader_that_is_asked_to_end_hands_over(api: KubernetesApi, ns: str, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    began = time.monotonic()
    first.process.send_signal(signal.SIGTERM)
    eventually(lambda: second.saw("leading: "), within=60, every=0.05)
    print(f"SIGTERM to the leader: the other leads after {time.monotonic() - began:.1f} s")
    assert first.process.wait(30) == 0, first.text()
    assert "gave the lease back" in first.text()
    create_service(api, ns, "web")
    eventually(lambda: second.saw(f"reconcile SwarmService/{ns}/web"), within=20)


def test_a_leader_whose_lease_is_taken_ends_with_its_own_status(api: KubernetesApi, ns: str, replicas: tuple[Replica, Replica]) -> None:
    first, _ = replicas
    path = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/swarm-operator-{ns}"
    api.call("test", "PATCH", path, body={"spec": {"holderIdentity": "usurper"}}, media_type="application/merge-patch+json")
    assert first.process.wait(30) == 3, first.text()
    assert "is lost (another process holds it); ending at once" in first.text()
    assert api.call("test", "GET", path)["spec"]["holderIdentity"] == "usurper", "not given back by who does not hold it"


def test_shards_part_the_clusters_among_them_and_each_has_its_standby(api: KubernetesApi, ns: str, lab_kubeconfig: str, tmp_path: Path) -> None:
    """Two shards and a standby of the second one: each key is worked on by the one that owns its cluster, and the standby follows its own shard only."""
    names = [f"c{number}" for number in range(100)]
    owned = {shard: set([name for name in names if Shard(shard, 2).owns(ns, name)][:3]) for shard in (0, 1)}
    clusters = sorted(owned[0] | owned[1])
    started: list[Replica] = []
    try:
        for name, shard in (("first", "0/2"), ("second", "1/2"), ("standby", "1/2")):
            replica = Replica(lab_kubeconfig, ns, tmp_path / name, shard)
            started.append(replica)
            eventually(lambda replica=replica: replica.ready() and (replica.out.name == "standby" or replica.saw("leading: ")), within=60)
        first, second, standby = started
        for name in clusters:
            create_cluster(api, ns, name)
            create_service(api, ns, f"on-{name}", cluster=name)

        def worked(replica: Replica) -> set[str]:
            """Names of clusters and, with "on-" before, of services."""
            return set(re.findall(rf"reconcile Swarm(?:Cluster|Service)/{ns}/(\S+)", replica.text()))

        def both(names: set[str]) -> set[str]:
            return names | {f"on-{name}" for name in names}

        eventually(lambda: worked(first) == both(owned[0]) and worked(second) == both(owned[1]), within=20)
        assert worked(standby) == set()
        second.end(signal.SIGTERM)
        eventually(lambda: worked(standby) == both(owned[1]), within=30, what="the standby of the second shard")
        assert worked(first) == both(owned[0])
    finally:
        for replica in started:
            if replica.process.poll() is None:
                replica.process.kill()
                replica.process.wait(10)


def test_the_lease_store_on_a_real_server(api: KubernetesApi, ns: str) -> None:
    store = KubernetesLease(api, SystemClock(), ns, "l")
    assert store.read() is None
    made = store.write(LeaseRecord("a", 15.0), acquired=True)
    assert store.read() == made
    with pytest.raises(LeaseConflict):
        store.write(LeaseRecord("b", 15.0), acquired=True)
    renewed = store.write(made, acquired=False)
    assert renewed.version != made.version
    with pytest.raises(LeaseConflict):
        store.write(LeaseRecord("b", 15.0, 1, made.version), acquired=True)
    released = store.write(LeaseRecord("", 1.0, 0, renewed.version), acquired=False)
    assert (released.holder, released.duration) == ("", 1.0)
