"""Observations for tests of the decision: a cluster `demo` with one manager and the pool `web`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, MachineStatus, SwarmClusterStatus
from swarm_operator.api.conditions import Condition
from swarm_operator.domain import times
from swarm_operator.domain.cloud import FloatingIP, KeyPair, Network, OwnedNetworking, Port, Router, SecurityGroup, Server, ServerGroup, Subnet
from swarm_operator.domain.cluster.machines import pools
from swarm_operator.domain.cluster.observation import ClusterObservation, Guest, MachineReferences, NetworkReferences, Secrets
from swarm_operator.domain.cluster.security_groups import PARTS, wanted_rules
from swarm_operator.domain.cluster.server_groups import NOVA_POLICIES, policy_of
from swarm_operator.domain.cluster.template import marks
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import (
    ENGINE_LABEL_MACHINE,
    POOL,
    MachineId,
    description,
    floating_ip_part,
    keypair_name,
    port_part,
    server_group_name,
    server_metadata,
)
from swarm_operator.domain.swarm import EngineInfo, Node, SwarmView

UID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
MANAGER = MachineId("Manager", "", 0, 1)
KEY = "ssh-ed25519 AAAA"


def worker(slot: int, incarnation: int = 1, pool: str = "web") -> MachineId:
    return MachineId("Worker", pool, slot, incarnation)


def ago(seconds: float) -> str:
    return times.stamp(NOW - timedelta(seconds=seconds))


def spec(**changes: Any) -> SwarmClusterSpec:
    base: dict[str, Any] = {
        "identityRef": {"secretName": "cloud"},
        "machine": {"flavor": {"name": "small"}, "image": {"name": "debian"}},
        "workerPools": [{"name": "web", "replicas": 2}],
    }
    return SwarmClusterSpec.model_validate({**base, **changes})


def address_of(machine: MachineId) -> str:
    """That of the slot's port."""
    return f"10.20.0.{10 + machine.slot + (0 if machine.role == 'Manager' else 10)}"


def port_id(machine: MachineId) -> str:
    """The slot's port."""
    return f"port-{machine.pool or 'm'}-{machine.slot}"


def server(machine: MachineId, status: str = "ACTIVE", *, age: float = 300, metadata: dict[str, str] | None = None, **changes: Any) -> Server:
    address = address_of(machine)
    made = Server(
        id=f"srv-{machine.pool or 'm'}-{machine.slot}-{machine.incarnation}",
        name=machine.server_name("demo"),
        status=status,
        metadata=server_metadata(UID, "demo", machine) | (metadata or {}),
        created=ago(age),
        fixed=(address,) if status == "ACTIVE" else (),
    )
    return replace(made, **changes)


def node(machine: MachineId, state: str = "ready", **changes: Any) -> Node:
    manager = machine.role == "Manager"
    made = Node(
        id=f"node-{machine.pool or 'm'}-{machine.slot}-{machine.incarnation}",
        hostname=machine.server_name("demo"),
        role="manager" if manager else "worker",
        availability="active",
        state=state,
        version=7,
        leader=manager,
        reachability="reachable" if manager else "",
        machine_uid=machine.uid(UID),
    )
    return replace(made, **changes)


def record(machine: MachineId, phase: MachinePhase = MachinePhase.READY, *, since: float = 100, **changes: Any) -> MachineStatus:
    made = MachineStatus(
        name=machine.server_name("demo"),
        role=machine.role,
        pool=machine.pool,
        slot=machine.slot,
        incarnation=machine.incarnation,
        machine_uid=machine.uid(UID),
        server_id=f"srv-{machine.pool or 'm'}-{machine.slot}-{machine.incarnation}",
        node_id=f"node-{machine.pool or 'm'}-{machine.slot}-{machine.incarnation}",
        phase=phase,
        phase_since=ago(since),
        created_at=ago(300),
        host_keys=[KEY],
        engine_configured=machine.role == "Manager",
    )
    return made.model_copy(update=changes)


