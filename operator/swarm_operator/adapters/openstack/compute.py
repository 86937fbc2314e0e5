"""Nova (Compute API 2.1, OpenStack Stein and later)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from swarm_operator.adapters.openstack import convert
from swarm_operator.adapters.openstack.errors import Effect, external
from swarm_operator.adapters.openstack.session import ApiSession, Json
from swarm_operator.adapters.openstack.sharedlist import SharedList
from swarm_operator.domain.cloud import KeyPair, RootVolume, Server, ServerRequest
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.ownership import CLUSTER_UID, is_own_keypair

BASE: Final = "2.1"
LISTING: Final = "2.69"
"""From here on Nova lists servers of a cell that is down as stubs; below, it leaves them out without a word, and they would look deleted (Nova API guide, "Down cells").
It does so only for a request without filters, sorting or paging parameters, hence the plain list."""
VOLUME_TYPE: Final = "2.67"
"""From here on a block device mapping names a volume type (Compute API, microversion history; Stein)."""
TAGS: Final = "2.52"
"""From here on a server is made with tags (Compute API, microversion history; Pike)."""
SNAPSHOT: Final = "2.45"
"""Since then createImage answers with the image's id in the body (Nova API history); before, in a header with a URL that may name another endpoint."""
CACHE_SECONDS: Final = 2.0


