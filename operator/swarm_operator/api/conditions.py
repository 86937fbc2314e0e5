"""Conditions (Kubernetes API conventions, `metav1.Condition`) and the pure rules for setting them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from swarm_operator.api.base import ApiModel
from swarm_operator.api.reasons import Reason

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """Every condition type that either kind carries."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PAUSED = "Paused"
    # SwarmCluster
    CREDENTIALS_VALID = "CredentialsValid"
    INFRASTRUCTURE_READY = "InfrastructureReady"
    MANAGERS_QUORATE = "ManagersQuorate"
    MEMBERS_UP_TO_DATE = "MembersUpToDate"
    REMEDIATION_ALLOWED = "RemediationAllowed"
    DELETION_BLOCKED = "DeletionBlocked"
    # SwarmService
    CLUSTER_REACHABLE = "ClusterReachable"
    APPLIED = "Applied"
    AVAILABLE = "Available"
    DRIFTED = "Drifted"


class Condition(ApiModel):
    """One observed aspect of an object."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(default=None, ge=0, description="metadata.generation that the condition was set upon.")
    last_transition_time: str = Field(description="When the status last changed.", json_schema_extra={"format": "date-time"})
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
