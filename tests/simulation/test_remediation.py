"""The ladder of repairs: each fault is met by the rung that calls for it, and the machine comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, drive
from simulator.guests import Guest
from simulator.world import KEY

SPEC: dict[str, Any] = {
    "workerPools": [{"name": "web", "replicas": 3, "nodeLabels": {"tier": "web"}}],
    "healthCheck": {"nodeDownGraceSeconds": 30},
    "remediation": {"rungSeconds": 40},
}
VICTIM = "demo-web-1"


@pytest.fixture
def world() -> World:
    made = World(SPEC)
    drive(made, lambda: made.ready)
    drive(made, lambda: all(n.labels.get("tier") == "web" for n in made.swarm.nodes.values() if n.role == "worker"))
    return made


def guest(world: World, name: str = VICTIM) -> Guest:
    return world.guests[world.server(name).id]


def repairs(world: World) -> list[str]:
    """The rungs tried so far, from the Events."""
    return [message.split(" ")[0] for reason, message in world.objects.events if reason == "Repaired"]


def back(world: World) -> None:
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready)


def test_a_dead_engine_is_restarted(world: World) -> None:
    guest(world).engine_up = False
    back(world)
    assert repairs(world) == ["RestartEngine"] and world.cloud.created_servers == 4


def test_an_engine_that_does_not_start_is_rebooted_then_replaced(world: World) -> None:
    guest(world).engine_up, guest(world).engine_broken = False, True
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready and f"{VICTIM}-2" in world.servers, limit=800)
    assert repairs(world) == ["RestartEngine", "SoftReboot", "HardReboot"]
    assert world.cloud.created_servers == 5


def test_a_killed_host_is_reset(world: World) -> None:
    server = world.server(VICTIM).id
    world.kill(server)
    back(world)
    assert repairs(world) == ["HardReboot"] and world.server(VICTIM).id == server
    record = next(n for n in world.status.nodes if n.name == VICTIM)
    assert record.remediation is not None and record.remediation.attempts == 1
    world.clock.advance(700)
    drive(world, lambda: next(n for n in world.status.nodes if n.name == VICTIM).remediation is None)


def test_a_stopped_server_is_started(world: World) -> None:
    world.power_off(VICTIM)
    back(world)
    assert repairs(world) == ["Start"] and world.cloud.created_servers == 4


def test_a_worker_that_left_joins_again_with_its_labels(world: World) -> None:
    """By hand: `docker swarm leave` on the worker."""
    found = guest(world)
    node = world.swarm.nodes[found.node_id]
    node.labels["theirs"] = "kept"
    found.swarm, found.node_id = None, ""
    world.clock.advance(20)
    back(world)
    drive(world, lambda: len(world.swarm.nodes) == 4)
    assert repairs(world) == ["Rejoin"]
    (again,) = [n for n in world.swarm.nodes.values() if n.hostname == VICTIM]
    assert again.id != node.id and again.labels["tier"] == "web" and again.labels["theirs"] == "kept"


def test_a_node_removed_by_a_person_joins_again_at_once(world: World) -> None:
    found = guest(world)
    del world.swarm.nodes[found.node_id]
    world.clock.advance(700)
    drive(world, lambda: any(n.hostname == VICTIM for n in world.swarm.nodes.values()))
    drive(world, lambda: world.ready)
    assert world.cloud.created_servers == 4 and repairs(world) == []


def test_a_blip_shorter_than_the_grace_does_nothing(world: World) -> None:
    found = guest(world)
    found.died = world.clock.monotonic()
    world.clock.advance(20)
    drive(world, lambda: not world.ready)
    found.died = None
    drive(world, lambda: world.ready)
    assert repairs(world) == []


def test_a_flapping_machine_is_replaced_after_five_repairs(world: World) -> None:
    for _ in range(5):
        world.kill(world.server(VICTIM).id)
        world.clock.advance(20)
        drive(world, lambda: not world.ready)
        drive(world, lambda: world.ready)
    assert repairs(world) == ["HardReboot"] * 5
    world.kill(world.server(VICTIM).id)
    world.clock.advance(20)
    drive(world, lambda: f"{VICTIM}-2" in world.servers and world.ready)


def test_no_repair_while_the_swarm_is_not_seen_or_too_many_are_down(world: World) -> None:
    for name in ("demo-web-0", VICTIM, "demo-web-2"):
        world.kill(world.server(name).id)
    controller = world.controller()
    for _ in range(40):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(15)
    assert repairs(world) == [] and world.condition("RemediationAllowed") == ("False", "BudgetExhausted")


@pytest.mark.parametrize("value", ["true", VICTIM, f"other, {VICTIM}"])
def test_skip_annotation(world: World, value: str) -> None:
    world.annotate({"swarmops.io/skip-remediation": value})
    world.kill(world.server(VICTIM).id)
    controller = world.controller()
    for _ in range(40):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(15)
    assert repairs(world) == [] and world.cloud.created_servers == 4
    world.annotate({})
    drive(world, lambda: world.ready)


def test_remediate_annotation_replaces_a_healthy_worker_with_a_drain(world: World) -> None:
    world.annotate({"swarmops.io/remediate": VICTIM})
    drive(world, lambda: f"{VICTIM}-2" in world.servers and world.ready and len(world.servers) == 4)
    assert world.cloud.created_servers == 5 and repairs(world) == []


def test_policy_none_only_reports(world: World) -> None:
    world.edit(remediation={"policy": "None"})
    world.kill(world.server(VICTIM).id)
    controller = world.controller()
    for _ in range(30):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(15)
    assert repairs(world) == [] and world.condition("MembersUpToDate") == ("False", "NodesDown")


def test_join_tokens_are_rotated_once_for_each_text(world: World) -> None:
    workers, managers = world.swarm.token_generation, world.swarm.manager_token_generation
    world.edit(swarm={"rotateJoinTokens": "one"})
    drive(world, lambda: world.status.join.rotated_for == "one")
    drive(world, lambda: world.ready)
    for _ in range(5):
        world.controller().reconcile(KEY)
        world.clock.advance(60)
    assert (world.swarm.token_generation, world.swarm.manager_token_generation) == (workers + 1, managers + 1)
    world.scale(4)
    drive(world, lambda: world.ready)
    world.edit(swarm={"rotateJoinTokens": "two"})
    drive(world, lambda: world.status.join.rotated_for == "two")
    assert (world.swarm.token_generation, world.swarm.manager_token_generation) == (workers + 2, managers + 2)


def test_settings_of_the_live_swarm_follow_the_spec(world: World) -> None:
    world.edit(swarm={"taskHistoryLimit": 2, "heartbeatSeconds": 9, "certExpiryHours": 100})
    drive(
        world, lambda: (world.swarm.settings.task_history_limit, world.swarm.settings.heartbeat_seconds, world.swarm.settings.cert_expiry_hours) == (2, 9, 100)
    )
    drive(world, lambda: world.ready)
    writes = world.swarm.writes
    for _ in range(5):
        world.controller().reconcile(KEY)
        world.clock.advance(60)
    assert world.swarm.writes == writes
