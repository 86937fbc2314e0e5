"""The one place where failures of ssh and of a guest's engine become `ExternalError`. Messages are stable and hold no token."""

from __future__ import annotations

import re
from typing import Final, Literal

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError

_TOKEN: Final = re.compile(r"SWM(?:TKN|KEY)-\S+")
_LONGEST: Final = 512


def redact(text: str) -> str:
    """One line without join tokens and unlock keys, at most 512 characters."""
    return re.sub(r"\s+", " ", _TOKEN.sub("(secret)", text)).strip()[:_LONGEST]


def external(kind: ErrorKind, system: Literal["ssh", "docker"], message: str, reason: Reason | None = None) -> ExternalError:
    """An `ExternalError` with a stable message."""
    return ExternalError(kind, system, redact(message), reason=reason)


def unverified(address: str, why: str) -> ExternalError:
    """The host key is not one that is trusted."""
    return external(ErrorKind.INVALID, "ssh", f"{address}: {why}", Reason.HOST_KEY_UNVERIFIED)


# Engine API: "already part of a swarm" and "not part of a swarm" are both answered with 503 (406 before 20.10), so the text tells them apart (moby, daemon/cluster/errors.go).
_TEXTS: Final = (
    (re.compile(r"already part of a swarm", re.I), ErrorKind.CONFLICT),
    (re.compile(r"update out of sequence", re.I), ErrorKind.CONFLICT),
    (re.compile(r"invalid join token|join token is invalid|valid join token is necessary", re.I), ErrorKind.INVALID),
)
_STATUSES: Final = {400: ErrorKind.INVALID, 401: ErrorKind.UNAUTHORIZED, 403: ErrorKind.FORBIDDEN, 404: ErrorKind.NOT_FOUND, 409: ErrorKind.CONFLICT}


def engine_error(status: int, text: str, what: str) -> ExternalError:
    """The failure that an answer of the engine stands for."""
    for pattern, kind in _TEXTS:
        if pattern.search(text):
            return external(kind, "docker", f"{what}: {text}")
    return external(_STATUSES.get(status, ErrorKind.TRANSIENT if status >= 500 else ErrorKind.INVALID), "docker", f"{what}: {text} ({status})")
