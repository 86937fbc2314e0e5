"""The sweep on real Nova, Neutron and Cinder: what carries the cluster's UID and serves nothing is found and deleted, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from integration.conftest import cluster_manifest

pytestmark = pytest.mark.lab

NAME = "swept"
GRACE = 15


@pytest.fixture(scope="module")
def cluster(kubectl: Kubectl, operator: Any) -> Iterator[dict[str, Any]]:
    """A Ready cluster of its own: one manager."""
    kubectl.apply(cluster_manifest(NAME, workers=0, orphanGraceSeconds=GRACE))
    kubectl.wait("swarmcluster", NAME, timeout=300)
    yield kubectl.get("swarmcluster", NAME)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)


def orphans(kubectl: Kubectl) -> set[str]:
    return {o["id"] for o in kubectl.get("swarmcluster", NAME)["status"].get("orphans", [])}


def ids(cloud: CloudView) -> set[str]:
    """Ids of everything in the project; names of key pairs."""
    network, compute = cloud.connection.network, cloud.connection.compute
    listings = (
        *(compute.servers(), cloud.connection.block_storage.volumes(), network.ports(), network.ips()),
        *(network.networks(), network.subnets(), network.routers(), network.security_groups()),
    )
    return {item.id for items in listings for item in items} | {k.name for k in compute.keypairs()}


def test_one_leak_of_each_kind_is_named_then_deleted_and_nothing_else(kubectl: Kubectl, cluster: dict[str, Any], cloud: CloudView) -> None:
    """A server of the same name as ours without our UID stays, as do a port, a volume, a network and a key pair of somebody else."""
    nova, neutron, cinder = cloud.connection.compute, cloud.connection.network, cloud.connection.block_storage
    uid, network = cluster["metadata"]["uid"], cluster["status"]["infrastructure"]["networkID"]
    manager = cluster["status"]["nodes"][0]
    mark = f"swarmops cluster={uid} part=left-over name={NAME}"
    image, flavor = cloud.connection.image.find_image("debian-12-docker").id, nova.find_flavor("m1.small").id

    foreign_network = neutron.create_network(name=f"swarm-{NAME}-{uid[:8]}")
    foreign_port = neutron.create_port(network_id=neutron.find_network("lab-net").id, name="left-over")
    foreign_volume = cinder.create_volume(size=1, name="left-over")
    foreign_key = nova.create_keypair(name=f"swarmops-{uid}0")
    foreign = nova.create_server(name=manager["name"], flavor_id=flavor, image_id=image, networks=[{"uuid": foreign_port.network_id}])
    theirs = {foreign_network.id, foreign_port.id, foreign_volume.id, foreign_key.name, foreign.id}

    port = neutron.create_port(network_id=network, description=mark)
    address = neutron.create_ip(floating_network_id=neutron.find_network("public").id, description=mark)
    lost_network = neutron.create_network(name="left-over", description=mark)
    lost_subnet = neutron.create_subnet(network_id=lost_network.id, name="left-over", description=mark, ip_version=4, cidr="10.98.0.0/24")
    router = neutron.create_router(name="left-over", description=mark)
    group = neutron.create_security_group(name="left-over", description=mark)
    volume = cinder.create_volume(size=1, name="left-over", metadata={"swarmops-cluster-uid": uid})
    key = nova.create_keypair(name=f"swarmops-{uid}-old")
    ours = {port.id, address.id, lost_network.id, lost_subnet.id, router.id, group.id, volume.id, key.name}
    used = {n["serverID"] for n in cluster["status"]["nodes"]} | {i for i in cluster["status"]["infrastructure"].values() if isinstance(i, str)}
    try:
        # An edit makes the operator look at the whole project at once, not only when its memory of it is over.
        kubectl.patch("swarmcluster", NAME, {"spec": {"drainTimeoutSeconds": 119}})
        eventually(lambda: orphans(kubectl) == ours, within=90, what="all of ours are named, and none of theirs")
        assert condition(kubectl.get("swarmcluster", NAME), "OrphansFound")["status"] == "True"
        assert ours | theirs | used <= ids(cloud), "they are reported and left alone"

        kubectl.patch("swarmcluster", NAME, {"spec": {"orphans": "Delete"}})
        eventually(lambda: not ours & ids(cloud), within=120, what="ours are gone")
        eventually(lambda: condition(kubectl.get("swarmcluster", NAME), "OrphansFound")["status"] == "False", within=60, what="OrphansFound is False")
        assert theirs | used <= ids(cloud)
        assert condition(kubectl.get("swarmcluster", NAME), "Ready")["status"] == "True"
    finally:
        nova.delete_server(foreign)
        neutron.delete_port(foreign_port)
        neutron.delete_network(foreign_network)
        cinder.delete_volume(foreign_volume)
        nova.delete_keypair(foreign_key)
        nova.wait_for_delete(foreign, wait=60)
