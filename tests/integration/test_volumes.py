"""Data volumes on the real lab: Cinder, Nova's attachments, file systems on block devices, and a machine that is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, KubectlError, condition, eventually
from harness.operator import Operator
from integration.conftest import IMAGE, cluster_manifest
from swarm_operator.domain.volumes import SlotVolume, volume_metadata

pytestmark = pytest.mark.lab
NAME = "storage"
DOCKER = {"name": "docker", "sizeGiB": 2, "mountPath": "/srv/docker"}
DATA = {"name": "data", "sizeGiB": 1, "mountPath": "/srv/data", "mountOptions": ["noatime"]}
KEPT = {"name": "kept", "sizeGiB": 1, "format": "xfs", "mountPath": "/srv/kept", "retain": True}

LARGER = {**KEPT, "sizeGiB": 2}


def pool(replicas: int, *volumes: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"workerPools": [{"name": "db", "replicas": replicas, "machine": {"volumes": [DOCKER, *volumes]}}]}}


@pytest.fixture(scope="module")
def uid(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> Iterator[str]:
    """UID of a Ready cluster: manager and worker have the engine's data on a volume, the worker two more, and the manager boots from one."""
    manifest = cluster_manifest(NAME, engine={"insecureRegistries": ["198.51.100.1:5000"], "mtu": 1350, "dataRoot": "/srv/docker"})
    manifest["spec"]["managers"] = {"machine": {"rootVolume": {"sizeGiB": 3}, "volumes": [DOCKER]}}
    manifest["spec"] |= pool(1, DATA, KEPT)["spec"]
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", NAME, timeout=300)
    uid = str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    yield uid
    kubectl("delete", "swarmcluster", NAME, "--ignore-not-found", "--timeout=180s", timeout=200)
    for volume in volumes(cloud, uid).values():
        cloud.connection.block_storage.delete_volume(volume)


def volumes(cloud: CloudView, uid: str) -> dict[str, Any]:
    """The cluster's volumes in Cinder, by name."""
    return {v.name: v for v in cloud.connection.block_storage.volumes() if v.metadata.get("swarmops-cluster-uid") == uid}


