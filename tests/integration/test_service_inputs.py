"""ConfigMap, Secret, digest and restart on the whole stack: kubectl on one side, containers on another host on the other."""

from __future__ import annotations

import json

import pytest

from harness.cloud import DockerView
from harness.kube import Kubectl, condition, eventually
from integration.conftest import IMAGE, service_manifest

pytestmark = pytest.mark.lab

SHOW = 'echo "[$(cat /etc/app.conf) $(cat /run/secrets/password) $COLOR]"; trap exit TERM; while true; do sleep 1; done'


def printed(docker: DockerView, name: str) -> str:
    """What the service's containers wrote."""
    return "".join(chunk.decode() for chunk in docker.api.service_logs(name, stdout=True, stderr=True))


def test_content_from_kubernetes_reaches_the_containers_and_its_changes_too(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"app.conf": "on {{.Service.Name}}", "color": "blue"}}
    kubectl.apply(config)
    kubectl.secret("db", {"password": b"first-secret"})
    kubectl.apply(
        service_manifest(
            "inputs",
            swarm,
            command=["sh", "-c"],
            args=[SHOW],
            imagePolicy={"resolve": "IfChanged"},
            env=[{"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "color"}}}],
            configs=[{"configMapRef": {"name": "app", "key": "app.conf"}, "target": "/etc/app.conf", "templating": True}],
            secrets=[{"secretRef": {"name": "db", "key": "password"}}],
            materialHistoryLimit=0,
            placement={"constraints": ["node.role==worker"]},
            updateConfig={"monitorSeconds": 1},
        )
    )
    kubectl.wait("swarmservice", "inputs", timeout=120)
    eventually(lambda: "[on inputs first-secret blue]" in printed(docker, "inputs"), within=20, what="the container has config, secret and variable")
    live = docker.service("inputs")
    assert live is not None
    image = live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert image.startswith(f"{IMAGE}:1@sha256:"), image
    assert kubectl.get("swarmservice", "inputs")["status"]["image"]["resolved"] == image

    # Nobody tells the operator: it looks by itself.
    kubectl.secret("db", {"password": b"second-secret"})
    eventually(lambda: "[on inputs second-secret blue]" in printed(docker, "inputs"), within=60, what="the new secret is in a container")
    kubectl.wait("swarmservice", "inputs", timeout=60)
    shown = json.dumps(kubectl.get("swarmservice", "inputs")) + kubectl("get", "events", "-o", "json")
    assert "first-secret" not in shown and "second-secret" not in shown

    version = docker.service("inputs")["Spec"]["TaskTemplate"].get("ForceUpdate", 0)  # type: ignore[index]
    kubectl("annotate", "swarmservice", "inputs", "swarmops.io/restartedAt=now")
    eventually(lambda: docker.service("inputs")["Spec"]["TaskTemplate"].get("ForceUpdate") == version + 1, within=20, what="the restart")  # type: ignore[index]

    kubectl("delete", "configmap", "app")
    eventually(lambda: condition(kubectl.get("swarmservice", "inputs"), "Applied").get("reason") == "ConfigMapNotFound", within=40, what="the loss is told")
    eventually(lambda: docker.running("inputs") == 1, within=30, what="the service is left alone")
    kubectl("delete", "swarmservice", "inputs", "--timeout=60s")
    assert docker.service("inputs") is None
    assert [s["Spec"]["Name"] for s in docker.api.secrets()] == [] and [c["Spec"]["Name"] for c in docker.api.configs()] == []
