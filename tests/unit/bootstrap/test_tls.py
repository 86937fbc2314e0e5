"""Certificates: judged by OpenSSL itself through a real handshake, not by reading them back only."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from swarm_operator.bootstrap.tls import PemPair, issue, needs_renewal, new_ca, sans_of

NOW = datetime.now(UTC)


def handshake(directory: Path, ca: PemPair, server: PemPair, client: PemPair, name: str) -> str | None:
    """None when both sides accept one another, else the error's text."""
    for part, pair in {"ca": ca, "server": server, "client": client}.items():
        (directory / f"{part}.pem").write_bytes(pair.cert)
        (directory / f"{part}-key.pem").write_bytes(pair.key)
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.verify_mode = ssl.CERT_REQUIRED
    accepting.load_verify_locations(directory / "ca.pem")
    accepting.load_cert_chain(directory / "server.pem", directory / "server-key.pem")
    calling = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    calling.load_cert_chain(directory / "client.pem", directory / "client-key.pem")
    left, right = socket.socketpair()
    left.settimeout(5)
    right.settimeout(5)
    errors: list[str] = []

    def serve() -> None:
        try:
            with accepting.wrap_socket(left, server_side=True) as tls:
                tls.sendall(b"ok")
        except OSError as error:
            errors.append(str(error))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with calling.wrap_socket(right, server_hostname=name) as tls:
            tls.recv(2)
    except OSError as error:
        errors.append(str(error))
    thread.join()
    return "; ".join(errors) or None


def test_mutual_tls_by_fixed_and_floating_address(tmp_path: Path) -> None:
    ca = new_ca("swarm demo", NOW)
    server = issue(ca, "demo-manager-0", ["10.20.0.5", "198.51.100.7", "localhost"], "server", NOW)
    client = issue(ca, "swarm-operator", [], "client", NOW)
    for name in ("10.20.0.5", "198.51.100.7", "localhost"):
        assert handshake(tmp_path, ca, server, client, name) is None
    assert "mismatch" in (handshake(tmp_path, ca, server, client, "10.20.0.6") or "").lower()


def test_roles_and_authorities_are_not_interchangeable(tmp_path: Path) -> None:
    ca, other = new_ca("a", NOW), new_ca("b", NOW)
    server, client = issue(ca, "s", ["localhost"], "server", NOW), issue(ca, "c", [], "client", NOW)
    assert handshake(tmp_path, ca, server, server, "localhost") is not None, "a server certificate passed as a client's"
    assert handshake(tmp_path, ca, issue(ca, "s", ["localhost"], "client", NOW), client, "localhost") is not None
    assert handshake(tmp_path, ca, server, issue(other, "c", [], "client", NOW), "localhost") is not None


def test_renewal_is_due_in_the_last_third_or_when_names_or_authority_change() -> None:
    ca, other = new_ca("a", NOW), new_ca("a", NOW)
    cert = issue(ca, "s", ["10.0.0.1"], "server", NOW, lifetime=timedelta(days=90)).cert
    assert not needs_renewal(cert, NOW, ca=ca.cert, sans=["10.0.0.1"])
    assert not needs_renewal(cert, NOW + timedelta(days=59), ca=ca.cert)
    assert needs_renewal(cert, NOW + timedelta(days=61))
    assert needs_renewal(cert, NOW, sans=["10.0.0.1", "198.51.100.7"])
    assert needs_renewal(cert, NOW, ca=other.cert)
    assert needs_renewal(b"garbage", NOW)
    assert sans_of(cert) == ("10.0.0.1",)


def test_private_keys_are_not_in_repr() -> None:
    pair = new_ca("a", NOW)
    assert "PRIVATE" not in repr(pair)


@pytest.mark.parametrize("name", ["x" * 100])
def test_long_names_are_cut_to_what_x509_allows(name: str) -> None:
    assert new_ca(name, NOW).cert
