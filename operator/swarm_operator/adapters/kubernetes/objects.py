"""The objects of our kinds in the API server: the `Objects` port.

Writers and what they own: the status by server-side apply under `swarm-operator-status`; our finalizer by a merge patch under `swarm-operator-finalizer`.
Does not: watch (kopf does), cache objects, or touch spec, labels or annotations.
"""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any, Final

from swarm_operator.adapters.kubernetes.api import APPLY_PATCH, MERGE_PATCH, SYSTEM, Json, KubernetesApi, segment
from swarm_operator.adapters.kubernetes.dependents import KubernetesDependents
from swarm_operator.adapters.kubernetes.events import EventRecorder
from swarm_operator.adapters.kubernetes.resources import resource_of
from swarm_operator.adapters.kubernetes.revisions import KubernetesRevisions
from swarm_operator.adapters.kubernetes.secrets import Secrets
from swarm_operator.api.base import API_VERSION, FINALIZER, GROUP, VERSION
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.objects import HeldSecret, Key, Kind, Resource

STATUS_MANAGER: Final = "swarm-operator-status"
FINALIZER_MANAGER: Final = "swarm-operator-finalizer"
PLURALS: Final[dict[Kind, str]] = {
    "SwarmCluster": "swarmclusters",
    "SwarmService": "swarmservices",
    "SwarmStack": "swarmstacks",
    "SwarmWorkerPool": "swarmworkerpools",
}

_TRIES: Final = 4


