"""Server groups of Nova (Compute API 2.64, OpenStack Rocky and later)."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from swarm_operator.adapters.openstack import convert
from swarm_operator.adapters.openstack.errors import Effect, external
from swarm_operator.adapters.openstack.session import ApiSession, Json
from swarm_operator.domain.cloud import ServerGroup
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.ownership import server_group_prefix

GROUPS: Final = "2.64"
"""From here on a group has one `policy`, not a list of them."""
_PAGE: Final = 1000


class ServerGroupCalls:
    """The part of `ports.compute.Cloud` about server groups."""

    def __init__(self, api: ApiSession) -> None:
        self._groups_api = api

    def list_server_groups(self, cluster_uid: str) -> tuple[ServerGroup, ...]:
        """See `ports.compute.Cloud`."""
        prefix = server_group_prefix(cluster_uid)
        return tuple(convert.server_group(item) for item in list_server_groups(self._groups_api) if str(item.get("name") or "").startswith(prefix))

    def create_server_group(self, name: str, policy: str) -> str:
        """See `ports.compute.Cloud`."""
        what = f"create server group {name}"
        body = self._groups_api.call_json(
            "compute",
            "POST",
            "/os-server-groups",
            operation="compute.server_group.create",
            what=what,
            effect=Effect.CREATE,
            json={"server_group": {"name": name, "policy": policy}},
            microversion=GROUPS,
        )
        value = (body.get("server_group") or {}).get("id")
        if not isinstance(value, str):
            raise external(ErrorKind.AMBIGUOUS, f"{what}: the answer holds no id")
        return value

    def delete_server_group(self, group_id: str) -> None:
        """See `ports.compute.Cloud`."""
        self._groups_api.call(
            "compute",
            "DELETE",
            f"/os-server-groups/{quote(group_id, safe='')}",
            operation="compute.server_group.delete",
            what=f"delete server group {group_id}",
            effect=Effect.WRITE,
            microversion=GROUPS,
            accept=(404,),
        )


def list_server_groups(api: ApiSession) -> list[Json]:
    """All of the project. Nova gives no link to a next page and may give less than asked for, so pages are read until one is empty."""
    found: list[Json] = []
    while True:
        body = api.call_json(
            "compute",
            "GET",
            f"/os-server-groups?limit={_PAGE}&offset={len(found)}",
            operation="compute.server_group.list",
            what="list server groups",
            effect=Effect.READ,
            microversion=GROUPS,
        )
        page = body.get("server_groups") or []
        found += page
        if not page:
            return found
