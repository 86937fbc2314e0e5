"""Cinder (Block Storage API 3)."""

from __future__ import annotations

from typing import Final

from swarm_operator.adapters.openstack.errors import Effect
from swarm_operator.adapters.openstack.session import ApiSession, Json
from swarm_operator.adapters.openstack.sharedlist import SharedList
from swarm_operator.domain.cloud import Volume
from swarm_operator.domain.ownership import CLUSTER_UID

BASE: Final = "3.0"


class VolumeCalls:
    """The Cinder part of `ports.compute.Cloud`. Volumes of the project are listed whole and told apart by their metadata, as servers are."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api
        self._volumes: SharedList[list[Json]] = SharedList(self._fetch_volumes, 0.0)

    def list_owned_volumes(self, cluster_uid: str) -> tuple[Volume, ...]:
        """See `ports.compute.Cloud`."""
        owned = [item for item in self._volumes.get(fresh=True) if (item.get("metadata") or {}).get(CLUSTER_UID) == cluster_uid]
        return tuple(Volume(item["id"], item.get("name") or "", item.get("status") or "") for item in owned)

    def delete_volume(self, volume_id: str) -> None:
        """See `ports.compute.Cloud`."""
        what = f"delete volume {volume_id}"
        path, operation = f"/volumes/{volume_id}", "volume.volume.delete"
        self._api.call("block-storage", "DELETE", path, operation=operation, what=what, effect=Effect.WRITE, microversion=BASE, accept=(404,))
        self._volumes.invalidate()

    def _fetch_volumes(self) -> list[Json]:
        return self._api.list_all("block-storage", "/volumes/detail", "volumes", operation="volume.volume.list", what="list volumes", microversion=BASE)
