"""The plans of all parts of a cluster, made in the order in which they build on one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.authority import AuthorityPlan, plan_authority
from swarm_operator.domain.cluster.autolock import AutolockPlan, plan_autolock
from swarm_operator.domain.cluster.backup import BackupPlan, plan_backup
from swarm_operator.domain.cluster.creation import Creation, plan_creation
from swarm_operator.domain.cluster.floating_ips import address_problem
from swarm_operator.domain.cluster.guests import GuestPlan, plan_guests
from swarm_operator.domain.cluster.hooks import Hooks
from swarm_operator.domain.cluster.images import ImagePlan, plan_images
from swarm_operator.domain.cluster.infrastructure import InfrastructurePlan, plan_infrastructure
from swarm_operator.domain.cluster.machines import MachineTable
from swarm_operator.domain.cluster.managers import ManagerChange, change_managers
from swarm_operator.domain.cluster.membership import Membership, select
from swarm_operator.domain.cluster.nodes import Removal, remove_machines
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.preload import Preloads, plan_preloads
from swarm_operator.domain.cluster.promotion import unheard, unprepared
from swarm_operator.domain.cluster.recovery import RecoveryPlan, plan_recovery
from swarm_operator.domain.cluster.remediation import Remediation, assess
from swarm_operator.domain.cluster.restore import Restore, assess_restore
from swarm_operator.domain.cluster.rollout import Rollout, plan_rollout
from swarm_operator.domain.cluster.server_groups import GroupPlan, plan_groups
from swarm_operator.domain.cluster.standing import Standing, standings
from swarm_operator.domain.cluster.steps import DrainNode
from swarm_operator.domain.cluster.template import Wanted
from swarm_operator.domain.cluster.volumes import VolumePlan, plan_volumes
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.quorum import tolerance


@dataclass(frozen=True)
class Plans:
    """What each part wants. `lost`: why no majority of managers can come back by itself, if so; `leaderless`: why nothing is touched for the moment."""

    observation: ClusterObservation
    """With the images that machines boot from in place of those that the spec names."""
    table: MachineTable
    images: ImagePlan
    remediation: Remediation
    wanted: Wanted
    standing: dict[str, Standing]
    rollout: Rollout
    membership: Membership
    infrastructure: InfrastructurePlan
    volumes: VolumePlan
    guests: GuestPlan
    removal: Removal
    change: ManagerChange
    groups: GroupPlan
    creation: Creation
    preloads: Preloads
    authority: AuthorityPlan
    lock: AutolockPlan
    recovery: RecoveryPlan
    addresses: Unknown | None
    """A floating IP of the spec that can't be used; the rest goes on without."""
    backup: BackupPlan
    restore: Restore
    lost: str | None
    leaderless: str | None

    @property
    def blocked(self) -> dict[str, str]:
        """By UID, why machines that are to go can't be drained yet; those of a rollout are in its own status."""
        return {**self.remediation.blocked, **self.change.blocked, **self.removal.blocked}

    @property
    def hooks(self) -> dict[str, Hooks]:
        """By UID, of machines that are about to be drained, or to go."""
        return {**self.removal.hooks, **self.change.hooks}


