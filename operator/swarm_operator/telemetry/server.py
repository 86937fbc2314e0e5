"""HTTP for machines that watch the operator: /livez, /readyz and /metrics.

On the loopback address by default; there is no authentication and nothing secret. Does not: decide what is healthy (it asks).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Complaints = Callable[[], list[str]]
"""What is wrong now; empty when nothing is."""

log = logging.getLogger(__name__)


class TelemetryServer:
    """Serves from a daemon thread. `port` 0 takes any free one; `address` tells which."""

    def __init__(self, host: str, port: int, *, metrics: Callable[[], bytes], live: Complaints, ready: Complaints) -> None:
        """Raises OSError when the port is taken."""
        handler = _handler(metrics, {"/livez": live, "/readyz": ready})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="telemetry", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def _handler(metrics: Callable[[], bytes], checks: dict[str, Complaints]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        server_version = "swarm-operator"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, metrics(), "text/plain; version=0.0.4; charset=utf-8")
            elif path in checks:
                complaints = checks[path]()
                self._answer(503 if complaints else 200, ("\n".join(complaints) or "ok").encode() + b"\n", "text/plain; charset=utf-8")
            else:
                self._answer(404, b"not found\n", "text/plain; charset=utf-8")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            log.debug("%s %s", self.address_string(), format % args)

    return Handler
