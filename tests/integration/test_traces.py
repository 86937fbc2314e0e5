"""The real operator on a real API server sends traces to a collector: a reconcile, its calls, and the same trace id in its log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.kube import Kubectl, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest

pytestmark = pytest.mark.lab
Span = dict[str, Any]


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Span]]]:
    """Its address, and the spans that came."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            spans.extend(span for resource in body["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


def test_a_reconcile_and_its_calls_are_one_trace(place: str, lab_env: dict[str, str], collector: tuple[str, list[Span]], tmp_path: Path) -> None:
    address, spans = collector
    kubectl, log = Kubectl(lab_env, place), tmp_path / "operator.log"
    with Operator(lab_env, place, log, "--otlp-endpoint", address, "--log-format", "json", "--log-level", "DEBUG"):
        kubectl.apply(cluster_manifest("c"))
        eventually(lambda: "SecretNotFound" in str(kubectl.get("swarmcluster", "c").get("status")), within=40)
        kubectl("delete", "swarmcluster", "c", "--timeout=30s", timeout=40)
    roots = [span for span in spans if span["name"] == "reconcile SwarmCluster"]
    assert roots, "sent at the latest when the process ends"
    calls = [span for span in spans if span.get("parentSpanId") in {root["spanId"] for root in roots}]
    assert "kubernetes" in {one["value"]["stringValue"] for span in calls for one in span["attributes"] if one["key"] == "swarmops.system"}
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    logged = {line["trace"] for line in lines if "trace" in line}
    assert {root["traceId"] for root in roots} <= logged
