"""A SwarmStack on a real swarm: a compose file runs, is changed, pruned and deleted; docker's own commands see it as a stack."""

from __future__ import annotations

import time
from typing import Any

import pytest
from docker.errors import APIError

from harness.cloud import DockerView
from harness.kube import Kubectl, condition, eventually
from integration.conftest import IMAGE

pytestmark = pytest.mark.lab

COMPOSE = f"""
x-task: &task
  image: {IMAGE}:${{TAG:-1}}
  command: [sleep, "1000000"]
  stop_grace_period: 1s
services:
  web:
    <<: *task
    environment: {{COLOUR: blue}}
    networks: {{front: {{aliases: [www]}}}}
    configs: [{{source: greeting, target: /etc/greeting}}]
    deploy: {{replicas: 2, endpoint_mode: dnsrr, update_config: {{parallelism: 2, monitor: 1s}}}}
  worker:
    <<: *task
    deploy: {{replicas: 1, endpoint_mode: dnsrr}}
  agent:
    <<: *task
    deploy: {{mode: global, endpoint_mode: dnsrr}}
    networks: [front]
networks:
  front: {{attachable: true}}
configs:
  greeting: {{file: ./greeting}}
"""


def manifest(cluster: str, compose: str, **spec: Any) -> dict[str, Any]:
    configs = {"greeting": {"configMapRef": {"name": "greeting", "key": "text"}}}
    return {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmStack",
        "metadata": {"name": "exercise"},
        "spec": {"clusterRef": {"name": cluster}, "compose": compose, "configs": configs, **spec},
    }


def services_of(docker: DockerView) -> set[str]:
    found = docker.api.services(filters={"label": "com.docker.stack.namespace=exercise"})
    return {service["Spec"]["Name"] for service in found}


def networks_of(docker: DockerView) -> set[str]:
    return {network["Name"] for network in docker.api.networks(filters={"label": "com.docker.stack.namespace=exercise"})}


def scaled(docker: DockerView, name: str, replicas: int) -> bool:
    """`docker service scale`; False where somebody else wrote meanwhile."""
    try:
        docker.scale(name, replicas)
    except APIError as error:
        assert "out of sequence" in str(error)
        return False
    return True


def test_the_compose_exercise(kubectl: Kubectl, swarm: str, docker: DockerView) -> None:
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}, "data": {"text": "hello\n"}}, manifest(swarm, COMPOSE))
    kubectl.wait("swarmstack", "exercise", timeout=120)
    assert services_of(docker) == {"exercise_web", "exercise_worker", "exercise_agent"}
    assert networks_of(docker) == {"exercise_front", "exercise_default"}
    assert (docker.running("exercise_web"), docker.running("exercise_worker"), docker.running("exercise_agent")) == (2, 1, len(docker.nodes()))
    stack = kubectl.get("swarmstack", "exercise")
    assert stack["status"]["services"] == {"total": 3, "ready": 3, "summary": "3/3"}
    assert stack["status"]["observedGeneration"] == 1 and condition(stack, "KeysIgnored")["status"] == "False"
    assert "3/3" in kubectl("get", "swarmstack", "exercise")

    # At rest nothing is written.
    versions = [kubectl.get(kind, name)["metadata"]["resourceVersion"] for kind, name in (("swarmstack", "exercise"), ("swarmservice", "exercise-web"))]
    engine = docker.service("exercise_web")["Version"]
    time.sleep(8)
    assert versions == [kubectl.get(kind, name)["metadata"]["resourceVersion"] for kind, name in (("swarmstack", "exercise"), ("swarmservice", "exercise-web"))]
    assert docker.service("exercise_web")["Version"] == engine

    # An edit reaches the engine, and only the service that it is about.
    other = docker.service("exercise_agent")["Version"]
    start = time.monotonic()
    kubectl.apply(manifest(swarm, COMPOSE.replace("COLOUR: blue", "COLOUR: red")))
    eventually(
        lambda: docker.service("exercise_web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["COLOUR=red"], within=20, every=0.1, what="the new env"
    )
    print(f"an edit of the file was in the engine after {time.monotonic() - start:.2f} s")
    assert docker.service("exercise_agent")["Version"] == other
    kubectl.wait("swarmstack", "exercise", timeout=60)

    # What somebody changes of the file's in the SwarmService is put back; what he changes in the swarm as well.
    kubectl.patch("swarmservice", "exercise-worker", {"spec": {"replicas": 3}})
    eventually(lambda: kubectl.get("swarmservice", "exercise-worker")["spec"]["replicas"] == 1, within=20, every=0.1, what="the file's number")
    eventually(lambda: scaled(docker, "exercise_worker", 3), within=30, what="scaled between two writes of the operator")
    eventually(lambda: docker.service("exercise_worker")["Spec"]["Mode"]["Replicated"]["Replicas"] == 1, within=30, every=0.1, what="replicas put back")

    # A file with a mistake changes nothing and says where it is.
    kubectl.apply(manifest(swarm, COMPOSE.replace("environment:", "mem_limit: 1g\n    environment:")))
    kubectl.wait("swarmstack", "exercise", condition="Stalled", timeout=30)
    broken = kubectl.get("swarmstack", "exercise")
    assert condition(broken, "ComposeValid")["reason"] == "InvalidCompose" and "services.web.mem_limit" in condition(broken, "Ready")["message"]
    assert services_of(docker) == {"exercise_web", "exercise_worker", "exercise_agent"}

    # What has left the file is pruned, networks too.
    without = "services:\n" + COMPOSE.split("services:\n")[1].split("  worker:")[0] + "networks: {front: {attachable: true}}\nconfigs: {greeting: {file: x}}\n"
    kubectl.apply(manifest(swarm, COMPOSE.split("services:")[0] + without))
    eventually(lambda: services_of(docker) == {"exercise_web"} and networks_of(docker) == {"exercise_front"}, within=60, what="pruned")
    kubectl.wait("swarmstack", "exercise", timeout=60)
    assert kubectl.get("swarmstack", "exercise")["status"]["services"]["summary"] == "1/1"
    assert kubectl.find("swarmservice", "exercise-worker") is None

    kubectl("delete", "swarmstack", "exercise", "--timeout=90s")
    assert services_of(docker) == set() and networks_of(docker) == set()
    assert kubectl.find("swarmservice", "exercise-web") is None
