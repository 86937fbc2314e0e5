"""What the lab's cloud offers its user: flavors, images, the external network, a network to adopt.

Every function looks before it creates, so all of it can be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from swarmlab import cloudapi, identity, openstack_conf, paths, secrets

FLAVORS = {"m1.tiny": (1, 512, 5), "m1.small": (1, 1024, 10), "m1.medium": (2, 2048, 20)}
"""Name -> vCPUs, MiB of memory, GiB of disk."""


def admin() -> cloudapi.Cloud:
    """The cloud's administrator."""
    return cloudapi.Cloud("admin", secrets.get("admin"), "admin")


def user() -> cloudapi.Cloud:
    """The user that the operator works as."""
    return cloudapi.Cloud(identity.USER, secrets.get("swarm-user"), identity.PROJECT)


def write_clouds_yaml() -> None:
    """Write clouds.yaml with ``swarm`` and ``swarm-admin`` (JSON is YAML, and the standard library writes it)."""

    def cloud(user_name: str, password: str, project: str) -> dict[str, object]:
        domains = {"user_domain_id": "default", "project_domain_id": "default"}
        auth = {
            "auth_url": openstack_conf.AUTH_URL,
            "username": user_name,
            "password": password,
            "project_name": project,
        }
        return {"auth": auth | domains, "region_name": openstack_conf.REGION, "identity_api_version": 3}

    clouds = {
        "swarm": cloud(identity.USER, secrets.get("swarm-user"), identity.PROJECT),
        "swarm-admin": cloud("admin", secrets.get("admin"), "admin"),
    }
    paths.CLOUDS_YAML.touch(mode=0o600)
    paths.CLOUDS_YAML.write_text(json.dumps({"clouds": clouds}, indent=2) + "\n")


def ensure_flavors(cloud: cloudapi.Cloud) -> None:
    """Create the flavors."""
    present = {flavor["name"] for flavor in cloud.call("GET", "compute", "/flavors")["flavors"]}
    for name, (vcpus, ram, disk) in FLAVORS.items():
        if name not in present:
            flavor = {"name": name, "id": name, "vcpus": vcpus, "ram": ram, "disk": disk}
            cloud.call("POST", "compute", "/flavors", {"flavor": flavor})


def ensure_external_network(cloud: cloudapi.Cloud) -> None:
    """Create the provider network ``public``, where floating IPs come from."""
    network = _network(
        cloud,
        "public",
        {
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": "public",
        },
    )
    start, end = paths.EXTERNAL_POOL
    _subnet(
        cloud,
        "public-subnet",
        network,
        {
            "cidr": paths.EXTERNAL_CIDR,
            "gateway_ip": paths.EXTERNAL_GATEWAY,
            "enable_dhcp": False,
            "allocation_pools": [{"start": start, "end": end}],
        },
    )


def ensure_adoptable_network(cloud: cloudapi.Cloud) -> None:
    """Create ``lab-net``, ``lab-subnet`` and ``lab-router`` in the user's project: a network that somebody else made."""
    network = _network(cloud, "lab-net", {})
    subnet = _subnet(cloud, "lab-subnet", network, {"cidr": "10.77.0.0/24"})
    if _find(cloud, "routers", "lab-router") is None:
        public = _find(cloud, "networks", "public")
        router = {"name": "lab-router", "external_gateway_info": {"network_id": public}}
        created = cloud.call("POST", "network", "/v2.0/routers", {"router": router})["router"]["id"]
        cloud.call("PUT", "network", f"/v2.0/routers/{created}/add_router_interface", {"subnet_id": subnet})


def ensure_image(cloud: cloudapi.Cloud, name: str, content: bytes, properties: Mapping[str, str]) -> None:
    """Create a public image from bytes; one that was cut off in its upload is replaced."""
    for image in cloud.call("GET", "image", f"/v2/images?name={name}")["images"]:
        if image["status"] == "active":
            return
        cloud.call("DELETE", "image", f"/v2/images/{image['id']}")
    body: dict[str, Any] = {"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    image_id = cloud.call("POST", "image", "/v2/images", body | dict(properties))["id"]
    cloud.upload(f"/v2/images/{image_id}/file", content)


def ensure_keypair(cloud: cloudapi.Cloud) -> None:
    """Put the public half of the lab's own SSH key into Nova as keypair ``lab``."""
    public = paths.SSH_KEY.with_suffix(".pub").read_text().strip()
    names = {item["keypair"]["name"] for item in cloud.call("GET", "compute", "/os-keypairs")["keypairs"]}
    if "lab" not in names:
        cloud.call("POST", "compute", "/os-keypairs", {"keypair": {"name": "lab", "public_key": public}})


def _find(cloud: cloudapi.Cloud, kind: str, name: str) -> str | None:
    found = cloud.call("GET", "network", f"/v2.0/{kind}?name={name}")[kind]
    return str(found[0]["id"]) if found else None


def _network(cloud: cloudapi.Cloud, name: str, options: Mapping[str, object]) -> str:
    found = _find(cloud, "networks", name)
    if found is None:
        body = {"network": {"name": name, **options}}
        found = str(cloud.call("POST", "network", "/v2.0/networks", body)["network"]["id"])
    return found


def _subnet(cloud: cloudapi.Cloud, name: str, network: str, options: Mapping[str, object]) -> str:
    found = _find(cloud, "subnets", name)
    if found is None:
        body = {"subnet": {"name": name, "network_id": network, "ip_version": 4, **options}}
        found = str(cloud.call("POST", "network", "/v2.0/subnets", body)["subnet"]["id"])
    return found