def node(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Its record in status; KeyError where there is none."""
    found: dict[str, Any] = {n["name"]: n for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"]}[name]
    return found


def sizes(kubectl: Kubectl, name: str) -> dict[str, int]:
    """Of the volumes that are set up on a machine."""
    return {v["name"]: v["sizeGiB"] for v in node(kubectl, name)["volumes"] if v["attached"]}


def test_volumes_are_mounted_before_the_engine_is_used(kubectl: Kubectl, uid: str, cloud: CloudView, lab: Any) -> None:
    assert set(volumes(cloud, uid)) == {"storage-manager-0-docker", "storage-db-0-docker", "storage-db-0-data", "storage-db-0-kept"}
    entries = {v["name"]: v for v in node(kubectl, "storage-db-0")["volumes"]}
    assert sizes(kubectl, "storage-db-0") == {"docker": 2, "data": 1, "kept": 1}
    assert {v["volumeID"] for v in entries.values()} == {v.id for name, v in volumes(cloud, uid).items() if "-db-" in name}
    shown = lab("ssh", "storage-db-0", "findmnt", "-rn", "-o", "TARGET,FSTYPE,OPTIONS")
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    assert lines["/srv/data"][0] == "ext4" and "noatime" in lines["/srv/data"][1] and lines["/srv/kept"][0] == "xfs"
    for name in ("storage-manager-0", "storage-db-0"):
        assert lab("ssh", name, "docker", "info", "--format", "{{.DockerRootDir}}").strip() == "/srv/docker"
        assert lab("ssh", name, "stat", "-c", "%m", "/srv/docker/containers").strip() == "/srv/docker", "the engine's data is on the volume"


def test_the_manager_boots_from_a_volume(kubectl: Kubectl, uid: str, cloud: CloudView) -> None:
    server = node(kubectl, "storage-manager-0")["serverID"]
    attached = list(cloud.connection.compute.volume_attachments(server))
    root = next(a for a in attached if a.device == "/dev/vda")
    assert root.delete_on_termination is True
    assert cloud.connection.block_storage.get_volume(root.volume_id).size == 3


def test_content_follows_the_slot_to_its_next_machine(kubectl: Kubectl, uid: str, cloud: CloudView, lab: Any) -> None:
    lab("ssh", "storage-db-0", "sh", "-c", "echo mine >/srv/data/file; echo mine too >/srv/kept/file; sync")
    lab("ssh", "storage-db-0", "docker", "pull", "-q", f"{IMAGE}:1")
    before = {name: v.id for name, v in volumes(cloud, uid).items()}
    former = node(kubectl, "storage-db-0")
    cloud.connection.compute.delete_server(former["serverID"])
    eventually(
        lambda: node(kubectl, "storage-db-0-2")["phase"] == "Ready" and condition(kubectl.get("swarmcluster", NAME), "Ready")["status"] == "True",
        within=180,
        what="the slot has a new machine",
    )
    assert {name: v.id for name, v in volumes(cloud, uid).items()} == before, "no volume was made anew"
    assert lab("ssh", "storage-db-0-2", "cat", "/srv/data/file", "/srv/kept/file").split("\n")[:2] == ["mine", "mine too"]
    assert f"{IMAGE}" in lab("ssh", "storage-db-0-2", "docker", "image", "ls", "--format", "{{.Repository}}"), "the engine's data came along"
    assert node(kubectl, "storage-db-0-2")["nodeID"] != former["nodeID"], "and its former place in the swarm did not"
    assert f"swarm-of-{former['machineUID']}" in lab("ssh", "storage-db-0-2", "ls", "/srv/docker")


def test_it_grows_in_use_and_shrinking_is_refused(kubectl: Kubectl, uid: str, cloud: CloudView, lab: Any) -> None:
    """XFS: a mounted ext4 grows only where the kernel lets us use CAP_SYS_RESOURCE, which not every machine that a lab runs on does."""
    server = node(kubectl, "storage-db-0-2")["serverID"]
    kubectl.patch("swarmcluster", NAME, pool(1, DATA, LARGER))
    eventually(lambda: sizes(kubectl, "storage-db-0-2") == {"docker": 2, "data": 1, "kept": 2}, within=90, what="the machine uses the larger volume")
    kilobytes = int(lab("ssh", "storage-db-0-2", "df", "--output=size", "/srv/kept").split()[1])
    assert kilobytes > 1.8 * (1 << 20)
    assert lab("ssh", "storage-db-0-2", "cat", "/srv/kept/file").strip() == "mine too"
    assert node(kubectl, "storage-db-0-2")["serverID"] == server
    with pytest.raises(KubectlError, match="must not shrink"):
        kubectl.patch("swarmcluster", NAME, pool(1, DATA, KEPT))


def test_what_is_on_a_volume_is_not_formatted_over(kubectl: Kubectl, uid: str, cloud: CloudView, lab: Any) -> None:
    """A volume that carries our metadata and somebody's file system: said, left as it is, and mounted nowhere."""
    storage, compute, slot = cloud.connection.block_storage, cloud.connection.compute, SlotVolume("Worker", "db", 1, "data")
    metadata = volume_metadata(uid, NAME, slot, retain=False)
    theirs = storage.create_volume(name=slot.display_name(NAME), size=1, metadata=metadata)
    storage.wait_for_status(theirs, status="available", wait=60)
    manager = node(kubectl, "storage-manager-0")["serverID"]
    attachment = compute.create_volume_attachment(manager, volume_id=theirs.id)
    storage.wait_for_status(theirs, status="in-use", wait=60)
    device = attachment.device or compute.get_volume_attachment(manager, theirs.id).device
    lab("ssh", "storage-manager-0", "sh", "-c", f"mkfs.xfs -q -L theirs {device} && mount {device} /mnt && echo theirs >/mnt/file && umount /mnt")
    compute.delete_volume_attachment(manager, theirs.id)
    storage.wait_for_status(theirs, status="available", wait=60)

    kubectl.patch("swarmcluster", NAME, pool(2, DATA, LARGER))
    found = eventually(
        lambda: (c := condition(kubectl.get("swarmcluster", NAME), "MembersUpToDate"))["reason"] == "VolumeRefused" and c, within=180, what="VolumeRefused"
    )
    assert "storage-db-1-data" in found["message"] and "it holds xfs" in found["message"] and "nothing is written" in found["message"]
    assert node(kubectl, "storage-db-1").get("nodeID") is None, "the machine does not join without its volume"
    device = f"/dev/disk/by-id/virtio-{theirs.id[:20]}"
    assert lab("ssh", "storage-db-1", "sh", "-c", f"mount -o ro {device} /mnt && cat /mnt/file; umount /mnt").strip() == "theirs"

    kubectl.patch("swarmcluster", NAME, pool(1, DATA, LARGER))
    kubectl.wait("swarmcluster", NAME, timeout=120)
    eventually(lambda: "storage-db-1-data" not in volumes(cloud, uid), within=60, what="the slot's volume goes after its server")
    kept = volumes(cloud, uid)["storage-db-1-kept"]
    status = eventually(lambda: kubectl.get("swarmcluster", NAME)["status"].get("retainedVolumes"), within=30, what="status names the volume that stays")
    assert [(v["volumeID"], v["sizeGiB"]) for v in status] == [(kept.id, 2)]


def test_deleting_the_cluster_leaves_only_what_is_retained(kubectl: Kubectl, operator: Operator, uid: str, cloud: CloudView) -> None:
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert set(volumes(cloud, uid)) == {"storage-db-0-kept", "storage-db-1-kept"}
    assert {line.split()[0] for line in cloud.leftovers(uid)} == {"volume"}
    (told,) = [line for line in operator.log.read_text().splitlines() if f"/{NAME}: Retained, left in the cloud" in line]
    assert "storage-db-0-kept" in told and "storage-db-1-kept" in told
