"""Traces, where they are asked for: one for each reconcile, with a span for each call to another system in it, sent by OTLP over HTTP in its JSON form.

The protocol is a POST of one document (OpenTelemetry specification, "OTLP/HTTP" and "JSON Protobuf Encoding"), so no package of OpenTelemetry is needed for it. Spans carry kind, namespace, name, system,
operation and outcome: no message, id or URL, so nothing secret. Does not: trace calls outside of a reconcile (lease, lists of the sweep) or in threads that a reconcile starts, sample, or try again.
"""

from __future__ import annotations

import json
import logging
import queue
import secrets
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final, Literal

from swarm_operator import __version__
from swarm_operator.telemetry.requests import EXPECTED

CAPACITY: Final = 4096
"""Spans that wait to be sent; beyond it they are dropped: traces must not cost memory when their collector is away."""
BATCH: Final = 512
PERIOD: Final = 5.0
"""Seconds for which spans are gathered."""
TIMEOUT: Final = 5.0

INTERNAL, CLIENT = 1, 3
"""SpanKind."""
ERROR = 2
"""StatusCode."""

Send = Callable[[bytes], None]
"""Sends one ExportTraceServiceRequest. Raises OSError, HTTPException or ValueError."""
CountSpans = Callable[[Literal["sent", "dropped"], int], None]

log = logging.getLogger(__name__)


@dataclass
class _Open:
    """The reconcile of this thread."""

    name: str
    attributes: Mapping[str, str]
    start: int
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))


_open: ContextVar[_Open | None] = ContextVar("the open reconcile", default=None)


def to_collector(endpoint: str) -> Send:
    """To `endpoint`/v1/traces of an OpenTelemetry collector."""

    def send(body: bytes) -> None:
        request = urllib.request.Request(f"{endpoint.rstrip('/')}/v1/traces", body, {"Content-Type": "application/json"})  # noqa: S310 - the scheme is checked by settings
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            answer.read()

    return send


class Tracer:
    """`started`, `request` and `finished` are called in the thread of the reconcile, never block and never raise; a thread of its own sends."""

    def __init__(self, send: Send, count: CountSpans, now: Callable[[], int] = time.time_ns) -> None:
        self._send = send
        self._count = count
        self._now = now
        self._spans: queue.Queue[dict[str, Any] | None] = queue.Queue(CAPACITY)
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, for at most two timeouts."""
        try:
            self._spans.put(None, timeout=TIMEOUT)
        except queue.Full:
            return
        if self._thread.ident is not None:
            self._thread.join(TIMEOUT)

    def started(self, name: str, attributes: Mapping[str, str]) -> str:
        """A reconcile begins in this thread. The trace's id, for its log lines."""
        opened = _Open(name, attributes, self._now())
        _open.set(opened)
        return opened.trace_id

    def request(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        """An `Observe`: a call has ended."""
        opened = _open.get()
        if opened is None:
            return
        end = self._now()
        attributes = {"swarmops.system": system, "swarmops.operation": operation, "swarmops.outcome": outcome}
        self._put(
            opened, secrets.token_hex(8), opened.span_id, f"{system} {operation}", CLIENT, end - int(seconds * 1e9), end, attributes, outcome not in EXPECTED
        )

    def finished(self, result: str, failed: bool) -> None:
        """The reconcile of this thread has ended."""
        opened = _open.get()
        if opened is None:
            return
        _open.set(None)
        self._put(opened, opened.span_id, "", opened.name, INTERNAL, opened.start, self._now(), {**opened.attributes, "swarmops.result": result}, failed)

    def _put(self, opened: _Open, span_id: str, parent: str, name: str, kind: int, start: int, end: int, attributes: Mapping[str, str], failed: bool) -> None:
        span: dict[str, Any] = {
            "traceId": opened.trace_id,
            "spanId": span_id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(end),
            "attributes": _attributes(attributes),
            "status": {"code": ERROR} if failed else {},
        }
        if parent:
            span["parentSpanId"] = parent
        try:
            self._spans.put_nowait(span)
        except queue.Full:
            self._count("dropped", 1)

    def _run(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._gather()
            if batch:
                self._export(batch)

    def _gather(self) -> tuple[list[dict[str, Any]], bool]:
        """What came within PERIOD of the first span, at most BATCH; and whether that was all."""
        batch: list[dict[str, Any]] = []
        end = float("inf")
        while len(batch) < BATCH:
            try:
                span = self._spans.get(timeout=None if not batch else max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if span is None:
                return batch, True
            if not batch:
                end = time.monotonic() + PERIOD
            batch.append(span)
        return batch, False

    def _export(self, batch: list[dict[str, Any]]) -> None:
        try:
            self._send(json.dumps(document(batch)).encode())
        except (OSError, HTTPException, ValueError) as error:  # ValueError: an address that urllib can't read
            self._count("dropped", len(batch))
            log.warning("%d spans were not taken: %s", len(batch), type(error).__name__)
        else:
            self._count("sent", len(batch))


def document(spans: list[dict[str, Any]]) -> dict[str, Any]:
    """An ExportTraceServiceRequest."""
    resource = {"attributes": _attributes({"service.name": "swarm-operator", "service.version": __version__})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "swarm_operator", "version": __version__}, "spans": spans}]}]}


def _attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
