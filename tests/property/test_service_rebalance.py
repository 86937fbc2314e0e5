"""Whatever nodes and tasks do: tasks are spread anew only where they are uneven enough, on nodes that are known and have stayed, and at most once per change of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.domain.service.convergence import measure
from swarm_operator.domain.service.decision import Subject
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.rebalance import judge, watch
from swarm_operator.domain.service.render import Owner
from swarm_operator.domain.swarm import Node, SwarmView

START = datetime(2026, 1, 1, tzinfo=UTC)
STATES = st.sampled_from(["ready", "ready", "ready", "ready", "down", "unknown", "disconnected"])
AVAILABILITY = st.sampled_from(["active", "active", "active", "active", "drain", "pause"])
NODES = st.lists(st.tuples(STATES, AVAILABILITY), min_size=2, max_size=3)
PLACES = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from(["running"] * 9 + ["starting"])), min_size=2, max_size=6)
STEP = st.fixed_dictionaries(
    {
        "changed": st.sampled_from(["nothing", "nothing", "nothing", "nothing", "nodes", "places"]),
        "nodes": NODES,
        "places": PLACES,
        "seconds": st.integers(5, 40),
        "quiet": st.sampled_from([True, True, True, False]),
        "lost": st.booleans(),  # the status with the process that was to write it after the update
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, min_size=6, max_size=20), st.integers(2, 4), st.integers(1, 60))
def test_never_twice_never_when_even_and_never_on_a_guess(steps: list[Any], least: int, settle: int) -> None:
    now, status = START, SwarmServiceStatus()
    live: dict[str, Any] = {"Name": "web", "TaskTemplate": {}, "Mode": {"Replicated": {}}}
    ages: dict[frozenset[str], datetime] = {}  # the set that was seen last, and since when
    spent = False
    states: Any = [("ready", "active")] * 3
    places: Any = [(0, "running")] * 4
    for step in steps:
        states = step["nodes"] if step["changed"] == "nodes" else states
        places = step["places"] if step["changed"] == "places" else places
        quiet = step["quiet"]
        now += timedelta(seconds=step["seconds"])
        nodes = tuple(Node(f"n{i}", f"n{i}", "worker", availability, state, 1) for i, (state, availability) in enumerate(states))
        tasks = [{"ID": f"t{i}", "Slot": i, "NodeID": f"n{n}", "DesiredState": "running", "Status": {"State": state}} for i, (n, state) in enumerate(places)]
        live["Mode"]["Replicated"]["Replicas"] = len(tasks)
        spec = SwarmServiceSpec.model_validate({"clusterRef": {"name": "c"}, "image": "a", "rebalance": {"minSkew": least, "settleSeconds": settle}})
        subject = Subject(Owner("u", "d", "web"), 1, spec, status)
        own, view = LiveService("s", 1, live), SwarmView("w", nodes)
        there = frozenset(node.id for node in nodes if node.state == "ready" and node.availability == "active")
        known = all(node.state in ("ready", "down") for node in nodes)
        if known and there not in ages:
            ages, spent = {there: now}, False
        watched = watch(subject, own, view, now)
        found = judge(subject, own, watched, tasks, measure(own, view, tasks), now, quiet=quiet)
        if found.document is not None:
            counts = [sum(task["NodeID"] == node for task in tasks) for node in there]
            assert quiet and known and not spent
            assert max(counts) - min(counts) >= least and sum(counts) == len(tasks)
            assert all(task["Status"]["State"] == "running" for task in tasks)
            assert now - ages[there] >= timedelta(seconds=settle)
            assert found.document["TaskTemplate"]["ForceUpdate"] == live["TaskTemplate"].get("ForceUpdate", 0) + 1
            live, spent = found.document, True
        if found.document is None or not step["lost"]:
            status = replace_rebalance(status, found.status)


def replace_rebalance(status: SwarmServiceStatus, rebalance: Any) -> SwarmServiceStatus:
    return status.model_copy(update={"rebalance": rebalance})


@given(st.integers(1, 6), st.integers(0, 40), st.integers(0, 40))
def test_what_the_scheduler_spread_is_even(count: int, tasks: int, quick: int) -> None:
    """A set that is judged on an even spread is done with: no later look at the same set does anything, however it became uneven."""
    spec = SwarmServiceSpec.model_validate({"clusterRef": {"name": "c"}, "image": "a", "rebalance": {"settleSeconds": 1}})
    nodes = tuple(Node(f"n{i}", f"n{i}", "worker", "active", "ready", 1) for i in range(count))
    live = {"Name": "web", "TaskTemplate": {}, "Mode": {"Replicated": {"Replicas": tasks}}}
    own, view, status = LiveService("s", 1, live), SwarmView("w", nodes), SwarmServiceStatus()
    for round_, places in enumerate([[i % count for i in range(tasks)]] * 2 + [[0] * tasks] * 2):
        now = START + timedelta(seconds=round_ * (2 + quick))
        subject = Subject(Owner("u", "d", "web"), 1, spec, status)
        running = [{"ID": f"t{i}", "Slot": i, "NodeID": f"n{n}", "DesiredState": "running", "Status": {"State": "running"}} for i, n in enumerate(places)]
        found = judge(subject, own, watch(subject, own, view, now), running, measure(own, view, running), now, quiet=True)
        assert found.document is None
        status = replace_rebalance(status, found.status)
    assert status.rebalance is not None and status.rebalance.judged_at is not None
