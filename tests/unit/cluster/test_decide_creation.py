"""The decision at each stage of making a cluster."""

from __future__ import annotations

from dataclasses import replace

from swarm_operator.api.cluster_status import MachinePhase, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import OwnedNetworking
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.observation import ClusterObservation, Secrets
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.facts import Known, Unknown
from unit.cluster.builders import KEY, MANAGER, NOW, UID, ago, guest, node, observation, record, server, spec, status, worker


def kinds(plan: ClusterPlan) -> list[str]:
    return [type(step).__name__ for step in plan.steps]


def ready_of(plan: ClusterPlan) -> tuple[str, Reason]:
    return next((v.status, v.reason) for v in plan.verdicts if v.type == "Ready")


def test_everything_in_one_plan_from_nothing() -> None:
    wanted = spec()
    seen = observation(wanted, [], networking=Known(OwnedNetworking()), keypair=Known(None), secrets=Known(Secrets()))
    plan = decide(wanted, SwarmClusterStatus(), seen, NOW)
    names = kinds(plan)
    assert names[:6] == ["EnsureSecrets", "CreateNetwork", "CreateSubnet", "CreateRouter", "AddRouterInterface", "CreateSecurityGroup"]
    assert names[-4:] == ["EnsureKeyPair", "CreatePort", "CreatePort", "CreatePort"]
    assert [x.machine for x in plan.steps if isinstance(x, s.CreatePort)] == [MANAGER, worker(0), worker(1)]
    plan = decide(wanted, SwarmClusterStatus(), observation(wanted, []), NOW)
    assert [(x.machine, x.port_id, x.server_group_id) for x in plan.steps if isinstance(x, s.CreateServer)] == [
        (MANAGER, "port-m-0", "group-manager"),
        (worker(0), "port-web-0", "group-web"),
    ], "of each group one at a time"


def test_a_cached_list_is_not_enough_to_create() -> None:
    wanted = spec()
    plan = decide(wanted, SwarmClusterStatus(), replace(observation(wanted, []), servers_fresh=False), NOW)
    assert plan.wants_fresh and plan.steps == ()


def test_unknown_servers_create_nothing() -> None:
    wanted = spec()
    plan = decide(wanted, SwarmClusterStatus(), observation(wanted, [], servers=Unknown(Reason.CLOUD_UNREACHABLE, "x"), servers_fresh=False), NOW)
    assert plan.steps == () and plan.failure is Reason.CLOUD_UNREACHABLE


def test_metadata_join_waits_for_the_manager_and_notes_the_exposure_first() -> None:
    wanted = spec(join="Metadata")
    assert [x.machine for x in decide(wanted, SwarmClusterStatus(), observation(wanted, []), NOW).steps if isinstance(x, s.CreateServer)] == [MANAGER]
    up = observation(wanted, [server(MANAGER)], [node(MANAGER)])
    plan = decide(wanted, status(record(MANAGER)), up, NOW)
    assert kinds(plan) == ["ExposeJoinToken", "CreateServer"]
    assert {x.join_addresses for x in plan.steps if isinstance(x, s.CreateServer)} == {("10.20.0.10:2377",)}


def test_token_is_rotated_after_the_batch() -> None:
    wanted = spec(join="Metadata")
    token = {"swarm_token": "t"}
    servers = [server(MANAGER), server(worker(0), metadata=token), server(worker(1), metadata=token)]
    waiting = observation(wanted, servers, [node(MANAGER), node(worker(0))])
    records = (record(MANAGER), record(worker(0)), record(worker(1), MachinePhase.BOOTING, node_id=None))
    assert "RotateToken" not in kinds(decide(wanted, status(*records), waiting, NOW))
    joined = observation(wanted, servers, [node(MANAGER), node(worker(0)), node(worker(1))])
    plan = decide(wanted, status(*records), joined, NOW)
    assert kinds(plan)[-3:] == ["RotateToken", "ClearJoinMetadata", "TokenRotated"]
    assert ready_of(plan) == ("False", Reason.NODES_JOINING), "not Ready while a valid token is out"


def test_floating_ip_comes_when_the_manager_is_up() -> None:
    wanted = spec(workerPools=[])
    bare = observation(wanted, [server(MANAGER, "BUILD")], networking=Known(replace(observation(wanted, []).networking.value, floating_ips=())))  # type: ignore[union-attr]
    first = SwarmClusterStatus(nodes=[record(MANAGER, MachinePhase.BUILDING, node_id=None)])
    assert "EnsureFloatingIP" not in kinds(decide(wanted, first, bare, NOW))
    assert "EnsureFloatingIP" in kinds(decide(wanted, first, replace(bare, servers=Known((server(MANAGER),))), NOW))


