"""The Docker Engine API of a guest, through `docker system dial-stdio` in an exec channel: what is sent, tokens too, never appears in a process list."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, Final, cast

import paramiko

from swarm_operator.adapters.ssh.errors import engine_error, external
from swarm_operator.adapters.ssh.execute import command_line
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.swarm import EngineInfo

DIAL: Final = ("docker", "system", "dial-stdio")
_LIMIT: Final = 32 << 20


class _Stream:
    """A channel as far as http.client needs a socket. Its close does nothing: http.client closes the socket before it reads the body, and a channel has no second handle."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.sendall = channel.sendall
        self.makefile = channel.makefile

    def close(self) -> None:
        """The caller of `request` closes the channel."""


class _ChannelConnection(http.client.HTTPConnection):
    """http.client over a channel that is connected already."""

    def __init__(self, channel: paramiko.Channel) -> None:
        super().__init__("docker")
        self._channel = channel

    def connect(self) -> None:
        self.sock = cast(Any, _Stream(self._channel))


def request(channel: paramiko.Channel, method: str, path: str, body: Any, timeout: float) -> Any:
    """One call; the decoded JSON answer, or None where it is empty. Raises UNREACHABLE when the engine was not reached, AMBIGUOUS when the answer to a write was lost
    (TRANSIENT for a GET), and what `engine_error` says for answers of 400 and above."""
    what = f"{method} {path.partition('?')[0]}"
    payload = None if body is None else json.dumps(body).encode()
    connection = _ChannelConnection(channel)
    try:
        channel.settimeout(timeout)
        channel.exec_command(command_line(DIAL, sudo=True))
        connection.request(method, path, payload, {"Content-Type": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        data = answer.read(_LIMIT + 1)
    except (OSError, EOFError, paramiko.SSHException, http.client.HTTPException) as error:
        complaint = "" if isinstance(error, TimeoutError) else _complaint(channel)
        if complaint:
            raise external(ErrorKind.UNREACHABLE, "docker", f"the engine does not answer: {complaint}") from error
        kind = ErrorKind.TRANSIENT if method == "GET" else ErrorKind.AMBIGUOUS
        raise external(kind, "docker", f"{what}: " + ("no answer in time" if isinstance(error, TimeoutError) else "the connection broke")) from error
    finally:
        channel.close()
    if len(data) > _LIMIT:
        raise external(ErrorKind.TRANSIENT, "docker", f"{what}: the answer is longer than {_LIMIT} bytes")
    text = data.decode("utf-8", "replace")
    if answer.status >= 400:
        raise engine_error(answer.status, _message(text), what)
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise external(ErrorKind.TRANSIENT, "docker", f"{what}: the answer is not JSON") from error


def _complaint(channel: paramiko.Channel) -> str:
    """What `docker` or `sudo` printed on stderr before it ended without an answer: it did not reach the engine. Empty where it said nothing."""
    text = bytearray()
    deadline = time.monotonic() + 2.0
    channel.settimeout(0.5)
    while time.monotonic() < deadline and len(text) < 65536:
        try:
            part = channel.recv_stderr(4096)
        except (OSError, paramiko.SSHException):
            break
        if not part:
            break
        text += part
    return text.decode("utf-8", "replace").strip()


def _message(text: str) -> str:
    try:
        body = json.loads(text)
    except ValueError:
        return text
    return str(body.get("message", text)) if isinstance(body, dict) else text


def engine_info(body: Any) -> EngineInfo:
    """The part of `GET /info` (Docker Engine API, SystemInfo) that the domain needs."""
    swarm = body.get("Swarm") or {}
    labels = dict(label.partition("=")[::2] for label in body.get("Labels") or [])
    return EngineInfo(
        engine_version=str(body.get("ServerVersion") or ""),
        local_state=str(swarm.get("LocalNodeState") or "inactive"),
        node_id=str(swarm.get("NodeID") or ""),
        swarm_id=str((swarm.get("Cluster") or {}).get("ID") or ""),
        control_available=bool(swarm.get("ControlAvailable")),
        error=str(swarm.get("Error") or ""),
        labels=labels,
        remote_managers=tuple(str(peer.get("Addr") or "") for peer in swarm.get("RemoteManagers") or []),
    )
