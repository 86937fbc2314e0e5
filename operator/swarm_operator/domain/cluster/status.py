"""The observed facts as status carries them. Stable: the same observation gives the same status, or a steady cluster would be written for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import (
    InfrastructureStatus,
    MachinePhase,
    MachineRemediation,
    MachineStatus,
    RoleCount,
    SwarmClusterStatus,
)
from swarm_operator.domain import times
from swarm_operator.domain.cluster import credentials
from swarm_operator.domain.cluster.floating_ips import serving_address, settings_of
from swarm_operator.domain.cluster.guests import ENGINE_PORT, is_up, reachable_address
from swarm_operator.domain.cluster.hooks import NO_HOOKS, Hooks
from swarm_operator.domain.cluster.ladder import HEALTHY_SECONDS
from swarm_operator.domain.cluster.machines import Machine, MachineTable, origin_of
from swarm_operator.domain.cluster.membership import Membership
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.overlays import statuses
from swarm_operator.domain.cluster.remediation import Remediation
from swarm_operator.domain.cluster.standing import NOT_KNOWN, Standing
from swarm_operator.domain.cluster.volumes import VolumePlan
from swarm_operator.domain.cluster.zones import zone_of, zones_tried
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import JOIN_TOKEN, NODE_LABEL_ENGINE

KEPT = "kept to be looked at: "
"""Before the message of a preserved machine."""
_MEMBER_PHASES = frozenset({MachinePhase.READY, MachinePhase.DOWN, MachinePhase.DRAINING})


def observed_status(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    membership: Membership,
    infrastructure: InfrastructureStatus,
    remediation: Remediation,
    messages: Mapping[str, str],
    standings: Mapping[str, Standing],
    now: datetime,
    volumes: VolumePlan,
    hooks: Mapping[str, Hooks],
    blocked: Mapping[str, str],
) -> SwarmClusterStatus:
    """Everything but the conditions and observedGeneration. `blocked`: by UID, why machines that are to go can't be drained yet."""
    leaving = {m.uid for m in membership.remove}
    shown = [m for m in (*membership.keep, *membership.remove) if not (m.uid in leaving and m.gone)]
    asked_for = {*membership.create, *membership.waiting}
    shown += [m for m in table.machines if m.id in asked_for and m.record is not None and m.uid not in {s.uid for s in shown}]
    shown += [m for m in membership_waiting(membership) if m.uid not in {s.uid for s in shown}]
    left = {m.uid: m for m in membership.frozen if not m.gone or m.was_created}
    shown += list(left.values())
    nodes = [
        _record(
            spec,
            observation,
            m,
            m.uid in leaving,
            remediation,
            messages.get(m.uid, ""),
            standings.get(m.uid, NOT_KNOWN),
            now,
            volumes,
            hooks.get(m.uid, NO_HOOKS),
            blocked.get(m.uid, ""),
        )
        for m in sorted(shown, key=lambda m: m.id)
    ]
    nodes = [n if n.machine_uid not in left else _as_it_was(n, left[n.machine_uid]) for n in nodes]
    desired_workers = sum(pool.replicas for pool in spec.worker_pools) + len(left)
    ready = [n for n in nodes if n.phase == MachinePhase.READY]
    view = observation.swarm.value if isinstance(observation.swarm, Known) else None
    exposed = status.join.token_exposed or (isinstance(observation.servers, Known) and any(JOIN_TOKEN in s.metadata for s in observation.servers.value))
    return status.model_copy(
        update={
            "managers": _count(spec.managers.replicas, sum(n.role == "Manager" for n in ready)),
            "workers": _count(desired_workers, sum(n.role == "Worker" for n in ready)),
            "endpoint": _endpoint(spec, observation, membership) or status.endpoint,
            "swarm_id": view.swarm_id if view is not None else status.swarm_id,
            "engine_version": (view.engine_version or None) if view is not None else status.engine_version,
            "engine_api_version": (view.engine_api_version or None) if view is not None else status.engine_api_version,
            "credentials": credentials.seen(spec, status, observation),
            "infrastructure": infrastructure,
            "networks": statuses(spec, observation.uid, view, observation.networks_in_use) if view is not None else status.networks,
            "join": status.join.model_copy(update={"token_exposed": exposed}),
            "retained_volumes": list(volumes.kept),
            "nodes": nodes,
        }
    )


