"""Quotas and what is used of them (Compute API "Limits", Networking API "Quotas details", Block Storage API "Absolute limits")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from swarm_operator.adapters.openstack.errors import Effect
from swarm_operator.adapters.openstack.session import ApiSession
from swarm_operator.domain.cloud import FlavorSize
from swarm_operator.domain.quota import CORES, FLOATING_IP, GIGABYTES, PORT, RAM, SERVER, SERVER_GROUP, SERVER_GROUP_MEMBERS, VOLUME, Usage

BASE: Final = "2.1"
_NOVA: Final = {
    SERVER: ("totalInstancesUsed", "maxTotalInstances"),
    CORES: ("totalCoresUsed", "maxTotalCores"),
    RAM: ("totalRAMUsed", "maxTotalRAMSize"),
    SERVER_GROUP: ("totalServerGroupsUsed", "maxServerGroups"),
}
_MEMBERS: Final = "maxServerGroupMembers"
_CINDER: Final = {VOLUME: ("totalVolumesUsed", "maxTotalVolumes"), GIGABYTES: ("totalGigabytesUsed", "maxTotalVolumeGigabytes")}
_NEUTRON: Final = {PORT: "port", FLOATING_IP: "floatingip"}


class QuotaCalls:
    """The quota part of `ports.compute.Cloud`."""

    def __init__(self, api: ApiSession) -> None:
        self._quota_api = api
        self._sizes: dict[str, FlavorSize] = {}

    def get_flavor_size(self, flavor_id: str) -> FlavorSize:
        """See `ports.compute.Cloud`. Remembered: Nova can't change the size of a flavor."""
        if flavor_id in self._sizes:
            return self._sizes[flavor_id]
        path, what = f"/flavors/{quote(flavor_id, safe='')}", f"get flavor {flavor_id}"
        body = self._quota_api.call_json("compute", "GET", path, operation="compute.flavor.get", what=what, effect=Effect.READ, microversion=BASE)
        flavor = body.get("flavor") or {}
        self._sizes[flavor_id] = FlavorSize(int(flavor.get("vcpus") or 0), int(flavor.get("ram") or 0))
        return self._sizes[flavor_id]

    def get_compute_usage(self) -> dict[str, Usage]:
        """See `ports.compute.Cloud`."""
        body = self._quota_api.call_json(
            "compute", "GET", "/limits", operation="compute.limits.get", what="get compute limits", effect=Effect.READ, microversion=BASE
        )
        members = ((body.get("limits") or {}).get("absolute") or {}).get(_MEMBERS)
        return _absolute(body, _NOVA) | ({} if members is None else {SERVER_GROUP_MEMBERS: _usage(0, members)})

    def get_volume_usage(self) -> dict[str, Usage]:
        """See `ports.compute.Cloud`."""
        body = self._quota_api.call_json(
            "block-storage", "GET", "/limits", operation="volume.limits.get", what="get volume limits", effect=Effect.READ, microversion="3.0"
        )
        return _absolute(body, _CINDER)

    def get_network_usage(self) -> dict[str, Usage]:
        """See `ports.compute.Cloud`. Reserved amounts, of requests under way, count as used."""
        project = self._quota_api.project_id()
        path = f"/quotas/{project}/details"
        body = self._quota_api.call_json("network", "GET", path, operation="network.quota.get", what="get network quotas", effect=Effect.READ)
        details: dict[str, Any] = body.get("quota") or {}
        return {
            name: _usage(details[key]["used"] + (details[key].get("reserved") or 0), details[key]["limit"])
            for name, key in _NEUTRON.items()
            if isinstance(details.get(key), dict) and {"used", "limit"} <= details[key].keys()
        }


def _absolute(body: dict[str, Any], names: Mapping[str, tuple[str, str]]) -> dict[str, Usage]:
    """`limits.absolute` of Nova and Cinder: a figure and its limit for each resource."""
    absolute = (body.get("limits") or {}).get("absolute") or {}
    return {name: _usage(absolute[used], absolute[limit]) for name, (used, limit) in names.items() if used in absolute and limit in absolute}


def _usage(used: int, limit: int) -> Usage:
    """-1 is "no limit" in both services."""
    return Usage(used, None if limit < 0 else limit)
