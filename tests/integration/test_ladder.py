"""Each rung of the ladder on the real lab, taken for the fault that calls for it. One swarm for the file: one manager, three workers, among whom the faults are spread: a machine
that fails again and again waits longer before each repair, and is replaced after five.

What comes back keeps its server, labels (also those that somebody else set), availability and role.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView, DockerView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view

pytestmark = pytest.mark.lab

NAME = "ladder"
FIRST, SECOND, THIRD = (f"{NAME}-workers-{slot}" for slot in range(3))
RUNG_SECONDS = 40


@pytest.fixture(scope="module")
def uid(kubectl: Kubectl, operator: Operator) -> Iterator[str]:
    """UID of the file's cluster, which is Ready."""
    manifest = cluster_manifest(NAME, remediation={"rungSeconds": RUNG_SECONDS, "maxUnhealthyPercent": 50})
    manifest["spec"]["workerPools"] = [{"name": "workers", "replicas": 3, "nodeLabels": {"tier": "web"}}]
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", NAME, timeout=300)
    yield str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)


@pytest.fixture
def engine(kubectl: Kubectl, uid: str) -> Iterator[DockerView]:
    """The swarm's Docker API."""
    view = docker_view(kubectl, NAME)
    yield view
    view.close()


def machine(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The record of a machine in status."""
    found: dict[str, Any] = {n["name"]: n for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"]}[name]
    return found


def rungs(kubectl: Kubectl, name: str) -> Counter[str]:
    """How often each rung was tried on a machine, by the Events."""
    items = json.loads(kubectl("get", "events", "-o", "json", "--field-selector", "reason=Repaired"))["items"]
    tried: Counter[str] = Counter()
    for event in items:
        rung, _, of = event["message"].partition(":")[0].split()  # "HardReboot of ladder-workers-0: the node is down"
        if of == name:
            tried[rung] += event["count"]
    return tried


def node_of(engine: DockerView, name: str) -> dict[str, Any]:
    """The ready node of that host name."""
    (found,) = [n for n in engine.nodes() if n["Description"]["Hostname"] == name and n["Status"]["State"] == "ready"]
    return found


def mark(engine: DockerView, name: str) -> None:
    """What somebody else sets on a node: a label and a pause."""
    node = node_of(engine, name)
    spec = node["Spec"]
    engine.api.update_node(node["ID"], node["Version"]["Index"], {**spec, "Availability": "pause", "Labels": {**spec["Labels"], "theirs": "kept"}})


def assert_as_before(engine: DockerView, name: str) -> None:
    spec = eventually(lambda: (s := node_of(engine, name)["Spec"])["Labels"].get("theirs") and s, within=60, what="labels of others are there")
    assert spec["Availability"] == "pause" and spec["Role"] == "worker" and spec["Labels"]["tier"] == "web"


def broken_then_back(kubectl: Kubectl, name: str, within: float = 240) -> dict[str, Any]:
    """Wait until the machine is seen down and then Ready again; its record."""
    eventually(lambda: machine(kubectl, name)["phase"] == "Down", within=120, what=f"{name} is seen down")
    eventually(lambda: machine(kubectl, name)["phase"] == "Ready", within=within, every=1, what=f"{name} is back")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    return machine(kubectl, name)


def test_a_stopped_engine_is_restarted(kubectl: Kubectl, engine: DockerView, lab: Any) -> None:
    mark(engine, FIRST)
    before, tried = machine(kubectl, FIRST), rungs(kubectl, FIRST)
    lab("ssh", FIRST, "systemctl", "stop", "docker.socket", "docker.service")
    after = broken_then_back(kubectl, FIRST)
    assert rungs(kubectl, FIRST) - tried == Counter(["RestartEngine"])
    assert (after["serverID"], after["nodeID"], after["remediation"]["rung"]) == (before["serverID"], before["nodeID"], "RestartEngine")
    assert_as_before(engine, FIRST)


def test_an_engine_that_does_not_start_is_rebooted_softly(kubectl: Kubectl, engine: DockerView, lab: Any) -> None:
    """The unit is masked until the next boot: the restart fails, and the next rung helps."""
    mark(engine, SECOND)
    before, tried = machine(kubectl, SECOND), rungs(kubectl, SECOND)
    lab("break", "kill-dockerd", SECOND, "--stay")
    after = broken_then_back(kubectl, SECOND)
    assert rungs(kubectl, SECOND) - tried == Counter(["RestartEngine", "SoftReboot"])
    assert (after["serverID"], after["nodeID"]) == (before["serverID"], before["nodeID"])
    assert_as_before(engine, SECOND)


def test_a_stopped_server_is_started(kubectl: Kubectl, engine: DockerView, cloud: CloudView) -> None:
    before, tried = machine(kubectl, FIRST), rungs(kubectl, FIRST)
    cloud.connection.compute.stop_server(before["serverID"])
    after = broken_then_back(kubectl, FIRST)
    assert rungs(kubectl, FIRST) - tried == Counter(["Start"])
    assert (after["serverID"], after["nodeID"]) == (before["serverID"], before["nodeID"])
    assert_as_before(engine, FIRST)


def test_a_worker_that_left_the_swarm_joins_again_as_it_was(kubectl: Kubectl, engine: DockerView, lab: Any) -> None:
    """`docker swarm leave` on the guest: a new node id, and all that its former row had."""
    before, tried = machine(kubectl, FIRST), rungs(kubectl, FIRST)
    lab("ssh", FIRST, "docker", "swarm", "leave")
    after = broken_then_back(kubectl, FIRST)
    assert rungs(kubectl, FIRST) - tried == Counter(["Rejoin"])
    assert after["serverID"] == before["serverID"] and after["nodeID"] != before["nodeID"]
    assert_as_before(engine, FIRST)
    eventually(lambda: len(engine.nodes()) == 4, within=60, what="the former row is gone")


def test_a_killed_host_is_reset(kubectl: Kubectl, engine: DockerView, lab: Any) -> None:
    before, tried = machine(kubectl, SECOND), rungs(kubectl, SECOND)
    lab("break", "kill-host", SECOND)
    after = broken_then_back(kubectl, SECOND)
    assert rungs(kubectl, SECOND) - tried == Counter(["HardReboot"])
    assert (after["serverID"], after["nodeID"]) == (before["serverID"], before["nodeID"])
    assert_as_before(engine, SECOND)


def test_a_node_that_a_person_removed_joins_again(kubectl: Kubectl, engine: DockerView) -> None:
    """`docker node rm -f`: its row is gone with what others had set; role and the pool's labels come back, on the same server."""
    before = machine(kubectl, SECOND)
    engine.api.remove_node(before["nodeID"], force=True)
    eventually(lambda: machine(kubectl, SECOND)["phase"] == "Ready" and machine(kubectl, SECOND)["nodeID"] != before["nodeID"], within=180, what="joined again")
    spec = eventually(lambda: (s := node_of(engine, SECOND)["Spec"])["Labels"].get("tier") == "web" and s, within=60, what="the pool's labels are there")
    assert spec["Availability"] == "active" and spec["Role"] == "worker"
    assert machine(kubectl, SECOND)["serverID"] == before["serverID"]
    kubectl.wait("swarmcluster", NAME, timeout=60)


def test_a_cut_shorter_than_the_grace_does_nothing(kubectl: Kubectl, engine: DockerView, lab: Any) -> None:
    kubectl.patch("swarmcluster", NAME, {"spec": {"healthCheck": {"nodeDownGraceSeconds": 120}}})
    before, tried = machine(kubectl, SECOND), rungs(kubectl, SECOND)
    lab("break", "cut-network", SECOND)
    try:
        eventually(lambda: machine(kubectl, SECOND)["phase"] == "Down", within=90, what="it is seen down")
        assert condition(kubectl.get("swarmcluster", NAME), "MembersUpToDate")["reason"] == "NodesDown"
    finally:
        lab("break", "heal-network", SECOND)
    eventually(lambda: machine(kubectl, SECOND)["phase"] == "Ready", within=90, what="it is back")
    kubectl.patch("swarmcluster", NAME, {"spec": {"healthCheck": {"nodeDownGraceSeconds": 10}}})
    kubectl.wait("swarmcluster", NAME, timeout=60)
    after = machine(kubectl, SECOND)
    assert rungs(kubectl, SECOND) == tried and after["nodeID"] == before["nodeID"] and after.get("remediation") == before.get("remediation")


def test_an_engine_that_is_ruined_is_rebuilt(kubectl: Kubectl, uid: str, engine: DockerView, cloud: CloudView, lab: Any) -> None:
    """The program itself is gone from the disk: the restart can't help, a new disk does. Server, port and address stay, and so does what others had set on the node."""
    kubectl.patch("swarmcluster", NAME, {"spec": {"remediation": {"rungs": ["RestartEngine", "Replace"]}}})
    mark(engine, THIRD)
    before, tried = machine(kubectl, THIRD), rungs(kubectl, THIRD)
    (port,) = cloud.connection.network.ports(device_id=before["serverID"])
    lab("ssh", THIRD, "mv", "/usr/sbin/dockerd", "/usr/sbin/dockerd.gone")
    lab("ssh", THIRD, "systemctl", "stop", "docker.socket", "docker.service")
    after = broken_then_back(kubectl, THIRD, within=300)
    assert rungs(kubectl, THIRD) - tried == Counter(["RestartEngine", "Rebuild"])
    assert (after["serverID"], after["address"], after["incarnation"]) == (before["serverID"], before["address"], 1)
    assert after["nodeID"] != before["nodeID"] and after["hostKeys"] != before["hostKeys"]
    assert [p.id for p in cloud.connection.network.ports(device_id=before["serverID"])] == [port.id]
    assert_as_before(engine, THIRD)
    eventually(lambda: len(engine.nodes()) == 4, within=60, what="the former row is gone")


def test_a_cut_that_no_reboot_heals_ends_in_a_replacement(kubectl: Kubectl, uid: str, engine: DockerView, cloud: CloudView, lab: Any) -> None:
    """The cable stays out: the reset does not help, and the slot gets a new machine. The old server and node are gone."""
    kubectl.patch("swarmcluster", NAME, {"spec": {"remediation": {"rungs": ["HardReboot", "Replace"], "rebuild": False}}})
    before, tried = machine(kubectl, THIRD), rungs(kubectl, THIRD)
    lab("break", "cut-network", THIRD)
    eventually(lambda: machine(kubectl, f"{THIRD}-2")["phase"] == "Ready", within=300, every=1, what="the successor is Ready")
    assert rungs(kubectl, THIRD) - tried == Counter(["HardReboot"])
    kubectl.wait("swarmcluster", NAME, timeout=120)
    eventually(lambda: before["serverID"] not in {s.id for s in cloud.servers(uid)}, within=60, what="the old server is gone")
    assert len(cloud.servers(uid)) == 4
    assert sorted(n["Description"]["Hostname"] for n in engine.nodes()) == [f"{NAME}-manager-0", FIRST, SECOND, f"{THIRD}-2"]
    assert node_of(engine, f"{THIRD}-2")["Spec"]["Labels"]["tier"] == "web"
