"""What is planned is what is then done: the planner beside the controller, through the life of a cluster in the simulator."""

from __future__ import annotations

import pytest

from simulator import World, drive
from simulator.guests import SimHosts
from simulator.images import SimDownloads
from simulator.world import KEY, SimClouds
from swarm_operator.cli.plan import describe
from swarm_operator.controllers.cluster import ClusterController
from swarm_operator.controllers.planner import Planner
from swarm_operator.domain.service.decision import ServicePlan
from swarm_operator.engine.outcome import After, Retry
from swarm_operator.ports.objects import Resource


class NoServices:
    def plan(self, resource: Resource) -> ServicePlan:
        raise NotImplementedError


def planner(world: World) -> Planner:
    objects, hosts = world.port("kubernetes", world.objects), world.port("hosts", SimHosts(world))
    return Planner(objects, SimClouds(world), hosts, world.sessions, NoServices(), world.clock, threads=1)


def live(world: World, until: str, limit: int = 200) -> list[str]:
    """Reconcile with a new process each time until `until` holds (see `_reached`); every plan before must be what was then done. The steps, in words."""
    said: list[str] = []
    for _ in range(limit):
        world.tick()
        resource = world.resource
        if _reached(world, until):
            return said
        assert resource is not None
        before = world.external_writes()
        plan = planner(world).cluster(resource).plan
        assert world.external_writes() == before, "a plan changes nothing"
        done: list[str] = []
        hosts, downloads = world.port("hosts", SimHosts(world)), world.port("downloads", SimDownloads(world.web, world.web_cut_off))
        controller = ClusterController(
            world.port("kubernetes", world.objects, free=frozenset({"event"})),
            SimClouds(world),
            hosts,
            world.sessions,
            world.clock,
            guest_threads=1,
            downloads=downloads,
            observe_step=lambda step, result, done=done: done.append(f"{step} {result}"),  # type: ignore[misc]
        )
        outcome = controller.reconcile(KEY)
        assert sorted(done) == sorted(f"{type(step).__name__} ok" for step in plan.steps)
        said += [f"{action.step} {action.what}" for action in (describe(step, KEY.name) for step in plan.steps)]
        world.clock.advance(max(1.0, outcome.seconds if isinstance(outcome, After) else outcome.minimum if isinstance(outcome, Retry) else 30.0))
    raise AssertionError(f"not {until} in {limit} reconciles; last: {said[-5:]}")


def _reached(world: World, until: str) -> bool:
    if world.resource is None or until == "gone":
        return world.resource is None
    if until == "rolled":
        return world.ready and world.status.rollout.state == "Complete" and len(world.cloud.servers) == len(world.status.nodes) == len(world.swarm.nodes)
    return not world.ready if until == "worse" else world.ready


def test_the_plan_is_what_is_done_from_creation_to_deletion() -> None:
    world = World()
    said = live(world, "ready")
    assert any(text.startswith("CreateServer demo-manager-0 ") for text in said) and any(text.startswith("JoinNode demo-web-0 ") for text in said)
    world.scale(2)
    assert any(text.startswith("CreateServer demo-web-1 ") for text in live(world, "ready"))
    world.scale(1)
    assert any(text.startswith("DrainNode demo-web-1") for text in live(world, "ready"))
    world.annotate({"swarmops.io/remediate": "demo-web-0"})
    world.edit(drainTimeoutSeconds=1)
    assert any(text.startswith("DrainNode demo-web-0") for text in live(world, "ready"))
    world.annotate({})
    world.delete()
    assert "RemoveFinalizer" in [text.split()[0] for text in live(world, "gone")]


def test_the_plan_is_what_is_done_while_machines_fail_and_are_rolled() -> None:
    world = World({"healthCheck": {"nodeDownGraceSeconds": 10}})
    live(world, "ready")
    world.kill(world.server("demo-web-0").id)
    world.clock.advance(60)
    world.tick()
    said = live(world, "worse") + live(world, "ready")
    assert any(text.startswith("Repair demo-web-0 ") for text in said)
    world.edit(workerPools=[{"name": "web", "replicas": 1, "machine": {"image": {"name": "trixie"}}}])
    said = live(world, "rolled")
    assert any(text.startswith("CreateServer demo-web-0-2 ") for text in said) and any(text.startswith("DrainNode demo-web-0") for text in said)
    assert said.index(next(t for t in said if t.startswith("CreateServer demo-web-0-2 "))) < said.index(
        next(t for t in said if t.startswith("DeleteServer demo-web-0"))
    )


