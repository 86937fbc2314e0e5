"""A SwarmCluster that names a swarm of somebody else's: it is seen, SwarmServices have a session, and nothing is made or changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator import World
from simulator.world import KEY, UID
from swarm_operator.api.parse import SpecError, parse_cluster
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.swarm import Node, SwarmView
from swarm_operator.engine.outcome import After, Done, Retry
from swarm_operator.ports.objects import Resource

SPEC = {"external": {"endpoints": ["tcp://192.0.2.1:2376"], "tlsSecretRef": {"name": "theirs"}}}
NODES = (
    Node("m", "m", "manager", "active", "ready", 1, leader=True, reachability="reachable"),
    Node("w", "w", "worker", "active", "down", 1),
)


class Theirs:
    """The swarm; any write would fail for want of the method."""

    def __init__(self) -> None:
        self.answer: Any = SwarmView("swarm-1", NODES, engine_version="26.1", engine_api_version="1.45")

    def view(self) -> SwarmView:
        if isinstance(self.answer, Exception):
            raise self.answer
        view: SwarmView = self.answer
        return view


def world_with(monkeypatch: pytest.MonkeyPatch) -> tuple[World, Theirs]:
    world, theirs = World(), Theirs()
    world.objects.resources[KEY] = Resource(KEY, UID, 1, "0", dict(SPEC), {})
    world.objects.secrets[("default", "theirs")] = ("user", {"ca.pem": b"a", "cert.pem": b"b", "key.pem": b"c"})
    publish = world.sessions.publish

    def published(*args: Any) -> Any:
        session = publish(*args)
        session.swarm = theirs
        return session

    monkeypatch.setattr(world.sessions, "publish", published)
    return world, theirs


def test_it_is_seen_and_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = world_with(monkeypatch)
    controller = world.controller()
    for _ in range(3):
        assert isinstance(controller.reconcile(KEY), After)
    assert world.condition("Ready") == ("True", "Reconciled") and world.condition("ManagersQuorate")[0] == "True"
    status = world.status
    assert (status.swarm_id, status.engine_version, status.managers.summary, status.workers.summary) == ("swarm-1", "26.1", "1/1", "0/1")
    assert world.sessions.open == {KEY: ["tcp://192.0.2.1:2376"]}
    assert world.cloud.writes == 0 and world.objects.writes == 0 and world.objects.status_writes == 1
    assert not any(call.startswith(("cloud", "clouds", "hosts")) for call in world.faults.calls)
    assert world.resource is not None and world.resource.finalizers == ()


def test_no_certificate_no_answer_and_no_quorum_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world, theirs = world_with(monkeypatch)
    controller = world.controller()
    theirs.answer = ExternalError(ErrorKind.UNREACHABLE, "docker", "no manager answers")
    assert isinstance(controller.reconcile(KEY), Retry)
    assert world.condition("Ready") == ("Unknown", "ManagerUnreachable")
    theirs.answer = SwarmView("swarm-1", (replace(NODES[0], leader=False, reachability="unreachable"),))
    controller.reconcile(KEY)
    assert world.condition("Ready") == ("False", "QuorumLost")
    del world.objects.secrets[("default", "theirs")]
    assert isinstance(controller.reconcile(KEY), Retry)
    assert world.condition("CredentialsValid") == ("False", "SecretNotFound") and "'theirs'" in world.message("Ready")
    assert world.sessions.open == {}, "a certificate that was taken away is used no more"


def test_another_swarm_behind_the_endpoints_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world, theirs = world_with(monkeypatch)
    controller = world.controller()
    controller.reconcile(KEY)
    theirs.answer = SwarmView("swarm-2", NODES)
    assert isinstance(controller.reconcile(KEY), Retry)
    assert world.condition("ManagersQuorate") == ("False", "NameConflict") and world.condition("Stalled")[0] == "True"
    assert world.status.swarm_id == "swarm-1" and world.sessions.open == {}


def test_its_end_takes_nothing_down(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = world_with(monkeypatch)
    controller = world.controller()
    controller.reconcile(KEY)
    world.delete()
    assert world.resource is None
    assert controller.reconcile(KEY) == Done()
    assert world.sessions.open == {}


@pytest.mark.parametrize("spec", [{}, {"identityRef": {"secretName": "c"}}, {**SPEC, "identityRef": {"secretName": "c"}}])
def test_it_is_one_or_the_other(spec: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        parse_cluster(spec)
