"""Backups of the raft state, and bringing a swarm back from one."""

from __future__ import annotations

from swarm_operator.api.backup import BackupRun, BackupStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.identity import DEFAULT_DATA_ROOT
from swarm_operator.controllers.cluster_act import MAYBE_DONE, Action
from swarm_operator.controllers.cluster_unlock import UnlockSecret, read_secret
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.controllers.raft_backup import Place, ensure_key, make_backup, read_key, restore_swarm, sealed_as
from swarm_operator.domain.cloud import ImageRequest
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.backup import failed
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import FROM_URL, SWARM_STARTED, backup_part, image_properties, object_name
from swarm_operator.ports.hosts import SwarmInit


@performs(s.BeginBackup)
def _begin(action: Action, step: s.BeginBackup) -> None:
    ensure_key(action.objects, action.resource)
    known = _known(action)
    begun = known.running.begun_at if known.running is not None and known.running.name == step.name else action.now()
    run = BackupRun(name=step.name, machine_uid=step.machine_uid, begun_at=begun, asked_at=action.now())
    _note(action, known.model_copy(update={"running": run, "last_attempt": begun, "scheduled_at": begun, "done_for": step.asked_for or known.done_for}))
    action.write_status()
    properties = image_properties(action.uid, action.name, backup_part(step.name), FROM_URL)
    try:
        image_id = action.cloud.create_image(ImageRequest(f"{object_name(action.name, action.uid)}-backup-{step.name}", "raw", properties))
    except ExternalError as error:
        if error.kind not in MAYBE_DONE:
            _note(action, failed(_known(action), error.message))
        raise
    _note(action, _known(action).model_copy(update={"running": run.model_copy(update={"image_id": image_id})}))
    action.write_status()


@performs(s.RunBackup)
def _run(action: Action, step: s.RunBackup) -> None:
    cloud, logins = action.cloud, action.gathered.logins.apart()
    try:
        place = _place(action, step.machine_uid, step.machine.server_name(action.name), step.name, step.image_id)
        action.transfers.run(f"backup/{action.uid}/{step.name}", lambda: make_backup(cloud, logins, place, verify=step.verify))
    except ExternalError as error:
        if error.kind is ErrorKind.CONFLICT and error.system == "openstack":
            return  # the last try is still being received, or has just been: the next look at Glance tells
        _note(action, failed(_known(action), error.message))
        raise ExternalError(error.kind, error.system, f"backup {step.name}: {error.message}", reason=Reason.BACKUP_FAILED) from error


@performs(s.RestoreSwarm)
def _restore(action: Action, step: s.RestoreSwarm) -> None:
    name, wanted, backup = step.machine.server_name(action.name), action.spec.swarm, step.backup
    init = SwarmInit(
        step.advertise, tuple(wanted.default_addr_pools), wanted.subnet_size, wanted.data_path_port, wanted.task_history_limit, force_new_cluster=True
    )
    place = _place(action, step.machine_uid, name, backup.name, backup.image_id)
    server = action.server(step.server_id)
    if server is None or SWARM_STARTED not in server.metadata:
        action.cloud.update_server_metadata(step.server_id, {SWARM_STARTED: "started"})
        action.objects.event(action.resource, Reason.RECOVERED, f"the swarm is being restored from backup {backup.name} on {name}", warning=True)
    cloud, logins = action.cloud, action.gathered.logins.apart()
    if action.transfers.run(f"restore/{action.uid}/{step.machine_uid}", lambda: restore_swarm(cloud, logins, place, backup.sha256, init.body())):
        recovery = action.status.recovery
        assert recovery is not None
        action.status = action.status.model_copy(update={"recovery": recovery.model_copy(update={"from_manager": name, "services": backup.services})})


def _place(action: Action, machine_uid: str, machine: str, name: str, image_id: str) -> Place:
    unlock = read_secret(action.objects, action.resource) or UnlockSecret()
    return Place(
        name=name,
        machine_uid=machine_uid,
        machine=machine,
        image_id=image_id,
        data_root=action.spec.engine.data_root or DEFAULT_DATA_ROOT,
        what=sealed_as(action.uid, name),
        key=read_key(action.objects, action.resource),
        unlock_keys=unlock.keys,
    )


def _known(action: Action) -> BackupStatus:
    return action.status.backup or BackupStatus()


def _note(action: Action, known: BackupStatus) -> None:
    action.status = action.status.model_copy(update={"backup": known})
