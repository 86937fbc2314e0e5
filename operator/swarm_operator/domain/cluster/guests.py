"""Bringing guests into the swarm: which guests have to be asked, and what is done with the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swarm_operator.api.backup import BackupRecord
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import Rung, SwarmClusterStatus
from swarm_operator.domain.cloud import OwnedNetworking
from swarm_operator.domain.cluster.floating_ips import serving_address, wanted_floating_ip
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.managers import founder
from swarm_operator.domain.cluster.observation import ClusterObservation, Guest
from swarm_operator.domain.cluster.preload import joins_drained
from swarm_operator.domain.cluster.steps import ConfigureEngine, InitSwarm, JoinManager, JoinNode, PinHostKeys, RestoreSwarm, Step, UnlockManager
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import ENGINE_LABEL_MACHINE
from swarm_operator.domain.quorum import is_outside_raft, tolerance
from swarm_operator.domain.swarm import SwarmView

MANAGER_PORT = 2377
ENGINE_PORT = 2376
ENGINE_SILENT = "silent"
"""EngineInfo.local_state of a guest that answers over ssh while its engine does not."""

ENGINE_LOCKED = "locked"
"""EngineInfo.local_state of a manager that waits for the unlock key (Docker Engine API, LocalNodeState)."""


@dataclass(frozen=True)
class GuestPlan:
    """`unlocks`: of locked managers; nothing ever holds them back. `joins`: managers that are ready to join, of which `managers.change_managers` lets in one at a time. `messages`: by machine UID, what a machine waits for. `lost`: why the swarm is lost, where it is."""

    steps: tuple[Step, ...] = ()
    joins: tuple[JoinManager, ...] = ()
    managers: tuple[str, ...] = ()
    messages: dict[str, str] = field(default_factory=dict)
    lost: str | None = None
    unlocks: tuple[UnlockManager, ...] = ()


def fixed_address(machine: Machine) -> str | None:
    """The address that members use among themselves."""
    server = machine.present
    return server.fixed[0] if server is not None and server.fixed else None


def reachable_address(spec: SwarmClusterSpec, cluster_uid: str, machine: Machine, networking: Fact[OwnedNetworking]) -> str | None:
    """Where the operator reaches a manager: its floating IP, or its fixed address where it has none by the spec."""
    if not spec.managers.floating_ip.enabled:
        return fixed_address(machine)
    return serving_address(spec, networking, cluster_uid, machine)


def certified_address(spec: SwarmClusterSpec, cluster_uid: str, machine: Machine, networking: Fact[OwnedNetworking]) -> str | None:
    """The address that a manager's certificate is good for beside its fixed one: where it is reached, or will be once the former holder of its slot has gone."""
    reach = reachable_address(spec, cluster_uid, machine, networking)
    if reach is not None or not isinstance(networking, Known):
        return reach
    coming = wanted_floating_ip(spec, networking.value, cluster_uid, machine.id)
    return coming.address if coming is not None else None


def is_up(machine: Machine) -> bool:
    return machine.present is not None and machine.present.status == "ACTIVE"


def was_rebuilt(machine: Machine) -> bool:
    """Whether its last repair was a rebuild and it has not joined since: its disk is new, and what the swarm has of it is the row of its former engine."""
    record = machine.record
    repair = record.remediation if record is not None else None
    return record is not None and repair is not None and repair.rung is Rung.REBUILD and repair.since >= record.phase_since and not machine.joined


def is_promoted(machine: Machine) -> bool:
    """Whether it is a worker that shall become a manager, and has not."""
    return bool(machine.id.origin) and machine.member is not None and machine.member.role != "manager"


def awaits_raft(machine: Machine) -> bool:
    """Whether it is a ready manager by its row and no member of raft: it joins, or a recovery has cast it out while it lives."""
    return machine.id.role == "Manager" and machine.member is not None and machine.member.state == "ready" and is_outside_raft(machine.member)


def is_locked(machine: Machine, observation: ClusterObservation) -> bool:
    """Whether its engine says that it waits for the unlock key."""
    guest = observation.guest(machine.uid)
    return isinstance(guest, Known) and guest.value.engine.local_state == ENGINE_LOCKED


