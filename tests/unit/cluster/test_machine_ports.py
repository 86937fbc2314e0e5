"""Ports of slots: given to one server after the other, never to two, and deleted only when it is known that nothing is on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swarm_operator.api.cluster_status import MachinePhase
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import FloatingIP, OwnedNetworking, Port, Server
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.machines import tabulate
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import MachineId, description, floating_ip_part, port_part
from unit.cluster.builders import MANAGER, NOW, UID, networking, node, observation, port_id, record, server, spec, status, worker

ONE = spec(workerPools=[{"name": "web", "replicas": 1}])
WEB = worker(0)
NEXT = worker(0, incarnation=2)


def further(machine: MachineId, name: str, address: str, device: str = "") -> Port:
    return Port(name, "net", device, "compute:nova" if device else "", (address,), description(UID, "demo", port_part(machine.slot_uid(UID))))


def world(servers: list[Server], *more: Port, without: frozenset[str] = frozenset(), **changes: Any) -> ClusterObservation:
    """The manager, `servers`, the ports of the slots but `without`, and `more` ports."""
    net = networking(ONE, MANAGER)
    net = replace(net, ports=(*(p for p in net.ports if p.id not in without), *more))
    return observation(ONE, [server(MANAGER), *servers], [node(MANAGER), node(WEB, "down")], networking=Known(net), **changes)


def steps(seen: ClusterObservation, *records: Any, kind: type[s.Step]) -> list[Any]:
    return [x for x in decide(ONE, status(record(MANAGER), *records), seen, NOW).steps if isinstance(x, kind)]


GONE = record(WEB, MachinePhase.DOWN, since=500)


def test_the_successor_gets_the_port_of_the_dead() -> None:
    assert [(c.machine, c.port_id) for c in steps(world([]), GONE, kind=s.CreateServer)] == [(NEXT, port_id(WEB))]
    assert steps(world([]), GONE, kind=s.DeletePort) == []
    assert [c.machine for c in steps(world([], without=frozenset({port_id(WEB)})), GONE, kind=s.CreatePort)] == [NEXT]


def test_a_port_that_is_taken_is_not_given_away() -> None:
    """By a server of ours that is still there, or, as a fresh listing says, by somebody else's; a remembered listing may still show the server that is gone."""
    taken = further(WEB, "taken", "10.20.0.20", "srv-x")
    alone = frozenset({port_id(WEB)})
    assert steps(world([], taken, without=alone, project_fresh=True), GONE, kind=s.CreateServer) == []
    assert len(steps(world([], taken, without=alone, project_fresh=True), GONE, kind=s.CreatePort)) == 1
    assert [c.port_id for c in steps(world([], taken, without=alone), GONE, kind=s.CreateServer)] == ["taken"]
    still = server(WEB, "DELETED_SOON", task_state="deleting", id="srv-x")
    deleting = record(WEB, MachinePhase.DELETING, since=70)
    assert len(steps(world([still], taken, without=alone), deleting, kind=s.CreatePort)) == 1, "it does not go: its successor gets a further port"
    assert steps(world([still], taken, without=alone), record(WEB, MachinePhase.DELETING, since=30), kind=s.CreatePort) == []


def test_a_port_made_twice_goes_once_it_is_known_which_is_in_use() -> None:
    twice = further(WEB, "twice", "10.20.0.99")
    nodes = {"swarm": observation(ONE, [], [node(MANAGER), node(WEB)]).swarm}
    assert [d.evidence.value for d in steps(world([server(WEB)], twice, **nodes), record(WEB), kind=s.DeletePort)] == ["twice"]
    on_it = server(WEB, fixed=("10.20.0.99",))
    assert [d.evidence.value for d in steps(world([on_it], twice, **nodes), record(WEB), kind=s.DeletePort)] == [port_id(WEB)]
    building = server(WEB, "BUILD", age=5)
    assert steps(world([building], twice), record(WEB, MachinePhase.BUILDING), kind=s.DeletePort) == [], "it has no address yet"


def test_ports_of_slots_that_are_not_wanted_go_with_their_server() -> None:
    other = worker(1)
    port = further(other, "second", "10.20.0.21", "srv-web-1-1")
    with_server = world([server(WEB), server(other)], port)
    assert steps(with_server, record(WEB), record(other), kind=s.DeletePort) == []
    assert [d.evidence.value for d in steps(world([server(WEB)], port), record(WEB), kind=s.DeletePort)] == ["second"]


def test_a_floating_ip_follows_its_slot() -> None:
    """It stays on the port; where the successor is on a further port, it is moved; one made twice goes."""
    seen = world([server(WEB)])
    assert steps(seen, record(WEB), kind=s.EnsureFloatingIP) == []
    moved = replace(seen, servers=Known((server(MANAGER, fixed=("10.20.0.77",)), server(WEB))))
    assert isinstance(moved.networking, Known)
    net: OwnedNetworking = moved.networking.value
    moved = replace(moved, networking=Known(replace(net, ports=(*net.ports, further(MANAGER, "new", "10.20.0.77")))))
    (ensure,) = steps(moved, record(WEB), kind=s.EnsureFloatingIP)
    assert ensure.floating_ip_id == "fip-0" and ensure.server_id == "srv-m-0-1"
    twice = FloatingIP("fip-9", "198.51.100.9", None, description(UID, "demo", floating_ip_part(MANAGER.slot_uid(UID))))
    more = replace(seen, networking=Known(replace(net, floating_ips=(*net.floating_ips, twice))))
    assert [d.evidence.value for d in steps(more, record(WEB), kind=s.DeleteInfrastructure)] == ["fip-9"]


def test_of_several_addresses_that_of_the_first_port_is_the_swarms() -> None:
    """Nova's order means nothing. Where Neutron does not answer it is the one known from before, and without that none."""
    two = server(WEB, fixed=("192.0.2.9", "10.20.0.20"))
    silent = {"networking": Unknown(Reason.CLOUD_UNREACHABLE, "no answer")}

    def address(seen: ClusterObservation, *records: Any) -> tuple[str, ...]:
        (machine,) = tabulate(status(*records), seen, NOW).of("Worker", "web")
        assert machine.present is not None
        return machine.present.fixed

    assert address(world([two])) == ("10.20.0.20", "192.0.2.9")
    assert address(replace(world([two]), **silent), record(WEB, address="192.0.2.9")) == ("192.0.2.9", "10.20.0.20")
    assert address(replace(world([two]), **silent), record(WEB, address="10.20.0.20")) == ("10.20.0.20", "192.0.2.9")
    assert address(replace(world([two]), **silent)) == ()
    assert address(replace(world([server(WEB)]), **silent)) == ("10.20.0.20",), "of one there is no choice"
