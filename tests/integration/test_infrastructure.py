"""What only real Nova and Neutron can show of the cluster's infrastructure: which subnet a server is on, and what is left of its port."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
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


def test_a_sweep_deletes_what_is_ours_and_useless_and_nothing_else(kubectl: Kubectl, swarm: str, cloud: CloudView) -> None:
    """A port, a floating IP and a volume with the cluster's UID are named and then deleted; a server of the same name as ours, a port and a volume without it stay."""
    nova, neutron, cinder = cloud.connection.compute, cloud.connection.network, cloud.connection.block_storage
    cluster = kubectl.get("swarmcluster", swarm)
    uid, network = cluster["metadata"]["uid"], cluster["status"]["infrastructure"]["networkID"]
    mark = f"swarmops cluster={uid} part=left-over name={swarm}"
    port = neutron.create_port(network_id=network, description=mark)
    address = neutron.create_ip(floating_network_id=neutron.find_network("public").id, description=mark)
    volume = cinder.create_volume(size=1, name="left-over", metadata={"swarmops-cluster-uid": uid})
    foreign_port = neutron.create_port(network_id=neutron.find_network("lab-net").id, name="left-over")
    foreign_volume = cinder.create_volume(size=1, name="left-over")
    ours = nova.get_server(cluster["status"]["nodes"][-1]["serverID"])
    image = cloud.connection.image.find_image("debian-12-docker").id
    foreign = nova.create_server(name=ours.name, flavor_id=nova.find_flavor("m1.small").id, image_id=image, networks=[{"uuid": foreign_port.network_id}])
    try:
        kubectl("patch", "swarmcluster", swarm, "--type=merge", "-p", '{"spec":{"orphans":"Delete","orphanGraceSeconds":5}}')
        seen = eventually(lambda: (found := kubectl.get("swarmcluster", swarm)["status"].get("orphans")) and found, within=60, every=0.5, what="orphans named")
        assert {o["id"] for o in seen} == {port.id, address.id, volume.id}
        eventually(
            lambda: not ({port.id, address.id, volume.id} & ids(cloud)) and condition(kubectl.get("swarmcluster", swarm), "OrphansFound")["status"] == "False",
            within=60,
            what="orphans deleted",
        )
        assert {foreign_port.id, foreign_volume.id, foreign.id, ours.id} <= ids(cloud)
        assert condition(kubectl.get("swarmcluster", swarm), "Ready")["status"] == "True"
    finally:
        kubectl("patch", "swarmcluster", swarm, "--type=merge", "-p", '{"spec":{"orphans":"Report"}}')
        nova.delete_server(foreign)
        neutron.delete_port(foreign_port)
        cinder.delete_volume(foreign_volume)
        nova.wait_for_delete(foreign, wait=60)


def ids(cloud: CloudView) -> set[str]:
    """Ids of servers, ports, floating IPs and volumes."""
    network = cloud.connection.network
    listings = (cloud.connection.compute.servers(), network.ports(), network.ips(), cloud.connection.block_storage.volumes())
    return {item.id for items in listings for item in items}
