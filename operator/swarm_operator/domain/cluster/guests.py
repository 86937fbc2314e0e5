"""Bringing guests into the swarm: which guests have to be asked, and what is done with the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm_operator.api.cluster import SwarmClusterSpec, SwarmClusterStatus
from swarm_operator.domain.cloud import OwnedNetworking
from swarm_operator.domain.cluster.infrastructure import floating_ip_of
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation, Guest
from swarm_operator.domain.cluster.steps import ConfigureEngine, InitSwarm, JoinNode, PinHostKeys, Step
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import ENGINE_LABEL_MACHINE
from swarm_operator.domain.swarm import SwarmView

MANAGER_PORT = 2377
ENGINE_PORT = 2376


@dataclass(frozen=True)
class GuestPlan:
    """`messages`: by machine UID, what a machine waits for. `lost`: why the swarm is lost, where it is."""

    steps: tuple[Step, ...] = ()
    messages: dict[str, str] = field(default_factory=dict)
    lost: str | None = None


def fixed_address(machine: Machine) -> str | None:
    """The address that members use among themselves."""
    server = machine.present
    return server.fixed[0] if server is not None and server.fixed else None


def reachable_address(spec: SwarmClusterSpec, cluster_uid: str, machine: Machine, networking: Fact[OwnedNetworking]) -> str | None:
    """Where the operator reaches a manager: its floating IP, or its fixed address where it has none by the spec."""
    if not spec.managers.floating_ip.enabled:
        return fixed_address(machine)
    if isinstance(networking, Known):
        address = floating_ip_of(networking.value, cluster_uid, machine.uid)
        if address is not None:
            return address.address if address.port_id is not None else None
    server = machine.present
    return server.floating[0] if server is not None and server.floating else None


def is_up(machine: Machine) -> bool:
    return machine.present is not None and machine.present.status == "ACTIVE"


def to_ask(spec: SwarmClusterSpec, machines: Sequence[Machine], swarm: Fact[SwarmView]) -> tuple[Machine, ...]:
    """The machines whose guests are asked: the manager while the swarm does not answer, and workers that should join over ssh and have not."""
    if isinstance(swarm, Unknown):
        return tuple(m for m in machines if m.id.role == "Manager" and is_up(m) and not m.being_deleted)
    if spec.join != "SSH":
        return ()
    return tuple(m for m in machines if m.id.role == "Worker" and is_up(m) and not m.being_deleted and m.node == Known(None))


def plan_guests(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, keep: Sequence[Machine]) -> GuestPlan:
    """Steps for the kept machines that are up and not members yet."""
    managers = [m for m in keep if m.id.role == "Manager"]
    steps: list[Step] = []
    messages: dict[str, str] = {}
    lost = None
    for machine in managers:
        steps += _pin(machine, observation)
        if isinstance(observation.swarm, Unknown) and is_up(machine):
            more, message, lost = _manager(spec, status, observation, machine)
            steps += more
            messages[machine.uid] = message
    view = observation.swarm
    if isinstance(view, Known) and managers:
        manager_address = fixed_address(managers[0])
        for machine in to_ask(spec, [m for m in keep if m.id.role == "Worker"], view):
            steps += _pin(machine, observation)
            more, messages[machine.uid] = _worker(observation, machine, view.value, manager_address)
            steps += more
    return GuestPlan(tuple(steps), messages, lost)


def _pin(machine: Machine, observation: ClusterObservation) -> list[Step]:
    keys = observation.host_keys.get(machine.uid)
    if (machine.record is not None and machine.record.host_keys) or not isinstance(keys, Known) or not keys.value:
        return []
    return [PinHostKeys(machine.id, machine.uid, keys.value)]


def _guest(machine: Machine, observation: ClusterObservation) -> Guest | str:
    """The guest, or what it still waits for."""
    keys = observation.host_keys.get(machine.uid)
    if isinstance(keys, Unknown):
        return keys.message
    fact = observation.guest(machine.uid)
    if isinstance(fact, Unknown):
        return fact.message
    if fact.value.engine.labels.get(ENGINE_LABEL_MACHINE) != machine.uid:
        return "the engine has no machine label yet: cloud-init has not configured it"
    return fact.value


def _manager(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, machine: Machine) -> tuple[list[Step], str, str | None]:
    guest = _guest(machine, observation)
    advertise = fixed_address(machine)
    if isinstance(guest, str) or advertise is None:
        return [], guest if isinstance(guest, str) else "the server has no address", None
    reach = reachable_address(spec, observation.uid, machine, observation.networking)
    addresses = tuple(dict.fromkeys(a for a in (reach, advertise, "127.0.0.1") if a is not None))
    steps: list[Step] = [] if guest.tls_in_force else [ConfigureEngine(machine.id, machine.uid, addresses)]
    state = guest.engine.local_state
    if state == "inactive":
        if status.swarm_id is not None:
            return [], "", f"the engine of {machine.id.server_name(observation.name)} is in no swarm any more: the state of swarm {status.swarm_id} is lost"
        server = machine.present
        assert server is not None
        return [*steps, InitSwarm(machine.id, machine.uid, server.id, advertise)], "the swarm is being initialised", None
    if state == "active" and guest.engine.control_available:
        fact = observation.swarm
        return steps, f"the Docker API does not answer: {fact.message}" if isinstance(fact, Unknown) else "", None
    return steps, f"the engine's swarm state is {state}" + (f": {guest.engine.error}" if guest.engine.error else ""), None


def _worker(observation: ClusterObservation, machine: Machine, view: SwarmView, manager: str | None) -> tuple[list[Step], str]:
    guest = _guest(machine, observation)
    advertise = fixed_address(machine)
    if isinstance(guest, str):
        return [], guest
    if advertise is None or manager is None:
        return [], "the server has no address"
    engine = guest.engine
    join = JoinNode(machine.id, machine.uid, advertise, f"{manager}:{MANAGER_PORT}", leave_first=engine.local_state != "inactive")
    if engine.local_state == "pending":
        return [], "the engine is joining"
    if engine.local_state == "active" and engine.swarm_id in ("", view.swarm_id) and engine.node_id in {n.id for n in view.nodes}:
        return [], "the engine has joined"
    return [join], "joining"
