"""Conditions (Kubernetes API conventions, `metav1.Condition`) and the pure rules for setting them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from swarm_operator.api.base import ApiModel, Moment
from swarm_operator.api.reasons import Reason

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """Every condition type, with what True means. Docs are generated from it."""

    doc: str

    def __new__(cls, value: str, doc: str = "") -> ConditionType:
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member

    # all kinds
    READY = "Ready", "All is as declared. Reason and message are those of the most important thing that is not."
    RECONCILING = "Reconciling", "The operator works towards the spec; False when there is nothing left to do."
    STALLED = "Stalled", "No retry can help, or no progress was made for too long: somebody must act. The message says how."
    PAUSED = "Paused", "`spec.paused` is set: nothing is changed."
    # SwarmCluster
    CREDENTIALS_VALID = "CredentialsValid", "Keystone accepts the credentials that `spec.identityRef` names."
    CREDENTIALS_EXPIRING = (
        "CredentialsExpiring",
        "The credentials expire within `identityRef.expiryWarningDays` days, or have expired; Unknown where the cloud does not tell.",
    )
    INFRASTRUCTURE_READY = "InfrastructureReady", "Network, security groups, key pair and floating IPs exist as declared."
    MANAGERS_QUORATE = "ManagersQuorate", "A majority of the managers answers and there is a leader, so the swarm can be changed."
    MEMBERS_UP_TO_DATE = "MembersUpToDate", "As many servers as declared are ready nodes of the swarm, and are as declared."
    REMEDIATION_ALLOWED = (
        "RemediationAllowed",
        "Failed machines are repaired and replaced; False while that is frozen: too many at once, a whole zone, or the operator is cut off.",
    )
    ROLLOUT_HALTED = "RolloutHalted", "A new machine failed: no further one is replaced until the spec changes."
    DELETION_BLOCKED = "DeletionBlocked", "The object is being deleted and something in the cloud stands in the way."
    ORPHANS_FOUND = "OrphansFound", "Objects in the cloud carry the cluster's UID and serve no part of it; the message and `status.orphans` name them."
    IMAGES_READY = "ImagesReady", "The snapshots of the spec, and its images from the web, are in Glance and can be booted from."
    BACKUP_READY = (
        "BackupReady",
        "The last backup of the raft state succeeded, or none is asked for. For information: the cluster is as `Ready` as without.",
    )
    SPREAD_DEGRADED = "SpreadDegraded", "Servers share a host or a zone more than they need to. For information: the cluster is as `Ready` as without."
    # SwarmService
    CLUSTER_REACHABLE = "ClusterReachable", "A manager of the cluster answers."
    APPLIED = "Applied", "The engine holds the service as declared."
    AVAILABLE = "Available", "As many tasks run as declared."
    DRIFTED = "Drifted", "The service in the swarm differs from the spec: somebody changed it, and it is not put back (yet)."
    PINNED = "Pinned", "`spec.rollbackTo` holds the service at an earlier revision; the message names the fields of the spec that differ from it."
    # SwarmStack
    COMPOSE_VALID = "ComposeValid", "The compose file can be carried out. While it can't, nothing of the stack is changed; the message names the places."
    KEYS_IGNORED = (
        "KeysIgnored",
        "The compose file has keys that swarm can't carry out, or variables that are not set; the message and `status.warnings` name them.",
    )
    SERVICES_APPLIED = "ServicesApplied", "The SwarmServices and networks of the stack are as the compose file says, and what has left it is removed."
    SERVICES_READY = "ServicesReady", "All SwarmServices of the stack are Ready."
    # SwarmWorkerPool
    ACCEPTED = (
        "Accepted",
        "The pool is a part of its SwarmCluster. While it is not, no worker of it is made, changed or removed; the message names the field.",
    )


_COMMON = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED)
CLUSTER_CONDITIONS: Final = (
    *_COMMON,
    ConditionType.CREDENTIALS_VALID,
    ConditionType.CREDENTIALS_EXPIRING,
    ConditionType.INFRASTRUCTURE_READY,
    ConditionType.MANAGERS_QUORATE,
    ConditionType.MEMBERS_UP_TO_DATE,
    ConditionType.REMEDIATION_ALLOWED,
    ConditionType.ROLLOUT_HALTED,
    ConditionType.DELETION_BLOCKED,
    ConditionType.ORPHANS_FOUND,
    ConditionType.IMAGES_READY,
    ConditionType.BACKUP_READY,
    ConditionType.SPREAD_DEGRADED,
)
"""The conditions of a SwarmCluster."""
SERVICE_CONDITIONS: Final = (
    *_COMMON,
    ConditionType.CLUSTER_REACHABLE,
    ConditionType.APPLIED,
    ConditionType.AVAILABLE,
    ConditionType.DRIFTED,
    ConditionType.PINNED,
)
"""The conditions of a SwarmService."""
STACK_CONDITIONS: Final = (
    *_COMMON,
    ConditionType.CLUSTER_REACHABLE,
    ConditionType.COMPOSE_VALID,
    ConditionType.KEYS_IGNORED,
    ConditionType.SERVICES_APPLIED,
    ConditionType.SERVICES_READY,
)
"""The conditions of a SwarmStack."""
POOL_CONDITIONS: Final = (*_COMMON, ConditionType.ACCEPTED)
"""The conditions of a SwarmWorkerPool."""


class Condition(ApiModel):
    """One observed aspect of an object."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(default=None, ge=0, description="metadata.generation that the condition was set upon.")
    last_transition_time: Moment = Field(description="When the status last changed.")
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")] = Field(description="CamelCase reason.")
    message: Annotated[str, Field(max_length=32768)] = Field(description="Human readable details.")


class Verdict(ApiModel):
    """What a pure decision says of one condition; it has no time and no generation yet."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str = ""


def merge_conditions(previous: Iterable[Condition], verdicts: Iterable[Verdict], *, generation: int, now: str) -> list[Condition]:
    """The new condition list: one per verdict, sorted by type.

    `last_transition_time` moves only when `status` moves (API conventions). Previous conditions that no verdict names are dropped: each decision names all of its
    kind's conditions. `now` is RFC 3339 in UTC with whole seconds.
    """
    by_type = {c.type: c for c in previous}
    merged = []
    for verdict in verdicts:
        old = by_type.get(verdict.type.value)
        since = old.last_transition_time if old is not None and old.status == verdict.status else now
        merged.append(
            Condition(
                type=verdict.type.value,
                status=verdict.status,
                observed_generation=generation,
                last_transition_time=since,
                reason=verdict.reason.value,
                message=verdict.message[:32768],
            )
        )
    return sorted(merged, key=lambda c: c.type)
