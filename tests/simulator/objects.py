"""The Kubernetes API server, as far as the Objects port goes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from simulator.revisions import SimRevisions
from swarm_operator.api.base import FINALIZER
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.objects import HeldSecret, Key, Kind, Resource


@dataclass
class SimObjects:
    resources: dict[Key, Resource] = field(default_factory=dict)
    secrets: dict[tuple[str, str], tuple[str, dict[str, bytes]]] = field(default_factory=dict)
    held: set[tuple[str, str]] = field(default_factory=set)
    going: set[tuple[str, str]] = field(default_factory=set)
    foreign: set[tuple[str, str]] = field(default_factory=set)
    """Names of Secrets that somebody else has."""
    events: list[tuple[Reason, str]] = field(default_factory=list)
    revisions: SimRevisions = field(default_factory=SimRevisions)
    status_writes: int = 0
    writes: int = 0
    _version: int = 0

    def get(self, key: Key) -> Resource | None:
        return self.resources.get(key)

    def list(self, kind: Kind, namespace: str | None = None) -> list[Resource]:
        return [r for r in self.resources.values() if r.key.kind == kind and namespace in (None, r.key.namespace)]

    def _store(self, resource: Resource) -> Resource:
        self._version += 1
        stored = replace(resource, resource_version=str(self._version))
        if stored.deleting and not stored.finalizers:
            del self.resources[stored.key]
            for name in [n for n, (owner, _) in self.secrets.items() if owner == stored.uid]:
                del self.secrets[name]
        else:
            self.resources[stored.key] = stored
        return stored

    def _present(self, resource: Resource) -> Resource:
        found = self.resources.get(resource.key)
        if found is None or found.uid != resource.uid:
            raise ExternalError(ErrorKind.NOT_FOUND, "kubernetes", f"{resource.key} is gone")
        return found

    def apply_status(self, resource: Resource, status: dict[str, Any]) -> Resource:
        found = self._present(resource)
        text = json.dumps(status)
        assert "PRIVATE KEY" not in text and "SWMTKN" not in text and "SWMKEY" not in text
        if json.loads(text) == found.status:
            return found
        self.status_writes += 1
        return self._store(replace(found, status=json.loads(text)))

    def set_finalizer(self, resource: Resource, present: bool) -> Resource:
        found = self._present(resource)
        if (FINALIZER in found.finalizers) == present:
            return found
        self.writes += 1
        return self._store(replace(found, finalizers=(FINALIZER,) if present else ()))

    def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        found = self.secrets.get((namespace, name))
        return dict(found[1]) if found is not None else None

    def get_held_secret(self, namespace: str, name: str) -> HeldSecret | None:
        found = self.secrets.get((namespace, name))
        return HeldSecret(dict(found[1]), (namespace, name) in self.held, (namespace, name) in self.going) if found is not None else None

    def hold_secret(self, namespace: str, name: str, held: bool) -> None:
        key = (namespace, name)
        if key not in self.secrets or (key in self.held) == held or (held and key in self.going):
            return
        self.writes += 1
        (self.held.add if held else self.held.discard)(key)
        if key in self.going and not held:
            self.delete_secret(namespace, name)

    def adopt_secret(self, owner: Resource, name: str, former_uid: str) -> None:
        key = (owner.key.namespace, name)
        found = self.secrets.get(key)
        if found is None or found[0] == owner.uid:
            return
        if found[0] not in (former_uid, ""):
            raise ExternalError(ErrorKind.CONFLICT, "kubernetes", f"Secret {name!r} is another's", reason=Reason.NAME_CONFLICT)
        self.writes += 1
        self.secrets[key] = (owner.uid, found[1])

    def orphan_secret(self, owner: Resource, name: str) -> None:
        key = (owner.key.namespace, name)
        found = self.secrets.get(key)
        if found is not None and found[0] == owner.uid:
            self.writes += 1
            self.secrets[key] = ("", found[1])

    def delete_secret(self, namespace: str, name: str) -> None:
        """As `kubectl delete secret`: it stays while it is held."""
        self.going.add((namespace, name))
        if (namespace, name) not in self.held:
            self.going.discard((namespace, name))
            del self.secrets[(namespace, name)]

    def ensure_secret(self, owner: Resource, name: str, data: dict[str, bytes], *, secret_type: str = "Opaque") -> dict[str, bytes]:
        key = (owner.key.namespace, name)
        if key in self.foreign:
            raise ExternalError(ErrorKind.CONFLICT, "kubernetes", f"Secret {name!r} is somebody else's", reason=Reason.NAME_CONFLICT)
        if key not in self.secrets:
            self.writes += 1
            self.secrets[key] = (owner.uid, dict(data))
        return dict(self.secrets[key][1])

    def update_secret(self, owner: Resource, name: str, data: dict[str, bytes]) -> None:
        self.writes += 1
        self.secrets[(owner.key.namespace, name)] = (owner.uid, dict(data))

    def event(self, resource: Resource, reason: Reason, message: str, *, warning: bool = False) -> None:
        assert "SWMTKN" not in message and "SWMKEY" not in message
        self.events.append((reason, message))
