"""Swarms whose calls are counted: the Docker adapter reports nothing by itself.

Does not: change any call.
"""

from __future__ import annotations

from collections.abc import Iterator

from swarm_operator.domain.swarm import ImageManifest, Material, MaterialKind, SwarmSettings, SwarmView
from swarm_operator.ports.swarm import Json, Swarm, SwarmEvent, Swarms, TlsMaterial
from swarm_operator.telemetry.requests import Observe, observed

SYSTEM = "docker"


class ObservedSwarms:
    """The `ports.swarm.Swarms` behind it, with each call reported to `observe`."""

    def __init__(self, inner: Swarms, observe: Observe) -> None:
        self._inner = inner
        self._observe = observe

    def open(self, endpoints: list[str], tls: TlsMaterial) -> Swarm:
        return ObservedSwarm(self._inner.open(endpoints, tls), self._observe)


class ObservedSwarm:
    """One swarm. The event stream is passed through: it has no duration that means anything."""

    def __init__(self, inner: Swarm, observe: Observe) -> None:
        self._inner = inner
        self._observe = observe

    def view(self, *, with_tasks: bool = False) -> SwarmView:
        with observed(self._observe, SYSTEM, "view"):
            return self._inner.view(with_tasks=with_tasks)

    def list_services(self) -> list[Json]:
        with observed(self._observe, SYSTEM, "list_services"):
            return self._inner.list_services()

    def list_tasks(self, service_id: str | None = None, *, up_to_date: bool = False) -> list[Json]:
        with observed(self._observe, SYSTEM, "list_tasks"):
            return self._inner.list_tasks(service_id, up_to_date=up_to_date)

    def inspect_service(self, service_id: str) -> Json | None:
        with observed(self._observe, SYSTEM, "inspect_service"):
            return self._inner.inspect_service(service_id)

    def create_service(self, spec: Json, *, registry_auth: str | None = None) -> str:
        with observed(self._observe, SYSTEM, "create_service"):
            return self._inner.create_service(spec, registry_auth=registry_auth)

    def update_service(self, service_id: str, version: int, spec: Json, *, registry_auth: str | None = None) -> list[str]:
        with observed(self._observe, SYSTEM, "update_service"):
            return self._inner.update_service(service_id, version, spec, registry_auth=registry_auth)

    def remove_service(self, service_id: str) -> None:
        with observed(self._observe, SYSTEM, "remove_service"):
            self._inner.remove_service(service_id)

    def list_materials(self) -> list[Material]:
        with observed(self._observe, SYSTEM, "list_materials"):
            return self._inner.list_materials()

    def create_material(self, kind: MaterialKind, name: str, data: bytes, labels: dict[str, str], *, templating: bool = False) -> str:
        with observed(self._observe, SYSTEM, "create_material"):
            return self._inner.create_material(kind, name, data, labels, templating=templating)

    def remove_material(self, kind: MaterialKind, material_id: str) -> None:
        with observed(self._observe, SYSTEM, "remove_material"):
            self._inner.remove_material(kind, material_id)

    def resolve_image(self, image: str, *, registry_auth: str | None = None) -> ImageManifest:
        with observed(self._observe, SYSTEM, "resolve_image"):
            return self._inner.resolve_image(image, registry_auth=registry_auth)

    def update_node(self, node_id: str, version: int, *, role: str, availability: str, labels: dict[str, str]) -> None:
        with observed(self._observe, SYSTEM, "update_node"):
            self._inner.update_node(node_id, version, role=role, availability=availability, labels=labels)

    def remove_node(self, node_id: str, *, force: bool = False) -> None:
        with observed(self._observe, SYSTEM, "remove_node"):
            self._inner.remove_node(node_id, force=force)

    def join_token(self, role: str) -> str:
        with observed(self._observe, SYSTEM, "join_token"):
            return self._inner.join_token(role)

    def rotate_join_token(self, role: str) -> None:
        with observed(self._observe, SYSTEM, "rotate_join_token"):
            self._inner.rotate_join_token(role)

    def update_settings(self, settings: SwarmSettings) -> None:
        with observed(self._observe, SYSTEM, "update_settings"):
            self._inner.update_settings(settings)

    def cluster_version(self) -> int:
        with observed(self._observe, SYSTEM, "cluster_version"):
            return self._inner.cluster_version()

    def unlock_key(self) -> str:
        with observed(self._observe, SYSTEM, "unlock_key"):
            return self._inner.unlock_key()

    def set_autolock(self, enabled: bool, version: int) -> None:
        with observed(self._observe, SYSTEM, "set_autolock"):
            self._inner.set_autolock(enabled, version)

    def rotate_unlock_key(self, version: int) -> None:
        with observed(self._observe, SYSTEM, "rotate_unlock_key"):
            self._inner.rotate_unlock_key(version)

    def rotate_authority(self, over: int) -> bool:
        with observed(self._observe, SYSTEM, "rotate_authority"):
            return self._inner.rotate_authority(over)

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
    ) -> str:
        with observed(self._observe, SYSTEM, "create_network"):
            return self._inner.create_network(
                name, attachable=attachable, encrypted=encrypted, subnet=subnet, labels=labels, internal=internal, driver_opts=driver_opts
            )

    def remove_network(self, network_id: str) -> None:
        with observed(self._observe, SYSTEM, "remove_network"):
            self._inner.remove_network(network_id)

    def events(self, *, timeout: float) -> Iterator[SwarmEvent | None]:
        return self._inner.events(timeout=timeout)

    def close(self) -> None:
        self._inner.close()
