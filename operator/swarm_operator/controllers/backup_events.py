"""Events of backups and restores: one for each that was completed, failed, or brought a swarm back."""

from __future__ import annotations

from swarm_operator.api.backup import BackupStatus
from swarm_operator.api.cluster_status import RecoveryStatus, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action


def tell_of_backups(former: SwarmClusterStatus, action: Action) -> None:
    """`former`: the status as it was read."""
    before, now = former.backup or BackupStatus(), action.status.backup or BackupStatus()
    if before.running is not None and now.running is None and now.failures == 0:
        record = next((r for r in now.kept if r.name == now.last_name), None)
        if record is not None:
            checked = "verified" if record.verified else "not verified"
            text = f"backup {record.name} of {record.machine}: {record.services} services, {record.nodes} nodes, {record.size} bytes, {checked}"
            action.objects.event(action.resource, Reason.BACKUP_DONE, text)
    if now.failures > before.failures:
        action.objects.event(action.resource, Reason.BACKUP_FAILED, now.message, warning=True)
    was, recovery = former.recovery or RecoveryStatus(), action.status.recovery or RecoveryStatus()
    if was.restoring is not None and recovery.restoring is None and recovery.restored_from is not None:
        action.objects.event(
            action.resource, Reason.RECOVERED, f"the swarm is restored from backup {recovery.restored_from}, with {recovery.services} services"
        )
