"""What only real Nova and Neutron can show of placement: that a successor boots on its slot's port, with the same fixed address and floating IP."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view

pytestmark = pytest.mark.lab
NAME = "keep"


def machines(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    return {n["name"]: n for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"]}


def test_a_manager_replaced_keeps_port_fixed_address_and_floating_ip(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    manifest = cluster_manifest(NAME, managers={"replicas": 3})
    manifest["spec"]["workerPools"] = []
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", NAME, timeout=300)
    uid = str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    neutron = cloud.connection.network

    def ports() -> dict[str, tuple[str, str]]:
        """Of each port of ours: its address and its server."""
        return {p.id: (p.fixed_ips[0]["ip_address"], p.device_id) for p in neutron.ports() if uid in (p.description or "")}

    first, made = machines(kubectl), ports()
    assert len(made) == 3 and {device for _, device in made.values()} == {n["serverID"] for n in first.values()}
    leader = next(n["Description"]["Hostname"] for n in nodes(kubectl) if (n.get("ManagerStatus") or {}).get("Leader"))
    victim = next(name for name in sorted(first, reverse=True) if name != leader)
    cloud.connection.compute.delete_server(first[victim]["serverID"])
    successor = f"{victim}-2"
    eventually(lambda: machines(kubectl).get(successor, {}).get("phase") == "Ready", within=150, what="a successor")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    after, now = machines(kubectl)[successor], ports()
    assert (after["address"], after["floatingIP"]) == (first[victim]["address"], first[victim]["floatingIP"])
    assert now.keys() == made.keys() and after["serverID"] in {device for _, device in now.values()}
    rows = {n["Description"]["Hostname"]: n["ManagerStatus"] for n in nodes(kubectl)}
    assert sorted(rows) == sorted({*first, successor} - {victim})
    assert all(status["Reachability"] == "reachable" for status in rows.values())
    assert rows[successor]["Addr"] == f"{first[victim]['address']}:2377"

    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []


def nodes(kubectl: Kubectl) -> list[dict[str, Any]]:
    view = docker_view(kubectl, NAME)
    try:
        return view.nodes()
    finally:
        view.close()
