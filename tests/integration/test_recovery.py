"""Two of three managers are gone for good: the swarm waits for a person, and comes back from the third with its services."""

from __future__ import annotations

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view, service_manifest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
NAME = "phoenix"


def test_two_of_three_managers_are_deleted_and_the_swarm_comes_back_when_approved(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    manifest = cluster_manifest(NAME, managers={"replicas": 3}, recovery={"afterSeconds": 30})
    manifest["spec"]["workerPools"] = []
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", NAME, timeout=300)
    kubectl.apply(service_manifest("calm", NAME, replicas=2))
    kubectl.wait("swarmservice", "calm", timeout=60)
    service = kubectl.get("swarmservice", "calm")["status"]["serviceID"]
    cluster = kubectl.get("swarmcluster", NAME)
    uid, swarm_id = str(cluster["metadata"]["uid"]), cluster["status"]["swarmID"]
    records = sorted(cluster["status"]["nodes"], key=lambda n: n["slot"])
    left, *victims = records
    for victim in victims:
        cloud.connection.compute.delete_server(victim["serverID"])

    def quorate() -> dict[str, str]:
        return condition(kubectl.get("swarmcluster", NAME), "ManagersQuorate")

    eventually(lambda: quorate()["reason"] == "QuorumLost" and "spec.recovery.approve" in quorate()["message"], within=120, what="it is said, and nothing done")
    assert {s.name for s in cloud.servers(uid)} == {left["name"]}
    kubectl.patch("swarmcluster", NAME, {"spec": {"recovery": {"approve": "yes, really"}}})
    eventually(lambda: quorate()["status"] == "True", within=120, every=1, what="a swarm of one again")

    def managers() -> dict[str, str]:
        docker = docker_view(kubectl, NAME)
        try:
            return {n["Description"]["Hostname"]: n["ManagerStatus"]["Reachability"] for n in docker.nodes() if n.get("ManagerStatus")}
        finally:
            docker.close()

    eventually(lambda: list(managers().values()) == ["reachable"] * 3, within=180, every=2, what="three managers again")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    kubectl.wait("swarmservice", "calm", timeout=60)
    status = kubectl.get("swarmcluster", NAME)["status"]
    assert status["swarmID"] == swarm_id and status["recovery"]["doneFor"] == "yes, really" and status["recovery"]["services"] == 1
    assert status["recovery"]["fromManager"] == left["name"] in managers()
    assert kubectl.get("swarmservice", "calm")["status"]["serviceID"] == service
    docker = docker_view(kubectl, NAME)
    try:
        assert docker.running("calm") == 2 and len(docker.nodes()) == 3
    finally:
        docker.close()
    kubectl("delete", "swarmservice", "calm", "--timeout=60s", timeout=80)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
