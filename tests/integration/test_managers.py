"""Three managers on the lab: one host is killed, one server is deleted behind our back; the quorum holds, services go on, three managers again."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view, service_manifest

pytestmark = pytest.mark.lab
NAME = "three"


def machines(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    return {n["name"]: n for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"]}


def test_three_managers_outlive_a_killed_host_and_a_deleted_server(kubectl: Kubectl, operator: Operator, cloud: CloudView, lab: Any) -> None:
    manifest = cluster_manifest(NAME, workers=0, managers={"replicas": 3}, remediation={"rungSeconds": 60})
    manifest["spec"]["workerPools"] = []
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", NAME, timeout=300)
    uid = str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    first = machines(kubectl)
    assert sorted(first) == [f"{NAME}-manager-{slot}" for slot in range(3)]

    def view() -> list[dict[str, Any]]:
        docker = docker_view(kubectl, NAME)
        try:
            return docker.nodes()
        finally:
            docker.close()

    def reachable() -> int:
        return sum((n.get("ManagerStatus") or {}).get("Reachability") == "reachable" for n in view())

    assert reachable() == 3
    kubectl.apply(service_manifest("calm", NAME, mode="global"))
    kubectl.wait("swarmservice", "calm", timeout=60)
    leader = next(n["Description"]["Hostname"] for n in view() if (n.get("ManagerStatus") or {}).get("Leader"))
    others = sorted(set(first) - {leader})

    def tasks(host: str) -> set[str]:
        docker = docker_view(kubectl, NAME)
        try:
            node = next(n["ID"] for n in docker.nodes() if n["Description"]["Hostname"] == host and n["Status"]["State"] == "ready")
            return {t["ID"] for t in docker.api.tasks(filters={"service": "calm", "node": node}) if t["Status"]["State"] == "running"}
        finally:
            docker.close()

    before = {host: tasks(host) for host in others}
    assert all(before.values())

    # The leader's host dies, Nova is not told: a hard reboot brings the same server back.
    lab("break", "kill-host", leader)
    eventually(lambda: machines(kubectl)[leader]["phase"] == "Down", within=60, what="the operator sees it")
    assert condition(kubectl.get("swarmcluster", NAME), "ManagersQuorate")["status"] == "True"
    eventually(lambda: reachable() == 3, within=120, every=2, what="three managers again")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    again = machines(kubectl)[leader]
    assert again["serverID"] == first[leader]["serverID"] and again["remediation"]["rung"] == "HardReboot"
    assert {host: tasks(host) for host in others} == before, "tasks elsewhere were not touched"

    # A server is gone for good: its successor is booted, the dead member demoted, the successor joined.
    victim, calm = others
    cloud.connection.compute.delete_server(first[victim]["serverID"])
    eventually(lambda: f"{victim}-2" in machines(kubectl), within=90, what="a successor")
    eventually(lambda: machines(kubectl).get(f"{victim}-2", {}).get("phase") == "Ready" and reachable() == 3, within=120, every=2, what="three managers again")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    assert sorted(n["Description"]["Hostname"] for n in view()) == sorted({leader, calm, f"{victim}-2"})
    assert tasks(calm) == before[calm]

    kubectl("delete", "swarmservice", "calm", "--timeout=60s", timeout=80)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
