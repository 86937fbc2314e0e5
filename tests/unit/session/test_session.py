"""The session: what events and lists wake, and how few calls it makes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swarm_operator.controllers.session import ClusterSession, ClusterSessions
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.render import Owner
from swarm_operator.domain.swarm import Node
from swarm_operator.engine.clock import FakeClock, SystemClock
from swarm_operator.ports.objects import Key
from swarm_operator.ports.swarm import SwarmEvent, TlsMaterial
from unit.service.fakes import TLS, FakeSwarm, FakeSwarms

CLUSTER = Key("SwarmCluster", "default", "c")
WEB, API = Key("SwarmService", "default", "web"), Key("SwarmService", "default", "api")
OWNER = Owner("uid-1", "default", "web")


def spec(name: str, mode: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "Name": name,
        "Labels": {"io.swarmops.service-uid": "uid-1"},
        "TaskTemplate": {"ContainerSpec": {"Image": "i"}},
        "Mode": mode or {"Replicated": {"Replicas": 1}},
    }


class Bench:
    def __init__(self) -> None:
        self.clock, self.swarm = FakeClock(), FakeSwarm()
        self.woken: list[Key] = []
        self.sessions = ClusterSessions(FakeSwarms(self.swarm), self.woken.append, self.clock, follow_events=False)
        self.session = self.sessions.publish(CLUSTER, "u", ["tcp://10.0.0.1:2376"], TLS)
        self.web = self.swarm.create_service(spec("web"))
        self.api = self.swarm.create_service({**spec("api"), "Labels": {}})
        self.session.track(WEB, "web", self.web)
        self.session.track(API, "api", self.api)
        self.session._streaming = True
        self.session.resync()
        self.swarm.calls.clear()
        self.woken.clear()

    def event(self, kind: str, action: str, actor: str, **attributes: str) -> None:
        self.session.handle(SwarmEvent(kind, action, actor, attributes))
        self.session.flush()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_service_event_wakes_its_key_and_reads_that_service_alone(bench: Bench) -> None:
    bench.swarm.outside(bench.web, lambda s: s["Labels"].update(x="1"))
    bench.event("service", "update", bench.web, name="web")
    assert bench.woken == [WEB]
    own, _ = bench.session.find(OWNER, "web", bench.web)
    assert own is not None
    assert own.labels["x"] == "1"
    assert bench.swarm.calls == [f"inspect_service {bench.web}"]


def test_many_lookups_cost_one_list_per_lifetime(bench: Bench) -> None:
    for _ in range(50):
        bench.session.find(OWNER, "web", bench.web)
    assert bench.swarm.calls == []
    bench.clock.advance(46)
    for _ in range(50):
        bench.session.find(OWNER, "web", bench.web)
    assert bench.swarm.calls == ["list_services"]


def test_many_stale_services_are_read_by_one_list(bench: Bench) -> None:
    for number in range(20):
        bench.session.invalidate(bench.swarm.create_service(spec(f"s{number}")))
    bench.swarm.calls.clear()
    bench.session.find(OWNER, "web", bench.web)
    assert bench.swarm.calls == ["list_services"]


def test_absence_is_confirmed_by_a_fresh_look(bench: Bench) -> None:
    missing = Owner("uid-9", "default", "new")
    assert bench.session.find(missing, "new", None) == (None, None)
    assert bench.swarm.calls == ["inspect_service new"]
    made = bench.swarm.create_service({**spec("new"), "Labels": {"io.swarmops.service-uid": "uid-9"}})
    own, namesake = bench.session.find(missing, "new", None)
    assert (own.id if own else None, namesake) == (made, None)


def test_a_resync_wakes_only_what_changed(bench: Bench) -> None:
    bench.session.resync()
    assert bench.woken == []
    bench.swarm.outside(bench.web, lambda s: s["Labels"].update(x="1"))  # no event came
    bench.session.resync()
    assert bench.woken == [WEB]
    bench.woken.clear()
    bench.swarm.tasks[bench.api] = []  # a task died: no version changes
    bench.session.resync()
    assert bench.woken == [API]
    bench.woken.clear()
    bench.swarm.remove_service(bench.api)
    bench.session.resync()
    assert bench.woken == [API]


def test_missed_events_make_the_lists_more_frequent(bench: Bench) -> None:
    due = bench.session._next_list
    bench.swarm.outside(bench.web, lambda s: s["Labels"].update(x="1"))
    bench.session.resync()
    assert bench.session._next_list - bench.clock.monotonic() == 5
    bench.session.resync()
    assert bench.session._next_list - bench.clock.monotonic() == 30
    assert due == 30


def test_a_change_found_by_anyones_list_wakes_its_key(bench: Bench) -> None:
    bench.swarm.outside(bench.api, lambda s: s["Labels"].update(x="1"))
    bench.clock.advance(46)
    bench.session.find(OWNER, "web", bench.web)
    assert bench.woken == [API]


def test_an_old_read_after_our_write_is_not_believed(bench: Bench) -> None:
    version = bench.swarm.services[bench.web]["Version"]["Index"]
    bench.session.wrote(bench.web, version)  # the manager still shows the old one
    with pytest.raises(ExternalError) as caught:
        bench.session.find(OWNER, "web", bench.web)
    assert caught.value.kind is ErrorKind.CONFLICT
    bench.swarm.outside(bench.web, lambda s: None)
    own, _ = bench.session.find(OWNER, "web", bench.web)
    assert own is not None
    assert own.version > version


def test_a_node_event_wakes_the_cluster_and_global_services(bench: Bench) -> None:
    everywhere = bench.swarm.create_service(spec("everywhere", {"Global": {}}))
    agent = Key("SwarmService", "default", "agent")
    bench.session.track(agent, "everywhere", everywhere)
    bench.session.resync()
    bench.woken.clear()
    bench.session.view()
    bench.swarm.calls.clear()
    bench.event("node", "update", "n1", **{"state.old": "ready", "state.new": "down"})
    assert set(bench.woken) == {CLUSTER, agent}
    bench.swarm.nodes = [Node("n1", "node-1", "manager", "active", "down", 2)]
    assert bench.session.view().nodes[0].state == "down"


def test_a_view_that_was_read_while_a_node_changed_is_not_kept(bench: Bench) -> None:
    read = bench.swarm.view

    def slow(**_: Any) -> Any:
        found = read()
        bench.event("node", "update", "n1")
        return found

    bench.swarm.view = slow  # type: ignore[method-assign]
    bench.session.view()
    bench.swarm.view = read  # type: ignore[method-assign]
    bench.swarm.nodes = []
    assert bench.session.view().nodes == ()


def test_the_view_is_read_again_only_for_an_unknown_network(bench: Bench) -> None:
    bench.session.view({"front"})
    bench.clock.advance(5)
    bench.session.view({"front"})
    assert bench.swarm.calls.count("view") == 1
    bench.session.view({"new"})
    bench.session.view({"new"})
    assert bench.swarm.calls.count("view") == 2


def test_publish_is_idempotent_and_replaces_on_change(bench: Bench) -> None:
    same = bench.sessions.publish(CLUSTER, "u", ["tcp://10.0.0.1:2376"], TLS)
    assert same is bench.session
    assert "close" not in bench.swarm.calls
    other = bench.sessions.publish(CLUSTER, "u", ["tcp://10.0.0.2:2376"], TLS)
    assert other is not bench.session
    assert bench.swarm.calls[-1] == "close"
    assert set(bench.woken) == {WEB, API}
    assert bench.sessions.publish(CLUSTER, "u", ["tcp://10.0.0.2:2376"], TlsMaterial(b"ca", b"new", b"key")) is not other


def test_drop_and_forget(bench: Bench) -> None:
    bench.sessions.forget(API)
    bench.sessions.drop(CLUSTER)
    assert bench.woken == [WEB]
    assert bench.sessions.get(CLUSTER) is None


class Streaming(FakeSwarm):
    """Events from a script: each item is an event, None, or an error that ends the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.script: list[SwarmEvent | ExternalError | None] = []
        self.more = threading.Event()

    def events(self, *, timeout: float) -> Iterator[SwarmEvent | None]:
        self.opened += 1
        yield None
        while True:
            while self.script:
                item = self.script.pop(0)
                if isinstance(item, ExternalError):
                    raise item
                yield item
            self.more.wait(0.02)
            self.more.clear()
            yield None


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def live() -> Iterator[tuple[Streaming, list[Key], ClusterSession]]:
    swarm, woken = Streaming(), []
    sessions = ClusterSessions(FakeSwarms(swarm), woken.append, SystemClock())
    session = sessions.publish(CLUSTER, "u", ["tcp://10.0.0.1:2376"], TLS)
    yield swarm, woken, session
    sessions.close()
    session._thread.join(5)
    assert not session._thread.is_alive()


