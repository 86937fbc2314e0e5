"""SwarmStacks against a swarm and a Kubernetes API in memory, with the controller of their SwarmServices beside theirs: good, bad and broken, and a crash at every call."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from simulator.faults import Crash, Faults, Port, When
from swarm_operator.api.base import FINALIZER
from swarm_operator.controllers.service import ServiceController
from swarm_operator.controllers.session import ClusterSessions
from swarm_operator.controllers.stack import StackController
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import NETWORK_LABEL_STACK
from swarm_operator.domain.swarm import OverlayInfo
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.objects import Key
from unit.service.fakes import TLS, FakeObjects, FakeSwarm, FakeSwarms

CLUSTER = Key("SwarmCluster", "default", "c")
SHOP = Key("SwarmStack", "default", "shop")
UID = "stack-uid"
COMPOSE = """
services:
  web: {image: 'web:${TAG:-1}', networks: [front, default], deploy: {replicas: 2}}
  agent: {image: agent:1, deploy: {mode: global}}
networks: {front: {attachable: true}}
"""
WITHOUT_AGENT_AND_FRONT = "services: {web: {image: 'web:1', deploy: {replicas: 2}}}"


class World:
    def __init__(self, compose: str = COMPOSE, **spec: Any) -> None:
        self.clock, self.swarm, self.objects, self.faults = FakeClock(), FakeSwarm(), FakeObjects(), Faults()
        self.woken: list[Key] = []
        self.start()
        self.objects.put(CLUSTER, {}, "cluster-uid")
        self.objects.put(SHOP, {"clusterRef": {"name": "c"}, "compose": compose, **spec}, UID)

    def start(self) -> None:
        """A fresh process: no memory."""
        objects: Any = Port(self.faults, "kubernetes", self.objects, free=frozenset({"event"}))
        objects.__dict__["dependents"] = Port(self.faults, "dependents", self.objects.dependents)
        swarm: Any = Port(self.faults, "docker", self.swarm, free=frozenset({"close"}))
        self.sessions = ClusterSessions(FakeSwarms(swarm), self.woken.append, self.clock, follow_events=False)
        self.stacks = StackController(objects, self.sessions, self.clock)
        self.services = ServiceController(self.objects, self.sessions, self.clock)
        self.connect()

    def connect(self) -> None:
        self.sessions.publish(CLUSTER, "cluster-uid", ["tcp://10.0.0.1:2376"], TLS)

    def stack(self) -> Outcome:
        self.clock.advance(3)
        return self.stacks.reconcile(SHOP)

    def settle(self, rounds: int = 14) -> None:
        for _ in range(rounds):
            self.stack()
            for key in [key for key in self.objects.resources if key.kind == "SwarmService"]:
                self.clock.advance(3)
                self.services.reconcile(key)

    def edit(self, **spec: Any) -> None:
        self.objects.put(SHOP, {**self.objects.resources[SHOP].spec, **spec}, UID)

    def delete(self) -> None:
        self.objects.delete(SHOP)

    @property
    def status(self) -> dict[str, Any]:
        return self.objects.resources[SHOP].status

    def condition(self, kind: str) -> tuple[str, str]:
        assert len(self.status["conditions"]) == 9
        found = next(c for c in self.status["conditions"] if c["type"] == kind)
        return found["status"], found["reason"]

    def message(self, kind: str) -> str:
        return str(next(c for c in self.status["conditions"] if c["type"] == kind)["message"])

    def in_swarm(self) -> set[str]:
        return {service["Spec"]["Name"] for service in self.swarm.services.values()}

    def networks(self) -> set[str]:
        return {network.name for network in self.swarm.networks} - {"front", "host"}

    def objects_named(self) -> set[str]:
        return {key.name for key in self.objects.resources if key.kind == "SwarmService"}


@pytest.fixture
def ready() -> World:
    world = World()
    world.settle()
    assert world.condition("Ready") == ("True", "Reconciled"), world.status
    return world


def test_a_compose_file_runs_and_then_nothing_is_written(ready: World) -> None:
    assert ready.in_swarm() == {"shop_web", "shop_agent"}
    assert ready.networks() == {"shop_default", "shop_front"}
    assert ready.status["services"] == {"total": 2, "ready": 2, "summary": "2/2"}
    assert [state["name"] for state in ready.status["serviceStates"]] == ["shop-agent", "shop-web"]
    assert all(network.labels[NETWORK_LABEL_STACK] == UID for network in ready.swarm.networks if network.name.startswith("shop"))
    ready.objects.dependents.writes.clear()
    ready.swarm.calls.clear()
    ready.objects.applied.clear()
    ready.start()
    ready.settle()
    assert ready.objects.dependents.writes == [] and ready.swarm.writes() == [] and ready.objects.applied == []
    assert ready.stack() == Done()


def test_an_edit_changes_what_it_names_and_prunes_what_has_left(ready: World) -> None:
    ready.objects.dependents.writes.clear()
    ready.edit(compose=WITHOUT_AGENT_AND_FRONT)
    ready.settle()
    assert sorted(set(ready.objects.dependents.writes)) == ["apply shop-web", "delete shop-agent"]
    assert ready.in_swarm() == {"shop_web"} and ready.objects_named() == {"shop-web"}
    # The way back of shop_web still leads through front: it goes with the next update.
    assert ready.networks() == {"shop_default", "shop_front"}
    assert "rollback" in next(n for n in ready.status["networks"] if n["name"] == "shop_front")["message"]
    ready.edit(compose=WITHOUT_AGENT_AND_FRONT.replace("web:1", "web:2"))
    ready.settle()
    assert ready.networks() == {"shop_default"}
    assert ready.condition("Ready") == ("True", "Reconciled")
    assert ready.status["networks"][0]["name"] == "shop_default"


def test_variables_come_from_the_spec_and_from_config_maps(ready: World) -> None:
    ready.objects.config_maps["vars"] = {"TAG": b"7", "not a variable": b"x"}
    ready.edit(envFrom=[{"configMapRef": {"name": "vars"}}])
    ready.settle()
    assert ready.objects.resources[Key("SwarmService", "default", "shop-web")].spec["image"] == "web:7"
    assert ready.stack() == After(20.0), "nothing tells of a change of a ConfigMap"
    ready.objects.config_maps["vars"] = {"TAG": b"8"}
    ready.settle()
    assert ready.objects.resources[Key("SwarmService", "default", "shop-web")].spec["image"] == "web:8"
    ready.edit(env=[{"name": "TAG", "value": "9"}])
    ready.settle()
    assert ready.objects.resources[Key("SwarmService", "default", "shop-web")].spec["image"] == "web:9"


def test_the_file_may_be_in_a_config_map() -> None:
    world = World(composeFrom={"configMapKeyRef": {"name": "files", "key": "compose.yaml"}})
    world.edit(compose=None)
    world.stack()
    assert world.condition("Ready") == ("False", "ConfigMapNotFound") and world.condition("Stalled")[0] == "True"
    world.objects.config_maps["files"] = {"compose.yaml": COMPOSE.encode()}
    world.settle()
    assert world.condition("Ready") == ("True", "Reconciled")
    del world.objects.config_maps["files"]
    world.settle()
    assert world.condition("ComposeValid") == ("False", "ConfigMapNotFound")
    assert world.in_swarm() == {"shop_web", "shop_agent"}, "nothing is removed on a file that is not there"


def test_a_file_that_can_not_be_used_changes_nothing(ready: World) -> None:
    ready.objects.dependents.writes.clear()
    ready.edit(compose="services: {web: {image: web:2, mem_limit: 1g}}")
    ready.settle()
    assert ready.condition("ComposeValid") == ("False", "InvalidCompose") and ready.condition("Stalled") == ("True", "InvalidCompose")
    assert "services.web.mem_limit" in ready.message("Ready")
    assert ready.objects.dependents.writes == []
    assert ready.status["services"]["summary"] == "2/2", "what is there is still told"
    assert [event for event in ready.objects.events if event[0] == "InvalidCompose"] == [("InvalidCompose", ready.message("ComposeValid"), True)]
    ready.edit(compose=COMPOSE)
    ready.settle()
    assert ready.condition("Ready") == ("True", "Reconciled")


def test_keys_that_are_ignored_are_told(ready: World) -> None:
    ready.edit(compose=COMPOSE.replace("image: agent:1,", "image: agent:1, build: ., "))
    ready.settle()
    assert ready.condition("KeysIgnored") == ("True", "KeysIgnored")
    assert ready.status["warnings"] == ["services.agent.build is ignored: swarm can't carry it out"]
    assert ready.condition("Ready")[0] == "True"


def test_a_service_of_somebody_else_is_left_alone() -> None:
    world = World()
    theirs = Key("SwarmService", "default", "shop-web")
    world.objects.put(theirs, {"clusterRef": {"name": "c"}, "image": "theirs:1"}, "their-uid")
    world.settle()
    assert world.objects.resources[theirs].spec["image"] == "theirs:1" and world.objects.resources[theirs].owners == ()
    assert world.condition("ServicesApplied") == ("False", "NameConflict") and world.condition("Stalled")[0] == "True"
    assert "shop-agent" in world.objects_named(), "the others are applied"
    world.objects.resources.pop(theirs)
    world.swarm.services.clear()
    world.settle()
    assert world.condition("Ready") == ("True", "Reconciled")


def test_a_service_that_appears_at_the_last_moment_is_not_taken() -> None:
    world = World()
    theirs = Key("SwarmService", "default", "shop-web")
    world.objects.dependents.before_apply = lambda: world.objects.put(theirs, {"clusterRef": {"name": "c"}, "image": "theirs:1"}, "their-uid")
    world.settle()
    assert world.objects.resources[theirs].spec["image"] == "theirs:1"
    assert world.condition("ServicesApplied") == ("False", "NameConflict")


def test_a_network_of_somebody_else_is_left_alone() -> None:
    world = World()
    world.swarm.networks.append(OverlayInfo("theirs", "shop_front", "overlay"))
    world.settle()
    assert world.condition("ServicesApplied") == ("False", "NameConflict")
    assert "declare it `external`" in world.message("Ready")
    assert world.in_swarm() == {"shop_agent"}, "what needs the network waits"
    world.delete()
    world.settle()
    assert "shop_front" in world.networks() and SHOP not in world.objects.resources


def test_a_network_can_not_be_changed_and_that_is_told(ready: World) -> None:
    ready.edit(compose=COMPOSE.replace("attachable: true", "attachable: false"))
    ready.settle()
    assert ready.condition("ServicesApplied") == ("False", "NetworkDiffers")
    assert "attachable is true" in ready.message("Ready")


def test_what_the_api_server_refuses_is_told_and_nothing_is_pruned(ready: World) -> None:
    ready.edit(compose="services: {web: {image: 'web:1', deploy: {mode: global}}}")
    ready.settle()
    assert ready.condition("ServicesApplied") == ("False", "ServiceRefused") and ready.condition("Stalled")[0] == "True"
    assert "services.web: " in ready.message("Ready") and "`mode` must not change" in ready.message("Ready")
    assert ready.in_swarm() == {"shop_web", "shop_agent"}, "nothing is removed where something can't be made"


def test_what_somebody_changes_of_ours_is_put_back_and_what_he_adds_stays(ready: World) -> None:
    web = Key("SwarmService", "default", "shop-web")
    live = ready.objects.resources[web]
    changed = {**live.spec, "image": "web:evil", "driftPolicy": "Report", "labels": {**live.spec["labels"], "mine": "1"}}
    ready.objects.resources[web] = replace(live, spec=changed, generation=live.generation + 1)
    ready.settle()
    spec = ready.objects.resources[web].spec
    assert (spec["image"], spec["driftPolicy"], spec["labels"]["mine"]) == ("web:1", "Report", "1")


def test_a_field_that_has_left_the_file_is_taken_back(ready: World) -> None:
    web = Key("SwarmService", "default", "shop-web")
    ready.edit(compose=COMPOSE.replace("image: 'web", "user: nobody, image: 'web"))
    ready.settle()
    assert ready.objects.resources[web].spec["user"] == "nobody"
    ready.edit(compose=COMPOSE)
    ready.settle()
    assert "user" not in ready.objects.resources[web].spec


def test_replicas_that_the_file_does_not_say_belong_to_others(ready: World) -> None:
    ready.edit(compose=COMPOSE.replace(", deploy: {replicas: 2}", ""))
    ready.settle()
    web = Key("SwarmService", "default", "shop-web")
    live = ready.objects.resources[web]
    ready.objects.resources[web] = replace(live, spec={**live.spec, "replicas": 5}, generation=live.generation + 1)
    ready.objects.dependents.writes.clear()
    ready.settle()
    assert ready.objects.resources[web].spec["replicas"] == 5 and ready.objects.dependents.writes == []


def test_a_service_that_is_not_ready_shows_in_the_stack(ready: World) -> None:
    ready.swarm.run_tasks = False
    for service_id in ready.swarm.tasks:
        ready.swarm.tasks[service_id] = []
    ready.settle(3)
    assert ready.condition("ServicesReady") == ("False", "ServicesNotReady")
    assert ready.condition("Ready")[0] == "False" and ready.condition("Reconciling")[0] == "True"
    assert "shop-agent: TasksStarting" in ready.message("Ready")
    ready.clock.advance(700)
    ready.settle(3)
    assert ready.condition("Stalled") == ("True", "ServicesNotReady"), "its progress deadline is over"


def test_without_a_cluster_the_services_are_declared_and_wait() -> None:
    world = World()
    world.sessions.drop(CLUSTER)
    world.settle(3)
    assert world.objects_named() == {"shop-web", "shop-agent"} and world.in_swarm() == set()
    assert world.condition("ClusterReachable") == ("False", "ClusterNotReady") and world.condition("Ready") == ("False", "ClusterNotReady")
    world.connect()
    assert SHOP in world.woken
    world.settle()
    assert world.condition("Ready") == ("True", "Reconciled")


def test_nothing_is_changed_while_paused(ready: World) -> None:
    ready.objects.dependents.writes.clear()
    ready.edit(paused=True, compose=WITHOUT_AGENT_AND_FRONT)
    ready.settle()
    assert ready.objects.dependents.writes == [] and ready.condition("Paused") == ("True", "Paused")
    assert ready.condition("ServicesApplied") == ("False", "Paused")
    ready.delete()
    ready.settle()
    assert ready.in_swarm() == {"shop_web", "shop_agent"} and SHOP in ready.objects.resources
    ready.edit(paused=False)
    ready.settle()
    assert ready.in_swarm() == set()


def test_deletion_takes_services_first_and_networks_last(ready: World) -> None:
    ready.swarm.calls.clear()
    ready.delete()
    ready.settle()
    assert SHOP not in ready.objects.resources and ready.objects_named() == set()
    assert ready.in_swarm() == set() and ready.networks() == set()
    kinds = [call.split()[0] for call in ready.swarm.writes()]
    assert kinds == ["remove_service", "remove_service", "remove_network", "remove_network"]


def test_deletion_asks_the_swarm_anew_what_uses_a_network(ready: World) -> None:
    """The services at hand may be those of a moment ago."""
    ready.swarm.services.clear()
    for key in [key for key in ready.objects.resources if key.kind == "SwarmService"]:
        del ready.objects.resources[key]
    ready.delete()
    ready.stacks.reconcile(SHOP)
    ready.stacks.reconcile(SHOP)
    assert SHOP not in ready.objects.resources and ready.networks() == set()
    assert "Retained" not in {reason for reason, _, _ in ready.objects.events}


def test_a_fresh_process_does_not_take_a_network_for_unused_before_it_has_asked(ready: World) -> None:
    ready.edit(compose=WITHOUT_AGENT_AND_FRONT)
    ready.settle()
    assert "shop_front" in ready.networks(), "the way back of shop_web leads through it"
    ready.start()
    ready.stacks.reconcile(SHOP)
    assert "shop_front" in ready.networks()


def test_deletion_waits_for_tasks_that_end_and_for_a_cluster_that_is_away(ready: World) -> None:
    ready.swarm.busy_networks = {network.id for network in ready.swarm.networks}
    ready.delete()
    ready.settle()
    assert ready.condition("Ready") == ("False", "Deleting") and "wait for tasks" in ready.message("Ready")
    ready.sessions.drop(CLUSTER)
    assert isinstance(ready.stack(), Retry)
    assert ready.condition("Ready") == ("False", "DeletionBlocked")
    ready.connect()
    ready.swarm.busy_networks.clear()
    ready.settle()
    assert ready.networks() == set() and SHOP not in ready.objects.resources


def test_a_cluster_that_is_gone_holds_nothing_up(ready: World) -> None:
    ready.sessions.drop(CLUSTER)
    del ready.objects.resources[CLUSTER]
    ready.delete()
    ready.settle()
    assert SHOP not in ready.objects.resources


def test_services_that_are_orphaned_keep_running_and_their_networks_stay(ready: World) -> None:
    ready.delete()
    ready.objects.resources[SHOP] = replace(ready.objects.resources[SHOP], finalizers=(FINALIZER, "orphan"))
    assert ready.stack() == After(2.0)
    for key in [key for key in ready.objects.resources if key.kind == "SwarmService"]:
        ready.objects.resources[key] = replace(ready.objects.resources[key], owners=())
    ready.objects.resources[SHOP] = replace(ready.objects.resources[SHOP], finalizers=(FINALIZER,))
    ready.settle()
    assert SHOP not in ready.objects.resources
    assert ready.in_swarm() == {"shop_web", "shop_agent"} and ready.networks() == {"shop_default", "shop_front"}


@pytest.mark.parametrize("kind", [ErrorKind.TRANSIENT, ErrorKind.UNREACHABLE])
@pytest.mark.parametrize("call", ["dependents.list", "dependents.apply", "kubernetes.get", "kubernetes.apply_status", "docker.view", "docker.create_network"])
def test_a_call_that_fails_for_a_while_delays_and_does_no_harm(call: str, kind: ErrorKind) -> None:
    world = World()
    world.faults.errors[call] = ExternalError(kind, call.split(".")[0].replace("dependents", "kubernetes"), "away")
    for _ in range(4):
        assert isinstance(world.stack(), Retry | After | Done)
    world.faults.errors.clear()
    world.settle()
    assert world.condition("Ready") == ("True", "Reconciled")
    assert world.in_swarm() == {"shop_web", "shop_agent"}


def scenario(world: World) -> None:
    """Made, changed, taken down."""
    if SHOP in world.objects.resources and not world.objects.resources[SHOP].deleting:
        world.settle(6)
        world.edit(compose=WITHOUT_AGENT_AND_FRONT)
        world.settle(6)
        world.delete()
    world.settle(8)


def test_a_crash_at_any_call_is_made_good_by_the_next_process() -> None:
    whole = World()
    scenario(whole)
    assert whole.in_swarm() == set() and whole.networks() == set() and SHOP not in whole.objects.resources
    writes = ("apply", "delete", "create_network", "remove_network", "set_finalizer", "apply_status", "remove_service")
    numbers = [number for number, name in enumerate(whole.faults.calls) if name.split(".")[1] in writes]
    assert len(numbers) > 20
    sides: tuple[When, When] = ("before", "after")
    for point in itertools.product(numbers, sides):
        world = World()
        world.faults.crash_at = point
        try:
            scenario(world)
        except Crash:
            world.faults.crash_at = None
            world.start()
            scenario(world)
        else:
            raise AssertionError(f"did not die at {point}")
        assert world.in_swarm() == set() and world.networks() == set() and SHOP not in world.objects.resources, point


@pytest.mark.parametrize("call", ["dependents.apply", "dependents.delete", "docker.create_network", "docker.remove_network", "kubernetes.set_finalizer"])
def test_a_lost_answer_makes_nothing_twice(call: str) -> None:
    world = World()
    world.faults.lose_answer_of = call
    world.settle(8)
    world.edit(compose=WITHOUT_AGENT_AND_FRONT)
    world.settle(8)
    assert world.in_swarm() == {"shop_web"} and world.condition("Ready")[0] == "True"
    assert len([name for name in (n.name for n in world.swarm.networks) if name == "shop_default"]) == 1
    world.delete()
    world.settle()
    assert world.in_swarm() == set() and world.networks() == set()
