"""What only real Nova and Neutron can show of the cluster's infrastructure: which subnet a server is on, what is left of its port, and a router that stays."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl
from harness.operator import Operator
from integration.conftest import cluster_manifest

pytestmark = pytest.mark.lab


@pytest.fixture
def two_subnets(cloud: CloudView) -> Iterator[Any]:
    """A network of somebody else with two subnets, both routed: unasked, Neutron would take an address from any."""
    neutron, name = cloud.connection.network, f"two-{uuid.uuid4().hex[:6]}"
    network = neutron.create_network(name=name)
    subnets = [neutron.create_subnet(network_id=network.id, name=f"{name}-{n}", ip_version=4, cidr=f"10.{80 + n}.0.0/24") for n in (1, 2)]
    router = neutron.create_router(name=name, external_gateway_info={"network_id": neutron.find_network("public").id})
    for subnet in subnets:
        neutron.add_interface_to_router(router, subnet=subnet.id)
    yield network
    for subnet in subnets:
        neutron.remove_interface_from_router(router, subnet=subnet.id)
    neutron.delete_router(router)
    neutron.delete_network(network)


def test_the_subnet_named_is_the_one_used_and_no_port_is_left(kubectl: Kubectl, operator: Operator, cloud: CloudView, two_subnets: Any) -> None:
    network = {"existing": {"network": {"id": two_subnets.id}, "subnet": {"name": f"{two_subnets.name}-2"}}, "external": {"name": "public"}}
    kubectl.apply(cluster_manifest("on-subnet", workers=1, network=network))
    kubectl.wait("swarmcluster", "on-subnet", timeout=300)
    cluster = kubectl.get("swarmcluster", "on-subnet")
    uid = cluster["metadata"]["uid"]
    assert [n["address"].rpartition(".")[0] for n in cluster["status"]["nodes"]] == ["10.82.0", "10.82.0"]
    ours = [p for p in cloud.connection.network.ports(network_id=two_subnets.id) if uid in (p.description or "")]
    assert {p.device_id for p in ours} == {s.id for s in cloud.servers(uid)}

    kubectl("delete", "swarmcluster", "on-subnet", "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
    left = [p for p in cloud.connection.network.ports(network_id=two_subnets.id) if not p.device_owner.startswith("network:")]
    assert left == []


@pytest.fixture
def edge(cloud: CloudView) -> Iterator[Any]:
    """A router of the project that somebody made, with a gateway and no interface."""
    neutron = cloud.connection.network
    made = neutron.create_router(name=f"edge-{uuid.uuid4().hex[:6]}", external_gateway_info={"network_id": neutron.find_network("public").id})
    yield made
    neutron.delete_router(made)


def test_a_router_that_exists_carries_the_managed_network_and_stays(kubectl: Kubectl, operator: Operator, cloud: CloudView, edge: Any) -> None:
    neutron = cloud.connection.network
    kubectl.apply(cluster_manifest("edged", workers=1, network={"managed": {"cidr": "10.83.0.0/24", "router": {"name": edge.name}}}))
    kubectl.wait("swarmcluster", "edged", timeout=300)
    cluster = kubectl.get("swarmcluster", "edged")
    uid, made = cluster["metadata"]["uid"], cluster["status"]["infrastructure"]
    assert made["routerID"] == edge.id and [r.name for r in neutron.routers() if uid in (r.description or "")] == []
    assert [p.fixed_ips[0]["subnet_id"] for p in neutron.ports(device_id=edge.id) if p.device_owner == "network:router_interface"] == [made["subnetID"]]

    kubectl("delete", "swarmcluster", "edged", "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []
    assert [p.id for p in neutron.ports(device_id=edge.id) if p.device_owner == "network:router_interface"] == []
    assert neutron.get_router(edge.id).name == edge.name
