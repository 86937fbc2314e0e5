"""Taking a cluster down: servers, then what they hang on. The finalizer goes only after complete fresh listings showed that nothing of ours is left.

The swarm needs no teardown: it ends with its servers. Secrets go with their owner (Kubernetes garbage collection); the one with the credentials is held until nothing is left.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from swarm_operator.api.base import ABANDON
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import DeletionStage, MachinePhase, MachineStatus, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Image, KeyPair, OwnedNetworking, Router, Server
from swarm_operator.domain.cluster import credentials, verdicts
from swarm_operator.domain.cluster.floating_ips import removal
from swarm_operator.domain.cluster.machines import GONE_STATUSES, SETTLE_SECONDS
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.cluster.remaining import is_done, lines, progress, remaining, way_out
from swarm_operator.domain.cluster.steps import (
    DeleteInfrastructure,
    DeleteKeyPair,
    DeleteServer,
    DeleteTrunk,
    LetGo,
    OrphanSecrets,
    ReleaseCredentials,
    RemoveFinalizer,
    RemoveRouterInterface,
    Step,
)
from swarm_operator.domain.cluster.volumes import volumes_of_the_deleted
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import IMAGE_RETAIN, MACHINE_UID, part_of_image

POLL_SECONDS = 2.0


def decide_deletion(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, now: datetime) -> ClusterPlan:
    """One stage at a time; each reconcile looks at everything anew. The stage and what is left are in the plan's status."""
    if not observation.finalizer:
        return ClusterPlan(status)
    status = status.model_copy(update={"credentials": credentials.seen(spec, status, observation)})
    if is_done(status):
        return _plan(spec, observation, status, now, _release(spec, status))
    retained = frozenset(v.volume_id for v in volumes_of_the_deleted(spec, observation).kept)
    left = remaining(status, observation, retained | _named_router(spec, status))
    if observation.annotations.get(ABANDON) == "true":
        return _plan(
            spec, observation, progress(status, "Done", left, now), now, (LetGo(Reason.ABANDONED, lines(left)), OrphanSecrets(), *_release(spec, status))
        )
    plan = _decide(spec, status, observation, now)
    if plan.wants_fresh:
        return plan
    stage: DeletionStage = "Servers" if any(r.kind == "server" for r in left) else "Infrastructure"
    if any(isinstance(step, RemoveFinalizer) for step in plan.steps):
        stage = "Done"
    return replace(plan, status=progress(plan.status, stage, left, now))


def _release(spec: SwarmClusterSpec, status: SwarmClusterStatus) -> tuple[Step, ...]:
    """The end, in this order: the stage Done is in status before the Secret is let go, for without the Secret nothing can be looked at again."""
    names = {spec.identity_ref.secret_name, status.credentials.secret_name}  # status may have been lost
    return (*(ReleaseCredentials(name) for name in sorted(filter(None, names))), RemoveFinalizer("nothing is left that the operator is to remove"))


