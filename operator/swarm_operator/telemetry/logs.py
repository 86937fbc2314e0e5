"""Log records with the object they are about, as text or JSON lines, without secrets.

The object is bound to the thread by `bind`; everything logged while it is reconciled carries it, by whatever library. Does not: write files or rotate them.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

from swarm_operator.telemetry.redaction import redact

Format = Literal["json", "text"]

_fields: ContextVar[Mapping[str, str]] = ContextVar("log fields", default={})  # noqa: B039 - never changed, only replaced

# Chatty libraries: at INFO they log each connection and each request.
_QUIET = (
    "kopf.objects",
    "kopf._core.engines.activities",
    "urllib3",
    "paramiko",
    "openstack",
    "keystoneauth",
    "stevedore",
    "asyncio",
    "docker",
    "aiohttp.access",
)


def bind(**fields: str) -> None:
    """From now on the records of this thread carry these fields, and no others that were bound before."""
    _fields.set(fields)


def unbind() -> None:
    """Records of this thread carry no fields."""
    _fields.set({})


class _Redacting(logging.Formatter):
    """Redacts the formatted message and the traceback: the text as it would be written, so that no argument or exception slips by."""

    def _text(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            text = f"{text}\n{record.exc_text}"
        return redact(text)


class JsonFormatter(_Redacting):
    """One JSON object per line: time, level, logger, message, and the bound fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "message": self._text(record), **_fields.get()}
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(_Redacting):
    """time LEVEL [key] message (logger)"""

    def format(self, record: logging.LogRecord) -> str:
        key = _fields.get().get("key")
        return f"{_time(record)} {record.levelname:<7} {f'[{key}] ' if key else ''}{self._text(record)} ({record.name})"


def configure(log_format: Format, level: str, stream: TextIO | None = None) -> None:
    """Make the root logger write to `stream` (stderr) and to nothing else. `level` is a name such as INFO; raises ValueError for another."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.handlers[:] = [handler]
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