def make_plans(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, now: datetime) -> Plans:
    """Pure, as all plans are."""
    images = plan_images(spec, status, observation, table, now)
    observation = replace(observation, machine_references=images.references)
    remediation = assess(spec, status, observation, table, now)
    wanted = Wanted.of(spec, observation)
    standing = standings(spec, wanted, table.machines, now)
    rollout = plan_rollout(spec, status, observation, table, remediation, wanted, standing, now)
    restore = assess_restore(spec, status, observation, table, now)
    restoring = restore.backup is not None
    membership = select(spec, status, observation, table, remediation, rollout, now, restoring=restoring)
    infrastructure = plan_infrastructure(spec, status, observation)
    volumes = plan_volumes(spec, status, observation, table, membership)
    guests = plan_guests(spec, status, observation, membership.keep, volumes.hold, restore.backup)
    groups = plan_groups(spec, status, observation, table)
    authority = plan_authority(spec, status, observation, now, complete=_complete(status, membership, "Manager", "Worker"))
    calm = _complete(status, membership, "Manager") and not (authority.steps or authority.holds)
    begun = {m.member.id for m in rollout.engines_out if m.member is not None and m.member.availability != "drain"}
    change = change_managers(
        spec,
        observation,
        table,
        membership.keep,
        _awaited_managers(membership),
        guests.joins,
        now,
        volumes.yielding,
        unprepared(observation, infrastructure.status, membership.keep),
        unheard(observation, membership.keep),
        begun,
    )
    begun |= {step.evidence.value.id for step in change.steps if isinstance(step, DrainNode)}
    lock = plan_autolock(spec, status, observation, membership.keep, complete=calm)
    still = calm and not (change.steps or change.waiting or lock.steps or any(m.uid in remediation.failures for m in membership.keep if m.id.role == "Manager"))
    return Plans(
        observation=observation,
        table=table,
        images=images,
        remediation=remediation,
        wanted=wanted,
        standing=standing,
        rollout=rollout,
        membership=membership,
        infrastructure=infrastructure,
        volumes=volumes,
        guests=guests,
        removal=remove_machines(spec, observation, table, membership.remove, remediation, rollout.why, now, begun),
        change=change,
        groups=groups,
        creation=plan_creation(spec, status, observation, table, membership, infrastructure, groups),
        preloads=plan_preloads(spec, membership.keep),
        authority=authority,
        lock=lock,
        recovery=plan_recovery(spec, status, observation, membership.keep, now),
        addresses=address_problem(spec, observation),
        backup=plan_backup(spec, status, observation, membership.keep, now, calm=still),
        restore=restore,
        lost=None if restoring else guests.lost or _lost(status, observation, membership),
        leaderless=None if restoring else _leaderless(spec, status, observation),
    )


def _awaited_managers(membership: Membership) -> frozenset[int]:
    """Slots of the managers that have no server yet."""
    return frozenset(m.slot for m in (*membership.create, *membership.waiting) if m.role == "Manager")


def _complete(status: SwarmClusterStatus, membership: Membership, *roles: str) -> bool:
    """Whether no machine of these roles is missing, on its way, or leaving, and no join token is out."""
    there = all(m.joined for m in membership.keep if m.id.role in roles) and all(m.gone for m in membership.remove if m.id.role in roles)
    return there and not any(i.role in roles for i in (*membership.create, *membership.waiting)) and not status.join.token_exposed


def _lost(status: SwarmClusterStatus, observation: ClusterObservation, membership: Membership) -> str | None:
    """So many managers' servers are certainly gone, after the swarm was made, that no majority can come back by itself."""
    if status.swarm_id is None or not isinstance(observation.servers, Known) or isinstance(observation.swarm, Known):
        return None
    members = [m for m in membership.keep if m.id.role == "Manager" and (m.gone or (m.record is not None and m.record.node_id is not None))]
    gone = [m.id.server_name(observation.name) for m in members if m.gone]
    if not gone or len(gone) <= tolerance(len(members)):
        return None
    if len(members) == 1:
        return f"the server of the only manager, {gone[0]}, is gone from Nova, and swarm {status.swarm_id} with it"
    return f"the servers of {len(gone)} of {len(members)} managers are gone from Nova ({', '.join(gone)}): swarm {status.swarm_id} has no majority"


def _leaderless(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> str | None:
    """Managers answer and have no leader: an election, or no majority. Nothing is touched meanwhile."""
    view = observation.swarm
    several = status.swarm_id is not None and spec.managers.replicas > 1
    return view.message if several and isinstance(view, Unknown) and view.reason is Reason.QUORUM_LOST else None
