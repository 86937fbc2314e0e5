"""Changing the image of a pool on the real lab: one manager and four workers, and a service that has its tasks on them all the while."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from harness.watch import Watch
from integration.conftest import cluster_manifest, docker_view, service_manifest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
NAME = "roll"
WORKERS = 4
FLOOR = 3
"""Tasks of four that the service asks to have running at any moment."""


@pytest.fixture
def second_image(cloud: CloudView) -> Iterator[str]:
    """Another image with the content of the first: another id is another image."""
    image = cloud.connection.image
    first = image.find_image("debian-12-docker")
    content = image.download_image(first).content
    made = image.create_image(
        name="debian-12-docker-next",
        container_format=first.container_format,
        disk_format=first.disk_format,
        data=content,
        swarmlab_rootfs=first.properties["swarmlab_rootfs"],
    )
    eventually(lambda: image.get_image(made.id).status == "active", within=60, what="the second image is there")
    yield str(made.id)
    image.delete_image(made.id)


def test_the_image_of_a_pool_changes_under_a_running_service(kubectl: Kubectl, operator: Operator, cloud: CloudView, second_image: str) -> None:
    kubectl.apply(cluster_manifest(NAME, workers=WORKERS, drainTimeoutSeconds=60))
    kubectl.wait("swarmcluster", NAME, timeout=420)
    service = service_manifest("web", NAME, replicas=WORKERS, placement={"constraints": ["node.role == worker"], "maxReplicas": 2})
    service["spec"]["labels"] = {"swarmops.io/min-running": str(FLOOR)}
    kubectl.apply(service)
    kubectl.wait("swarmservice", "web", timeout=120)
    cluster = kubectl.get("swarmcluster", NAME)
    uid, before = str(cluster["metadata"]["uid"]), {n["name"]: n for n in cluster["status"]["nodes"]}
    assert condition(cluster, "RolloutHalted")["status"] == "False"
    view = docker_view(kubectl, NAME)

    def rolled() -> dict[str, Any] | None:
        status = kubectl.get("swarmcluster", NAME)["status"]
        workers = [n for n in status["nodes"] if n["role"] == "Worker"]
        done = len(workers) == WORKERS and all(n["phase"] == "Ready" and n["name"].endswith("-2") for n in workers)
        return status if done and not status.get("rollout", {}).get("outdated") else None

    # The only manager is not touched, so it answers; on a loaded machine perhaps not at once.
    away = (docker.errors.DockerException, requests.exceptions.RequestException)
    tasks = Watch(lambda: view.running("web"), tolerated=away, fewest=100)
    servers = Watch(lambda: len(cloud.servers(uid)), every=2.0, fewest=15)
    with tasks, servers:
        kubectl.patch("swarmcluster", NAME, {"spec": {"workerPools": [{"name": "workers", "replicas": WORKERS, "machine": {"image": {"id": second_image}}}]}})
        eventually(lambda: "image" in condition(kubectl.get("swarmcluster", NAME), "MembersUpToDate")["message"], within=30, every=0.2, what="it says why")
        status = eventually(rolled, within=480, every=1, what="all workers are of the new image")
        kubectl.wait("swarmcluster", NAME, timeout=60)
    view_of_nodes = {n["Description"]["Hostname"]: n for n in view.nodes()}
    running = view.running("web")
    view.close()

    print(f"{len(tasks.seen)} looks at the tasks, {len(tasks.errors)} without an answer, {len(servers.seen)} at the servers")
    assert min(tasks.seen) >= FLOOR and running == WORKERS
    assert len(tasks.errors) * 20 <= tasks.number, tasks.errors
    assert max(servers.seen) <= 1 + WORKERS + 2, "one beyond what is declared, and one that goes"
    workers = [n for n in status["nodes"] if n["role"] == "Worker"]
    images = {s.id: s.image["id"] for s in cloud.servers(uid)}
    assert {images[n["serverID"]] for n in workers} == {second_image}
    manager = next(n for n in status["nodes"] if n["role"] == "Manager")
    assert manager["serverID"] == before[manager["name"]]["serverID"], "the manager's image did not change"
    assert sorted(view_of_nodes) == sorted(n["name"] for n in status["nodes"])
    assert all(n["Status"]["State"] == "ready" and n["Spec"]["Availability"] == "active" for n in view_of_nodes.values())
    kubectl("delete", "swarmservice", "web", "--timeout=60s", timeout=90)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
