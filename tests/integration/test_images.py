"""Images on the lab: a worker is saved as a golden image, a file of the web becomes an image, and a node gets its Docker images before it takes tasks."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import IMAGE, REGISTRY, cluster_manifest, docker_view

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


FETCHED = "fetched"
APP = f"{REGISTRY}/nobody/app:1"
"""No registry has it."""
ADDITIONS = "#cloud-config\nwrite_files: [{path: /opt/added, content: by the user}]\nruncmd: [[cp, /opt/added, /opt/copied]]\n"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """A web server on the lab's own address, and the content of its file `os.raw`."""
    content = os.urandom(5 << 20)
    (tmp_path / "os.raw").write_bytes(content)
    httpd = ThreadingHTTPServer((REGISTRY.partition(":")[0], 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://{REGISTRY.partition(':')[0]}:{httpd.server_port}/os.raw", content
    httpd.shutdown()
    httpd.server_close()


def test_a_file_of_the_web_and_docker_images_without_a_registry(
    kubectl: Kubectl, operator: Operator, cloud: CloudView, lab: Any, web: tuple[str, bytes]
) -> None:
    url, content = web
    source = {"url": url, "checksum": f"sha256:{hashlib.sha256(content).hexdigest()}", "diskFormat": "raw"}
    source = {**source, "properties": {"swarmlab_rootfs": "debian-12-docker"}}  # what the lab boots is not in the file
    manifest = cluster_manifest(FETCHED)
    manifest["spec"]["workerPools"] = [
        {"name": "web", "replicas": 1, "machine": {"image": {"url": source}, "preloadImages": [APP], "userData": {"inline": ADDITIONS}}}
    ]
    kubectl.apply(manifest)

    def cluster() -> dict[str, Any]:
        return kubectl.get("swarmcluster", FETCHED)

    eventually(lambda: [i["state"] for i in cluster()["status"].get("images", [])] == ["Active"], within=90, what="the image")
    uid, image_id = cluster()["metadata"]["uid"], cluster()["status"]["images"][0]["imageID"]
    image = cloud.connection.image.get_image(image_id)
    assert (image.size, image.hash_algo, image.visibility) == (len(content), "sha512", "private")
    assert image.hash_value == hashlib.sha512(content).hexdigest()

    # No node has the Docker image, and no registry: the worker joins and takes no tasks.
    eventually(lambda: APP in condition(cluster(), "MembersUpToDate").get("message", ""), within=240, every=1, what="the node waits for its image")
    assert condition(cluster(), "MembersUpToDate")["reason"] == "ImageFailed"
    worker, manager = f"{FETCHED}-web-0", f"{FETCHED}-manager-0"

    def node() -> dict[str, Any]:
        view = docker_view(kubectl, FETCHED)
        try:
            return next(n for n in view.nodes() if n["Description"]["Hostname"] == worker)
        finally:
            view.close()

    assert node()["Spec"]["Availability"] == "drain"
    lab("ssh", manager, "docker", "pull", "--quiet", f"{IMAGE}:1")
    lab("ssh", manager, "docker", "tag", f"{IMAGE}:1", APP)
    kubectl.wait("swarmcluster", FETCHED, timeout=120)
    assert node()["Spec"]["Availability"] == "active"
    inspect = ("docker", "image", "inspect", "--format", "{{.Id}}", APP)
    assert lab("ssh", worker, *inspect) == lab("ssh", manager, *inspect)
    (server,) = [s for s in cloud.servers(uid) if s.name == worker]
    assert server.image.id == image_id

    assert lab("ssh", worker, "cat", "/opt/added", "/opt/copied") == "by the user" * 2
    assert "Valid" in lab("ssh", worker, "cloud-init", "schema", "--system"), "cloud-init's own schema takes all of it"

    # This machine's own addresses are not fetched from.
    bad = {**source, "url": "http://127.0.0.1:5000/v2/", "checksum": f"sha256:{'0' * 64}"}
    manifest["spec"]["workerPools"].append({"name": "bad", "replicas": 1, "machine": {"image": {"url": bad}}})
    kubectl.apply(manifest)
    eventually(lambda: "not fetched from" in condition(cluster(), "ImagesReady").get("message", ""), within=60, what="the refusal")
    assert condition(cluster(), "ImagesReady")["reason"] == "ImageFailed"
    kubectl("delete", "swarmcluster", FETCHED, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
