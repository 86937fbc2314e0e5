"""The revisions of a service: which fields one holds, when a new number is due, which are dropped, and what a spec becomes that is held at an earlier one. Pure.

A revision holds what `docker service rollback` would bring back, without the fields that scale the service or say how the operator treats it. It refers to ConfigMaps and
Secrets by name, as the manifest does: going back takes their content as it is then. The image is the one that ran, with its digest where that was looked up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.api.history import RevisionStatus
from swarm_operator.api.parse import SpecError, parse_service
from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.api.validation import validate_service
from swarm_operator.domain.digests import digest_of

Json = dict[str, Any]

OUTSIDE: Final = frozenset(
    {
        *("cluster_ref", "service_name", "mode", "replicas", "job"),
        *("update_config", "rollback_config", "image_policy", "image_pull_secrets", "material_history_limit"),
        *("drift_policy", "adoption_policy", "deletion_policy", "progress_deadline_seconds", "paused"),
        *("rollback_to", "revision_history_limit", "paused_update", "schedule", "rebalance"),
    }
)
"""Fields of the spec that no revision holds; all others it does."""
HELD: Final = tuple(name for name in SwarmServiceSpec.model_fields if name not in OUTSIDE)
NAME_DIGITS: Final = 10


class RevisionProblem(Exception):
    """The revision that the spec asks for can't be had."""


@dataclass(frozen=True)
class Kept:
    """A ControllerRevision of ours. `template` is what `template_of` gave."""

    revision: int
    name: str
    template: Json = field(repr=False)
    created_at: str = ""

    @property
    def hash(self) -> str:
        return hash_of(self.template)


@dataclass(frozen=True)
class Recording:
    """What is to be done so that the present template is on record: `number` is its revision, `create` whether it is a new one, `drop` goes."""

    number: int
    create: bool
    drop: tuple[Kept, ...]


def template_of(spec: SwarmServiceSpec, image: str | None) -> Json:
    """The fields of a revision as in the manifest, without those that have their default. `image` is the resolved one, None where it was not looked up."""
    held = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=set(OUTSIDE))
    return held if image is None else {**held, "image": image}


def hash_of(template: Mapping[str, Any]) -> str:
    """SHA-256, hex: equal exactly for equal templates."""
    return digest_of(template)


def object_name(owner_name: str, owner_uid: str, template: Mapping[str, Any]) -> str:
    """Name of the ControllerRevision: the same for the same template of the same object, so that it is never made twice."""
    digest = hashlib.sha256(f"{owner_uid} {hash_of(template)}".encode()).hexdigest()[:NAME_DIGITS]
    return f"{owner_name[: 252 - NAME_DIGITS]}-{digest}"


def is_recorded(status: SwarmServiceStatus, template: Mapping[str, Any], limit: int) -> bool:
    """Whether the status already names `template` as the applied revision, and no more are kept than `limit` besides it."""
    current = next((r for r in status.revisions if r.revision == status.revision), None)
    return current is not None and current.hash == hash_of(template) and len(status.revisions) <= limit + 1


def recording(kept: Sequence[Kept], template: Mapping[str, Any], applied: Mapping[int, str], limit: int, pinned: int | None) -> Recording:
    """`applied` says when each number was last applied, as far as that is known. Those applied longest ago are dropped first; never the present or the pinned one."""
    present = next((k for k in kept if k.hash == hash_of(template)), None)
    number = present.revision if present is not None else max((k.revision for k in kept), default=0) + 1
    others = sorted((k for k in kept if k.revision not in (number, pinned)), key=lambda k: (applied.get(k.revision, k.created_at), k.revision), reverse=True)
    room = limit - (1 if pinned is not None and pinned != number else 0)
    return Recording(number, present is None, tuple(others[max(0, room) :]))


def listed(kept: Iterable[Kept], applied: Mapping[int, str]) -> list[RevisionStatus]:
    """For the status."""
    return [
        RevisionStatus(
            revision=k.revision,
            hash=k.hash,
            applied_at=applied.get(k.revision, k.created_at),
            name=k.name,
            image=str(k.template.get("image", ""))[:512],
        )
        for k in sorted(kept, key=lambda k: -k.revision)
    ]


def held_at(spec: SwarmServiceSpec, kept: Iterable[Kept], number: int) -> tuple[SwarmServiceSpec, tuple[str, ...]]:
    """The spec with the fields of revision `number`, and the manifest's names of those in which they differ. Raises RevisionProblem."""
    known = {k.revision: k for k in kept}
    if number not in known:
        listing = ", ".join(str(n) for n in sorted(known)) or "none"
        raise RevisionProblem(f"revision {number} is not kept; those that are: {listing}")
    try:
        revision = parse_service({**known[number].template, "clusterRef": {"name": spec.cluster_ref.name}})
        changed = spec.model_copy(update={name: getattr(revision, name) for name in HELD})
        problems = validate_service(changed)
        if problems:
            raise SpecError(problems)
    except SpecError as error:
        raise RevisionProblem(f"revision {number} can't be applied: {error}") from error
    fields = SwarmServiceSpec.model_fields
    return changed, tuple(sorted(str(fields[name].alias) for name in HELD if getattr(spec, name) != getattr(changed, name)))
