"""Pools whose servers the cloud may take at any time, and flavors to fall back on."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.world import KEY
from swarm_operator.domain import times

POOLS: list[dict[str, Any]] = [
    {"name": "web", "replicas": 1},
    {"name": "spot", "replicas": 3, "preemptible": True, "nodeLabels": {"tier": "batch"}},
]
SPEC: dict[str, Any] = {"workerPools": POOLS, "remediation": {"rungSeconds": 40, "maxUnhealthyPercent": 30, "retryBudget": {"perCluster": 1}}}
MACHINE: dict[str, Any] = {"flavor": {"id": "small"}, "image": {"name": "debian"}}
SPOTS = ("demo-spot-0", "demo-spot-1", "demo-spot-2")


@pytest.fixture
def world() -> World:
    made = World(SPEC)
    drive(made, lambda: made.ready)
    return made


def spots(world: World) -> list[str]:
    return [name for name in world.servers if "spot" in name]


def take(world: World, *names: str) -> None:
    """The cloud deletes servers."""
    for name in names:
        world.delete_behind_our_back(name)
    world.clock.advance(20)


def test_nodes_of_the_pool_carry_the_label_and_lose_it_with_the_field(world: World) -> None:
    labels = {n.hostname: n.labels for n in world.swarm.nodes.values()}
    assert all(labels[name]["io.swarmops.preemptible"] == "true" and labels[name]["tier"] == "batch" for name in SPOTS)
    assert "io.swarmops.preemptible" not in labels["demo-web-0"]
    world.edit(workerPools=[POOLS[0], {**POOLS[1], "preemptible": False}])
    drive(world, lambda: not any("io.swarmops.preemptible" in n.labels for n in world.swarm.nodes.values()))
    assert world.cloud.created_servers == 5, "the field replaces no server"


def test_all_that_the_cloud_takes_at_once_is_made_again_at_once(world: World) -> None:
    """More than maxUnhealthyPercent, maxConcurrent and the retry budget would allow of failures."""
    controller, start = world.controller(), world.clock.monotonic()
    take(world, *SPOTS)
    drive(world, lambda: spots(world) == [f"{name}-2" for name in SPOTS], controller)
    assert world.clock.monotonic() - start < 20 + 15, "no grace, and not one after the other"
    assert world.condition("RemediationAllowed")[0] == "True"
    drive(world, lambda: world.ready, controller)
    for number in (3, 4):
        take(world, f"demo-spot-1-{number - 1}")
        drive(world, lambda number=number: world.ready and f"demo-spot-1-{number}" in world.servers, controller)
    assert world.status.repairs.count == 0
    assert sorted(n.hostname for n in world.swarm.nodes.values()) == sorted(world.servers), "no row of the lost ones is left"


def test_another_failure_is_repaired_while_the_cloud_takes_machines(world: World) -> None:
    take(world, *SPOTS)
    world.cloud.build_fault = "No valid host was found."
    world.kill(world.server("demo-web-0").id)
    drive(world, lambda: any(r == "Repaired" and "demo-web-0" in m for r, m in world.objects.events), limit=600)
    assert world.status.repairs.count == 1


def test_failures_of_other_kinds_count_as_ever(world: World) -> None:
    for name in SPOTS[:2]:
        world.kill(world.server(name).id)
    start = world.clock.monotonic()
    drive(world, lambda: world.condition("RemediationAllowed") == ("False", "BudgetExhausted"), limit=600)
    assert world.clock.monotonic() - start > 5 and world.cloud.created_servers == 5


def test_a_stopped_server_is_started_at_once_and_replaced_where_that_does_not_help(world: World) -> None:
    controller = world.controller()
    server = world.server("demo-spot-1")
    world.power_off("demo-spot-1")
    world.clock.advance(20)
    start = world.clock.monotonic()
    drive(world, lambda: not server.off, controller)
    assert world.clock.monotonic() - start < 10 and world.status.repairs.count == 0
    drive(world, lambda: world.ready, controller)
    assert spots(world) == list(SPOTS)

    class Refuses(type(world.cloud)):  # type: ignore[misc]
        def start_server(self, server_id: str) -> None:
            self.writes += 1

    world.cloud.__class__ = Refuses
    world.power_off("demo-spot-1")
    world.clock.advance(20)
    drive(world, lambda: world.ready and "demo-spot-1-2" in world.servers, controller)
    assert world.status.repairs.count == 0


def test_a_machine_that_is_to_be_looked_at_is_not_started(world: World) -> None:
    world.annotate({"swarmops.io/preserve": "demo-spot-1"})
    world.power_off("demo-spot-1")
    drive(world, lambda: any(n.phase == "Preserved" for n in world.status.nodes), limit=600)


def test_a_rollout_of_the_pool_is_not_halted_by_what_the_cloud_takes(world: World) -> None:
    controller = world.controller()
    world.edit(workerPools=[POOLS[0], {**POOLS[1], "machine": {"flavor": {"name": "other"}}}])
    drive(world, lambda: "demo-spot-0-2" in world.servers, controller)
    take(world, "demo-spot-0-2")
    drive(world, lambda: world.ready and world.status.rollout.state == "Complete", controller, limit=900)
    assert world.status.rollout.halted is None
    assert not {*SPOTS} & {*world.servers} and len(spots(world)) == 3


def test_policy_none_leaves_it() -> None:
    world = World({**SPEC, "remediation": {"policy": "None"}})
    drive(world, lambda: world.ready)
    take(world, "demo-spot-0")
    for _ in range(20):
        world.tick()
        world.controller().reconcile(KEY)
        world.clock.advance(10)
    assert world.cloud.created_servers == 5 and world.condition("MembersUpToDate") == ("False", "Preempted")


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_write(world: World, lose_status: bool) -> None:
    def again(tried: World) -> None:
        drive(tried, lambda: tried.ready and len(spots(tried)) == 3 and len(tried.swarm.nodes) == 5)

    take(world, "demo-spot-1")
    found = deaths(world, again, lose_status=lose_status)
    assert len(found) > 5
    for point, tried in found:
        again(tried)
        assert len(tried.servers) == 5 and len(tried.cloud.ports) == 5 and tried.cloud.created_servers == 6, point


def flavors(world: World, of: str = "web") -> list[str]:
    return sorted(
        s.request.flavor_id.partition(":")[2] for s in world.cloud.servers.values() if s.request.name.startswith(f"demo-{of}-") and s.deleted_at is None
    )


def full(*names: str) -> set[str]:
    return {f"flavor:{name}" for name in names}


def fallback(**changes: Any) -> dict[str, Any]:
    return {"machine": {**MACHINE, "fallbackFlavors": [{"id": "medium"}, {"id": "large"}], **changes}, "workerPools": [{"name": "web", "replicas": 2}]}


def test_flavors_are_tried_in_their_order_and_none_outdates_a_machine() -> None:
    world = World(fallback())
    world.cloud.full_flavors = full("small")
    drive(world, lambda: world.ready, limit=900)
    assert set(flavors(world)) == {"medium"}
    records = [n for n in world.status.nodes if n.role == "Worker"]
    assert {n.fallback_flavor_id for n in records} == full("medium") and all(n.up_to_date and n.flavors_tried == [] for n in records)
    assert any("of the fallback flavor flavor:medium" in message for _, message in world.objects.events)
    world.cloud.full_flavors = set()
    made = world.cloud.created_servers
    for _ in range(5):
        world.tick()
        world.controller().reconcile(KEY)
        world.clock.advance(60)
    assert world.cloud.created_servers == made and world.ready
    world.kill(world.server(next(n.name for n in records if n.slot == 0)).id, hopeless=True)
    drive(world, lambda: world.ready and flavors(world) == ["medium", "small"], limit=900)


def test_every_zone_is_tried_before_the_next_flavor() -> None:
    world = World(fallback(availabilityZones=["az1"], fallbackZones=["az2"]))
    drive(world, lambda: world.ready)
    asked: list[tuple[str, str | None]] = []
    create = world.cloud.create_server

    def note(request: Any) -> str:
        asked.append((request.flavor_id.partition(":")[2], request.availability_zone))
        return create(request)

    world.cloud.create_server = note  # type: ignore[method-assign]
    world.cloud.full_zones = {"az1"}
    world.cloud.full_flavors = full("small", "medium")
    world.delete_behind_our_back("demo-web-1")
    world.clock.advance(20)
    drive(world, lambda: world.ready and len(asked) > 3, limit=900)
    every = [(flavor, zone) for flavor in ("small", "medium", "large") for zone in ("az1", "az2")]
    assert asked == every
    assert next(n for n in world.status.nodes if n.name.startswith("demo-web-1")).fallback_flavor_id == "flavor:large"


def test_when_no_flavor_has_a_host_the_first_is_open_again() -> None:
    world = World(fallback())
    drive(world, lambda: world.ready)
    world.cloud.full_flavors = full("small", "medium", "large")
    world.delete_behind_our_back("demo-web-1")
    world.clock.advance(20)
    seen: list[str] = []

    def note() -> bool:
        seen.extend(
            f
            for s in world.cloud.servers.values()
            if s.request.name.startswith("demo-web-1-")
            for f in [f"{s.request.name}={s.request.flavor_id.partition(':')[2]}"]
            if f not in seen
        )
        return len(seen) >= 4

    drive(world, note, limit=900)
    assert [s.partition("=")[2] for s in seen[:4]] == ["small", "medium", "large", "small"]
    assert (times.age(world.status.nodes[-1].created_at, world.clock.now()) or 0) >= 0
    world.cloud.full_flavors = full("small")
    drive(world, lambda: world.ready, limit=900)
