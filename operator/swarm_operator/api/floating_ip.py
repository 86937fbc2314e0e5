"""Floating IPs of managers and workers: new ones, or given ones of the project."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_TYPE, ApiModel, IPv4Address, ResourceRef, cel, schema_extra

_GIVEN_RULE: Final = cel("self.enabled || !has(self.addresses) || self.addresses.size() == 0", "`addresses` need `enabled: true`", fieldPath=".addresses")


class FloatingIPSettings(ApiModel):
    """Where floating IPs are from, and what becomes of them."""

    pool: ResourceRef | None = Field(
        default=None,
        description="External network that new floating IPs are taken from, where it is not spec.network.external. The servers' subnet must have a router to it.",
    )
    addresses: list[IPv4Address] = Field(
        default_factory=list,
        max_length=64,
        description="Floating IPs of the project to use, in the order of the slots; slots beyond the list get new ones. They are associated, and never deleted or changed otherwise.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    deletion_policy: Literal["Delete", "Release"] = Field(
        default="Delete",
        description="Of floating IPs that were made, when their slot or the cluster goes. Delete: give them back to the cloud. Release: they stay in the project, and are the cluster's no more.",
    )


class FloatingIPSpec(FloatingIPSettings):
    """Floating IPs of managers."""

    model_config = ConfigDict(json_schema_extra=schema_extra(_GIVEN_RULE))

    enabled: bool = Field(default=True, description="Give each manager a floating IP. Without it the operator must reach the fixed addresses.")


class WorkerFloatingIPSpec(FloatingIPSettings):
    """Floating IPs of workers."""

    model_config = ConfigDict(json_schema_extra=schema_extra(_GIVEN_RULE))

    enabled: bool = Field(default=False, description="Give each worker of the pool a floating IP, for what it publishes. The operator does not need one.")
