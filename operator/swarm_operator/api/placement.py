"""Where servers are put: availability zones and server groups."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_TYPE, ApiModel, CloudName, cel, schema_extra

GroupPolicy = Literal["SoftAntiAffinity", "AntiAffinity", "SoftAffinity", "Affinity", "None"]
Zone = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^:]+$")]
"""Name of a Nova availability zone; a colon would name a host, which is for administrators."""
ZONE_LIST: Final = schema_extra(**{LIST_TYPE: "set"})
FALLBACK_RULE: Final = cel(
    "!has(self.availabilityZones) || !has(self.fallbackZones) || self.fallbackZones.all(z, !(z in self.availabilityZones))",
    "`fallbackZones` must not hold a zone of `availabilityZones`",
    fieldPath=".fallbackZones",
)


class ServerGroupSpec(ApiModel):
    """The Nova server group of a role's servers: one made by the operator with a policy, or one that exists."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("[has(self.policy), has(self.id), has(self.name)].filter(x, x).size() == 1", "must set exactly one of `policy`, `id`, `name`")
        )
    )

    policy: GroupPolicy | None = Field(
        default=None,
        description="Make a group for the managers, and one for each pool, with this policy. Soft policies are kept where the cloud can; the others refuse a server that "
        "would break them. None: no group.",
    )
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="ID of a group that exists; it is never changed or removed."
    )
    name: CloudName | None = Field(default=None, description="Name of a group that exists; must match exactly one.")
