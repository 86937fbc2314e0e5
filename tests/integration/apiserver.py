"""What the integration tests need of the lab's API server: the CRDs, a namespace of their own, small manifests."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from swarm_operator.adapters.kubernetes.api import KubernetesApi
from swarm_operator.adapters.kubernetes.login import load_configuration
from swarm_operator.api.base import API_VERSION
from swarm_operator.domain.errors import ErrorKind, ExternalError

CRDS = Path(__file__).resolve().parents[2] / "crds"


def apply_crds(kubeconfig: str) -> None:
    """Put our CRDs into the API server and wait until it serves them."""
    run = ["kubectl", "--kubeconfig", kubeconfig]
    subprocess.run([*run, "apply", "--server-side", "--force-conflicts", "-f", str(CRDS)], check=True, capture_output=True)
    subprocess.run([*run, "wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS)], check=True, capture_output=True)


def open_api(kubeconfig: str) -> KubernetesApi:
    return KubernetesApi(load_configuration(kubeconfig))


@contextmanager
def namespace(api: KubernetesApi) -> Iterator[str]:
    """A new namespace; removed afterwards."""
    name = f"it-{secrets.token_hex(4)}"
    api.call("test", "POST", "/api/v1/namespaces", body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        api.call("test", "DELETE", f"/api/v1/namespaces/{name}")


def create_service(api: KubernetesApi, namespace: str, name: str, cluster: str = "c", finalizers: list[str] | None = None) -> dict[str, Any]:
    """A small SwarmService."""
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "SwarmService",
        "metadata": {"name": name, "namespace": namespace, "finalizers": finalizers or []},
        "spec": {"clusterRef": {"name": cluster}, "image": "busybox:1"},
    }
    return api.call("test", "POST", services(namespace), body=manifest)


def create_cluster(api: KubernetesApi, namespace: str, name: str) -> dict[str, Any]:
    """A small SwarmCluster, of a cloud that need not exist."""
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "SwarmCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"identityRef": {"secretName": "cloud"}, "machine": {"flavor": {"name": "m1.small"}, "image": {"name": "debian"}}},
    }
    return api.call("test", "POST", f"/apis/{API_VERSION}/namespaces/{namespace}/swarmclusters", body=manifest)


def services(namespace: str, name: str = "") -> str:
    """Path of the SwarmServices, or of one."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/swarmservices"
    return f"{path}/{name}" if name else path


def gone(api: KubernetesApi, path: str, timeout: float = 20.0) -> bool:
    """Whether the object at `path` disappears within `timeout` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            api.call("test", "GET", path)
        except ExternalError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return True
            raise
        time.sleep(0.2)
    return False
