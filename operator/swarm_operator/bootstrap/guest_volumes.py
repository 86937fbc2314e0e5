"""What runs on a guest, as root, for a data volume: look, and set up. Python's standard library and the tools of util-linux, e2fsprogs and xfsprogs.

A file system is made only where blkid and wipefs both find nothing; both are asked again right before, under a lock. It is made with the volume's own UUID: by that it is
known as ours ever after, and fstab finds it, whatever the device is called after the next boot.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from swarm_operator.domain.volumes import GuestVolume, Mount

SET_UP_SECONDS: Final = 300.0
"""mkfs of a large volume discards its blocks first, which takes time on some storage."""


def look_argv(mounts: Sequence[Mount]) -> list[str]:
    """The command that answers with JSON for `parse_look`."""
    return ["python3", "-I", "-c", SCRIPT, "look", json.dumps([_told(m) for m in mounts])]


def set_up_argv(mount: Mount) -> list[str]:
    """The command that answers with JSON for `parse_set_up`."""
    return ["python3", "-I", "-c", SCRIPT, "set-up", json.dumps([_told(mount)])]


def parse_look(text: str) -> tuple[GuestVolume, ...]:
    """Raises ValueError where the text is not such an answer."""
    found = json.loads(text)
    return tuple(GuestVolume(str(v["volume_id"]), int(v["size_gib"]), str(v["refused"]), bool(v["ready"]), int(v["used_gib"])) for v in found)


def parse_set_up(text: str) -> tuple[str, str]:
    """(why it was refused, what failed), both "" where all is well. Raises ValueError where the text is not such an answer."""
    found: dict[str, Any] = json.loads(text)
    return str(found.get("refused") or ""), str(found.get("failed") or "")


def _told(mount: Mount) -> dict[str, Any]:
    return {
        "name": mount.name,
        "volume_id": mount.volume_id,
        "uid": mount.uid,
        "format": mount.format,
        "path": mount.path,
        "options": list(mount.options),
        "data_root": mount.data_root,
        "machine_uid": mount.machine_uid,
    }


SCRIPT: Final = r'''
import fcntl, json, os, re, stat, subprocess, sys

ROOT = ""
GIB = 1 << 30
SLACK = 512 << 20  # file systems may leave a little of the device unused; volumes grow by whole GiB
ENV = dict(os.environ, LC_ALL="C", PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


class Failed(Exception):
    pass


class Refused(Exception):
    pass


def run(argv, ok=(0,)):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, universal_newlines=True, env=ENV)
    if done.returncode not in ok:
        raise Failed("%s: %s" % (argv[0], (done.stderr or done.stdout).strip()[-300:] or "status %d" % done.returncode))
    return done.stdout


def read(path):
    try:
        with open(ROOT + path) as file:
            return file.read()
    except OSError:
        return ""


def device_of(volume_id):
    """virtio and SCSI disks carry the id, or its first 20 characters, as serial; where there is no udev the kernel tells it."""
    folder, short = ROOT + "/dev/disk/by-id", volume_id[:20]
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if short in name and "-part" not in name:
            return os.path.realpath(os.path.join(folder, name))
    for disk in sorted(os.listdir(ROOT + "/sys/block")) if os.path.isdir(ROOT + "/sys/block") else []:
        serial = (read("/sys/block/%s/serial" % disk) or read("/sys/block/%s/device/serial" % disk)).strip()
        if serial and serial in (short, volume_id):
            return ROOT + "/dev/" + disk
    return None


def signature(device):
    """(type, UUID) of what is there, ("", "") where blkid and wipefs both find nothing."""
    found = dict(line.split("=", 1) for line in run(["blkid", "-p", "-o", "export", device], ok=(0, 2, 8)).splitlines() if "=" in line)
    kind, uuid = found.get("TYPE") or found.get("PTTYPE") or "", found.get("UUID", "").replace("\\", "")
    more = [line for line in run(["wipefs", "-n", device]).splitlines() if line.strip()]
    if not kind and (more or found.get("USAGE")):
        kind = "a signature that blkid does not know"
    return kind, uuid.lower()


def mounts():
    """[(device number, mount point)] of whole file systems."""
    rows = [line.split(" ") for line in read("/proc/self/mountinfo").splitlines()]
    plain = lambda text: re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), text)
    return [(row[2], plain(row[4])) for row in rows if len(row) > 4 and row[3] == "/"]


def number(device):
    made = os.stat(device)
    return "%d:%d" % (os.major(made.st_rdev), os.minor(made.st_rdev)) if stat.S_ISBLK(made.st_mode) else device


def size_of(device):
    return int(run(["blockdev", "--getsize64", device]).strip() or 0)


def used_size(kind, device, path):
    """Bytes that the file system takes of the device."""
    if kind == "ext4":
        told = run(["dumpe2fs", "-h", device])
        count, block = re.search(r"Block count:\s*(\d+)", told), re.search(r"Block size:\s*(\d+)", told)
        return int(count.group(1)) * int(block.group(1)) if count and block else 0
    told = re.search(r"data\s+=\s*bsize=(\d+)\s+blocks=(\d+)", run(["xfs_info", path]))
    return int(told.group(1)) * int(told.group(2)) if told else 0


def fstab_line(wanted, kind, uuid):
    options = ",".join((wanted["options"] or ["defaults"]) + ["nofail", "x-systemd.before=docker.service", "x-swarmops.volume=" + wanted["name"]])
    return "UUID=%s %s %s %s 0 %d" % (uuid, wanted["path"], kind, options, 2 if kind == "ext4" else 0)


def of_engine(path):
    return DROP_IN.format(path=path)


DROP_IN_PATH = "/etc/systemd/system/docker.service.d/40-swarmops-volume.conf"
DROP_IN = "# Written by swarm-operator: without its data the engine does not start.\n[Unit]\nRequiresMountsFor={path}\n"


def judge(wanted):
    """What is there now: (device, size in bytes, type, UUID, why nothing may be written, whether it is mounted as wanted)."""
    device = device_of(wanted["volume_id"])
    if device is None or not os.path.exists(device):
        return None, 0, "", "", "", False
    size = size_of(device)
    kind, uuid = signature(device)
    path = wanted["path"]
    if path is None:
        return device, size, kind, uuid, "", True
    if wanted["format"] == "none" and not kind:
        return device, size, kind, uuid, "there is no file system on it to mount, and format is none", False
    if wanted["format"] != "none" and kind and (kind, uuid) != (wanted["format"], wanted["uid"]):
        why = "it holds %s%s, not the %s of ours with UUID %s: nothing is written" % (kind, " with UUID " + uuid if uuid else "", wanted["format"], wanted["uid"])
        return device, size, kind, uuid, why, False
    table = mounts()
    there = [device_number for device_number, point in table if point == path]
    here = number(device)
    if there and there[-1] != here:
        return device, size, kind, uuid, "something else is mounted at " + path, False
    lines = [line.split() for line in read("/etc/fstab").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if any(len(line) > 3 and line[1] == path and "x-swarmops.volume=" not in line[3] for line in lines):
        return device, size, kind, uuid, "/etc/fstab has an entry of its own for " + path, False
    done = bool(there) and bool(kind) and fstab_line(wanted, kind, uuid) in read("/etc/fstab").splitlines()
    if done and wanted["data_root"]:
        engine = subprocess.run(["systemctl", "is-active", "--quiet", "docker.service"], env=ENV).returncode == 0
        done = engine and read(DROP_IN_PATH) == of_engine(path) and read(os.path.join(wanted["data_root"], ".swarmops-machine")).strip() == wanted["machine_uid"]
    return device, size, kind, uuid, "", done


def write(path, text):
    os.makedirs(os.path.dirname(ROOT + path), exist_ok=True)
    with open(ROOT + path + ".swarmops", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(ROOT + path + ".swarmops", 0o644)
    os.replace(ROOT + path + ".swarmops", ROOT + path)


def note_in_fstab(wanted, kind, uuid):
    line, mark = fstab_line(wanted, kind, uuid), "x-swarmops.volume=" + wanted["name"]
    kept = [old for old in read("/etc/fstab").splitlines() if mark not in re.split(r"[\s,]+", old)]
    text = "\n".join(kept + [line]) + "\n"
    if text != read("/etc/fstab"):
        write("/etc/fstab", text)
        run(["systemctl", "daemon-reload"])


def take_over(wanted):
    """The engine's data came from another machine: what that engine knew of a swarm is put aside, never used and never removed."""
    root = wanted["data_root"]
    mark = os.path.join(root, ".swarmops-machine")
    before = read(mark).strip()
    if before != wanted["machine_uid"]:
        state = ROOT + os.path.join(root, "swarm")
        if os.path.isdir(state):
            aside = ROOT + os.path.join(root, "swarm-of-" + (before or "unknown"))
            while os.path.exists(aside):
                aside += "-again"
            os.rename(state, aside)
        write(mark, wanted["machine_uid"] + "\n")


