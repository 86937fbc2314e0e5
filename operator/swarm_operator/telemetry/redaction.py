"""Keeps secrets out of everything that leaves the process as text: logs and Events.

The last line of defence, not the first: code that knows that a value is secret does not log it. Does not: know fields or formats, only text.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "[redacted]"

_PATTERNS: Final = (
    # Swarm join tokens and unlock keys (moby: swarmkit `ca.ParseJoinToken` and `encryption.ParseHumanReadableKey`).
    (re.compile(r"\bSWM(?:TKN|KEY)-[A-Za-z0-9-]+"), MASK),
    # PEM blocks (RFC 7468), whole or cut off, with real or escaped line ends.
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), MASK),
    # Headers: Authorization: Bearer x, X-Auth-Token: x, X-Subject-Token: x
    (re.compile(r"(?i)(\bauthorization\b[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"',}]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1{MASK}"),
    # key=value and "key": "value", quoted values may hold spaces.
    (
        re.compile(
            r"(?i)(\b[a-z0-9_.-]*(?:password|passwd|passphrase|secret_key|application_credential_secret|auth[_-]?token|subject-token|joinworker|joinmanager|join_token"
            r"|unlock_?key|access_token|swarm_token)\b\\?[\"']?\s*[:=]\s*)(\\?\"[^\"]*\"|'[^']*'|[^\s\"',;}&]+)"
        ),
        rf"\1{MASK}",
    ),
    # Credentials in a URL.
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(@)"), rf"\1{MASK}\2"),
)


def redact(text: str) -> str:
    """`text` with tokens, keys, PEM blocks and passwords masked."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
