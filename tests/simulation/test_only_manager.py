"""The only manager gets a successor where that is asked for. The simulator itself asserts at each change of raft that no majority is lost by our hand."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import World, deaths, drive
from simulator.guests import SimService, SimSwarmClient
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster import ClusterController
from swarm_operator.domain.cluster.remediation import REMEDIATE_ANNOTATION
from swarm_operator.domain.errors import ErrorKind, ExternalError

NEW: dict[str, Any] = {"flavor": {"name": "small"}, "image": {"name": "trixie"}}
REPLACE: dict[str, Any] = {"rollout": {"loneManager": "Replace"}}


def started(*, inside: bool = False, **spec: Any) -> tuple[World, ClusterController]:
    world = World({"workerPools": [{"name": "web", "replicas": 2}], **REPLACE, **spec})
    world.inside = inside
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    return world, controller


def pace(world: World, controller: ClusterController, seconds: float) -> None:
    until = world.clock.monotonic() + seconds
    drive(world, lambda: world.clock.monotonic() >= until, controller, limit=2000)


def manager_is(world: World, name: str) -> bool:
    there = [n.hostname for n in world.swarm.nodes.values()]
    return (
        world.ready
        and [g.server.request.name for g in world.swarm.raft.values()] == [name]
        and sorted(there) == world.servers
        and len(world.cloud.servers) == len(there)
        and not world.status.join.token_exposed
    )


@pytest.mark.parametrize("floating", [True, False], ids=["floating-ip", "fixed-address"])
def test_a_successor_joins_beside_it_and_takes_its_place(floating: bool) -> None:
    world, controller = started(inside=not floating, managers={"replicas": 1, "floatingIP": {"enabled": floating}})
    world.swarm.services["web"] = SimService(2)
    swarm_id, addresses, before = world.swarm.id, dict(world.cloud.floating_ips), len(world.swarm.raft_changes)
    endpoint = world.status.endpoint
    world.edit(managers={"replicas": 1, "floatingIP": {"enabled": floating}, "machine": {"image": {"name": "trixie"}}})
    drive(world, lambda: manager_is(world, "demo-manager-0-2"), controller, limit=1000)
    assert world.swarm.raft_changes[before:] == ["join demo-manager-0-2", "demote demo-manager-0"]
    assert world.swarm.id == swarm_id and world.swarms_made == 1 and world.cloud.created_servers == 4
    assert {a.address for a in addresses.values()} == {a.address for a in world.cloud.floating_ips.values()}
    assert (world.status.endpoint == endpoint) == floating
    assert sorted(world.swarm.services["web"].running(world.clock.monotonic()), key=lambda t: t.node), "its services go on"
    writes = world.external_writes()
    pace(world, controller, 600)
    assert world.external_writes() <= writes + 1, "and then it is over"


def test_with_autolock_the_successor_has_the_key() -> None:
    world, controller = started(swarm={"autolock": True})
    drive(world, lambda: bool(world.swarm.unlock_key), controller)
    world.edit(machine=NEW, workerPools=[])
    drive(world, lambda: manager_is(world, "demo-manager-0-2"), controller, limit=1000)
    assert all(g.kek[0] == world.swarm.unlock_key for g in world.swarm.raft.values())


def test_by_default_it_stays() -> None:
    world, controller = started(rollout={})
    world.edit(managers={"replicas": 1, "machine": {"image": {"name": "trixie"}}})
    pace(world, controller, 300)
    assert world.status.rollout.state == "Held" and "loneManager: Replace" in world.status.rollout.message
    assert manager_is(world, "demo-manager-0")


def test_not_while_a_worker_is_down_and_not_outside_of_a_window() -> None:
    world, controller = started(remediation={"policy": "None"}, maintenanceWindows=[{"schedule": "0 3 29 2 *"}])
    world.edit(managers={"replicas": 1, "machine": {"image": {"name": "trixie"}}})
    pace(world, controller, 200)
    assert world.status.rollout.state == "Waiting" and len(world.servers) == 3
    world.kill(world.server("demo-web-1").id, hopeless=True)
    world.edit(maintenanceWindows=[])
    pace(world, controller, 300)
    assert len(world.servers) == 3 and len(world.swarm.raft) == 1
    assert "demo-web-1" in world.message("MembersUpToDate")


def test_where_the_spec_goes_back_the_former_stays() -> None:
    world, controller = started()
    world.edit(managers={"replicas": 1, "machine": {"image": {"name": "trixie"}}})
    drive(world, lambda: len(world.swarm.raft) == 2, controller)
    world.edit(managers={"replicas": 1})
    drive(world, lambda: manager_is(world, "demo-manager-0"), controller, limit=1000)
    assert world.swarms_made == 1


def test_a_successor_that_fails_halts_and_the_former_serves() -> None:
    world, controller = started()
    world.edit(managers={"replicas": 1, "machine": {"image": {"name": "trixie"}}})
    drive(world, lambda: "demo-manager-0-2" in world.servers, controller)
    world.kill(world.server("demo-manager-0-2").id, hopeless=True)
    drive(world, lambda: world.condition("RolloutHalted")[0] == "True", controller, limit=2000)
    pace(world, controller, 300)
    assert len(world.swarm.raft) == 1 and world.condition("ManagersQuorate")[0] == "True"
    world.edit(managers={"replicas": 1})
    drive(world, lambda: manager_is(world, "demo-manager-0"), controller, limit=1000)


def test_the_address_stays_with_the_new_one_while_the_swarm_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept connection still leads to the former one, which is no manager any more: nothing is known of the swarm for a while."""
    world, controller = started()
    world.edit(managers={"replicas": 1, "machine": {"image": {"name": "trixie"}}})
    drive(world, lambda: "demote demo-manager-0" in world.swarm.raft_changes, controller, limit=1000)

    def no_manager(*_: object, **__: object) -> None:
        raise ExternalError(ErrorKind.TRANSIENT, "docker", "This node is not a swarm manager.", reason=Reason.QUORUM_LOST)

    before = {a.port_id for a in world.cloud.floating_ips.values()}
    with monkeypatch.context() as silent:
        silent.setattr(SimSwarmClient, "view", no_manager)
        pace(world, controller, 60)
    assert {a.port_id for a in world.cloud.floating_ips.values()} == before
    drive(world, lambda: manager_is(world, "demo-manager-0-2"), controller, limit=1000)