def test_the_thread_lists_on_connect_and_debounces_bursts(live: tuple[Streaming, list[Key], ClusterSession]) -> None:
    swarm, woken, session = live
    eventually(lambda: "list_services" in swarm.calls)
    session.track(WEB, "web", "id1")
    swarm.script += [SwarmEvent("service", "update", "id1", {"name": "web"})] * 20
    eventually(lambda: bool(woken))
    time.sleep(0.2)
    assert woken == [WEB]


def test_a_broken_stream_is_opened_again_and_everything_looked_at(live: tuple[Streaming, list[Key], ClusterSession]) -> None:
    swarm, woken, session = live
    eventually(lambda: swarm.calls.count("list_services") == 1)
    session.track(WEB, "web", "id1")
    swarm.script.append(ExternalError(ErrorKind.TRANSIENT, "docker", "broke"))
    eventually(lambda: swarm.opened >= 2 and swarm.calls.count("list_services") == 2)
    eventually(lambda: WEB in woken and CLUSTER in woken)


def test_a_failing_list_takes_the_stream_down(live: tuple[Streaming, list[Key], ClusterSession]) -> None:
    swarm, _, session = live
    eventually(lambda: swarm.calls.count("list_services") == 1)
    swarm.failures["list_services"] = [ExternalError(ErrorKind.UNREACHABLE, "docker", "gone")]
    session._next_list = 0
    eventually(lambda: swarm.opened >= 2)


