"""A swarm of one manager is backed up, loses that manager with all that was on it, and comes back from the backup: the same service, secret and worker."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view, service_manifest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
NAME = "ark"


def test_the_only_manager_is_lost_and_the_swarm_comes_back_from_its_backup(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    kubectl.apply(cluster_manifest(NAME, recovery={"afterSeconds": 30}))
    kubectl.wait("swarmcluster", NAME, timeout=300)
    kubectl.apply(service_manifest("calm", NAME, replicas=2))
    kubectl.wait("swarmservice", "calm", timeout=60)
    docker = docker_view(kubectl, NAME)
    try:
        secret = docker.api.create_secret("precious", b"data")["ID"]
        before = {task["ID"] for task in docker.api.tasks(filters={"service": "calm", "desired-state": "running"})}
        nodes = {node["Description"]["Hostname"]: node["ID"] for node in docker.nodes()}
    finally:
        docker.close()
    cluster = kubectl.get("swarmcluster", NAME)
    uid, swarm_id = str(cluster["metadata"]["uid"]), cluster["status"]["swarmID"]
    service = kubectl.get("swarmservice", "calm")["status"]["serviceID"]

    # Backed up now, and proved.
    kubectl.patch("swarmcluster", NAME, {"spec": {"backup": {"now": "before the flood"}}})

    def backup() -> dict[str, Any]:
        found: dict[str, Any] = kubectl.get("swarmcluster", NAME)["status"].get("backup") or {}
        assert not found.get("failures"), found
        return found

    eventually(lambda: backup().get("lastSuccessfulTime"), within=180, every=2, what="a backup")
    found = backup()
    record = found["kept"][0]
    assert found["doneFor"] == "before the flood" and found["lastName"] == record["name"] and record["verified"]
    assert (record["services"], record["secrets"], record["nodes"], record["swarmID"]) == (1, 1, 2, swarm_id)
    assert condition(kubectl.get("swarmcluster", NAME), "BackupReady")["reason"] == "BackupDone"
    image = cloud.connection.image.get_image(record["imageID"])
    assert image.status == "active" and image.size > record["size"] > 0
    docker = docker_view(kubectl, NAME)
    try:
        running = {task["ID"] for task in docker.api.tasks(filters={"service": "calm", "desired-state": "running"})}
        assert running == before, "no task was disturbed by the backup"
    finally:
        docker.close()

    # The manager goes, with its disk.
    manager = next(n for n in cluster["status"]["nodes"] if n["role"] == "Manager")
    cloud.connection.compute.delete_server(manager["serverID"])

    def quorate() -> dict[str, str]:
        return condition(kubectl.get("swarmcluster", NAME), "ManagersQuorate")

    eventually(lambda: quorate()["reason"] == "QuorumLost" and record["name"] in quorate()["message"], within=120, what="it is said, and nothing done")
    assert manager["name"] not in {s.name for s in cloud.servers(uid) if s.task_state != "deleting"}
    kubectl.patch("swarmcluster", NAME, {"spec": {"recovery": {"restoreFrom": record["name"], "approve": "yes, really"}}})
    eventually(lambda: quorate()["status"] == "True", within=240, every=2, what="the swarm is back")
    kubectl.wait("swarmcluster", NAME, timeout=120)
    kubectl.wait("swarmservice", "calm", timeout=60)
    status = kubectl.get("swarmcluster", NAME)["status"]
    assert status["swarmID"] == swarm_id and status["recovery"]["restoredFrom"] == record["name"] and status["recovery"]["doneFor"] == "yes, really"
    assert kubectl.get("swarmservice", "calm")["status"]["serviceID"] == service
    docker = docker_view(kubectl, NAME)
    try:
        assert [s["ID"] for s in docker.api.secrets(filters={"name": "precious"})] == [secret]
        worker = next(name for name in nodes if "workers" in name)
        there = {node["Description"]["Hostname"]: (node["ID"], node["Status"]["State"]) for node in docker.nodes()}
        assert there[worker] == (nodes[worker], "ready"), "the worker is the node that it was"
        assert docker.running("calm") == 2
    finally:
        docker.close()
    kubectl("delete", "swarmservice", "calm", "--timeout=60s", timeout=80)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == [] and cloud.connection.image.find_image(record["imageID"]) is None
