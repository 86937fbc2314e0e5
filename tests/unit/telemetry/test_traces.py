"""Traces: what a reconcile leaves, how it is sent, and that a collector that is away costs nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from swarm_operator.telemetry.traces import CAPACITY, Tracer, document, to_collector
from swarmlab import gotools, paths

JUDGE = shutil.which(gotools.OTLP_JUDGE, path=f"{os.environ.get('PATH', '')}:{paths.BIN}")


class Rig:
    """A tracer whose clock stands still unless moved, and whose requests are kept."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.counted: Counter[str] = Counter()
        self.now = 1_000_000_000_000
        self.tracer = Tracer(lambda body: self.bodies.append(json.loads(body)), lambda result, count: self.counted.update({result: count}), lambda: self.now)

    def spans(self) -> list[dict[str, Any]]:
        """Start, stop, and all that was sent."""
        self.tracer.start()
        self.tracer.stop()
        return [span for body in self.bodies for scope in body["resourceSpans"][0]["scopeSpans"] for span in scope["spans"]]


def attributes(span: dict[str, Any]) -> dict[str, str]:
    return {one["key"]: one["value"]["stringValue"] for one in span["attributes"]}


def reconcile(rig: Rig, name: str = "reconcile SwarmCluster") -> str:
    trace = rig.tracer.started(name, {"swarmops.name": "blue"})
    rig.now += 3_000_000_000
    rig.tracer.request("nova", "list_servers", "ok", 1.5)
    rig.tracer.request("nova", "get_server", "not-found", 0.0)
    rig.tracer.request("nova", "create_server", "quota", 0.5)
    rig.tracer.finished("retry", True)
    return trace


def test_a_reconcile_is_a_trace_with_its_calls() -> None:
    rig = Rig()
    trace = reconcile(rig)
    listed, asked, refused, root = rig.spans()
    assert {span["traceId"] for span in (listed, asked, refused, root)} == {trace}
    assert [span.get("parentSpanId") for span in (listed, asked, refused, root)] == [root["spanId"]] * 3 + [None]
    assert (root["name"], listed["name"]) == ("reconcile SwarmCluster", "nova list_servers")
    assert int(root["endTimeUnixNano"]) - int(root["startTimeUnixNano"]) == 3_000_000_000
    assert int(listed["endTimeUnixNano"]) - int(listed["startTimeUnixNano"]) == 1_500_000_000
    assert [span["status"] for span in (listed, asked, refused, root)] == [{}, {}, {"code": 2}, {"code": 2}], "an answer of not-found is no failure"
    assert attributes(root) == {"swarmops.name": "blue", "swarmops.result": "retry"}
    assert attributes(refused)["swarmops.outcome"] == "quota"
    assert rig.counted == {"sent": 4}


def test_calls_outside_of_a_reconcile_and_of_other_threads_are_not_mixed_in() -> None:
    rig = Rig()
    rig.tracer.request("kubernetes", "get_lease", "ok", 0.1)
    rig.tracer.finished("done", False)
    threads = [threading.Thread(target=reconcile, args=(rig, f"r{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = rig.spans()
    assert Counter(span["traceId"] for span in spans) == {span["traceId"]: 4 for span in spans} and len({span["traceId"] for span in spans}) == 8
    assert len({span["spanId"] for span in spans}) == 32


def test_what_does_not_fit_is_dropped_and_counted_without_waiting() -> None:
    rig = Rig()
    for _ in range(CAPACITY + 10):
        rig.tracer.started("r", {})
        rig.tracer.finished("done", False)
    assert rig.counted == {"dropped": 10}


@contextmanager
def collector(status: int) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A server that answers with `status`; its address, and (path, content type, body) of what came."""
    came: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "counted"), [(200, {"sent": 1}), (503, {"dropped": 1})])
def test_it_is_posted_as_the_protocol_says(status: int, counted: dict[str, int]) -> None:
    counts: Counter[str] = Counter()
    with collector(status) as (address, came):
        tracer = Tracer(to_collector(address + "/"), lambda result, count: counts.update({result: count}))
        tracer.started("r", {})
        tracer.finished("done", False)
        tracer.start()
        tracer.stop()
    ((path, content, _),) = came
    assert (path, content, counts) == ("/v1/traces", "application/json", counted)


def test_a_collector_that_is_away_costs_a_batch_and_no_more() -> None:
    counts: Counter[str] = Counter()
    tracer = Tracer(to_collector("http://127.0.0.1:1"), lambda result, count: counts.update({result: count}))
    tracer.start()
    began = time.monotonic()
    tracer.started("r", {})
    tracer.finished("done", False)
    assert time.monotonic() - began < 1
    tracer.stop()
    assert counts == {"dropped": 1}


@pytest.mark.skipif(JUDGE is None, reason="no otlp-judge here: `deploy/lab/lab tools` builds it")
def test_the_decoder_of_the_collector_reads_it() -> None:
    rig = Rig()
    trace = reconcile(rig)
    done = subprocess.run([str(JUDGE)], input=json.dumps(document(rig.spans())), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert {one["trace"] for one in read} == {trace}
    root = read[-1]
    assert [(one["name"], one["parent"], one["kind"], one["status"], one["nanoseconds"]) for one in read] == [
        ("nova list_servers", root["span"], "Client", "Unset", 1_500_000_000),
        ("nova get_server", root["span"], "Client", "Unset", 0),
        ("nova create_server", root["span"], "Client", "Error", 500_000_000),
        ("reconcile SwarmCluster", "", "Internal", "Error", 3_000_000_000),
    ]
