"""The ladder of repairs: each fault is met by the rung that calls for it, and the machine comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.guests import Guest
from simulator.world import KEY
from swarm_operator.domain import times

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


def test_a_worker_whose_certificate_is_over_joins_anew(world: World) -> None:
    """No restart would help. Its former row goes, and what others had set on it comes along."""
    node = world.swarm.nodes[guest(world).node_id]
    node.labels["theirs"] = "kept"
    guest(world).expired = True
    back(world)
    assert repairs(world) == ["Rejoin"] and world.cloud.created_servers == 4
    drive(world, lambda: len(world.swarm.nodes) == 4)
    (again,) = [n for n in world.swarm.nodes.values() if n.hostname == VICTIM]
    assert again.id != node.id and (again.labels["tier"], again.labels["theirs"]) == ("web", "kept")


def test_a_worker_whose_certificate_is_over_and_may_not_join_anew_is_rebuilt() -> None:
    world = World({**SPEC, "remediation": {"rungSeconds": 40, "rungs": ["RestartEngine", "HardReboot"]}})
    drive(world, lambda: world.ready)
    guest(world).expired = True
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready, limit=800)
    assert repairs(world) == ["HardReboot", "Rebuild"] and world.cloud.created_servers == 4


def test_a_manager_of_three_whose_certificate_is_over_is_replaced() -> None:
    """At once: neither a restart nor a reboot brings it back, and it is a member until it is demoted."""
    world = World({**SPEC, "managers": {"replicas": 3}})
    drive(world, lambda: world.ready)
    guest(world, "demo-manager-1").expired = True
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready and len(world.swarm.raft) == 3 == len(world.swarm.reachable(world)), limit=800)
    assert repairs(world) == [] and "demo-manager-1-2" in world.servers and "demo-manager-1" not in world.servers
    assert world.cloud.created_servers == 7 and len(world.swarm.nodes) == 6


def test_managers_whose_certificates_are_over_without_a_majority_are_left_alone() -> None:
    world = World({**SPEC, "managers": {"replicas": 3}, "recovery": {"mode": "Auto", "afterSeconds": 30}})
    drive(world, lambda: world.ready)
    for slot in (0, 2):
        guest(world, f"demo-manager-{slot}").expired = True
    controller = world.controller()
    for _ in range(40):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(15)
    assert world.condition("ManagersQuorate") == ("False", "QuorumLost") and world.condition("Stalled")[0] == "True"
    assert repairs(world) == [] and world.cloud.created_servers == 6
    text = world.message("ManagersQuorate")
    assert text.count("not valid after") == 2 and "demo-manager-0: error" in text and "demo-manager-1" not in text


def test_an_engine_that_does_not_start_is_rebooted_then_rebuilt(world: World) -> None:
    """The same server with a new disk: its former row goes, and what others had set on it comes along."""
    server, node = world.server(VICTIM), world.swarm.nodes[guest(world).node_id]
    node.labels["theirs"] = "kept"
    guest(world).engine_up, guest(world).engine_broken = False, True
    keys = next(n for n in world.status.nodes if n.name == VICTIM).host_keys
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready, limit=800)
    assert repairs(world) == ["RestartEngine", "SoftReboot", "HardReboot", "Rebuild"]
    assert world.cloud.created_servers == 4 and world.server(VICTIM).id == server.id
    record = next(n for n in world.status.nodes if n.name == VICTIM)
    assert record.host_keys != keys and record.incarnation == 1 and record.address == server.address
    drive(world, lambda: len(world.swarm.nodes) == 4)
    (again,) = [n for n in world.swarm.nodes.values() if n.hostname == VICTIM]
    assert again.id != node.id and again.labels["tier"] == "web" and again.labels["theirs"] == "kept"


@pytest.mark.parametrize("join", ["SSH", "Metadata"])
def test_a_rebuilt_worker_joins_over_ssh(join: str) -> None:
    """Also where workers join by metadata: the token there is worthless long since."""
    world = World({**SPEC, "join": join})
    drive(world, lambda: world.ready)
    guest(world).engine_up, guest(world).engine_broken = False, True
    drive(world, lambda: repairs(world)[-1:] == ["Rebuild"], limit=800)
    drive(world, lambda: world.ready, limit=800)
    assert world.cloud.created_servers == 4


def test_what_a_rebuild_does_not_bring_back_is_replaced(world: World) -> None:
    world.kill(world.server(VICTIM).id, hopeless=True)
    drive(world, lambda: not world.ready)
    drive(world, lambda: world.ready and f"{VICTIM}-2" in world.servers, limit=800)
    assert repairs(world) == ["HardReboot", "Rebuild"]
    assert world.cloud.created_servers == 5


@pytest.mark.parametrize(
    ("remediation", "tried", "servers"),
    [
        ({"rebuild": False}, ["RestartEngine", "SoftReboot", "HardReboot"], 5),
        ({"rungs": ["HardReboot", "Replace"], "rebuild": False}, ["HardReboot"], 5),
        ({"rungs": ["Replace"], "rebuild": False}, [], 5),
        ({"rungs": ["RestartEngine"], "rebuild": False}, ["RestartEngine"], 4),
        ({"rungs": [], "rebuild": False}, [], 4),
    ],
    ids=["no-rebuild", "two", "replace-only", "restart-only", "none"],
)
def test_only_the_rungs_of_the_spec_are_tried(remediation: dict[str, Any], tried: list[str], servers: int) -> None:
    world = World({**SPEC, "remediation": {"rungSeconds": 40, **remediation}})
    drive(world, lambda: world.ready)
    guest(world).engine_up, guest(world).engine_broken = False, True
    controller, until = world.controller(), world.clock.monotonic() + 1500
    while world.clock.monotonic() < until:
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(5)
    assert repairs(world) == tried and world.cloud.created_servers == servers
    assert world.ready == (servers == 5)
    if servers == 4:
        assert world.condition("MembersUpToDate") == ("False", "NodesDown")


def test_the_retry_budget_of_the_cluster(world: World) -> None:
    """After so many repairs all are frozen until the window is over."""
    world.edit(remediation={"rungSeconds": 5, "retryBudget": {"perMachine": 100, "perCluster": 3, "windowSeconds": 7200}})
    for turn in range(3):
        name = f"demo-web-{turn}"
        world.kill(world.server(name).id)
        world.clock.advance(20)
        drive(world, lambda: not world.ready)
        drive(world, lambda: world.ready)
    assert repairs(world) == ["HardReboot"] * 3 and world.status.repairs.count == 3
    began = world.status.repairs.since
    world.kill(world.server("demo-web-0").id)
    drive(world, lambda: not world.ready)
    assert world.condition("RemediationAllowed") == ("False", "RetryBudgetExhausted")
    assert "3 repairs and replacements" in world.message("RemediationAllowed")
    drive(world, lambda: world.ready, limit=2000)
    assert (times.age(began, world.clock.now()) or 0) >= 7200 and repairs(world) == ["HardReboot"] * 4
    assert world.status.repairs.count == 1 and world.status.repairs.since != began


def test_preserve_keeps_the_server_of_a_failed_machine_and_fills_its_slot(world: World) -> None:
    """No repair touches it, it is out of the swarm, its slot has a successor; without the annotation, or after its time, it goes."""
    world.annotate({"swarmops.io/preserve": VICTIM})
    server = world.server(VICTIM)
    world.kill(server.id)
    drive(world, lambda: f"{VICTIM}-2" in world.servers and world.ready)
    assert VICTIM in world.servers and repairs(world) == [] and world.cloud.created_servers == 5
    record = next(n for n in world.status.nodes if n.name == VICTIM)
    assert record.phase == "Preserved" and record.message == "kept to be looked at: the node is down"
    assert VICTIM not in {n.hostname for n in world.swarm.nodes.values()}
    assert [r for r, _ in world.objects.events].count("Preserved") == 1
    world.guests[server.id].died = None  # it comes back to life, and stays out
    world.lose_status()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    for _ in range(20):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(60)
    assert VICTIM in world.servers and world.ready and world.cloud.created_servers == 5
    assert next(n for n in world.status.nodes if n.name == VICTIM).phase == "Preserved", "also when status was lost"
    writes = world.external_writes()
    for _ in range(5):
        world.tick()
        controller.reconcile(KEY)
        world.clock.advance(60)
    assert world.external_writes() == writes, "steady"
    world.annotate({})
    drive(world, lambda: VICTIM not in world.servers and world.ready, controller)
    assert {n.name for n in world.status.nodes} == {"demo-manager-0", "demo-web-0", f"{VICTIM}-2", "demo-web-2"}


def living(world: World) -> list[Guest]:
    """Guests that are in the swarm."""
    return [g for g in world.guests.values() if g.swarm is not None and g.server.id in world.cloud.servers and g.node_id in g.swarm.nodes]


@pytest.mark.parametrize("story", ["rebuild", "preserve"])
def test_crash_at_every_write(story: str) -> None:
    """Of a rebuild: no second one, and the machine comes back. Of a preservation: the server stays, and the slot gets one successor."""
    first = World({**SPEC, "remediation": {"rungSeconds": 40, "rungs": ["Replace"], "rebuild": story == "rebuild"}})
    drive(first, lambda: first.ready)
    if story == "preserve":
        first.annotate({"swarmops.io/preserve": VICTIM})
    guest(first).engine_up, guest(first).engine_broken = False, True
    drive(first, lambda: not first.ready)

    def over(world: World) -> bool:
        there = [name for name in world.servers if name.startswith(VICTIM)]
        # A rebuild that was written down and never sent counts as tried: the machine is replaced then.
        wanted = [[VICTIM], [f"{VICTIM}-2"]] if story == "rebuild" else [[VICTIM, f"{VICTIM}-2"]]
        return there in wanted and world.ready and len(world.swarm.nodes) == 4 and not any(g.engine_broken for g in living(world))

    calm = first.copy()
    drive(calm, lambda: over(calm))
    assert (repairs(calm), calm.cloud.created_servers) == ((["Rebuild"], 4) if story == "rebuild" else ([], 5))
    found = deaths(first, lambda world: drive(world, lambda: over(world)))
    assert len(found) > 10
    for point, world in found:
        drive(world, lambda world=world: over(world))
        assert repairs(world) in ([], ["Rebuild"]) and world.cloud.created_servers <= 5, point


def test_preserve_ends_after_its_time_and_with_the_cluster(world: World) -> None:
    world.annotate({"swarmops.io/preserve": f"{VICTIM}, demo-web-2"})
    world.kill(world.server(VICTIM).id)
    drive(world, lambda: f"{VICTIM}-2" in world.servers and world.ready)
    assert "demo-web-2" in world.servers, "named, and healthy: nothing happens"
    world.clock.advance(96 * 3600)
    drive(world, lambda: VICTIM not in world.servers and world.ready)
    world.kill(world.server("demo-web-2").id)
    drive(world, lambda: "demo-web-2-2" in world.servers and world.ready)
    assert "demo-web-2" in world.servers
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []


def test_preserve_of_what_a_person_has_replaced_keeps_it_after_the_drain(world: World) -> None:
    world.annotate({"swarmops.io/preserve": VICTIM, "swarmops.io/remediate": VICTIM})
    drive(world, lambda: f"{VICTIM}-2" in world.servers and world.ready)
    assert VICTIM in world.servers and VICTIM not in {n.hostname for n in world.swarm.nodes.values()}
    assert next(n for n in world.status.nodes if n.name == VICTIM).phase == "Preserved"


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
