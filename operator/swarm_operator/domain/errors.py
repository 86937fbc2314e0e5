"""Failures of the outer world in the domain's words. Each adapter maps its client's exceptions to these once."""

from __future__ import annotations

from enum import Enum

from swarm_operator.api.reasons import Reason


class ErrorKind(Enum):
    """Classes of failure; each has its own retry delay and condition reason."""

    TRANSIENT = "transient"
    """Connection refused, timeout on a read, 5xx: retried with back-off. A 5xx has the reason CloudFailing: the API answers, and is broken."""
    RATE_LIMITED = "rate-limited"
    """429; `retry_after` is what the server asked for."""
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    """409 and Docker's "update out of sequence": observe again, then decide again."""
    UNAUTHORIZED = "unauthorized"
    """401 by Keystone, or TLS client certificate refused."""
    FORBIDDEN = "forbidden"
    """403 by policy (not by quota, which some services answer with 403 too)."""
    INVALID = "invalid"
    """400: the request itself is wrong; retrying the same does not help."""
    QUOTA = "quota"
    """Quota exceeded, whatever the status code (403, 409 or 413)."""
    NO_CAPACITY = "no-capacity"
    """No valid host; or no address left in a subnet, with the reason AddressesExhausted."""
    AMBIGUOUS = "ambiguous"
    """A write was sent and the answer lost: it may have happened. List by ownership before doing it again."""
    UNREACHABLE = "unreachable"
    """No connection: nothing was sent."""


_REASONS = {
    ErrorKind.TRANSIENT: Reason.CLOUD_UNREACHABLE,
    ErrorKind.RATE_LIMITED: Reason.RATE_LIMITED,
    ErrorKind.NOT_FOUND: Reason.REFERENCE_NOT_FOUND,
    ErrorKind.CONFLICT: Reason.CONFLICT,
    ErrorKind.UNAUTHORIZED: Reason.AUTHENTICATION_FAILED,
    ErrorKind.FORBIDDEN: Reason.FORBIDDEN,
    ErrorKind.INVALID: Reason.INVALID_SPEC,
    ErrorKind.QUOTA: Reason.QUOTA_EXCEEDED,
    ErrorKind.NO_CAPACITY: Reason.NO_CAPACITY,
    ErrorKind.AMBIGUOUS: Reason.CLOUD_UNREACHABLE,
    ErrorKind.UNREACHABLE: Reason.CLOUD_UNREACHABLE,
}


class ExternalError(Exception):
    """A call to OpenStack, Docker, Kubernetes or a guest failed.

    `system` is one of "openstack", "docker", "ssh", "kubernetes"; `message` is stable text (no request ids, no times, no secrets) that can go into a condition.
    `retry_after` is in seconds. `reason` overrides the reason that the kind stands for.
    """

    def __init__(self, kind: ErrorKind, system: str, message: str, *, retry_after: float | None = None, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.system = system
        self.message = message
        self.retry_after = retry_after
        self.reason = reason if reason is not None else _reason_for(kind, system)


def _reason_for(kind: ErrorKind, system: str) -> Reason:
    if system in ("docker", "ssh") and kind in (ErrorKind.TRANSIENT, ErrorKind.UNREACHABLE, ErrorKind.UNAUTHORIZED, ErrorKind.AMBIGUOUS):
        return Reason.MANAGER_UNREACHABLE
    if system == "docker" and kind is ErrorKind.INVALID:
        return Reason.ENGINE_REJECTED
    return _REASONS[kind]
