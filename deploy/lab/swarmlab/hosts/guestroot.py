"""The inside of a server at power-on: file systems, devices and control groups, then the guest's own systemd as PID 1.

Runs in the first process of the server's new namespaces; everything mounted here ends with that mount namespace.
What a container manager must provide to systemd is written down in systemd's CONTAINER_INTERFACE document.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

from swarmlab.hosts import kernel
from swarmlab.hosts.kernel import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT
from swarmlab.hosts.record import Server

CGROUP_ROOT = Path("/sys/fs/cgroup")

PLAIN_DIRECTORIES = ("var/lib/docker", "var/lib/containerd", "srv", "mnt")
"""Guest directories on a plain file system instead of the overlay: the engine's overlay2 does not stack on an overlay."""

DEVICES = {
    "null": (1, 3, 0o666), "zero": (1, 5, 0o666), "full": (1, 7, 0o666), "random": (1, 8, 0o666),
    "urandom": (1, 9, 0o666), "tty": (5, 0, 0o666), "fuse": (10, 229, 0o666),
}  # fmt: skip

HOST_ONLY_PROC = ("sysrq-trigger", "kcore", "kmsg")


def cgroup_controllers() -> list[str]:
    """Names of the control group hierarchies (v1) of this machine, ``name=systemd`` among them; empty on pure v2."""
    if (CGROUP_ROOT / "cgroup.controllers").exists():
        return []
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, _ = line.split(":", 2)
        if names:
            found.append(names)
    return found


def hierarchy_directory(controllers: str) -> Path:
    """Where a v1 hierarchy is mounted: ``memory`` or ``cpu,cpuacct``; ``name=systemd`` is at ``systemd``."""
    return CGROUP_ROOT / controllers.removeprefix("name=")


def mount_guest(server: Server, directory: Path, console: str) -> Path:
    """Mount everything of a server under ``directory/root`` and give that path.

    ``console`` is the path of the terminal (a pts of the root namespace) that becomes /dev/console.
    """
    kernel.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    root = directory / "root"
    disk = directory / "disk"
    kernel.mount(
        "overlay",
        root,
        "overlay",
        data=f"lowerdir={server.rootfs},upperdir={disk / 'upper'},workdir={disk / 'work'},index=off,metacopy=off",
    )
    for name in PLAIN_DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
        kernel.mount(str(plain_directory(directory, name)), root / name, flags=MS_BIND)
    _mount_dev(root, console)
    _mount_proc_and_sys(root)
    kernel.mount("tmpfs", root / "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=20%")
    _mount_cgroups(root)
    return root


def plain_directory(directory: Path, name: str) -> Path:
    """Where the content of one of PLAIN_DIRECTORIES is kept."""
    return directory / "disk" / name.replace("/", "-")


