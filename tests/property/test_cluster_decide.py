"""Properties of the cluster decision, over observations that need not make sense together: the outer world can show us anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, MachineStatus, SwarmClusterStatus
from swarm_operator.api.conditions import CLUSTER_CONDITIONS, Condition
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import FloatingIP, KeyPair, Network, OwnedNetworking, Router, SecurityGroup, Server, Subnet
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.observation import ClusterObservation, Guest, MachineReferences, NetworkReferences, Secrets
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, PROMOTED, SWARM_STARTED, MachineId, description, floating_ip_part, keypair_name, server_metadata
from swarm_operator.domain.quorum import in_transition, is_quorate, may_be_disturbed, may_join, may_leave, raft_members
from swarm_operator.domain.swarm import EngineInfo, Node, SwarmView

UID = "11111111-2222-3333-4444-555555555555"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
BLIND = Unknown(Reason.CLOUD_UNREACHABLE, "could not look")
DESTRUCTIVE = (s.DeleteServer, s.RemoveNode, s.DrainNode, s.DeleteInfrastructure, s.RemoveRouterInterface, s.DeleteKeyPair, s.RemoveRule, s.RemoveFinalizer)
TYPES = tuple(t.value for t in CLUSTER_CONDITIONS)

machines = st.builds(
    MachineId, role=st.just("Worker"), pool=st.sampled_from(["web", "gone"]), slot=st.integers(0, 3), incarnation=st.integers(1, 3)
) | st.builds(MachineId, role=st.just("Manager"), pool=st.just(""), slot=st.integers(0, 2), incarnation=st.integers(1, 2))
ages = st.integers(0, 2000)


def at(age: int) -> str:
    return times.stamp(NOW - timedelta(seconds=age))


@st.composite
def servers(draw: st.DrawFn) -> Server:
    machine = draw(machines)
    more: list[dict[str, str]] = [{}, {SWARM_STARTED: "started"}, {"swarm_token": "x"}]
    if machine.role == "Worker":
        more.append({SWARM_STARTED: "started", PROMOTED: f"{draw(st.integers(0, 2))}/{draw(st.integers(1, 3))}"})
    metadata = server_metadata(UID, "demo", machine) | draw(st.sampled_from(more))
    status = draw(st.sampled_from(["BUILD", "ACTIVE", "ERROR", "SHUTOFF", "SOFT_DELETED"]))
    return Server(
        id=f"srv-{draw(st.integers(0, 999))}",
        name=machine.server_name("demo"),
        status=status,
        metadata=metadata,
        created=at(draw(ages)),
        task_state=draw(st.sampled_from([None, None, "deleting"])),
        fault=draw(st.sampled_from([None, "No valid host was found", "Quota exceeded"])),
        fixed=("10.0.0.5",) if status == "ACTIVE" else (),
    )


@st.composite
def records(draw: st.DrawFn) -> MachineStatus:
    machine = draw(machines)
    return MachineStatus(
        name=machine.server_name("demo"),
        role=machine.role,
        pool=machine.pool,
        slot=machine.slot,
        incarnation=machine.incarnation,
        machine_uid=machine.uid(UID),
        server_id=draw(st.none() | st.just("srv-1")),
        node_id=draw(st.none() | st.just("node-1")),
        phase=draw(st.sampled_from(list(MachinePhase))),
        phase_since=at(draw(ages)),
        created_at=draw(st.none() | ages.map(at)),
        engine_configured=draw(st.booleans()),
    )


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    machine = draw(machines)
    drained = draw(st.none() | ages)
    manager = draw(st.integers(0, 5)) > (0 if machine.role == "Manager" else 4)
    return Node(
        id=f"node-{draw(st.integers(0, 99))}",
        hostname=machine.server_name("demo"),
        role="manager" if manager else "worker",
        availability="active" if drained is None else "drain",
        state=draw(st.sampled_from(["ready", "down", "disconnected", "unknown"])),
        version=draw(st.integers(1, 50)),
        leader=manager and machine.slot == 0,
        reachability=draw(st.sampled_from(["reachable", "reachable", "reachable", "unreachable", "unknown"])) if manager else "",
        labels={} if drained is None else {NODE_LABEL_DRAINED: at(drained)},
        machine_uid=draw(st.sampled_from([None, machine.uid(UID)])),
    )


networkings = st.builds(
    OwnedNetworking,
    networks=st.lists(st.builds(Network, st.sampled_from(["n1", "n2"]), st.just("n"), st.just(description(UID, "demo", "network"))), max_size=2).map(tuple),
    subnets=st.lists(st.just(Subnet("s1", "s", description(UID, "demo", "subnet"), "n1", "10.0.0.0/24")), max_size=1).map(tuple),
    routers=st.lists(st.just(Router("r1", "r", description(UID, "demo", "router"), "ext", ("s1",))), max_size=1).map(tuple),
    security_groups=st.lists(st.just(SecurityGroup("g1", "g", description(UID, "demo", "security-group"))), max_size=1).map(tuple),
    floating_ips=st.lists(
        st.builds(
            lambda m, p: FloatingIP("f1", "198.51.100.1", p, description(UID, "demo", floating_ip_part(m.slot_uid(UID)))), machines, st.none() | st.just("p1")
        ),
        max_size=1,
    ).map(tuple),
)
views = st.builds(lambda rows: SwarmView("swarm", tuple({n.id: n for n in rows}.values())), st.lists(nodes(), max_size=6))


def fact(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy.map(Known) | st.just(BLIND)


@st.composite
def observations(draw: st.DrawFn) -> ClusterObservation:
    known = draw(fact(st.lists(servers(), max_size=6, unique_by=lambda server: server.id).map(tuple)))
    uids = [m.uid(UID) for m in draw(st.lists(machines, max_size=3))]
    guest = st.builds(
        Guest,
        engine=st.builds(
            EngineInfo,
            st.just("26"),
            st.sampled_from(["inactive", "active", "pending", "error"]),
            labels=st.just({"io.swarmops.machine-uid": uids[0]} if uids else {}),
        ),
        tls_in_force=st.booleans(),
    )
    return ClusterObservation(
        uid=UID,
        name="demo",
        generation=3,
        deleting=draw(st.booleans()),
        finalizer=draw(st.booleans()),
        credentials=draw(fact(st.none())),
        network_references=draw(fact(st.just(NetworkReferences(external_network_id="ext")))),
        machine_references={"": draw(fact(st.just(MachineReferences("f", "i")))), "web": draw(fact(st.just(MachineReferences("f", "i"))))},
        servers=known,
        servers_fresh=isinstance(known, Known) and draw(st.booleans()),
        networking=draw(fact(networkings)),
        keypair=draw(fact(st.none() | st.just(KeyPair(keypair_name(UID), "ssh-ed25519 AAAA")))),
        secrets=draw(fact(st.just(Secrets(True, "ssh-ed25519 AAAA", True)))),
        swarm=draw(fact(views)),
        tasks=draw(fact(st.just({}))),
        guests={uid: draw(fact(guest)) for uid in uids},
        host_keys={uid: draw(fact(st.just(("ssh-ed25519 AAAA",)))) for uid in uids},
        ports=draw(fact(st.just(()))),
        services=draw(fact(st.just(()))),
    )


@st.composite
def statuses(draw: st.DrawFn) -> SwarmClusterStatus:
    rows = {r.machine_uid: r for r in draw(st.lists(records(), max_size=5))}
    quorate = Condition(
        type="ManagersQuorate", status=draw(st.sampled_from(["True", "False"])), last_transition_time=at(draw(ages)), reason="Quorum", message=""
    )
    return SwarmClusterStatus(nodes=list(rows.values()), conditions=[quorate], swarm_id=draw(st.none() | st.just("swarm")))


specs = st.builds(
    lambda replicas, join, policy, paused, retain, managers, promote: SwarmClusterSpec.model_validate(
        {
            "identityRef": {"secretName": "c"},
            "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}},
            "workerPools": [{"name": "web", "replicas": replicas}],
            "join": join,
            "remediation": {"policy": policy},
            "paused": paused,
            "deletionPolicy": retain,
            "managers": {"replicas": managers} | ({"promoteFrom": "web"} if promote else {}),
        }
    ),
    st.integers(0, 4),
    st.sampled_from(["SSH", "Metadata"]),
    st.sampled_from(["Replace", "None"]),
    st.booleans(),
    st.sampled_from(["Delete", "Retain"]),
    st.sampled_from([1, 3]),
    st.booleans(),
)
many = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def is_worker(server: Server) -> bool:
    return server.metadata["swarmops-role"] == "Worker" and PROMOTED not in server.metadata


@many
@given(specs, statuses(), observations())
def test_decide_is_total_and_deterministic(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    first, second = decide(spec, status, observation, NOW), decide(spec, status, observation, NOW)
    assert first == second
    if first.verdicts:
        assert sorted(v.type.value for v in first.verdicts) == sorted(TYPES), "each decision names all conditions once"


@many
@given(specs, statuses(), observations())
def test_nothing_is_destroyed_on_the_unknown(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    plan = decide(spec, status, observation, NOW)
    for step in plan.steps:
        if isinstance(step, DESTRUCTIVE) and not isinstance(step, s.RemoveFinalizer):
            assert isinstance(step.evidence, Known)  # type: ignore[attr-defined]
        if step.needs_fresh_servers:
            assert isinstance(observation.servers, Known) and observation.servers_fresh
        if isinstance(step, s.DeleteServer):
            assert step.evidence.value in observation.servers.value  # type: ignore[union-attr]
            if not observation.deleting and is_worker(step.evidence.value) and not step.machine_uid.startswith("surplus"):
                assert isinstance(observation.swarm, Known)
        if isinstance(step, s.RemoveFinalizer) and spec.deletion_policy == "Delete":
            assert observation.servers in (Known(()),) or all(x.status == "SOFT_DELETED" for x in observation.servers.value)  # type: ignore[union-attr]
            assert observation.networking == Known(OwnedNetworking()) and observation.keypair == Known(None)
    if spec.paused:
        assert plan.steps == ()


@many
@given(specs, statuses(), observations())
def test_servers_that_hold_a_swarm_are_never_deleted_but_with_the_cluster(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation
) -> None:
    plan = decide(spec, status, observation, NOW)
    if observation.deleting:
        return
    for step in plan.steps:
        if isinstance(step, s.DeleteServer) and not step.machine_uid.startswith("surplus"):
            server = step.evidence.value
            if SWARM_STARTED not in server.metadata or is_worker(server):
                continue
            # The swarm itself, with a majority at hand, must say that it is no manager, or that it can't reach it.
            assert isinstance(observation.swarm, Known) and is_quorate(observation.swarm.value.nodes)
            members = {n.machine_uid for n in raft_members(observation.swarm.value.nodes) if n.reachability != "unreachable"}
            assert server.metadata["swarmops-machine-uid"] not in members


@many
@given(specs, statuses(), observations())
def test_raft_changes_one_by_one_and_never_loses_its_majority(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    plan = decide(spec, status, observation, NOW)
    if observation.deleting:
        return
    changes = [x for x in plan.steps if isinstance(x, s.JoinManager | s.DemoteManager)]
    changes += [x for x in plan.steps if isinstance(x, s.SetNode) and x.role != x.evidence.value.role]
    inits = [x for x in plan.steps if isinstance(x, s.InitSwarm)]
    assert len(changes) + len(inits) <= 1
    view = observation.swarm
    if changes:
        assert isinstance(view, Known) and is_quorate(view.value.nodes) and not in_transition(view.value.nodes)
    for step in plan.steps:
        if isinstance(step, s.DemoteManager):
            assert may_leave(view.value.nodes, step.evidence.value)  # type: ignore[union-attr]
        if isinstance(step, s.JoinManager):
            assert may_join(view.value.nodes)  # type: ignore[union-attr]
        if isinstance(step, s.RemoveNode) and isinstance(view, Known):
            assert step.evidence.value.id not in {n.id for n in raft_members(view.value.nodes)}
        if isinstance(step, s.Repair) and isinstance(view, Known):
            rows = [n for n in raft_members(view.value.nodes) if n.machine_uid == step.machine_uid]
            assert all(may_be_disturbed(view.value.nodes, n) for n in rows) and is_quorate(view.value.nodes)
    assert sum(isinstance(x, s.Repair) for x in plan.steps) <= spec.remediation.max_concurrent


@many
@given(specs, statuses(), observations())
def test_promotions_need_a_majority_and_a_dead_member(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    plan = decide(spec, status, observation, NOW)
    steps = [x for x in plan.steps if isinstance(x, s.PromoteWorker)]
    assert len(steps) <= 1
    for step in steps:
        view = observation.swarm
        assert spec.managers.promote_from == "web" and isinstance(view, Known) and is_quorate(view.value.nodes)
        assert any(n.role == "manager" and n.reachability == "unreachable" for n in view.value.nodes)
        node = next(n for n in view.value.nodes if n.machine_uid == step.machine_uid and n.state == "ready")
        assert node.role == "worker" or not node.reachability
        assert step.machine_uid not in {x.machine_uid for x in plan.steps if isinstance(x, s.DeleteServer)}
        assert step.machine.uid(UID) == step.machine_uid


@many
@given(specs, statuses(), observations())
def test_no_more_is_made_than_declared(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    plan = decide(spec, status, observation, NOW)
    made = [step.machine for step in plan.steps if isinstance(step, s.CreateServer)]
    assert len({m.uid(UID) for m in made}) == len(made)
    assert sum(m.role == "Worker" for m in made) <= spec.worker_pools[0].replicas and sum(m.role == "Manager" for m in made) <= spec.managers.replicas
    if made:
        existing = {x.metadata["swarmops-machine-uid"] for x in observation.servers.value if x.status != "SOFT_DELETED"}  # type: ignore[union-attr]
        assert not existing & {m.uid(UID) for m in made}


@many
@given(specs, statuses(), observations())
def test_printing_tells_no_token(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    assert "swarm_token" not in repr(observation)
    assert "swarm_token" not in repr(decide(spec, status, observation, NOW))


@many
@given(specs, statuses(), observations())
def test_status_settles(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    """The same observation twice gives the same status: otherwise a steady cluster would be written for ever."""
    once = decide(spec, status, observation, NOW).status
    twice = decide(spec, once, observation, NOW).status
    thrice = decide(spec, twice, observation, NOW).status
    assert twice == thrice
