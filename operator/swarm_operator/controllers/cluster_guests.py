"""Logins to guests during one reconcile: opened when first needed, shared by observation and action, closed at its end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.guest_files import RELOAD_ENGINE, TLS_DIRECTORY, manager_tls_files
from swarm_operator.bootstrap.tls import PemPair, end_of, issue, needs_renewal
from swarm_operator.domain import times
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.hosts import FileToWrite, Host, Hosts, HostTarget

CERTIFICATE: Final = f"{TLS_DIRECTORY}/cert.pem"
IN_FORCE: Final = f"{TLS_DIRECTORY}/in-force"
"""Holds the hash of the certificate that the engine was last restarted with: written after the restart, so a crash between the two is noticed."""


@dataclass
class GuestLogins:
    """Thread safe. `addresses` and `host_keys` are by machine UID; `jump` is the machine UID of the manager that others are reached through, None for direct access;
    `direct`: machine UIDs whose addresses the operator reaches without it."""

    hosts: Hosts
    spec: SwarmClusterSpec
    private_key: bytes | None = field(repr=False)
    addresses: dict[str, str] = field(default_factory=dict)
    host_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    jump: str | None = None
    direct: frozenset[str] = frozenset()
    _open: dict[str, Host] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def target(self, machine_uid: str) -> HostTarget:
        """Where the machine is. UNREACHABLE when its address, its keys or the jump host are not known."""
        address = self.addresses.get(machine_uid)
        if address is None:
            raise ExternalError(ErrorKind.UNREACHABLE, "ssh", "the server has no address that can be reached yet")
        target = HostTarget(address, self.spec.ssh.user, self.host_keys.get(machine_uid, ()), self.spec.ssh.port)
        if self.jump is None or self.jump == machine_uid or machine_uid in self.direct:
            return target
        if not self.host_keys.get(self.jump):
            raise ExternalError(ErrorKind.UNREACHABLE, "ssh", "the manager's host keys are not known yet", reason=Reason.HOST_KEY_UNVERIFIED)
        return replace(target, jump=self.target(self.jump))

    def open(self, machine_uid: str) -> Host:
        """The login. Raises as `Hosts.connect`."""
        with self._lock:
            host = self._open.get(machine_uid)
        if host is not None:
            return host
        if self.private_key is None:
            raise ExternalError(ErrorKind.UNAUTHORIZED, "ssh", "there is no private key yet")
        if not self.host_keys.get(machine_uid):
            raise ExternalError(ErrorKind.INVALID, "ssh", "the host keys are not verified yet", reason=Reason.HOST_KEY_UNVERIFIED)
        host = self.hosts.connect(self.target(machine_uid), self.private_key)
        with self._lock:
            self._open[machine_uid] = host
        return host

    def apart(self) -> GuestLogins:
        """The same targets with logins of their own: for work that goes on after this reconcile."""
        return GuestLogins(self.hosts, self.spec, self.private_key, dict(self.addresses), dict(self.host_keys), self.jump, self.direct)

    def close(self) -> None:
        """Close all of them; never raises."""
        with self._lock:
            hosts, self._open = list(self._open.values()), {}
        for host in hosts:
            try:
                host.close()
            except ExternalError:
                continue


def tls_in_force(host: Host, ca: bytes, addresses: Sequence[str], now: datetime) -> str | None:
    """When the certificate ends that the engine was last restarted with, if it is of this authority, good for `addresses`, and far from its end; else None."""
    certificate = host.run(["cat", CERTIFICATE], sudo=True)
    mark = host.run(["cat", IN_FORCE], sudo=True)
    if certificate.status != 0 or mark.status != 0:
        return None
    pem = certificate.stdout.encode()
    if mark.stdout.strip() != _hash(pem) or needs_renewal(pem, now, ca=ca, sans=addresses):
        return None
    return times.stamp(end_of(pem))


def configure_engine(host: Host, tls: Mapping[str, bytes], common_name: str, addresses: Sequence[str], now: datetime) -> str:
    """Write a new server certificate and the listener's drop-in, restart the engine, note that it is in force; when the certificate ends. TRANSIENT with reason EngineFailed when it does not start."""
    ca = PemPair(tls["ca.pem"], tls["ca-key.pem"])
    pair = issue(ca, common_name, addresses, "server", now)
    host.write_files([FileToWrite(f.path, f.content, f.mode) for f in manager_tls_files(ca.cert, pair.cert, pair.key)])
    for command in RELOAD_ENGINE:
        result = host.run(list(command), sudo=True, timeout=90.0)
        if result.status != 0:
            text = f"{' '.join(command)} on {common_name}: {(result.stderr or result.stdout).strip()[:300]}"
            raise ExternalError(ErrorKind.TRANSIENT, "ssh", text, reason=Reason.ENGINE_FAILED)
    host.write_files([FileToWrite(IN_FORCE, _hash(pair.cert).encode(), 0o644)])
    return times.stamp(end_of(pair.cert))


def _hash(pem: bytes) -> str:
    return hashlib.sha256(pem.strip()).hexdigest()
