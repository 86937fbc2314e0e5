"""SwarmServices that a SwarmStack makes, by server-side apply: what others set beside our fields stays theirs, and what has left the stack's file is taken back.

The garbage collector removes them with their owner. Does not: cache, watch, or touch one of somebody else.
"""

from __future__ import annotations

from typing import Any, Final

from swarm_operator.adapters.kubernetes.api import APPLY_PATCH, SYSTEM, Json, KubernetesApi, segment
from swarm_operator.adapters.kubernetes.resources import resource_of
from swarm_operator.api.base import API_VERSION, APPLIED_DIGEST, GROUP, VERSION
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.objects import Resource

FIELD_MANAGER: Final = "swarm-operator-stack"
LABEL_UID: Final = f"{GROUP}/stack-uid"


class KubernetesDependents:
    """The `ports.objects.Dependents` of one API server. Thread safe."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def list(self, owner: Resource) -> list[Resource]:
        """See `Dependents`. The label narrows the list down; whose they are, the owner reference says."""
        selected = {"labelSelector": f"{LABEL_UID}={owner.uid}"}
        found = [resource_of("SwarmService", item) for item in self._api.pages("list_SwarmService", _path(owner.key.namespace), selected)]
        return [resource for resource in found if owner.uid in resource.owners]

    def apply(self, owner: Resource, name: str, spec: dict[str, Any], digest: str, known: Resource | None) -> Resource:
        """See `Dependents`.

        One that is there already is applied by its UID and with force: our fields are ours. A new one is applied without: where somebody was quicker, his fields are in
        the way and the API server refuses.
        """
        body: Json = {
            "apiVersion": API_VERSION,
            "kind": "SwarmService",
            "metadata": {
                "name": name,
                "namespace": owner.key.namespace,
                "labels": {"app.kubernetes.io/managed-by": "swarm-operator", LABEL_UID: owner.uid},
                "annotations": {APPLIED_DIGEST: digest},
                # blockOwnerDeletion would need the right to change the owner's finalizers and is of no use here: our own finalizer holds the owner.
                "ownerReferences": [{"apiVersion": API_VERSION, "kind": owner.key.kind, "name": owner.key.name, "uid": owner.uid, "controller": True}],
                **({"uid": known.uid} if known is not None else {}),
            },
            "spec": spec,
        }
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if known is not None else "false"}
        path = _path(owner.key.namespace, name)
        try:
            answer = self._api.call("apply_SwarmService", "PATCH", path, query=query, body=body, media_type=APPLY_PATCH)
        except ExternalError as error:
            if error.kind is ErrorKind.CONFLICT and known is None:
                raise ExternalError(
                    ErrorKind.CONFLICT, SYSTEM, f"a SwarmService {name!r} exists and is not of this stack", reason=Reason.NAME_CONFLICT
                ) from error
            if known is not None and "metadata.uid: Invalid value" in error.message:  # another of that name is there now; a 422, of all things
                raise ExternalError(ErrorKind.CONFLICT, SYSTEM, f"the SwarmService {name!r} was made anew meanwhile") from error
            raise
        return resource_of("SwarmService", answer)

    def delete(self, resource: Resource) -> None:
        """See `Dependents`."""
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": resource.uid}}
        try:
            self._api.call("delete_SwarmService", "DELETE", _path(resource.key.namespace, resource.key.name), body=body)
        except ExternalError as error:
            if error.kind not in (ErrorKind.NOT_FOUND, ErrorKind.CONFLICT):  # gone; or another of that name is there, which is as well
                raise


def _path(namespace: str, name: str | None = None) -> str:
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{segment(namespace)}/swarmservices"
    return path if name is None else f"{path}/{segment(name)}"
