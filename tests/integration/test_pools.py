"""SwarmWorkerPools on the real lab: scaled by kubectl, then by what tasks need; the cloud takes servers of one; then it is deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view, service_manifest

pytestmark = pytest.mark.lab
NAME = "pooled"


def pool_manifest(name: str, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmWorkerPool",
        "metadata": {"name": name},
        "spec": {"clusterRef": {"name": NAME}, "nodeLabels": {"tier": "apps"}, **spec},
    }


@pytest.fixture(scope="module")
def uid(kubectl: Kubectl, operator: Operator) -> Iterator[str]:
    """Of a cluster without workers of its own and the pool `apps` of one worker, whose object is there first."""
    kubectl.apply(pool_manifest("apps", replicas=1))
    eventually(lambda: "ClusterNotFound" in str(kubectl.get("swarmworkerpool", "apps").get("status")), within=30)
    kubectl.apply(cluster_manifest(NAME, workerPools=[], drainTimeoutSeconds=30))
    kubectl.wait("swarmworkerpool", "apps", timeout=300)
    kubectl.wait("swarmcluster", NAME, timeout=60)
    yield str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    kubectl("delete", "swarmcluster", NAME, "--ignore-not-found", "--timeout=180s", timeout=200)
    kubectl("delete", "swarmworkerpool", "--all", "--timeout=60s", timeout=90)


def servers(cloud: CloudView, uid: str) -> list[str]:
    return sorted(str(s.name) for s in cloud.servers(uid))


def test_kubectl_scales_a_pool_up_and_down(kubectl: Kubectl, cloud: CloudView, uid: str) -> None:
    assert servers(cloud, uid) == [f"{NAME}-apps-0", f"{NAME}-manager-0"]
    kubectl("scale", "swarmworkerpool", "apps", "--replicas=2")
    eventually(lambda: kubectl.get("swarmworkerpool", "apps")["status"]["summary"] == "2/2", within=180)
    kubectl.wait("swarmworkerpool", "apps", timeout=60)
    view = docker_view(kubectl, NAME)
    labels = [n["Spec"]["Labels"].get("tier") for n in view.nodes() if n["Spec"]["Role"] == "worker"]
    view.close()
    assert labels == ["apps", "apps"]
    kubectl.patch("swarmcluster", NAME, {"spec": {"lifecycleHooks": [{"name": "say-goodbye", "at": "PreDrain", "pools": ["apps"]}]}})
    kubectl("scale", "swarmworkerpool", "apps", "--replicas=1")
    eventually(lambda: held(kubectl) == {f"{NAME}-apps-1": ["say-goodbye"]}, within=30, what="the hook is waited for")
    assert len(servers(cloud, uid)) == 3
    kubectl("annotate", "swarmcluster", NAME, f"swarmops.io/hook-done={NAME}-apps-1/say-goodbye")
    eventually(lambda: held(kubectl) == {}, within=30, what="the hook is done")
    kubectl.patch("swarmcluster", NAME, {"spec": {"lifecycleHooks": None}})
    eventually(lambda: kubectl.get("swarmworkerpool", "apps")["status"]["replicas"] == 1, within=120)
    kubectl.wait("swarmworkerpool", "apps", timeout=60)
    assert servers(cloud, uid) == [f"{NAME}-apps-0", f"{NAME}-manager-0"]


def test_a_pool_grows_for_tasks_that_wait_and_shrinks_when_they_are_gone(kubectl: Kubectl, cloud: CloudView, uid: str) -> None:
    bounds = {"minReplicas": 1, "maxReplicas": 3, "scaleUp": {"pendingSeconds": 5}, "scaleDownAfterSeconds": 20}
    kubectl.patch("swarmworkerpool", "apps", {"spec": {"autoscaling": bounds}})
    view = docker_view(kubectl, NAME)
    node = next(n for n in view.nodes() if n["Spec"]["Role"] == "worker")
    view.close()
    # More than half of a node: two do not fit on one.
    reserved = f"{int(node['Description']['Resources']['NanoCPUs'] * 0.6 / 1e6)}m"
    placement = {"constraints": ["node.labels.tier == apps"]}
    kubectl.apply(service_manifest("hungry", NAME, replicas=2, placement=placement, resources={"reservations": {"cpu": reserved}}))
    kubectl.wait("swarmservice", "hungry", timeout=240)
    assert servers(cloud, uid) == [f"{NAME}-apps-0", f"{NAME}-apps-1", f"{NAME}-manager-0"], "one more, and no further one"
    kubectl.wait("swarmworkerpool", "apps", timeout=60)
    told = kubectl("get", "events", "--field-selector=reason=Scaled", "-o", "jsonpath={.items[*].message}")
    assert "pool apps: 1 -> 2 workers" in told and "no suitable node" in told
    kubectl("delete", "swarmservice", "hungry", "--timeout=60s", timeout=90)
    eventually(lambda: kubectl.get("swarmworkerpool", "apps")["status"]["replicas"] == 1, within=180)
    assert servers(cloud, uid) == [f"{NAME}-apps-0", f"{NAME}-manager-0"]


def test_what_the_cloud_takes_of_a_preemptible_pool_is_made_again_at_once(kubectl: Kubectl, cloud: CloudView, uid: str) -> None:
    """Somebody else deletes the server in Nova, then its successor is stopped there. The grace of the cluster is one that a test would never wait for."""
    kubectl.patch("swarmcluster", NAME, {"spec": {"healthCheck": {"nodeDownGraceSeconds": 3600}, "remediation": {"retryBudget": {"perCluster": 1}}}})
    kubectl.patch("swarmworkerpool", "apps", {"spec": {"preemptible": True, "autoscaling": None, "replicas": 1}})
    eventually(lambda: worker_labels(kubectl) == [{"io.swarmops.preemptible": "true", "tier": "apps"}], within=30)
    (taken,) = [s for s in cloud.servers(uid) if s.name == f"{NAME}-apps-0"]
    cloud.connection.compute.delete_server(taken.id)
    eventually(lambda: servers(cloud, uid) == [f"{NAME}-apps-0-2", f"{NAME}-manager-0"], within=60, what="its successor")
    eventually(lambda: kubectl.get("swarmworkerpool", "apps")["status"]["summary"] == "1/1", within=150)
    kubectl.wait("swarmcluster", NAME, timeout=60)
    (stopped,) = [s for s in cloud.servers(uid) if s.name == f"{NAME}-apps-0-2"]
    cloud.connection.compute.stop_server(stopped.id)
    eventually(lambda: repairs(kubectl) == ["Start"], within=90, what="it is started")
    kubectl.wait("swarmcluster", NAME, timeout=90)
    assert servers(cloud, uid) == [f"{NAME}-apps-0-2", f"{NAME}-manager-0"]
    assert not kubectl.get("swarmcluster", NAME)["status"].get("repairs", {}).get("count")


def held(kubectl: Kubectl) -> dict[str, list[str]]:
    return {n["name"]: [h["name"] for h in n["hooks"]] for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"] if n.get("hooks")}


def repairs(kubectl: Kubectl) -> list[str]:
    return [n["remediation"]["rung"] for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"] if "remediation" in n]


def worker_labels(kubectl: Kubectl) -> list[dict[str, str]]:
    """Of the workers, without what the operator keeps there for itself."""
    view = docker_view(kubectl, NAME)
    found = [{k: v for k, v in n["Spec"]["Labels"].items() if k != "io.swarmops.applied"} for n in view.nodes() if n["Spec"]["Role"] == "worker"]
    view.close()
    return found


def test_a_deleted_pool_is_waited_for_until_its_worker_is_gone(kubectl: Kubectl, cloud: CloudView, uid: str) -> None:
    kubectl("delete", "swarmworkerpool", "apps", "--timeout=120s", timeout=150)
    assert servers(cloud, uid) == [f"{NAME}-manager-0"]
    kubectl.wait("swarmcluster", NAME, timeout=60)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
