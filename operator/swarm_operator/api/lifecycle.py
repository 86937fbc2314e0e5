"""How machines are kept: when one counts as failed, and what is done then."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarm_operator.api.backup import BackupName
from swarm_operator.api.base import LIST_TYPE, ApiModel, DnsLabel


class HealthCheckSpec(ApiModel):
    """When a machine counts as failed."""

    node_startup_timeout_seconds: Annotated[int, Field(ge=30, le=86400)] = Field(
        default=600, description="From the creation of a server to a ready swarm node."
    )
    node_down_grace_seconds: Annotated[int, Field(ge=5, le=86400)] = Field(default=60, description="How long a node may be down before it is replaced.")


RungName = Literal["RestartEngine", "Rejoin", "Start", "SoftReboot", "HardReboot", "Replace"]


ALL_RUNGS: tuple[RungName, ...] = ("RestartEngine", "Rejoin", "Start", "SoftReboot", "HardReboot", "Replace")


class RetryBudgetSpec(ApiModel):
    """How often is repaired before something else is done. After a repair of a machine that fails again and again the pause before the next one doubles each time."""

    per_machine: Annotated[int, Field(ge=1, le=100)] = Field(
        default=5, description="Repairs of one machine since it was last healthy for ten minutes; after these it is replaced."
    )
    per_cluster: Annotated[int, Field(ge=1, le=10000)] = Field(
        default=30, description="Repairs and replacements of failed machines within windowSeconds; after these all are frozen until the window is over."
    )
    window_seconds: Annotated[int, Field(ge=60, le=604800)] = Field(default=3600, description="Length of the window of perCluster.")


class RemediationSpec(ApiModel):
    """What is done with a failed machine."""

    policy: Literal["Replace", "None"] = Field(
        default="Replace",
        description="Replace: repair failed machines (restart the engine, join again, start, reboot) and replace those that no repair brings back. None: only report them.",
    )
    max_unhealthy_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=60, description="No repair or replacement starts while more than this share of the machines is unhealthy at once."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="How many machines are repaired or replaced at once. Of managers never more than one."
    )
    rung_seconds: Annotated[int, Field(ge=5, le=3600)] = Field(
        default=60, description="How long each repair may take to bring the node back before the next, stronger one is tried."
    )
    rungs: list[RungName] = Field(
        default_factory=lambda: list(ALL_RUNGS),
        max_length=6,
        description="Which repairs may be tried, in their fixed order. Without Replace a machine that no repair brings back is only reported.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    rebuild: bool = Field(
        default=True,
        description="Rebuild a worker that no other repair brought back before it is replaced: a new root disk from its image; server, ports, addresses and volumes stay.",
    )
    retry_budget: RetryBudgetSpec = Field(default_factory=RetryBudgetSpec, description="How often is repaired before something else is done.")


class LifecycleHook(ApiModel):
    """A point at which the removal of a machine waits for somebody else."""

    name: DnsLabel = Field(description="Name of the hook, as the annotation `swarmops.io/hook-done` has it after the machine's.")
    at: Literal["PreDrain", "PreTerminate"] = Field(
        description="PreDrain: before the node is drained. PreTerminate: when it is drained, before its server goes."
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=604800)] = Field(default=600, description="How long it is waited for; then the removal goes on.")
    pools: list[Annotated[str, Field(min_length=1, max_length=24)]] = Field(
        default_factory=list,
        max_length=32,
        description="Worker pools whose machines it holds, `manager` for managers; all when empty.",
        json_schema_extra={LIST_TYPE: "set"},
    )


class RecoverySpec(ApiModel):
    """What is done when the majority of the managers is gone for good."""

    mode: Literal["Manual", "Auto"] = Field(
        default="Manual",
        description="Manual: the swarm is made anew from a manager that is left once `approve` is set to a new text. Auto: it is made anew after afterSeconds.",
    )
    after_seconds: Annotated[int, Field(ge=30, le=86400)] = Field(
        default=300, description="For how long Nova must have had no server for the majority of the managers, also where it was approved."
    )
    approve: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Any text. Each new text approves one recovery; what only the lost managers knew is lost."
    )
    restore_from: BackupName | None = Field(
        default=None,
        description="A backup of status.backup.kept. Where no manager is left, and `approve` is a new text, the swarm is restored from it; what changed since is lost.",
    )
