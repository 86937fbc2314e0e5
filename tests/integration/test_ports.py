"""On real Nova and Neutron: floating IPs that outlive the cluster, and a machine with a second port, a trunk's, that its successor gets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView, DockerView
from harness.kube import Kubectl, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
STORAGE = "192.0.2.10"
VIRTUAL = "192.0.2.200"


@pytest.fixture
def san(cloud: CloudView) -> Iterator[Any]:
    """A network for storage of somebody else: no router, no gateway."""
    neutron, name = cloud.connection.network, f"san-{uuid.uuid4().hex[:6]}"
    network = neutron.create_network(name=name)
    neutron.create_subnet(network_id=network.id, name=name, ip_version=4, cidr="192.0.2.0/24", gateway_ip=None)
    yield network
    neutron.delete_network(network)


@pytest.fixture
def address(cloud: CloudView) -> Iterator[Any]:
    """A floating IP of the project that the user reserved."""
    neutron = cloud.connection.network
    made = neutron.create_ip(floating_network_id=neutron.find_network("public").id, description="ours")
    yield made
    neutron.delete_ip(made)


def test_ports_and_addresses_stay_with_the_slot_and_the_users_stay_the_users(
    kubectl: Kubectl, operator: Operator, cloud: CloudView, san: Any, address: Any
) -> None:
    neutron, name = cloud.connection.network, "two-ports"
    storage = {
        "name": "storage",
        "network": {"id": san.id},
        "fixedIPs": [{"ipAddress": STORAGE}],
        "securityGroups": [],
        "allowedAddressPairs": [{"ipAddress": VIRTUAL}],
        "tags": ["san"],
        "trunk": True,
    }
    pool = {
        "name": "store",
        "replicas": 1,
        "machine": {"ports": [{"name": "main"}, storage]},
        "floatingIP": {"enabled": True, "addresses": [address.floating_ip_address]},
    }
    kubectl.apply(cluster_manifest(name, workerPools=[pool], managers={"floatingIP": {"deletionPolicy": "Release"}}))
    kubectl.wait("swarmcluster", name, timeout=300)
    uid = kubectl.get("swarmcluster", name)["metadata"]["uid"]

    def worker() -> dict[str, Any]:
        return next(n for n in kubectl.get("swarmcluster", name)["status"]["nodes"] if n["role"] == "Worker")

    def ports() -> dict[str, Any]:
        """Of the worker's server, by network."""
        return {p.network_id: p for p in neutron.ports(device_id=worker()["serverID"])}

    # Two interfaces; the swarm is on the first, whatever the order of Nova's listing.
    first = worker()
    found = ports()
    second = found.pop(san.id)
    (main,) = found.values()
    assert second.fixed_ips[0]["ip_address"] == STORAGE and second.security_group_ids == []
    assert [pair["ip_address"] for pair in second.allowed_address_pairs] == [VIRTUAL]
    assert neutron.get_port(second.id).tags == ["san"]
    (trunk,) = neutron.trunks(port_id=second.id)
    assert uid in trunk.description
    assert first["address"] == main.fixed_ips[0]["ip_address"]
    swarm = DockerView(kubectl.get("swarmcluster", name)["status"]["endpoint"], kubectl.secret_data(f"{name}-docker-tls"))
    assert first["address"] in [n["Status"]["Addr"] for n in swarm.nodes()]
    swarm.close()
    assert neutron.get_ip(address.id).port_id == main.id and first["floatingIP"] == address.floating_ip_address

    # The server is gone: its successor has both ports, and the address.
    cloud.connection.compute.delete_server(first["serverID"])
    eventually(lambda: worker()["phase"] == "Ready" and worker().get("serverID") != first["serverID"], within=300, every=1, what="a successor")
    assert {p.id for p in ports().values()} == {main.id, second.id}
    assert [t.id for t in neutron.trunks(port_id=second.id)] == [trunk.id]
    assert neutron.get_ip(address.id).port_id == main.id

    # Nothing of the cluster is left; the addresses are, and are nobody's.
    released = next(n["floatingIP"] for n in kubectl.get("swarmcluster", name)["status"]["nodes"] if n["role"] == "Manager")
    kubectl("delete", "swarmcluster", name, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
    assert [p.id for p in neutron.ports(network_id=san.id)] == []
    given = neutron.get_ip(address.id)
    assert (given.port_id, given.description) == (None, "ours")
    (left,) = neutron.ips(floating_ip_address=released)
    assert (left.port_id, left.description) == (None, "")
    neutron.delete_ip(left)
