"""A SwarmWorkerPool on the real lab, scaled by kubectl."""

from __future__ import annotations

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view

pytestmark = pytest.mark.lab
NAME = "pooled"


def pool_manifest(name: str, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmWorkerPool",
        "metadata": {"name": name},
        "spec": {"clusterRef": {"name": NAME}, "nodeLabels": {"tier": "apps"}, **spec},
    }


def test_kubectl_scales_a_pool_up_and_down(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    kubectl.apply(pool_manifest("apps", replicas=1))
    eventually(lambda: condition(kubectl.get("swarmworkerpool", "apps"), "Accepted")["reason"] == "ClusterNotFound", within=30)
    kubectl.apply(cluster_manifest(NAME, workerPools=[]))
    kubectl.wait("swarmworkerpool", "apps", timeout=300)
    kubectl.wait("swarmcluster", NAME, timeout=60)
    uid = str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    assert sorted(s.name for s in cloud.servers(uid)) == [f"{NAME}-apps-0", f"{NAME}-manager-0"]
    kubectl("scale", "swarmworkerpool", "apps", "--replicas=2")
    eventually(lambda: kubectl.get("swarmworkerpool", "apps")["status"]["summary"] == "2/2", within=180)
    kubectl.wait("swarmworkerpool", "apps", timeout=60)
    view = docker_view(kubectl, NAME)
    labels = [n["Spec"]["Labels"].get("tier") for n in view.nodes() if n["Spec"]["Role"] == "worker"]
    view.close()
    assert labels == ["apps", "apps"]
    kubectl("scale", "swarmworkerpool", "apps", "--replicas=1")
    eventually(lambda: kubectl.get("swarmworkerpool", "apps")["status"]["replicas"] == 1, within=120)
    kubectl.wait("swarmworkerpool", "apps", timeout=60)
    assert sorted(s.name for s in cloud.servers(uid)) == [f"{NAME}-apps-0", f"{NAME}-manager-0"]
    kubectl("delete", "swarmworkerpool", "apps", "--timeout=120s", timeout=150)
    assert [s.name for s in cloud.servers(uid)] == [f"{NAME}-manager-0"], "kubectl delete waited for the worker"
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
