"""Glance, and Nova's snapshots, of the simulated project: a mixin of SimCloud."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from swarm_operator.domain import times
from swarm_operator.domain.cloud import Image
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import CLUSTER_UID

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
