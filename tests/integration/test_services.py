"""SwarmService on a real swarm: created, updated, scaled, repaired, reported honestly, removed."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

import pytest

from harness.cloud import DockerView
from harness.kube import Kubectl, KubectlError, condition, eventually
from integration.conftest import IMAGE, service_manifest

pytestmark = pytest.mark.lab


def status_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    status: dict[str, Any] = kubectl.get("swarmservice", name).get("status", {})
    return status


def test_replicated_service_is_created_updated_scaled_and_deleted(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    kubectl.apply(
        service_manifest(
            "life",
            swarm,
            replicas=2,
            env=[{"name": "COLOUR", "value": "blue"}],
            labels={"team": "a"},
            placement={"constraints": ["node.role==worker"]},
            updateConfig={"parallelism": 2, "monitorSeconds": 1, "order": "start-first"},
        )
    )
    kubectl.wait("swarmservice", "life", timeout=120)
    live = docker.service("life")
    assert live is not None
    container = live["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == ["COLOUR=blue"] and container["Command"] == ["sleep", "1000000"]
    assert live["Spec"]["Labels"]["team"] == "a"
    assert live["Spec"]["UpdateConfig"]["Order"] == "start-first"
    assert docker.running("life") == 2
    assert status_of(kubectl, "life")["serviceID"] == live["ID"]

    kubectl.patch("swarmservice", "life", {"spec": {"image": f"{IMAGE}:2", "env": [{"name": "COLOUR", "value": "red"}]}})
    eventually(lambda: docker.service("life")["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["COLOUR=red"], within=30, what="the engine has the new env")
    kubectl.wait("swarmservice", "life", timeout=120)
    assert condition(kubectl.get("swarmservice", "life"), "Ready")["observedGeneration"] == 2

    kubectl("scale", "swarmservice", "life", "--replicas=3")
    eventually(lambda: docker.running("life") == 3, within=60, what="three tasks")
    kubectl.wait("swarmservice", "life", timeout=60)

    kubectl("delete", "swarmservice", "life", "--timeout=60s")
    assert docker.service("life") is None


def test_scale_behind_our_back_is_put_back(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    kubectl.apply(service_manifest("drift-scale", swarm, replicas=1))
    kubectl.wait("swarmservice", "drift-scale", timeout=120)
    docker.scale("drift-scale", 3)
    eventually(lambda: docker.service("drift-scale")["Spec"]["Mode"]["Replicated"]["Replicas"] == 1, within=30, every=0.1, what="replicas put back")
    eventually(lambda: status_of(kubectl, "drift-scale")["corrections"] >= 1, within=30, what="the correction is counted")
    kubectl.wait("swarmservice", "drift-scale", timeout=60)
    assert "replicas" in kubectl("get", "events").lower()
    kubectl("delete", "swarmservice", "drift-scale", "--timeout=60s")


def test_removal_behind_our_back_is_put_back(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    kubectl.apply(service_manifest("drift-rm", swarm, replicas=1))
    kubectl.wait("swarmservice", "drift-rm", timeout=120)
    old = docker.service("drift-rm")
    docker.remove("drift-rm")
    new = eventually(lambda: docker.service("drift-rm"), within=30, every=0.1, what="the service is there again")
    assert new["ID"] != old["ID"]
    eventually(lambda: status_of(kubectl, "drift-rm")["serviceID"] == new["ID"], within=30, what="its id is in status")
    kubectl.wait("swarmservice", "drift-rm", timeout=60)
    kubectl("delete", "swarmservice", "drift-rm", "--timeout=60s")


def test_drift_is_only_reported_where_asked(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    kubectl.apply(service_manifest("report", swarm, replicas=1, driftPolicy="Report"))
    kubectl.wait("swarmservice", "report", timeout=120)
    docker.scale("report", 2)
    eventually(lambda: condition(kubectl.get("swarmservice", "report"), "Drifted")["status"] == "True", within=60, what="Drifted")
    assert docker.service("report")["Spec"]["Mode"]["Replicated"]["Replicas"] == 2
    kubectl("delete", "swarmservice", "report", "--timeout=60s")


def test_global_service_with_a_host_port_answers_on_the_floating_address(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    kubectl.apply(
        service_manifest(
            "web",
            swarm,
            mode="global",
            command=[],
            env=[{"name": "PORT", "value": "8081"}],
            ports=[{"targetPort": 8081, "publishedPort": 8081, "publishMode": "host"}],
        )
    )
    kubectl.wait("swarmservice", "web", timeout=120)
    assert docker.running("web") == len(docker.nodes())
    address = kubectl.get("swarmcluster", swarm)["status"]["endpoint"].removeprefix("tcp://").split(":")[0]
    with urllib.request.urlopen(f"http://{address}:8081/", timeout=10) as answer:
        assert answer.status == 200
    kubectl("delete", "swarmservice", "web", "--timeout=60s")


def test_reapplying_and_foreign_labels_write_nothing(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    manifest = service_manifest("quiet", swarm, replicas=1, labels={"ours": "1"})
    kubectl.apply(manifest)
    kubectl.wait("swarmservice", "quiet", timeout=120)
    live = docker.service("quiet")
    spec = live["Spec"]
    spec["Labels"]["theirs"] = "1"
    response = docker.api._post_json(docker.api._url("/services/{0}/update", live["ID"]), data=spec, params={"version": live["Version"]["Index"]})
    docker.api._raise_for_status(response)
    version = docker.service("quiet")["Version"]["Index"]
    kubectl.apply(manifest)
    kubectl("annotate", "swarmservice", "quiet", "touched=1")
    time.sleep(5)  # The absence of a write has no event to wait for.
    assert docker.service("quiet")["Version"]["Index"] == version
    kubectl.patch("swarmservice", "quiet", {"spec": {"labels": {"ours": "2"}}})
    after = eventually(lambda: (s := docker.service("quiet")) and s["Spec"]["Labels"].get("ours") == "2" and s, within=30, what="the label is changed")
    assert after["Spec"]["Labels"]["theirs"] == "1"
    assert after["Version"]["Index"] > version
    kubectl("delete", "swarmservice", "quiet", "--timeout=60s")


def test_a_task_that_can_not_start_is_reported_in_the_engines_words(kubectl: Kubectl, swarm: str) -> None:
    kubectl.apply(service_manifest("broken", swarm, replicas=1, image=f"{IMAGE}:does-not-exist"))
    found = eventually(lambda: status_of(kubectl, "broken").get("failingTasks"), within=90, what="failing tasks in status")
    assert "image" in found[0]["error"].lower()
    resource = kubectl.get("swarmservice", "broken")
    assert condition(resource, "Ready")["status"] == "False"
    assert condition(resource, "Available")["reason"] in ("TasksFailing", "TasksStarting")
    kubectl("delete", "swarmservice", "broken", "--timeout=60s")


def test_a_foreign_service_of_our_name_is_not_taken(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    spec = {"Name": "foreign", "TaskTemplate": {"ContainerSpec": {"Image": f"{IMAGE}:1"}}, "Mode": {"Replicated": {"Replicas": 0}}}
    response = docker.api._post_json(docker.api._url("/services/create"), data=spec)
    docker.api._raise_for_status(response)
    kubectl.apply(service_manifest("foreign", swarm, replicas=1))
    eventually(lambda: condition(kubectl.get("swarmservice", "foreign"), "Applied").get("reason") == "NameConflict", within=30, what="NameConflict")
    kubectl("delete", "swarmservice", "foreign", "--timeout=60s")
    assert docker.service("foreign") is not None
    docker.remove("foreign")


def test_unknown_cluster_and_unknown_network_are_named(kubectl: Kubectl, swarm: str) -> None:
    kubectl.apply(service_manifest("nowhere", "no-such-cluster"))
    eventually(lambda: condition(kubectl.get("swarmservice", "nowhere"), "Ready").get("reason") == "ClusterNotFound", within=30, what="ClusterNotFound")
    kubectl("delete", "swarmservice", "nowhere", "--timeout=60s")
    kubectl.apply(service_manifest("no-net", swarm, networks=[{"name": "not-there"}]))
    found = eventually(
        lambda: (c := condition(kubectl.get("swarmservice", "no-net"), "Applied")).get("reason") == "NetworkNotFound" and c, within=30, what="NetworkNotFound"
    )
    assert "not-there" in found["message"]
    kubectl("delete", "swarmservice", "no-net", "--timeout=60s")


def test_immutable_fields_are_refused(kubectl: Kubectl, swarm: str) -> None:
    kubectl.apply(service_manifest("fixed", swarm, replicas=0))
    with pytest.raises(KubectlError, match="mode"):
        kubectl.patch("swarmservice", "fixed", {"spec": {"mode": "global", "replicas": None}})
    kubectl("delete", "swarmservice", "fixed", "--timeout=60s")