def _decide(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, now: datetime) -> ClusterPlan:
    if spec.paused:
        return _plan(spec, observation, status, now, (), blocked=Unknown(Reason.PAUSED, "spec.paused is set"), paused=True)
    if spec.deletion_policy == "Retain":
        return _plan(
            spec,
            observation,
            status,
            now,
            (LetGo(Reason.RETAINED, lines(remaining(status, observation, _named_router(spec, status)))), OrphanSecrets(), *_release(spec, status)),
        )
    if not observation.servers_fresh and isinstance(observation.servers, Known):
        return ClusterPlan(status, wants_fresh=True)
    for fact in _facts(observation):
        if isinstance(fact, Unknown):
            return _plan(spec, observation, status, now, (), blocked=fact, failure=fact.reason)
    assert isinstance(observation.servers, Known) and isinstance(observation.networking, Known) and isinstance(observation.keypair, Known)
    servers = [s for s in observation.servers.value if s.status not in GONE_STATUSES]
    if servers:
        return _plan(spec, observation, _going(status, servers, now), now, tuple(_delete(s) for s in servers if s.task_state != "deleting"))
    asked_for = [n.created_at for n in status.nodes if n.server_id is None] + [s.created_at for s in status.snapshots if s.image_id is None]
    asked_for += [i.created_at for i in status.images if i.image_id is None]
    asked_for += [status.backup.running.asked_at] if status.backup is not None and status.backup.running is not None else []
    settling = [SETTLE_SECONDS - asked for moment in asked_for if (asked := times.age(moment, now)) is not None and asked < SETTLE_SECONDS]
    if settling:
        # The answer to a POST was lost a moment ago: its server or image may still appear.
        return _plan(spec, observation, status, now, (), requeue=max(settling))
    status = status.model_copy(update={"nodes": []})
    networking = observation.networking.value
    obstacle, steps = _networking(spec, status, observation, networking)
    volumes = volumes_of_the_deleted(spec, observation)
    steps = (*steps, *(DeleteInfrastructure("volume", Known(v.id), "the cluster is deleted") for v in volumes.going))
    if isinstance(observation.images, Unknown):
        return _plan(spec, observation, status, now, steps, blocked=observation.images, failure=observation.images.reason)
    steps = (*steps, *_images(observation.uid, observation.images.value))
    if observation.keypair.value is not None:
        steps = (*steps, DeleteKeyPair(Known(observation.keypair.value.name)))
    if isinstance(observation.keypairs, Known):
        known = observation.keypair.value.name if observation.keypair.value is not None else None
        steps = (*steps, *(DeleteKeyPair(Known(k.name)) for k in observation.keypairs.value if k.name != known))
    if isinstance(observation.server_groups, Known):
        steps = (*steps, *(DeleteInfrastructure("server-group", Known(g.id), "the cluster is deleted") for g in observation.server_groups.value))
    elif observation.server_groups.reason is not Reason.FORBIDDEN:
        obstacle = obstacle or observation.server_groups
    if obstacle is not None:
        return _plan(spec, observation, status, now, steps, blocked=obstacle, failure=obstacle.reason)
    if volumes.unknown is not None:
        return _plan(spec, observation, status, now, steps, blocked=volumes.unknown, failure=volumes.unknown.reason)
    if not steps and volumes.waiting:
        names = ", ".join(f"{v.id} ({v.status})" for v in volumes.waiting[:5])
        return _plan(spec, observation, status, now, (), blocked=Unknown(Reason.DELETION_BLOCKED, f"volumes are still there: {names}"))
    status = status.model_copy(update={"retained_volumes": list(volumes.kept)})
    kept: tuple[Step, ...] = (LetGo(Reason.RETAINED, tuple(f"volume {v.volume_id} {v.name}" for v in volumes.kept)),) if volumes.kept else ()
    return _plan(spec, observation, status, now, steps or (*kept, *_release(spec, status)))


def _images(uid: str, images: tuple[Image, ...]) -> tuple[Step, ...]:
    """Those that are not to outlive the cluster. Images that only inherited its UID are somebody else's."""
    ours = [i for i in images if part_of_image(i.properties, uid) is not None and i.properties.get(IMAGE_RETAIN) != "true"]
    return tuple(DeleteInfrastructure("image", Known(i.id), "the cluster is deleted") for i in ours if i.status not in ("deleted", "pending_delete"))


def _facts(observation: ClusterObservation) -> tuple[Fact[None] | Fact[tuple[Server, ...]] | Fact[OwnedNetworking] | Fact[KeyPair | None], ...]:
    return (observation.credentials, observation.servers, observation.networking, observation.keypair)


def _delete(server: Server) -> DeleteServer:
    return DeleteServer(Known(server), server.metadata.get(MACHINE_UID, server.id), Reason.DELETED, "the cluster is deleted")


def _going(status: SwarmClusterStatus, servers: list[Server], now: datetime) -> SwarmClusterStatus:
    """Records of the machines that are still there, in phase Deleting."""
    present = {s.metadata.get(MACHINE_UID) for s in servers}

    def mark(record: MachineStatus) -> MachineStatus:
        since = record.phase_since if record.phase == MachinePhase.DELETING else times.stamp(now)
        return record.model_copy(update={"phase": MachinePhase.DELETING, "phase_since": since})

    pending = [n for n in status.nodes if n.machine_uid not in present and n.server_id is None]
    return status.model_copy(update={"nodes": [mark(n) for n in status.nodes if n.machine_uid in present] + pending})


def _named_router(spec: SwarmClusterSpec, status: SwarmClusterStatus) -> frozenset[str]:
    """The id that status has of a router that the spec names, which is nobody's to remove."""
    named = spec.network.managed.router if spec.network.managed is not None else None
    router_id = status.infrastructure.router_id
    return frozenset({router_id} if named is not None and router_id is not None else ())


