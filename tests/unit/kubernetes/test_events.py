from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm_operator.adapters.kubernetes.api import KubernetesApi
from swarm_operator.adapters.kubernetes.events import EventRecorder
from swarm_operator.adapters.kubernetes.login import load_configuration
from swarm_operator.api.reasons import Reason
from swarm_operator.engine.clock import FakeClock
from swarm_operator.ports.objects import Key, Resource


def resource(name: str = "c", uid: str = "u1") -> Resource:
    return Resource(key=Key("SwarmCluster", "ns", name), uid=uid, generation=1, resource_version="9", spec={}, status={})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def recorder(server: Any, tmp_path: Path, clock: FakeClock) -> EventRecorder:
    return EventRecorder(KubernetesApi(load_configuration(server.kubeconfig(tmp_path, {})), connect_timeout=1), clock, burst=5, refill_seconds=60)


def test_repeats_are_counted_and_written_now_and_then(recorder: EventRecorder, server: Any, clock: FakeClock) -> None:
    for _ in range(10):
        recorder.record(resource(), Reason.CREATED, "server made")
    recorder.flush()
    assert [request.method for request in server.requests] == ["POST"]
    created = server.requests[0].body
    assert created["involvedObject"]["uid"] == "u1"
    assert created["firstTimestamp"] == "2026-01-01T00:00:00Z"
    clock.advance(30)
    recorder.record(resource(), Reason.CREATED, "server made")
    recorder.flush()
    patch = server.requests[1]
    assert (patch.method, patch.body) == ("PATCH", {"count": 11, "lastTimestamp": "2026-01-01T00:00:30Z"})
    assert patch.path.endswith(f"/{created['metadata']['name']}")


def test_another_reason_message_type_or_object_is_another_event(recorder: EventRecorder, server: Any) -> None:
    recorder.record(resource(), Reason.CREATED, "a")
    recorder.record(resource(), Reason.CREATED, "b")
    recorder.record(resource(), Reason.DELETED, "a")
    recorder.record(resource(), Reason.CREATED, "a", warning=True)
    recorder.record(resource(uid="u2"), Reason.CREATED, "a")
    recorder.flush()
    assert len({request.body["metadata"]["name"] for request in server.requests}) == 5


def test_each_object_has_a_budget(recorder: EventRecorder, server: Any, clock: FakeClock) -> None:
    for number in range(50):
        recorder.record(resource(), Reason.CREATED, f"number {number}")
    recorder.record(resource("d", "u2"), Reason.CREATED, "other")
    recorder.flush()
    assert len(server.requests) == 6
    clock.advance(60)
    recorder.record(resource(), Reason.CREATED, "later")
    recorder.record(resource(), Reason.CREATED, "and later")
    recorder.flush()
    assert len(server.requests) == 7


def test_an_event_that_the_server_forgot_is_written_anew(recorder: EventRecorder, server: Any, answer: Any, clock: FakeClock) -> None:
    recorder.record(resource(), Reason.CREATED, "a")
    recorder.flush()
    server.answer = lambda request: answer(404 if request.method == "PATCH" else 201)
    clock.advance(4000)
    recorder.record(resource(), Reason.CREATED, "a")
    recorder.flush()
    assert [request.method for request in server.requests] == ["POST", "PATCH", "POST"]
    assert server.requests[2].body["count"] == 2


def test_nothing_is_raised_and_nothing_secret_is_told(recorder: EventRecorder, server: Any, answer: Any, clock: FakeClock) -> None:
    server.answer = lambda request: answer(500)
    recorder.record(resource(), Reason.TOKEN_ROTATED, "old was SWMTKN-1-abc " + "x" * 3000)
    recorder.flush()
    message = server.requests[0].body["message"]
    assert "SWMTKN" not in message
    assert len(message) == 1024
    server.answer = lambda request: answer(201)
    clock.advance(31)
    recorder.record(resource(), Reason.TOKEN_ROTATED, "old was SWMTKN-1-abc " + "x" * 3000)
    recorder.flush()
    assert server.requests[1].method == "POST", "the first one was never there"
    server.close()
    recorder.record(resource(), Reason.CREATED, "away")
    recorder.flush()
    recorder.close()
    recorder.record(resource(), Reason.CREATED, "after the end")


def test_names_stay_within_the_limit(recorder: EventRecorder, server: Any) -> None:
    recorder.record(resource("a" * 236 + ".b"), Reason.CREATED, "a")
    recorder.flush()
    name = server.requests[0].body["metadata"]["name"]
    assert len(name) <= 253
    assert ".." not in name
