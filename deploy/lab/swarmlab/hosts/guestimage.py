"""The root file systems that the lab's servers boot from: built once with debootstrap, kept under the cache directory.

A root file system is a plain directory tree; every server mounts it read-only as the lower layer of an overlay.
The mirror is whatever apt on this machine uses (its sources, keyring and ``Acquire::`` settings are read at run time),
and nothing of it stays in the image.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

LAB = Path(__file__).resolve().parents[2]
GUEST = LAB / "guest"
APT_ETC = Path("/etc/apt")
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

SUITES = {"debian-12-docker": "bookworm", "debian-13-docker": "trixie"}
"""Glance image name -> Debian suite. bookworm carries engine 20.10, trixie 26.1."""

RECIPE = 1
"""Raise when the steps of the build change what comes out."""

Progress = Callable[[str], None]

# Units of a full Debian that make no sense for a host made of namespaces (no devices, no consoles, no upgrades).
MASKED_UNITS = [
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-udev-settle.service",
    "systemd-modules-load.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "console-getty.service",
    "getty@.service",
    "getty.target",
    "serial-getty@.service",
    "container-getty@.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-firstboot.service",
    "cloud-init-hotplugd.socket",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-journald-audit.socket",
    "ua-auto-attach.service",
    "xfs_scrub_all.timer",
]


class ImageError(Exception):
    """The root file system could not be built; the text says which command failed and where its output is."""


@dataclass(frozen=True)
class AptSource:
    """One ``deb`` source of this machine: ``uri`` serves ``suites`` x ``components``; ``signed_by`` is a path or empty."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def parse_deb822(text: str) -> list[AptSource]:
    """Sources of a deb822 ``.sources`` file (sources.list(5)); stanzas that are disabled or not ``deb`` are left out."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                fields[key] += " " + line.strip()
                continue
            key, _, value = line.partition(":")
            key = key.strip().lower()
            fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            found.append(
                AptSource(
                    uri,
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    fields.get("signed-by", ""),
                )
            )
    return found


def parse_one_line(text: str) -> list[AptSource]:
    """Sources of a classic one-line ``sources.list`` (sources.list(5)); only ``deb`` lines."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<opts>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<rest>[^#]*)", line)
        if match is None:
            continue
        options = dict(o.partition("=")[::2] for o in (match["opts"] or "").split())
        found.append(AptSource(match["uri"], (match["suite"],), tuple(match["rest"].split()), options.get("signed-by", "")))
    return found


def apt_sources(etc: Path = APT_ETC) -> list[AptSource]:
    """All ``deb`` sources of this machine."""
    found: list[AptSource] = []
    with contextlib.suppress(FileNotFoundError):
        found += parse_one_line((etc / "sources.list").read_text())
    for path in sorted((etc / "sources.list.d").glob("*")):
        if path.suffix == ".sources":
            found += parse_deb822(path.read_text())
        elif path.suffix == ".list":
            found += parse_one_line(path.read_text())
    return found


def debian_sources(sources: list[AptSource], suite: str) -> list[AptSource]:
    """The Debian archives among ``sources``, re-pointed at ``suite``: the main one first, then updates and security.

    A suite ``X-updates`` or ``X-security`` of this machine becomes ``suite-updates`` or ``suite-security``.
    Raises ImageError when this machine has no Debian main archive.
    """
    main: list[AptSource] = []
    extra: list[AptSource] = []
    for source in sources:
        if "main" not in source.components:
            continue
        for name in source.suites:
            base, _, pocket = name.partition("-")
            if base not in ("bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing"):
                continue
            if pocket in ("updates", "security"):
                extra.append(AptSource(source.uri, (f"{suite}-{pocket}",), ("main",), source.signed_by))
            elif not pocket:
                main.append(AptSource(source.uri, (suite,), ("main",), source.signed_by))
    if not main:
        raise ImageError("no Debian main archive among apt's sources of this machine (/etc/apt/sources.list*)")
    return main[:1] + extra


def acquire_settings(dump: str) -> list[str]:
    """The ``Acquire::`` settings of ``apt-config dump`` that decide how to reach a mirror (proxy, dates, TLS)."""
    wanted = re.compile(r"^Acquire::(http|https|Check-Valid-Until|Check-Date|Retries|ForceIPv4|ForceIPv6)\b.* \".+\";$")
    return [line for line in dump.splitlines() if wanted.match(line)]


def recipe_hash(suite: str) -> str:
    """Changes when the image must be built again: suite, RECIPE, masked units, package list and the files put in."""
    digest = hashlib.sha256(f"{RECIPE} {suite} {' '.join(MASKED_UNITS)}".encode())
    for path in sorted(p for p in GUEST.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(LAB)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass
class _Build:
    root: Path
    log: Path
    env: dict[str, str] = field(default_factory=lambda: {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})

    def run(self, *argv: str, chroot: bool = False) -> None:
        command = ["chroot", str(self.root), *argv] if chroot else list(argv)
        with self.log.open("ab") as out:
            out.write(("+ " + " ".join(command) + "\n").encode())
            out.flush()
            done = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self.env, check=False)
        if done.returncode:
            raise ImageError(f"`{' '.join(argv[:4])} ...` failed with {done.returncode}; output in {self.log}")


