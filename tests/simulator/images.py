"""Glance, and Nova's snapshots, of the simulated project: a mixin of SimCloud."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Image, ImageRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import CLUSTER_UID
from swarm_operator.ports.downloads import Download

if TYPE_CHECKING:
    from simulator.cloud import SimServer
    from simulator.world import World

SAVE_SECONDS = 20.0


@dataclass
class SimImages:
    """`images` as Glance shows them; `saving`: ids of images that a server's disk is saved to, with the server's id and when it began."""

    images: dict[str, Image] = field(default_factory=dict)
    saving: dict[str, tuple[str, float]] = field(default_factory=dict)
    snapshots_taken: int = 0
    save_fails: bool = False
    """Nova gives up at the end, and deletes the image."""
    import_methods: frozenset[str] = frozenset()
    import_brings: bytes | None = None
    """What Glance's own import finds; None: it can't reach the web server."""
    contents: dict[str, bytes] = field(default_factory=dict)

    if TYPE_CHECKING:
        world: World
        servers: dict[str, SimServer]
        writes: int

        def _id(self, kind: str) -> str: ...

    def tick_images(self) -> None:
        now = self.world.clock.monotonic()
        for image_id, (server_id, since) in list(self.saving.items()):
            if server_id not in self.servers or now - since < SAVE_SECONDS:
                continue
            del self.saving[image_id]
            if image_id in self.images and self.save_fails:
                del self.images[image_id]
            elif image_id in self.images:
                self.images[image_id] = replace(self.images[image_id], status="active")

    def task_state(self, server: SimServer) -> str | None:
        if server.deleted_at is not None:
            return "deleting"
        return "image_uploading" if any(s == server.id for s, _ in self.saving.values()) else None

    def list_owned_images(self, cluster_uid: str) -> tuple[Image, ...]:
        return tuple(i for i in self.images.values() if i.properties.get(CLUSTER_UID) == cluster_uid)

    def create_server_image(self, server_id: str, name: str, properties: dict[str, str]) -> str:
        server = self.servers[server_id]
        if self.task_state(server) is not None:
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "Cannot 'createImage' instance while it is in task_state image_uploading")
        assert self.world.guests[server_id].flushed, "what the guest had in memory is not in the image"
        made = self._id("image")
        inherited = self.images[server.request.image_id].properties if server.request.image_id in self.images else {}
        now = self.world.clock
        self.images[made] = Image(made, name, "saving", times.stamp(now.now()), {**inherited, **properties, "instance_uuid": server_id})
        self.saving[made] = (server_id, now.monotonic())
        self.snapshots_taken += 1
        return made

    def create_image(self, request: ImageRequest) -> str:
        made = self._id("image")
        self.images[made] = Image(made, request.name, "queued", times.stamp(self.world.clock.now()), dict(request.properties))
        return made

    def upload_image(self, image_id: str, chunks: Iterator[bytes]) -> None:
        if self.images[image_id].status != "queued":
            raise ExternalError(ErrorKind.CONFLICT, "openstack", "the image has content")
        content = b"".join(chunks)
        self.writes += 1
        self._filled(image_id, content)

    def download_image(self, image_id: str) -> Iterator[bytes]:
        content = self.contents[image_id]
        yield content[: len(content) // 2]
        yield content[len(content) // 2 :]

    def _filled(self, image_id: str, content: bytes) -> None:
        self.contents[image_id] = content
        self.images[image_id] = replace(self.images[image_id], status="active", checksum=f"sha512:{hashlib.sha512(content).hexdigest()}")

    def image_import_methods(self) -> frozenset[str]:
        return self.import_methods

    def import_image(self, image_id: str, url: str) -> None:
        self.writes += 1
        if self.import_brings is not None:
            self._filled(image_id, self.import_brings)

    def set_image_property(self, image_id: str, name: str, value: str) -> None:
        self.writes += 1
        image = self.images[image_id]
        self.images[image_id] = replace(image, properties={**image.properties, name: value})

    def delete_image(self, image_id: str) -> None:
        self.writes += 1
        users: list[Any] = [s for s in self.servers.values() if s.request.image_id == image_id]
        assert not users or self.world.resource is None, "an image was deleted under its servers"
        self.images.pop(image_id, None)
        self.saving.pop(image_id, None)


class SimDownloads:
    """A web server: `files` by URL; one that is cut off ends in the middle."""

    def __init__(self, files: dict[str, bytes], cut_off: set[str]) -> None:
        self._files, self._cut_off = files, cut_off

    @contextlib.contextmanager
    def open(self, url: str) -> Iterator[Download]:
        content = self._files.get(url)
        if content is None:
            raise ExternalError(ErrorKind.INVALID, "download", f"{url}: HTTP status 404", reason=Reason.IMAGE_FAILED)

        def chunks() -> Iterator[bytes]:
            half = len(content) // 2
            yield content[:half]
            if url in self._cut_off:
                raise ExternalError(ErrorKind.TRANSIENT, "download", f"{url}: the download broke off", reason=Reason.IMAGE_FAILED)
            yield content[half:]

        yield Download(len(content), chunks())
