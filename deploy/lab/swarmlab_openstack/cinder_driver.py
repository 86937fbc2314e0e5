"""Cinder driver of the lab: a volume is a sparse file, which the virt driver puts on a loop device.

Cinder's LVM driver needs device mapper, which small kernels lack. Copies are plain file copies with holes kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cinder import exception, interface
from cinder.image import image_utils
from cinder.volume import driver

from swarmlab import paths
from swarmlab.hosts import blockdev, kernel

CONNECTION_TYPE = "swarmlab"
"""driver_volume_type of connection_info; only the lab's own virt driver knows it."""


@interface.volumedriver
class SwarmLabFiles(driver.VolumeDriver):  # type: ignore[misc]
    """Sparse files below STATE/volumes; see cinder.interface.volume_driver for each method's contract."""

    VERSION = "1.0"
    CI_WIKI_NAME = "none"

    def check_for_setup_error(self) -> None:
        """The directory must exist."""
        paths.VOLUMES.mkdir(parents=True, exist_ok=True)

    def _update_volume_stats(self) -> None:
        usage = shutil.disk_usage(paths.VOLUMES)
        self._stats = {
            "volume_backend_name": self.configuration.safe_get("volume_backend_name") or "swarmlab",
            "vendor_name": "swarmlab",
            "driver_version": self.VERSION,
            "storage_protocol": "file",
            "total_capacity_gb": usage.total >> 30,
            "free_capacity_gb": usage.free >> 30,
            "reserved_percentage": 0,
            "max_over_subscription_ratio": 100.0,
            "thin_provisioning_support": True,
            "provisioned_capacity_gb": 0,
            "QoS_support": False,
            "multiattach": False,
        }

    def local_path(self, volume: Any) -> str:
        """The backing file."""
        return str(volume_file(volume["id"]))

    def create_volume(self, volume: Any) -> None:
        """An empty sparse file of the volume's size."""
        path = volume_file(volume["id"])
        with path.open("ab") as file:
            path.chmod(0o600)
            file.truncate(volume["size"] << 30)

    def delete_volume(self, volume: Any) -> None:
        """Remove the file; a volume without one is gone already."""
        path = self.local_path(volume)
        loop = blockdev.loop_device(path)
        if loop:
            kernel.run("losetup", "-d", loop, check=False)
        Path(path).unlink(missing_ok=True)

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Grow the file; a loop device over it learns the new size."""
        path = self.local_path(volume)
        os.truncate(path, new_size << 30)
        loop = blockdev.loop_device(path)
        if loop:
            kernel.run("losetup", "-c", loop)

    def create_snapshot(self, snapshot: Any) -> None:
        """A copy."""
        _copy(volume_file(snapshot["volume_id"]), volume_file(snapshot["id"]))

    def delete_snapshot(self, snapshot: Any) -> None:
        """Remove the copy."""
        volume_file(snapshot["id"]).unlink(missing_ok=True)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        """A copy of the copy, grown to the volume's size."""
        _copy(volume_file(snapshot["id"]), volume_file(volume["id"]))
        os.truncate(self.local_path(volume), volume["size"] << 30)

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        """A copy, grown to the volume's size."""
        _copy(volume_file(src_vref["id"]), volume_file(volume["id"]))
        os.truncate(self.local_path(volume), volume["size"] << 30)

    def copy_image_to_volume(self, context: Any, volume: Any, image_service: Any, image_id: str, disable_sparse: bool = False) -> None:
        """The image's bytes at the start of the volume. No conversion: the lab's images are no disk images."""
        path = self.local_path(volume)
        try:
            with Path(path).open("r+b") as file:
                image_service.download(context, image_id, file)
            os.truncate(path, volume["size"] << 30)
        except OSError as error:
            raise exception.ImageCopyFailure(reason=str(error)) from error

    def clone_image(self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any) -> tuple[dict[str, Any], bool]:
        """A volume from an image without Cinder's way through qemu-img (and sudo): our images are no disk images."""
        self.create_volume(volume)
        self.copy_image_to_volume(context, volume, image_service, image_meta["id"])
        return {}, True

    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        """Upload the file."""
        image_utils.upload_volume(context, image_service, image_meta, self.local_path(volume), volume)

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Nothing is exported: server and volume are on one machine."""

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        """See ensure_export."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """See ensure_export."""

    def initialize_connection(self, volume: Any, connector: Any, **kwargs: Any) -> dict[str, Any]:
        """Where the file is, for the lab's virt driver."""
        path = self.local_path(volume)
        if not Path(path).exists():
            raise exception.VolumeNotFound(volume_id=volume["id"])
        return {
            "driver_volume_type": CONNECTION_TYPE,
            "data": {"path": path, "volume_id": volume["id"], "access_mode": "rw"},
        }

    def terminate_connection(self, volume: Any, connector: Any, **kwargs: Any) -> None:
        """The virt driver has released the loop device."""


def volume_file(identifier: str) -> Path:
    """Backing file of a volume or snapshot."""
    return paths.VOLUMES / f"volume-{identifier}"


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(source), str(target)], check=True)
