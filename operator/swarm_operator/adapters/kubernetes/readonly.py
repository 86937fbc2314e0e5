"""The `Objects` port for somebody who only looks: reads are real, writes are refused."""

from __future__ import annotations

import builtins
from typing import Any, NoReturn

from swarm_operator.adapters.kubernetes.api import SYSTEM, KubernetesApi
from swarm_operator.adapters.kubernetes.dependents import KubernetesDependents
from swarm_operator.adapters.kubernetes.objects import PLURALS
from swarm_operator.adapters.kubernetes.resources import resource_of
from swarm_operator.adapters.kubernetes.revisions import KubernetesRevisions
from swarm_operator.adapters.kubernetes.secrets import Secrets
from swarm_operator.api.base import API_VERSION
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.revisions import Kept
from swarm_operator.ports.objects import HeldSecret, Key, Kind, Resource


class ReadOnlyRevisions:
    """See the module."""

    def __init__(self, api: KubernetesApi) -> None:
        self._real = KubernetesRevisions(api)

    def list(self, owner: Resource) -> list[Kept]:
        """See `Revisions`."""
        return self._real.list(owner)

    def create(self, owner: Resource, kept: Kept) -> None:
        """Refused."""
        _refuse()

    def delete(self, owner: Resource, name: str) -> None:
        """Refused."""
        _refuse()


class ReadOnlyDependents:
    """See the module."""

    def __init__(self, api: KubernetesApi) -> None:
        self._real = KubernetesDependents(api)

    def list(self, owner: Resource) -> list[Resource]:
        """See `Dependents`."""
        return self._real.list(owner)

    def apply(self, owner: Resource, name: str, spec: dict[str, Any], digest: str, known: Resource | None) -> Resource:
        """Refused."""
        _refuse()

    def delete(self, resource: Resource) -> None:
        """Refused."""
        _refuse()


class ReadOnlyObjects:
    """See the module."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api, self._secrets = api, Secrets(api)
        self.revisions = ReadOnlyRevisions(api)
        self.dependents = ReadOnlyDependents(api)

    def get(self, key: Key) -> Resource | None:
        """See `Objects`."""
        try:
            path = f"/apis/{API_VERSION}/namespaces/{key.namespace}/{PLURALS[key.kind]}/{key.name}"
            return resource_of(key.kind, self._api.call(f"get_{key.kind}", "GET", path))
        except ExternalError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise

    def list(self, kind: Kind, namespace: str | None = None) -> builtins.list[Resource]:
        """See `Objects`."""
        scope = "" if namespace is None else f"/namespaces/{namespace}"
        return [resource_of(kind, item) for item in self._api.pages(f"list_{kind}", f"/apis/{API_VERSION}{scope}/{PLURALS[kind]}")]

    def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """See `Objects`."""
        return self._secrets.get(namespace, name)

    def get_held_secret(self, namespace: str, name: str) -> HeldSecret | None:
        """See `Objects`."""
        return self._secrets.get_held(namespace, name)

    def get_config_map(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """See `Objects`."""
        return self._secrets.get_config_map(namespace, name)

    def ensure_secret(self, owner: Resource, name: str, data: dict[str, bytes], *, secret_type: str = "Opaque") -> dict[str, bytes]:
        """The one that is there; else `data`, which nobody will know afterwards: names that are made with such a key are not those that the operator will choose."""
        return self._secrets.get(owner.key.namespace, name) or data

    def apply_status(self, resource: Resource, status: dict[str, Any]) -> Resource:
        """Refused."""
        _refuse()

    def set_finalizer(self, resource: Resource, present: bool) -> Resource:
        """Refused."""
        _refuse()

    def hold_secret(self, namespace: str, name: str, held: bool) -> None:
        """Refused."""
        _refuse()

    def update_secret(self, owner: Resource, name: str, data: dict[str, bytes]) -> None:
        """Refused."""
        _refuse()

    def adopt_secret(self, owner: Resource, name: str, former_uid: str) -> None:
        """Refused."""
        _refuse()

    def orphan_secret(self, owner: Resource, name: str) -> None:
        """Refused."""
        _refuse()

    def event(self, resource: Resource, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Refused."""
        _refuse()


def _refuse() -> NoReturn:
    raise ExternalError(ErrorKind.FORBIDDEN, SYSTEM, "who only looks writes nothing")
