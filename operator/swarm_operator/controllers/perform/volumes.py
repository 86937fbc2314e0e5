"""Data volumes of slots and root volumes: made, attached, set up on the guest, extended, deleted."""

from __future__ import annotations

from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_quota import check_quota, note_taken, volume_needs
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.domain.cloud import VolumeRequest
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.quota import GIGABYTES
from swarm_operator.domain.volumes import RETAIN, root_metadata, volume_metadata


@performs(s.CreateVolume, s.CreateRootVolume, s.AttachVolume, s.ExtendVolume, s.MarkRetained, s.DeleteVolume)
def _volume(action: Action, step: s.VolumeStep) -> None:
    cloud = action.cloud
    match step:
        case s.CreateVolume(slot, size_gib, kind, zone, retain):
            metadata = volume_metadata(action.uid, action.name, slot, retain=retain)
            _create(action, VolumeRequest(slot.display_name(action.name), size_gib, metadata, kind, zone))
        case s.CreateRootVolume(machine, image_id, size_gib, kind, zone):
            metadata = root_metadata(action.uid, action.name, machine.uid(action.uid))
            _create(action, VolumeRequest(f"{machine.server_name(action.name)}-root", size_gib, metadata, kind, zone, image_id))
        case s.AttachVolume(evidence, server_id, server_name):
            cloud.attach_volume(server_id, evidence.value.id)
            action.objects.event(action.resource, Reason.UPDATED, f"volume {evidence.value.name} is attached to {server_name}")
        case s.ExtendVolume(evidence, size_gib):
            volume = evidence.value
            needs = {GIGABYTES: size_gib - volume.size_gib}
            check_quota(action, f"{needs[GIGABYTES]} GiB more for volume {volume.name}", needs)
            cloud.extend_volume(volume.id, size_gib)
            note_taken(action, needs)
            action.objects.event(action.resource, Reason.UPDATED, f"volume {volume.name} is extended from {volume.size_gib} to {size_gib} GiB")
        case s.MarkRetained(evidence, retain):
            cloud.update_volume_metadata(evidence.value.id, {RETAIN: "true" if retain else "false"})
        case s.DeleteVolume(evidence, because):
            cloud.delete_volume(evidence.value.id)
            action.objects.event(action.resource, Reason.DELETED, f"volume {evidence.value.name} ({evidence.value.id}): {because}")
        case _:
            raise AssertionError(f"no way to perform {step}")


def _create(action: Action, request: VolumeRequest) -> None:
    needs = volume_needs(request.size_gib)
    check_quota(action, f"volume {request.name}", needs)
    made = action.cloud.create_volume(request)
    note_taken(action, needs)
    action.objects.event(action.resource, Reason.CREATED, f"volume {request.name} ({made})")


@performs(s.SetUpVolume)
def _set_up(action: Action, step: s.SetUpVolume) -> None:
    action.gathered.logins.open(step.machine_uid).set_up_volume(step.mount)
    where = f" at {step.mount.path}" if step.mount.path is not None else ""
    action.objects.event(action.resource, Reason.UPDATED, f"volume {step.mount.name} is set up on {step.machine.server_name(action.name)}{where}")
