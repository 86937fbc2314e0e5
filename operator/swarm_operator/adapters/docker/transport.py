"""HTTP to the managers of one swarm: raw JSON over docker-py's `APIClient`, mutual TLS, fail-over, and the one place where Docker's failures become `ExternalError`.

docker-py is the transport only. Its typed service helpers rebuild whole specs from defaults that differ from the engine's, so they are not used.
Does not: know what a service is, retry beyond the list of endpoints, open an ssh tunnel.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests
from docker.api.client import APIClient
from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ReadTimeoutError

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.swarm import TlsMaterial

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 25.0
"""Above the 20 s that the engine gives its own calls to the swarm's leader (moby `daemon/cluster/cluster.go`, swarmRequestTimeout)."""
MIN_API: Final = (1, 41)
MAX_API: Final = (1, 52)
"""The newest API version that we ask for. A newer engine speaks it as well, so its answers keep the shape we know."""


class TlsFiles:
    """The PEM bytes under path names, because Python's ssl module loads client certificates from files only. The files are anonymous memory (memfd_create(2)), reached
    through /proc/self/fd: no other user can open them, and a killed process leaves no key behind on a disk. Where there is no such thing (macOS, for `kubectl swarm`), they are
    files of mode 0600 in a directory of their own."""

    def __init__(self, tls: TlsMaterial) -> None:
        self._descriptors: list[int] = []
        self._directories: list[Path] = []
        self._finalizer = weakref.finalize(self, _remove_all, self._descriptors, self._directories)
        write = self._in_memory if hasattr(os, "memfd_create") else self._on_disk
        self.ca, self.cert, self.key = (write(name, data) for name, data in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)))

    def remove(self) -> None:
        """Free the memory; safe to repeat."""
        self._finalizer()

    def _in_memory(self, name: str, data: bytes) -> str:
        descriptor = os.memfd_create(f"swarm-operator-tls-{name}", os.MFD_CLOEXEC)
        self._descriptors.append(descriptor)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        return f"/proc/self/fd/{descriptor}"

    def _on_disk(self, name: str, data: bytes) -> str:
        if not self._directories:
            self._directories.append(Path(tempfile.mkdtemp(prefix="swarm-operator-tls-")))
        path = self._directories[0] / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        return str(path)


def _remove_all(descriptors: list[int], directories: list[Path]) -> None:
    while descriptors:
        os.close(descriptors.pop())
    while directories:
        shutil.rmtree(directories.pop(), ignore_errors=True)