def rootfs_dir(cache: Path, image: str) -> Path:
    """Where the root file system of Glance image ``image`` lives."""
    return cache / "images" / image / "rootfs"


def is_built(cache: Path, image: str) -> bool:
    """Whether the cached root file system matches the present recipe."""
    stamp = rootfs_dir(cache, image).parent / "stamp"
    return stamp.exists() and stamp.read_text().strip() == recipe_hash(SUITES[image])


def ensure(cache: Path, progress: Progress = print, image: str = "debian-12-docker") -> Path:
    """The root file system of ``image``, built when it is absent or its recipe has changed (about 3 minutes).

    Safe to call at the same time from several processes. Raises ImageError; a half-built tree is never left in place.
    """
    suite = SUITES[image]
    rootfs = rootfs_dir(cache, image)
    rootfs.parent.mkdir(parents=True, exist_ok=True)
    with (rootfs.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built(cache, image):
            return rootfs
        started = time.monotonic()
        recipe = recipe_hash(suite)
        progress(f"guest image {image}: building from {suite} (once; about 3 minutes)")
        building = rootfs.parent / "building"
        _remove_tree(building)
        build = _Build(building, rootfs.parent / "build.log")
        build.log.unlink(missing_ok=True)
        _build(build, suite)
        _remove_tree(rootfs)
        building.rename(rootfs)
        (rootfs.parent / "stamp").write_text(recipe)
        progress(f"guest image {image}: ready after {time.monotonic() - started:.0f} s")
    return rootfs


def _remove_tree(path: Path) -> None:
    with Path("/proc/self/mountinfo").open() as mounts:
        inside = [m.split()[4] for m in mounts if m.split()[4].startswith(f"{path}/")]
    for mount in reversed(inside):
        subprocess.run(["umount", "-l", mount], check=True)
    if path.exists():
        shutil.rmtree(path)


@contextlib.contextmanager
def _chroot_ready(build: _Build) -> Iterator[None]:
    """proc, a null device and name resolution for the package scripts; no service may start in a chroot."""
    root = build.root
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    build.run("mount", "-t", "proc", "proc", str(root / "proc"))
    for name in ("resolv.conf", "hosts"):
        if Path("/etc", name).exists():
            (root / "etc" / name).write_bytes(Path("/etc", name).read_bytes())
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(root / "proc")], check=False)
        policy.unlink(missing_ok=True)
        for name in ("resolv.conf", "hosts"):
            (root / "etc" / name).unlink(missing_ok=True)


def _build(build: _Build, suite: str) -> None:
    root = build.root
    sources = debian_sources(apt_sources(), suite)
    keyring = sources[0].signed_by or str(DEBIAN_KEYRING)
    # A keyring of an older release may not carry the newer suite's key: then Debian's full ring serves.
    if not Path(keyring).exists():
        keyring = str(DEBIAN_KEYRING)
    build.run("debootstrap", "--variant=minbase", f"--keyring={keyring}", suite, str(root), sources[0].uri)
    (root / "etc/apt/sources.list").write_text("".join(f"deb {s.uri} {' '.join(s.suites)} {' '.join(s.components)}\n" for s in sources))
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    settings = root / "etc/apt/apt.conf.d/00swl"
    settings.write_text("\n".join([*acquire_settings(dump), 'APT::Install-Recommends "false";', ""]))
    # Documents and man pages are a third of the size; the copyright files stay.
    (root / "etc/dpkg/dpkg.cfg.d/swl").write_text("path-exclude=/usr/share/man/*\npath-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n")
    packages = (GUEST / "packages.txt").read_text().split()
    with _chroot_ready(build):
        # With debootstrap --include cloud-init's configuration fails silently and no module runs: hence two steps.
        build.run("apt-get", "update", chroot=True)
        if suite != "bookworm":
            # From trixie on the docker client is a package of its own.
            packages.append("docker-cli")
        build.run("apt-get", "install", "-y", *packages, chroot=True)
        build.run("apt-get", "clean", chroot=True)
    shutil.copytree(GUEST / "rootfs", root, dirs_exist_ok=True)
    for unit in MASKED_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    # There is no DHCP in the lab; with a client present cloud-init would wait a minute for an offer at every first boot.
    for client in ("dhclient", "dhcpcd"):
        (root / "usr/sbin" / client).unlink(missing_ok=True)
    build.run("sh", "-c", "echo 'LANG=C.UTF-8' > /etc/default/locale", chroot=True)
    build.run("ln", "-sf", "/lib/systemd/system/multi-user.target", "/etc/systemd/system/default.target", chroot=True)
    _forget(root)


def _forget(root: Path) -> None:
    """What must differ per server (host keys, machine id) and what names the mirror does not stay in the image."""
    for pattern in (
        "etc/ssh/ssh_host_*", "var/lib/apt/lists/*", "var/cache/apt/*", "var/log/*.log", "var/log/apt",
        "etc/apt/apt.conf.d/00swl", "etc/dpkg/dpkg.cfg.d/swl", "etc/hostname", "var/lib/dbus/machine-id",
        "etc/apt/sources.list", "etc/apt/sources.list.d/*",
    ):  # fmt: skip
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").write_text("# no name server in the lab\n")
    (root / "etc/apt/sources.list").write_text("# no package mirror in the lab\n")
