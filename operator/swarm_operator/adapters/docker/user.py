"""A swarm as a person uses it through `kubectl swarm`: by the client certificate that the operator keeps, and only what its commands need.

Does not: take part in reconciling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from swarm_operator.adapters.docker.transport import Transport, translated
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.swarm import TlsMaterial

Json = dict[str, Any]
FOLLOW_SECONDS: Final = 86400.0
"""How long a stream of logs may be silent: a service may have nothing to say for a day."""
_STREAMS: Final = {1: "stdout", 2: "stderr"}
_HEADER: Final = 8
_NODE, _TASK = "com.docker.swarm.node.id", "com.docker.swarm.task.id"


@dataclass(frozen=True)
class Line:
    """A line that a task wrote; see `cli.context.LogLine`."""

    task_id: str
    node_id: str
    stream: str
    text: str
    time: str = ""


class UserSwarm:
    """One swarm through any of its managers (`endpoints`: tcp://address:2376). Raises ExternalError."""

    def __init__(self, endpoints: list[str], tls: TlsMaterial) -> None:
        self._http = Transport(endpoints, tls)

    def nodes(self) -> list[Json]:
        """`GET /nodes`."""
        return self._list("/nodes")

    def services(self) -> list[Json]:
        """`GET /services?status=true`."""
        return self._list("/services", status="true")

    def tasks(self, service_id: str | None = None) -> list[Json]:
        """`GET /tasks`, of one service where given."""
        filters = {} if service_id is None else {"service": [service_id]}
        return self._list("/tasks", filters=json.dumps(filters))

    def set_availability(self, node_id: str, availability: str) -> None:
        """`POST /nodes/{id}/update` of the spec as it was read, with this availability. CONFLICT when somebody changed it in between."""
        node = self._http.get(f"/nodes/{quote(node_id, safe='')}")
        self._http.post(f"/nodes/{quote(node_id, safe='')}/update", {**node["Spec"], "Availability": availability}, version=node["Version"]["Index"])

    def logs(self, service_id: str, *, follow: bool, tail: str, since: int, times: bool) -> Iterator[Line]:
        """`GET /services/{id}/logs`: lines of all its tasks, from whichever nodes they are on. `since` is in seconds since 1970, 0 for all; `tail` a number of lines of each task, or "all"."""
        service = self._http.get(f"/services/{quote(service_id, safe='')}")
        terminal = bool((service["Spec"]["TaskTemplate"].get("ContainerSpec") or {}).get("TTY"))
        wanted = {"stdout": "true", "stderr": "true", "details": "true", "timestamps": "true" if times else "false", "tail": tail, "since": str(since)}
        response = self._http.stream(
            f"/services/{quote(service_id, safe='')}/logs", read_timeout=FOLLOW_SECONDS if follow else 25.0, follow="true" if follow else "false", **wanted
        )
        try:
            with translated("GET"):
                chunks = response.iter_content(chunk_size=None)
                frames = (("stdout", line) for line in lines(chunks)) if terminal else frames_of(chunks)
                for stream, data in frames:
                    yield parse_line(stream, data.decode("utf-8", "replace"), times)
        finally:
            response.close()

    def close(self) -> None:
        """Close the connections and forget the key."""
        self._http.close()

    def _list(self, path: str, **params: Any) -> list[Json]:
        found: list[Json] = self._http.get(path, **params)
        return found


def frames_of(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """The frames of a multiplexed stream (Docker Engine API, "Stream format"): a byte for the stream, three of zero, four of length in network order, the data."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _HEADER:
            size = int.from_bytes(buffer[4:_HEADER], "big")
            if len(buffer) < _HEADER + size:
                break
            yield _STREAMS.get(buffer[0], "system"), bytes(buffer[_HEADER : _HEADER + size])
            del buffer[: _HEADER + size]
    if buffer:
        raise ExternalError(ErrorKind.TRANSIENT, "docker", "the manager broke the stream of logs off in the midst of a line")


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a raw stream: what tasks with a terminal write."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def parse_line(stream: str, text: str, times: bool) -> Line:
    """`[time ]key=value,key=value text`, as the engine writes it with details (moby `daemon/logger`, docker/cli `cli/command/service/logs.go`). Values are URL-encoded there;
    ids need none."""
    text = text.rstrip("\r\n")
    if stream == "system":
        # What the engine has to say of the stream itself, such as that a node did not answer.
        return Line("", "", stream, text)
    time, rest = text.split(" ", 1) if times and " " in text else ("", text)
    details, _, message = rest.partition(" ")
    known = dict(pair.split("=", 1) for pair in details.split(",") if "=" in pair)
    if _TASK not in known:
        return Line("", "", stream, rest, time)
    return Line(known[_TASK], known.get(_NODE, ""), stream, message, time)


__all__ = ["Line", "UserSwarm"]