class Transport:
    """The managers' Docker API. Safe to share among threads; the first endpoint that answers is kept until it fails."""

    def __init__(self, endpoints: list[str], tls: TlsMaterial, *, connect_timeout: float = CONNECT_TIMEOUT, read_timeout: float = READ_TIMEOUT) -> None:
        if not endpoints:
            raise ValueError("no endpoints")
        self._endpoints = list(endpoints)
        self._timeout = (connect_timeout, read_timeout)
        self._files = TlsFiles(tls)
        self._lock = threading.Lock()
        self._clients: dict[str, APIClient] = {}
        self._preferred = 0
        self._closed = False

    def get(self, path: str, *, headers: dict[str, str] | None = None, **params: Any) -> Any:
        """The JSON answer to a GET. `headers` are further ones."""
        return self._call("GET", path, params, None, lambda r: r.json(), headers=headers)

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **params: Any) -> Any:
        """The JSON answer to a POST, None where it is empty. An answer that was lost is AMBIGUOUS. `headers` are further ones."""
        return self._call("POST", path, params, body, lambda r: r.json() if r.content else None, headers=headers)

    def delete(self, path: str, **params: Any) -> None:
        """A DELETE. An answer that was lost is AMBIGUOUS."""
        self._call("DELETE", path, params, None, lambda _: None)

    def stream(self, path: str, *, read_timeout: float, **params: Any) -> requests.Response:
        """An open streaming response; the caller closes it."""
        response: requests.Response = self._call("GET", path, params, None, lambda r: r, stream=True, read_timeout=read_timeout)
        return response

    def close(self) -> None:
        """Close all connections and delete the key files; safe to repeat."""
        with self._lock:
            self._closed = True
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()
        self._files.remove()

    def _call(
        self,
        method: str,
        path: str,
        params: dict[str, Any],
        body: Any,
        decode: Callable[[requests.Response], Any],
        *,
        stream: bool = False,
        read_timeout: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Try the endpoints in turn, from the one that answered last. The next one is tried only where it is certain that nothing was done: no connection, or 503 (no
        leader, not a manager)."""
        first = self._preferred
        failure: ExternalError | None = None
        for step in range(len(self._endpoints)):
            index = (first + step) % len(self._endpoints)
            try:
                client = self._client(self._endpoints[index])
                timeout = (self._timeout[0], read_timeout if read_timeout is not None else self._timeout[1])
                with translated(method):
                    url = f"{client.base_url}/v{client.api_version}{path}"
                    # The session's own `request`, with an explicit JSON body: docker-py's `_post_json` drops keys whose value is None.
                    response = client.request(method, url, params=params, json=body, headers=headers, timeout=timeout, stream=stream, allow_redirects=False)
                    _raise_for_status(response, method)
                    result = decode(response)
            except ExternalError as error:
                if "not a swarm manager" in error.message:
                    self._drop(self._endpoints[index])
                if error.kind is ErrorKind.UNREACHABLE or error.reason is Reason.QUORUM_LOST:
                    failure = error
                    continue
                raise
            self._preferred = index
            return result
        assert failure is not None
        raise failure

    def _client(self, endpoint: str) -> APIClient:
        with self._lock:
            if self._closed:
                raise ExternalError(ErrorKind.UNREACHABLE, "docker", "the connection was closed")
            client = self._clients.get(endpoint)
        if client is not None:
            return client
        client = self._open(endpoint)
        with self._lock:
            kept = self._clients.setdefault(endpoint, client) if not self._closed else client
        if kept is not client:
            client.close()
        return kept

    def _drop(self, endpoint: str) -> None:
        """Let go of kept connections: they lead to who had the address when they were made, and a floating IP may have gone to another manager since."""
        with self._lock:
            client = self._clients.pop(endpoint, None)
        if client is not None:
            client.close()

    def _open(self, endpoint: str) -> APIClient:
        """A client whose API version is negotiated here, once, and then pinned."""
        base = endpoint.replace("tcp://", "https://", 1)
        config = TLSConfig(client_cert=(self._files.cert, self._files.key), ca_cert=self._files.ca, verify=True)
        client = APIClient(base_url=base, version=".".join(map(str, MIN_API)), tls=config)
        client.trust_env = False  # no proxy between the operator and a manager, whatever the environment says
        client.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=16, max_retries=0))
        try:
            with translated("GET"):
                response = client.request("GET", f"{client.base_url}/version", timeout=self._timeout)
                _raise_for_status(response, "GET")
                offered = tuple(int(part) for part in str(response.json()["ApiVersion"]).split("."))
            if offered < MIN_API:
                raise ExternalError(ErrorKind.INVALID, "docker", f"the engine speaks API {'.'.join(map(str, offered))}; 1.41 or later is needed")
        except BaseException:
            client.close()
            raise
        client._version = ".".join(map(str, min(offered, MAX_API)))
        return client


@contextmanager
def translated(method: str) -> Iterator[None]:
    """Turn what `requests` raises into ExternalError. A write whose answer was lost may have happened: AMBIGUOUS, never UNREACHABLE."""
    lost = ErrorKind.TRANSIENT if method == "GET" else ErrorKind.AMBIGUOUS
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise ExternalError(ErrorKind.UNAUTHORIZED, "docker", f"TLS with the manager failed: {_tls_words(error)}") from error
    except requests.exceptions.ConnectTimeout as error:
        raise ExternalError(ErrorKind.UNREACHABLE, "docker", "the manager's Docker API does not answer (connect timeout)") from error
    except requests.exceptions.ReadTimeout as error:
        raise ExternalError(lost, "docker", "the manager's Docker API did not answer in time") from error
    except requests.exceptions.ConnectionError as error:
        if _never_connected(error):
            raise ExternalError(ErrorKind.UNREACHABLE, "docker", "the manager's Docker API can't be connected to") from error
        if "alert" in str(error).lower():
            raise ExternalError(ErrorKind.UNAUTHORIZED, "docker", f"TLS with the manager failed: {_tls_words(error)}") from error
        raise ExternalError(lost, "docker", "the connection to the manager's Docker API broke") from error
    except (requests.exceptions.RequestException, OSError) as error:
        raise ExternalError(lost, "docker", f"the exchange with the manager's Docker API failed ({type(error).__name__})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExternalError(lost, "docker", "the manager's Docker API gave an answer that can't be read") from error


def timed_out(error: BaseException) -> bool:
    """Whether a streaming read ended because nothing came within the read timeout (requests wraps urllib3's ReadTimeoutError in ConnectionError there)."""
    return isinstance(error, requests.exceptions.ReadTimeout) or (
        isinstance(error, requests.exceptions.ConnectionError) and bool(error.args) and isinstance(error.args[0], ReadTimeoutError)
    )


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return isinstance(cause, NewConnectionError | ConnectTimeoutError)


def _tls_words(error: Exception) -> str:
    """OpenSSL's reason alone: the full text holds object addresses and so is not stable."""
    text = str(error)
    for words in ("certificate verify failed", "certificate required", "bad certificate", "unknown ca", "certificate expired", "wrong version number"):
        if words in text.lower().replace("_", " "):
            return words
    return "handshake refused"


def _raise_for_status(response: requests.Response, method: str) -> None:
    if response.status_code < 400:
        return
    with response:
        try:
            message = str(response.json().get("message", ""))
        except ValueError:
            message = response.text[:200]
    raise failure_of(response.status_code, message, method)


def failure_of(status: int, message: str, method: str) -> ExternalError:
    """The domain's word for an HTTP failure of the engine. The engine wraps the swarm's gRPC errors; some keep their meaning only in the text
    (moby `errdefs`, swarmkit `manager/controlapi`)."""
    plain = message.split(" desc = ", 1)[-1].strip() or f"HTTP {status}"
    lowered = plain.lower()
    if "update out of sequence" in lowered:
        return ExternalError(ErrorKind.CONFLICT, "docker", plain)
    if "name conflicts with an existing object" in lowered or "already exists" in lowered:
        return ExternalError(ErrorKind.CONFLICT, "docker", plain, reason=Reason.NAME_CONFLICT)
    if "deadline exceeded" in lowered or "context canceled" in lowered:
        return ExternalError(ErrorKind.TRANSIENT if method == "GET" else ErrorKind.AMBIGUOUS, "docker", plain)
    if status == 503 or "swarm does not have a leader" in lowered or "not a swarm manager" in lowered:
        return ExternalError(ErrorKind.TRANSIENT, "docker", plain, reason=Reason.QUORUM_LOST)
    if status == 500 and lowered.startswith("network ") and lowered.endswith(" not found"):
        return ExternalError(ErrorKind.INVALID, "docker", plain, reason=Reason.NETWORK_NOT_FOUND)
    kind = {
        400: ErrorKind.INVALID,
        401: ErrorKind.UNAUTHORIZED,
        403: ErrorKind.FORBIDDEN,
        404: ErrorKind.NOT_FOUND,
        406: ErrorKind.INVALID,
        409: ErrorKind.CONFLICT,
        429: ErrorKind.RATE_LIMITED,
        501: ErrorKind.INVALID,
    }.get(status, ErrorKind.INVALID if status < 500 else ErrorKind.TRANSIENT)
    return ExternalError(kind, "docker", plain)
