"""Images on the lab: a worker is saved as a golden image, and a pool boots from it with an identity of its own."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import IMAGE, cluster_manifest, docker_view

pytestmark = pytest.mark.lab
NAME = "golden"


def nodes(kubectl: Kubectl) -> dict[str, str]:
    """Host names of the nodes that are ready, and their ids."""
    view = docker_view(kubectl, NAME)
    try:
        return {n["Description"]["Hostname"]: n["ID"] for n in view.nodes() if n["Status"]["State"] == "ready"}
    finally:
        view.close()


def identity(lab: Any, server: str) -> dict[str, str]:
    """What two hosts must not share."""
    asks = {
        "machine-id": "cat /etc/machine-id",
        "host key": "cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2",
        "engine id": "docker info --format '{{.ID}}'",
        "machine label": "docker info --format '{{json .Labels}}'",
        "node id": "docker info --format '{{.Swarm.NodeID}}'",
        "host name": "hostname",
    }
    return {what: lab("ssh", server, "sh", "-c", command).strip() for what, command in asks.items()}


def snapshots(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    return {s["name"]: s for s in kubectl.get("swarmcluster", NAME)["status"].get("snapshots", [])}


def test_a_pool_boots_from_a_snapshot_of_a_worker(kubectl: Kubectl, operator: Operator, cloud: CloudView, lab: Any) -> None:
    manifest = cluster_manifest(NAME)
    manifest["spec"]["workerPools"] = [{"name": "seed", "replicas": 1}]
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", NAME, timeout=300)
    uid = str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    seed = f"{NAME}-seed-0"
    lab("ssh", seed, "sh", "-c", "mkdir -p /opt/gold && echo golden >/opt/gold/marker")
    lab("ssh", seed, "docker", "pull", "--quiet", f"{IMAGE}:1")
    before, members = identity(lab, seed), nodes(kubectl)

    manifest["spec"]["snapshots"] = [{"name": "gold", "of": {"pool": "seed", "slot": 0}}]
    manifest["spec"]["workerPools"].append({"name": "copies", "replicas": 1, "machine": {"image": {"fromSnapshotOf": {"snapshot": "gold"}}}})
    kubectl.apply(manifest)
    eventually(
        lambda: condition(kubectl.get("swarmcluster", NAME), "MembersUpToDate")["reason"] == "ImagePending",
        within=30,
        every=0.2,
        what="the pool says what it waits for",
    )
    eventually(lambda: snapshots(kubectl)["gold"]["state"] == "Active", within=120, what="the snapshot")
    image = cloud.connection.image.get_image(snapshots(kubectl)["gold"]["imageID"])
    assert image.status == "active" and image.properties["swarmops-cluster-uid"] == uid
    eventually(lambda: f"{NAME}-copies-0" in nodes(kubectl), within=120, what="the copy is a node")
    kubectl.wait("swarmcluster", NAME, timeout=60)

    copy = f"{NAME}-copies-0"
    assert {h: i for h, i in nodes(kubectl).items() if h != copy} == members, "the nodes that were there are the same ones"
    after, again = identity(lab, copy), identity(lab, seed)
    assert again == before, "nothing was changed on the running node"
    assert {what for what in after if after[what] == before[what]} == set()
    assert lab("ssh", copy, "cat", "/opt/gold/marker").strip() == "golden"
    assert IMAGE in lab("ssh", copy, "docker", "image", "ls", "--format", "{{.Repository}}")
    (server,) = [s for s in cloud.servers(uid) if s.name == copy]
    assert server.image.id == image.id

    # The entry goes: its image stays as long as a server was booted from it.
    manifest["spec"]["snapshots"] = []
    manifest["spec"]["workerPools"][1] = {"name": "copies", "replicas": 1}
    kubectl.apply(manifest)
    eventually(lambda: snapshots(kubectl)["gold"]["state"] == "Deleting", within=30, what="the entry is not wanted")
    assert copy in snapshots(kubectl)["gold"]["message"]
    assert cloud.connection.image.find_image(image.id) is not None
    manifest["spec"]["workerPools"] = manifest["spec"]["workerPools"][:1]
    kubectl.apply(manifest)
    eventually(lambda: cloud.connection.image.find_image(image.id) is None, within=90, every=1, what="the image goes after the server")
    events = kubectl("get", "events", "-o", "jsonpath={.items[*].message}")
    assert f"snapshot gold of {seed}" in events and "can be booted from" in events

    # What is there when the cluster is deleted goes with it.
    manifest["spec"]["snapshots"] = [{"name": "last", "of": {"pool": "seed"}}]
    kubectl.apply(manifest)
    eventually(lambda: snapshots(kubectl)["last"]["state"] == "Active", within=120, what="the second snapshot")
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
