"""The script that runs on guests, run here for real in a directory of its own: the tools that need root are stand-ins that note what they were asked."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.bootstrap import guest_volumes
from swarm_operator.domain.volumes import GuestVolume, Mount

ID = "0f3b2c4d-1111-2222-3333-444455556666"
UID = "aaaaaaaa-0000-5000-8000-bbbbbbbbbbbb"
MOUNT = Mount("data", ID, UID, "ext4", "/data", ("noatime",))
GIB = 1 << 30

# One program for all tools: it keeps the disk's state in files beside the disk.
TOOL = r"""#!/usr/bin/env python3
import json, os, sys
root = os.environ["FAKE_ROOT"]
name, args = os.path.basename(sys.argv[0]), sys.argv[1:]
state = json.load(open(root + "/state"))
with open(root + "/log", "a") as log:
    log.write(" ".join([name, *args]).replace(root, "") + "\n")
def save():
    json.dump(state, open(root + "/state", "w"))
if name in state["fail"]:
    sys.stderr.write("it went wrong\n"); sys.exit(1)
if name == "blkid":
    if not state["type"]:
        sys.exit(2)
    print("TYPE=%s\nUUID=%s" % (state["type"], state["uuid"])) if state["type"] != "gpt" else print("PTTYPE=gpt")
elif name == "wipefs":
    if state["type"] or state["odd"]:
        print("DEVICE OFFSET TYPE UUID LABEL\nvdb 0x0 odd")
elif name == "blockdev":
    print(state["size"])
elif name in ("mkfs.ext4", "mkfs.xfs"):
    state.update(type=name[5:], uuid=args[args.index("-U") + 1] if "-U" in args else args[args.index("-m") + 1][5:], fs=state["size"]); save()
