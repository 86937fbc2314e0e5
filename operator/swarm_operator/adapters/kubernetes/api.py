"""One HTTP call to the API server: JSON in, JSON out, timeouts always, errors mapped once.

Uses the official client for what it is good at (TLS, proxies, login, connection pool) and none of its models: they drop unknown fields and cost memory.
Does not: know any kind of object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import urllib3.exceptions
from kubernetes.client.exceptions import ApiException

from kubernetes import client
from swarm_operator import __version__
from swarm_operator.adapters.kubernetes.login import expire_token
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.telemetry.redaction import redact
from swarm_operator.telemetry.requests import Observe, ignore, observed

Json = dict[str, Any]

SYSTEM: Final = "kubernetes"
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
"""Server-side apply. JSON is YAML, and older API servers answer 415 to a JSON media type here."""

PAGE: Final = 500

_KINDS: Final = {
    400: ErrorKind.INVALID,
    401: ErrorKind.UNAUTHORIZED,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.NOT_FOUND,
    405: ErrorKind.INVALID,
    409: ErrorKind.CONFLICT,
    410: ErrorKind.TRANSIENT,
    413: ErrorKind.INVALID,
    415: ErrorKind.INVALID,
    422: ErrorKind.INVALID,
    429: ErrorKind.RATE_LIMITED,
    503: ErrorKind.TRANSIENT,
}


class KubernetesApi:
    """A long-lived connection pool to one API server. Thread safe."""

    def __init__(
        self, configuration: Any, *, observe: Observe = ignore, connect_timeout: float = 5.0, read_timeout: float = 30.0, connections: int = 32
    ) -> None:
        """`configuration` is what `login.load_configuration` gives. Timeouts in seconds, for each call; `connections` are kept open at most."""
        configuration.connection_pool_maxsize = connections
        self._configuration = configuration
        self._client: Any = client.ApiClient(configuration)
        self._client.user_agent = f"swarm-operator/{__version__}"
        self._observe = observe
        self._timeout = (connect_timeout, read_timeout)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def call(self, operation: str, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Json | None = None, media_type: str = JSON) -> Json:
        """The decoded answer. `operation` names the call in metrics. Raises ExternalError:

        UNREACHABLE when nothing was sent, TRANSIENT when a read failed, AMBIGUOUS when the answer to a write was lost, else by status code.
        """
        with observed(self._observe, SYSTEM, operation):
            try:
                return self._send(method, path, query, body, media_type)
            except ExternalError as error:
                if error.kind is not ErrorKind.UNAUTHORIZED or not expire_token(self._configuration):
                    raise
            return self._send(method, path, query, body, media_type)

    def pages(self, operation: str, path: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        """The items of a complete LIST, read in chunks of one snapshot (API concepts, "Retrieving large results sets in chunks").

        Items are not to be used before the iterator has ended: it raises when the snapshot expires on the way (410), and what was read then is partial.
        """
        token = ""
        while True:
            page = self.call(operation, "GET", path, query={**(query or {}), "limit": str(PAGE), **({"continue": token} if token else {})})
            yield from page.get("items") or []
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def _send(self, method: str, path: str, query: Mapping[str, str] | None, body: Json | None, media_type: str) -> Json:
        headers = {"Accept": JSON}
        if body is not None:
            headers["Content-Type"] = media_type
        # The client serialises dicts for some media types only, and which ones changed between its versions; text is sent as it is for all but JSON ones.
        content: Json | str | None = json.dumps(body) if body is not None and media_type == APPLY_PATCH else body
        method, url, headers, payload, _ = self._client.param_serialize(
            method=method, resource_path=path, query_params=list((query or {}).items()), header_params=headers, body=content, auth_settings=["BearerToken"]
        )
        try:
            response = self._client.call_api(method, url, header_params=headers, body=payload, _request_timeout=self._timeout)
            data: bytes = response.read() or b""
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise _lost(error, is_write=method != "GET") from error
        if not 200 <= response.status < 300:
            raise _refused(response.status, data, response.headers, is_write=method != "GET")
        try:
            decoded = json.loads(data)
        except ValueError as error:
            raise ExternalError(ErrorKind.AMBIGUOUS if method != "GET" else ErrorKind.TRANSIENT, SYSTEM, "the API server's answer is not JSON") from error
        if not isinstance(decoded, dict):
            raise ExternalError(ErrorKind.INVALID, SYSTEM, "the API server's answer is not an object")
        return decoded


def segment(name: str) -> str:
    """`name` as one segment of a path."""
    return quote(name, safe="")


def _lost(error: Exception, *, is_write: bool) -> ExternalError:
    never_sent = isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
    if never_sent:
        return ExternalError(ErrorKind.UNREACHABLE, SYSTEM, "the API server can't be reached")
    # The texts of transport errors carry addresses of objects and ports; the class says enough and stays the same.
    cause = "TLS failed" if isinstance(error, ApiException) else type(error).__name__
    return ExternalError(ErrorKind.AMBIGUOUS if is_write else ErrorKind.TRANSIENT, SYSTEM, f"no answer of the API server ({cause})")


def _refused(status: int, data: bytes, headers: Mapping[str, str], *, is_write: bool) -> ExternalError:
    message = _message(status, data)
    kind = _KINDS.get(status)
    if kind is None:
        # 500 and 504 may come after etcd took the write.
        kind = (ErrorKind.AMBIGUOUS if is_write else ErrorKind.TRANSIENT) if status >= 500 else ErrorKind.INVALID
    if "failed to create typed patch object" in message:
        # An apply that does not fit the schema is answered with 500 (structured-merge-diff's error, unclassified); the same body will never do.
        kind = ErrorKind.INVALID
        if "field not declared in schema" in message:
            message = f"the custom resource definitions are not those of this version of the operator, apply them first: {message}"[:1024]
    if kind is ErrorKind.FORBIDDEN and "exceeded quota" in message:
        kind = ErrorKind.QUOTA
    return ExternalError(kind, SYSTEM, message, retry_after=_seconds(headers.get("Retry-After")))


def _message(status: int, data: bytes) -> str:
    try:
        text = str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        text = f"the API server answered {status}"
    return redact(text)[:1024]


def _seconds(value: str | None) -> float | None:
    """`Retry-After` in its form of seconds (RFC 9110, 10.2.3); the API server sends no dates."""
    return float(value) if value is not None and value.isdigit() else None
