"""A swarm whose majority of managers is gone for good is made anew from one that is left (`docker swarm init --force-new-cluster`), behind gates.

Gates: Nova's complete list has no server for so many managers that the rest is no majority, and this has been so for `afterSeconds`; no manager reaches a leader; one of the rest answers
over ssh and says that it is a manager (of several the one whose raft log is committed furthest, the lowest slot among equals); the swarm is not autolocked; and, with mode Manual, a person has approved it by a text that was not used before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import RecoveryStatus, SwarmClusterStatus
from swarm_operator.domain import times
from swarm_operator.domain.cluster.guests import fixed_address, is_up
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import RecoverSwarm
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.quorum import tolerance


@dataclass(frozen=True)
class RecoveryPlan:
    """`message`: what the recovery waits for, "" where there is nothing to recover. `wake_in`: seconds until it may begin."""

    status: RecoveryStatus | None
    steps: tuple[RecoverSwarm, ...] = ()
    message: str = ""
    wake_in: float | None = None


def plan_recovery(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, keep: Sequence[Machine], now: datetime) -> RecoveryPlan:
    """Pure; see the module. One step at most."""
    former = status.recovery
    idle = RecoveryPlan(former.model_copy(update={"lost_since": None}) if former is not None else None)
    if isinstance(observation.swarm, Known):
        return idle
    if status.swarm_id is None or not isinstance(observation.servers, Known):
        return RecoveryPlan(former)
    members = [m for m in keep if m.id.role == "Manager" and (m.gone or (m.record is not None and m.record.node_id is not None))]
    gone = [m for m in members if m.gone]
    if len(members) < 2 or len(gone) <= tolerance(len(members)):
        return idle
    seen = (former or RecoveryStatus()).model_copy(update={"lost_since": former.lost_since if former is not None and former.lost_since else times.stamp(now)})
    survivor = min((m for m in members if _answers(m, observation)), key=lambda m: (-_committed(m, observation), m.id), default=None)
    address = fixed_address(survivor) if survivor is not None else None
    if survivor is None or address is None:
        return RecoveryPlan(
            seen, message="none of the managers that are left answers over ssh and is still a manager: there is nothing to recover the swarm from"
        )
    name = survivor.id.server_name(observation.name)
    if status.autolock is not None and status.autolock.enabled:
        return RecoveryPlan(
            seen, message=f"the swarm is autolocked, and the engine can't make a locked swarm anew from {name}: bring managers back, or restore a copy"
        )
    approved = spec.recovery.approve is not None and spec.recovery.approve != seen.done_for
    if spec.recovery.mode == "Manual" and not approved:
        return RecoveryPlan(seen, message=f"set spec.recovery.approve to a new text to have the swarm made anew from {name}")
    wait = spec.recovery.after_seconds - (times.age(seen.lost_since, now) or 0.0)
    if wait > 0:
        return RecoveryPlan(seen, message=f"the swarm is made anew from {name} in {spec.recovery.after_seconds} s from when it was lost", wake_in=wait)
    return RecoveryPlan(seen, (RecoverSwarm(survivor.id, survivor.uid, address, spec.recovery.approve),), f"the swarm is being made anew from {name}")


def _committed(machine: Machine, observation: ClusterObservation) -> int:
    """How much of the swarm's history it has; -1 where that can't be read, which is less than all that can."""
    guest = observation.guest(machine.uid)
    return guest.value.raft_committed if isinstance(guest, Known) and guest.value.raft_committed is not None else -1


def _answers(machine: Machine, observation: ClusterObservation) -> bool:
    guest = observation.guest(machine.uid)
    if machine.gone or not is_up(machine) or machine.being_deleted or isinstance(guest, Unknown):
        return False
    return guest.value.engine.local_state == "active" and guest.value.engine.control_available
