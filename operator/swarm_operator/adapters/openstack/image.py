"""Glance (Image API v2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import requests

from swarm_operator.adapters.openstack.errors import Effect, external
from swarm_operator.adapters.openstack.session import ApiSession, Json
from swarm_operator.domain.cloud import Image, ImageRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import CLUSTER_UID

_PATCH: Final = "application/openstack-images-v2.1-json-patch"

_CHUNK: Final = 1 << 18
UPLOAD_TIMEOUTS: Final = (5.0, 900.0)
"""Seconds to connect, and to wait for the answer after the last byte: Glance may copy the content into its store only then."""


class ImageCalls:
    """The Glance part of `ports.compute.Cloud`."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api

    def list_owned_images(self, cluster_uid: str) -> tuple[Image, ...]:
        """See `ports.compute.Cloud`. Only images that the project owns: one that another project shares or publishes may carry any property."""
        project = self._api.project_id()
        params: dict[str, str | list[str]] = {CLUSTER_UID: cluster_uid, **({"owner": project} if project else {})}
        items = self._api.list_all("image", "/images", "images", operation="image.image.list", what="list images of the cluster", params=params)
        return tuple(_image(item) for item in items if item.get(CLUSTER_UID) == cluster_uid and project in (None, item.get("owner")))

    def create_image(self, request: ImageRequest) -> str:
        """See `ports.compute.Cloud`."""
        body = {**request.properties, "name": request.name, "disk_format": request.disk_format, "container_format": "bare", "visibility": "private"}
        what = f"create image {request.name}"
        made = self._api.call_json("image", "POST", "/images", operation="image.image.create", what=what, effect=Effect.CREATE, json=body)
        if not isinstance(made.get("id"), str):
            raise external(ErrorKind.AMBIGUOUS, f"{what}: the answer holds no id")
        return str(made["id"])

    def upload_image(self, image_id: str, chunks: Iterator[bytes]) -> None:
        """See `ports.compute.Cloud`. In pieces of unknown number, so that an upload that is broken off is none."""
        raised: list[ExternalError] = []

        def pieces() -> Iterator[bytes]:
            try:
                yield from chunks
            except ExternalError as error:
                raised.append(error)
                raise external(ErrorKind.INVALID, "the source of the upload broke off") from error  # no failure of Glance

        path, what = f"/images/{quote(image_id, safe='')}/file", f"upload image {image_id}"
        try:
            self._api.call(
                "image",
                "PUT",
                path,
                operation="image.image.upload",
                what=what,
                effect=Effect.WRITE,
                data=pieces(),
                headers={"Content-Type": "application/octet-stream"},
                timeout=UPLOAD_TIMEOUTS,
            )
        except ExternalError as error:
            raise raised[0] if raised else error from None

    def download_image(self, image_id: str) -> Iterator[bytes]:
        """See `ports.compute.Cloud`. A 204 is an image without content (Image API v2, "Download binary image data")."""
        path, what = f"/images/{quote(image_id, safe='')}/file", f"download image {image_id}"
        response = self._api.call("image", "GET", path, operation="image.image.download", what=what, effect=Effect.READ, timeout=UPLOAD_TIMEOUTS, stream=True)
        if response.status_code == 204:
            raise external(ErrorKind.NOT_FOUND, f"{what}: it has no content")
        try:
            yield from response.iter_content(_CHUNK)
        except (OSError, requests.RequestException) as error:
            raise external(ErrorKind.TRANSIENT, f"{what}: it broke off") from error
        finally:
            response.close()

    def image_import_methods(self) -> frozenset[str]:
        """See `ports.compute.Cloud`."""
        response = self._api.call(
            "image", "GET", "/info/import", operation="image.import.info", what="ask Glance for its ways of import", effect=Effect.READ, accept=(404,)
        )
        if response.status_code == 404:
            return frozenset()
        found = (response.json().get("import-methods") or {}).get("value")
        return frozenset(str(method) for method in found) if isinstance(found, list) else frozenset()

    def import_image(self, image_id: str, url: str) -> None:
        """See `ports.compute.Cloud`."""
        body = {"method": {"name": "web-download", "uri": url}}
        path, what = f"/images/{quote(image_id, safe='')}/import", f"import image {image_id}"
        self._api.call("image", "POST", path, operation="image.image.import", what=what, effect=Effect.WRITE, json=body)

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


def _image(item: Json) -> Image:
    """An entry of `GET /v2/images`: properties stand beside the attributes."""
    algorithm, value = item.get("os_hash_algo"), item.get("os_hash_value")
    return Image(
        id=item["id"],
        name=item.get("name") or "",
        status=item.get("status") or "",
        created=item.get("created_at") or "",
        properties={key: value for key, value in item.items() if isinstance(value, str)},
        checksum=f"{algorithm}:{value}" if algorithm and value else None,
    )
