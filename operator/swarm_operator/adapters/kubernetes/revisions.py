"""Revisions of SwarmServices as ControllerRevisions (apps/v1), the kind in which Kubernetes' own controllers keep theirs: immutable data and a number.

The garbage collector removes them with their owner. Does not: cache, watch, or take over a revision of somebody else.
"""

from __future__ import annotations

from typing import Final

from swarm_operator.adapters.kubernetes.api import SYSTEM, Json, KubernetesApi, segment
from swarm_operator.api.base import API_VERSION, GROUP
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.revisions import Kept
from swarm_operator.ports.objects import Resource

FIELD_MANAGER: Final = "swarm-operator-revisions"
LABEL_UID: Final = f"{GROUP}/service-uid"


class KubernetesRevisions:
    """The `ports.objects.Revisions` of one API server. Thread safe."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def list(self, owner: Resource) -> list[Kept]:
        """See `Revisions`. The label narrows the list down; whose they are, the owner reference says."""
        selected = {"labelSelector": f"{LABEL_UID}={owner.uid}"}
        items = [item for item in self._api.pages("list_controllerrevision", _path(owner.key.namespace), selected) if _owned(item, owner)]
        return [_kept(item) for item in items if isinstance(item.get("data"), dict)]

    def create(self, owner: Resource, kept: Kept) -> None:
        """See `Revisions`."""
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": kept.name,
                "namespace": owner.key.namespace,
                "labels": {"app.kubernetes.io/managed-by": "swarm-operator", LABEL_UID: owner.uid},
                "ownerReferences": [{"apiVersion": API_VERSION, "kind": owner.key.kind, "name": owner.key.name, "uid": owner.uid, "controller": True}],
            },
            "revision": kept.revision,
            "data": kept.template,
        }
        query = {"fieldManager": FIELD_MANAGER}
        try:
            self._api.call("create_controllerrevision", "POST", _path(owner.key.namespace), query=query, body=manifest)
        except ExternalError as error:
            if error.kind is not ErrorKind.CONFLICT:
                raise
            if not any(there.name == kept.name for there in self.list(owner)):
                message = f"a ControllerRevision named {kept.name!r} exists and does not belong to {owner.key}"
                raise ExternalError(ErrorKind.CONFLICT, SYSTEM, message, reason=Reason.NAME_CONFLICT) from error

    def delete(self, owner: Resource, name: str) -> None:
        """See `Revisions`."""
        try:
            self._api.call("delete_controllerrevision", "DELETE", _path(owner.key.namespace, name))
        except ExternalError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise


def _path(namespace: str, name: str | None = None) -> str:
    path = f"/apis/apps/v1/namespaces/{segment(namespace)}/controllerrevisions"
    return path if name is None else f"{path}/{segment(name)}"


def _owned(item: Json, owner: Resource) -> bool:
    references: list[Json] = item["metadata"].get("ownerReferences") or []
    return any(reference.get("uid") == owner.uid for reference in references)


def _kept(item: Json) -> Kept:
    metadata = item["metadata"]
    return Kept(int(item.get("revision") or 0), metadata["name"], item["data"], str(metadata.get("creationTimestamp") or ""))