def booting(seen: ClusterObservation) -> SwarmClusterStatus:
    return SwarmClusterStatus(nodes=[record(MANAGER, MachinePhase.BOOTING, node_id=None, host_keys=[], engine_configured=False)])


def test_manager_is_configured_and_the_swarm_initialised() -> None:
    wanted = spec(workerPools=[])
    uid = MANAGER.uid(UID)
    seen = observation(wanted, [server(MANAGER)], host_keys={uid: Known((KEY,))}, guests={uid: guest(MANAGER)})
    plan = decide(wanted, booting(seen), seen, NOW)
    assert kinds(plan) == ["PinHostKeys", "ConfigureEngine", "InitSwarm"]
    configure = plan.steps[1]
    assert isinstance(configure, s.ConfigureEngine) and configure.addresses == ("198.51.100.0", "10.20.0.10", "127.0.0.1")
    # Without its own label the engine is not what cloud-init makes of it.
    bare = guest(MANAGER)
    unlabelled = Known(replace(bare.value, engine=replace(bare.value.engine, labels={})))
    assert kinds(decide(wanted, booting(seen), replace(seen, guests={uid: unlabelled}), NOW)) == ["PinHostKeys"]


def test_a_swarm_that_was_is_never_initialised_again() -> None:
    wanted = spec(workerPools=[])
    uid = MANAGER.uid(UID)
    seen = observation(wanted, [server(MANAGER)], guests={uid: guest(MANAGER, tls_in_force=True)})
    plan = decide(wanted, status(record(MANAGER)), seen, NOW)
    assert "InitSwarm" not in kinds(plan)
    assert ready_of(plan) == ("False", Reason.QUORUM_LOST)


def test_workers_join_over_ssh_and_leave_old_swarms_first() -> None:
    wanted = spec()
    servers = [server(MANAGER), server(worker(0)), server(worker(1))]
    records = (record(MANAGER), record(worker(0), MachinePhase.BOOTING, node_id=None), record(worker(1), MachinePhase.BOOTING, node_id=None))
    guests = {worker(0).uid(UID): guest(worker(0)), worker(1).uid(UID): guest(worker(1), "active", swarm_id="old", node_id="x")}
    plan = decide(wanted, status(*records), observation(wanted, servers, [node(MANAGER)], guests=guests), NOW)
    joins = [x for x in plan.steps if isinstance(x, s.JoinNode)]
    assert [(x.machine, x.managers, x.leave_first) for x in joins] == [(worker(0), ("10.20.0.10:2377",), False), (worker(1), ("10.20.0.10:2377",), True)]


def test_steady_cluster_has_no_steps() -> None:
    wanted = spec()
    machines = [MANAGER, worker(0), worker(1)]
    plan = decide(wanted, status(*map(record, machines)), observation(wanted, [*map(server, machines)], [*map(node, machines)]), NOW)
    assert plan.steps == () and ready_of(plan) == ("True", Reason.RECONCILED) and plan.requeue_after == 45
    assert {n.phase for n in plan.status.nodes} == {MachinePhase.READY}
    lost = decide(wanted, SwarmClusterStatus(), observation(wanted, [*map(server, machines)], [*map(node, machines)]), NOW)
    assert lost.steps == () and {n.server_id for n in lost.status.nodes} == {n.server_id for n in plan.status.nodes}


def test_a_server_just_asked_for_may_be_missing_in_the_list() -> None:
    wanted = spec(workerPools=[])
    asked = SwarmClusterStatus(nodes=[record(MANAGER, MachinePhase.PENDING, server_id=None, node_id=None, created_at=ago(3))])
    assert kinds(decide(wanted, asked, observation(wanted, []), NOW)) == []
    later = SwarmClusterStatus(nodes=[record(MANAGER, MachinePhase.PENDING, server_id=None, node_id=None, created_at=ago(11))])
    again = [x.machine for x in decide(wanted, later, observation(wanted, []), NOW).steps if isinstance(x, s.CreateServer)]
    assert again == [MANAGER], "the same identity: if the first POST did work, the two are told apart by nothing and one goes"


def test_a_refused_create_is_held_back() -> None:
    wanted = spec(workerPools=[])
    refused = record(MANAGER, MachinePhase.FAILED, since=10, server_id=None, node_id=None, created_at=None, message="QuotaExceeded: cores")
    plan = decide(wanted, SwarmClusterStatus(nodes=[refused]), observation(wanted, []), NOW)
    assert kinds(plan) == [] and plan.requeue_after == 20
    assert ready_of(plan) == ("False", Reason.QUOTA_EXCEEDED)


def test_paused_has_no_steps_and_still_reports() -> None:
    wanted = spec(paused=True)
    plan = decide(wanted, status(record(MANAGER)), observation(wanted, [server(MANAGER)], [node(MANAGER)]), NOW)
    assert plan.steps == () and plan.requeue_after is None
    assert ready_of(plan)[0] == "False"
