"""Settings of the engines of a living cluster on the real lab: reloaded, rolled restart by restart under a service that keeps its floor, refused, and back."""

from __future__ import annotations

import json
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from harness.cloud import CloudView, DockerView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from harness.watch import Watch
from integration.conftest import REGISTRY, cluster_manifest, docker_view, service_manifest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
NAME = "tune"
FLOOR = 2


def tasks(view: DockerView) -> set[str]:
    return {task["ID"] for task in view.api.tasks(filters={"service": "web", "desired-state": "running"}) if task["Status"]["State"] == "running"}


def the_only_manager_gets_a_successor(kubectl: Kubectl, cloud: CloudView, view: DockerView, uid: str) -> None:
    """Its address and the swarm's secrets are as before, the service is complete, and the workers do as the new one says."""
    before = kubectl.get("swarmcluster", NAME)["status"]
    swarm = view.api.info()["Swarm"]["Cluster"]["ID"]
    view.api.create_secret("token", b"kept", labels={"team": "a"})
    machine = {"managers": {"replicas": 1, "machine": {"configDrive": True}}}
    kubectl.patch("swarmcluster", NAME, {"spec": machine})
    eventually(lambda: kubectl.get("swarmcluster", NAME)["status"].get("rollout", {}).get("state") == "Held", within=30, what="by default it stays")
    kubectl.patch("swarmcluster", NAME, {"spec": {"rollout": {"loneManager": "Replace"}}})

    def replaced() -> bool:
        nodes = kubectl.get("swarmcluster", NAME)["status"]["nodes"]
        return len(cloud.servers(uid)) == 3 == len(nodes) and any(n["name"] == f"{NAME}-manager-0-2" and n["phase"] == "Ready" for n in nodes)

    eventually(replaced, within=300, every=1, what="the second manager has taken the place of the first")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    assert kubectl.get("swarmcluster", NAME)["status"]["endpoint"] == before["endpoint"], "the floating IP went over"
    after = docker_view(kubectl, NAME)
    try:
        assert [n["Description"]["Hostname"] for n in after.nodes() if n["Spec"]["Role"] == "manager"] == [f"{NAME}-manager-0-2"] and len(after.nodes()) == 3
        assert after.api.info()["Swarm"]["Cluster"]["ID"] == swarm and [s["Spec"]["Name"] for s in after.api.secrets()] == ["token"]
        # Not the same ones: after the engine that refused, `rebalance` may spread them anew meanwhile.
        eventually(lambda: len(tasks(after)) == 4, within=60, what="the service is complete")
        kubectl.patch("swarmservice", "web", {"spec": {"replicas": 5}})
        eventually(lambda: len(tasks(after)) == 5, within=60, what="a worker does as the new manager says")
    finally:
        after.close()


def test_engines_take_over_other_settings_in_place(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    kubectl.apply(cluster_manifest(NAME, workers=2, drainTimeoutSeconds=60))
    kubectl.wait("swarmcluster", NAME, timeout=420)
    service = service_manifest("web", NAME, replicas=4, placement={"constraints": ["node.role == worker"]}, rebalance={"settleSeconds": 1})
    service["spec"]["labels"] = {"swarmops.io/min-running": str(FLOOR)}
    kubectl.apply(service)
    kubectl.wait("swarmservice", "web", timeout=120)
    cluster = kubectl.get("swarmcluster", NAME)
    uid, servers = str(cluster["metadata"]["uid"]), {n["name"]: n["serverID"] for n in cluster["status"]["nodes"]}
    view = docker_view(kubectl, NAME)
    eventually(lambda: len(tasks(view)) == 4, within=60, what="the service is complete")

    def settings(**engine: Any) -> None:
        whole = {"insecureRegistries": [REGISTRY], "mtu": 1350, **engine}
        kubectl("patch", "swarmcluster", NAME, "--type=json", "-p", json.dumps([{"op": "replace", "path": "/spec/engine", "value": whole}]))

    def marks() -> set[str]:
        return {s.metadata["swarmops-engine"] for s in cloud.servers(uid)}

    def in_place(before: set[str]) -> bool:
        status = kubectl.get("swarmcluster", NAME)["status"]
        return len(marks()) == 1 and not marks() & before and all(n["upToDate"] and n["phase"] == "Ready" for n in status["nodes"])

    # What is reloaded stops nothing.
    before, running = marks(), tasks(view)
    settings(insecureRegistries=[REGISTRY, "registry.example:5000"], registryMirrors=["https://mirror.example"])
    eventually(lambda: in_place(before), within=60, what="all engines have read their file again")
    registry = view.api.info()["RegistryConfig"]
    assert registry["IndexConfigs"]["registry.example:5000"]["Secure"] is False and registry["Mirrors"] == ["https://mirror.example/"]
    assert tasks(view) == running, "not a container was stopped"
    before = marks()
    settings()
    eventually(lambda: in_place(before), within=60, what="and back")
    registry = view.api.info()["RegistryConfig"]
    assert "registry.example:5000" not in registry["IndexConfigs"] and not registry["Mirrors"] and tasks(view) == running

    # What takes a restart is rolled, a node at a time.
    before = marks()
    # The only manager's engine is restarted once too: then nobody can be asked, for seconds.
    away = (docker.errors.DockerException, requests.exceptions.RequestException)
    with Watch(lambda: view.running("web"), tolerated=away, fewest=40) as watch:
        settings(logDriver="local")
        eventually(lambda: in_place(before), within=300, every=1, what="all engines were restarted")
    print(f"{len(watch.seen)} looks at the tasks, {len(watch.errors)} without an answer")
    assert min(watch.seen) >= FLOOR
    assert len(watch.errors) * 2 <= watch.number, watch.errors[-3:]
    kubectl.wait("swarmcluster", NAME, timeout=60)
    assert view.api.info()["LoggingDriver"] == "local"

    # What the engine refuses halts, and takes none down.
    eventually(lambda: len(tasks(view)) == 4, within=60, what="the service is complete")
    before = marks()
    settings(logDriver="local", extra={"no-such-setting": True})
    eventually(lambda: condition(kubectl.get("swarmcluster", NAME), "RolloutHalted")["status"] == "True", within=120, what="it is halted")
    halted = kubectl.get("swarmcluster", NAME)
    assert "no-such-setting" in condition(halted, "RolloutHalted")["message"], "in the engine's own words"
    eventually(
        lambda: all((n["Status"]["State"], n["Spec"]["Availability"]) == ("ready", "active") for n in view.nodes()),
        within=60,
        what="the one that refused serves again",
    )
    assert len(view.nodes()) == 3 and marks() == before, "each engine has the settings that it had"
    settings(logDriver="local")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    assert condition(kubectl.get("swarmcluster", NAME), "RolloutHalted")["status"] == "False"
    assert {n["name"]: n["serverID"] for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"]} == servers, "no server was made for any of it"
    the_only_manager_gets_a_successor(kubectl, cloud, view, uid)
    view.close()
    kubectl("delete", "swarmservice", "web", "--timeout=60s", timeout=90)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
