"""Quotas of the user's project: ``lab break quota NAME VALUE``."""

from __future__ import annotations

from swarmlab import cloudapi, content, identity
from swarmlab.errors import LabError

_COMPUTE = ("instances", "cores", "ram", "key_pairs", "server_groups", "server_group_members", "metadata_items")
_NETWORK = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")
_VOLUME = ("volumes", "gigabytes", "snapshots")
NAMES = (*_COMPUTE, *_NETWORK, *_VOLUME)
"""The quotas that can be set, under the names that Nova, Neutron and Cinder give them."""


def set_quota(name: str, value: int) -> None:
    """Set one quota of the user's project; -1 is no limit, which is what the lab starts with."""
    admin = content.admin()
    project = _project_id(admin)
    if name in _COMPUTE:
        body = {"quota_set": {name: value, "force": True}}
        admin.call("PUT", "compute", f"/os-quota-sets/{project}", body)
    elif name in _NETWORK:
        admin.call("PUT", "network", f"/v2.0/quotas/{project}", {"quota": {name: value}})
    elif name in _VOLUME:
        admin.call("PUT", "block-storage", f"/os-quota-sets/{project}", {"quota_set": {name: value}})
    else:
        raise LabError(f"no quota {name!r}; there are: {', '.join(NAMES)}")


def _project_id(admin: cloudapi.Cloud) -> str:
    found = admin.call("GET", "identity", f"/projects?name={identity.PROJECT}")["projects"]
    return str(found[0]["id"])
