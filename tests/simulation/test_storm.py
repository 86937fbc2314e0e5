"""Repairs are frozen when too much is down at once or when it is the operator that is cut off, and every grace starts anew afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, drive
from simulator.world import KEY
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.errors import ErrorKind, ExternalError

GRACE = 60
SPEC: dict[str, Any] = {
    "workerPools": [
        {"name": "one", "replicas": 2, "machine": {"availabilityZones": ["az-1"]}},
        {"name": "two", "replicas": 3, "machine": {"availabilityZones": ["az-2"]}},
    ],
    "healthCheck": {"nodeDownGraceSeconds": GRACE},
    "remediation": {"rungSeconds": 40},
}


@pytest.fixture
def world() -> World:
    made = World(SPEC)
    drive(made, lambda: made.ready)
    return made


def pass_time(world: World, seconds: float) -> None:
    controller, until = world.controller(), world.clock.monotonic() + seconds
    while world.clock.monotonic() < until:
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(5)


def repairs(world: World) -> list[str]:
    return [message for reason, message in world.objects.events if reason == "Repaired"]


def allowed_for(world: World) -> float:
    """Seconds since when repairs have been allowed."""
    since = next(c.last_transition_time for c in world.status.conditions if c.type == "RemediationAllowed" and c.status == "True")
    return times.age(since, world.clock.now()) or 0.0


def revive(world: World, *names: str) -> None:
    for name in names:
        world.guests[world.server(name).id].died = None


def test_an_outage_of_a_zone_is_left_to_pass(world: World) -> None:
    for name in ("demo-one-0", "demo-one-1"):
        world.kill(world.server(name).id)
    pass_time(world, 900)
    assert repairs(world) == [] and world.cloud.created_servers == 6
    assert world.condition("RemediationAllowed") == ("False", "ZoneDown")
    assert world.message("RemediationAllowed") == "all 2 machines in availability zone az-1 are unhealthy at once"
    revive(world, "demo-one-0")
    drive(world, lambda: world.condition("RemediationAllowed")[0] == "True")
    drive(world, lambda: bool(repairs(world)))
    assert allowed_for(world) >= GRACE - 1, "the other one's grace starts anew"
    assert "demo-one-1" in repairs(world)[0]
    drive(world, lambda: world.ready)


def test_too_many_with_the_numbers(world: World) -> None:
    for name in ("demo-one-0", "demo-two-0", "demo-two-1", "demo-two-2"):
        world.kill(world.server(name).id)
    pass_time(world, 300)
    assert repairs(world) == [] and world.condition("RemediationAllowed") == ("False", "BudgetExhausted")
    assert world.message("RemediationAllowed") == "4 of 6 machines are unhealthy, more than 60 %"


def test_what_a_person_names_is_replaced_in_the_midst_of_it(world: World) -> None:
    """And the one that is named still counts: naming one of four does not unfreeze the others."""
    for name in ("demo-one-0", "demo-two-0", "demo-two-1", "demo-two-2"):
        world.kill(world.server(name).id)
    pass_time(world, 120)
    world.annotate({"swarmops.io/remediate": "demo-two-1"})
    drive(world, lambda: "demo-two-1-2" in world.servers and world.status.workers.ready == 2)
    assert world.cloud.created_servers == 7 and repairs(world) == []


@pytest.mark.parametrize(("call", "reason"), [("cloud.list_servers", "CloudUnreachable"), ("swarm.view", "ManagerUnreachable")])
def test_cut_off_is_said_and_the_clocks_start_anew(world: World, call: str, reason: str) -> None:
    """A worker dies while we see nothing: on return it has its whole grace, though it has been down for long."""
    world.kill(world.server("demo-two-0").id)
    drive(world, lambda: any(n.phase == "Down" for n in world.status.nodes))
    world.faults.errors[call] = ExternalError(ErrorKind.UNREACHABLE, call.split(".")[0], "no answer", reason=Reason(reason))
    pass_time(world, 600)
    assert world.condition("RemediationAllowed") == ("False", reason) and "no answer" in world.message("RemediationAllowed")
    assert repairs(world) == [] and world.cloud.created_servers == 6
    del world.faults.errors[call]
    drive(world, lambda: world.condition("RemediationAllowed")[0] == "True")
    drive(world, lambda: bool(repairs(world)))
    assert allowed_for(world) >= GRACE - 1
    drive(world, lambda: world.ready)