class KubernetesObjects:
    """The `ports.objects.Objects` of one API server. Thread safe."""

    def __init__(self, api: KubernetesApi, recorder: EventRecorder) -> None:
        self._api = api
        self._secrets = Secrets(api)
        self.revisions = KubernetesRevisions(api)
        self.dependents = KubernetesDependents(api)
        self._recorder = recorder
        self._lock = threading.Lock()
        # What was applied last and what the server made of it, as hashes by key: see `_is_applied`.
        self._applied: dict[Key, tuple[str, str, str]] = {}

    def close(self) -> None:
        """Send the Events that wait, for a few seconds at most; close the connections."""
        self._recorder.close()
        self._api.close()

    def get(self, key: Key) -> Resource | None:
        """See `Objects`."""
        try:
            return resource_of(key.kind, self._api.call(f"get_{key.kind}", "GET", _path(key)))
        except ExternalError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
        with self._lock:
            self._applied.pop(key, None)
        return None

    def list(self, kind: Kind, namespace: str | None = None) -> list[Resource]:
        """See `Objects`."""
        scope = "" if namespace is None else f"/namespaces/{segment(namespace)}"
        path = f"/apis/{GROUP}/{VERSION}{scope}/{PLURALS[kind]}"
        return [resource_of(kind, item) for item in self._api.pages(f"list_{kind}", path)]

    def apply_status(self, resource: Resource, status: dict[str, Any]) -> Resource:
        """See `Objects`.

        The resourceVersion goes along, so that a new object of the same name is not given the old one's status: the status subresource ignores a uid in the apply. When
        something else of the object changed meanwhile, the uid is compared and the status applied all the same: it is ours whole, and it names its generation.
        """
        for _ in range(_TRIES):
            if self._is_applied(resource, status):
                return resource
            try:
                return self._send_status(resource, status)
            except ExternalError as error:
                if error.kind is not ErrorKind.CONFLICT:
                    raise
            resource = self._read_again(resource)
        raise ExternalError(ErrorKind.CONFLICT, SYSTEM, f"{resource.key} changes too often to apply its status")

    def set_finalizer(self, resource: Resource, present: bool) -> Resource:
        """See `Objects`.

        A merge patch of the whole list that carries the resourceVersion it was computed from: foreign finalizers are kept, a change in between answers 409 and is computed anew.
        Server-side apply would be shorter and is not safe: it removes our finalizer only while no other field manager owns it too (an object restored from a backup, or
        applied with its finalizers, could then never be deleted), and it re-creates an object that is gone.
        """
        for _ in range(_TRIES):
            if (FINALIZER in resource.finalizers) == present:
                return resource
            try:
                try:
                    return self._patch_finalizers(resource, present)
                except ExternalError as error:
                    if error.kind is not ErrorKind.CONFLICT:
                        raise
                resource = self._read_again(resource)
            except ExternalError as error:
                if error.kind is ErrorKind.NOT_FOUND and not present:
                    return resource
                raise
        raise ExternalError(ErrorKind.CONFLICT, SYSTEM, f"{resource.key} changes too often to set its finalizer")

    def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """See `Objects`."""
        return self._secrets.get(namespace, name)

    def get_held_secret(self, namespace: str, name: str) -> HeldSecret | None:
        """See `Objects`."""
        return self._secrets.get_held(namespace, name)

    def hold_secret(self, namespace: str, name: str, held: bool) -> None:
        """See `Objects`."""
        self._secrets.hold(namespace, name, held)

    def adopt_secret(self, owner: Resource, name: str, former_uid: str) -> None:
        """See `Objects`."""
        self._secrets.adopt(owner, name, former_uid)

    def orphan_secret(self, owner: Resource, name: str) -> None:
        """See `Objects`."""
        self._secrets.orphan(owner, name)

    def get_config_map(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """See `Objects`."""
        return self._secrets.get_config_map(namespace, name)

    def ensure_secret(self, owner: Resource, name: str, data: dict[str, bytes], *, secret_type: str = "Opaque") -> dict[str, bytes]:
        """See `Objects`."""
        return self._secrets.ensure(owner, name, data, secret_type)

    def update_secret(self, owner: Resource, name: str, data: dict[str, bytes]) -> None:
        """See `Objects`."""
        self._secrets.update(owner, name, data)

    def event(self, resource: Resource, reason: Reason, message: str, *, warning: bool = False) -> None:
        """See `Objects`."""
        self._recorder.record(resource, reason, message, warning=warning)

    def _read_again(self, resource: Resource) -> Resource:
        """The same object as it is now. NOT_FOUND when it is gone or another has its name."""
        fresh = self.get(resource.key)
        if fresh is None or fresh.uid != resource.uid:
            raise ExternalError(ErrorKind.NOT_FOUND, SYSTEM, f"{resource.key} is gone")
        return fresh

    def _send_status(self, resource: Resource, status: dict[str, Any]) -> Resource:
        key = resource.key
        body: Json = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "resourceVersion": resource.resource_version},
            "status": status,
        }
        query = {"fieldManager": STATUS_MANAGER, "force": "true"}
        answer = self._api.call(f"apply_status_{key.kind}", "PATCH", f"{_path(key)}/status", query=query, body=body, media_type=APPLY_PATCH)
        applied = resource_of(key.kind, answer)
        with self._lock:
            self._applied[key] = (applied.uid, _hash(status), _hash(applied.status))
        return applied

    def _is_applied(self, resource: Resource, status: dict[str, Any]) -> bool:
        """Whether `status` is what the object has. The API server may store it otherwise than sent (defaults of the schema, pruned fields), so also: whether the object
        still has what the server made of this very status."""
        if status == resource.status:
            return True
        with self._lock:
            applied = self._applied.get(resource.key)
        return applied == (resource.uid, _hash(status), _hash(resource.status))

    def _patch_finalizers(self, resource: Resource, present: bool) -> Resource:
        others = [name for name in resource.finalizers if name != FINALIZER]
        body: Json = {
            "metadata": {
                "uid": resource.uid,
                "resourceVersion": resource.resource_version,
                "finalizers": [*others, FINALIZER] if present else others,
            }
        }
        key = resource.key
        operation = f"{'add' if present else 'remove'}_finalizer_{key.kind}"
        answer = self._api.call(operation, "PATCH", _path(key), query={"fieldManager": FINALIZER_MANAGER}, body=body, media_type=MERGE_PATCH)
        return resource_of(key.kind, answer)


def _path(key: Key) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{segment(key.namespace)}/{PLURALS[key.kind]}/{segment(key.name)}"


def _hash(status: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(status, sort_keys=True).encode()).hexdigest()
