"""What Keystone holds from the start: the service users, the catalog, the project and user that the operator works for."""

from __future__ import annotations

from swarmlab import cloudapi, openstack_conf, secrets

SERVICES = {
    "compute": "nova",
    "network": "neutron",
    "image": "glance",
    "placement": "placement",
    "block-storage": "cinder",
}
"""Service type (the official ones of the service-types authority) -> service, which is also the name of its user."""

PROJECT = USER = "swarm"


def populate(cloud: cloudapi.Cloud) -> None:
    """Fill a Keystone that has just been bootstrapped; ``cloud`` is its administrator."""
    roles = {role["name"]: role["id"] for role in cloud.call("GET", "identity", "/roles")["roles"]}
    service_project = _project(cloud, "service")
    for kind, name in SERVICES.items():
        user = _user(cloud, name, secrets.get("service-user"))
        for role in ("admin", "service"):
            _assign(cloud, service_project, user, roles[role])
        _catalog_entry(cloud, kind, name)
    project = _project(cloud, PROJECT)
    user = _user(cloud, USER, secrets.get("swarm-user"))
    _assign(cloud, project, user, roles["member"])


def _project(cloud: cloudapi.Cloud, name: str) -> str:
    body = {"project": {"name": name, "domain_id": "default"}}
    return str(cloud.call("POST", "identity", "/projects", body)["project"]["id"])


def _user(cloud: cloudapi.Cloud, name: str, password: str) -> str:
    body = {"user": {"name": name, "domain_id": "default", "password": password}}
    return str(cloud.call("POST", "identity", "/users", body)["user"]["id"])


def _assign(cloud: cloudapi.Cloud, project: str, user: str, role: str) -> None:
    cloud.call("PUT", "identity", f"/projects/{project}/users/{user}/roles/{role}")


def _catalog_entry(cloud: cloudapi.Cloud, kind: str, name: str) -> None:
    service = cloud.call("POST", "identity", "/services", {"service": {"type": kind, "name": name}})["service"]["id"]
    for interface in ("public", "internal", "admin"):
        endpoint = {
            "service_id": service,
            "interface": interface,
            "region_id": openstack_conf.REGION,
            "url": cloudapi.ENDPOINTS[kind],
        }
        cloud.call("POST", "identity", "/endpoints", {"endpoint": endpoint})
