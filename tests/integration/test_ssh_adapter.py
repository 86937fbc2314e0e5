"""The ssh adapter against real servers of the lab: host keys from the Nova console, jump, files, the engine's API, a real swarm of two."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integration.cloud_fixture import NAME, Site, site, until
from swarm_operator.adapters.ssh import SshHosts
from swarm_operator.adapters.ssh.hosts import SshHost
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.cloud_init import MetadataJoin
from swarm_operator.bootstrap.console import parse_host_keys
from swarm_operator.bootstrap.guest_files import API_PORT, RELOAD_ENGINE, manager_tls_files
from swarm_operator.bootstrap.keys import new_ssh_keypair
from swarm_operator.bootstrap.tls import issue, new_ca
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import MachineId
from swarm_operator.ports.hosts import FileToWrite, HostTarget, SwarmInit

pytestmark = pytest.mark.lab
USER = "debian"


@dataclass
class Guests:
    """Two servers: one with a floating address, one behind it."""

    site: Site
    hosts: SshHosts
    outer: HostTarget
    inner: HostTarget
    fixed: str

    def connect(self, target: HostTarget) -> SshHost:
        return self.hosts.connect(target, self.site.key.private)


@pytest.fixture(scope="module")
def guests(lab_env: dict[str, str]) -> Iterator[Guests]:
    with site(lab_env) as made:
        ids = [made.boot(0), made.boot(1)]
        servers = [made.active(server_id) for server_id in ids]
        keys = [until("host keys on the console", lambda server_id=server_id: parse_host_keys(made.cloud.console_output(server_id)).keys) for server_id in ids]  # type: ignore[misc]
        address = made.float(ids[0]).address
        outer = HostTarget(address, USER, keys[0])
        inner = HostTarget(servers[1].fixed[0], USER, keys[1], jump=outer)
        hosts = SshHosts()
        guests = Guests(made, hosts, outer, inner, servers[0].fixed[0])
        until("ssh through the floating address", lambda: _reachable(guests, outer))
        yield guests
        hosts.close()


def _reachable(guests: Guests, target: HostTarget) -> bool:
    return _try(lambda: guests.connect(target).close() or True) is not None


def failure(call: Any) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


def test_cloud_init_did_as_user_data_says(guests: Guests) -> None:
    host = guests.connect(guests.outer)
    assert host.run(["hostname"]).stdout.strip() == f"{NAME}-w-0"
    until("cloud-init done", lambda: host.run(["test", "-e", "/var/lib/cloud/instance/boot-finished"]).status == 0)
    assert host.run(["cloud-init", "status"], sudo=True).stdout.strip() == "status: done"
    info = until("engine", lambda: _info(host))
    assert info.labels["io.swarmops.machine-uid"] == MachineId("Worker", "w", 0, 1).uid(guests.site.uid)
    assert info.labels["io.swarmops.cluster-uid"] == guests.site.uid
    assert info.local_state == "inactive"
    host.close()


def _info(host: SshHost) -> Any:
    return _try(host.engine_info)


def test_scan_agrees_with_the_console_and_another_key_is_refused(guests: Guests) -> None:
    assert set(guests.hosts.scan_host_keys(guests.outer).keys) <= set(guests.outer.host_keys)
    error = failure(lambda: guests.connect(replace(guests.outer, host_keys=guests.inner.host_keys)))
    assert error.reason is Reason.HOST_KEY_UNVERIFIED
    assert failure(lambda: guests.hosts.connect(guests.outer, new_ssh_keypair().private)).kind is ErrorKind.UNAUTHORIZED


def test_jump_reaches_the_server_without_a_floating_address(guests: Guests) -> None:
    host = guests.connect(guests.inner)
    assert host.run(["hostname"]).stdout.strip() == f"{NAME}-w-1"
    host.close()


def test_files_belong_to_root(guests: Guests) -> None:
    host = guests.connect(guests.inner)
    files = [FileToWrite("/etc/docker/tls/key.pem", b"secret\n", 0o600)]
    assert host.write_files(files) is True
    assert host.write_files(files) is False
    assert host.run(["stat", "-c", "%a %U:%G", "/etc/docker/tls/key.pem"], sudo=True).stdout == "600 root:root\n"
    assert host.run(["cat", "/etc/docker/tls/key.pem"]).status != 0
    host.run(["rm", "-r", "/etc/docker/tls"], sudo=True)
    host.close()


def test_engine_on_mutual_tls(guests: Guests, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ca = new_ca("test", now)
    server = issue(ca, NAME, [guests.fixed, guests.outer.address], "server", now)
    client = issue(ca, "client", [], "client", now)
    host = guests.connect(guests.outer)
    files = [FileToWrite(f.path, f.content, f.mode) for f in manager_tls_files(ca.cert, server.cert, server.key)]
    assert host.write_files(files) is True
    for command in RELOAD_ENGINE:
        assert host.run(command, sudo=True, timeout=60).status == 0
    assert until("engine after the restart", lambda: _info(host)).labels["io.swarmops.cluster-uid"] == guests.site.uid
    (tmp_path / "ca.pem").write_bytes(ca.cert)
    (tmp_path / "client.pem").write_bytes(client.cert + client.key)

    def version(context: ssl.SSLContext) -> Any:
        connection = http.client.HTTPSConnection(guests.outer.address, API_PORT, timeout=10, context=context)
        try:
            connection.request("GET", "/version")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    anonymous = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        version(anonymous)
    known = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    known.load_cert_chain(tmp_path / "client.pem")
    assert version(known)["ApiVersion"] >= "1.41"
    host.close()


def test_join_by_metadata(guests: Guests) -> None:
    manager = guests.connect(guests.outer)
    manager.swarm_init(SwarmInit(guests.fixed, ["10.90.0.0/16"], 24, 4789, 3))
    token = manager.engine_request("GET", "/swarm")["JoinTokens"]["Worker"]
    cloud, server_id = guests.site.cloud, guests.site.boot(2, MetadataJoin())
    server = guests.site.active(server_id)
    keys = until("host keys on the console", lambda: parse_host_keys(cloud.console_output(server_id)).keys)
    worker = until("ssh", lambda: _try(lambda: guests.connect(HostTarget(server.fixed[0], USER, keys, jump=guests.outer))))
    until("the script waits", lambda: "names no manager and token yet" in worker.run(["cat", "/var/log/swarmops-join.log"], sudo=True).stdout)
    cloud.update_server_metadata(server_id, {"swarm_manager": f"{guests.fixed}:2377", "swarm_token": token})
    until(
        "node ready",
        lambda: {n["Description"]["Hostname"] for n in manager.engine_request("GET", "/nodes") if n["Status"]["State"] == "ready"} >= {f"{NAME}-w-2"},
    )
    until("script done", lambda: "done" in worker.run(["cat", "/var/log/swarmops-join.log"], sudo=True).stdout)
    assert worker.run(["systemctl", "show", "-p", "Result", "--value", "swarmops-join.service"]).stdout.strip() == "success"
    assert token not in worker.run(["cat", "/var/log/swarmops-join.log"], sudo=True).stdout
    user_data = worker.run(["cat", "/var/lib/cloud/instance/user-data.txt"], sudo=True).stdout
    assert user_data.startswith("#cloud-config")
    assert token not in user_data
    worker.close()
    manager.swarm_leave(force=True)
    manager.close()


def _try(call: Any) -> Any:
    try:
        return call()
    except ExternalError as error:
        assert error.kind is ErrorKind.UNREACHABLE, error.message
        return None


def test_a_real_swarm(guests: Guests) -> None:
    manager, worker = guests.connect(guests.outer), guests.connect(guests.inner)
    for host in (manager, worker):
        until("engine", lambda host=host: _info(host))  # type: ignore[misc]
    init = SwarmInit(guests.fixed, ["10.90.0.0/16"], 24, 4789, 3)
    node_id = manager.swarm_init(init)
    info = manager.engine_info()
    assert (info.local_state, info.node_id, info.control_available) == ("active", node_id, True)
    assert failure(lambda: manager.swarm_init(init)).kind is ErrorKind.CONFLICT
    swarm = manager.engine_request("GET", "/swarm")
    assert (swarm["DefaultAddrPool"], swarm["SubnetSize"], swarm["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"]) == (["10.90.0.0/16"], 24, 3)
    assert swarm["Spec"]["Dispatcher"]["HeartbeatPeriod"] > 0, "defaults of what the request leaves out are kept"
    token = swarm["JoinTokens"]["Worker"]

    error = failure(lambda: worker.swarm_join([f"{guests.fixed}:2377"], "nonsense"))
    assert error.kind is ErrorKind.INVALID, error.message
    worker.swarm_join([f"{guests.fixed}:2377"], token)
    assert worker.engine_info().local_state == "active"
    assert failure(lambda: worker.swarm_join([f"{guests.fixed}:2377"], token)).kind is ErrorKind.CONFLICT
    nodes = until(
        "two ready nodes",
        lambda: [n for n in manager.engine_request("GET", "/nodes") if n["Status"]["State"] == "ready"][1:] and manager.engine_request("GET", "/nodes"),
    )
    labels = {n["Description"]["Hostname"]: n["Description"]["Engine"]["Labels"]["io.swarmops.machine-uid"] for n in nodes}
    assert labels == {f"{NAME}-w-{slot}": MachineId("Worker", "w", slot, 1).uid(guests.site.uid) for slot in (0, 1)}

    assert failure(lambda: manager.swarm_leave(force=False)).kind in (ErrorKind.TRANSIENT, ErrorKind.INVALID)
    worker.swarm_leave(force=False)
    worker.swarm_leave(force=False)
    manager.swarm_leave(force=True)
    assert (worker.engine_info().local_state, manager.engine_info().local_state) == ("inactive", "inactive")
    error = failure(lambda: worker.swarm_join([f"{guests.fixed}:2377"], token))
    assert error.kind is ErrorKind.TRANSIENT, "no manager there any more"
    assert token not in error.message
    worker.swarm_leave(force=True)
    manager.close()
    worker.close()
