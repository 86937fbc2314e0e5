"""The plan in words, and what it is made for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.parse import Problem, SpecError
from swarm_operator.api.reasons import Reason
from swarm_operator.cli.context import Context
from swarm_operator.cli.plan import describe, differences, plan, words
from swarm_operator.cli.plugin import parse
from swarm_operator.cli.report import cleaned
from swarm_operator.controllers.planner import ClusterLook
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.cluster.rollout_report import MachineChange
from swarm_operator.domain.cluster.steps import CreatePort, CreateServer, DeleteServer, EnsureKeyPair
from swarm_operator.domain.cluster.verdicts import verdict
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.service.decision import ServicePlan, Update
from swarm_operator.ports.objects import Resource
from unit.cli.fakes import CLUSTER, SERVICE, FakeApi, Json, node
from unit.service import test_controller as services

WORKER = MachineId("Worker", "workers", 1, 1)
GONE = Server("s-9", "main-workers-0", "ACTIVE", {"swarm_token": "SWMTKN-1-planted"}, "2026-01-01T00:00:00Z")
STEPS = (CreateServer(WORKER, "flavor-1", "image-1"), DeleteServer(Known(GONE), "uid-9", Reason.SCALED, "not wanted any more"))


class FakePlanner:
    """Gives these plans, and remembers what it was asked for."""

    def __init__(self, *steps: Any, service: ServicePlan | None = None, ready: str = "False", changes: tuple[MachineChange, ...] = ()) -> None:
        verdicts = (verdict(ConditionType.READY, "True" if ready == "True" else "False", Reason.NODES_JOINING, "1 of 2"),)
        decided = ClusterPlan(SwarmClusterStatus(), steps, verdicts, 2.0, changes=changes)
        self.look = ClusterLook(decided, (ExternalError(ErrorKind.UNREACHABLE, "ssh", "w-0 does not answer"),))
        self.answer = service
        self.asked: list[Resource] = []

    def cluster(self, resource: Resource) -> ClusterLook:
        self.asked.append(resource)
        return self.look

    def service(self, resource: Resource, cluster: Resource | None) -> ServicePlan:
        self.asked.append(resource)
        assert self.answer is not None
        return self.answer


class Previewing(FakeApi):
    def preview(self, plural: str, namespace: str, manifest: Json) -> Json:
        stored = next((item for item in self.list(plural, namespace) if item["metadata"]["name"] == manifest["metadata"]["name"]), None)
        metadata = {"namespace": namespace, "uid": "new", "generation": 1, **(stored["metadata"] if stored else {}), **manifest["metadata"]}
        return {**(stored or {}), **manifest, "metadata": {**metadata, "generation": metadata["generation"] + 1}}


def call(planner: FakePlanner, *argv: str, api: FakeApi | None = None) -> tuple[int, str]:
    out = io.StringIO()
    context = Context(parse(["plan", *argv]), api or FakeApi(), "shop", out, io.StringIO(), lambda endpoints, tls: node)  # type: ignore[arg-type,return-value]
    return plan(context, planner), out.getvalue()


def test_a_plan_names_steps_reasons_and_what_was_not_seen() -> None:
    status, text = call(FakePlanner(*STEPS), api=FakeApi(CLUSTER))
    assert status == 0
    assert text.splitlines() == [
        "SwarmCluster shop/main  NodesJoining: 1 of 2",
        "  1. create server main-workers-1 flavor_id=flavor-1 image_id=image-1",
        "  2. delete server main-workers-0 reason=Scaled  (not wanted any more)",
        "  then looked at again within 2 s",
        "  not seen from here ssh: w-0 does not answer",
    ]
    assert call(FakePlanner(*STEPS), "--exit-code", api=FakeApi(CLUSTER))[0] == 3


def test_nothing_to_do_is_said_so() -> None:
    status, text = call(FakePlanner(ready="True"), "--exit-code", api=FakeApi(CLUSTER))
    assert status == 0
    assert text.splitlines()[:2] == ["SwarmCluster shop/main  as declared", "  nothing to do now"]


def test_machines_that_will_be_changed_are_listed_in_their_order() -> None:
    changes = (MachineChange("main-workers-0", "new server", "image"), MachineChange("main-manager-0", "stays", "image; it is the only manager"))
    text = call(FakePlanner(changes=changes), api=FakeApi(CLUSTER))[1]
    assert text.splitlines()[2:5] == [
        "  machines that are not as declared, in the order in which they are changed:",
        "    main-workers-0  new server  (image)",
        "    main-manager-0  stays  (image; it is the only manager)",
    ]
    (document,) = json.loads(call(FakePlanner(changes=changes), "-o", "json", api=FakeApi(CLUSTER))[1])
    assert document["machines"][0] == {"name": "main-workers-0", "change": "new server", "because": "image"}


def test_json_marks_what_takes_something_away() -> None:
    (document,) = json.loads(call(FakePlanner(*STEPS), "-o", "json", api=FakeApi(CLUSTER))[1])
    assert [(step["step"], step["takesAway"]) for step in document["steps"]] == [("CreateServer", False), ("DeleteServer", True)]
    assert document["notSeen"] == ["ssh: w-0 does not answer"] and document["lookedAtAgainSeconds"] == 2.0


def test_metadata_of_servers_is_not_shown() -> None:
    assert "planted" not in call(FakePlanner(*STEPS), "-o", "json", api=FakeApi(CLUSTER))[1]
    assert describe(EnsureKeyPair(replace=True), "main").what == "replace=yes" and words("EnsureFloatingIP") == "ensure floating ip"


def test_what_is_as_it_is_by_default_is_not_shown() -> None:
    first, second = (describe(CreatePort(MachineId("Worker", "web", 0, 1), index=index, missing=2), "main").what for index in (0, 1))
    assert (first, second) == ("main-web-0", "main-web-0 index=1")


def test_a_manifest_is_planned_as_if_it_were_applied(tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        json.dumps({"apiVersion": "swarmops.io/v1alpha1", "kind": "SwarmCluster", "metadata": {"name": "main"}, "spec": {"paused": True, "join": "SSH"}})
        + "\n---\nkind: ConfigMap\n---\n"
    )
    planner = FakePlanner(*STEPS)
    _, text = call(planner, "-f", str(manifest), api=Previewing())
    assert text.splitlines()[1:3] == ["  ~ spec.join: unset -> SSH", "  ~ spec.paused: false -> true"]
    (asked,) = planner.asked
    assert asked.generation == 4 and asked.spec == {"paused": True, "join": "SSH"} and asked.status == CLUSTER["status"]
    manifest.write_text(manifest.read_text().replace('"main"', '"brandnew"'))
    assert "~ it is new" in call(FakePlanner(), "-f", str(manifest), api=Previewing())[1]
    manifest.write_text("kind: ConfigMap")
    with pytest.raises(ExternalError, match="holds no SwarmCluster"):
        call(FakePlanner(), "-f", str(manifest), api=Previewing())


def test_a_spec_that_cannot_be_carried_out_is_told() -> None:
    class Refusing(FakePlanner):
        def cluster(self, resource: Resource) -> ClusterLook:
            raise SpecError([Problem("spec.join", "what?")])

    assert "InvalidSpec: spec.join: what?" in call(Refusing(), api=FakeApi(CLUSTER))[1]


def test_updates_say_whether_tasks_restart() -> None:
    world = services.World()
    world.objects.put(services.WEB, services.SPEC)
    world.settle()
    world.clock.advance(60)
    world.settle()
    stored = world.objects.resources[services.WEB]
    writes, applied = list(world.swarm.writes()), list(world.objects.applied)

    def edited(**spec: Any) -> ServicePlan:
        return world.controller.plan(Resource(**{**vars(stored), "spec": {**stored.spec, **spec}, "generation": stored.generation + 1}))

    assert world.controller.plan(stored).step is None
    scaled = edited(replicas=5)
    assert isinstance(scaled.step, Update)
    _, text = call(FakePlanner(service=scaled), "service/web", api=FakeApi(SERVICE))
    assert "update replicas 2 -> 5  (no running task restarts)" in text
    _, text = call(FakePlanner(service=edited(image="nginx:2")), "service/web", api=FakeApi(SERVICE))
    assert "nginx:1" in text and "nginx:2" in text and "(tasks are replaced)" in text
    assert (world.swarm.writes(), world.objects.applied) == (writes, applied), "a plan writes nothing"


def test_a_cluster_is_planned_with_its_services() -> None:
    world = services.World()
    world.objects.put(services.WEB, services.SPEC)
    planner = FakePlanner(service=world.controller.plan(world.objects.resources[services.WEB]))
    _, text = call(planner, "main")
    assert "create service web" in text and [resource.key.name for resource in planner.asked] == ["main", "web"]
    assert world.swarm.writes() == [] and world.objects.applied == []


def test_differences_are_named_by_path_and_hide_what_is_masked() -> None:
    before = {"workerPools": [{"name": "a", "replicas": 1}, {"name": "b"}], "env": [{"name": "X", "value": "planted-1"}], "command": ["run"]}
    after = {"workerPools": [{"name": "c"}, {"name": "a", "replicas": 3}], "env": [{"name": "X", "value": "planted-2"}], "command": ["run", "fast"]}
    found = list(differences(cleaned(before), cleaned(after), before, after))
    assert found == [
        "spec.command: [run] -> [run, '[redacted]']",
        "spec.env[X].value: changed",
        "spec.workerPools[a].replicas: 1 -> 3",
        "spec.workerPools[b]: removed",
        "spec.workerPools[c]: added",
    ]
    assert list(differences(cleaned(after), cleaned(after), after, after)) == []
