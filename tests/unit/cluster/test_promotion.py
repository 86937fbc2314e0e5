"""Spare workers that become managers: which, when, and who they are then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.api.cluster_status import MachineOrigin, MachinePhase, MachineStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.machines import tabulate
from swarm_operator.domain.cluster.observation import ClusterObservation, Guest
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import (
    MACHINE_UID,
    PROMOTED,
    SWARM_STARTED,
    MachineId,
    description,
    machine_of,
    port_part,
    promoted,
    server_metadata,
)
from swarm_operator.domain.swarm import Node
from unit.cluster.builders import NOW, UID, guest, networking, node, observation, port_id, record, server, spec, status, worker

MANAGERS = [MachineId("Manager", "", slot, 1) for slot in range(3)]
SPARE = worker(0)
BECOMES = promoted(SPARE, 2, 2)
WANTED = spec(workerPools=[{"name": "web", "replicas": 1}], managers={"replicas": 3, "promoteFrom": "web"})
STARTED = {SWARM_STARTED: "started"}
ALL = networking(WANTED, *MANAGERS, SPARE)
WITHOUT = replace(ALL, ports=tuple(p for p in ALL.ports if p.id != port_id(SPARE)))


def row(slot: int, reachability: str = "reachable") -> Node:
    return replace(node(MANAGERS[slot], "down" if reachability == "unreachable" else "ready"), leader=slot == 0, reachability=reachability)


def spare(**metadata: str) -> Server:
    return server(SPARE, metadata=metadata)


def world(spare_server: Server | None, *rows: Node, **changes: Any) -> ClusterObservation:
    """Manager 2 has no server any more; `rows` are those of workers."""
    servers = [server(m, metadata=STARTED) for m in MANAGERS[:2]] + ([spare_server] if spare_server is not None else [])
    nodes = [row(0), row(1), row(2, "unreachable"), *rows]
    return observation(WANTED, servers, nodes, **{"networking": Known(ALL), **changes})


def plan(seen: ClusterObservation, *more: MachineStatus, wanted: Any = WANTED) -> ClusterPlan:
    return decide(wanted, status(*(record(m) for m in MANAGERS), *(more or (record(SPARE),))), seen, NOW)


def promoted_record(**changes: Any) -> MachineStatus:
    return record(BECOMES, MachinePhase.JOINING, server_id="srv-web-0-1", node_id="node-web-0-1", **changes).model_copy(
        update={"promoted_from": MachineOrigin(pool="web", slot=0, incarnation=1), "engine_configured": False}
    )


def knowing(*slots: int) -> dict[str, Known[Guest]]:
    """The promoted worker's engine knows the managers of these slots."""
    peers = tuple(f"{server(MANAGERS[slot]).fixed[0]}:2377" for slot in slots)
    return {SPARE.uid(UID): guest(SPARE, "active", remote_managers=peers, tls_in_force=True, node_id=node(SPARE).id, swarm_id="swarm")}


def test_identity_and_name_stay_those_of_the_worker() -> None:
    metadata = server_metadata(UID, "demo", SPARE) | {PROMOTED: "2/2"}
    found = machine_of(metadata, UID)
    assert found == BECOMES and found is not None
    assert (found.role, found.pool, found.slot, found.incarnation) == ("Manager", "", 2, 2)
    assert found.uid(UID) == SPARE.uid(UID) and found.server_name("demo") == SPARE.server_name("demo")
    assert found.slot_uid(UID) == MANAGERS[2].slot_uid(UID)
    assert machine_of({**metadata, PROMOTED: "2"}, UID) == SPARE, "not what we write"
    assert machine_of({**metadata, MACHINE_UID: "x"}, UID) is None
    assert machine_of(server_metadata(UID, "demo", MANAGERS[1]) | {PROMOTED: "2/2"}, UID) == MANAGERS[1], "managers are not promoted"


def test_a_ready_spare_is_promoted_and_no_server_made_for_the_manager() -> None:
    decided = plan(world(spare(), node(SPARE)))
    (step,) = [x for x in decided.steps if isinstance(x, s.PromoteWorker)]
    assert step.machine == BECOMES and step.machine_uid == SPARE.uid(UID)
    assert not any(isinstance(x, s.CreateServer | s.DemoteManager) for x in decided.steps)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(world(None), id="no worker"),
        pytest.param(world(spare(), replace(node(SPARE), availability="drain")), id="drained by somebody"),
        pytest.param(world(spare(), node(SPARE, "down")), id="down"),
        pytest.param(world(server(SPARE, "SHUTOFF"), node(SPARE)), id="switched off"),
        pytest.param(world(replace(spare(), task_state="rebooting"), node(SPARE)), id="Nova is at it"),
        pytest.param(world(spare(), replace(node(SPARE), os="windows")), id="not Linux"),
        pytest.param(world(spare(), node(SPARE), networking=Known(WITHOUT)), id="no port of its own"),
    ],
)
def test_without_a_fit_spare_a_server_is_made(seen: ClusterObservation) -> None:
    decided = plan(seen)
    assert not any(isinstance(x, s.PromoteWorker) for x in decided.steps)
    assert any(isinstance(x, s.CreateServer) and x.machine == MachineId("Manager", "", 2, 2) for x in decided.steps)


