"""How the engine's answers and broken connections become the domain's errors. The servers here are plain sockets and HTTP on loopback; TLS is proved on a real dockerd."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.adapters.docker.swarm import DockerSwarm, _after, _from_header
from swarm_operator.adapters.docker.transport import TlsFiles, Transport, failure_of
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.swarm import TlsMaterial

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str]]
    answers: dict[str, Answer]
    api = "1.41"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        if self.path == "/version":
            return self.reply(200, {"ApiVersion": self.api})
        self.seen.append((self.command, self.path))
        path = self.path.split("?")[0].split("/", 2)[2]
        return self.answers[path](self)

    def reply(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Manager:
    def __init__(self, api: str = "1.41") -> None:
        self.seen: list[tuple[str, str]] = []
        self.answers: dict[str, Answer] = {}
        handler = type("Bound", (Handler,), {"seen": self.seen, "answers": self.answers, "api": api})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def managers() -> Iterator[list[Manager]]:
    both = [Manager(), Manager("1.99")]
    yield both
    for manager in both:
        manager.stop()


def transport(*managers: Manager) -> Transport:
    return Transport([m.endpoint for m in managers], TlsMaterial(b"", b"", b""), connect_timeout=1, read_timeout=0.5)


def error_of(call: Callable[[], Any]) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


def cut(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def hang(handler: Handler) -> None:
    threading.Event().wait(1.5)


@pytest.mark.parametrize(
    ("status", "message", "method", "kind", "reason"),
    [
        (500, "rpc error: code = Unknown desc = update out of sequence", "POST", ErrorKind.CONFLICT, Reason.CONFLICT),
        (
            409,
            "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service a already exists",
            "POST",
            ErrorKind.CONFLICT,
            Reason.NAME_CONFLICT,
        ),
        (500, "network nope not found", "POST", ErrorKind.INVALID, Reason.NETWORK_NOT_FOUND),
        (400, "rpc error: code = InvalidArgument desc = bad port", "POST", ErrorKind.INVALID, Reason.ENGINE_REJECTED),
        (501, "renaming services is not supported", "POST", ErrorKind.INVALID, Reason.ENGINE_REJECTED),
        (503, "This node is not a swarm manager.", "GET", ErrorKind.TRANSIENT, Reason.QUORUM_LOST),
        (500, "rpc error: code = Unknown desc = The swarm does not have a leader.", "POST", ErrorKind.TRANSIENT, Reason.QUORUM_LOST),
        (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", "POST", ErrorKind.AMBIGUOUS, Reason.MANAGER_UNREACHABLE),
        (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", "GET", ErrorKind.TRANSIENT, Reason.MANAGER_UNREACHABLE),
        (404, "service x not found", "GET", ErrorKind.NOT_FOUND, Reason.REFERENCE_NOT_FOUND),
        (500, "", "GET", ErrorKind.TRANSIENT, Reason.MANAGER_UNREACHABLE),
    ],
)
def test_statuses(status: int, message: str, method: str, kind: ErrorKind, reason: Reason) -> None:
    failure = failure_of(status, message, method)
    assert (failure.kind, failure.reason) == (kind, reason)
    assert "rpc error" not in failure.message


@pytest.mark.parametrize("break_it", [cut, hang])
def test_a_lost_answer_is_ambiguous_for_a_write_and_transient_for_a_read(managers: list[Manager], break_it: Answer) -> None:
    managers[0].answers["services/create"] = managers[0].answers["services"] = break_it
    http = transport(*managers)
    assert error_of(lambda: http.post("/services/create", {})).kind is ErrorKind.AMBIGUOUS
    assert error_of(lambda: http.get("/services")).kind is ErrorKind.TRANSIENT
    assert managers[1].seen == []  # never repeated elsewhere: it may have happened
    http.close()


@pytest.mark.parametrize(("status", "text", "kept"), [(200, "", True), (503, "This node is not a swarm manager.", False)])
def test_a_connection_to_who_is_no_manager_is_not_kept(managers: list[Manager], status: int, text: str, kept: bool) -> None:
    """A floating IP may have gone to another since."""
    callers: list[Any] = []

    def answer(handler: Handler) -> None:
        callers.append(handler.client_address)
        handler.reply(status, {"message": text})

    managers[0].answers["services"] = answer
    http = transport(managers[0])
    for _ in range(2):
        if kept:
            http.get("/services")
        else:
            assert error_of(lambda: http.get("/services")).reason is Reason.QUORUM_LOST
    assert (callers[0] == callers[1]) is kept
    http.close()


def test_a_write_that_was_certainly_not_done_goes_to_the_next_manager(managers: list[Manager]) -> None:
    managers[0].answers["services/create"] = lambda h: h.reply(503, {"message": "This node is not a swarm manager."})
    managers[1].answers["services/create"] = lambda h: h.reply(201, {"ID": "x"})
    swarm = DockerSwarm(transport(*managers))
    assert swarm.create_service({}) == "x"
    assert swarm.create_service({}) == "x"
    assert len(managers[0].seen) == 1  # the manager that answered is kept
    managers[1].stop()
    managers[1].answers["services/create"] = cut
    swarm.close()


def test_other_failures_stay_with_the_manager_that_gave_them(managers: list[Manager]) -> None:
    managers[0].answers["services/create"] = lambda h: h.reply(400, {"message": "bad"})
    http = transport(*managers)
    assert error_of(lambda: http.post("/services/create", {})).kind is ErrorKind.INVALID
    assert managers[1].seen == []
    http.close()


def test_the_api_version_is_negotiated_once_and_capped(managers: list[Manager]) -> None:
    managers[1].answers["services"] = lambda h: h.reply(200, [])
    http = transport(managers[1])
    http.get("/services")
    http.get("/services")
    assert managers[1].seen == [("GET", "/v1.52/services")] * 2
    http.close()


def test_an_engine_that_is_too_old_is_refused() -> None:
    old = Manager("1.40")
    http = transport(old)
    failure = error_of(lambda: http.get("/services"))
    assert failure.kind is ErrorKind.INVALID
    assert "1.41" in failure.message
    http.close()
    old.stop()


def test_an_unreadable_answer_is_no_absence(managers: list[Manager]) -> None:
    def garbage(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"{{{")

    managers[0].answers["services/x"] = managers[0].answers["services/create"] = garbage
    swarm = DockerSwarm(transport(managers[0]))
    assert error_of(lambda: swarm.inspect_service("x")).kind is ErrorKind.TRANSIENT
    assert error_of(lambda: swarm.create_service({})).kind is ErrorKind.AMBIGUOUS
    swarm.close()


def test_ids_are_quoted_into_the_path(managers: list[Manager]) -> None:
    managers[0].answers["services/a%2F..%2Fb"] = lambda h: h.reply(404, {"message": "no"})
    swarm = DockerSwarm(transport(managers[0]))
    assert swarm.inspect_service("a/../b") is None
    swarm.close()


def test_since_is_the_instant_after_the_last_event() -> None:
    assert _after(1_700_000_000_999_999_999) == "1700000001.000000000"
    assert _from_header("Thu, 01 Jan 1970 00:01:00 GMT") == {"since": "60"}
    assert _from_header(None) == {}


@pytest.mark.parametrize("memory", [True, False])
def test_key_files_are_their_owners_only_and_go(memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In memory; where the system has no anonymous files, on disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
    files = TlsFiles(TlsMaterial(b"ca", b"cert", b"key"))
    assert [Path(path).read_bytes() for path in (files.ca, files.cert, files.key)] == [b"ca", b"cert", b"key"]
    assert len(list(tmp_path.iterdir())) == (0 if memory else 1)
    if not memory:
        assert stat.S_IMODE(Path(files.key).stat().st_mode) == 0o600 and stat.S_IMODE(Path(files.key).parent.stat().st_mode) == 0o700
    files.remove()
    files.remove()
    assert not list(tmp_path.iterdir()) and not Path(files.key).exists()