@pytest.mark.parametrize("method", ["inspect_service", "list_services"])
def test_an_event_during_a_read_makes_it_read_again(bench: Bench, method: str) -> None:
    read = getattr(bench.swarm, method)

    def slow(*args: Any) -> Any:
        found = read(*args)
        bench.swarm.outside(bench.web, lambda s: s["Labels"].update(late="1"))
        bench.session.invalidate(bench.web)
        return found

    setattr(bench.swarm, method, slow)
    bench.session.invalidate(bench.web)
    if method == "list_services":
        bench.clock.advance(46)
    bench.session.find(OWNER, "web", bench.web)
    setattr(bench.swarm, method, read)
    own, _ = bench.session.find(OWNER, "web", bench.web)
    assert own is not None
    assert own.labels["late"] == "1"


def test_configs_and_secrets_are_listed_once_for_all_and_again_after_an_event() -> None:
    bench = Bench()
    bench.session._streaming = True
    bench.swarm.create_material("Secret", "s", b"x", {})
    bench.swarm.calls.clear()
    assert [m.name for m in bench.session.materials({("Secret", "s")})] == ["s"]
    bench.session.materials(set())
    assert bench.swarm.calls == ["list_materials"]
    bench.session.materials({("Config", "new")})  # not known: a look is worth it
    assert bench.swarm.calls == ["list_materials"] * 2
    bench.session.handle(SwarmEvent("secret", "remove", "m1", {"name": "s"}))
    bench.session.materials(set())
    assert bench.swarm.calls == ["list_materials"] * 3
    assert bench.woken == []
