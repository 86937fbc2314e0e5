"""Files that make a manager's engine listen on mutual TLS beside its local socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TLS_DIRECTORY: Final = "/etc/docker/tls"
DROP_IN_PATH: Final = "/etc/systemd/system/docker.service.d/50-swarmops.conf"
API_PORT: Final = 2376
"""IANA: docker-s, the Docker API over TLS."""

RELOAD_ENGINE: Final[Sequence[Sequence[str]]] = (("systemctl", "daemon-reload"), ("systemctl", "restart", "docker.service"))
"""Commands, as root, after one of the files was written."""


@dataclass(frozen=True)
class GuestFile:
    """A file on the guest, owned by root. `content` may be secret."""

    path: str
    content: bytes
    mode: int

    def __repr__(self) -> str:
        return f"GuestFile(path={self.path!r}, mode={self.mode:#o}, {len(self.content)} bytes)"


def manager_tls_files(ca_cert: bytes, cert: bytes, key: bytes) -> tuple[GuestFile, ...]:
    """The engine's authority, certificate and key, and the systemd drop-in that adds the listener (systemd.unit(5), drop-ins; systemd.service(5), ExecStart= resets)."""
    return (
        GuestFile(f"{TLS_DIRECTORY}/ca.pem", ca_cert, 0o644),
        GuestFile(f"{TLS_DIRECTORY}/cert.pem", cert, 0o644),
        GuestFile(f"{TLS_DIRECTORY}/key.pem", key, 0o600),
        GuestFile(DROP_IN_PATH, _DROP_IN.encode(), 0o644),
    )


# No start limit: the packaged unit allows three starts in a minute, and first boot, cloud-init and this change may well be three.
# `dockerd` without a directory: Debian's package has it in /usr/sbin, Docker's own in /usr/bin, and systemd looks in both (since v239).
# Without --containerd the engine finds a running system containerd by itself. -H fd:// keeps docker.socket in use.
_DROP_IN: Final = f"""\
# Written by swarm-operator. Changes are overwritten.
[Unit]
StartLimitIntervalSec=0

[Service]
ExecStart=
ExecStart=dockerd -H fd:// -H tcp://0.0.0.0:{API_PORT} --tlsverify --tlscacert={TLS_DIRECTORY}/ca.pem --tlscert={TLS_DIRECTORY}/cert.pem --tlskey={TLS_DIRECTORY}/key.pem
"""