def used(wanted, size, kind, device, ready):
    """Bytes of the device that are in use; what is too little to count is counted."""
    if not ready or wanted["format"] == "none":
        return size if ready else 0
    taken = used_size(kind, device, wanted["path"])
    return size if taken > size - SLACK else taken


def set_up(wanted):
    device, size, kind, uuid, refused, done = judge(wanted)
    if device is None:
        raise Failed("the device of volume %s does not show" % wanted["volume_id"])
    if refused:
        raise Refused(refused)
    if not done:
        kind = mount(wanted, device, kind, uuid)
    if used(wanted, size, kind, device, True) < size:
        run(["resize2fs", device] if kind == "ext4" else ["xfs_growfs", wanted["path"]])


def mount(wanted, device, kind, uuid):
    path = wanted["path"]
    if not kind:
        label = wanted["name"]
        if wanted["format"] == "ext4":
            run(["mkfs.ext4", "-q", "-U", wanted["uid"], "-L", label[:16], device])
        else:
            run(["mkfs.xfs", "-q", "-m", "uuid=" + wanted["uid"], "-L", label[:12], device])
        kind, uuid = wanted["format"], wanted["uid"]
    mounted = any(point == path for _, point in mounts())
    if wanted["data_root"]:
        run(["systemctl", "stop", "docker.socket", "docker.service"], ok=(0, 1, 5))
    os.makedirs(ROOT + path, exist_ok=True)
    note_in_fstab(wanted, kind, uuid)
    if not mounted:
        run(["mount", "-t", kind, "-o", ",".join(wanted["options"] or ["defaults"]), device, ROOT + path])
    if wanted["data_root"]:
        take_over(wanted)
        write(DROP_IN_PATH, of_engine(path))
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "start", "docker.service"])
    return kind


def main():
    todo = json.loads(sys.argv[2])
    if sys.argv[1] == "look":
        answer = []
        for wanted in todo:
            device, size, kind, uuid, refused, done = judge(wanted)
            taken = used(wanted, size, kind, device, done)
            answer.append({"volume_id": wanted["volume_id"], "size_gib": size // GIB, "refused": refused, "ready": done, "used_gib": taken // GIB})
        print(json.dumps(answer))
        return
    os.makedirs(ROOT + "/run", exist_ok=True)
    with open(ROOT + "/run/swarmops-volumes.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            set_up(todo[0])
            print("{}")
        except Refused as why:
            print(json.dumps({"refused": str(why)}))
        except (Failed, OSError) as why:
            print(json.dumps({"failed": str(why)}))


main()
'''
