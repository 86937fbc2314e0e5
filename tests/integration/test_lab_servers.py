"""The lab's servers do what a cloud's servers do, by the real Nova, Cinder, Glance and Neutron APIs; seen from inside the guest."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import eventually

pytestmark = pytest.mark.lab
Run = Callable[..., str]


class Guest:
    """One server of the lab and a look inside it."""

    def __init__(self, cloud: Any, server: Any, lab: Run) -> None:
        self.cloud, self.id, self.name, self._lab = cloud, server.id, server.name, lab

    def run(self, *argv: str) -> str:
        """A command in the guest, as root."""
        return self._lab("ssh", self.name, *argv)

    def status(self, wanted: str, within: float = 90) -> None:
        """Wait until Nova says so."""
        eventually(lambda: self.cloud.compute.get_server(self.id).status == wanted, within=within, what=f"{self.name} is {wanted}")

    def booted(self) -> str:
        """Wait until cloud-init is done and the engine answers; the kernel's id of this boot of PID 1."""
        eventually(lambda: "done" in self.run("cloud-init", "status"), within=90, what="cloud-init is done")
        eventually(lambda: self.run("docker", "info", "--format", "{{.ServerVersion}}").strip(), within=60, what="the engine answers")
        return self.run("stat", "-c", "%Y", "/proc/1")


def boot(cloud: Any, lab: Run, **more: Any) -> Guest:
    """A server on lab-net."""
    compute = cloud.compute
    request = {
        "name": f"guest-{uuid.uuid4().hex[:6]}",
        "flavor_id": compute.find_flavor("m1.small").id,
        "image_id": cloud.image.find_image("debian-12-docker").id,
        "networks": [{"uuid": cloud.network.find_network("lab-net").id}],
        **more,
    }
    guest = Guest(cloud, compute.create_server(**request), lab)
    guest.status("ACTIVE")
    return guest


def delete(cloud: Any, guest: Guest) -> None:
    """Delete and wait until it is gone."""
    cloud.compute.delete_server(guest.id, ignore_missing=True)
    eventually(lambda: cloud.compute.find_server(guest.id) is None, within=60, what="the server is gone")


@pytest.fixture(scope="module")
def cloud_api(cloud: CloudView) -> Any:
    """The project's connection."""
    return cloud.connection


@pytest.fixture(scope="module")
def guest(cloud_api: Any, lab: Run) -> Iterator[Guest]:
    """A booted server with user data and a config drive."""
    user_data = base64.b64encode(b"#cloud-config\nwrite_files: [{path: /root/from-user-data, content: hello}]\n").decode()
    server = boot(cloud_api, lab, user_data=user_data, config_drive=True, metadata={"colour": "blue"})
    server.booted()
    yield server
    delete(cloud_api, server)


def test_metadata_service_config_drive_and_user_data_are_real(guest: Guest) -> None:
    assert guest.run("cat", "/root/from-user-data") == "hello"
    fetch = "import urllib.request; print(urllib.request.urlopen('http://169.254.169.254/openstack/latest/meta_data.json').read().decode())"
    document = json.loads(guest.run("python3", "-c", fetch))
    assert document["uuid"] == guest.id and document["meta"] == {"colour": "blue"}


def test_console_carries_the_host_keys(guest: Guest, cloud_api: Any) -> None:
    console = cloud_api.compute.get_server_console_output(guest.id)["output"]
    key = guest.run("cut", "-d ", "-f2", "/etc/ssh/ssh_host_ed25519_key.pub").strip()
    assert "BEGIN SSH HOST KEY KEYS" in console and key in console


def test_power_and_reboots(guest: Guest, cloud_api: Any) -> None:
    compute = cloud_api.compute
    guest.run("sh", "-c", "echo kept >/root/kept")
    compute.stop_server(guest.id)
    guest.status("SHUTOFF")
    compute.start_server(guest.id)
    guest.status("ACTIVE")
    boots = [guest.booted()]
    for kind in ("SOFT", "HARD"):
        compute.reboot_server(guest.id, kind)
        eventually(lambda: guest.run("stat", "-c", "%Y", "/proc/1") != boots[-1], within=60, what=f"a new PID 1 after the {kind} reboot")
        guest.status("ACTIVE")
        boots.append(guest.booted())
    assert guest.run("cat", "/root/kept").strip() == "kept"


def test_volume_is_a_block_device_that_keeps_its_content(guest: Guest, cloud_api: Any) -> None:
    storage, compute = cloud_api.block_storage, cloud_api.compute
    volume = storage.create_volume(name="data", size=1)
    storage.wait_for_status(volume, status="available", wait=60)
    for expected in ("", "written"):
        attachment = compute.create_volume_attachment(guest.id, volume_id=volume.id)
        storage.wait_for_status(volume, status="in-use", wait=60)
        device = attachment.device or compute.get_volume_attachment(guest.id, volume.id).device
        if not expected:
            guest.run("mkfs.xfs", "-q", device)
        guest.run("mount", device, "/mnt")
        assert guest.run("sh", "-c", "cat /mnt/content 2>/dev/null || true").strip() == expected
        guest.run("sh", "-c", "echo written >/mnt/content; umount /mnt")
        compute.delete_volume_attachment(guest.id, volume.id)
        storage.wait_for_status(volume, status="available", wait=60)
    storage.delete_volume(volume)


def test_snapshot_boots_with_its_content(guest: Guest, cloud_api: Any, lab: Run) -> None:
    guest.run("sh", "-c", "echo golden >/srv/golden; sync")
    name = f"golden-{uuid.uuid4().hex[:6]}"
    image = cloud_api.compute.create_server_image(guest.id, name, wait=True, timeout=120)
    try:
        assert image.size and image.size > 0
        copy = boot(cloud_api, lab, image_id=image.id)
        try:
            copy.booted()
            assert copy.run("cat", "/srv/golden").strip() == "golden"
            assert copy.run("hostname").strip() == copy.name
        finally:
            delete(cloud_api, copy)
    finally:
        cloud_api.image.delete_image(image)


def test_rebuild_starts_from_the_image_again(guest: Guest, cloud_api: Any) -> None:
    guest.run("sh", "-c", "echo gone >/root/before-rebuild")
    cloud_api.compute.rebuild_server(guest.id, image=cloud_api.image.find_image("debian-12-docker").id)
    guest.status("ACTIVE")
    guest.booted()
    assert guest.run("sh", "-c", "ls /root/before-rebuild 2>/dev/null || echo absent").strip() == "absent"
