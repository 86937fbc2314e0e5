"""What `kubectl swarm` asks of engines, on real ones of two generations, compared with the docker command."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from harness.kube import eventually
from integration.private_engine import ENGINES, PrivateEngine, engine_of, swarm_of
from swarm_operator.adapters.docker.user import Line, UserSwarm
from swarm_operator.domain.errors import ErrorKind, ExternalError

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and iproute2")
SAY = "echo one; echo two >&2; echo 'a = b, c'; exec sleep 100000"


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[PrivateEngine]:
    with swarm_of(engine_of(request.param), image="busybox:1") as started:
        for name, flags in (("plain", ("--replicas", "2")), ("terminal", ("--tty",))):
            started.docker("service", "create", "-q", "--detach", "--no-resolve-image", "--name", name, *flags, "busybox:1", "sh", "-c", SAY)
        yield started


@pytest.fixture
def swarm(engine: PrivateEngine) -> Iterator[UserSwarm]:
    opened = UserSwarm([engine.endpoint], engine.tls)
    yield opened
    opened.close()


def service_id(swarm: UserSwarm, name: str) -> str:
    return str(next(service["ID"] for service in swarm.services() if service["Spec"]["Name"] == name))


def said(swarm: UserSwarm, name: str, wanted: int, *, times: bool = False, tail: str = "all") -> list[Line]:
    """The lines, once there are so many."""

    def read() -> list[Line] | None:
        found = list(swarm.logs(service_id(swarm, name), follow=False, tail=tail, since=0, times=times))
        return found if len(found) >= wanted else None

    found: list[Line] = eventually(read, within=60, what=f"{wanted} lines of {name}")
    return found


def test_lines_of_all_tasks_come_with_their_streams(swarm: UserSwarm, engine: PrivateEngine) -> None:
    lines = said(swarm, "plain", 6)

    def running() -> set[str] | None:
        """The engine hears of a task's state after its first lines may be there."""
        found = {task["ID"] for task in swarm.tasks(service_id(swarm, "plain")) if task["Status"]["State"] == "running"}
        return found if len(found) == 2 else None

    tasks: set[str] = eventually(running, within=30, what="both tasks run")
    assert {line.task_id for line in lines} == tasks and {line.node_id for line in lines} == {swarm.nodes()[0]["ID"]}
    for task in tasks:
        assert sorted((line.stream, line.text) for line in lines if line.task_id == task) == [("stderr", "two"), ("stdout", "a = b, c"), ("stdout", "one")]
    raw = engine.docker("service", "logs", "--raw", "plain")
    assert sorted(raw.stdout.splitlines() + raw.stderr.splitlines()) == sorted(line.text for line in lines)


def test_times_and_tail(swarm: UserSwarm) -> None:
    lines = said(swarm, "plain", 6, times=True)
    assert all(line.time.endswith("Z") and line.time[:2] == "20" for line in lines) and {line.text for line in lines} == {"one", "two", "a = b, c"}
    assert len(said(swarm, "plain", 2, tail="1")) == 2, "one line of each task"


def test_tasks_with_a_terminal_have_one_stream(swarm: UserSwarm) -> None:
    for times in (False, True):
        lines = said(swarm, "terminal", 3, times=times)
        assert [line.text for line in lines] == ["one", "two", "a = b, c"] and all(line.task_id and line.stream == "stdout" for line in lines)


def test_following_brings_what_is_written_later(swarm: UserSwarm, engine: PrivateEngine) -> None:
    engine.docker(
        "service", "create", "-q", "--detach", "--no-resolve-image", "--name", "ticks", "busybox:1", "sh", "-c", "while true; do echo tick; sleep 1; done"
    )
    eventually(lambda: said(swarm, "ticks", 1), within=60, what="the first tick")
    begun, seen = time.monotonic(), []
    for line in swarm.logs(service_id(swarm, "ticks"), follow=True, tail="0", since=0, times=False):
        seen.append(line.text)
        if len(seen) == 3:
            break
    assert seen == ["tick"] * 3 and time.monotonic() - begun > 1.0, "they were not there before"


def test_a_drain_changes_nothing_but_the_availability(swarm: UserSwarm, engine: PrivateEngine) -> None:
    (node,) = swarm.nodes()
    engine.docker("node", "update", "--label-add", "tier=web", node["ID"])
    for wanted in ("drain", "active"):
        swarm.set_availability(node["ID"], wanted)
        spec = swarm.nodes()[0]["Spec"]
        assert spec["Availability"] == wanted and spec["Labels"] == {"tier": "web"} and spec["Role"] == "manager"


def test_a_stranger_is_refused(engine: PrivateEngine) -> None:
    stranger = UserSwarm([engine.endpoint], engine.wrong_tls)
    with pytest.raises(ExternalError) as refused:
        stranger.nodes()
    stranger.close()
    assert refused.value.kind is ErrorKind.UNAUTHORIZED
