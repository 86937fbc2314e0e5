"""A swarm of which no manager is left is brought back from a backup, behind gates.

Gates: of every manager Nova's complete list has no server, or its engine says over ssh that it is in no swarm; that has been so for `recovery.afterSeconds`; `recovery.restoreFrom`
names a complete backup; and a person has approved it by a text that was not used before, whatever `recovery.mode` says: what changed since the backup is lost. A manager that is
there and silent is not given up: its disk may hold the swarm.

Then the first manager's server is made anew on its port (so that workers find it at the address that they know), its engine is filled and made the only manager, and all
others are made and join as ever. It is over when the swarm answers. Until then nothing that it does is undone by another part of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.backup import BackupRecord
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import RecoveryStatus, SwarmClusterStatus
from swarm_operator.domain import times
from swarm_operator.domain.cluster.backup import complete
from swarm_operator.domain.cluster.machines import Machine, MachineTable, current
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Known, Unknown


@dataclass(frozen=True)
class Restore:
    """`backup`: what is being restored now; None where nothing is. `message`: what a restore waits for, "" where none is needed. `lost_since`: since when no manager is left.
    `wake_in`: seconds until it may begin. `finished`: the backup that was restored just now."""

    backup: BackupRecord | None = None
    message: str = ""
    lost_since: str | None = None
    wake_in: float | None = None
    approval: str | None = None
    finished: str | None = None

    def noted(self, recovery: RecoveryStatus | None, now: datetime) -> RecoveryStatus | None:
        """`recovery`, as the other recovery left it, with this one's facts."""
        known = recovery or RecoveryStatus()
        if self.finished is not None:
            known = known.model_copy(update={"restoring": None, "restored_from": self.finished, "lost_since": None})
        elif self.backup is not None:
            known = known.model_copy(update={"restoring": self.backup.name, "lost_since": self.lost_since})
            if self.approval is not None:
                known = known.model_copy(update={"done_for": self.approval, "done_at": times.stamp(now), "from_manager": None, "services": None})
        elif self.lost_since is not None:
            known = known.model_copy(update={"lost_since": self.lost_since})
        return known if recovery is not None or known != RecoveryStatus() else None


def assess_restore(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, now: datetime) -> Restore:
    """Pure; see the module."""
    former = status.recovery or RecoveryStatus()
    if isinstance(observation.swarm, Known):
        return Restore(finished=former.restoring)
    images = observation.images
    backups = complete(images.value, observation.uid) if isinstance(images, Known) else []
    if isinstance(images, Unknown) and (former.restoring is not None or (former.lost_since is not None and spec.recovery.restore_from is not None)):
        return Restore(message=f"the backups can't be listed: {images.message}", lost_since=former.lost_since)
    if former.restoring is not None:
        chosen = next((r for r in backups if r.name == former.restoring), None)
        if chosen is None:
            return Restore(message=f"backup {former.restoring} can't be found in Glance any more", lost_since=former.lost_since)
        return Restore(chosen, f"the swarm is being restored from backup {chosen.name}", former.lost_since)
    if status.swarm_id is None or not isinstance(observation.servers, Known):
        return Restore()
    managers = current(table.of("Manager"))
    if not managers or not all(m.gone or _is_empty(m, observation) for m in managers):
        return Restore()
    since = former.lost_since or times.stamp(now)
    wanted, approval = spec.recovery.restore_from, spec.recovery.approve
    if wanted is None:
        known = status.backup.kept if status.backup is not None else []
        there = f": the last of {len(known)} backups is {known[-1].name}" if known else ", and status knows of no backup"
        return Restore(message=f"no manager is left{there}; set spec.recovery.restoreFrom and a new spec.recovery.approve to restore one", lost_since=since)
    chosen = next((r for r in backups if r.name == wanted), None)
    if chosen is None:
        return Restore(message=f"spec.recovery.restoreFrom: there is no complete backup {wanted!r}", lost_since=since)
    if approval is None or approval == former.done_for:
        return Restore(message=f"set spec.recovery.approve to a new text to have the swarm restored from backup {wanted}", lost_since=since)
    wait = spec.recovery.after_seconds - (times.age(since, now) or 0.0)
    if wait > 0 or spec.paused:
        return Restore(message=f"the swarm is restored from backup {wanted} in {max(0.0, wait):.0f} s", lost_since=since, wake_in=max(1.0, wait))
    return Restore(chosen, f"the swarm is being restored from backup {wanted}", since, approval=approval)


def _is_empty(machine: Machine, observation: ClusterObservation) -> bool:
    """Whether its engine answers and says that it is in no swarm."""
    guest = observation.guest(machine.uid)
    return machine.present is not None and isinstance(guest, Known) and guest.value.engine.local_state == "inactive"
