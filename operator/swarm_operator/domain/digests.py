"""The hash of a value, as it is kept in server metadata, descriptions of ports, names and status. Its form never changes: another hash there would mean another machine, port or revision."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

WHOLE: Final = 64
"""Hexadecimal digits of a SHA-256."""


def digest_of(value: Any, length: int = WHOLE) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of the value as JSON with sorted keys and no blanks: equal for equal values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:length]
