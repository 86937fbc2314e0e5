"""A stand-in cloud on loopback: Keystone as far as a token and a catalog, and scripted answers for the other services. It speaks HTTP, so that the real session,
discovery and time-outs are tested."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

PASSWORD = "correct horse"


@dataclass
class Answer:
    """What to say: status, JSON (or text) body, headers; `hang` seconds before it; `drop` closes the connection instead."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    drop: bool = False


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


Script = Answer | list[Answer] | Callable[[Request], Answer]


class FakeCloud:
    """`cloud.on("GET", "/compute/v2.1/servers/detail", Answer(...))`; a list is used up in order, its last one repeated."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.tokens = 0
        self.token_answer: Answer | None = None
        self.token_extra: dict[str, Any] = {}
        """Over the token's body."""
        self.compute_url: str | None = None
        """Where the catalog says Nova is; on the fake itself when None."""
        self._scripts: dict[tuple[str, str], Script] = {}
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"cloud": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def on(self, method: str, path: str, script: Script) -> None:
        self._scripts[(method, path)] = script

    def asked(self, method: str, path: str) -> list[Request]:
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    def clouds_yaml(self, password: str = PASSWORD, auth_url: str | None = None, region: str = "One") -> bytes:
        auth = {
            "auth_url": auth_url or f"{self.url}/identity/v3",
            "username": "u",
            "password": password,
            "project_name": "p",
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        return json.dumps({"clouds": {"mine": {"auth": auth, "region_name": region}}}).encode()

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if request.path.startswith("/identity"):
                return self._keystone(request)
            script = self._scripts.get((request.method, request.path))
            if script is None:
                return Answer(404, {"message": f"no script for {request.method} {request.path}"})
            if isinstance(script, list):
                return script.pop(0) if len(script) > 1 else script[0]
        return script if isinstance(script, Answer) else script(request)

    def _keystone(self, request: Request) -> Answer:
        script = self._scripts.get((request.method, request.path))
        if isinstance(script, Answer):
            return script
        if request.method == "GET":
            return Answer(200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{self.url}/identity/v3/"}]}})
        self.tokens += 1
        if self.token_answer is not None:
            return self.token_answer
        identity = request.body["auth"]["identity"]
        if identity["methods"] == ["password"] and identity["password"]["user"]["password"] != PASSWORD:
            return Answer(401, {"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}})
        catalog = [self._service("compute", "/compute/v2.1", self.compute_url), self._service("network", "/network"), self._service("image", "/image/v2/")]
        catalog += [self._service("block-storage", "/volume/v3"), self._service("identity", "/identity")]
        expires = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + 3600))
        token = {
            "methods": ["password"],
            "expires_at": expires,
            "project": {"id": "project-1", "name": "p"},
            "catalog": catalog,
            "user": {"id": "u", "name": "u"},
        }
        token |= self.token_extra
        return Answer(201, {"token": token}, {"X-Subject-Token": f"gAAAAA{self.tokens:030d}"})

    def _service(self, kind: str, path: str, base: str | None = None) -> dict[str, Any]:
        return {
            "type": kind,
            "name": kind,
            "endpoints": [{"interface": "public", "region": "One", "region_id": "One", "url": (base or self.url) + path, "id": kind}],
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud: FakeCloud

    def log_message(self, *_: object) -> None:
        """Silent."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        parts = urlsplit(self.path)
        request = Request(self.command, parts.path, parse_qs(parts.query), dict(self.headers), json.loads(raw) if raw else None)
        answer = self.cloud.answer(request)
        if answer.hang:
            time.sleep(answer.hang)
        if answer.drop:
            self.close_connection = True
            return
        data = b"" if answer.body is None else answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client gave up waiting
            self.end_headers()
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _serve
