"""SwarmCluster from create to delete on the real lab: kube-apiserver, Nova, Neutron, cloud-init, sshd and dockerd are real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cloud import CloudView, DockerView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view

pytestmark = pytest.mark.lab


def uid_of(kubectl: Kubectl, name: str) -> str:
    return str(kubectl.get("swarmcluster", name)["metadata"]["uid"])


def set_workers(kubectl: Kubectl, name: str, replicas: int) -> None:
    kubectl("patch", "swarmcluster", name, "--type=json", "-p", f'[{{"op":"replace","path":"/spec/workerPools/0/replicas","value":{replicas}}}]')


def test_a_manifest_becomes_a_swarm(kubectl: Kubectl, swarm: str, cloud: CloudView, docker: DockerView) -> None:
    cluster = kubectl.get("swarmcluster", swarm)
    status = cluster["status"]
    servers = cloud.servers(cluster["metadata"]["uid"])

    assert {s.name for s in servers} == {"main-manager-0", "main-workers-0"} == {n["name"] for n in status["nodes"]}
    assert all(s.status == "ACTIVE" for s in servers)
    assert {n["serverID"] for n in status["nodes"]} == {s.id for s in servers}
    nodes = docker.nodes()
    assert {(n["Spec"]["Role"], n["Status"]["State"]) for n in nodes} == {("manager", "ready"), ("worker", "ready")}
    assert {n["nodeID"] for n in status["nodes"]} == {n["ID"] for n in nodes}
    assert status["managers"]["summary"] == "1/1" and status["workers"]["summary"] == "1/1"
    assert condition(cluster, "Ready")["observedGeneration"] == cluster["metadata"]["generation"] == status["observedGeneration"]
    assert condition(cluster, "Stalled")["status"] == "False"


def test_engine_settings_reach_daemon_json(swarm: str, lab: Any) -> None:
    daemon_json = lab("ssh", "main-workers-0", "cat", "/etc/docker/daemon.json")
    assert '"198.51.100.1:5000"' in daemon_json
    assert '"mtu": 1350' in daemon_json.replace('"mtu":1350', '"mtu": 1350')


def test_no_secret_leaves_its_place(kubectl: Kubectl, swarm: str, cloud: CloudView, operator: Operator, docker: DockerView) -> None:
    """Join tokens and keys are in no log, status, event, user data or metadata."""
    token = docker.api.inspect_swarm()["JoinTokens"]["Worker"]
    key = kubectl.secret_data(f"{swarm}-ssh")["ssh-privatekey"].decode().splitlines()[1]
    texts = [operator.log.read_text(), kubectl("get", "swarmcluster", swarm, "-o", "yaml"), kubectl("get", "events", "-o", "yaml")]
    for server in cloud.servers(uid_of(kubectl, swarm)):
        texts += [str(server.metadata), str(server.user_data)]
    for text in texts:
        assert "SWMTKN-" not in text
        assert token not in text
        assert key not in text


def test_scale_from_one_to_three_to_two(kubectl: Kubectl, swarm: str, cloud: CloudView, docker: DockerView) -> None:
    uid = uid_of(kubectl, swarm)
    first = {s.id for s in cloud.servers(uid)}

    set_workers(kubectl, swarm, 3)
    eventually(lambda: kubectl.get("swarmcluster", swarm)["status"]["workers"]["summary"] == "3/3", within=240, what="three workers ready")
    kubectl.wait("swarmcluster", swarm)
    assert len(cloud.servers(uid)) == 4
    assert first <= {s.id for s in cloud.servers(uid)}

    set_workers(kubectl, swarm, 2)
    eventually(lambda: len(cloud.servers(uid)) == 3, within=180, what="one server removed")
    eventually(lambda: len(docker.nodes()) == 3, within=60, what="its node removed")
    kubectl.wait("swarmcluster", swarm)
    assert first <= {s.id for s in cloud.servers(uid)}
    assert {n["Status"]["State"] for n in docker.nodes()} == {"ready"}


def test_a_killed_worker_is_reset(kubectl: Kubectl, swarm: str, cloud: CloudView, docker: DockerView, lab: Any) -> None:
    """The host dies without Nova being told: the swarm's view decides, after the grace. A hard reboot brings the same server back as the same node."""
    uid = uid_of(kubectl, swarm)
    before = {s.id for s in cloud.servers(uid)}
    victim = next(n for n in kubectl.get("swarmcluster", swarm)["status"]["nodes"] if n["role"] == "Worker")

    def now() -> dict[str, Any]:
        return next(n for n in kubectl.get("swarmcluster", swarm)["status"]["nodes"] if n["name"] == victim["name"])

    lab("break", "kill-host", victim["name"])
    eventually(lambda: now()["phase"] == "Down", within=90, what="the node is seen down")
    eventually(lambda: now()["phase"] == "Ready", within=180, every=2, what="the node is back")
    assert now()["remediation"]["rung"] == "HardReboot" and now()["nodeID"] == victim["nodeID"]
    kubectl.wait("swarmcluster", swarm)
    assert {s.id for s in cloud.servers(uid)} == before


