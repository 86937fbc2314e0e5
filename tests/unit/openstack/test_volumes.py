"""Volumes and boot from volume: requests as they go out, answers as they are read."""

from __future__ import annotations

from typing import Any

import pytest
from openstack_fakecloud import Answer

from swarm_operator.adapters.openstack import OpenStackCloud
from swarm_operator.domain.cloud import RootVolume, ServerRequest, Volume, VolumeRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import CLUSTER_UID
from swarm_operator.domain.quota import GIGABYTES, VOLUME, Usage

NOVA, CINDER = "/compute/v2.1", "/volume/v3"


def test_create(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{CINDER}/volumes", Answer(202, {"volume": {"id": "v1"}}))
    assert cloud.create_volume(VolumeRequest("demo-web-0-data", 10, {"a": "b"})) == "v1"
    assert cloud.create_volume(VolumeRequest("root", 20, {}, "fast", "rack-1", "image-1")) == "v1"
    plain, root = (r.body["volume"] for r in fake.asked("POST", f"{CINDER}/volumes"))
    assert plain == {"name": "demo-web-0-data", "size": 10, "metadata": {"a": "b"}}
    assert root == {"name": "root", "size": 20, "metadata": {}, "volume_type": "fast", "availability_zone": "rack-1", "imageRef": "image-1"}
    assert fake.requests[-1].method == "POST", "nothing follows it"


@pytest.mark.parametrize("answer", [Answer(202, {}), Answer(504, "gateway"), Answer(drop=True)])
def test_a_lost_answer_to_a_create_is_ambiguous(fake: Any, cloud: OpenStackCloud, answer: Answer) -> None:
    fake.on("POST", f"{CINDER}/volumes", answer)
    with pytest.raises(ExternalError) as caught:
        cloud.create_volume(VolumeRequest("v", 1, {}))
    assert caught.value.kind is ErrorKind.AMBIGUOUS


def test_quota_of_cinder_is_told_as_quota(fake: Any, cloud: OpenStackCloud) -> None:
    text = "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested 10G, quota is 5G and 0G has been consumed."
    fake.on("POST", f"{CINDER}/volumes", Answer(413, {"overLimit": {"code": 413, "message": text}}))
    with pytest.raises(ExternalError) as caught:
        cloud.create_volume(VolumeRequest("v", 10, {}))
    assert caught.value.kind is ErrorKind.QUOTA


def test_list(fake: Any, cloud: OpenStackCloud) -> None:
    item = {"id": "v1", "name": "n", "status": "in-use", "size": 7, "metadata": {CLUSTER_UID: "c", "k": "v"}, "created_at": "2026-01-01T00:00:00.000000"}
    foreign = {"id": "v2", "status": "available", "metadata": {CLUSTER_UID: "other"}}
    fake.on("GET", f"{CINDER}/volumes/detail", Answer(200, {"volumes": [{**item, "attachments": [{"server_id": "s1", "device": "/dev/vdb"}]}, foreign]}))
    assert cloud.list_owned_volumes("c") == (Volume("v1", "n", "in-use", 7, {CLUSTER_UID: "c", "k": "v"}, ("s1",), "2026-01-01T00:00:00.000000"),)


def test_attach_extend_and_mark(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NOVA}/servers/s1/os-volume_attachments", Answer(200, {"volumeAttachment": {"id": "v1", "device": "/dev/vdb"}}))
    fake.on("POST", f"{CINDER}/volumes/v1/action", Answer(202))
    fake.on("POST", f"{CINDER}/volumes/v1/metadata", Answer(200, {"metadata": {}}))
    cloud.attach_volume("s1", "v1")
    cloud.extend_volume("v1", 12)
    cloud.update_volume_metadata("v1", {"swarmops-retain": "true"})
    attach, extend, mark = fake.requests[-3:]
    assert attach.body == {"volumeAttachment": {"volumeId": "v1"}}
    assert extend.body == {"os-extend": {"new_size": 12}} and extend.headers["OpenStack-API-Version"] == "volume 3.42", "else Cinder refuses it in use"
    assert mark.body == {"metadata": {"swarmops-retain": "true"}}


def test_usage(fake: Any, cloud: OpenStackCloud) -> None:
    absolute = {"totalVolumesUsed": 3, "maxTotalVolumes": 10, "totalGigabytesUsed": 30, "maxTotalVolumeGigabytes": -1}
    fake.on("GET", f"{CINDER}/limits", Answer(200, {"limits": {"absolute": absolute}}))
    assert cloud.get_volume_usage() == {VOLUME: Usage(3, 10), GIGABYTES: Usage(30, None)}


@pytest.mark.parametrize(
    ("root", "mapping", "version"),
    [
        (RootVolume(20), {"source_type": "image", "uuid": "image", "volume_size": 20}, "compute 2.1"),
        (RootVolume(20, "fast"), {"source_type": "image", "uuid": "image", "volume_size": 20, "volume_type": "fast"}, "compute 2.67"),
        (RootVolume(20, "fast", "v1"), {"source_type": "volume", "uuid": "v1"}, "compute 2.1"),
    ],
)
def test_boot_from_volume(fake: Any, cloud: OpenStackCloud, root: RootVolume, mapping: dict[str, Any], version: str) -> None:
    fake.on("POST", f"{NOVA}/servers", Answer(202, {"server": {"id": "new"}}))
    cloud.create_server(ServerRequest("demo-0", "flavor", "image", "net", "key", (), {}, "", root_volume=root))
    (sent,) = fake.asked("POST", f"{NOVA}/servers")
    assert sent.body["server"]["block_device_mapping_v2"] == [{"boot_index": 0, "destination_type": "volume", "delete_on_termination": True, **mapping}]
    assert "imageRef" not in sent.body["server"]
    assert sent.headers["OpenStack-API-Version"] == version
