"""What `kubectl swarm ssh` gives to ssh, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.api.parse import parse_cluster
from swarm_operator.cli.ssh import login_of
from swarm_operator.domain.errors import ExternalError
from unit.cli.fakes import CLUSTER, Call, FakeApi

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nplanted\n-----END OPENSSH PRIVATE KEY-----"
SPEC: dict[str, Any] = {"identityRef": {"secretName": "cloud"}, "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}}}
RECORDER = """#!/bin/sh
d=$(dirname "$2")
{ echo "args: $*"; stat -c '%a %n' "$d" "$d"/*; cat "$d/config" "$d/known_hosts" "$d/key"; } > "$RECORD"
[ -z "$SLEEP" ] || sleep "$SLEEP"
exit 7
"""


def cluster(**spec: Any) -> dict[str, Any]:
    """Two managers and a worker, all with pinned host keys."""
    worker, manager = CLUSTER["status"]["nodes"]
    nodes = [
        {**worker, "hostKeys": ["ssh-ed25519 WORKER"]},
        {**manager, "name": "m-1", "slot": 1, "floatingIP": "192.0.2.11", "phase": "Down", "hostKeys": ["ssh-ed25519 OTHER"]},
        {**manager, "hostKeys": ["ssh-ed25519 MANAGER", "ssh-rsa MANAGER2"]},
    ]
    return {**CLUSTER, "spec": {**SPEC, **spec}, "status": {**CLUSTER["status"], "nodes": nodes}}


def api(**spec: Any) -> FakeApi:
    found = FakeApi(cluster(**spec))
    found.secrets["main-ssh"] = {"ssh-privatekey": KEY}
    return found


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh that writes down what it was given and ends with status 7."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "ssh"
    script.write_text(RECORDER)
    script.chmod(0o755)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "record"


def test_a_worker_is_reached_through_a_manager_with_pinned_keys_only(record: Path, tmp_path: Path) -> None:
    call = Call("ssh", "w-0", "-t", "--", "uname", "-a", api=api())
    text = record.read_text()
    assert call.status == 7, "the status is that of ssh"
    assert text.splitlines()[0].endswith("-t w-0 uname -a")
    assert "Host w-0\n  HostName 10.0.0.3\n" in text and "ProxyJump m-0\n" in text and "Host m-0\n  HostName 192.0.2.10\n" in text, "the manager that is Ready"
    assert text.count("StrictHostKeyChecking yes") == 2 and text.count("GlobalKnownHostsFile /dev/null") == 2
    assert "w-0 ssh-ed25519 WORKER\nm-0 ssh-ed25519 MANAGER\nm-0 ssh-rsa MANAGER2\n" in text and "OTHER" not in text


def test_the_key_is_its_owners_only_and_gone_afterwards(record: Path, tmp_path: Path) -> None:
    Call("ssh", "m-0", api=api())
    text = record.read_text()
    modes = {line.split()[1].rsplit("/", 1)[-1]: line.split()[0] for line in text.splitlines() if line[:3].isdigit()}
    assert modes["key"] == "600" and next(mode for name, mode in modes.items() if name.startswith("kubectl-swarm-")) == "700"
    assert text.endswith(KEY.decode() + "\n") and KEY.decode() not in text.splitlines()[0], "by a file, never by the command line"
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_key_is_gone_also_when_a_signal_ends_us(record: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEEP", "30")
    code = "from unit.cli.fakes import Call; from unit.cli.test_ssh import api; Call('ssh', 'm-0', api=api())"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})
    until = time.monotonic() + 30
    while not record.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert list((tmp_path / "run").iterdir()), "it is there while ssh runs"
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert list((tmp_path / "run").iterdir()) == []


def test_without_floating_ips_all_are_reached_directly(record: Path) -> None:
    Call("ssh", "w-0", api=api(managers={"floatingIP": {"enabled": False}}, ssh={"user": "core", "port": 2222}))
    text = record.read_text()
    assert "HostName 10.0.0.3\n" in text and "ProxyJump" not in text and "User core\n" in text and "Port 2222\n" in text


def test_a_key_pair_of_the_users_own_is_read_from_its_secret(record: Path) -> None:
    found = api(ssh={"keyName": "mine", "privateKeySecretRef": {"name": "my-key"}})
    found.secrets["my-key"] = {"ssh-privatekey": b"my own"}
    Call("ssh", "m-0", api=found)
    assert record.read_text().endswith("my own\n")


def test_a_machine_whose_host_keys_are_not_known_is_refused(record: Path) -> None:
    with pytest.raises(ExternalError, match="no host keys of machine w-0 are pinned"):
        Call("ssh", "w-0", api=_without_keys("w-0"))
    with pytest.raises(ExternalError, match="no manager has a floating IP and pinned host keys"):
        Call("ssh", "w-0", api=_without_keys("m-0", "m-1"))
    assert not record.exists()


def test_a_manager_without_its_floating_ip_is_reached_through_another() -> None:
    found = cluster()
    found["status"]["nodes"][2] = {key: value for key, value in found["status"]["nodes"][2].items() if key != "floatingIP"}
    login = login_of(found, parse_cluster(found["spec"]), found["status"]["nodes"][2])
    assert login.address == "10.0.0.2" and login.through is not None and login.through.address == "192.0.2.11"


def test_a_command_is_for_ssh_only() -> None:
    with pytest.raises(SystemExit):
        Call("status", "--", "ls")


def _without_keys(*names: str) -> FakeApi:
    found = api()
    for node in found.objects[0]["status"]["nodes"]:
        if node["name"] in names:
            del node["hostKeys"]
    return found
