"""The copy of a manager's raft state, taken of real engines of two generations and verified by starting another one from it."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.kube import eventually
from integration.private_engine import ENGINES, PrivateEngine, PrivateWorker, engine_of, swarm_of
from swarm_operator.bootstrap import raft_log
from swarm_operator.bootstrap.raft_backup import RaftCopy, parse_copy, take_order
from swarm_operator.bootstrap.raft_program import SCRIPT

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and iproute2")


def take(engine: PrivateEngine, work: Path, name: str = "one", keys: tuple[str, ...] = ()) -> str:
    """What the program answers on this machine, its paths those of the engine under test."""
    directory = engine._dir
    script = SCRIPT.replace('"/var/lib/swarmops/backup"', repr(str(work))).replace('"/var/run/docker.sock"', repr(f"{directory}/docker.sock"))
    script = script.replace('"/var/run/docker.pid"', repr(f"{directory}/pid"))
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, "take"],
        input=take_order(name, f"{directory}/data", keys, verify=True),
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[PrivateEngine]:
    with swarm_of(engine_of(request.param), image="busybox:1") as started:
        started.docker("service", "create", "-q", "--detach", "--no-resolve-image", "--name", "calm", "--network", "host", "busybox:1")
        started.docker("secret", "create", "one", "-", data=b"1")
        started.docker("config", "create", "two", "-", data=b"2")
        started.docker("network", "create", "--driver", "overlay", "three")
        eventually(
            lambda: started.docker("service", "ps", "-f", "desired-state=running", "--format", "{{.CurrentState}}", "calm").stdout.startswith("Running"),
            within=60,
            what="a task",
        )
        yield started


def containers(engine: PrivateEngine) -> str:
    return engine.docker("ps", "--no-trunc", "--format", "{{.ID}} {{.State}}").stdout


def test_how_far_the_log_is_committed_is_read_from_the_disk_of_a_running_engine(engine: PrivateEngine) -> None:
    """An object's `Version.Index` is where the log stood when it was written: what is read is never behind it, and grows with each change."""

    def read() -> int:
        done = subprocess.run(raft_log.argv(f"{engine._dir}/data"), capture_output=True, text=True, check=False)
        index = raft_log.parse(done.returncode, done.stdout)
        assert index is not None, done.stderr
        return index

    before = read()
    names = [f"log-{n}" for n in range(5)]
    for name in names:
        engine.docker("config", "create", name, "-", data=b"x")
    newest = int(engine.docker("config", "inspect", "--format", "{{.Version.Index}}", names[-1]).stdout)
    # The log on the disk tells of a commit with the entry that follows it.
    engine.docker("config", "rm", *names)
    assert before + len(names) - 1 <= newest < read()


def test_a_copy_is_taken_of_a_running_engine_and_another_engine_starts_from_it(engine: PrivateEngine, tmp_path: Path) -> None:
    before = containers(engine)
    copy: RaftCopy = parse_copy(take(engine, tmp_path))
    assert dict(copy.counts) == {"nodes": 1, "services": 1, "secrets": 1, "configs": 1, "networks": 2} and copy.verified and not copy.locked
    assert before and containers(engine) == before, "no task was stopped"
    with tarfile.open(copy.archive) as tar:
        names = tar.getnames()
    assert "swarm/docker-state.json" in names and not [n for n in names if "worker" in n or n.endswith(".tmp")]
    assert not (tmp_path / "one" / "scratch").exists() and not (tmp_path / "one" / "swarm").exists()
    # The same name again is the same copy.
    assert parse_copy(take(engine, tmp_path)) == copy
    assert parse_copy(take(engine, tmp_path, "two")).archive != copy.archive and not Path(copy.archive).exists()


def test_a_copy_that_no_engine_starts_from_is_none(engine: PrivateEngine, tmp_path: Path) -> None:
    """The log is cut in the middle of the first entries; the engine says so and the copy is refused. The live engine runs on."""
    torn = ('    took = copy(order["data_root"] + "/swarm"', '    took = broken(order["data_root"] + "/swarm"')
    script = torn[1]
    breaker = (
        "def take(order):",
        "def broken(source, target, limit):\n"
        "    took = copy(source, target, limit)\n"
        "    for name in files(target):\n"
        "        if name.endswith('.wal'):\n"
        "            with open(os.path.join(target, name), 'r+b') as wal:\n"
        "                wal.seek(100); wal.write(b'\\xff' * 2000)\n"
        "    return took\n\n\ndef take(order):",
    )
    assert torn[0] in SCRIPT and breaker[0] in SCRIPT and script
    damaged = SCRIPT.replace(*torn).replace(*breaker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.SCRIPT", damaged)
        text = take(engine, tmp_path)
    with pytest.raises(ValueError, match=r"."):
        parse_copy(text)
    assert "failed" in json.loads(text.splitlines()[-1]) and engine.docker("node", "ls").returncode == 0
    assert not (tmp_path / "one" / "result.json").exists()


def test_the_engine_runs_on_where_the_program_is_killed_while_it_is_frozen(engine: PrivateEngine, tmp_path: Path) -> None:
    dying: Any = (
        "        for name in files(source):\n            copy_file",
        "        os.kill(os.getpid(), 9)\n        for name in files(source):\n            copy_file",
    )
    assert dying[0] in SCRIPT
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.SCRIPT", SCRIPT.replace(*dying))
        with pytest.raises(AssertionError):
            take(engine, tmp_path)
    eventually(lambda: engine.docker("node", "ls", check=False).returncode == 0, within=60, what="the engine answers again")
    assert parse_copy(take(engine, tmp_path)).verified


def test_a_locked_manager_is_copied_without_being_restarted(engine: PrivateEngine, tmp_path: Path) -> None:
    key = next(line.strip() for line in engine.docker("swarm", "update", "--autolock=true").stdout.splitlines() if "SWMKEY" in line)
    try:
        eventually(lambda: engine.kek_version() is not None, within=30, what="the key file is encrypted")
        copy = parse_copy(take(engine, tmp_path, keys=("SWMKEY-1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", key)))
        assert copy.locked and copy.verified and copy.counts["secrets"] == 1
        with pytest.raises(ValueError, match="none of the 1 unlock keys"):
            parse_copy(take(engine, tmp_path, "other", ("SWMKEY-1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",)))
    finally:
        engine.docker("swarm", "update", "--autolock=false")
        eventually(lambda: engine.kek_version() is None, within=30, what="the key file is open again")


def test_a_copy_of_one_of_several_managers_is_made_anew_without_the_others(engine: PrivateEngine, tmp_path: Path) -> None:
    worker = PrivateWorker(root=engine._root)
    try:
        node = worker.join(engine)
        engine.docker("node", "promote", node)
        eventually(lambda: worker.docker("node", "ls", check=False).returncode == 0, within=60, what="two managers")
        copy = parse_copy(take(worker, tmp_path))
        assert copy.counts["nodes"] == 2 and copy.counts["services"] == 1 and copy.verified
        assert engine.docker("node", "ls", "--format", "{{.ManagerStatus}}").stdout.split() in (["Leader", "Reachable"], ["Reachable", "Leader"])
        engine.docker("node", "demote", node)
        eventually(lambda: "Reachable" not in engine.docker("node", "ls", "--format", "{{.ManagerStatus}}").stdout, within=60, what="one manager")
    finally:
        worker.stop()
