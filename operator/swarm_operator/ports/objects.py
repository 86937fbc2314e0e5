"""What the domain needs of Kubernetes. Methods raise `ExternalError` (system "kubernetes")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.service.revisions import Kept

Kind = Literal["SwarmCluster", "SwarmService", "SwarmStack", "SwarmWorkerPool"]
KINDS: Final[tuple[Kind, ...]] = ("SwarmCluster", "SwarmService", "SwarmStack", "SwarmWorkerPool")
"""Clusters first: the others need them."""


@dataclass(frozen=True, order=True)
class Key:
    """Names one object to reconcile."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Resource:
    """One of our objects as the API server holds it; `spec` and `status` are plain JSON, `owners` the UIDs of its owner references."""

    key: Key
    uid: str
    generation: int
    resource_version: str
    spec: dict[str, Any]
    status: dict[str, Any]
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()


class Revisions(Protocol):
    """Revisions of one SwarmService, owned by it: they go with it."""

    def list(self, owner: Resource) -> list[Kept]:
        """A complete LIST of those that `owner` owns, by its UID."""

    def create(self, owner: Resource, kept: Kept) -> None:
        """Store one. No error where it is there already and `owner` owns it; CONFLICT with reason NameConflict where another does."""

    def delete(self, owner: Resource, name: str) -> None:
        """Remove one; no error where it is gone."""


class Dependents(Protocol):
    """SwarmServices that one SwarmStack made, owned by it: they go with it."""

    def list(self, owner: Resource) -> list[Resource]:
        """A complete LIST of those that `owner` owns, by its UID."""

    def apply(self, owner: Resource, name: str, spec: dict[str, Any], digest: str, known: Resource | None) -> Resource:
        """Server-side apply of the spec, with `digest` as an annotation, onto `known` or as a new object. CONFLICT with reason NameConflict where a new one meets one of
        somebody else, CONFLICT where `known` is gone, INVALID where the API server refuses the spec."""

    def delete(self, resource: Resource) -> None:
        """Remove this very one; no error where it is gone."""


@dataclass(frozen=True)
class HeldSecret:
    """A Secret with what its metadata says. `held`: it carries the credentials finalizer. `deleting`: it goes as soon as no finalizer is left."""

    data: dict[str, bytes] = field(repr=False)
    held: bool = False
    deleting: bool = False


class Objects(Protocol):
    """Our kinds, their status, revisions, Secrets and Events."""

    @property
    def revisions(self) -> Revisions: ...
    @property
    def dependents(self) -> Dependents: ...

    def get(self, key: Key) -> Resource | None:
        """A fresh GET; None where the object does not exist."""

    def list(self, kind: Kind, namespace: str | None = None) -> list[Resource]:
        """A complete LIST."""

    def apply_status(self, resource: Resource, status: dict[str, Any]) -> Resource:
        """Server-side apply of the whole status with the fixed field manager; no call when equal to `resource.status`. NOT_FOUND when the object is gone."""

    def set_finalizer(self, resource: Resource, present: bool) -> Resource:
        """Add or remove our finalizer; no call when it is so already."""

    def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None: ...
    def get_held_secret(self, namespace: str, name: str) -> HeldSecret | None:
        """A Secret that `identityRef` may name, with its finalizer."""

    def hold_secret(self, namespace: str, name: str, held: bool) -> None:
        """Add or remove the credentials finalizer; no write when it is so already, nor where the Secret is gone or, for adding, is being deleted."""

    def adopt_secret(self, owner: Resource, name: str, former_uid: str) -> None:
        """Make `owner` the owner of a Secret of the operator's whose owner was the object `former_uid`, or that has none (restored, or orphaned). No write where it is gone, is
        `owner`'s already, or was not made by the operator; CONFLICT with reason NameConflict where it is another object's."""

    def orphan_secret(self, owner: Resource, name: str) -> None:
        """Take `owner` off the Secret's owners, so that it is not collected with it; no write where it is gone or not `owner`'s."""

    def get_config_map(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """`data` (as UTF-8) and `binaryData` of a ConfigMap; None where there is none."""

    def ensure_secret(self, owner: Resource, name: str, data: dict[str, bytes], *, secret_type: str = "Opaque") -> dict[str, bytes]:
        """Create the Secret, owned by `owner` (ownerReference), if there is none; the data that is in force (an existing one of the same owner wins).
        CONFLICT with reason NameConflict when a Secret of that name has another owner."""

    def update_secret(self, owner: Resource, name: str, data: dict[str, bytes]) -> None: ...
    def event(self, resource: Resource, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Record a Kubernetes Event; aggregated and rate limited; never raises."""
