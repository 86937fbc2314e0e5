"""Virt driver of the lab: a Nova server is a host made of Linux namespaces (swarmlab.hosts.server).

Servers live in processes of their own and in STATE/servers, so this driver has no state: a restarted nova-compute finds
every server as it is. Contract of the methods: nova.virt.driver.ComputeDriver (Nova 34).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import os_resource_classes as orc
from nova import exception
from nova.api.metadata import base as instance_metadata
from nova.compute import power_state, task_states
from nova.conf import CONF
from nova.image import glance
from nova.objects import fields
from nova.virt import configdrive, driver, hardware
from nova.virt import event as virtevent
from oslo_log import log as logging

from swarmlab import paths
from swarmlab.hosts import faultswitch, guestimage, record, server, snapshot
from swarmlab_openstack import translate

LOG = logging.getLogger(__name__)

CONSOLE_BYTES = 100 * 1024
"""As Nova's libvirt driver: only the end of the log is given."""

WATCH_SECONDS = 2.0

_POWER = {server.RUNNING: power_state.RUNNING, server.OFF: power_state.SHUTDOWN, server.CRASHED: power_state.CRASHED}


class SwarmLabDriver(driver.ComputeDriver):  # type: ignore[misc]
    """See the module."""

    capabilities = driver.ComputeDriver.capabilities | {
        "has_imagecache": False,
        "supports_attach_interface": True,
        "supports_device_tagging": False,
        "supports_image_type_raw": True,
        "supports_multiattach": False,
    }

    def __init__(self, virtapi: Any) -> None:
        super().__init__(virtapi)
        self._image_api = glance.API()
        self._host = ""
        self._seen: dict[str, str] = {}

    # --- the host ---

    def init_host(self, host: str) -> None:
        """Nothing is to be recovered: servers outlive this process. Starts watching for guests that power off."""
        self._host = host
        paths.SERVERS.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._watch, daemon=True, name="swarmlab-watch").start()

    def _watch(self) -> None:
        """Tell Nova of servers that went on or off by themselves, as libvirt's lifecycle events do."""
        while True:
            time.sleep(WATCH_SECONDS)
            try:
                now = {s.uuid: server.state(s.uuid) for s in server.all_servers()}
            except OSError:
                LOG.exception("could not look at the servers")
                continue
            for uuid, state in now.items():
                before = self._seen.get(uuid)
                if before is not None and (before == server.RUNNING) != (state == server.RUNNING):
                    on = state == server.RUNNING
                    kind = virtevent.EVENT_LIFECYCLE_STARTED if on else virtevent.EVENT_LIFECYCLE_STOPPED
                    self.emit_event(virtevent.LifecycleEvent(uuid, kind))
            self._seen = now

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        """One node: this machine."""
        return [CONF.host]

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """What the machine has and what the servers' flavors take of it."""
        servers = server.all_servers()
        disk = shutil.disk_usage(paths.STATE)
        memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        return {
            "vcpus": os.cpu_count() or 1,
            "memory_mb": memory_mb,
            "local_gb": disk.total >> 30,
            "vcpus_used": sum(s.vcpus for s in servers),
            "memory_mb_used": sum(s.memory_mb for s in servers),
            "local_gb_used": disk.used >> 30,
            "hypervisor_type": "swarmlab",
            "hypervisor_version": 1000000,
            "hypervisor_hostname": nodename,
            "cpu_info": None,
            "disk_available_least": disk.free >> 30,
            "supported_instances": [(fields.Architecture.X86_64, fields.HVType.LXC, fields.VMMode.EXE)],
            "numa_topology": None,
        }

    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        """The same for Placement, with the allocation ratios of nova.conf."""
        resources = self.get_available_resource(nodename)
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        inventory = {
            kind: {
                "total": total,
                "min_unit": 1,
                "max_unit": total,
                "step_size": 1,
                "allocation_ratio": ratios[kind],
                "reserved": 0,
            }
            for kind, total in (
                (orc.VCPU, resources["vcpus"]),
                (orc.MEMORY_MB, resources["memory_mb"]),
                (orc.DISK_GB, resources["local_gb"]),
            )
        }
        provider_tree.update_inventory(nodename, inventory)

    def get_volume_connector(self, instance: Any) -> dict[str, Any]:
        """Cinder wants to know who asks."""
        return {"ip": CONF.my_block_storage_ip, "initiator": "swarmlab", "host": self._host}

    def set_host_enabled(self, enabled: bool) -> str:
        """Enabling and disabling is Nova's business alone."""
        return "enabled" if enabled else "disabled"

    def get_host_ip_addr(self) -> str:
        """See Nova."""
        return str(CONF.my_ip)

    def get_host_uptime(self) -> str:
        """As uptime(1)."""
        return subprocess.run(["uptime"], capture_output=True, text=True, check=True).stdout

    # --- life of a server ---

    def list_instances(self) -> list[str]:
        """Names."""
        return [s.extra.get("instance_name", s.name) for s in server.all_servers()]

    def list_instance_uuids(self) -> list[str]:
        """Ids."""
        return [s.uuid for s in server.all_servers()]

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        """Power state."""
        if not server.exists(instance.uuid):
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return hardware.InstanceInfo(state=_POWER[server.state(instance.uuid)])

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: Any,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        """Make the server's disk from its image and power it on."""
        fault = faultswitch.take_build_failure()
        if fault:
            raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=fault)
        image, is_snapshot = self._image_of(instance, image_meta)
        wants_drive = configdrive.required_by(instance)
        drive: dict[str, bytes] = {}
        if wants_drive:
            metadata = instance_metadata.InstanceMetadata(instance, content=injected_files, network_info=network_info)
            drive = {path: _bytes(data) for path, data in metadata.metadata_for_config_drive()}
        made = record.Server(
            uuid=instance.uuid,
            name=instance.display_name or instance.name,
            hostname=instance.hostname or instance.name,
            rootfs=str(guestimage.rootfs_dir(paths.CACHE, image)),
            memory_mb=instance.flavor.memory_mb,
            vcpus=instance.flavor.vcpus,
            datasource="ConfigDrive" if wants_drive else "OpenStack",
            image=image,
            nics=translate.nics(network_info or []),
            volumes=translate.volumes(block_device_info),
            extra={"instance_name": instance.name, "project_id": instance.project_id},
        )

        def prepare(directory: Path) -> None:
            if is_snapshot:
                self._restore(context, image_meta.id, directory)
            for path, data in drive.items():
                server.write_into(directory, f"var/lib/cloud/seed/config_drive/{path}", data, 0o600)

        server.create(made, prepare)
        if power_on:
            self._start(instance)

    def _start(self, instance: Any) -> None:
        try:
            server.start(instance.uuid)
        except server.ServerError as error:
            raise exception.InstancePowerOnFailure(reason=str(error)) from error

    def _image_of(self, instance: Any, image_meta: Any) -> tuple[str, bool]:
        """The root file system that the image's property names, and whether the image holds a snapshot to lay over it."""
        properties = {k[6:]: v for k, v in instance.system_metadata.items() if k.startswith("image_")}
        image = properties.get("swarmlab_rootfs", "")
        if image not in guestimage.SUITES or not guestimage.rootfs_dir(paths.CACHE, image).is_dir():
            raise exception.BuildAbortException(
                instance_uuid=instance.uuid,
                reason=f"the image has no bootable root file system for this lab (swarmlab_rootfs={image!r})",
            )
        return image, properties.get("swarmlab_content") == snapshot.CONTENT

    def _restore(self, context: Any, image_id: str, directory: Path) -> None:
        archive = directory / "image.tar"
        try:
            self._image_api.download(context, image_id, dest_path=str(archive))
            snapshot.unpack(archive, directory)
        finally:
            archive.unlink(missing_ok=True)

    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Power off and remove."""
        server.destroy(instance.uuid, keep_disk=not destroy_disks)

    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        migrate_data: Any = None,
        destroy_vifs: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Remove what a failed build left."""
        server.destroy(instance.uuid, keep_disk=not destroy_disks)

    def instance_on_disk(self, instance: Any) -> bool:
        """Whether the disk is here."""
        return server.exists(instance.uuid)

    # --- power ---

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """Ask the guest for ``timeout`` seconds, then pull the plug."""
        server.stop(instance.uuid, timeout)

    def power_on(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Boot with the ports and volumes that Nova knows now."""
        self._refresh(instance, network_info, block_device_info)
        self._start(instance)

    def _refresh(self, instance: Any, network_info: Any, block_device_info: Any) -> None:
        changes: dict[str, Any] = {}
        if network_info:
            changes["nics"] = translate.nics(network_info)
        if block_device_info is not None:
            changes["volumes"] = translate.volumes(block_device_info)
        if changes and server.exists(instance.uuid):
            server.update(instance.uuid, **changes)

    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Soft: the guest's own reboot, and hard when that does not happen. Hard: as a reset button."""
        if reboot_type == "SOFT":
            try:
                server.reboot(instance.uuid, hard=False, timeout=60)
                return
            except server.ServerError as error:
                LOG.warning("soft reboot failed, so hard: %s", error, instance=instance)
        server.stop(instance.uuid)
        self._refresh(instance, network_info, block_device_info)
        self._start(instance)

    def resume_state_on_host_boot(self, context: Any, instance: Any, network_info: Any, share_info: Any, block_device_info: Any = None) -> None:
        """Start a server that should run and does not."""
        self._start(instance)

    def get_console_output(self, context: Any, instance: Any) -> bytes:
        """The end of the console log."""
        return server.console(instance.uuid)[-CONSOLE_BYTES:]

    # --- disks and interfaces ---

    def default_root_device_name(self, instance: Any, image_meta: Any, root_bdm: Any) -> str:
        """As virtio."""
        return "/dev/vda"

    def attach_volume(
        self,
        context: Any,
        connection_info: Any,
        instance: Any,
        mountpoint: str,
        disk_bus: Any = None,
        device_type: Any = None,
        encryption: Any = None,
    ) -> None:
        """The device node appears in the guest at once."""
        volume = translate.volume(connection_info, mountpoint)
        present = record.read(server.directory_of(instance.uuid)).volumes
        others = tuple(v for v in present if v.volume_id != volume.volume_id)
        server.update(instance.uuid, volumes=(*others, volume))

    def detach_volume(self, context: Any, connection_info: Any, instance: Any, mountpoint: str, encryption: Any = None) -> None:
        """The device node goes."""
        if not server.exists(instance.uuid):
            return
        gone = translate.volume(connection_info, mountpoint).volume_id
        present = record.read(server.directory_of(instance.uuid)).volumes
        server.update(instance.uuid, volumes=tuple(v for v in present if v.volume_id != gone))

    def extend_volume(self, context: Any, connection_info: Any, instance: Any, requested_size: int) -> None:
        """Cinder has grown the file and told the loop device."""

    def attach_interface(self, context: Any, instance: Any, image_meta: Any, vif: Any) -> None:
        """A further interface in the running guest."""
        present = record.read(server.directory_of(instance.uuid)).nics
        others = tuple(n for n in present if n.port_id != vif["id"])
        server.update(instance.uuid, nics=(*others, *translate.nics([vif])))

    def detach_interface(self, context: Any, instance: Any, vif: Any) -> None:
        """Remove an interface."""
        present = record.read(server.directory_of(instance.uuid)).nics
        server.update(instance.uuid, nics=tuple(n for n in present if n.port_id != vif["id"]))

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Any) -> None:
        """Upload the server's own disk (what differs from its root file system) to Glance."""
        if not server.exists(instance.uuid):
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        made = record.read(server.directory_of(instance.uuid))
        archive = paths.STATE / "tmp" / f"{image_id}.tar"
        archive.parent.mkdir(exist_ok=True)
        try:
            snapshot.pack(server.directory_of(instance.uuid), archive)
            update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
            metadata = {
                "status": "active",
                "disk_format": "raw",
                "container_format": "bare",
                "properties": {"swarmlab_rootfs": made.image, "swarmlab_content": snapshot.CONTENT},
            }
            with archive.open("rb") as data:
                self._image_api.update(context, image_id, metadata, data, purge_props=False)
        finally:
            archive.unlink(missing_ok=True)

    def manage_image_cache(self, context: Any, all_instances: Any) -> None:
        """Root file systems are kept by the lab, not by Nova."""

    def plug_vifs(self, instance: Any, network_info: Any) -> None:
        """Interfaces are plugged at boot."""

    def unplug_vifs(self, instance: Any, network_info: Any) -> None:
        """Interfaces go with the boot they belong to."""

    def delete_instance_files(self, instance: Any) -> bool:
        """Remove what is left of a server."""
        server.destroy(instance.uuid)
        return True


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else str(data).encode()
