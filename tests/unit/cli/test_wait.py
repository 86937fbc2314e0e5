"""`kubectl swarm wait`: when it ends, and what it shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from swarm_operator.cli import wait
from swarm_operator.cli.context import Context
from swarm_operator.cli.plugin import parse
from swarm_operator.domain.errors import ErrorKind, ExternalError
from unit.cli.fakes import CLUSTER, SERVICE, STACK, FakeApi, FakeEngine, Json, Terminal, condition

READY = condition("Ready", "True", "Reconciled")
GONE = ExternalError(ErrorKind.NOT_FOUND, "kubernetes", "main not found")
SILENT = ExternalError(ErrorKind.UNREACHABLE, "kubernetes", "the API server can't be reached")


class Course(FakeApi):
    """Answers with one state after the other, the last one for ever."""

    def __init__(self, *states: Json | ExternalError) -> None:
        super().__init__()
        self.states = list(states)

    def get(self, plural: str, namespace: str, name: str) -> Json:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, ExternalError):
            raise state
        return state


def cluster(*conditions: Json, generation: int = 3, workers: str = "0/1") -> Json:
    status = {**CLUSTER["status"], "conditions": list(conditions), "workers": {"summary": workers}}
    return {**CLUSTER, "metadata": {**CLUSTER["metadata"], "generation": generation}, "status": status}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str]]:
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.0)

    def call(*argv: str, states: tuple[Any, ...], terminal: bool = False) -> tuple[str, str]:
        out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
        assert wait.wait(Context(parse(["wait", *argv]), Course(*states), "shop", out, err, FakeEngine().open)) == 0
        return out.getvalue(), err.getvalue()

    return call


def test_it_ends_when_the_condition_holds_and_tells_each_change_once(run: Any) -> None:
    joining = condition("Ready", "False", "NodesJoining", "w-0")
    out, err = run("main", states=(cluster(joining), cluster(joining), SILENT, cluster(joining, workers="1/1"), cluster(READY, workers="1/1")))
    assert out == "cluster shop/main: Ready after 0 s\n"
    assert [line.split("] ")[1] for line in err.splitlines()] == [
        "managers 1/1  workers 0/1  NodesJoining: w-0",
        "managers 1/1  workers 1/1  NodesJoining: w-0",
        "managers 1/1  workers 1/1  Reconciled",
    ]


def test_a_condition_of_an_earlier_generation_does_not_count(run: Any) -> None:
    with pytest.raises(ExternalError, match="not Ready within 0 s"):
        run("main", "--timeout", "0", states=(cluster(READY, generation=4),))
    with pytest.raises(ExternalError, match="not Ready within 0 s"):
        run("main", "--timeout", "0", states=(cluster({**READY, "observedGeneration": 2}),))


def test_what_is_stalled_is_not_waited_for(run: Any) -> None:
    stalled = (condition("Ready", "False", "QuotaExceeded"), condition("Stalled", "True", "QuotaExceeded", "no cores left"))
    with pytest.raises(ExternalError, match="stalled: QuotaExceeded: no cores left"):
        run("main", states=(cluster(*stalled),))
    assert "Stalled after" in run("main", "--for", "Stalled", states=(cluster(*stalled),))[0]


def test_other_conditions_and_the_end_can_be_waited_for(run: Any) -> None:
    paused = {**SERVICE, "status": {**SERVICE["status"], "conditions": [condition("Paused", "True", "Paused")]}}
    assert "service shop/web: Paused=True after" in run("service/web", "--for", "Paused=True", states=(paused,))[0]
    assert "delete after" in run("main", "--for", "delete", states=(cluster(), GONE))[0]
    with pytest.raises(ExternalError, match="not found"):
        run("main", states=(GONE,))


def test_a_terminal_has_the_tree_drawn_over_and_over(run: Any) -> None:
    first, second = cluster(condition("Ready", "False", "NodesJoining")), cluster(READY)
    out, err = run("main", "--color", "never", states=(first, second), terminal=True)
    head, redrawn = err.split("\x1b[J")
    lines = head.count("\n")
    assert head.endswith(f"\x1b[{lines}F") and head.startswith("SwarmCluster shop/main  not ready: NodesJoining\n") and "worker w-0" in redrawn
    assert redrawn.startswith("SwarmCluster shop/main  Ready\n") and out.startswith("cluster shop/main: Ready")
    assert (
        "SwarmCluster"
        not in run(
            "service/web",
            "--for",
            "Gone=False",
            states=({**SERVICE, "status": {**SERVICE["status"], "conditions": [condition("Gone", "False", "X")]}},),
            terminal=True,
        )[1]
    )


def test_stacks_are_waited_for_as_well(run: Any) -> None:
    ready = {**STACK, "status": {**STACK["status"], "conditions": [READY]}}
    out, err = run("stack/blog", states=(ready,))
    assert out == "stack shop/blog: Ready after 0 s\n" and err == "[   0 s] services 1/2  Reconciled\n"
    assert "stack blog" in run("stack/blog", "--color", "never", states=(ready,), terminal=True)[1]