def test_a_worker_deleted_in_nova_is_replaced(kubectl: Kubectl, swarm: str, cloud: CloudView, docker: DockerView) -> None:
    """Nothing can be repaired where the server is gone: the slot gets a new machine."""
    uid = uid_of(kubectl, swarm)
    victim = next(n for n in kubectl.get("swarmcluster", swarm)["status"]["nodes"] if n["role"] == "Worker")
    cloud.connection.compute.delete_server(victim["serverID"])

    def replaced() -> bool:
        node = next(n for n in kubectl.get("swarmcluster", swarm)["status"]["nodes"] if n["role"] == "Worker" and n["slot"] == victim["slot"])
        return bool(node["phase"] == "Ready" and node["machineUID"] != victim["machineUID"])

    eventually(replaced, within=300, every=2, what="the slot has a new machine")
    kubectl.wait("swarmcluster", swarm)
    ids = {s.id for s in cloud.servers(uid)}
    assert victim["serverID"] not in ids
    assert len(ids) == 3
    assert len(docker.nodes()) == 3


def test_metadata_join_rotates_the_token(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    """Workers join by themselves with what nova-metadata gives them; afterwards that token is worth nothing, and all is deleted."""
    kubectl.apply(cluster_manifest("by-metadata", workers=1, join="Metadata"))
    kubectl.wait("swarmcluster", "by-metadata", timeout=300)
    uid = uid_of(kubectl, "by-metadata")
    status = eventually(
        lambda: (s := kubectl.get("swarmcluster", "by-metadata")["status"]) and s.get("join", {}).get("rotatedAt") and s,
        within=60,
        what="the token was rotated",
    )
    assert status["join"]["tokenExposed"] is False
    view = docker_view(kubectl, "by-metadata")
    assert len(view.nodes()) == 2
    view.close()
    for server in cloud.servers(uid):
        assert "SWMTKN" not in str(server.metadata)

    kubectl("delete", "swarmcluster", "by-metadata", "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []


def test_a_network_that_exists_is_used_and_kept(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    kubectl.apply(cluster_manifest("adopted", workers=0, network={"existing": {"network": {"name": "lab-net"}}, "external": {"name": "public"}}))
    kubectl.wait("swarmcluster", "adopted", timeout=300)
    uid = uid_of(kubectl, "adopted")
    node = kubectl.get("swarmcluster", "adopted")["status"]["nodes"][0]
    assert node["address"].startswith("10.77.0.")

    kubectl("delete", "swarmcluster", "adopted", "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
    assert cloud.connection.network.find_network("lab-net") is not None


@pytest.mark.parametrize("moment", ["the network is made", "the first server is made", "the manager has its address", "the swarm is there"])
def test_killed_with_9_in_the_middle_makes_nothing_twice(
    moment: str, kubectl: Kubectl, lab_env: dict[str, str], cloud: CloudView, crds: None, tmp_path: Path
) -> None:
    """kill -9 of the operator at a moment of the creation, a new process goes on, and the delete leaves nothing."""
    name = f"crash-{abs(hash(moment)) % 10000}"
    namespace = f"{kubectl.namespace}-{name}"
    Kubectl(lab_env, "default")("create", "namespace", namespace)
    client = Kubectl(lab_env, namespace)
    client.secret("cloud-credentials", kubectl.secret_data("cloud-credentials"))
    operator = Operator(lab_env, namespace, tmp_path / "operator.log")
    reached = {
        "the network is made": lambda uid: any(uid in (n.description or "") for n in cloud.connection.network.networks()),
        "the first server is made": lambda uid: bool(cloud.servers(uid)),
        "the manager has its address": lambda uid: any(uid in (f.description or "") for f in cloud.connection.network.ips()),
        "the swarm is there": lambda uid: bool(client.get("swarmcluster", name).get("status", {}).get("swarmID")),
    }[moment]
    try:
        with operator:
            client.apply(cluster_manifest(name, workers=1))
            uid = uid_of(client, name)
            eventually(lambda: reached(uid), within=180, every=0.1, what=moment)
            operator.kill()
            operator.start()
            client.wait("swarmcluster", name, timeout=300)
            assert sorted(s.name for s in cloud.servers(uid)) == [f"{name}-manager-0", f"{name}-workers-0"]
            made = cloud.leftovers(uid)
            assert len([m for m in made if m.startswith("network ")]) == 1
            assert len([m for m in made if m.startswith("floating ip ")]) == 1
            assert len([m for m in made if m.startswith("security group ")]) == 2

            client("delete", "swarmcluster", name, "--timeout=180s", timeout=200)
            assert cloud.leftovers(uid) == []
    finally:
        Kubectl(lab_env, "default")("delete", "namespace", namespace, "--wait=false")
