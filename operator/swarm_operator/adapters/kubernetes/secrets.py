"""Secrets that the operator keeps for an object, owned by it: the garbage collector removes them with their owner. And Secrets and ConfigMaps that users name.

Read by name at use; never listed, watched or cached. Does not: log or return anything of a Secret but its data.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final

from swarm_operator.adapters.kubernetes.api import SYSTEM, Json, KubernetesApi, segment
from swarm_operator.api.base import API_VERSION, CREDENTIALS_FINALIZER
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.objects import HeldSecret, Resource

FIELD_MANAGER: Final = "swarm-operator-secrets"
_TRIES: Final = 4
_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
_MANAGER: Final = "swarm-operator"


class Secrets:
    """GET, create and update of Secrets; see `ports.objects.Objects`."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def get(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The decoded data, None where there is no such Secret."""
        secret = self._read(namespace, name)
        return None if secret is None else _data(secret)

    def get_held(self, namespace: str, name: str) -> HeldSecret | None:
        """See `Objects.get_held_secret`."""
        secret = self._read(namespace, name)
        if secret is None:
            return None
        metadata = secret["metadata"]
        return HeldSecret(_data(secret), CREDENTIALS_FINALIZER in (metadata.get("finalizers") or ()), "deletionTimestamp" in metadata)

    def hold(self, namespace: str, name: str, held: bool) -> None:
        """See `Objects.hold_secret`."""

        def change(metadata: Json) -> Json | None:
            before: list[str] = metadata.get("finalizers") or []
            # The API server refuses a new finalizer on an object that is being deleted.
            if (CREDENTIALS_FINALIZER in before) == held or (held and "deletionTimestamp" in metadata):
                return None
            others = [finalizer for finalizer in before if finalizer != CREDENTIALS_FINALIZER]
            return {"finalizers": [*others, CREDENTIALS_FINALIZER] if held else others}

        self._change_metadata(namespace, name, change)

    def _change_metadata(self, namespace: str, name: str, change: Callable[[Json], Json | None]) -> None:
        """Write what `change` says of the metadata; None: nothing. A PUT of what was read, with its resourceVersion; CONFLICT when it changes too often."""
        for _ in range(_TRIES):
            secret = self._read(namespace, name)
            wanted = change(secret["metadata"]) if secret is not None else None
            if secret is None or wanted is None:
                return
            body = {**secret, "metadata": {**secret["metadata"], **wanted}}
            try:
                self._api.call("update_secret", "PUT", _path(namespace, name), query={"fieldManager": FIELD_MANAGER}, body=body)
                return
            except ExternalError as error:
                if error.kind is not ErrorKind.CONFLICT:
                    raise
        raise ExternalError(ErrorKind.CONFLICT, SYSTEM, f"Secret {name!r} changes too often to change its metadata")

    def adopt(self, owner: Resource, name: str, former_uid: str) -> None:
        """See `Objects.adopt_secret`."""

        def change(metadata: Json) -> Json | None:
            references: list[Json] = metadata.get("ownerReferences") or []
            if any(reference.get("uid") == owner.uid for reference in references):
                return None
            if not references and (metadata.get("labels") or {}).get(_MANAGED_BY) != _MANAGER:
                return None  # a user's own
            if any(reference.get("uid") != former_uid for reference in references):
                raise ExternalError(ErrorKind.CONFLICT, SYSTEM, f"Secret {name!r} exists and does not belong to {owner.key}", reason=Reason.NAME_CONFLICT)
            return {"ownerReferences": [_reference(owner)]}

        self._change_metadata(owner.key.namespace, name, change)

    def orphan(self, owner: Resource, name: str) -> None:
        """See `Objects.orphan_secret`."""

        def change(metadata: Json) -> Json | None:
            references: list[Json] = metadata.get("ownerReferences") or []
            others = [reference for reference in references if reference.get("uid") != owner.uid]
            return None if len(others) == len(references) else {"ownerReferences": others}

        self._change_metadata(owner.key.namespace, name, change)

    def get_config_map(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """All keys of a ConfigMap, text as UTF-8; None where there is no such ConfigMap."""
        try:
            found = self._api.call("get_configmap", "GET", f"/api/v1/namespaces/{segment(namespace)}/configmaps/{segment(name)}")
        except ExternalError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise
        return {key: str(value).encode() for key, value in (found.get("data") or {}).items()} | _data({"data": found.get("binaryData")})

    def ensure(self, owner: Resource, name: str, data: Mapping[str, bytes], secret_type: str) -> dict[str, bytes]:
        """See `Objects.ensure_secret`."""
        existing = self._read(owner.key.namespace, name)
        if existing is None:
            manifest = _manifest(owner, name, data, secret_type)
            try:
                created = self._api.call("create_secret", "POST", _path(owner.key.namespace), query={"fieldManager": FIELD_MANAGER}, body=manifest)
            except ExternalError as error:
                if error.kind is not ErrorKind.CONFLICT:
                    raise
                # Somebody was quicker: what is there now is in force, if it is ours.
                existing = self._read(owner.key.namespace, name)
                if existing is None:
                    raise
            else:
                return _data(created)
        _require_owner(existing, owner, name)
        return _data(existing)

    def update(self, owner: Resource, name: str, data: Mapping[str, bytes]) -> None:
        """Put exactly `data` into the owner's Secret; no write when it is so already. NOT_FOUND where it is gone, CONFLICT when it changed meanwhile or is not the owner's."""
        existing = self._read(owner.key.namespace, name)
        if existing is None:
            raise ExternalError(ErrorKind.NOT_FOUND, SYSTEM, f"Secret {name!r} not found", reason=Reason.SECRET_NOT_FOUND)
        _require_owner(existing, owner, name)
        if _data(existing) == dict(data):
            return
        # A PUT of what was read, with its resourceVersion: keys that are no longer wanted go away, labels of others stay, a change in between is a conflict.
        self._api.call(
            "update_secret", "PUT", _path(owner.key.namespace, name), query={"fieldManager": FIELD_MANAGER}, body={**existing, "data": _encode(data)}
        )

    def _read(self, namespace: str, name: str) -> Json | None:
        try:
            return self._api.call("get_secret", "GET", _path(namespace, name))
        except ExternalError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise


def _path(namespace: str, name: str | None = None) -> str:
    path = f"/api/v1/namespaces/{segment(namespace)}/secrets"
    return path if name is None else f"{path}/{segment(name)}"


def _manifest(owner: Resource, name: str, data: Mapping[str, bytes], secret_type: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": owner.key.namespace,
            "labels": {_MANAGED_BY: _MANAGER},
            "ownerReferences": [_reference(owner)],
        },
        "type": secret_type,
        "data": _encode(data),
    }


def _reference(owner: Resource) -> Json:
    # blockOwnerDeletion would need the right to change the owner's finalizers (OwnerReferencesPermissionEnforcement) and is of no use here.
    return {"apiVersion": API_VERSION, "kind": owner.key.kind, "name": owner.key.name, "uid": owner.uid, "controller": True}


def _require_owner(secret: Json, owner: Resource, name: str) -> None:
    references: list[dict[str, Any]] = secret["metadata"].get("ownerReferences") or []
    if not any(reference.get("uid") == owner.uid for reference in references):
        raise ExternalError(ErrorKind.CONFLICT, SYSTEM, f"Secret {name!r} exists and does not belong to {owner.key}", reason=Reason.NAME_CONFLICT)


def _encode(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}


def _data(secret: Json) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, TypeError) as error:
        raise ExternalError(ErrorKind.INVALID, SYSTEM, "a Secret's data is not base64") from error
