"""What only real Nova and Neutron can show of placement: a successor on its slot's port with the same addresses, groups, zones, and a flavor that no host has room for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
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


def test_servers_are_in_groups_of_their_role_and_the_spread_is_told(kubectl: Kubectl, swarm: str, cloud: CloudView) -> None:
    """The lab has one compute host: the policy is soft, so servers are made, share the host, and the condition says so; the cluster is Ready all the same."""
    nova = cloud.connection.compute
    cluster = kubectl.get("swarmcluster", swarm)
    groups = cluster["status"]["infrastructure"]["serverGroupIDs"]
    servers = {n["name"]: n for n in cluster["status"]["nodes"]}
    assert groups.keys() == {"manager", "workers"}
    for pool, identity in groups.items():
        group = nova.get_server_group(identity)
        assert group.policy == "soft-anti-affinity" and set(group.member_ids) == {
            n["serverID"] for n in servers.values() if n["pool"] == pool.replace("manager", "")
        }
    for known in servers.values():
        server = nova.get_server(known["serverID"])
        assert (known["hostID"], known["availabilityZone"]) == (server.host_id, server.availability_zone)
    assert condition(cluster, "SpreadDegraded")["status"] == "False", "one manager and one worker are on as many hosts as there are"
    assert condition(cluster, "Ready")["status"] == "True"


def test_a_zone_that_is_not_there_is_told_and_put_right_by_an_edit(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    """Nova refuses an unknown zone at once: that is an error of the spec, not a lack of hosts, and no fallback is tried."""
    manifest = cluster_manifest("zones")
    manifest["spec"]["workerPools"] = []
    manifest["spec"]["machine"] |= {"availabilityZones": ["nowhere"], "fallbackZones": ["nova"]}
    kubectl.apply(manifest)
    refused = eventually(lambda: told(kubectl, "zones", "MembersUpToDate"), within=60, what="the refusal of an unknown zone")
    assert "nowhere" in refused, refused
    manifest["spec"]["machine"]["availabilityZones"] = ["nova"]
    del manifest["spec"]["machine"]["fallbackZones"]
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", "zones", timeout=200)
    uid = str(kubectl.get("swarmcluster", "zones")["metadata"]["uid"])
    assert [n["availabilityZone"] for n in kubectl.get("swarmcluster", "zones")["status"]["nodes"]] == ["nova"]
    kubectl("delete", "swarmcluster", "zones", "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []


@pytest.fixture
def huge(lab_env: dict[str, str]) -> Iterator[str]:
    """The name of a flavor whose disk fits on no host: the scheduler says so, no quota does."""
    nova = CloudView(lab_env["OS_CLIENT_CONFIG_FILE"], "swarm-admin").connection.compute
    made = nova.create_flavor(name=f"huge-{uuid.uuid4().hex[:6]}", ram=512, vcpus=1, disk=100_000_000)
    yield str(made.name)
    nova.delete_flavor(made)


def test_a_flavor_without_room_is_told_and_the_next_one_is_taken(kubectl: Kubectl, operator: Operator, cloud: CloudView, huge: str) -> None:
    manifest = cluster_manifest("roomy", workers=1)
    (pool,) = manifest["spec"]["workerPools"]
    pool["machine"] = {"flavor": {"name": huge}}
    kubectl.apply(manifest)
    uid = str(kubectl.get("swarmcluster", "roomy")["metadata"]["uid"])
    full = eventually(
        lambda: next((c for c in kubectl.get("swarmcluster", "roomy").get("status", {}).get("conditions", []) if c["reason"] == "NoCapacity"), None),
        within=200,
        what="NoCapacity",
    )
    assert "No valid host" in full["message"] and full["status"] == "False"
    small = manifest["spec"]["machine"]["flavor"]
    pool["machine"]["fallbackFlavors"] = [small]
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", "roomy", timeout=400)
    nova = cloud.connection.compute
    (worker,) = [n for n in kubectl.get("swarmcluster", "roomy")["status"]["nodes"] if n["role"] == "Worker"]
    wanted = nova.find_flavor(small.get("name") or small["id"])
    assert worker["fallbackFlavorID"] == wanted.id and nova.get_server(worker["serverID"]).flavor.original_name == wanted.name
    kubectl("delete", "swarmcluster", "roomy", "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []


def told(kubectl: Kubectl, name: str, kind: str) -> str:
    found = condition(kubectl.get("swarmcluster", name), kind)
    return str(found["message"]) if found.get("status") == "False" and "zone" in found.get("message", "") else ""