def _as_it_was(node: MachineStatus, machine: Machine) -> MachineStatus:
    """A machine that is left alone: nobody has looked at its volumes."""
    return node.model_copy(update={"volumes": list(machine.record.volumes) if machine.record is not None else []})


def membership_waiting(membership: Membership) -> tuple[Machine, ...]:
    """Removed machines without server whose slot still waits for its next holder: their record tells why (Nova's fault text) and counts the incarnations. Also where the next
    one may be asked for and is not yet, since members of a server group are made one after the other."""
    slots = {(m.role, m.pool, m.slot) for m in (*membership.waiting, *membership.create)}
    return tuple(m for m in membership.remove if m.gone and (m.id.role, m.id.pool, m.id.slot) in slots)


def _count(desired: int, ready: int) -> RoleCount:
    return RoleCount(desired=desired, ready=ready, summary=f"{ready}/{desired}")


def _endpoint(spec: SwarmClusterSpec, observation: ClusterObservation, membership: Membership) -> str | None:
    for machine in sorted(membership.keep, key=lambda m: (not m.joined, _without_api(m))):
        if machine.id.role == "Manager" and isinstance(observation.swarm, Known):
            address = reachable_address(spec, observation.uid, machine, observation.networking)
            if address is not None:
                return f"tcp://{address}:{ENGINE_PORT}"
    return None


def _phase(machine: Machine, observation: ClusterObservation, leaving: bool, remediation: Remediation) -> MachinePhase:
    server, record = machine.present, machine.record
    if machine.being_deleted and server is not None:
        return MachinePhase.DELETING
    if machine.uid in remediation.preserved and not machine.joined:
        return MachinePhase.PRESERVED
    if isinstance(machine.server, Unknown) and server is None:
        return record.phase if record is not None else MachinePhase.PENDING
    if server is None:
        return MachinePhase.FAILED if machine.was_created or (record is not None and record.phase == MachinePhase.FAILED) else MachinePhase.PENDING
    if server.status == "ERROR":
        return MachinePhase.FAILED
    if isinstance(machine.node, Known) and machine.node.value is not None:
        if machine.node.value.state != "ready" or machine.node.value.reachability == "unreachable":
            return MachinePhase.DOWN
        if not machine.joined:
            return MachinePhase.DRAINING if leaving else MachinePhase.JOINING
        return MachinePhase.DRAINING if leaving or NODE_LABEL_ENGINE in machine.node.value.labels else MachinePhase.READY
    if isinstance(machine.node, Unknown) and record is not None and record.phase in _MEMBER_PHASES:
        return record.phase
    if server.status == "BUILD":
        return MachinePhase.BUILDING
    if machine.uid in remediation.failures or not is_up(machine):
        return MachinePhase.FAILED
    return MachinePhase.JOINING if isinstance(observation.guest(machine.uid), Known) else MachinePhase.BOOTING


def _message(machine: Machine, phase: MachinePhase, remediation: Remediation, waiting_for: str) -> str:
    failure = remediation.failures.get(machine.uid)
    if phase == MachinePhase.PRESERVED:
        former = machine.record.message.removeprefix(KEPT) if machine.record is not None else ""
        return KEPT + (failure.message if failure is not None else former)
    if failure is not None:
        return failure.message
    if phase == MachinePhase.FAILED:
        server = machine.present
        return (server.fault or f"Nova status {server.status}") if server is not None else (machine.record.message if machine.record is not None else "")
    return waiting_for if phase in (MachinePhase.BOOTING, MachinePhase.JOINING) else ""


