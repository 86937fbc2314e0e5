"""The API server as a person uses it through `kubectl swarm`: with their kubeconfig, and only what its commands need.

Does not: take part in reconciling; field manager `kubectl-swarm`.
"""

from __future__ import annotations

import builtins
from typing import Final

from kubernetes.config import list_kube_config_contexts

from swarm_operator.adapters.kubernetes.api import MERGE_PATCH, SYSTEM, Json, KubernetesApi, segment
from swarm_operator.adapters.kubernetes.login import load_configuration
from swarm_operator.adapters.kubernetes.secrets import Secrets
from swarm_operator.api.base import API_VERSION
from swarm_operator.domain.errors import ErrorKind, ExternalError

FIELD_MANAGER: Final = "kubectl-swarm"


class UserApi:
    """Raises ExternalError where there is no login. `namespace` is that of the context."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        self._api = KubernetesApi(load_configuration(kubeconfig, context), connections=2)
        self.namespace = _namespace(kubeconfig, context)

    def list(self, plural: str, namespace: str | None) -> builtins.list[Json]:
        """All objects of a kind."""
        scope = "" if namespace is None else f"/namespaces/{segment(namespace)}"
        return [*self._api.pages(f"list_{plural}", f"/apis/{API_VERSION}{scope}/{plural}")]

    def get(self, plural: str, namespace: str, name: str) -> Json:
        """One object; NOT_FOUND."""
        return self._api.call(f"get_{plural}", "GET", _path(plural, namespace, name))

    def namespaces(self) -> builtins.list[str]:
        """Names of all namespaces; FORBIDDEN for most users."""
        return [item["metadata"]["name"] for item in self._api.pages("list_namespaces", "/api/v1/namespaces")]

    def events(self, namespace: str) -> builtins.list[Json]:
        """All Events of a namespace."""
        return [*self._api.pages("list_events", f"/api/v1/namespaces/{segment(namespace)}/events")]

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        """Data of a Secret; NOT_FOUND."""
        data = Secrets(self._api).get(namespace, name)
        if data is None:
            raise ExternalError(ErrorKind.NOT_FOUND, SYSTEM, f"Secret {name!r} not found")
        return data

    def patch(self, plural: str, namespace: str, name: str, body: Json) -> Json:
        """A merge patch of the object; what it is then. CONFLICT where `body` carries a resourceVersion that is not the present one."""
        return self._api.call(
            f"patch_{plural}", "PATCH", _path(plural, namespace, name), query={"fieldManager": FIELD_MANAGER}, body=body, media_type=MERGE_PATCH
        )

    def preview(self, plural: str, namespace: str, manifest: Json) -> Json:
        """What the object would be with the manifest's spec, without writing it: defaulted and validated by the API server (dry run). One that is not there gets no UID."""
        name, query = str(manifest["metadata"]["name"]), {"fieldManager": FIELD_MANAGER, "dryRun": "All", "fieldValidation": "Strict"}
        try:
            present = self.get(plural, namespace, name)
        except ExternalError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            body = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
            return self._api.call(f"preview_{plural}", "POST", _path(plural, namespace), query=query, body=body)
        annotations = {**(present["metadata"].get("annotations") or {}), **(manifest["metadata"].get("annotations") or {})}
        body = {**present, "metadata": {**present["metadata"], "annotations": annotations}, "spec": manifest.get("spec") or {}}
        return self._api.call(f"preview_{plural}", "PUT", _path(plural, namespace, name), query=query, body=body)


def _path(plural: str, namespace: str, name: str | None = None) -> str:
    path = f"/apis/{API_VERSION}/namespaces/{segment(namespace)}/{plural}"
    return path if name is None else f"{path}/{segment(name)}"


def _namespace(kubeconfig: str | None, context: str | None) -> str:
    try:
        contexts, active = list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except Exception:  # in a pod there is no kubeconfig
        return "default"
    chosen = active if context is None else next((found for found in contexts if found["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def context_names() -> builtins.list[str]:
    """Names of the contexts of the kubeconfig; none where there is none."""
    try:
        contexts, _ = list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except Exception:
        return []
    return [str(found["name"]) for found in contexts]