NEW = {"image": {"name": "trixie"}}
THREE = {"replicas": 3}


def forecast(world: World) -> list[tuple[str, str, str]]:
    assert world.resource is not None
    return [(m.name, m.how, m.why) for m in planner(world).cluster(world.resource).plan.changes]


@pytest.mark.parametrize("order", [["db", "manager", "web"], []], ids=["as-asked", "by-default"])
def test_the_forecast_is_the_order_in_which_machines_are_replaced(order: list[str]) -> None:
    pools = [{"name": "web", "replicas": 2}, {"name": "db", "replicas": 2}]
    world = World({"managers": THREE, "workerPools": pools, "rollout": {"order": order}})
    drive(world, lambda: world.ready)
    assert forecast(world) == []
    world.edit(machine={**world.resource.spec["machine"], **NEW})  # type: ignore[union-attr]
    told = forecast(world)
    assert {(how, why) for _, how, why in told} == {("new server", "image")} and len(told) == 7
    leader = next(n.hostname for n in world.swarm.nodes.values() if n.leader)
    assert [name for name, _, _ in told if "manager" in name][-1] == leader
    drive(world, lambda: world.ready and world.cloud.created_servers == 14, limit=2000)
    made = [s.request.name for s in world.cloud.servers.values() if s.request.name.endswith("-2")]
    assert made == [f"{name}-2" for name, _, _ in told]
    assert forecast(world) == []


def test_the_forecast_tells_what_takes_no_new_server_and_what_stays() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 1}]})
    drive(world, lambda: world.ready)
    world.edit(engine={"insecureRegistries": ["registry:5000"]})
    assert forecast(world) == [(name, "engine reload", "engine settings") for name in ("demo-web-0", "demo-manager-0")]
    world.edit(engine={"mtu": 1400}, managers={"machine": NEW})
    assert forecast(world) == [
        ("demo-web-0", "engine restart", "engine settings"),
        ("demo-manager-0", "engine restart", "image, engine settings; it is the only manager"),
    ]
    world.edit(engine={}, machine={**world.resource.spec["machine"], **NEW}, rollout={"strategy": "OnDelete"}, managers={})  # type: ignore[union-attr]
    assert forecast(world) == [(name, "stays", "image; the strategy is OnDelete") for name in ("demo-web-0", "demo-manager-0")]
    world.edit(rollout={})
    assert forecast(world) == [("demo-web-0", "new server", "image"), ("demo-manager-0", "stays", "image; it is the only manager")]


def test_no_secret_is_in_the_words_of_a_plan() -> None:
    world = World({"join": "Metadata"})
    said = "\n".join(live(world, "ready"))
    secrets = [value for _, data in world.objects.secrets.values() for value in data.values()]
    tokens = [world.swarm.token("worker"), world.swarm.token("manager")]
    assert len(secrets) > 4 and not any(value.decode() in said for value in secrets) and not any(token in said for token in tokens)


def test_an_edit_is_planned_without_being_stored() -> None:
    world = World()
    live(world, "ready")
    stored = world.resource
    assert stored is not None
    edited = Resource(**{**vars(stored), "spec": {**stored.spec, "workerPools": [{"name": "web", "replicas": 3}]}, "generation": stored.generation + 1})
    steps = planner(world).cluster(edited).plan.steps
    assert [describe(step, KEY.name).what for step in steps if type(step).__name__ == "CreatePort"] == ["demo-web-1", "demo-web-2"]
    assert world.resource == stored and not planner(world).cluster(stored).plan.steps


def test_nothing_is_planned_for_a_swarm_of_somebody_else() -> None:
    world = World()
    theirs = {"external": {"endpoints": ["tcp://192.0.2.1:2376"], "tlsSecretRef": {"name": "theirs"}}}
    resource = Resource(KEY, "uid", 1, "0", theirs, {})
    world.objects.resources[KEY] = resource
    look = planner(world).cluster(resource)
    assert not look.plan.steps and not look.errors
