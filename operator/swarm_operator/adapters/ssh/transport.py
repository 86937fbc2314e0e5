"""One verified ssh connection: connect, check the host key, log in."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import socket
import time
from typing import Final

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from swarm_operator.adapters.ssh.errors import external, unverified
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.hosts import HostTarget

KEEPALIVE_SECONDS: Final = 10
_ALGORITHMS: Final = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),  # the key type ssh-rsa, signed with SHA-2 (RFC 8332)
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
}


def load_private_key(pem: bytes) -> paramiko.PKey:
    """The key in an OpenSSH or PEM text. Raises INVALID."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, UnicodeDecodeError):
            return kind.from_private_key(io.StringIO(pem.decode()))
    raise external(ErrorKind.INVALID, "ssh", "the private key is not an unencrypted OpenSSH key (ed25519, ecdsa or rsa)", Reason.INVALID_SPEC)


def host_key_text(key: paramiko.PKey) -> str:
    """As in known_hosts: type and base64."""
    return f"{key.get_name()} {key.get_base64()}"


def is_trusted(offered: paramiko.PKey, trusted: tuple[str, ...]) -> bool:
    """Whether the offered key is one of `trusted`: public keys, or fingerprints "SHA256:..." as ssh-keygen prints them."""
    fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(offered.asbytes()).digest()).decode().rstrip("=")
    return any(" ".join(text.split()[:2]) == host_key_text(offered) or text.strip() == fingerprint for text in trusted)


def handshake(target: HostTarget, timeout: float, via: paramiko.Transport | None) -> paramiko.Transport:
    """A connection whose key exchange is done but whose host key is not judged; nothing that is secret was sent.

    Where public keys are trusted, only their types are negotiated: a server with several host keys must not offer one that is not known here.
    Raises UNREACHABLE, or INVALID with reason HostKeyUnverified when the server has no key of these types.
    """
    deadline = time.monotonic() + timeout
    connection = _socket(target, timeout, via)
    transport: paramiko.Transport | None = None
    try:
        transport = paramiko.Transport(connection)
        transport.banner_timeout = timeout
        types = {text.split()[0] for text in target.host_keys if " " in text.strip()}
        if types:
            wanted = [name for known, names in _ALGORITHMS.items() if known in types for name in names]
            options = transport.get_security_options()
            options.key_types = [name for name in wanted if name in options.key_types]
        transport.start_client(timeout=max(0.1, deadline - time.monotonic()))
    except IncompatiblePeer as error:
        _close(transport, connection)
        if "host key" in str(error):
            raise unverified(target.address, "the server has no host key of a trusted type") from error
        raise external(ErrorKind.UNREACHABLE, "ssh", f"{target.address}: no common ssh algorithms") from error
    except (OSError, EOFError, paramiko.SSHException, ValueError) as error:
        _close(transport, connection)
        raise external(ErrorKind.UNREACHABLE, "ssh", f"{target.address}: no ssh handshake: {_cause(error)}") from error
    return transport


def log_in(target: HostTarget, key: paramiko.PKey, timeout: float, via: paramiko.Transport | None) -> paramiko.Transport:
    """A connection to a host whose key is among `target.host_keys`, logged in. Raises as `ports.hosts.Hosts.connect`."""
    if not target.host_keys:
        raise unverified(target.address, "no host key is known yet")
    transport = handshake(target, timeout, via)
    try:
        offered = transport.get_remote_server_key()
        if not is_trusted(offered, target.host_keys):
            raise unverified(target.address, f"the server's {offered.get_name()} host key is not the trusted one")
        transport.auth_timeout = timeout
        transport.auth_publickey(target.user, key)
        transport.set_keepalive(KEEPALIVE_SECONDS)
    except ExternalError:
        transport.close()
        raise
    except paramiko.AuthenticationException as error:
        transport.close()
        raise external(ErrorKind.UNAUTHORIZED, "ssh", f"{target.address}: the key is refused for user {target.user}") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        transport.close()
        raise external(ErrorKind.UNREACHABLE, "ssh", f"{target.address}: the connection broke at login: {_cause(error)}") from error
    return transport


def _socket(target: HostTarget, timeout: float, via: paramiko.Transport | None) -> socket.socket | paramiko.Channel:
    try:
        if via is None:
            return socket.create_connection((target.address, target.port), timeout)
        return via.open_channel("direct-tcpip", (target.address, target.port), ("127.0.0.1", 0), timeout=timeout)
    except paramiko.ChannelException as error:
        raise external(ErrorKind.UNREACHABLE, "ssh", f"{target.address}: not reachable from the jump host: {error.text}") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise external(ErrorKind.UNREACHABLE, "ssh", f"{target.address}: no connection: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    if isinstance(error, TimeoutError) or "timeout" in str(error).lower():
        return "timed out"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or "closed by the server"


def _close(transport: paramiko.Transport | None, connection: socket.socket | paramiko.Channel) -> None:
    if transport is not None:
        transport.close()
    connection.close()
