"""All objects of a cluster are lost while the operator is away; a new SwarmCluster takes servers, nodes and services over as they are."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view, service_manifest

pytestmark = pytest.mark.lab

NAME = "adoptee"
SECRETS = (f"{NAME}-ssh", f"{NAME}-docker-tls")


def machines(cluster: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {n["name"]: (n["serverID"], n["nodeID"]) for n in cluster["status"]["nodes"]}


def lose(kubectl: Kubectl) -> None:
    """Take the objects away without their finalizers. The Secrets stay, without an owner, as they would come back from a backup."""
    kubectl("delete", "swarmservice", "keeper", "--wait=false")
    kubectl.patch("swarmservice", "keeper", {"metadata": {"finalizers": None}})
    kubectl("delete", "swarmcluster", NAME, "--cascade=orphan", "--wait=false")
    for name in SECRETS:
        eventually(lambda name=name: not kubectl.get("secret", name)["metadata"].get("ownerReferences"), within=60, what=f"{name} has no owner")
    kubectl.patch("swarmcluster", NAME, {"metadata": {"finalizers": None}})
    eventually(lambda: kubectl.find("swarmcluster", NAME) is None and kubectl.find("swarmservice", "keeper") is None, within=30, what="the objects are gone")


def test_a_cluster_whose_objects_were_lost_is_taken_over(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    kubectl.apply(cluster_manifest(NAME))
    kubectl.wait("swarmcluster", NAME, timeout=300)
    kubectl.apply(service_manifest("keeper", NAME))
    kubectl.wait("swarmservice", "keeper", timeout=60)
    lived = kubectl.get("swarmcluster", NAME)
    uid, before, swarm = str(lived["metadata"]["uid"]), machines(lived), lived["status"]["swarmID"]
    view = docker_view(kubectl, NAME)
    tasks = {t["ID"] for t in view.api.tasks(filters={"service": "keeper", "desired-state": "running"})}
    view.close()
    operator.stop()
    try:
        lose(kubectl)
    finally:
        operator.start()

    kubectl.apply(cluster_manifest(NAME, workers=2, adopt={"clusterUID": uid}))
    said = eventually(
        lambda: (c := condition(kubectl.get("swarmcluster", NAME), "Ready")) and c["reason"] == "AdoptionPending" and c["message"], within=60, what="observing"
    )
    assert "replicas of pool workers is 2, servers found: 1" in said
    assert kubectl.get("swarmcluster", NAME)["metadata"].get("finalizers") is None
    assert {s.id for s in cloud.servers(uid)} == {server for server, _ in before.values()}, "nothing was made for the second worker"

    kubectl.apply(cluster_manifest(NAME, adopt={"clusterUID": uid}))
    kubectl.wait("swarmcluster", NAME, timeout=120)
    found = kubectl.get("swarmcluster", NAME)
    assert found["metadata"]["uid"] != uid and found["status"]["adoption"]["state"] == "Adopted"
    assert machines(found) == before and found["status"]["swarmID"] == swarm
    for name in SECRETS:
        assert [r["uid"] for r in kubectl.get("secret", name)["metadata"]["ownerReferences"]] == [found["metadata"]["uid"]]

    kubectl.apply(service_manifest("keeper", NAME, adoptionPolicy="IfUnowned"))
    kubectl.wait("swarmservice", "keeper", timeout=60)
    view = docker_view(kubectl, NAME)
    assert {t["ID"] for t in view.api.tasks(filters={"service": "keeper", "desired-state": "running"})} == tasks, "no task was replaced"
    view.close()

    kubectl("delete", "swarmservice", "keeper", "--timeout=60s")
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
