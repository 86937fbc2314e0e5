"""Glance (Image API v2)."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from swarm_operator.adapters.openstack.errors import Effect
from swarm_operator.adapters.openstack.session import ApiSession
from swarm_operator.domain.cloud import Image
from swarm_operator.domain.ownership import CLUSTER_UID

_PATCH: Final = "application/openstack-images-v2.1-json-patch"


class ImageCalls:
    """The Glance part of `ports.compute.Cloud`."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api

    def list_owned_images(self, cluster_uid: str) -> tuple[Image, ...]:
        """See `ports.compute.Cloud`. Only images that the project owns: one that another project shares or publishes may carry any property."""
        project = self._api.project_id()
        params: dict[str, str | list[str]] = {CLUSTER_UID: cluster_uid, **({"owner": project} if project else {})}
        items = self._api.list_all("image", "/images", "images", operation="image.image.list", what="list images of the cluster", params=params)
        return tuple(
            Image(
                item["id"],
                item.get("name") or "",
                item.get("status") or "",
                item.get("created_at") or "",
                {k: v for k, v in item.items() if isinstance(v, str)},
            )
            for item in items
            if item.get(CLUSTER_UID) == cluster_uid and project in (None, item.get("owner"))
        )

    def set_image_property(self, image_id: str, name: str, value: str) -> None:
        """See `ports.compute.Cloud`."""
        what = f"set property {name} of image {image_id}"
        # "add" replaces a property that is there (RFC 6902, 4.1).
        change = [{"op": "add", "path": f"/{name}", "value": value}]
        path = f"/images/{quote(image_id, safe='')}"
        self._api.call("image", "PATCH", path, operation="image.image.update", what=what, effect=Effect.WRITE, json=change, headers={"Content-Type": _PATCH})

    def delete_image(self, image_id: str) -> None:
        """See `ports.compute.Cloud`."""
        path, what = f"/images/{quote(image_id, safe='')}", f"delete image {image_id}"
        self._api.call("image", "DELETE", path, operation="image.image.delete", what=what, effect=Effect.WRITE, accept=(404,))
