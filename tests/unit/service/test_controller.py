"""The controller against a swarm and a Kubernetes API in memory."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.controllers.service import ServiceController
from swarm_operator.controllers.session import ClusterSessions
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import SERVICE_LABEL_OWNER, SERVICE_LABEL_UID
from swarm_operator.domain.swarm import Node
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.objects import Key
from unit.service.fakes import TLS, FakeObjects, FakeSwarm, FakeSwarms

CLUSTER = Key("SwarmCluster", "default", "c")
WEB = Key("SwarmService", "default", "web")
SPEC: dict[str, Any] = {"clusterRef": {"name": "c"}, "image": "nginx:1", "replicas": 2, "labels": {"tier": "front"}}
UNREACHABLE = ExternalError(ErrorKind.UNREACHABLE, "docker", "the manager's Docker API can't be connected to")
ALL_CONDITIONS = {"Ready", "Reconciling", "Stalled", "Paused", "ClusterReachable", "Applied", "Available", "Drifted", "Pinned"}


class World:
    def __init__(self) -> None:
        self.clock, self.swarm, self.objects = FakeClock(), FakeSwarm(), FakeObjects()
        self.woken: list[Key] = []
        self.sessions = ClusterSessions(FakeSwarms(self.swarm), self.woken.append, self.clock, follow_events=False)
        self.controller = ServiceController(self.objects, self.sessions, self.clock)
        self.objects.put(CLUSTER, {}, "cluster-uid")
        self.connect()

    def connect(self) -> None:
        self.sessions.publish(CLUSTER, "cluster-uid", ["tcp://10.0.0.1:2376"], TLS)

    def restart(self) -> None:
        """The operator process dies and comes back."""
        self.sessions = ClusterSessions(FakeSwarms(self.swarm), self.woken.append, self.clock, follow_events=False)
        self.controller = ServiceController(self.objects, self.sessions, self.clock)
        self.connect()

    def once(self) -> Outcome:
        self.clock.advance(3)  # beyond the life of a list without events
        return self.controller.reconcile(WEB)

    def settle(self, rounds: int = 12) -> Outcome:
        outcome: Outcome = Done()
        for _ in range(rounds):
            outcome = self.once()
            if isinstance(outcome, Done):
                break
        return outcome

    @property
    def status(self) -> dict[str, Any]:
        return self.objects.resources[WEB].status

    def condition(self, kind: str) -> tuple[str, str]:
        assert {c["type"] for c in self.status["conditions"]} == ALL_CONDITIONS
        found = next(c for c in self.status["conditions"] if c["type"] == kind)
        return found["status"], found["reason"]

    @property
    def live(self) -> dict[str, Any]:
        (service,) = self.swarm.services.values()
        return service

    def outside(self, edit: Any, **state: str) -> None:
        self.swarm.outside(self.live["ID"], lambda spec: edit(spec), **state)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ready(world: World) -> World:
    world.objects.put(WEB, SPEC)
    assert world.settle() == Done()
    assert world.condition("Ready") == ("True", "Reconciled")
    world.swarm.calls.clear()
    world.objects.applied.clear()
    world.objects.events.clear()
    return world


def scale(replicas: int) -> Any:
    return lambda spec: spec["Mode"]["Replicated"].update(Replicas=replicas)


def test_create_is_ready_only_after_the_monitor_time(world: World) -> None:
    world.objects.put(WEB, SPEC)
    first = world.once()
    assert isinstance(first, After)
    assert world.status["serviceID"] == world.live["ID"]
    assert world.condition("Ready")[0] == "False"
    assert world.condition("Reconciling")[0] == "True"
    world.once()
    assert world.status["replicas"] == {"desired": 2, "running": 2, "summary": "2/2"}
    assert world.condition("Ready") == ("False", "TasksStarting")
    assert world.settle() == Done()
    assert world.condition("Ready") == ("True", "Reconciled")
    assert world.condition("Reconciling")[0] == "False"
    labels = world.live["Spec"]["Labels"]
    assert labels == {"tier": "front", SERVICE_LABEL_UID: "uid-1", SERVICE_LABEL_OWNER: "default/web"}
    assert [e[0] for e in world.objects.events] == ["Created"]


def test_the_fixed_point_writes_nothing_and_reads_no_tasks(ready: World) -> None:
    for _ in range(3):
        assert ready.once() == Done()
    assert ready.swarm.writes() == []
    assert "list_tasks" not in ready.swarm.calls
    assert ready.objects.applied == []


def test_edits_are_applied_and_foreign_labels_stay(ready: World) -> None:
    ready.outside(lambda spec: spec["Labels"].update({"com.example.other": "x"}))
    assert ready.settle() == Done()
    assert ready.swarm.writes() == []
    ready.objects.put(WEB, {**SPEC, "image": "nginx:2", "labels": {"zone": "a"}})
    ready.once()
    assert ready.condition("Ready")[0] == "False"
    assert ready.settle() == Done()
    spec = ready.live["Spec"]
    assert spec["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:2"
    assert {k: v for k, v in spec["Labels"].items() if not k.startswith("io.swarmops")} == {"zone": "a", "com.example.other": "x"}
    assert len(ready.swarm.writes()) == 1
    assert ready.status["corrections"] == 0
    assert [e[0] for e in ready.objects.events] == ["Updated"]


@pytest.mark.parametrize("replicas", [0, 5])
def test_a_scale_behind_our_back_is_put_back_and_told(ready: World, replicas: int) -> None:
    ready.outside(scale(replicas))
    ready.once()
    assert ready.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 2
    assert ready.status["corrections"] == 1
    assert ready.condition("Drifted") == ("False", "DriftCorrected")
    (event,) = ready.objects.events
    assert event == ("DriftCorrected", f"changed outside, put back: replicas {replicas} -> 2", True)
    assert ready.settle() == Done()
    assert ready.condition("Drifted") == ("False", "NoDrift")
    assert len(ready.swarm.writes()) == 1


def test_absent_replicas_are_left_to_others(world: World) -> None:
    world.objects.put(WEB, {k: v for k, v in SPEC.items() if k != "replicas"})
    assert world.settle() == Done()
    assert world.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 1
    world.swarm.calls.clear()
    world.outside(scale(4))
    assert world.settle() == Done()
    assert world.swarm.writes() == []
    assert world.status["replicas"]["summary"] == "4/4"


def test_a_removal_behind_our_back_is_repaired(ready: World) -> None:
    old = ready.live["ID"]
    ready.swarm.services.clear()
    ready.once()
    assert ready.live["ID"] != old
    assert ready.status["serviceID"] == ready.live["ID"]
    assert ready.status["corrections"] == 1
    assert ready.objects.events[0][0] == "DriftCorrected"


@pytest.mark.parametrize("break_it", [scale(9), None])
def test_report_only_reports(world: World, break_it: Any) -> None:
    world.objects.put(WEB, {**SPEC, "driftPolicy": "Report"})
    assert world.settle() == Done()
    world.swarm.calls.clear()
    if break_it is None:
        world.swarm.services.clear()
    else:
        world.outside(break_it)
    world.settle()
    world.settle()
    assert world.swarm.writes() == []
    assert world.condition("Drifted") == ("True", "DriftFound")
    assert world.condition("Ready") == ("False", "DriftFound")
    assert [e[0] for e in world.objects.events] == ["Created", "DriftFound"]
    assert world.status["drift"]
    if break_it is not None:  # an edit is applied all the same
        world.objects.put(WEB, {**SPEC, "driftPolicy": "Report", "replicas": 3})
        world.settle()
        assert world.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 3


def test_paused_changes_nothing(ready: World) -> None:
    ready.objects.put(WEB, {**SPEC, "paused": True, "image": "nginx:9"})
    ready.settle()
    assert ready.swarm.writes() == []
    assert ready.condition("Paused") == ("True", "Paused")
    assert ready.condition("Ready")[0] == "False"
    ready.objects.put(WEB, {**SPEC, "image": "nginx:9"})
    assert ready.settle() == Done()
    assert ready.condition("Ready") == ("True", "Reconciled")


def foreign_service(world: World, labels: dict[str, str] | None = None) -> str:
    spec = {"Name": "web", "Labels": labels or {}, "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1"}}, "Mode": {"Replicated": {"Replicas": 2}}}
    service_id = world.swarm.create_service(spec)
    world.swarm.calls.clear()
    return service_id


def test_a_foreign_namesake_is_never_touched(world: World) -> None:
    service_id = foreign_service(world)
    before = copy.deepcopy(world.swarm.services)
    world.objects.put(WEB, SPEC)
    world.settle(4)
    assert world.swarm.services == before
    assert world.swarm.writes() == []
    assert world.condition("Stalled") == ("True", "NameConflict")
    assert world.condition("Applied") == ("False", "NameConflict")
    world.objects.delete(WEB)
    world.settle()
    assert service_id in world.swarm.services
    assert WEB not in world.objects.resources


def test_adoption_takes_over_what_nobody_owns(world: World) -> None:
    service_id = foreign_service(world, {"com.example": "kept"})
    world.objects.put(WEB, {**SPEC, "adoptionPolicy": "IfUnowned"})
    assert world.settle() == Done()
    assert list(world.swarm.services) == [service_id]
    assert world.live["Spec"]["Labels"]["com.example"] == "kept"
    assert world.live["Spec"]["Labels"][SERVICE_LABEL_UID] == "uid-1"
    assert world.condition("Ready")[0] == "True"


def test_adoption_does_not_take_what_another_object_owns(world: World) -> None:
    foreign_service(world, {SERVICE_LABEL_UID: "uid-2", SERVICE_LABEL_OWNER: "other/web"})
    world.objects.put(WEB, {**SPEC, "adoptionPolicy": "IfUnowned"})
    world.settle(4)
    assert world.swarm.writes() == []
    assert world.condition("Applied") == ("False", "NameConflict")


def test_a_lost_answer_to_create_makes_no_second_service(world: World) -> None:
    world.swarm.lost.add("create_service")
    world.objects.put(WEB, SPEC)
    assert isinstance(world.once(), Retry)
    assert world.condition("Ready")[0] == "False"
    assert world.settle() == Done()
    assert len(world.swarm.services) == 1
    assert [c.split()[0] for c in world.swarm.writes()] == ["create_service"]
    assert world.status["serviceID"] == world.live["ID"]


def test_a_crash_between_create_and_status_makes_no_second_service(world: World) -> None:
    world.objects.put(WEB, SPEC)
    world.objects.fail_status = ExternalError(ErrorKind.TRANSIENT, "kubernetes", "connection refused")
    assert isinstance(world.once(), Retry)
    assert "serviceID" not in world.status
    world.restart()
    assert world.settle() == Done()
    assert [c.split()[0] for c in world.swarm.writes()] == ["create_service"]
    assert world.condition("Ready")[0] == "True"


def test_a_restarted_operator_does_not_unsay_ready(ready: World) -> None:
    ready.restart()
    assert ready.once() == Done()
    assert ready.objects.applied == []
    assert ready.swarm.writes() == []


def test_out_of_sequence_is_observed_again_and_decided_again(ready: World) -> None:
    ready.objects.put(WEB, {**SPEC, "image": "nginx:2"})
    ready.swarm.before_update = lambda: ready.outside(lambda spec: spec["Labels"].update(other="1"))
    assert isinstance(ready.once(), After)
    spec = ready.live["Spec"]
    assert (spec["TaskTemplate"]["ContainerSpec"]["Image"], spec["Labels"]["other"]) == ("nginx:2", "1")
    assert len(ready.swarm.writes()) == 2


@pytest.mark.parametrize("method", ["list_services", "inspect_service", "view"])
def test_unreachable_is_never_read_as_absent(ready: World, method: str) -> None:
    ready.swarm.services.clear()  # even though it is gone, we can't know
    ready.swarm.failures[method] = [UNREACHABLE]
    ready.clock.advance(60)
    assert isinstance(ready.once(), Retry)
    assert ready.swarm.writes() == []
    assert ready.condition("ClusterReachable") == ("False", "ManagerUnreachable")
    assert ready.condition("Ready") == ("False", "ManagerUnreachable")
    assert ready.status["replicas"]["summary"] == "2/2"
    assert ready.status["serviceID"]


def test_no_cluster_and_no_session_are_told_apart(world: World) -> None:
    world.objects.put(WEB, SPEC)
    world.sessions.drop(CLUSTER)
    assert isinstance(world.once(), Retry)
    assert world.condition("ClusterReachable") == ("False", "ClusterNotReady")
    del world.objects.resources[CLUSTER]
    assert isinstance(world.once(), Retry)
    assert world.condition("ClusterReachable") == ("False", "ClusterNotFound")
    assert not world.objects.resources[WEB].finalizers
    world.woken.clear()
    world.connect()
    assert world.woken == [WEB]


def test_a_rollback_is_held_until_the_spec_changes(ready: World) -> None:
    ready.objects.put(WEB, {**SPEC, "image": "nginx:bad"})
    ready.once()
    ready.once()
    old = "nginx:1"
    ready.outside(
        lambda s: s["TaskTemplate"]["ContainerSpec"].update(Image=old),
        state="rollback_started",
        message="update rolled back due to failure or early termination of task x",
    )
    ready.once()
    assert ready.condition("Stalled")[0] == "False"
    ready.live["UpdateStatus"]["State"] = "rollback_completed"
    ready.swarm.calls.clear()
    for _ in range(4):
        ready.once()
    assert ready.swarm.writes() == []
    assert ready.condition("Ready") == ("False", "RolledBack")
    assert ready.condition("Stalled") == ("True", "RolledBack")
    assert [e[0] for e in ready.objects.events].count("RolledBack") == 1
    ready.outside(lambda s: s["Labels"].update(x="y"))  # the engine forgets UpdateStatus; we do not
    ready.restart()
    for _ in range(3):
        ready.once()
    assert ready.swarm.writes() == []
    ready.objects.put(WEB, {**SPEC, "image": "nginx:good"})
    assert ready.settle() == Done()
    assert ready.live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:good"
    assert ready.condition("Ready")[0] == "True"


def test_reverting_to_what_was_rolled_back_to_is_ready_without_a_write(ready: World) -> None:
    ready.objects.put(WEB, {**SPEC, "image": "nginx:bad"})
    ready.once()
    ready.outside(lambda s: s["TaskTemplate"]["ContainerSpec"].update(Image="nginx:1"), state="rollback_completed", message="rolled back")
    ready.once()
    ready.swarm.calls.clear()
    ready.objects.put(WEB, SPEC)
    assert ready.settle() == Done()
    assert ready.swarm.writes() == []
    assert ready.condition("Ready")[0] == "True"


def test_a_manual_rollback_is_drift(ready: World) -> None:
    ready.outside(lambda s: s["TaskTemplate"]["ContainerSpec"].update(Image="nginx:0"), state="rollback_started", message="manually requested rollback")
    ready.once()
    assert ready.live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1"
    assert ready.status["corrections"] == 1


def test_a_scale_during_our_own_rollout_waits_for_its_end(ready: World) -> None:
    ready.objects.put(WEB, {**SPEC, "image": "nginx:2"})
    ready.once()
    ready.once()
    ready.outside(scale(7), state="updating")
    ready.swarm.calls.clear()
    assert ready.once() == After(1.0)
    assert ready.swarm.writes() == []
    ready.live["UpdateStatus"]["State"] = "completed"
    ready.live["Version"]["Index"] += 1000
    ready.once()
    assert ready.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 2


def test_a_paused_update_is_stalled_and_not_ready(ready: World) -> None:
    ready.outside(lambda s: None, state="paused", message="update paused due to failure or early termination of task x")
    ready.once()
    assert ready.condition("Ready") == ("False", "UpdatePaused")
    assert ready.condition("Stalled") == ("True", "UpdatePaused")
    assert ready.swarm.writes() == []


def test_a_refused_spec_says_the_engines_words_and_is_not_posted_again_and_again(world: World) -> None:
    world.swarm.failures["create_service"] = [ExternalError(ErrorKind.INVALID, "docker", "port '80' is already in use by service 'x'")] * 2
    world.objects.put(WEB, SPEC)
    world.once()
    assert world.condition("Stalled") == ("True", "EngineRejected")
    assert next(c for c in world.status["conditions"] if c["type"] == "Ready")["message"] == "port '80' is already in use by service 'x'"
    for _ in range(3):
        world.once()
    assert len(world.swarm.writes()) == 1
    world.clock.advance(61)
    world.once()
    assert len(world.swarm.writes()) == 2
    world.objects.put(WEB, {**SPEC, "image": "nginx:3"})
    assert world.settle() == Done()


def test_an_unknown_network_is_named(world: World) -> None:
    world.objects.put(WEB, {**SPEC, "networks": [{"name": "nope"}]})
    world.once()
    assert world.swarm.writes() == []
    assert world.condition("Applied") == ("False", "NetworkNotFound")
    assert world.condition("Stalled")[0] == "False"
    world.objects.put(WEB, {**SPEC, "networks": [{"name": "front", "aliases": ["w"]}]})
    assert world.settle() == Done()
    assert world.live["Spec"]["TaskTemplate"]["Networks"] == [{"Target": "net-id-front", "Aliases": ["w"]}]


def test_failing_tasks_are_told_with_the_engines_error(ready: World) -> None:
    ready.objects.put(WEB, {**SPEC, "image": "nginx:none", "progressDeadlineSeconds": 60})
    ready.swarm.run_tasks = False
    ready.once()
    live = ready.live
    ready.swarm.tasks[live["ID"]] = [
        ready.swarm.task(live["Spec"]["TaskTemplate"], slot, state="rejected", error="No such image: nginx:none") for slot in (1, 2)
    ]
    ready.once()
    assert ready.condition("Available") == ("False", "TasksFailing")
    assert ready.status["failingTasks"] == [{"node": "node-1", "state": "rejected", "error": "No such image: nginx:none", "count": 2}]
    assert ready.condition("Stalled")[0] == "False"
    assert [e for e in ready.objects.events if e[0] == "TasksFailing"] == [("TasksFailing", "rejected on node-1: No such image: nginx:none", True)]
    ready.clock.advance(61)
    ready.once()
    assert ready.condition("Stalled") == ("True", "TasksFailing")
    assert ready.condition("Ready") == ("False", "TasksFailing")


def test_a_flap_within_the_monitor_time_starts_it_again(world: World) -> None:
    world.objects.put(WEB, SPEC)
    world.once()
    world.once()
    live = world.live
    world.swarm.tasks[live["ID"]][0] = world.swarm.task(live["Spec"]["TaskTemplate"], 1)  # replaced between two looks
    world.once()
    world.clock.advance(1)
    assert world.condition("Ready")[0] == "False"
    world.once()
    assert world.condition("Ready")[0] == "False"
    world.once()
    assert world.condition("Ready")[0] == "True"


def test_a_global_service_runs_on_every_eligible_node(world: World) -> None:
    world.swarm.nodes.append(Node("n2", "node-2", "worker", "active", "ready", 1))
    world.swarm.nodes.append(Node("n3", "node-3", "worker", "drain", "ready", 1))
    world.swarm.run_tasks = False
    spec = {k: v for k, v in SPEC.items() if k != "replicas"}
    world.objects.put(WEB, {**spec, "mode": "global"})
    world.once()
    template = world.live["Spec"]["TaskTemplate"]
    world.swarm.tasks[world.live["ID"]] = [world.swarm.task(template, 1, per_node=True)]
    world.settle(5)
    assert world.status["replicas"]["summary"] == "1/2"
    assert world.condition("Ready")[0] == "False"
    world.swarm.tasks[world.live["ID"]].append(world.swarm.task(template, 2, per_node=True))
    world.settle()
    assert world.condition("Ready")[0] == "True"
    assert world.status["replicas"]["summary"] == "2/2"


def test_a_global_service_without_a_node_is_not_ready(world: World) -> None:
    world.swarm.run_tasks = False
    spec = {k: v for k, v in SPEC.items() if k != "replicas"}
    world.objects.put(WEB, {**spec, "mode": "global", "placement": {"constraints": ["node.labels.gpu == yes"]}})
    world.settle(4)
    assert world.condition("Available") == ("False", "NoEligibleNode")


def test_replicas_that_placement_has_no_room_for_are_told_with_the_numbers(world: World) -> None:
    world.swarm.run_tasks = False
    world.objects.put(WEB, {**SPEC, "replicas": 3, "placement": {"maxReplicas": 1}})
    world.settle(4)
    assert world.condition("Available") == ("False", "PlacementInfeasible")
    message = next(c for c in world.status["conditions"] if c["type"] == "Available")["message"]
    assert message == "0/3 tasks run; placement.maxReplicas and the eligible nodes let 1 run"


def test_delete_removes_the_service_before_the_finalizer(ready: World) -> None:
    ready.objects.delete(WEB)
    outcome = ready.once()
    assert isinstance(outcome, After)
    assert ready.swarm.services == {}
    assert WEB in ready.objects.resources
    assert ready.condition("Ready") == ("False", "Deleting")
    assert ready.once() == Done()
    assert WEB not in ready.objects.resources


def test_a_finalizer_taken_off_by_hand_is_put_back(ready: World) -> None:
    ready.objects.set_finalizer(ready.objects.resources[WEB], False)
    assert ready.once() == Done()
    assert ready.objects.resources[WEB].finalizers


def test_a_manager_that_lags_behind_our_write_is_waited_for(ready: World) -> None:
    session = ready.sessions.get(CLUSTER)
    assert session is not None
    session.wrote(ready.live["ID"], ready.live["Version"]["Index"])
    assert isinstance(ready.once(), After)
    assert ready.objects.applied == []
    assert ready.swarm.writes() == []


def test_retain_leaves_the_service(ready: World) -> None:
    ready.objects.put(WEB, {**SPEC, "deletionPolicy": "Retain"})
    ready.settle()
    ready.objects.delete(WEB)
    assert ready.once() == Done()
    assert len(ready.swarm.services) == 1
    assert WEB not in ready.objects.resources


def test_deletion_waits_for_an_unreachable_cluster_but_not_for_a_gone_one(ready: World) -> None:
    ready.sessions.drop(CLUSTER)
    ready.objects.delete(WEB)
    assert isinstance(ready.once(), Retry)
    assert ready.condition("Reconciling") == ("True", "DeletionBlocked")
    assert WEB in ready.objects.resources
    del ready.objects.resources[CLUSTER]
    assert ready.once() == Done()
    assert WEB not in ready.objects.resources


def test_deletion_does_not_wait_for_an_unreachable_cluster_that_is_being_deleted(ready: World) -> None:
    ready.objects.set_finalizer(ready.objects.resources[CLUSTER], True)
    ready.objects.delete(CLUSTER)
    ready.swarm.failures["list_services"] = [UNREACHABLE]
    ready.objects.delete(WEB)
    assert ready.once() == Done()
    assert WEB not in ready.objects.resources


def test_an_unreachable_swarm_does_not_release_the_finalizer(ready: World) -> None:
    ready.swarm.failures["list_services"] = [UNREACHABLE]
    ready.objects.delete(WEB)
    assert isinstance(ready.once(), Retry)
    assert WEB in ready.objects.resources
    assert len(ready.swarm.services) == 1


def test_an_owner_label_taken_off_by_hand_is_put_back(ready: World) -> None:
    ready.outside(lambda spec: spec["Labels"].pop(SERVICE_LABEL_UID))
    ready.once()
    assert ready.live["Spec"]["Labels"][SERVICE_LABEL_UID] == "uid-1"
    assert len(ready.swarm.services) == 1


def test_a_bad_spec_names_its_field(world: World) -> None:
    world.objects.put(WEB, {**SPEC, "replicas": -1})
    assert world.once() == Done()
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "replicas" in next(c for c in world.status["conditions"] if c["type"] == "Ready")["message"]


def test_the_finalizer_is_there_before_the_service(world: World) -> None:
    world.objects.put(WEB, SPEC)
    create = world.swarm.create_service

    def checked(spec: dict[str, Any], **options: Any) -> str:
        assert world.objects.resources[WEB].finalizers
        return create(spec, **options)

    world.swarm.create_service = checked  # type: ignore[method-assign]
    assert world.settle() == Done()
    assert len(world.swarm.services) == 1


def test_a_crash_loop_runs_into_the_deadline(world: World) -> None:
    world.swarm.run_tasks = False
    world.objects.put(WEB, {**SPEC, "replicas": 1, "progressDeadlineSeconds": 60})
    world.once()
    template = world.live["Spec"]["TaskTemplate"]
    dead = world.swarm.task(template, 1, state="failed", error="task: non-zero exit (1)")
    for number in range(25):  # up, down, up, down: a count that goes up is no progress
        again = [world.swarm.task(template, 1)] if number % 2 else []
        world.swarm.tasks[world.live["ID"]] = [dead, *again]
        world.once()
        assert world.condition("Ready")[0] == "False"
    world.swarm.tasks[world.live["ID"]] = [dead]
    world.once()
    assert world.condition("Stalled") == ("True", "TasksFailing")


def test_the_restart_annotation_replaces_all_tasks_once_for_each_value(ready: World) -> None:
    tasks = {t["ID"] for t in ready.swarm.tasks[ready.live["ID"]]}
    ready.objects.annotate(WEB, restartedAt="2026-11-23T20:00:00Z")
    assert ready.settle() == Done()
    assert ready.live["Spec"]["TaskTemplate"]["ForceUpdate"] == 1
    assert tasks.isdisjoint(t["ID"] for t in ready.swarm.tasks[ready.live["ID"]])
    assert [e[:2] for e in ready.objects.events] == [
        ("Updated", "updated service web: restart asked for: 2026-11-23T20:00:00Z (tasks are replaced)"),
    ]
    ready.restart()
    ready.objects.resources[WEB] = replace(ready.objects.resources[WEB], status={})  # even a lost status does not restart them again
    ready.settle()
    ready.objects.annotate(WEB)
    ready.settle()
    assert ready.live["Spec"]["TaskTemplate"]["ForceUpdate"] == 1
    # A human's --force in between is kept: lowering the counter would be a restart.
    ready.outside(lambda spec: spec["TaskTemplate"].update(ForceUpdate=7))
    ready.settle()
    ready.objects.annotate(WEB, restartedAt="2026-11-23T21:00:00Z")
    ready.settle()
    assert ready.live["Spec"]["TaskTemplate"]["ForceUpdate"] == 8
    assert ready.condition("Ready")[0] == "True"


def test_a_service_is_not_restarted_right_after_its_creation(world: World) -> None:
    world.objects.put(WEB, SPEC)
    world.objects.annotate(WEB, restartedAt="now")
    world.settle()
    assert "ForceUpdate" not in world.live["Spec"]["TaskTemplate"]
    assert world.swarm.writes() == ["create_service web"]


def test_a_restart_that_is_asked_for_tries_a_held_spec_again(ready: World) -> None:
    good = copy.deepcopy(ready.live["Spec"])
    ready.objects.put(WEB, {**SPEC, "image": "nginx:broken"})
    ready.once()
    ready.outside(lambda spec: (spec.clear(), spec.update(good)), state="rollback_completed", message="rollback completed")
    ready.settle(4)
    assert ready.condition("Ready") == ("False", "RolledBack")
    ready.objects.annotate(WEB, restartedAt="again")
    ready.settle()
    assert ready.live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:broken"


def test_a_fight_over_a_field_is_told_and_slowed_down_and_ends_by_itself(ready: World) -> None:
    written = []
    for second in range(900):  # another controller that scales to 9 every second
        ready.clock.advance(1)
        if ready.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 2:
            ready.outside(scale(9))
        before = len(ready.swarm.writes())
        ready.sessions.get(CLUSTER).resync()  # type: ignore[union-attr]
        ready.controller.reconcile(WEB)
        written += [second] * (len(ready.swarm.writes()) - before)
    assert len(written) < 20, written
    assert all(later - earlier >= 14 for earlier, later in itertools.pairwise(written[4:])), written
    assert 0 < [e[0] for e in ready.objects.events].count("DriftConflict") <= len(written)
    ready.outside(scale(9))
    ready.once()
    assert ready.condition("Drifted") == ("True", "DriftConflict")
    assert ready.condition("Ready") == ("False", "DriftConflict")
    # Other fields are put back at once all the same, and a new manifest is written at once.
    ready.objects.put(WEB, {**SPEC, "replicas": 3})
    ready.once()
    assert ready.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 3
    ready.settle()
    ready.outside(lambda spec: spec["Labels"].update(tier="other"))
    ready.settle()
    assert ready.live["Spec"]["Labels"]["tier"] == "front"
    assert ready.condition("Ready") == ("True", "Reconciled")
    ready.clock.advance(700)
    ready.outside(scale(9))
    ready.once()
    assert ready.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 3


def test_a_service_that_is_removed_again_and_again_is_not_made_for_ever(ready: World) -> None:
    for _ in range(60):
        for service_id in list(ready.swarm.services):
            ready.swarm.remove_service(service_id)
        ready.once()
    assert len([c for c in ready.swarm.writes() if c.startswith("create_service")]) < 12
    assert ready.condition("Drifted") == ("True", "DriftConflict")