def status(*records: MachineStatus, quorate_for: float = 1000, **changes: Any) -> SwarmClusterStatus:
    quorate = Condition(type="ManagersQuorate", status="True", last_transition_time=ago(quorate_for), reason="Quorum", message="")
    return SwarmClusterStatus(nodes=list(records), conditions=[quorate], swarm_id="swarm").model_copy(update=changes)


def member_of(machine: MachineId) -> tuple[str, ...]:
    """Ids of the security groups of a machine's port."""
    return ("grp", "grp-m") if machine.role == "Manager" else ("grp",)


def networking(of: SwarmClusterSpec, *holders: MachineId) -> OwnedNetworking:
    """Complete, with a port for each slot of the spec and a floating IP for each holder."""
    slots = [MachineId(role, pool, slot, 1) for role, pool, replicas in pools(of) for slot in range(replicas)]
    ids: dict[str | None, str] = {"members": "grp", "managers": "grp-m"}
    groups = tuple(
        SecurityGroup(
            ids[role],
            "g",
            description(UID, "demo", PARTS[role]),
            {f"{role}-{n}": replace(rule, remote_group_id=ids.get(rule.remote_group_id)) for n, rule in enumerate(rules)},
        )
        for role, rules in wanted_rules(of).items()
    )
    return OwnedNetworking(
        networks=(Network("net", "n", description(UID, "demo", "network")),),
        subnets=(Subnet("sub", "s", description(UID, "demo", "subnet"), "net", "10.20.0.0/24"),),
        routers=(Router("rtr", "r", description(UID, "demo", "router"), "ext", ("sub",)),),
        security_groups=groups,
        floating_ips=tuple(
            FloatingIP(f"fip-{n}", f"198.51.100.{n}", port_id(m), description(UID, "demo", floating_ip_part(m.slot_uid(UID)))) for n, m in enumerate(holders)
        ),
        ports=tuple(Port(port_id(m), "net", "", "", (address_of(m),), description(UID, "demo", port_part(m.slot_uid(UID))), member_of(m)) for m in slots),
    )


def server_group(of: SwarmClusterSpec, pool: str = "", *members: str) -> ServerGroup:
    """The managed group of a pool, of the policy that the spec has."""
    policy = NOVA_POLICIES.get(policy_of(of, pool) or "None", "soft-anti-affinity")
    return ServerGroup(f"group-{pool or 'manager'}", server_group_name(UID, pool, policy), policy, members)


def observation(of: SwarmClusterSpec, present: list[Server], nodes: list[Node] | None = None, **changes: Any) -> ClusterObservation:
    """Everything known and complete; the swarm is seen where `nodes` are given. Servers that say nothing of what they were made of get the marks of `of`."""
    references = Known(MachineReferences("flavor", "image"))
    present = [replace(s, metadata={**marks(of, s.metadata.get(POOL, ""), references.value), **s.metadata}) for s in present]
    made = ClusterObservation(
        uid=UID,
        name="demo",
        generation=1,
        finalizer=True,
        credentials=Known(None),
        credentials_held=True,
        network_references=Known(NetworkReferences(external_network_id="ext")),
        machine_references={"": references, "web": references},
        servers=Known(tuple(present)),
        servers_fresh=True,
        networking=Known(networking(of, MANAGER)),
        keypair=Known(KeyPair(keypair_name(UID), f"{KEY} comment")),
        images=Known(()),
        services=Known(()),
        secrets=Known(Secrets(True, KEY, True)),
        server_groups=Known(tuple(server_group(of, pool) for _, pool, _ in pools(of))),
    )
    if nodes is not None:
        made = replace(made, swarm=Known(SwarmView("swarm", tuple(nodes))))
    return replace(made, **changes)


def guest(machine: MachineId, state: str = "inactive", **changes: Any) -> Known[Guest]:
    tls = changes.pop("tls_in_force", False)
    return Known(Guest(EngineInfo("26", state, labels={ENGINE_LABEL_MACHINE: machine.uid(UID)}, **changes), tls_in_force=tls))
