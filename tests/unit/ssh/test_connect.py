"""Logins: only to verified hosts, through jump hosts, pooled."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from typing import Any

import paramiko
import pytest
from ssh_sshserver import SshServer

from swarm_operator.adapters.ssh import SshHosts
from swarm_operator.adapters.ssh.pool import IDLE_SECONDS, LoginPool
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.keys import SshKeyPair, new_ssh_keypair
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.hosts import Hosts, HostTarget


def refused(hosts: SshHosts, target: HostTarget, key: bytes) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        hosts.connect(target, key, timeout=3)
    return caught.value


def test_is_a_port(hosts: SshHosts) -> None:
    _: Hosts = hosts


def test_login_and_scan(server: Any, target: HostTarget, hosts: SshHosts, user_key: SshKeyPair) -> None:
    assert hosts.scan_host_keys(replace(target, host_keys=())).keys == server.public
    assert server.logins == 0
    host = hosts.connect(target, user_key.private)
    assert host.run(["id", "-u"]).status == 0
    host.close()


@pytest.mark.parametrize("known", [(), (new_ssh_keypair().public,), ("SHA256:" + "A" * 43,), ("ssh-rsa AAAA",), ("nonsense",)])
def test_any_other_host_key_is_refused_before_login(server: Any, target: HostTarget, hosts: SshHosts, user_key: SshKeyPair, known: tuple[str, ...]) -> None:
    error = refused(hosts, replace(target, host_keys=known), user_key.private)
    assert (error.kind, error.reason) == (ErrorKind.INVALID, Reason.HOST_KEY_UNVERIFIED)
    assert server.logins == 0


def test_fingerprint_is_good_as_well(server: Any, target: HostTarget, hosts: SshHosts, user_key: SshKeyPair) -> None:
    fingerprint = server.host_keys[0].fingerprint  # paramiko's own computation, "SHA256:..."
    hosts.connect(replace(target, host_keys=(fingerprint,)), user_key.private).close()


def test_server_with_several_keys_is_asked_for_the_type_that_is_known(tmp_path: Any, server: Any, hosts: SshHosts, user_key: SshKeyPair) -> None:
    both = SshServer(server.directory, user_key, [server.host_keys[0], paramiko.ECDSAKey.generate()])
    try:
        for text in both.public:
            hosts.connect(HostTarget("127.0.0.1", "debian", (text,), both.port), user_key.private).close()
        assert both.logins == 2
    finally:
        both.close()


def test_wrong_user_key(target: HostTarget, hosts: SshHosts) -> None:
    assert refused(hosts, target, new_ssh_keypair().private).kind is ErrorKind.UNAUTHORIZED
    error = refused(hosts, target, b"no key")
    assert error.kind is ErrorKind.INVALID


def test_nothing_there_or_no_ssh(target: HostTarget, hosts: SshHosts, user_key: SshKeyPair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ExternalError) as caught:
            hosts.connect(replace(target, port=port), user_key.private, timeout=1)
        assert caught.value.kind is ErrorKind.UNREACHABLE
    error = refused(hosts, replace(target, port=port), user_key.private)
    assert (error.kind, error.message) == (ErrorKind.UNREACHABLE, "127.0.0.1: no connection: Connection refused")
    assert error.reason is Reason.MANAGER_UNREACHABLE


def test_jump(server: Any, target: HostTarget, hosts: SshHosts, user_key: SshKeyPair) -> None:
    inner = SshServer(server.directory, user_key)
    try:
        through = HostTarget("127.0.0.1", "debian", inner.public, inner.port, jump=target)
        with pytest.raises(ExternalError, match="no login to the jump host"):
            hosts.scan_host_keys(through)
        host = hosts.connect(through, user_key.private)
        assert host.run(["echo", "in"]).stdout == "in\n"
        assert (server.logins, inner.logins) == (1, 1)
        assert server.commands == [], "commands run on the inner host"
        assert hosts.scan_host_keys(through).keys == inner.public
        host.close()
        wrong = replace(through, jump=replace(target, host_keys=(new_ssh_keypair().public,)))
        assert refused(hosts, wrong, user_key.private).reason is Reason.HOST_KEY_UNVERIFIED
        dead = inner.port
    finally:
        inner.close()
    error = refused(hosts, HostTarget("127.0.0.1", "debian", server.public, dead, jump=target), user_key.private)
    assert error.kind is ErrorKind.UNREACHABLE
    assert "from the jump host" in error.message


def test_logins_are_shared_and_renewed(server: Any, target: HostTarget, hosts: SshHosts, user_key: SshKeyPair) -> None:
    def use() -> None:
        host = hosts.connect(target, user_key.private)
        assert host.run(["true"]).status == 0
        host.close()

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.logins == 1
    host = hosts.connect(target, user_key.private)
    server.break_connections()
    time.sleep(0.2)
    assert host.run(["echo", "again"]).stdout == "again\n"
    host.close()
    assert server.logins == 2
    with pytest.raises(ExternalError):
        host.run(["true"])


def test_idle_logins_are_closed(server: Any, target: HostTarget, user_key: SshKeyPair) -> None:
    now = [0.0]
    pool = LoginPool(clock=lambda: now[0])
    inner = SshServer(server.directory, user_key)
    through = HostTarget("127.0.0.1", "debian", inner.public, inner.port, jump=target)
    login = pool.take(through, user_key.private, 5)
    jump = login.jump
    assert jump is not None
    now[0] = IDLE_SECONDS * 10
    pool.give_back(login)
    assert login.alive(), "it was in use until now"
    now[0] += IDLE_SECONDS + 1
    pool._sweep()
    assert not login.transport.is_active()
    assert jump.transport.is_active(), "its own idle time starts when the last login through it ends"
    now[0] += IDLE_SECONDS + 1
    pool._sweep()
    assert not jump.transport.is_active()
    inner.close()