def _record(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    machine: Machine,
    leaving: bool,
    remediation: Remediation,
    waiting_for: str,
    standing: Standing,
    now: datetime,
    volumes: VolumePlan,
    hooks: Hooks,
    blocked: str,
) -> MachineStatus:
    server, node, old = machine.present, machine.member, machine.record
    phase = _phase(machine, observation, leaving, remediation)
    manager = machine.id.role == "Manager"
    has_one = settings_of(spec, machine.id.pool).enabled
    floating = serving_address(spec, observation.networking, observation.uid, machine) if has_one else None
    return MachineStatus(
        name=machine.id.server_name(observation.name),
        role=machine.id.role,
        pool=machine.id.pool,
        slot=machine.id.slot,
        incarnation=machine.id.incarnation,
        promoted_from=origin_of(machine.id),
        machine_uid=machine.uid,
        server_id=server.id if server is not None else (old.server_id if old is not None else None),
        node_id=node.id if node is not None else (old.node_id if old is not None else None),
        address=server.fixed[0] if server is not None and server.fixed else (old.address if old is not None else None),
        floating_ip=floating or (old.floating_ip if old is not None and (manager or has_one) else None),
        phase=phase,
        phase_since=old.phase_since if old is not None and old.phase == phase else times.stamp(now),
        created_at=_created(machine),
        message=(blocked or hooks.text or _message(machine, phase, remediation, waiting_for))[:1024],
        availability_zone=zone_of(machine),
        zones_tried=[] if machine.joined else list(zones_tried(machine)),
        flavors_tried=list(old.flavors_tried) if old is not None and not machine.joined else [],
        fallback_flavor_id=old.fallback_flavor_id if old is not None else None,
        host_id=(server.host_id or None) if server is not None else (old.host_id if old is not None else None),
        engine_version=(node.engine_version or None) if node is not None else (old.engine_version if old is not None else None),
        host_keys=list(old.host_keys) if old is not None else [],
        engine_certificate_expires=_tls_expires(observation, machine) or (old.engine_certificate_expires if old is not None else None),
        remediation=_repair(old, phase, now),
        volumes=list(volumes.states.get(machine.uid, ())) if not leaving else list(old.volumes) if old is not None else [],
        hooks=list(hooks.hooks),
        template_hash=standing.hash or (old.template_hash if old is not None else None),
        up_to_date=standing.up_to_date if standing is not NOT_KNOWN else (old.up_to_date if old is not None else None),
        engine_configured=(old is not None and old.engine_configured)
        or (manager and ((node is not None and not machine.id.origin) or _tls_in_force(observation, machine))),
    )


def _without_api(machine: Machine) -> bool:
    """A promoted manager whose engine has not been set up as a manager's yet."""
    return bool(machine.id.origin) and (machine.record is None or not machine.record.engine_configured)


def _repair(old: MachineStatus | None, phase: MachinePhase, now: datetime) -> MachineRemediation | None:
    """The last repair, until the machine has been healthy for a while."""
    if old is None or old.remediation is None:
        return None
    healthy = old.phase == phase == MachinePhase.READY and (times.age(old.phase_since, now) or 0.0) >= HEALTHY_SECONDS
    return None if healthy else old.remediation


def _tls_in_force(observation: ClusterObservation, machine: Machine) -> bool:
    """The guest itself says so: a crash may have come between the restart of the engine and the status write."""
    guest = observation.guest(machine.uid)
    return isinstance(guest, Known) and guest.value.tls_in_force


def _tls_expires(observation: ClusterObservation, machine: Machine) -> str | None:
    guest = observation.guest(machine.uid)
    return guest.value.tls_expires if isinstance(guest, Known) and guest.value.tls_in_force else None


def _created(machine: Machine) -> str | None:
    """Our own time of asking where we know it, for the settle delay; Nova's where status was lost."""
    if machine.record is not None and machine.record.created_at is not None:
        return machine.record.created_at
    moment = times.parse(machine.created_at)
    return times.stamp(moment) if moment is not None else None