elif name == "dumpe2fs":
    print("Block count:  %d\nBlock size: 4096" % (state["fs"] // 4096))
elif name == "xfs_info":
    print("data     =             bsize=4096   blocks=%d, imaxpct=25" % (state["fs"] // 4096))
elif name in ("resize2fs", "xfs_growfs"):
    state["fs"] = state["size"]; save()
elif name == "mount":
    with open(root + "/proc/self/mountinfo", "a") as table:
        table.write("36 35 %s / %s rw shared:1 - ext4 x rw\n" % (args[-2], args[-1].replace(root, "")))
elif name == "systemctl" and args[0] == "stop":
    state["engine"] = False; save()
elif name == "systemctl" and args[0] == "start":
    state["engine"] = True; save()
elif name == "systemctl" and args[0] == "is-active":
    sys.exit(0 if state["engine"] else 3)
"""


class FakeGuest:
    """A guest's root directory with one disk."""

    def __init__(self, root: Path, **state: Any) -> None:
        self.root = root
        for folder in ("dev/disk/by-id", "sys/block", "proc/self", "etc", "bin"):
            (root / folder).mkdir(parents=True)
        (root / "dev/vdb").touch()
        (root / f"dev/disk/by-id/virtio-{ID[:20]}").symlink_to("../../vdb")
        (root / "proc/self/mountinfo").write_text("21 1 254:1 / / rw - ext4 /dev/vda1 rw\n")
        (root / "etc/fstab").write_text("# the image's own\nUUID=root / ext4 defaults 0 1\n")
        for tool in ["blkid", "wipefs", "blockdev", "mkfs.ext4", "mkfs.xfs", "dumpe2fs", "xfs_info", "resize2fs", "xfs_growfs", "mount", "systemctl"]:
            (root / "bin" / tool).write_text(TOOL)
            (root / "bin" / tool).chmod(0o755)
        self.set(type="", uuid="", odd=False, size=10 * GIB, fs=0, engine=True, fail=[], **state)

    def set(self, **changes: Any) -> None:
        path = self.root / "state"
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))

    def log(self) -> list[str]:
        return (self.root / "log").read_text().splitlines() if (self.root / "log").exists() else []

    def wrote(self) -> list[str]:
        """Commands that change something."""
        return [line for line in self.log() if line.split()[0] not in ("blkid", "wipefs", "blockdev", "dumpe2fs", "xfs_info") and "is-active" not in line]

    def fstab(self) -> list[str]:
        return (self.root / "etc/fstab").read_text().splitlines()[2:]

    def _run(self, argv: list[str]) -> str:
        script = argv[3].replace('ROOT = ""', f"ROOT = {str(self.root)!r}").replace('PATH="/usr/local/sbin:', f'PATH="{self.root}/bin:/usr/local/sbin:')
        assert script != argv[3]
        env = {**os.environ, "FAKE_ROOT": str(self.root)}
        return subprocess.run([sys.executable, *argv[1:3], script, *argv[4:]], env=env, capture_output=True, text=True, check=True, timeout=60).stdout

    def look(self, mount: Mount = MOUNT) -> GuestVolume:
        (found,) = guest_volumes.parse_look(self._run(guest_volumes.look_argv([mount])))
        return found

    def set_up(self, mount: Mount = MOUNT) -> tuple[str, str]:
        return guest_volumes.parse_set_up(self._run(guest_volumes.set_up_argv(mount)))


@pytest.fixture
def guest(tmp_path: Path) -> FakeGuest:
    return FakeGuest(tmp_path)


def test_a_blank_disk_is_formatted_mounted_and_noted_once(guest: FakeGuest) -> None:
    assert guest.look() == GuestVolume(ID, 10, "", False)
    assert guest.wrote() == [], "looking writes nothing"
    assert guest.set_up() == ("", "")
    assert guest.wrote() == [
        f"mkfs.ext4 -q -U {UID} -L data /dev/vdb",
        "systemctl daemon-reload",
        "mount -t ext4 -o noatime /dev/vdb /data",
    ]
    assert guest.fstab() == [f"UUID={UID} /data ext4 noatime,nofail,x-systemd.before=docker.service,x-swarmops.volume=data 0 2"]
    assert guest.look() == GuestVolume(ID, 10, "", True, 10)
    before = guest.wrote()
    assert guest.set_up() == ("", "") and guest.wrote() == before, "done twice it does nothing more"


def test_xfs(guest: FakeGuest) -> None:
    mount = Mount("a-name-of-many-letters", ID, UID, "xfs", "/data")
    assert guest.set_up(mount) == ("", "")
    assert f"mkfs.xfs -q -m uuid={UID} -L a-name-of-ma /dev/vdb" in guest.wrote()
    assert guest.fstab() == [f"UUID={UID} /data xfs defaults,nofail,x-systemd.before=docker.service,x-swarmops.volume=a-name-of-many-letters 0 0"]
    assert guest.look(mount).ready


@pytest.mark.parametrize(
    "state", [{"type": "ntfs", "uuid": "1"}, {"type": "ext4", "uuid": "of-somebody-else"}, {"type": "xfs", "uuid": UID}, {"type": "gpt"}, {"odd": True}]
)
def test_what_is_there_is_never_written_over(guest: FakeGuest, state: dict[str, Any]) -> None:
    guest.set(**state)
    assert "nothing is written" in guest.look().refused
    refused, failed = guest.set_up()
    assert "nothing is written" in refused and not failed
    assert guest.wrote() == [] and guest.fstab() == []


def test_ours_is_mounted_as_it_is(guest: FakeGuest) -> None:
    guest.set(type="ext4", uuid=UID, fs=10 * GIB)
    assert guest.set_up() == ("", "")
    assert not any("mkfs" in line for line in guest.wrote())
    assert guest.look().ready


def test_a_volume_that_has_grown(guest: FakeGuest) -> None:
    guest.set_up()
    guest.set(size=15 * GIB)
    assert guest.look() == GuestVolume(ID, 15, "", True, 10)
    assert guest.set_up() == ("", "")
    assert guest.wrote()[-1] == "resize2fs /dev/vdb"
    assert guest.look() == GuestVolume(ID, 15, "", True, 15)


def test_one_that_can_not_be_grown_stays_in_use(guest: FakeGuest) -> None:
    guest.set_up()
    guest.set(size=15 * GIB, fail=["resize2fs"])
    assert guest.set_up() == ("", "resize2fs: it went wrong")
    assert guest.look() == GuestVolume(ID, 15, "", True, 10)


def test_no_device_yet(guest: FakeGuest) -> None:
    (guest.root / f"dev/disk/by-id/virtio-{ID[:20]}").unlink()
    assert guest.look() == GuestVolume(ID)
    assert guest.set_up()[1].startswith("the device of volume")
    (guest.root / "sys/block/vdb").mkdir()
    (guest.root / "sys/block/vdb/serial").write_text(ID[:20])
    assert guest.look().size_gib == 10, "without udev the kernel tells the serial"


def test_something_else_at_the_path(guest: FakeGuest) -> None:
    with (guest.root / "proc/self/mountinfo").open("a") as table:
        table.write("40 21 0:30 / /data rw - tmpfs tmpfs rw\n")
    assert guest.look().refused == "something else is mounted at /data"
    assert guest.set_up()[0] and guest.wrote() == []


def test_the_image_has_an_entry_of_its_own(guest: FakeGuest) -> None:
    with (guest.root / "etc/fstab").open("a") as table:
        table.write("LABEL=x /data ext4 defaults 0 2\n")
    assert "entry of its own" in guest.set_up()[0] and guest.wrote() == []


def test_without_format_what_is_there_is_mounted(guest: FakeGuest) -> None:
    mount = Mount("data", ID, UID, "none", "/data")
    assert "format is none" in guest.set_up(mount)[0]
    guest.set(type="xfs", uuid="theirs")
    assert guest.set_up(mount) == ("", "")
    assert guest.wrote()[-1] == "mount -t xfs -o defaults /dev/vdb /data" and guest.look(mount).ready
    raw = Mount("raw", ID, UID, "none")
    assert guest.look(raw).ready, "attached is all there is to it"


def test_a_failing_tool_is_told_and_tried_again(guest: FakeGuest) -> None:
    guest.set(fail=["mount"])
    assert guest.set_up() == ("", "mount: it went wrong")
    guest.set(fail=[])
    assert guest.set_up() == ("", "")
    assert sum("mkfs" in line for line in guest.log()) == 1


def test_data_of_the_engine(guest: FakeGuest) -> None:
    """The engine is stopped before and started after; what the engine of another machine knew of a swarm is put aside."""
    mount = Mount("docker", ID, UID, "ext4", "/var/lib/docker", (), "/var/lib/docker", "machine-2")
    root = guest.root / "var/lib/docker"
    (root / "swarm").mkdir(parents=True)
    (root / "swarm/state.json").write_text("{}")
    (root / "volumes").mkdir()
    (root / ".swarmops-machine").write_text("machine-1\n")
    assert guest.set_up(mount) == ("", "")
    commands = guest.wrote()
    assert commands.index("systemctl stop docker.socket docker.service") < commands.index("mount -t ext4 -o defaults /dev/vdb /var/lib/docker")
    assert commands[-1] == "systemctl start docker.service"
    assert (root / "swarm-of-machine-1/state.json").exists() and not (root / "swarm").exists() and (root / "volumes").exists()
    assert (root / ".swarmops-machine").read_text() == "machine-2\n"
    drop_in = guest.root / "etc/systemd/system/docker.service.d/40-swarmops-volume.conf"
    assert "RequiresMountsFor=/var/lib/docker\n" in drop_in.read_text() and stat.S_IMODE(drop_in.stat().st_mode) == 0o644
    assert guest.look(mount).ready
    (root / "swarm").mkdir()
    guest.set(engine=False)
    assert not guest.look(mount).ready
    assert guest.set_up(mount) == ("", "") and (root / "swarm").exists(), "its own state stays"
