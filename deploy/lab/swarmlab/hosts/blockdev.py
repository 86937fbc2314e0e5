"""Volumes in a running guest: a backing file on a loop device, shown under the name that KVM's virtio disk would have."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

from swarmlab.hosts.kernel import run
from swarmlab.hosts.record import Volume

PARTITION_POLL_MS = 2000
"""How often a server with volumes looks for partitions that the guest has made (there is no udev in a guest)."""

SERIAL_CHARS = 20
"""virtio-blk serials carry the first 20 characters of the volume's id: /dev/disk/by-id/virtio-<serial>."""


def loop_device(path: str) -> str:
    """The loop device over a file, or an empty string."""
    return next(iter(run("losetup", "-n", "-O", "NAME", "-j", path).split()), "")


def ensure_loop(path: str) -> str:
    """The loop device over a file, made when there is none."""
    return loop_device(path) or run("losetup", "--partscan", "--show", "-f", path).strip()


def await_root(init: int, seconds: float = 10.0) -> None:
    """Wait until a guest's first process has a root of its own: before that its /dev is this machine's. Raises RuntimeError when it does not come to it."""
    own, deadline = Path("/").stat(), time.monotonic() + seconds
    while os.path.samestat(own, Path(f"/proc/{init}/root").stat()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {init} has no root of its own")
        time.sleep(0.01)


def attach(init: int, volume: Volume) -> None:
    """Make a volume's node appear in the guest whose PID 1 is ``init`` (a pid of the root namespace)."""
    await_root(init)
    loop = ensure_loop(volume.path)
    dev = Path(f"/proc/{init}/root/dev")
    _node(dev / Path(volume.device).name, Path(loop).stat().st_rdev)
    link = dev / "disk/by-id" / f"virtio-{volume.volume_id[:SERIAL_CHARS]}"
    with contextlib.suppress(FileExistsError):
        link.symlink_to(f"../../{Path(volume.device).name}")
    show_partitions(init, volume)


def show_partitions(init: int, volume: Volume) -> None:
    """Nodes for the partitions that the kernel knows on the volume's loop device, as udev would make them."""
    loop = loop_device_of_node(init, volume)
    if not loop:
        return
    dev = Path(f"/proc/{init}/root/dev")
    name = Path(volume.device).name
    for partition in Path(f"/sys/block/{loop}").glob(f"{loop}p*"):
        number = partition.name.removeprefix(f"{loop}p")
        major, minor = (partition / "dev").read_text().strip().split(":")
        _node(dev / f"{name}{number}", os.makedev(int(major), int(minor)))


def loop_device_of_node(init: int, volume: Volume) -> str:
    """Kernel name (``loop3``) behind a volume's node in the guest, or an empty string."""
    try:
        device = Path(f"/proc/{init}/root{volume.device}").stat().st_rdev
    except OSError:
        return ""
    link = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    return link.resolve().name if link.exists() else ""


def _node(path: Path, device: int) -> None:
    try:
        if path.stat().st_rdev == device:
            return
        path.unlink()
    except FileNotFoundError:
        pass
    os.mknod(path, stat.S_IFBLK | 0o660, device)


def detach(init: int, volume: Volume) -> None:
    """Take a volume's nodes out of the guest and release its loop device."""
    dev = Path(f"/proc/{init}/root/dev")
    name = Path(volume.device).name
    for path in [dev / "disk/by-id" / f"virtio-{volume.volume_id[:SERIAL_CHARS]}", *dev.glob(f"{name}*")]:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    release(volume)


def release(volume: Volume) -> None:
    """Detach the loop device over a volume's file. In use (still mounted), the kernel detaches it at the last close."""
    loop = loop_device(volume.path)
    if loop:
        run("losetup", "-d", loop, check=False)
