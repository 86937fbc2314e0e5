"""The metadata proxy: 169.254.169.254:80 in each network's namespace, forwarded to nova-metadata.

As in Neutron's metadata agent, the guest is known by its network and source address; its id, its project and an HMAC-SHA256
of the id under the shared secret go along as headers (nova/api/metadata/handler.py checks them).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import http.server
import socket
import threading
import time
from collections.abc import Callable

from swarmlab import paths
from swarmlab.hosts import network
from swarmlab.hosts.kernel import namespace_inode, network_namespace

Lookup = Callable[[str, str], tuple[str, str] | None]
"""(network id, source address) -> (server id, project id), or None when no server has that address."""

_CACHE_SECONDS = 5.0
_FORWARDED = ("Content-Type", "Content-Length", "Accept", "User-Agent", "X-Metadata-Token")


def signature(secret: str, instance_id: str) -> str:
    """X-Instance-ID-Signature."""
    return hmac.new(secret.encode(), instance_id.encode(), hashlib.sha256).hexdigest()


class Proxy:
    """Listeners for all networks. ``lookup`` asks Neutron; its answers are kept for a few seconds."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._servers: dict[tuple[str, int], http.server.ThreadingHTTPServer] = {}
        self._known: dict[tuple[str, str], tuple[float, tuple[str, str]]] = {}

    def follow(self, network_ids: set[str]) -> None:
        """Listen in exactly these networks; their namespaces must exist."""
        wanted = {(i, namespace_inode(network.network_namespace_of(i))) for i in network_ids}
        for gone in set(self._servers) - wanted:
            server = self._servers.pop(gone)
            server.shutdown()
            server.server_close()
        for new in wanted - set(self._servers):
            self._servers[new] = self._listen(new[0])

    def _listen(self, network_id: str) -> http.server.ThreadingHTTPServer:
        with network_namespace(network.network_namespace_of(network_id)):
            listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((network.METADATA_ADDRESS, 80))
        listener.listen(32)
        server = http.server.ThreadingHTTPServer(("", 0), self._handler(network_id), bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        # The loop wakes for requests at once; the interval is only how soon it sees shutdown().
        threading.Thread(target=server.serve_forever, args=(2.0,), daemon=True).start()
        return server

    def identify(self, network_id: str, address: str) -> tuple[str, str] | None:
        """The server and project behind an address."""
        key = (network_id, address)
        known = self._known.get(key)
        if known and known[0] > time.monotonic():
            return known[1]
        found = self._lookup(network_id, address)
        if found:
            self._known[key] = (time.monotonic() + _CACHE_SECONDS, found)
        return found

    def _handler(self, network_id: str) -> type[http.server.BaseHTTPRequestHandler]:
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                self._forward()

            do_POST = do_PUT = do_HEAD = do_GET

            def _forward(self) -> None:
                try:
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    status, headers, answer = proxy.forward(network_id, self.client_address[0], self.command, self.path, dict(self.headers), body)
                except OSError as error:
                    status, headers, answer = 502, {}, f"nova-metadata: {error}\n".encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Paths can carry nothing of interest, and user data must not reach a log."""

        return Handler

    def forward(self, network_id: str, address: str, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """One request to nova-metadata on behalf of a guest: status, headers, body."""
        identity = self.identify(network_id, address)
        if identity is None:
            return 404, {}, b"no server has this address\n"
        server_id, project_id = identity
        secret = paths.METADATA_SHARED_SECRET_FILE.read_text().strip()
        sent = {name: value for name, value in headers.items() if name in _FORWARDED}
        sent |= {
            "X-Forwarded-For": address,
            "X-Instance-ID": server_id,
            "X-Tenant-ID": project_id,
            "X-Instance-ID-Signature": signature(secret, server_id),
        }
        connection = http.client.HTTPConnection(paths.LOOPBACK, paths.PORT_NOVA_METADATA, timeout=30)
        try:
            connection.request(method, path, body or None, sent)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        kept = {n: v for n, v in answer.getheaders() if n.lower() in ("content-type", "location")}
        return answer.status, kept, data
