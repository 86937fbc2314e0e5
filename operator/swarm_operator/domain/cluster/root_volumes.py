"""Root volumes that are made ahead of their servers: where the spec names a zone of Cinder, which Nova can't be told (Compute API, `block_device_mapping_v2`).

Such a volume belongs to one machine, goes with its server (`delete_on_termination`), and is deleted by us where the server never came.
"""

from __future__ import annotations

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.guest_volumes import AVAILABLE
from swarm_operator.domain.cluster.machines import machine_spec
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import CreateRootVolume
from swarm_operator.domain.facts import Unknown
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.volumes import root_of


def root_volume(spec: SwarmClusterSpec, observation: ClusterObservation, machine: MachineId, image_id: str) -> CreateRootVolume | Unknown | str | None:
    """The id of the volume that is ready for the server; the step that makes it; Unknown: what is waited for. None: none is to be made before."""
    wanted = machine_spec(spec, machine.pool).root_volume
    if wanted is None or wanted.availability_zone is None:
        return None
    if isinstance(observation.volumes, Unknown):
        return observation.volumes
    uid = machine.uid(observation.uid)
    found = sorted((v for v in observation.volumes.value if root_of(v.metadata, observation.uid) == uid), key=lambda v: (v.created, v.id))
    if not found:
        return CreateRootVolume(machine, image_id, wanted.size_gib, wanted.type, wanted.availability_zone)
    volume = found[0]
    if volume.status == AVAILABLE:
        return volume.id
    name = machine.server_name(observation.name)
    reason = Reason.VOLUME_FAILED if volume.status.startswith("error") else Reason.VOLUMES_PENDING
    return Unknown(reason, f"{name}: its root volume {volume.id} is {volume.status}")
