"""The one place where failures of OpenStack become `ExternalError`.

Messages go into conditions, so they must not change from one attempt to the next: request ids, object addresses, times and anything that could be a secret are cut.
"""

from __future__ import annotations

import contextlib
import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from keystoneauth1 import exceptions as ksa
from openstack import exceptions as sdk

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.faults import tells_of_addresses
from swarm_operator.domain.errors import ErrorKind, ExternalError

SYSTEM: Final = "openstack"
_LONGEST: Final = 512


class Effect(Enum):
    """What a call may do: it decides what a lost answer means."""

    READ = "read"
    WRITE = "write"
    """Safe to repeat (DELETE, PUT)."""
    CREATE = "create"
    """Not safe to repeat (POST of a new object)."""


def external(kind: ErrorKind, message: str, *, retry_after: float | None = None, reason: Reason | None = None) -> ExternalError:
    """An `ExternalError` of this system with a stable message."""
    return ExternalError(kind, SYSTEM, stable(message), retry_after=retry_after, reason=reason)


_UNSTABLE: Final = (
    (re.compile(r"\s*\((?:HTTP \d+|Request-ID: [^)]*)\)"), ""),
    (re.compile(r"(?:\(?\breq(?:uest)?[-_ ]?id:?\s*)?\breq-[0-9a-fA-F-]{36}\)?"), ""),
    (re.compile(r"<[\w.]+ object at 0x[0-9a-fA-F]+>:?\s*"), ""),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), ""),
    (re.compile(r"\bgAAAAA[\w=-]{20,}"), "(token)"),
    (re.compile(r"(https?://)[^/\s@]+@"), r"\1"),
    (re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\")]+"), r"\1"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?"), "(time)"),
    (re.compile(r"</?[A-Za-z][^>]*>"), " "),
    (re.compile(r"\s+"), " "),
)


def stable(text: str) -> str:
    """`text` without what changes between attempts and without what may be secret; one line, at most 512 characters."""
    for pattern, replacement in _UNSTABLE:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


# Wording of Nova (api/openstack/compute, exception.py), Neutron (neutron_lib exceptions OverQuota), Glance and Cinder; oslo.limit says "over limit".
_QUOTA: Final = re.compile(
    r"quota exceeded|exceeds? (?:the |allowed \S+ )?quota|exceeded.{0,40}quota|over ?quota|over limit|maximum number of .{1,40} exceeded|too many key pairs",
    re.I | re.S,
)
_CAPACITY: Final = re.compile(r"no valid host", re.I)
_ADDRESSES_TYPES: Final = frozenset({"IpAddressGenerationFailure", "ExternalIpAddressExhausted"})


def from_response(response: requests.Response, what: str, effect: Effect) -> ExternalError:
    """The failure that an HTTP answer of 400 and above stands for. `what` says what was asked, in words for the user ("create server demo-0")."""
    text, fault_type = body_message(response)
    status = response.status_code
    retry_after = _retry_after(response)
    kind = _kind(status, text, fault_type, retry_after, effect)
    reason = Reason.CLOUD_FAILING if status >= 500 and kind in (ErrorKind.TRANSIENT, ErrorKind.AMBIGUOUS) else None
    if kind is ErrorKind.NO_CAPACITY and _no_addresses(text, fault_type):
        reason = Reason.ADDRESSES_EXHAUSTED
    return external(kind, f"{what}: {text or response.reason or ''} ({status})", retry_after=retry_after, reason=reason)


def _no_addresses(text: str, fault_type: str) -> bool:
    """A subnet that is full: no host, zone or flavor helps."""
    return fault_type in _ADDRESSES_TYPES or tells_of_addresses(text)


def _kind(status: int, text: str, fault_type: str, retry_after: float | None, effect: Effect) -> ErrorKind:
    # By its words and not by the status: Neutron says 409, Nova 403 or 413, Glance 413, oslo.limit 403 and 413.
    if 400 <= status < 500 and status not in (401, 404, 429) and (fault_type in ("OverQuota", "OverLimit") or _QUOTA.search(text)):
        return ErrorKind.QUOTA
    if _CAPACITY.search(text) or _no_addresses(text, fault_type):
        return ErrorKind.NO_CAPACITY
    # Nova's and Swift's old rate limit middleware answered 413 with Retry-After.
    if status == 429 or (status == 413 and retry_after is not None):
        return ErrorKind.RATE_LIMITED
    if status in (500, 502, 504) and effect is Effect.CREATE:
        return ErrorKind.AMBIGUOUS  # the service, or a proxy before it, gave up in the middle: the object may exist
    if status >= 500:
        return ErrorKind.TRANSIENT
    return {401: ErrorKind.UNAUTHORIZED, 403: ErrorKind.FORBIDDEN, 404: ErrorKind.NOT_FOUND, 409: ErrorKind.CONFLICT, 408: ErrorKind.TRANSIENT}.get(
        status, ErrorKind.INVALID
    )