class ComputeCalls:
    """The Nova half of `ports.compute.Cloud`."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api
        self._servers: SharedList[tuple[Server, ...]] = SharedList(self._fetch_servers, CACHE_SECONDS)

    def list_servers(self, cluster_uid: str, *, fresh: bool = False) -> tuple[Server, ...]:
        """See `ports.compute.Cloud`. Without `fresh` at most two seconds old, and never older than the last write through this object."""
        return tuple(server for server in self._servers.get(fresh=fresh) if server.metadata.get(CLUSTER_UID) == cluster_uid)

    def find_servers_by_name(self, name: str) -> tuple[Server, ...]:
        """See `ports.compute.Cloud`; from a fresh list, since Nova's name filter would drop servers of a cell that is down."""
        return tuple(server for server in self._servers.get(fresh=True) if server.name == name)

    def create_server(self, request: ServerRequest) -> str:
        """See `ports.compute.Cloud`."""
        server: dict[str, Any] = {
            "name": request.name,
            "flavorRef": request.flavor_id,
            "imageRef": request.image_id,
            "networks": [
                {"uuid": request.network_id} if request.port_id is None else {"port": request.port_id},
                *({"port": p} for p in request.further_port_ids),
            ],
            "key_name": request.key_name,
            "security_groups": [{"name": group} for group in request.security_groups],  # Nova takes an id here as well as a name
            "metadata": request.metadata,
            "user_data": base64.b64encode(request.user_data.encode()).decode(),
            "config_drive": request.config_drive,
        }
        if request.port_id is not None:
            del server["security_groups"]  # the port has them; Nova would refuse or ignore others
        if request.availability_zone is not None:
            server["availability_zone"] = request.availability_zone
        # Nova's refusal of a zone does not say which.
        version, what = BASE, f"create server {request.name}" + (f" in zone {request.availability_zone}" if request.availability_zone is not None else "")
        if request.root_volume is not None:
            del server["imageRef"]  # with a root volume Nova wants the image in the mapping alone
            server["block_device_mapping_v2"] = [_root_mapping(request.image_id, request.root_volume)]
            version = VOLUME_TYPE if "volume_type" in server["block_device_mapping_v2"][0] else BASE
        if request.tags:
            server["tags"] = list(request.tags)
            version = version if version == VOLUME_TYPE else TAGS
        whole: Json = {"server": server}
        if request.server_group_id is not None:
            whole["os:scheduler_hints"] = {"group": request.server_group_id}
        try:
            body = self._api.call_json(
                "compute", "POST", "/servers", operation="compute.server.create", what=what, effect=Effect.CREATE, json=whole, microversion=version
            )
        finally:
            self._servers.invalidate()
        return _id(body, "server", what)

    def delete_server(self, server_id: str) -> None:
        """See `ports.compute.Cloud`."""
        self._delete_nova(f"/servers/{_segment(server_id)}", "server.delete", f"delete server {server_id}")
        self._servers.invalidate()

    def update_server_metadata(self, server_id: str, values: dict[str, str]) -> None:
        """See `ports.compute.Cloud`."""
        path = f"/servers/{_segment(server_id)}/metadata"
        self._call_json("POST", path, "server.metadata.update", f"set metadata of server {server_id}", Effect.WRITE, {"metadata": values})
        self._servers.invalidate()

    def delete_server_metadata(self, server_id: str, keys: Sequence[str]) -> None:
        """See `ports.compute.Cloud`."""
        for key in keys:
            self._delete_nova(
                f"/servers/{_segment(server_id)}/metadata/{_segment(key)}", "server.metadata.delete", f"delete metadata {key} of server {server_id}"
            )
        self._servers.invalidate()

    def add_server_tags(self, server_id: str, tags: Sequence[str]) -> None:
        """See `ports.compute.Cloud`."""
        for tag in tags:
            path, what = f"/servers/{_segment(server_id)}/tags/{_segment(tag)}", f"tag server {server_id}"
            self._api.call("compute", "PUT", path, operation="compute.server.tag", what=what, effect=Effect.WRITE, microversion=TAGS)
        self._servers.invalidate()

    def start_server(self, server_id: str) -> None:
        """See `ports.compute.Cloud`."""
        self._action(server_id, "start", {"os-start": None})

    def reboot_server(self, server_id: str, *, hard: bool) -> None:
        """See `ports.compute.Cloud`."""
        self._action(server_id, "reboot", {"reboot": {"type": "HARD" if hard else "SOFT"}})

    def create_server_image(self, server_id: str, name: str, properties: dict[str, str]) -> str:
        """See `ports.compute.Cloud`."""
        path, what = f"/servers/{_segment(server_id)}/action", f"save the disk of server {server_id}"
        call: Json = {"createImage": {"name": name, "metadata": properties}}
        try:
            body = self._api.call_json(
                "compute", "POST", path, operation="compute.server.create_image", what=what, effect=Effect.CREATE, json=call, microversion=SNAPSHOT
            )
        finally:
            self._servers.invalidate()
        return _id({"image": {"id": body.get("image_id")}}, "image", what)

    def rebuild_server(self, server_id: str, image_id: str) -> None:
        """See `ports.compute.Cloud`. Nova keeps the user data (it could be changed from 2.57 on) and the key pair."""
        self._action(server_id, "rebuild", {"rebuild": {"imageRef": image_id}})

    def _action(self, server_id: str, name: str, body: Json) -> None:
        """Nova answers an action with 202 and nothing in it."""
        path, what = f"/servers/{_segment(server_id)}/action", f"{name} server {server_id}"
        self._api.call("compute", "POST", path, operation=f"compute.server.{name}", what=what, effect=Effect.WRITE, json=body, microversion=BASE)
        self._servers.invalidate()

    def console_output(self, server_id: str) -> str:
        """See `ports.compute.Cloud`. CONFLICT while the server is not built yet."""
        body = self._call_json(
            "POST", f"/servers/{_segment(server_id)}/action", "server.console", f"read console of server {server_id}", Effect.READ, {"os-getConsoleOutput": {}}
        )
        return str(body.get("output") or "")

    def list_owned_keypairs(self, cluster_uid: str) -> tuple[KeyPair, ...]:
        """See `ports.compute.Cloud`."""
        items = self._api.list_all("compute", "/os-keypairs", "keypairs", operation="compute.keypair.list", what="list key pairs", microversion=BASE)
        found = (convert.key_pair(item["keypair"]) for item in items)
        return tuple(k for k in found if is_own_keypair(k.name, cluster_uid))

    def get_keypair(self, name: str) -> KeyPair | None:
        """The key pair of that name, or None."""
        response = self._api.call(
            "compute",
            "GET",
            f"/os-keypairs/{_segment(name)}",
            operation="compute.keypair.get",
            what=f"get key pair {name}",
            effect=Effect.READ,
            microversion=BASE,
            accept=(404,),
        )
        return None if response.status_code == 404 else convert.key_pair(response.json()["keypair"])

    def create_keypair(self, name: str, public_key: str) -> None:
        """CONFLICT when there is one of that name."""
        body = {"keypair": {"name": name, "public_key": public_key}}
        self._call_json("POST", "/os-keypairs", "keypair.create", f"create key pair {name}", Effect.CREATE, body)

    def delete_keypair(self, name: str) -> None:
        """Already gone is no error."""
        self._delete_nova(f"/os-keypairs/{_segment(name)}", "keypair.delete", f"delete key pair {name}")

    def _fetch_servers(self) -> tuple[Server, ...]:
        items = self._api.list_all("compute", "/servers/detail", "servers", operation="compute.server.list", what="list servers", microversion=LISTING)
        if any("metadata" not in item for item in items):
            raise external(ErrorKind.TRANSIENT, "list servers: Nova can't read all of them, a cell is down")
        return tuple(convert.server(item) for item in items)

    def _call_json(self, method: str, path: str, operation: str, what: str, effect: Effect, json: Json) -> Json:
        return self._api.call_json("compute", method, path, operation=f"compute.{operation}", what=what, effect=effect, json=json, microversion=BASE)

    def _delete_nova(self, path: str, operation: str, what: str) -> None:
        self._api.call("compute", "DELETE", path, operation=f"compute.{operation}", what=what, effect=Effect.WRITE, microversion=BASE, accept=(404,))


def _root_mapping(image_id: str, root: RootVolume) -> dict[str, Any]:
    """The entry of `block_device_mapping_v2` for the root disk (Compute API, "Create server"); the volume goes with the server."""
    mapping: dict[str, Any] = {"boot_index": 0, "destination_type": "volume", "delete_on_termination": True}
    if root.volume_id is not None:
        return {**mapping, "source_type": "volume", "uuid": root.volume_id}
    kind = {"volume_type": root.type} if root.type is not None else {}
    return {**mapping, "source_type": "image", "uuid": image_id, "volume_size": root.size_gib, **kind}


def _segment(text: str) -> str:
    return quote(text, safe="")


def _id(body: Json, key: str, what: str) -> str:
    value = (body.get(key) or {}).get("id")
    if not isinstance(value, str):
        raise external(ErrorKind.AMBIGUOUS, f"{what}: the answer holds no id")
    return value