def to_ask(spec: SwarmClusterSpec, machines: Sequence[Machine], swarm: Fact[SwarmView]) -> tuple[Machine, ...]:
    """The machines whose guests are asked: the managers while the swarm does not answer, and those that should join over ssh and have not.
    One that was rebuilt always joins over ssh. Also managers that are ready and no members, for they may have to be joined anew, and machines that several ready nodes say
    to be, which ask for their own node id. And promoted workers that are no managers yet: their engines are set up, and asked which managers they know."""
    up = [m for m in machines if is_up(m) and not m.being_deleted]
    if isinstance(swarm, Unknown):
        return tuple(m for m in up if m.id.role == "Manager")
    return tuple(
        m
        for m in up
        if was_rebuilt(m) or is_promoted(m) or awaits_raft(m) or m.twins or (m.node == Known(None) and (m.id.role == "Manager" or spec.join == "SSH"))
    )


def plan_guests(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    keep: Sequence[Machine],
    hold: Mapping[str, str] | None = None,
    restored: BackupRecord | None = None,
) -> GuestPlan:
    """Steps for the kept machines that are up and not members yet. `restored`: the backup that the first manager is filled from. `hold`: by UID, what else a machine waits for (its volumes); its engine is not touched before."""
    hold = hold or {}
    managers = [m for m in keep if m.id.role == "Manager"]
    steps: list[Step] = []
    joins: list[JoinManager] = []
    messages: dict[str, str] = {}
    lost = []
    view = observation.swarm
    first = founder(managers)
    restarts = False
    unlocks = [UnlockManager(m.id, m.uid) for m in managers if isinstance(view, Unknown) and is_locked(m, observation)]
    for machine in managers:
        steps += pin(machine, observation)
        if machine.uid in hold:
            messages[machine.uid] = hold[machine.uid]
        elif isinstance(view, Unknown) and is_up(machine):
            more, message, gone = _manager(spec, status, observation, machine, first if restored is None else _first_up(managers), restored)
            if any(isinstance(step, ConfigureEngine) for step in more) and machine.record is not None and machine.record.node_id is not None:
                # Engines of members are restarted one after the other.
                more = [] if restarts else more
                restarts = True
            steps += more
            messages[machine.uid] = message
            lost += [gone] if gone is not None else []
    if isinstance(view, Known) and managers:
        addresses = manager_addresses(managers)
        for machine in to_ask(spec, keep, view):
            steps += pin(machine, observation)
            if machine.uid in hold:
                messages[machine.uid] = hold[machine.uid]
                continue
            if machine.joined:
                continue  # asked for its node id only
            if awaits_raft(machine):
                # Whether it is joined anew is for `managers.change_managers` to say, which removes its row before.
                messages[machine.uid] = "the engine is to become a member of raft"
                continue
            if machine.id.role == "Manager":
                configure, join, messages[machine.uid] = _further_manager(spec, observation, machine, view.value, addresses)
                steps += configure
                joins += [join] if join is not None else []
                continue
            more, messages[machine.uid] = _worker(observation, machine, view.value, addresses, joins_drained(spec, machine.id.pool))
            steps += more
    # Of several managers as many may have lost the swarm as leaves no majority; of one, the one.
    all_lost = len(lost) > tolerance(len(managers))
    return GuestPlan(tuple(steps), tuple(joins), manager_addresses(managers), messages, lost[0] if all_lost else None, tuple(unlocks))


def _first_up(managers: Sequence[Machine]) -> Machine | None:
    """The manager that a backup is restored on."""
    return next((m for m in managers if is_up(m) and not m.being_deleted), None)


def manager_addresses(managers: Sequence[Machine]) -> tuple[str, ...]:
    """host:port of the managers that others may join through: those that are members."""
    return tuple(f"{address}:{MANAGER_PORT}" for m in managers if m.joined and (address := fixed_address(m)) is not None)


def pin(machine: Machine, observation: ClusterObservation) -> list[Step]:
    """Remember host keys that are verified now, where none are pinned yet."""
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
    if fact.value.engine.local_state == ENGINE_SILENT:
        return f"the engine does not answer: {fact.value.engine.error}"
    if fact.value.engine.labels.get(ENGINE_LABEL_MACHINE) != machine.uid:
        return "the engine has no machine label yet: cloud-init has not configured it"
    return fact.value