def test_nobody_is_promoted_on_the_unknown_or_without_a_loss() -> None:
    blind = Unknown(Reason.CLOUD_UNREACHABLE, "could not look")
    whole = observation(
        WANTED,
        [server(m, metadata=STARTED) for m in MANAGERS] + [spare()],
        [row(0), row(1), row(2), node(SPARE)],
        networking=Known(ALL),
    )
    five = spec(workerPools=[{"name": "web", "replicas": 1}], managers={"replicas": 5, "promoteFrom": "web"})
    none = spec(workerPools=[{"name": "web", "replicas": 1}], managers={"replicas": 3})
    cases = [
        plan(world(spare(), node(SPARE), servers=blind)),
        plan(world(spare(), node(SPARE), swarm=Unknown(Reason.QUORUM_LOST, "no leader"))),
        plan(whole),
        plan(whole, wanted=five),
        plan(world(spare(), node(SPARE)), wanted=none),
    ]
    for decided in cases:
        assert not any(isinstance(x, s.PromoteWorker) for x in decided.steps)


def test_then_the_port_then_the_dead_member_then_the_node() -> None:
    """One look after the other: nothing of raft is changed before the others get through to the newcomer."""
    net = ALL
    was = next(p for p in net.ports if p.id == port_id(SPARE))
    server_now = spare(**STARTED, **{PROMOTED: "2/2"})

    first = plan(world(server_now, node(SPARE)), promoted_record())
    assert [x.evidence.value.id for x in first.steps if isinstance(x, s.AdoptPort)] == [was.id]
    assert not any(isinstance(x, s.DemoteManager | s.SetNode | s.DeletePort) for x in first.steps)

    groups = next(p for p in net.ports if p.id == port_id(MANAGERS[0])).security_group_ids
    mine = replace(was, description=description(UID, "demo", port_part(BECOMES.slot_uid(UID))), security_group_ids=groups)
    ports = Known(replace(net, ports=(*(p for p in net.ports if p.id != was.id), mine)))
    knows_all = knowing(0, 1, 2)
    second = plan(world(server_now, node(SPARE), networking=ports, guests=knows_all), promoted_record())
    assert [x.evidence.value.id for x in second.steps if isinstance(x, s.DemoteManager)] == [row(2).id]
    assert not any(isinstance(x, s.SetNode) and x.role == "manager" and x.evidence.value.id == node(SPARE).id for x in second.steps)
    assert [x.evidence.value for x in second.steps if isinstance(x, s.DeletePort)] == [port_id(MANAGERS[2])], "what the lost manager left"

    gone = replace(world(server_now, networking=ports), swarm=Known(replace(_view(world(None)), nodes=(row(0), row(1), node(SPARE)))))
    for guests in (knows_all, knowing(), {}):
        unheard = plan(replace(gone, guests=guests), promoted_record())
        assert not any(isinstance(x, s.SetNode) and x.role == "manager" for x in unheard.steps), "it could turn to the lost manager"
    third = plan(replace(gone, guests=knowing(0, 1)), promoted_record())
    assert [(x.evidence.value.id, x.role) for x in third.steps if isinstance(x, s.SetNode) and x.role == "manager"] == [(node(SPARE).id, "manager")]
    (made,) = [x.machine for x in third.steps if isinstance(x, s.CreatePort | s.CreateServer)]
    assert made == worker(0, 2), "the pool's next worker has a UID of its own"


def _view(seen: ClusterObservation) -> Any:
    assert isinstance(seen.swarm, Known)
    return seen.swarm.value


def test_status_that_does_not_know_of_the_promotion_yet() -> None:
    """A crash after the write: one machine, with what status knew of it."""
    table = tabulate(status(record(SPARE)), world(spare(**{PROMOTED: "2/2"}), node(SPARE)), NOW)
    (machine,) = [m for m in table.machines if m.uid == SPARE.uid(UID)]
    assert machine.id == BECOMES and machine.record is not None and machine.record.host_keys
