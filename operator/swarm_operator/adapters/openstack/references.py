"""From what a manifest names (id, name or tags) to the one object that is meant."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from swarm_operator.adapters.openstack.compute import BASE
from swarm_operator.adapters.openstack.errors import Effect, external
from swarm_operator.adapters.openstack.servergroup import list_server_groups
from swarm_operator.adapters.openstack.session import ApiSession, Json
from swarm_operator.api.base import ResourceRef
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import ReferenceKind
from swarm_operator.domain.errors import ErrorKind, ExternalError

CACHE_SECONDS: Final = 60.0
_NEUTRON: Final[dict[ReferenceKind, tuple[str, str, dict[str, str]]]] = {
    "network": ("networks", "network", {}),
    "external network": ("networks", "network", {"router:external": "true"}),
    "subnet": ("subnets", "subnet", {}),
    "router": ("routers", "router", {}),
    "security group": ("security-groups", "security_group", {}),
}


class ReferenceCalls:
    """`resolve` of `ports.compute.Cloud`. What was found is remembered for a minute; what was not found, never."""

    def __init__(self, api: ApiSession, clock: Callable[[], float] = time.monotonic) -> None:
        self._references_api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], tuple[float, str]] = {}

    def resolve(self, kind: ReferenceKind, ref: ResourceRef | None) -> str:
        """See `ports.compute.Cloud`. Key pairs are known by name only, and that is what comes back."""
        key = (kind, "" if ref is None else ref.model_dump_json())
        with self._lock:
            held = self._found.get(key)
        if held is not None and self._clock() - held[0] < CACHE_SECONDS:
            return held[1]
        begun = self._clock()
        object_id = self._look_up(kind, ref)
        with self._lock:
            self._found = {name: value for name, value in self._found.items() if begun - value[0] < CACHE_SECONDS}
            self._found[key] = (begun, object_id)
        return object_id

    def forget_references(self) -> None:
        """A call said that something named by id is not there: look again."""
        with self._lock:
            self._found.clear()

    def _look_up(self, kind: ReferenceKind, ref: ResourceRef | None) -> str:
        if ref is None:
            if kind != "external network":
                raise external(ErrorKind.INVALID, f"{kind}: no reference given")
            return _only(kind, "the project's only one", self._list_neutron(kind, {}))
        if kind in ("flavor", "key pair", "server group") and ref.filter is not None:
            raise external(ErrorKind.INVALID, f"{kind}: can't be selected by tags, use a name")
        if kind == "flavor":
            return self._flavor(ref)
        if kind == "image":
            return self._image(ref)
        if kind == "server group":
            return _only(kind, str(ref), [g for g in list_server_groups(self._references_api) if ref.id in (None, g["id"]) and ref.name in (None, g["name"])])
        if kind == "key pair":
            name = ref.name or ref.id or ""
            self._get("compute", f"/os-keypairs/{quote(name, safe='')}", "keypair", kind, ref)
            return name
        return self._neutron(kind, ref)

    def _flavor(self, ref: ResourceRef) -> str:
        if ref.id is not None:
            return str(self._get("compute", f"/flavors/{quote(ref.id, safe='')}", "flavor", "flavor", ref)["id"])
        items = self._references_api.list_all("compute", "/flavors", "flavors", operation="compute.flavor.list", what="list flavors", microversion=BASE)
        return _only("flavor", str(ref), [item for item in items if item.get("name") == ref.name])

    def _image(self, ref: ResourceRef) -> str:
        if ref.id is not None:
            return _only("image", str(ref), _active([self._get("image", f"/images/{quote(ref.id, safe='')}", None, "image", ref)]))
        # Glance reads operators ("in:") in a name filter, so names are compared here as well.
        params: dict[str, str | list[str]] = {"name": ref.name} if ref.name is not None else {"tag": list(ref.filter.tags if ref.filter else ())}
        items = self._references_api.list_all("image", "/images", "images", operation="image.image.list", what="list images", params=params)
        return _only("image", str(ref), _active([item for item in items if ref.name is None or item.get("name") == ref.name]))

    def _neutron(self, kind: ReferenceKind, ref: ResourceRef) -> str:
        collection, key, _ = _NEUTRON[kind]
        if ref.id is not None:
            item = self._get("network", f"/{collection}/{quote(ref.id, safe='')}", key, kind, ref)
            if kind == "external network" and not item.get("router:external"):
                raise _not_found(kind, f"{ref} (it is not external)")
            return str(item["id"])
        params = {"name": ref.name} if ref.name is not None else {"tags": ",".join(ref.filter.tags if ref.filter else ())}
        return _only(kind, str(ref), self._list_neutron(kind, params))

    def _list_neutron(self, kind: ReferenceKind, params: dict[str, str]) -> list[Json]:
        collection, _, fixed = _NEUTRON[kind]
        query = {**fixed, **params}
        if kind in ("security group", "router") and (project := self._references_api.project_id()):
            query["project_id"] = project  # an admin's token lists those of all projects, and each has a group named "default"
        key = collection.replace("-", "_")
        return self._references_api.list_all("network", f"/{collection}", key, operation=f"network.{key.rstrip('s')}.list", what=f"find {kind}", params=query)

    def _get(self, service: str, path: str, key: str | None, kind: ReferenceKind, ref: ResourceRef) -> Json:
        # 400 too: some services refuse a malformed id instead of not finding it.
        assert service in ("compute", "image", "network")
        response = self._references_api.call(
            service,  # type: ignore[arg-type]
            "GET",
            path,
            operation=f"{service}.{kind.replace(' ', '_')}.get",
            what=f"get {kind}",
            effect=Effect.READ,
            microversion=BASE if service == "compute" else None,
            accept=(400, 404),
        )
        if response.status_code in (400, 404):
            raise _not_found(kind, str(ref))
        body: Json = response.json()
        item: Json = body if key is None else body[key]
        return item


def _active(items: list[Json]) -> list[Json]:
    return [item for item in items if item.get("status", "active") == "active"]


def _only(kind: ReferenceKind, named: str, items: list[Json]) -> str:
    ids = list(dict.fromkeys(str(item["id"]) for item in items))
    if not ids:
        raise _not_found(kind, named)
    if len(ids) > 1:
        raise external(ErrorKind.INVALID, f"{kind} {named}: {len(ids)} match; use an id", reason=Reason.REFERENCE_AMBIGUOUS)
    return ids[0]


def _not_found(kind: ReferenceKind, named: str) -> ExternalError:
    return external(ErrorKind.NOT_FOUND, f"{kind} {named}: not found", reason=Reason.REFERENCE_NOT_FOUND)
