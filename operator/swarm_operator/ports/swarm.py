"""What the domain needs of a swarm: the Docker Engine API on a manager (v1.41 and later), as raw JSON where a ServiceSpec is concerned.

Methods raise `ExternalError` (system "docker"): UNREACHABLE, AMBIGUOUS (a write whose answer was lost), CONFLICT ("update out of sequence", name in use), NOT_FOUND,
INVALID (400 and rejected specs), TRANSIENT (503 no leader, 5xx).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from swarm_operator.domain.swarm import ImageManifest, Material, MaterialKind, SwarmSettings, SwarmView

Json = dict[str, Any]


@dataclass(frozen=True)
class TlsMaterial:
    """PEM bytes for mutual TLS with a manager."""

    ca: bytes
    cert: bytes
    key: bytes

    KEYS: ClassVar[tuple[str, str, str]] = ("ca.pem", "cert.pem", "key.pem")
    """In the data of a Secret, in the order of the fields."""

    @classmethod
    def of_secret(cls, data: Mapping[str, bytes] | None) -> TlsMaterial | None:
        """None where there is no such Secret, or it lacks a key."""
        return None if data is None or any(key not in data for key in cls.KEYS) else cls(*(data[key] for key in cls.KEYS))


@dataclass(frozen=True)
class SwarmEvent:
    """A hint from `GET /events`. `type` is service|node|network|secret|config; `attributes` as the engine sends them."""

    type: str
    action: str
    actor_id: str
    attributes: dict[str, str]


class Swarm(Protocol):
    """One swarm through any of its managers."""

    def view(self, *, with_tasks: bool = False) -> SwarmView:
        """Nodes, overlay networks and versions; with `with_tasks` also the running tasks by node."""

    def list_services(self) -> list[Json]:
        """`GET /services?status=true`."""

    def list_tasks(self, service_id: str | None = None, *, up_to_date: bool = False) -> list[Json]:
        """`GET /tasks`, of one service where given; with `up_to_date` only those that the engine says carry the service's present spec."""

    def inspect_service(self, service_id: str) -> Json | None:
        """`GET /services/{id}`, None where it is gone."""

    def create_service(self, spec: Json, *, registry_auth: str | None = None) -> str:
        """`POST /services/create`; the id. Nothing follows the POST. `registry_auth` is the value of X-Registry-Auth (secret): nodes pull the image with it."""

    def update_service(self, service_id: str, version: int, spec: Json, *, registry_auth: str | None = None) -> list[str]:
        """`POST /services/{id}/update?version=`; warnings. CONFLICT when out of sequence. Without `registry_auth` the service keeps the credentials that it has."""

    def remove_service(self, service_id: str) -> None:
        """DELETE; already gone is no error."""

    def list_materials(self) -> list[Material]:
        """All configs and secrets of the swarm: `GET /configs` and `GET /secrets`."""

    def create_material(self, kind: MaterialKind, name: str, data: bytes, labels: dict[str, str], *, templating: bool = False) -> str:
        """`POST /configs/create` or `/secrets/create`; the id. CONFLICT with reason NameConflict when the name is in use."""

    def remove_material(self, kind: MaterialKind, material_id: str) -> None:
        """DELETE; already gone is no error. INVALID while a service's spec refers to it."""

    def resolve_image(self, image: str, *, registry_auth: str | None = None) -> ImageManifest:
        """`GET /distribution/{name}/json`: the manager's engine asks the image's registry, by its own settings for registries. NOT_FOUND, FORBIDDEN or UNAUTHORIZED as
        the registry answers; TRANSIENT where it can't be reached."""

    def update_node(self, node_id: str, version: int, *, role: str, availability: str, labels: dict[str, str]) -> None: ...
    def remove_node(self, node_id: str, *, force: bool = False) -> None:
        """DELETE /nodes/{id}; already gone is no error."""

    def join_token(self, role: str) -> str:
        """The worker or manager join token. Secret."""

    def rotate_join_token(self, role: str) -> None: ...
    def update_settings(self, settings: SwarmSettings) -> None:
        """Change these settings of the swarm and no other."""

    def cluster_version(self) -> int:
        """Version.Index of `GET /swarm`."""

    def unlock_key(self) -> str:
        """`GET /swarm/unlockkey`; "" where autolock is off. Secret."""

    def set_autolock(self, enabled: bool, version: int) -> None:
        """Turn the managers' lock on or off; on makes a key. CONFLICT when the swarm is not at `version` any more."""

    def rotate_unlock_key(self, version: int) -> None:
        """Make another unlock key. CONFLICT when the swarm is not at `version` any more."""

    def rotate_authority(self, over: int) -> bool:
        """Begin a rotation of the root CA by raising CAConfig.ForceRotate, which is `over`; False where it is higher already."""

    def create_network(
        self,
        name: str,
        *,
        attachable: bool,
        encrypted: bool,
        subnet: str | None,
        labels: dict[str, str],
        internal: bool = False,
        driver_opts: dict[str, str] | None = None,
    ) -> str: ...
    def remove_network(self, network_id: str) -> None:
        """DELETE; already gone is no error. INVALID while something is attached to it."""

    def events(self, *, timeout: float) -> Iterator[SwarmEvent | None]:
        """The event stream; None as a heartbeat about every `timeout` seconds without an event. Ends or raises when the connection breaks."""

    def close(self) -> None: ...


class Swarms(Protocol):
    """Opens swarms."""

    def open(self, endpoints: list[str], tls: TlsMaterial) -> Swarm:
        """`endpoints` are tcp://address:2376 of managers; makes no call yet."""