def _mount_dev(root: Path, console: str) -> None:
    dev = root / "dev"
    kernel.mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=4m")
    previous = os.umask(0)
    for name, (major, minor, mode) in DEVICES.items():
        os.mknod(dev / name, stat.S_IFCHR | mode, os.makedev(major, minor))
    (dev / "net").mkdir(0o755)
    os.mknod(dev / "net/tun", stat.S_IFCHR | 0o666, os.makedev(10, 200))
    os.umask(previous)
    for name in ("pts", "shm", "mqueue", "disk", "disk/by-id"):
        (dev / name).mkdir(0o755)
    kernel.mount("devpts", dev / "pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")
    kernel.mount("tmpfs", dev / "shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    (dev / "ptmx").symlink_to("pts/ptmx")
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(f"/proc/self/{target}")
    (dev / "console").touch()
    kernel.mount(console, dev / "console", flags=MS_BIND)


def _mount_proc_and_sys(root: Path) -> None:
    proc = root / "proc"
    kernel.mount("proc", proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    # Settings other than net.* belong to the one kernel that all servers and this machine share.
    kernel.mount(str(proc / "sys"), proc / "sys", flags=MS_BIND)
    kernel.mount(str(proc / "sys/net"), proc / "sys/net", flags=MS_BIND)
    read_only = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    kernel.mount("none", proc / "sys", flags=read_only)
    for name in HOST_ONLY_PROC:
        if (proc / name).exists():
            kernel.mount("/dev/null", proc / name, flags=MS_BIND)
    kernel.mount("sysfs", root / "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def _mount_cgroups(root: Path) -> None:
    base = root / "sys/fs/cgroup"
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    hierarchies = cgroup_controllers()
    if not hierarchies:
        kernel.mount("cgroup2", base, "cgroup2", flags)
        return
    kernel.mount("tmpfs", base, "tmpfs", flags, "mode=755")
    for controllers in hierarchies:
        place = base / controllers.removeprefix("name=")
        place.mkdir()
        # A named hierarchy has no controller: without "none" the kernel would look for all of them.
        data = f"none,{controllers}" if controllers.startswith("name=") else controllers
        kernel.mount("cgroup", place, "cgroup", flags, data)
        for alias in controllers.split(",") if "," in controllers else ():
            (base / alias).symlink_to(controllers)


def enter_cgroups(server: Server) -> None:
    """Put this process into the server's own control groups, made when absent, with the flavor's memory as a limit."""
    hierarchies = cgroup_controllers()
    if not hierarchies:
        group = CGROUP_ROOT / "swl" / server.uuid
        group.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            (group / "memory.max").write_text(str(server.memory_mb << 20))
        (group / "cgroup.procs").write_text("0")
        return
    for controllers in hierarchies:
        top = hierarchy_directory(controllers) / "swl"
        group = top / server.uuid
        for made in (top, group):
            made.mkdir(exist_ok=True)
            if "cpuset" in controllers.split(","):
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (made / name).write_text((made.parent / name).read_text())
        if "memory" in controllers.split(","):
            with contextlib.suppress(OSError):
                (group / "memory.limit_in_bytes").write_text(str(server.memory_mb << 20))
        (group / "cgroup.procs").write_text("0")


def drop_cgroups(uuid: str) -> None:
    """Remove a stopped server's control groups, deepest first."""
    tops = [hierarchy_directory(c) / "swl" for c in cgroup_controllers()] or [CGROUP_ROOT / "swl"]
    for top in tops:
        for path, _, _ in os.walk(top / uuid, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()
        with contextlib.suppress(OSError):
            top.rmdir()


def drop_all_cgroups() -> None:
    """Remove the control groups of all servers, whoever made them; their processes must have ended."""
    tops = [hierarchy_directory(c) / "swl" for c in cgroup_controllers()] or [CGROUP_ROOT / "swl"]
    for uuid in {entry.name for top in tops if top.is_dir() for entry in top.iterdir() if entry.is_dir()}:
        drop_cgroups(uuid)


def become_init(server: Server, directory: Path, console: str) -> None:
    """Turn this process, PID 1 of a new PID namespace, into the guest's init. Does not return."""
    root = mount_guest(server, directory, console)
    os.chdir(root)
    kernel.pivot_root(".", ".")
    kernel.umount(".", kernel.MNT_DETACH)
    os.chdir("/")
    socket.sethostname(server.hostname)
    environment = {
        "container": "swarmlab",
        "container_uuid": server.uuid,
        # cloud-init takes this in the environment of PID 1 for the DMI product name.
        "product_name": "OpenStack Nova",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": "dumb",
    }
    arguments = ["/sbin/init", "systemd.show_status=true", "systemd.log_color=false"]
    if cgroup_controllers():
        # systemd 256 and later boot on control groups v1 only when told so.
        force = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
        arguments += ["systemd.unified_cgroup_hierarchy=0", force]
        environment["SYSTEMD_PROC_CMDLINE"] = " ".join(arguments[1:])
    os.execve(arguments[0], arguments, environment)
