"""The script that makes a disk this machine's own, run by a real shell in a directory that stands for the disk."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from swarm_operator.api.engine import EngineSpec
from swarm_operator.bootstrap import identity
from swarm_operator.bootstrap.cloud_init import render_user_data


class Disk:
    """Absolute paths of the script are moved below `root`; what it calls is noted in `calls`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        tools = root / "tools"
        tools.mkdir()
        for tool, also in (("systemctl", ""), ("systemd-machine-id-setup", f"echo new >{root}/etc/machine-id"), ("docker", "echo c1")):
            (tools / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >>{root}/calls\n{also}\n')
            (tools / tool).chmod(0o755)
        self.put("/etc/machine-id", "old")

    def put(self, path: str, text: str = "x") -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def has(self, path: str) -> bool:
        return (self.root / path.lstrip("/")).exists()

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def run(self, text: str, *arguments: str) -> None:
        """Every absolute path of the text below `root`: `"$DATA_ROOT/x"` and the like follow from those."""
        text = re.sub(r"(?<![\w$}])/(etc|usr/local|var)/", rf"{self.root}/\1/", text)
        environment = {**os.environ, "PATH": f"{self.root}/tools:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-c", text, "identity", *arguments], env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def boot(self, machine_uid: str, engine: EngineSpec | None = None) -> None:
        """As cloud-init and then the engine's unit do it."""
        self.run(identity.boot_command(machine_uid, engine or EngineSpec()))
        self.engine("data")
        self.engine("tasks")

    def engine(self, what: str) -> None:
        self.run(identity.SCRIPT, what)

    @property
    def calls(self) -> list[str]:
        return self.read("calls").splitlines() if self.has("calls") else []


SWARM = "/var/lib/docker/swarm/docker-state.json"
OLD = ("/etc/docker/tls/key.pem", "/etc/docker/key.json", "/etc/systemd/system/docker.service.d/50-swarmops.conf", "/usr/local/lib/swarmops/join.py")


def test_a_new_disk_is_marked_and_nothing_else_happens(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot("m1")
    assert disk.read(identity.DISK_MARK) == disk.read("/var/lib/docker/swarmops-machine-uid") == "m1"
    assert disk.read("/etc/machine-id") == "old", "the image's own first boot has made it"
    assert disk.calls == ["systemctl daemon-reload"]


def test_a_member_that_boots_again_keeps_everything(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot("m1")
    for path in (SWARM, *OLD):
        disk.put(path)
    for _ in range(2):
        disk.boot("m1")
    assert all(disk.has(path) for path in (SWARM, *OLD))
    assert disk.read("/etc/machine-id") == "old"
    assert set(disk.calls) == {"systemctl daemon-reload"}


def test_a_copy_loses_the_identity_of_its_source_and_keeps_the_rest(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot("m1")
    for path in (SWARM, *OLD, "/var/lib/docker/engine-id", "/var/lib/docker/overlay2/layer", "/etc/docker/daemon.json"):
        disk.put(path)
    disk.boot("m2")
    assert not any(disk.has(path) for path in (SWARM, *OLD, "/var/lib/docker/engine-id"))
    assert disk.has("/var/lib/docker/overlay2/layer") and disk.has("/etc/docker/daemon.json")
    assert disk.read("/etc/machine-id") == "new\n"
    assert disk.read(identity.DISK_MARK) == disk.read("/var/lib/docker/swarmops-machine-uid") == "m2"
    calls = disk.calls
    assert calls.index("systemctl stop docker.socket docker.service") < calls.index("systemd-machine-id-setup ")
    assert "docker rm --force --volumes c1" in calls, "containers of the old node's tasks"
    disk.put(SWARM)
    disk.boot("m2")
    assert disk.has(SWARM), "it has joined since"
    assert disk.calls.count("docker rm --force --volumes c1") == 1


def test_an_image_that_somebody_took_of_a_node_is_cleaned_as_well(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    for path in (SWARM, *OLD):
        disk.put(path)
    disk.boot("m2")
    assert not any(disk.has(path) for path in (SWARM, *OLD))


def test_a_data_volume_that_moves_brings_no_node_along(tmp_path: Path) -> None:
    """The operating system's disk is this machine's own, what is mounted at the data root was another's."""
    engine = EngineSpec(data_root="/var/data/docker")
    disk = Disk(tmp_path)
    disk.boot("m2", engine)
    for path in OLD:
        disk.put(path)
    disk.put("/var/data/docker/swarm/state.json")
    disk.put("/var/data/docker/swarmops-machine-uid", "m1")
    disk.engine("data")
    assert not disk.has("/var/data/docker/swarm") and all(disk.has(path) for path in OLD)
    assert disk.read("/var/data/docker/swarmops-machine-uid") == "m2"


def test_user_data_carries_it_before_anything_else() -> None:
    text = render_user_data(cluster_uid="c", machine_uid="m", hostname="h", engine=EngineSpec(data_root="/srv/d"), authorized_keys=(), join=None)
    config = yaml.safe_load(text)
    (command,) = config["bootcmd"]
    assert command == ["sh", "-c", identity.boot_command("m", EngineSpec(data_root="/srv/d"))]
    assert "MACHINE_UID=m\nDATA_ROOT=/srv/d\n" in command[2]
    assert config["runcmd"][0] == ["systemctl", "daemon-reload"]