def _is_named(router: Router, spec: SwarmClusterSpec, status: SwarmClusterStatus) -> bool:
    """Whether a router that is not ours is the one that the spec names. References are not resolved any more, and status may have been lost."""
    ref = spec.network.managed.router if spec.network.managed is not None else None
    return ref is not None and (router.id in (ref.id, status.infrastructure.router_id) or (ref.name is not None and router.name == ref.name))


def _networking(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, networking: OwnedNetworking
) -> tuple[Unknown | None, tuple[Step, ...]]:
    """Floating IPs, router interfaces, routers, left-over ports, subnets, networks, groups: in this order, each waits for the ones before by the order of steps."""
    because = "the cluster is deleted"
    steps: list[Step] = [removal(spec, observation.uid, f, because) for f in networking.floating_ips]
    for port in networking.ports:
        steps += [DeleteTrunk(Known(port.trunk_id), because)] if port.trunk_id is not None else []
        steps.append(DeleteInfrastructure("port", Known(port.id), because))
    for router in networking.routers:
        steps += [RemoveRouterInterface(router.id, Known(subnet)) for subnet in router.subnet_ids]
        steps.append(DeleteInfrastructure("router", Known(router.id), because))
    obstacle: Unknown | None = None
    for router in networking.other_routers:
        if _is_named(router, spec, status):
            steps += [RemoveRouterInterface(router.id, Known(subnet)) for subnet in router.subnet_ids]
        else:
            obstacle = Unknown(Reason.DELETION_BLOCKED, f"router {router.id} ({router.name}), which is somebody else's, is connected to the managed subnet")
    if networking.networks:
        if isinstance(observation.ports, Unknown):
            return observation.ports, tuple(steps)
        # Ports of Neutron itself go with their router or subnet; those of our servers go with the server, a little later. Any other is somebody else's.
        ours = {p.id for p in networking.ports}
        others = [p for p in observation.ports.value if not p.device_owner.startswith("network:") and p.id not in ours]
        if others:
            names = ", ".join(f"{p.id} of device {p.device_id or '-'}" for p in others[:5])
            obstacle = Unknown(Reason.DELETION_BLOCKED, f"ports on the managed network are in the way: {names}")
    if obstacle is None:
        steps += [DeleteInfrastructure("subnet", Known(s.id), because) for s in networking.subnets]
        steps += [DeleteInfrastructure("network", Known(n.id), because) for n in networking.networks]
        steps += [DeleteInfrastructure("security-group", Known(g.id), because) for g in networking.security_groups]
    return obstacle, tuple(steps)


def _plan(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    status: SwarmClusterStatus,
    now: datetime,
    steps: tuple[Step, ...],
    *,
    blocked: Unknown | None = None,
    failure: Reason | None = None,
    requeue: float = POLL_SECONDS,
    paused: bool = False,
) -> ClusterPlan:
    hold = (
        verdicts.verdict(ConditionType.DELETION_BLOCKED, "True", blocked.reason, blocked.message + way_out(blocked.reason))
        if blocked is not None
        else verdicts.verdict(ConditionType.DELETION_BLOCKED, "False", Reason.AS_EXPECTED)
    )
    parts: list[Verdict] = [verdicts.credentials(observation.credentials), credentials.expiring(spec, status.credentials, observation, now)]
    parts += [
        verdicts.verdict(kind, "False", Reason.DELETING, "being deleted") for kind in (ConditionType.INFRASTRUCTURE_READY, ConditionType.MANAGERS_QUORATE)
    ]
    parts += [
        verdicts.verdict(kind, "False", Reason.DELETING, "being deleted") for kind in (ConditionType.MEMBERS_UP_TO_DATE, ConditionType.REMEDIATION_ALLOWED)
    ]
    parts.append(hold)
    parts.append(verdicts.verdict(ConditionType.IMAGES_READY, "False", Reason.DELETING, "being deleted"))
    parts.append(verdicts.verdict(ConditionType.ROLLOUT_HALTED, "False", Reason.DELETING, "being deleted"))
    parts.append(verdicts.verdict(ConditionType.BACKUP_READY, "False", Reason.DELETING, "being deleted"))
    parts.append(verdicts.verdict(ConditionType.SPREAD_DEGRADED, "False", Reason.DELETING, "being deleted"))
    parts.append(verdicts.verdict(ConditionType.ORPHANS_FOUND, "False", Reason.DELETING, "everything of the cluster's UID goes with it"))
    summed = verdicts.summary(parts, deleting=True, paused=paused, working=True)
    return ClusterPlan(status, steps, summed, None if paused else requeue, failure=failure)
