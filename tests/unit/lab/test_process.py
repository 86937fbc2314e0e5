"""swarmlab.process: with real processes, in a STATE directory of the test."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarmlab import paths, process
from swarmlab.errors import LabError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, path in {"STATE": tmp_path, "RUN": tmp_path / "run", "LOG": tmp_path / "log"}.items():
        monkeypatch.setattr(paths, name, path)
    yield tmp_path
    process.kill_all()


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_start_is_safe_to_repeat_and_stop_ends_it() -> None:
    service = process.Service("sleeper", SLEEP, None)

    assert process.start(service) is True
    pid = process.running("sleeper")
    assert pid is not None
    assert process.start(service) is False
    assert process.running("sleeper") == pid
    assert process.stop("sleeper") is True
    assert process.running("sleeper") is None
    assert process.stop("sleeper") is False


def test_what_was_just_started_runs() -> None:
    """Right after exec a program's environment, by which we know it, can't be read yet: 6 of 400 starts were taken for ended ones on a busy machine."""
    for number in range(100):
        service = process.Service(f"sleeper-{number}", ["sleep", "60"], None)
        process.start(service)
        assert process.running(service.name) is not None
        process.stop(service.name)


def test_a_service_is_found_again_without_its_pid_file(state: Path) -> None:
    process.start(process.Service("sleeper", SLEEP, None))
    pid = process.running("sleeper")
    (state / "run" / "sleeper.pid").unlink()

    assert process.running("sleeper") == pid


def test_a_pid_file_that_names_a_stranger_proves_nothing(state: Path) -> None:
    (state / "run").mkdir()
    (state / "run" / "sleeper.pid").write_text(f"{os.getpid()}\n")

    assert process.running("sleeper") is None


def test_kill_all_finds_children_that_left_their_session() -> None:
    child = f"import subprocess, time; subprocess.Popen({SLEEP!r}, start_new_session=True); time.sleep(60)"
    process.start(process.Service("parent", [sys.executable, "-c", child], None))
    assert _until(lambda: len(process.ours()) == 2)

    assert process.kill_all() == 2
    assert process.ours() == []


def test_stop_leaves_alone_what_has_a_session_of_its_own() -> None:
    child = f"import subprocess, time; subprocess.Popen({SLEEP!r}, start_new_session=True); time.sleep(60)"
    process.start(process.Service("parent", [sys.executable, "-c", child], None))
    assert _until(lambda: len(process.ours()) == 2)

    process.stop("parent")

    assert len(process.ours()) == 1


def test_a_process_without_marks_is_found_by_its_log(state: Path) -> None:
    (state / "log").mkdir()
    with (state / "log" / "x.log").open("w") as log:
        pid = os.posix_spawn(sys.executable, SLEEP, {}, file_actions=[(os.POSIX_SPAWN_DUP2, log.fileno(), 1)], setpgroup=0)
    try:
        assert process.ours() == [pid]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_end_of_a_service_that_fails_is_told_with_its_last_words() -> None:
    service = process.Service("failing", [sys.executable, "-c", "raise SystemExit('no such database')"], lambda: False)
    process.start(service)

    with pytest.raises(LabError, match="no such database"):
        process.wait_ready(service)


def test_another_lab_in_our_place_is_refused() -> None:
    with pytest.raises(LabError, match="answers in its place"):
        process.start(process.Service("taken", SLEEP, lambda: True))

    assert process.ours() == []
