"""The script that changes an engine's settings on a guest, run here for real on a file of its own: the engine and systemd are stand-ins that note what they were asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from swarm_operator.bootstrap import guest_engine

GOOD, OTHER, BAD = ({"labels": ["a=b"]}, {"labels": ["c=d"]}, {"bad": True})

# One program for all tools. The engine takes any file but one with the word `bad`; with --validate where it is new enough.
TOOL = r"""#!/usr/bin/env python3
import os, sys
root = os.environ["FAKE_ROOT"]
name, args = os.path.basename(sys.argv[0]), sys.argv[1:]
with open(root + "/log", "a") as log:
    log.write(" ".join([name, *args[:2]]).replace(root, "") + "\n")
def has(what):
    return os.path.exists(root + "/" + what)
def bad(path):
    return "bad" in open(path).read()
if name == "dockerd":
    if not has("validates"):
        sys.stderr.write("unknown flag: --validate\nSee 'dockerd --help'.\n"); sys.exit(125)
    if bad(args[-1]):
        sys.stderr.write("unable to configure the Docker daemon: the following directives don't match any configuration option: bad\n"); sys.exit(1)
elif name == "systemctl" and args[0] == "restart":
    running = not bad(root + "/daemon.json") and not has("broken")
    open(root + "/running", "w").write("yes" if running else "")
    sys.exit(0 if running else 1)
elif name == "systemctl" and args[0] == "reload":
    if not bad(root + "/daemon.json"):
        open(root + "/reloaded", "w").close()
elif name == "docker" and args[0] == "version":
    sys.exit(0 if open(root + "/running").read() else 1)
elif name == "docker" and args[0] == "events" and has("reloaded"):
    print("reload")
elif name == "journalctl":
    print('time="x" level=info msg="failed over"\nfailed to start daemon: bad is no setting')
"""


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dockerd", "systemctl", "docker", "journalctl", "sleep"):
        path = tools / name
        path.write_text(TOOL)
        path.chmod(0o755)
    (tmp_path / "daemon.json").write_text(json.dumps(GOOD))
    (tmp_path / "running").write_text("yes")
    return tmp_path


def apply(guest: Path, how: str, settings: dict[str, object]) -> tuple[int, str]:
    """Exit status, and what the script says."""
    environment = {"PATH": f"{guest / 'bin'}:/usr/bin:/bin", "FAKE_ROOT": str(guest), "HOME": os.environ.get("HOME", "/")}
    command = list(guest_engine.argv(how, str(guest / "daemon.json")))
    done = subprocess.run(command, input=json.dumps(settings).encode(), capture_output=True, env=environment, timeout=60, check=False)
    return done.returncode, done.stdout.decode().strip()


def content(guest: Path) -> object:
    assert {p.name for p in guest.glob("daemon.json*")} == {"daemon.json"}, "nothing is left beside it"
    return json.loads((guest / "daemon.json").read_text())


def calls(guest: Path) -> list[str]:
    return [line for line in (guest / "log").read_text().splitlines() if line.startswith("systemctl re") and "reset-failed" not in line]


@pytest.mark.parametrize("how", ["reload", "restart"])
@pytest.mark.parametrize("validates", [False, True])
def test_settings_come_into_force(guest: Path, how: str, validates: bool) -> None:
    if validates:
        (guest / "validates").touch()
    assert apply(guest, how, OTHER) == (0, "")
    assert content(guest) == OTHER and calls(guest) == [f"systemctl {how} docker.service"]
    assert (guest / "daemon.json").stat().st_mode & 0o777 == 0o644
    assert apply(guest, how, OTHER)[0] == 0, "done again it is the same"


def test_a_check_writes_nothing(guest: Path) -> None:
    assert apply(guest, "check", OTHER) == (0, "") and apply(guest, "check", BAD) == (0, ""), "an old engine can't tell"
    (guest / "validates").touch()
    status, words = apply(guest, "check", BAD)
    assert status == guest_engine.REFUSED and words.endswith("don't match any configuration option: bad")
    assert content(guest) == GOOD and calls(guest) == []


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_what_an_engine_that_validates_refuses_is_not_tried(guest: Path, how: str) -> None:
    (guest / "validates").touch()
    status, words = apply(guest, how, BAD)
    assert status == guest_engine.REFUSED and "bad" in words
    assert content(guest) == GOOD and calls(guest) == []


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_an_engine_that_does_not_take_them_goes_on_with_the_former_file(guest: Path, how: str) -> None:
    status, words = apply(guest, how, BAD)
    assert (status, words) == (guest_engine.REFUSED, "failed to start daemon: bad is no setting")
    assert content(guest) == GOOD and calls(guest) == [f"systemctl {how} docker.service"] * 2
    assert (guest / "running").read_text() == "yes"


def test_an_engine_that_is_broken_anyway_is_told_apart(guest: Path) -> None:
    (guest / "broken").touch()
    status, words = apply(guest, "restart", OTHER)
    assert status == guest_engine.DOWN and words
    assert content(guest) == GOOD


def test_after_a_script_that_was_cut_short_the_good_file_is_still_known(guest: Path) -> None:
    (guest / "daemon.json.swarmops-former").write_text(json.dumps(GOOD))
    (guest / "daemon.json").write_text(json.dumps(BAD))
    assert apply(guest, "restart", BAD)[0] == guest_engine.REFUSED
    assert content(guest) == GOOD


def test_a_unit_without_reload_gets_the_signal(guest: Path) -> None:
    tool = guest / "bin" / "systemctl"
    tool.write_text(
        TOOL.replace(
            'elif name == "systemctl" and args[0] == "reload":',
            'elif name == "systemctl" and args[0] == "reload":\n    sys.exit(1)\nelif name == "systemctl" and args[0] == "kill":',
        )
    )
    assert apply(guest, "reload", OTHER) == (0, "")
    assert "systemctl kill --signal=HUP" in (guest / "log").read_text()