def test_where_the_new_one_is_lost_while_there_are_two_the_swarm_is_recovered() -> None:
    world, controller = started()
    world.edit(managers={"replicas": 1, "machine": {"image": {"name": "trixie"}}})
    drive(world, lambda: len(world.swarm.raft) == 2, controller)
    world.delete_behind_our_back("demo-manager-0-2")
    world.clock.advance(20)
    drive(world, lambda: world.condition("ManagersQuorate") == ("False", "QuorumLost"), controller)
    pace(world, controller, 300)
    assert "demo-manager-0" in world.servers, "nothing is touched"
    world.edit(recovery={"afterSeconds": 100, "approve": "yes"})
    drive(world, lambda: manager_is(world, "demo-manager-0-3"), controller, limit=1500)
    assert "force demo-manager-0" in world.swarm.raft_changes and world.swarm.id == "swarm0"


@pytest.mark.parametrize("replace", [True, False])
def test_a_person_names_it(replace: bool) -> None:
    world, controller = started(**({} if replace else {"rollout": {}}))
    world.annotate({REMEDIATE_ANNOTATION: "demo-manager-0"})
    if replace:
        drive(world, lambda: manager_is(world, "demo-manager-0-2"), controller, limit=1000)
        assert world.cloud.created_servers == 4, "once"
    pace(world, controller, 300)
    assert manager_is(world, "demo-manager-0-2" if replace else "demo-manager-0")


@pytest.mark.parametrize("lose_status", [False, True], ids=["status-kept", "status-lost"])
def test_crash_at_every_call(lose_status: bool) -> None:
    """One swarm, one manager, the new one, and nothing left, wherever the process dies."""

    def finish(world: World) -> None:
        drive(world, lambda: any(manager_is(world, f"demo-manager-0-{n}") for n in (2, 3)), limit=1000)

    start = World({"workerPools": [], **REPLACE})
    drive(start, lambda: start.ready)
    start.edit(machine=NEW)
    address = {a.address for a in start.cloud.floating_ips.values()}
    found = deaths(start, finish, lose_status=lose_status)
    assert len(found) > 10
    for point, world in found:
        finish(world)
        assert world.swarms_made == 1 and len(world.swarm.raft) == 1, point
        assert world.cloud.created_servers == 2, point
        assert {a.address for a in world.cloud.floating_ips.values()} == address, point
