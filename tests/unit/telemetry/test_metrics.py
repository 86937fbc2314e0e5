from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.outcome import After, Done, Retry
from swarm_operator.engine.queue import WorkQueue
from swarm_operator.telemetry import reference
from swarm_operator.telemetry.metrics import Metrics
from swarm_operator.telemetry.requests import observed
from swarm_operator.telemetry.server import TelemetryServer

DOCS = Path(__file__).resolve().parents[3] / "docs"


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_reconciles_are_counted_by_result() -> None:
    metrics = Metrics()
    for outcome in (Done(), Done(), After(1), Retry("cloud away"), Retry("InternalError")):
        metrics.reconciled("SwarmCluster", outcome, 0.2)
    results = {result: value(metrics, "swarm_operator_reconcile_total", kind="SwarmCluster", result=result) for result in ("done", "after", "retry", "error")}
    assert results == {"done": 2, "after": 1, "retry": 1, "error": 1}
    assert value(metrics, "swarm_operator_reconcile_duration_seconds_count", kind="SwarmCluster") == 5


def test_expected_answers_are_no_errors() -> None:
    metrics = Metrics()
    with observed(metrics.observe_request, "openstack", "list_servers"):
        pass
    for kind in (ErrorKind.NOT_FOUND, ErrorKind.TRANSIENT):
        with pytest.raises(ExternalError), observed(metrics.observe_request, "openstack", "list_servers"):
            raise ExternalError(kind, "openstack", "m")
    with pytest.raises(KeyError), observed(metrics.observe_request, "openstack", "list_servers"):
        raise KeyError

    def count(name: str, outcome: str) -> float | None:
        return value(metrics, name, system="openstack", operation="list_servers", outcome=outcome)

    outcomes = ("ok", "not-found", "transient", "error")
    assert [count("swarm_operator_external_request_total", outcome) for outcome in outcomes] == [1, 1, 1, 1]
    assert [count("swarm_operator_external_request_errors_total", outcome) for outcome in outcomes] == [None, None, 1, 1]


def test_the_queue_is_read_at_scrape_time() -> None:
    metrics, clock = Metrics(), FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    last: list[float | None] = [None]
    metrics.collect_from(queue.figures, lambda: last[0])
    queue.add("a")
    clock.advance(3)
    assert value(metrics, "swarm_operator_queue_depth") == 1
    assert value(metrics, "swarm_operator_queue_oldest_age_seconds") == 3
    assert value(metrics, "swarm_operator_resync_last_success_timestamp_seconds") is None
    queue.get(0)
    last[0] = 1234.0
    clock.advance(2)
    assert value(metrics, "swarm_operator_queue_depth") == 0
    assert value(metrics, "swarm_operator_queue_longest_running_seconds") == 2
    assert value(metrics, "swarm_operator_resync_last_success_timestamp_seconds") == 1234
    assert value(metrics, "swarm_operator_queue_adds_total") == 1


def fetch(server: TelemetryServer, path: str) -> tuple[int, str]:
    host, port = server.address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_server_tells_health_and_metrics_on_loopback() -> None:
    metrics = Metrics()
    complaints = ["no complete list yet"]
    server = TelemetryServer("127.0.0.1", 0, metrics=metrics.exposition, live=list, ready=lambda: complaints)
    server.start()
    try:
        assert server.address[0] == "127.0.0.1"
        assert fetch(server, "/livez") == (200, "ok\n")
        assert fetch(server, "/readyz") == (503, "no complete list yet\n")
        complaints.clear()
        assert fetch(server, "/readyz?verbose")[0] == 200
        status, text = fetch(server, "/metrics")
        assert status == 200
        assert "swarm_operator_build_info{version=" in text
        assert fetch(server, "/etc/passwd")[0] == 404
    finally:
        server.stop()


def test_the_page_of_metrics_is_not_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["--check", str(DOCS)]) == 0, capsys.readouterr().out
    assert reference.main(["--check", str(tmp_path)]) == 1
    assert reference.main(["--write", str(tmp_path)]) == 0
    assert reference.main(["--check", str(tmp_path)]) == 0


def test_metrics_are_named_and_explained_as_prometheus_wants_it() -> None:
    """Prometheus documentation, "Metric and label naming"."""
    for metric in reference.described():
        assert re.fullmatch(r"swarm(_operator|cluster|service|stack|workerpool)_[a-z_]+", metric.name)
        assert metric.text.endswith("."), metric.name
        assert not set(metric.labels) & {"id", "uid", "node", "address", "message", "url"}, metric.name


def test_leadership_is_asked_for_at_each_scrape() -> None:
    metrics, leads = Metrics(), [False]
    metrics.lead_from("l", lambda: leads[0])
    assert value(metrics, "swarm_operator_leader", lease="l") == 0
    leads[0] = True
    assert value(metrics, "swarm_operator_leader", lease="l") == 1


def test_events_are_counted_by_reason() -> None:
    metrics = Metrics()
    metrics.event_recorded("SwarmCluster", "Normal", "Replaced")
    metrics.event_recorded("SwarmCluster", "Normal", "Replaced")
    assert value(metrics, "swarm_operator_events_total", kind="SwarmCluster", type="Normal", reason="Replaced") == 2
