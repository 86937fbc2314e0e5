"""The project's cloud seen by openstacksdk directly, and the swarm by docker-py directly: what the tests compare the operator's words with."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import docker
import openstack
from docker.tls import TLSConfig


class CloudView:
    """Reads (and, for faults, changes) what is in the project."""

    def __init__(self, clouds_yaml: str, cloud: str = "swarm") -> None:
        self.connection: Any = _connect(clouds_yaml, cloud)

    def servers(self, cluster_uid: str) -> list[Any]:
        """Servers whose metadata names the cluster."""
        return [s for s in self.connection.compute.servers(details=True) if s.metadata.get("swarmops-cluster-uid") == cluster_uid]

    def leftovers(self, cluster_uid: str) -> list[str]:
        """Everything in the project that names the cluster, as `kind name`."""
        network = self.connection.network
        found = [f"server {s.name}" for s in self.servers(cluster_uid)]
        listings = {
            "network": network.networks(),
            "subnet": network.subnets(),
            "router": network.routers(),
            "port": network.ports(),
            "floating ip": network.ips(),
            "security group": network.security_groups(),
            "trunk": network.trunks(),
        }
        for kind, items in listings.items():
            found += [f"{kind} {i.name or i.id}" for i in items if cluster_uid in (i.description or "")]
        found += [f"volume {v.name}" for v in self.connection.block_storage.volumes() if cluster_uid in str(v.metadata)]
        found += [f"image {i.name}" for i in self.connection.image.images() if i.properties.get("swarmops-cluster-uid") == cluster_uid]
        found += [f"key pair {k.name}" for k in self.connection.compute.keypairs() if cluster_uid in k.name]
        found += [f"server group {g.name}" for g in self.connection.compute.server_groups() if cluster_uid in g.name]
        return found

    def counts(self) -> dict[str, int]:
        """How many objects of each kind the project holds: before and after must agree."""
        network, compute = self.connection.network, self.connection.compute
        project = self.connection.current_project_id
        own = {
            "networks": network.networks(project_id=project),
            "subnets": network.subnets(project_id=project),
            "routers": network.routers(project_id=project),
            "ports": network.ports(project_id=project),
            "floating ips": network.ips(project_id=project),
            "security groups": network.security_groups(project_id=project),
            "servers": compute.servers(details=False),
            "key pairs": compute.keypairs(),
            "images": self.connection.image.images(owner=project),
            "volumes": self.connection.block_storage.volumes(),
        }
        return {kind: len(list(items)) for kind, items in own.items()}


def _connect(clouds_yaml: str, cloud: str) -> Any:
    config = openstack.config.OpenStackConfig(config_files=[clouds_yaml], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one(cloud=cloud))


class DockerView:
    """A manager's Docker API by the user's own means: the client certificate in the cluster's Secret."""

    def __init__(self, endpoint: str, secret: dict[str, bytes]) -> None:
        self._files = tempfile.TemporaryDirectory()
        paths = {}
        for name in ("ca.pem", "cert.pem", "key.pem"):
            paths[name] = Path(self._files.name) / name
            paths[name].write_bytes(secret[name])
        tls = TLSConfig(client_cert=(str(paths["cert.pem"]), str(paths["key.pem"])), ca_cert=str(paths["ca.pem"]), verify=True)
        self.api: Any = docker.APIClient(base_url=endpoint.replace("tcp://", "https://"), tls=tls, version="1.41", timeout=30)
        self.api.trust_env = False  # REQUESTS_CA_BUNDLE would win over the cluster's own CA

    def service(self, name: str) -> dict[str, Any] | None:
        """The service of exactly that name."""
        return next((s for s in self.api.services(filters={"name": name}) if s["Spec"]["Name"] == name), None)

    def running(self, name: str) -> int:
        """Tasks of the service that run and shall run."""
        return len([t for t in self.api.tasks(filters={"service": name, "desired-state": "running"}) if t["Status"]["State"] == "running"])

    def nodes(self) -> list[dict[str, Any]]:
        """`GET /nodes`."""
        nodes: list[dict[str, Any]] = self.api.nodes()
        return nodes

    def scale(self, name: str, replicas: int) -> None:
        """`docker service scale`: read the raw spec, change the number, write it."""
        service = self.service(name)
        assert service is not None
        spec = service["Spec"]
        spec["Mode"]["Replicated"]["Replicas"] = replicas
        url = self.api._url("/services/{0}/update", service["ID"])
        response = self.api._post_json(url, data=spec, params={"version": service["Version"]["Index"]})
        self.api._raise_for_status(response)

    def remove(self, name: str) -> None:
        """`docker service rm`."""
        self.api.remove_service(name)

    def close(self) -> None:
        """Close the connection and remove the key files."""
        self.api.close()
        self._files.cleanup()
