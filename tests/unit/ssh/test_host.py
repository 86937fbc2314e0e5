"""Commands, files and the engine's API over a login."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.adapters.ssh import SshHosts
from swarm_operator.adapters.ssh import hosts as hosts_module
from swarm_operator.adapters.ssh.hosts import SshHost
from swarm_operator.bootstrap.keys import SshKeyPair
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.swarm import EngineInfo
from swarm_operator.ports.hosts import FileToWrite, HostTarget, SwarmInit

TOKEN = "SWMTKN-1-abcdef"


@pytest.fixture
def host(target: HostTarget, hosts: SshHosts, user_key: SshKeyPair) -> Iterator[SshHost]:
    host = hosts.connect(target, user_key.private)
    yield host
    host.close()


def failure(call: Any) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


def test_words_stay_words(host: SshHost) -> None:
    result = host.run(["sh", "-c", 'printf "%s|" "$@"; cat; echo err >&2; exit 3', "x", "a b", "$HOME;'", ""], stdin=b"input")
    assert (result.status, result.stdout, result.stderr) == (3, "a b|$HOME;'||input", "err\n")


def test_large_input_and_output_on_both_streams(host: SshHost) -> None:
    result = host.run(["sh", "-c", "tee /dev/stderr"], stdin=b"0123456789" * 300_000, timeout=30)
    assert (result.status, len(result.stdout), len(result.stderr)) == (0, 3_000_000, 3_000_000)


def test_command_that_ignores_its_input(host: SshHost) -> None:
    assert host.run(["sh", "-c", "exec 0<&-; echo no; exit 7"], stdin=b"x" * 100_000).status == 7


def test_limits(host: SshHost) -> None:
    begun = time.monotonic()
    error = failure(lambda: host.run(["sleep", "30"], timeout=0.5))
    assert (error.kind, error.message) == (ErrorKind.AMBIGUOUS, "sleep: did not end within 0.5 s")
    assert time.monotonic() - begun < 5
    assert "more than" in failure(lambda: host.run(["head", "-c", "6000000", "/dev/zero"])).message
    assert host.run(["echo", "ok"]).stdout == "ok\n", "the login survives both"


def test_sudo_does_not_ask(host: SshHost, server: Any) -> None:
    assert host.run(["id", "-u"], sudo=True).status == 0
    assert server.commands[-1] == "sudo -n -- id -u"


@pytest.mark.skipif(os.geteuid() != 0, reason="files on guests are owned by root; the stand-in sudo does not make us root")
def test_files_are_written_once_with_owner_and_mode(host: SshHost, server: Any, tmp_path: Path) -> None:
    secret, plain = tmp_path / "new" / "key.pem", tmp_path / "plain"
    files = [FileToWrite(str(secret), b"PRIVATE\x00\xff", 0o600), FileToWrite(str(plain), b"text")]
    assert host.write_files(files) is True
    assert (secret.read_bytes(), secret.stat().st_mode & 0o777, plain.stat().st_mode & 0o777) == (b"PRIVATE\x00\xff", 0o600, 0o644)
    before = (secret.stat().st_ino, plain.stat().st_ino)
    assert host.write_files(files) is False
    assert (secret.stat().st_ino, plain.stat().st_ino) == before
    secret.chmod(0o644)
    assert host.write_files(files) is True, "a wrong mode is a difference"
    assert (secret.stat().st_mode & 0o777, plain.stat().st_ino) == (0o600, before[1])
    assert [p.name for p in secret.parent.iterdir()] == ["key.pem"]
    assert "PRIVATE" not in "".join(server.commands)


def test_files_that_can_not_be_written(host: SshHost, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = failure(lambda: host.write_files([FileToWrite(str(tmp_path / "file" / "x"), b"")]))
    assert error.kind is ErrorKind.TRANSIENT
    assert "Error" in error.message


INFO: dict[str, Any] = {
    "ServerVersion": "26.1.5",
    "Labels": ["io.swarmops.machine-uid=m", "a=b=c"],
    "Swarm": {
        "LocalNodeState": "active",
        "NodeID": "n1",
        "ControlAvailable": True,
        "Error": "",
        "Cluster": {"ID": "s1"},
        "RemoteManagers": [{"NodeID": "n2", "Addr": "10.0.0.2:2377"}],
    },
    "Filler": "x" * 200_000,
}


def test_engine_info(host: SshHost, engine: Any) -> None:
    engine.on[("GET", "/info")] = lambda _: (200, INFO)
    assert host.engine_info() == EngineInfo("26.1.5", "active", "n1", "s1", True, "", {"io.swarmops.machine-uid": "m", "a": "b=c"}, ("10.0.0.2:2377",))


def test_engine_that_is_down(host: SshHost) -> None:
    error = failure(host.engine_info)
    assert (error.kind, error.system) == (ErrorKind.UNREACHABLE, "docker")
    assert "Cannot connect to the Docker daemon" in error.message


def test_no_docker_on_the_guest(host: SshHost, server: Any) -> None:
    (server.directory / "docker").write_text("#!/bin/sh\necho 'docker: not found' >&2\nexit 127\n")
    error = failure(host.engine_info)
    assert error.kind is ErrorKind.UNREACHABLE
    assert "not found" in error.message


def test_init(host: SshHost, engine: Any) -> None:
    engine.on[("POST", "/swarm/init")] = lambda _: (200, "node1")
    assert host.swarm_init(SwarmInit("10.0.0.5", ["10.1.0.0/16"], 24, 4789, 5)) == "node1"
    assert engine.asked[-1][2] == {
        "ListenAddr": "0.0.0.0:2377",
        "AdvertiseAddr": "10.0.0.5",
        "DataPathPort": 4789,
        "DefaultAddrPool": ["10.1.0.0/16"],
        "SubnetSize": 24,
        "ForceNewCluster": False,
        "Spec": {"Orchestration": {"TaskHistoryRetentionLimit": 5}},
    }
    engine.on[("POST", "/swarm/init")] = lambda _: (
        503,
        {"message": 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'},
    )
    assert failure(lambda: host.swarm_init(SwarmInit("10.0.0.5", [], 24, 4789, 5))).kind is ErrorKind.CONFLICT


def states(*names: str, error: str = "") -> Any:
    left = list(names)
    return lambda _: (200, {"Swarm": {"LocalNodeState": left.pop(0) if len(left) > 1 else left[0], "Error": error}})


def test_join(host: SshHost, engine: Any, server: Any) -> None:
    engine.on[("POST", "/swarm/join")] = lambda _: (200, None)
    engine.on[("GET", "/info")] = states("active")
    host.swarm_join(["10.0.0.5:2377"], TOKEN)
    assert engine.asked[0][2] == {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "", "RemoteAddrs": ["10.0.0.5:2377"], "JoinToken": TOKEN}
    assert TOKEN not in "".join(server.commands)


def test_join_that_goes_on_in_the_background(host: SshHost, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "Timeout was reached before node joined. The attempt to join the swarm will continue in the background."
    engine.on[("POST", "/swarm/join")] = lambda _: (503, {"message": slow})
    engine.on[("GET", "/info")] = states("pending", "active")
    host.swarm_join(["10.0.0.5:2377"], TOKEN)
    monkeypatch.setattr(hosts_module, "JOIN_SETTLE", 0.0)
    engine.on[("GET", "/info")] = states("pending")
    error = failure(lambda: host.swarm_join(["10.0.0.5:2377"], TOKEN))
    assert (error.kind, error.message) == (ErrorKind.TRANSIENT, "join the swarm: the engine is still joining (pending)")


@pytest.mark.parametrize(
    ("status", "message", "state", "kind"),
    [
        (503, "This node is already part of a swarm.", "error", ErrorKind.CONFLICT),
        (400, "invalid join token", "inactive", ErrorKind.INVALID),
        (500, f"something about {TOKEN}", "inactive", ErrorKind.TRANSIENT),
        (500, "failed", "error", ErrorKind.TRANSIENT),
    ],
)
def test_join_that_fails(host: SshHost, engine: Any, status: int, message: str, state: str, kind: ErrorKind) -> None:
    engine.on[("POST", "/swarm/join")] = lambda _: (status, {"message": message})
    engine.on[("GET", "/info")] = states(state, error="certificate has expired" if state == "error" else "")
    error = failure(lambda: host.swarm_join(["10.0.0.5:2377"], TOKEN))
    assert error.kind is kind
    assert TOKEN not in error.message
    if (status, state) == (500, "error"):
        assert error.message == "join the swarm: certificate has expired"


def test_leave(host: SshHost, engine: Any) -> None:
    engine.on[("POST", "/swarm/leave?force=true")] = lambda _: (503, {"message": "This node is not part of a swarm"})
    host.swarm_leave(force=True)
    engine.on[("POST", "/swarm/leave?force=false")] = lambda _: (
        503,
        {"message": "You are attempting to leave the swarm on a node that is participating as a manager."},
    )
    assert failure(lambda: host.swarm_leave(force=False)).kind is ErrorKind.TRANSIENT


def test_output_and_input_that_flow(host: SshHost) -> None:
    assert b"".join(host.read(["sh", "-c", "head -c 3000000 /dev/zero"], sudo=True)) == bytes(3_000_000)
    result = host.feed(["wc", "-c"], iter([b"x" * 100_000] * 20), sudo=True, timeout=30)
    assert (result.status, result.stdout.strip()) == (0, "2000000")


def test_output_that_flows_from_a_command_that_fails(host: SshHost) -> None:
    error = failure(lambda: list(host.read(["sh", "-c", "echo some; echo why >&2; exit 3"])))
    assert error.kind is ErrorKind.TRANSIENT and "status 3: why" in error.message


def test_input_whose_source_fails(host: SshHost) -> None:
    def source() -> Iterator[bytes]:
        yield b"half"
        raise ExternalError(ErrorKind.TRANSIENT, "openstack", "broke off")

    assert failure(lambda: host.feed(["cat"], source(), timeout=10)).message == "broke off"