def body_message(response: requests.Response) -> tuple[str, str]:
    """The message of an error body and its type where it names one. Nova: {"badRequest": {"message"}}; Neutron: {"NeutronError": {"type", "message"}};
    Keystone: {"error": {"message"}}; Glance and proxies: text or HTML."""
    with contextlib.suppress(ValueError):
        body: Any = json.loads(response.text)
        if isinstance(body, dict):
            inner = body if isinstance(body.get("message"), str) else next((part for part in body.values() if isinstance(part, dict)), body)
            if isinstance(inner.get("message"), str):
                return inner["message"], str(inner.get("type", ""))
            text = next((part for part in body.values() if isinstance(part, str)), "")
            return text, str(inner.get("type", ""))
    return re.sub(r"<(head|style|script)\b.*?</\1>", " ", response.text[:4096], flags=re.S | re.I), ""


def _retry_after(response: requests.Response) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3: a number of seconds, or an HTTP date)."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdigit():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return None


def from_exception(error: Exception, what: str, effect: Effect) -> ExternalError:
    """The failure behind an exception of requests, keystoneauth or openstacksdk. Exceptions of programming are not expected here."""
    if isinstance(error, ksa.HttpError) and error.response is not None:
        return from_response(error.response, what, effect)
    if isinstance(error, sdk.HttpException) and isinstance(error.response, requests.Response):
        return from_response(error.response, what, effect)
    if isinstance(error, ksa.SSLError):
        return external(ErrorKind.UNREACHABLE, f"{what}: TLS: {_tls_cause(error)}")
    if isinstance(error, (ksa.ConnectFailure, ksa.ConnectTimeout, ksa.UnknownConnectionError)):
        return _from_connection(error, what, effect)
    if isinstance(error, (ksa.EndpointNotFound, ksa.EmptyCatalog)):
        return external(ErrorKind.INVALID, f"{what}: {error}; check region_name and interface in clouds.yaml", reason=Reason.CREDENTIALS_MALFORMED)
    if isinstance(error, (ksa.MissingRequiredOptions, ksa.MissingAuthPlugin, ksa.NoMatchingPlugin, ksa.OptionError)):
        return external(ErrorKind.INVALID, f"clouds.yaml: {error}", reason=Reason.CREDENTIALS_MALFORMED)
    if isinstance(error, ksa.DiscoveryFailure):  # its text asks to check auth_url, whatever the cause; the cause is what it was raised from
        beneath = next((part for part in _chain(error)[1:] if isinstance(part, (ksa.HttpError, ksa.ConnectionError))), None)
        if beneath is not None:
            return from_exception(beneath, what, effect)
    if isinstance(error, (ksa.DiscoveryFailure, ksa.RetriableConnectionFailure)):
        return external(ErrorKind.TRANSIENT, f"{what}: {error}")
    if isinstance(error, OSError):  # a CA file named in clouds.yaml that is not here
        return external(ErrorKind.INVALID, f"{what}: {error}", reason=Reason.CREDENTIALS_MALFORMED)
    return external(ErrorKind.TRANSIENT, f"{what}: {type(error).__name__}: {error}")


def _from_connection(error: Exception, what: str, effect: Effect) -> ExternalError:
    """keystoneauth wraps every time-out and connection error alike; whether the request had left is in the exceptions beneath."""
    chain = _chain(error)
    host = next((urlsplit(match.group(0)).netloc.rpartition("@")[2] for part in chain if (match := re.search(r"https?://[^\s/'\"]+", str(part)))), "")
    peer = f" {host}" if host else ""
    not_sent = (
        requests.exceptions.ConnectTimeout,
        requests.exceptions.ProxyError,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.NameResolutionError,
        urllib3.exceptions.ProxyError,
    )
    if any(isinstance(part, not_sent) for part in chain):
        return external(ErrorKind.UNREACHABLE, f"{what}: no connection to{peer}: {_connect_cause(chain)}")
    lost = "no answer in time" if any(isinstance(part, requests.exceptions.Timeout) for part in chain) else "the connection broke"
    return external(ErrorKind.TRANSIENT if effect is Effect.READ else ErrorKind.AMBIGUOUS, f"{what}: {lost} from{peer}")


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and all that it wraps: causes, contexts, urllib3's `reason` and exceptions among its arguments."""
    seen: list[BaseException] = []
    queue: list[Any] = [error]
    while queue:
        part = queue.pop(0)
        if isinstance(part, BaseException) and not any(part is known for known in seen):
            seen.append(part)
            queue += [part.__cause__, part.__context__, getattr(part, "reason", None), *part.args]
    return seen


def _connect_cause(chain: list[BaseException]) -> str:
    for part in chain:
        if isinstance(part, OSError) and part.strerror and not isinstance(part, requests.exceptions.RequestException):
            return part.strerror
    for part in chain:
        if match := re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", str(part)):
            return match.group(1)
    return "timed out" if any("timed out" in str(part) or "Timeout" in type(part).__name__ for part in chain) else "failed"


def _tls_cause(error: BaseException) -> str:
    match = re.search(r"(certificate verify failed[^(\]]*|[a-z ]+alert[a-z ]*|wrong version number)", str(error), re.I)
    return match.group(1).strip() if match else "handshake failed"
