"""Cinder (Block Storage API 3), and Nova's attachments of volumes."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from swarm_operator.adapters.openstack import convert
from swarm_operator.adapters.openstack.errors import Effect, external
from swarm_operator.adapters.openstack.session import ApiSession, Json
from swarm_operator.adapters.openstack.sharedlist import SharedList
from swarm_operator.domain.cloud import Volume, VolumeRequest
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.ownership import CLUSTER_UID

BASE: Final = "3.0"
EXTEND_IN_USE: Final = "3.42"
"""From here on Cinder extends a volume that is in use (Block Storage API, microversion history; Pike)."""
NOVA_BASE: Final = "2.1"


class VolumeCalls:
    """The Cinder part of `ports.compute.Cloud`. Volumes of the project are listed whole and told apart by their metadata, as servers are."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api
        self._volumes: SharedList[list[Json]] = SharedList(self._fetch_volumes, 0.0)

    def list_owned_volumes(self, cluster_uid: str) -> tuple[Volume, ...]:
        """See `ports.compute.Cloud`."""
        owned = [item for item in self._volumes.get(fresh=True) if (item.get("metadata") or {}).get(CLUSTER_UID) == cluster_uid]
        return tuple(convert.volume(item) for item in owned)

    def create_volume(self, request: VolumeRequest) -> str:
        """See `ports.compute.Cloud`."""
        volume: dict[str, Any] = {"name": request.name, "size": request.size_gib, "metadata": request.metadata}
        optional = {"volume_type": request.type, "availability_zone": request.availability_zone, "imageRef": request.image_id}
        volume |= {key: value for key, value in optional.items() if value is not None}
        what = f"create volume {request.name}"
        try:
            body = self._call_cinder("POST", "/volumes", "create", what, Effect.CREATE, {"volume": volume})
        finally:
            self._volumes.invalidate()
        value = (body.get("volume") or {}).get("id")
        if not isinstance(value, str):
            raise external(ErrorKind.AMBIGUOUS, f"{what}: the answer holds no id")
        return value

    def attach_volume(self, server_id: str, volume_id: str) -> None:
        """See `ports.compute.Cloud`."""
        what, path = f"attach volume {volume_id} to server {server_id}", f"/servers/{quote(server_id, safe='')}/os-volume_attachments"
        body = {"volumeAttachment": {"volumeId": volume_id}}
        self._api.call("compute", "POST", path, operation="compute.volume.attach", what=what, effect=Effect.WRITE, json=body, microversion=NOVA_BASE)
        self._volumes.invalidate()

    def extend_volume(self, volume_id: str, size_gib: int) -> None:
        """See `ports.compute.Cloud`."""
        path, what, body = f"/volumes/{quote(volume_id, safe='')}/action", f"extend volume {volume_id} to {size_gib} GiB", {"os-extend": {"new_size": size_gib}}
        operation = "volume.volume.extend"
        self._api.call("block-storage", "POST", path, operation=operation, what=what, effect=Effect.WRITE, json=body, microversion=EXTEND_IN_USE)
        self._volumes.invalidate()

    def update_volume_metadata(self, volume_id: str, values: dict[str, str]) -> None:
        """See `ports.compute.Cloud`."""
        path = f"/volumes/{quote(volume_id, safe='')}/metadata"
        self._call_cinder("POST", path, "metadata.update", f"set metadata of volume {volume_id}", Effect.WRITE, {"metadata": values})
        self._volumes.invalidate()

    def _call_cinder(self, method: str, path: str, operation: str, what: str, effect: Effect, json: Json) -> Json:
        return self._api.call_json(
            "block-storage", method, path, operation=f"volume.volume.{operation}", what=what, effect=effect, json=json, microversion=BASE
        )

    def delete_volume(self, volume_id: str) -> None:
        """See `ports.compute.Cloud`."""
        what = f"delete volume {volume_id}"
        path, operation = f"/volumes/{volume_id}", "volume.volume.delete"
        self._api.call("block-storage", "DELETE", path, operation=operation, what=what, effect=Effect.WRITE, microversion=BASE, accept=(404,))
        self._volumes.invalidate()

    def _fetch_volumes(self) -> list[Json]:
        return self._api.list_all("block-storage", "/volumes/detail", "volumes", operation="volume.volume.list", what="list volumes", microversion=BASE)
