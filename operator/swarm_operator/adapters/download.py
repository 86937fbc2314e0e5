"""HTTP downloads of what a manifest names: http and https only, never to an address that only this host or its link can reach.

Whoever may write a SwarmCluster makes the operator send a GET to an address of their choice, from its place in the network. So the address that a name resolves to is looked at, and
that very address is connected to: a name can't resolve to another one in between. The answer reaches the asker only as an image whose checksum they knew before.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin, urlsplit

from swarm_operator import __version__
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.downloads import Download

MOST_REDIRECTS: Final = 5
CHUNK: Final = 1 << 20
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}


class HttpDownloads:
    """`ports.downloads.Downloads`. `timeout` is for the connection and for each read."""

    def __init__(self, timeout: float = 30.0) -> None:
        self._timeout = timeout

    @contextlib.contextmanager
    def open(self, url: str) -> Iterator[Download]:
        """See `ports.downloads.Downloads`."""
        connection, response = self._follow(url)
        try:
            length = response.getheader("Content-Length")
            yield Download(int(length) if length is not None and length.isdigit() else None, self._chunks(response, url))
        finally:
            connection.close()

    def _follow(self, url: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        for _ in range(MOST_REDIRECTS + 1):
            connection = self._connect(url)
            parts = urlsplit(url)
            try:
                connection.request(
                    "GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers={"User-Agent": f"swarm-operator/{__version__}"}
                )
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise _failed(ErrorKind.TRANSIENT, f"{_shown(url)}: {type(error).__name__}") from error
            if response.status == 200:
                return connection, response
            location = response.getheader("Location")
            connection.close()
            if response.status not in _REDIRECTS or not location:
                kind = ErrorKind.TRANSIENT if response.status in (408, 429) or response.status >= 500 else ErrorKind.INVALID
                raise _failed(kind, f"{_shown(url)}: HTTP status {response.status}")
            following = urljoin(url, location)
            if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
                raise _failed(ErrorKind.INVALID, f"{_shown(url)}: redirects from https to {urlsplit(following).scheme}")
            url = following
        raise _failed(ErrorKind.INVALID, f"more than {MOST_REDIRECTS} redirects")

    def _connect(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        try:
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            port = 0
        if parts.scheme not in _PORTS or not parts.hostname or not port or "@" in parts.netloc:
            raise _failed(ErrorKind.INVALID, f"{_shown(url)}: only http and https without user names are followed")
        context = ssl.create_default_context() if parts.scheme == "https" else None
        connection = _Pinned(parts.hostname, port, _address(parts.hostname, port), self._timeout, context)
        try:
            connection.connect()
        except (OSError, ssl.SSLError) as error:
            raise _failed(ErrorKind.TRANSIENT, f"{_shown(url)}: can't connect: {type(error).__name__}") from error
        return connection

    @staticmethod
    def _chunks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _failed(ErrorKind.TRANSIENT, f"{_shown(url)}: the download broke off") from error
            if not chunk:
                if response.length:
                    raise _failed(ErrorKind.TRANSIENT, f"{_shown(url)}: the download broke off")
                return
            yield chunk


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name resolves to meanwhile; the certificate is checked against the name."""

    def __init__(self, host: str, port: int, address: str, timeout: float, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address, self._tls = address, context

    def connect(self) -> None:
        sock = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=self.host)


def _address(host: str, port: int) -> str:
    """The first address of the host; INVALID where any of them is one that is not to be asked."""
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise _failed(ErrorKind.TRANSIENT, f"{host}: the name does not resolve") from error
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped else address
        if inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner == ipaddress.ip_address("fd00:ec2::254"):
            raise _failed(ErrorKind.INVALID, f"{host}: is {text}, an address that images are not fetched from")
    if not found:
        raise _failed(ErrorKind.TRANSIENT, f"{host}: the name does not resolve")
    return found[0]


def _shown(url: str) -> str:
    """Without query, which may hold a signature, and without user names."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _failed(kind: ErrorKind, message: str) -> ExternalError:
    return ExternalError(kind, "download", message, reason=Reason.IMAGE_FAILED)
