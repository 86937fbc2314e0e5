"""The jobs of deploy/examples/volume-backup.yaml on a real engine: what is backed up comes back as it was, and a broken archive harms nothing."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.live_service import WEB, Running, until
from integration.private_engine import PrivateEngine, swarm_of

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "volume-backup.yaml"
APPLETS = "busybox --install -s /bin 2>/dev/null || true\n"
"""The image here is a bare busybox; that of the lab has its commands."""


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with swarm_of(PrivateEngine(), image="task:1") as engine:
        yield engine


def job(name: str, **env: str) -> dict[str, Any]:
    """The example's job, on this engine: its image, a local volume for the archives, and run at once."""
    found = next(d for d in yaml.safe_load_all(EXAMPLE.read_text()) if d["metadata"]["name"] == name)
    spec: dict[str, Any] = copy.deepcopy(found["spec"])
    for key in ("clusterRef", "placement", "schedule"):
        spec.pop(key, None)
    for mount in spec["mounts"]:
        mount.pop("volumeOptions", None)
    spec["env"] = [{**entry, "value": env.get(entry["name"], entry["value"])} for entry in spec["env"]]
    return {**spec, "image": "task:1", "args": [APPLETS + spec["args"][0]]}


def shell(engine: PrivateEngine, script: str) -> str:
    done = engine.docker("run", "--rm", "--network=none", "-v", "shop-data:/data", "-v", "backups:/backup", "task:1", "sh", "-ec", APPLETS + script)
    return done.stdout


def run(running: Running, spec: dict[str, Any], *, fails: bool = False) -> None:
    """Apply the job, wait until it has completed, or failed, and delete it."""
    running.apply(spec)
    if fails:
        until(lambda: bool(running.objects.resources[WEB].status.get("failingTasks")), 60, "a task that failed")
        assert running.condition("Ready")["status"] == "False"
    else:
        running.wait("Ready", "True", seconds=60)
        assert running.condition("Available")["reason"] == "JobCompleted"
    running.delete()
    until(lambda: running.session.swarm.inspect_service("web") is None, 20, "the job is gone")


CONTENT = "cd /data; find . -type f -exec md5sum {} + | sort; ls -ln | tail -n +2 | tr -s ' ' | cut -d' ' -f1,3,4,9"


def test_what_is_backed_up_comes_back_and_a_broken_archive_harms_nothing(engine: PrivateEngine, running: Running) -> None:
    shell(engine, "echo one > /data/a; mkdir /data/d; echo two > '/data/d/b c'; echo three > /data/.hidden; chown 5:6 /data/a; chmod 640 /data/a")
    before = shell(engine, CONTENT)
    for _ in range(3):
        run(running, job("shop-data-backup", KEEP="2"))
        time.sleep(1.1)  # archives are named by the second
    archives = shell(engine, "ls /backup").split()
    assert len(archives) == 2 and all(name.startswith("shop-data-") and name.endswith(".tgz") for name in archives), "the oldest has gone, no part is left"

    shell(engine, "rm -rf /data/a /data/.hidden; echo changed > '/data/d/b c'; echo new > /data/new")
    run(running, job("shop-data-restore"))
    assert shell(engine, CONTENT) == before

    shell(engine, "echo kept > /data/kept; head -c 100 /backup/" + archives[1] + " > /backup/broken.tgz")
    now = shell(engine, "cat /data/kept /data/a")
    run(running, job("shop-data-restore", ARCHIVE="broken.tgz"), fails=True)
    assert shell(engine, "cat /data/kept /data/a") == now and "tar:" in shell(engine, "tar -tzf /backup/broken.tgz 2>&1 || true")
    run(running, job("shop-data-restore", ARCHIVE=archives[0]))
    assert shell(engine, CONTENT) == before
