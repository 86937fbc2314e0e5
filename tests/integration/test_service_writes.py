"""How often the operator writes, counted where it can't be mistaken: each `POST /services/{id}/update` in the log of a real engine, of this machine's version and a newer one.

And drift, field by field: each leaf of the parity table is changed once behind the operator's back, through the raw API, and must be put back, with an Event that names it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from integration.live_service import WEB, Running, until
from integration.private_engine import ENGINES, PrivateEngine, engine_of, swarm_of
from integration.test_cli_parity import CASES, GATED, ONLY_OURS, edited
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service.compare import compare, patch
from swarm_operator.domain.service.gating import unsupported
from swarm_operator.domain.service.leaves import LEAVES
from swarm_operator.domain.service.render import Desired, Owner, render

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")

RUNS = {
    "image": "task:1",
    "replicas": 2,
    "stopGracePeriodSeconds": 1,
    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "labels": {"ours": "1"},
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[PrivateEngine]:
    with swarm_of(engine_of(request.param, "--debug"), image="task:1") as engine:
        engine.docker("network", "create", "--driver", "overlay", "blue")
        yield engine


def look_again(running: Running, times: int = 4) -> None:
    """Reconcile, from fresh lists. The absence of a write has no event to wait for."""
    for _ in range(times):
        running.session.resync()
        running.queue.add(WEB, urgent=True)
        time.sleep(0.5)


def test_reapplying_a_restart_and_no_ops_of_others_write_nothing(running: Running) -> None:
    running.apply(RUNS)
    running.wait("Ready", "True", 60)
    tasks, before = running.running(), running.engine.updates()
    for _ in range(3):
        running.apply(copy.deepcopy(RUNS))
    running.apply({**RUNS, "progressDeadlineSeconds": 900, "revisionHistoryLimit": 3})  # an edit that the engine has no part in
    look_again(running)
    assert running.engine.updates() == before

    for lost in (False, True):  # the operator dies and comes back, with its status and without
        running.close()
        if lost:
            running.objects.resources[WEB] = replace(running.objects.resources[WEB], status={})
        again = Running(running.engine, running.objects)
        running.queue, running.sessions, running.session, running.pool, running.controller = (
            again.queue,
            again.sessions,
            again.session,
            again.pool,
            again.controller,
        )
        running.apply(copy.deepcopy(RUNS))
        running.wait("Ready", "True", 60)
        look_again(running)
        assert running.engine.updates() == before, f"after a restart, status lost: {lost}"

    docker = running.engine.docker
    docker("service", "update", "--detach", "web")  # nothing
    docker("service", "update", "--detach", "--env-add", "A=1", "--stop-grace-period", "1s", "web")  # the CLI's own order and defaults
    docker("service", "update", "--detach", "--label-add", "theirs=1", "web")
    docker("service", "update", "--detach", "--label-rm", "theirs", "web")
    look_again(running)
    assert running.engine.updates() == before + 4, "theirs, and none of ours"
    try:
        until(lambda: running.running() == tasks, 20, "the same tasks run")
    except AssertionError:
        print([(t["ID"], t["DesiredState"], t["Status"]) for t in running.tasks()])
        raise
    assert running.condition("Ready")["status"] == "True"


def test_scaling_restarts_no_task(running: Running) -> None:
    running.apply(RUNS)
    running.wait("Ready", "True", 60)
    two, before = running.running(), running.engine.updates()
    running.apply({**RUNS, "replicas": 4})
    until(lambda: len(running.running()) == 4, 60, "four tasks")
    running.wait("Ready", "True", 60)
    four = running.running()
    assert two < four
    running.engine.docker("service", "scale", "--detach", "web=6")  # and one behind our back
    until(lambda: running.replicas() == 4, 10, "put back")
    running.wait("Ready", "True", 60)
    assert running.engine.updates() == before + 3
    running.apply({**RUNS, "replicas": 1})
    until(lambda: len(running.running()) == 1, 60, "one task")
    assert running.engine.updates() == before + 4


def test_a_failed_update_is_posted_once_rolls_back_and_stays_held(running: Running) -> None:
    rolling = {"updateConfig": {"monitorSeconds": 1, "failureAction": "rollback"}, "rollbackConfig": {"monitorSeconds": 1}}
    running.apply({**RUNS, **rolling})
    running.wait("Ready", "True", 60)
    before = running.engine.updates()
    running.apply({**RUNS, **rolling, "command": ["/bin/busybox", "false"], "restartPolicy": {"condition": "none"}})
    until(lambda: running.condition("Stalled")["reason"] == "RolledBack", 90, "held after the rollback")
    until(lambda: len(running.running()) == 2, 60, "what was rolled back to runs")
    look_again(running)
    assert running.engine.updates() == before + 1
    assert running.condition("Ready")["reason"] == "RolledBack"


def settled(running: Running, manifest: dict[str, Any]) -> Desired:
    running.apply(manifest)
    running.wait("Ready", "True", 30)
    return desired_by(running, manifest)


def desired_by(running: Running, manifest: dict[str, Any]) -> Desired:
    spec = SwarmServiceSpec.model_validate({"clusterRef": {"name": "c"}, **manifest})
    view = running.session.swarm.view()
    return render(spec, Owner("uid-1", "default", "web"), {network.name: network.id for network in view.networks})


TABLE = [*(case.manifest for case in CASES), *ONLY_OURS.values(), *GATED.values()]


def test_each_field_of_the_parity_table_changed_once_behind_our_back_is_put_back_and_named(running: Running) -> None:
    base = {"image": "none:1", "replicas": 0}
    plain = settled(running, base).leaves
    seen: set[str] = set()
    gated: set[str] = set()
    version = running.session.swarm.view().engine_api_version
    for manifest in TABLE:
        wanted = desired_by(running, {**base, **manifest})
        if unsupported(wanted, version) is not None:
            gated |= {name for name, value in wanted.leaves.items() if value != plain.get(name)}
            continue
        desired = settled(running, {**base, **manifest})
        for name in [name for name, value in desired.leaves.items() if value != plain.get(name)]:
            running.objects.events.clear()
            corrections = running.objects.resources[WEB].status.get("corrections", 0)
            drift = Desired(desired.service_name, desired.mode, desired.labels, {name: plain.get(name)})
            service_id = running.live()["ID"]
            edited(running.session.swarm, service_id, lambda spec, drift=drift: patch(drift, spec))  # type: ignore[misc]
            until(lambda: compare(desired, running.live()["Spec"]).texts == [], 10, f"{name} is put back")  # noqa: B023
            until(lambda: running.objects.resources[WEB].status.get("corrections", 0) == corrections + 1, 10, f"the correction of {name} is counted")  # noqa: B023
            (told,) = [message for reason, message, warning in running.objects.events if reason == "DriftCorrected" and warning]
            assert name in told, told
            assert running.live()["ID"] == service_id
            seen.add(name)
    from_elsewhere = {"image", "replicas", "configs", "secrets", "job.completions", "job.maxConcurrent"}
    assert seen | gated == {leaf.name for leaf in LEAVES} - from_elsewhere
    assert gated - seen <= {leaf.name for leaf in LEAVES if leaf.since is not None}
    print(len(seen), "fields put back; too new for API", version, sorted(gated - seen))


def test_what_others_add_stays_and_what_they_take_over_is_put_back(running: Running) -> None:
    """Labels are owned key by key; a list such as env is the manifest's as a whole, since the engine has no owner for an entry of it."""
    running.apply({**RUNS, "replicas": 0})
    running.wait("Ready", "True")
    docker = running.engine.docker
    docker("service", "update", "--detach", "--label-add", "com.example.theirs=1", "--label-add", "ours=2", "--env-add", "C=3", "web")
    until(lambda: running.live()["Spec"]["Labels"].get("ours") == "1", 10, "our label is put back")
    live = running.live()["Spec"]
    assert live["Labels"]["com.example.theirs"] == "1"
    assert sorted(live["TaskTemplate"]["ContainerSpec"]["Env"]) == ["A=1", "B=2"]
    (told,) = [message for reason, message, _ in running.objects.events if reason == "DriftCorrected"]
    assert "labels[ours]" in told and "env[C]" in told and "theirs" not in told
    running.apply({**RUNS, "replicas": 0, "labels": {}})
    until(lambda: "ours" not in running.live()["Spec"]["Labels"], 10, "what left the manifest goes")
    assert running.live()["Spec"]["Labels"]["com.example.theirs"] == "1"