def _manager(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, machine: Machine, first: Machine | None, restored: BackupRecord | None
) -> tuple[list[Step], str, str | None]:
    """While the swarm does not answer: set the engine up, and let the first one make the swarm where there has been none. The third value: why its state is lost."""
    guest = _guest(machine, observation)
    advertise = fixed_address(machine)
    if isinstance(guest, str) or advertise is None:
        return [], guest if isinstance(guest, str) else "the server has no address", None
    steps: list[Step] = [*configure(spec, observation, machine, guest, advertise)]
    state = guest.engine.local_state
    if restored is not None:
        server = machine.present
        if first is not machine or server is None or steps:
            return steps, "waits for the first manager, which is restored" if first is not machine else "the engine is being set up", None
        return [RestoreSwarm(machine.id, machine.uid, server.id, restored, advertise)], f"it is restored from backup {restored.name}", None
    if state == "inactive":
        if first is not machine:
            was_member = machine.record is not None and machine.record.node_id is not None
            lost = f"the engine of {machine.id.server_name(observation.name)} is in no swarm any more" if was_member else None
            return steps, "the first manager makes the swarm" if status.swarm_id is None else "no manager of the swarm answers", lost
        if status.swarm_id is not None:
            return [], "", f"the engine of {machine.id.server_name(observation.name)} is in no swarm any more: the state of swarm {status.swarm_id} is lost"
        server = machine.present
        assert server is not None
        return [*steps, InitSwarm(machine.id, machine.uid, server.id, advertise)], "the swarm is being initialised", None
    if state == "active" and guest.engine.control_available:
        fact = observation.swarm
        return steps, f"the Docker API does not answer: {fact.message}" if isinstance(fact, Unknown) else "", None
    return steps, f"the engine's swarm state is {state}" + (f": {guest.engine.error}" if guest.engine.error else ""), None


def configure(spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine, guest: Guest, advertise: str) -> tuple[ConfigureEngine, ...]:
    """TLS of a manager's engine, where it is not in force."""
    reach = certified_address(spec, observation.uid, machine, observation.networking)
    if spec.managers.floating_ip.enabled and reach is None:
        return ()
    addresses = tuple(dict.fromkeys(a for a in (reach, advertise, "127.0.0.1") if a is not None))
    return () if guest.tls_in_force else (ConfigureEngine(machine.id, machine.uid, addresses),)


def _further_manager(
    spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine, view: SwarmView, managers: tuple[str, ...]
) -> tuple[list[Step], JoinManager | None, str]:
    """A manager beside those that are members: its engine's TLS first, then the join."""
    guest, advertise, server = _guest(machine, observation), fixed_address(machine), machine.present
    if isinstance(guest, str):
        return [], None, guest
    if advertise is None or server is None or not managers:
        return [], None, "the server has no address" if advertise is None else "no manager to join through"
    if not guest.tls_in_force:
        return [*configure(spec, observation, machine, guest, advertise)], None, "the engine is being set up"
    engine = guest.engine
    if engine.local_state == "pending":
        return [], None, "the engine is joining"
    if _has_joined(guest, view):
        return [], None, "the engine has joined"
    join = JoinManager(machine.id, machine.uid, advertise, managers, leave_first=engine.local_state != "inactive", server_id=server.id)
    return [], join, "waits for its turn to join"


def _has_joined(guest: Guest, view: SwarmView) -> bool:
    engine = guest.engine
    return engine.local_state == "active" and engine.swarm_id in ("", view.swarm_id) and engine.node_id in {n.id for n in view.nodes}


def _worker(observation: ClusterObservation, machine: Machine, view: SwarmView, managers: tuple[str, ...], drained: bool) -> tuple[list[Step], str]:
    guest = _guest(machine, observation)
    advertise = fixed_address(machine)
    if isinstance(guest, str):
        return [], guest
    if advertise is None or not managers:
        return [], "the server has no address" if advertise is None else "no manager to join through"
    engine = guest.engine
    join = JoinNode(machine.id, machine.uid, advertise, managers, leave_first=engine.local_state != "inactive", drained=drained)
    if engine.local_state == "pending":
        return [], "the engine is joining"
    if _has_joined(guest, view):
        return [], "the engine has joined"
    return [join], "joining"
