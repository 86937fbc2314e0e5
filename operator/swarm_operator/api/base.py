"""What every API type shares: naming, parsing, and the reference types.

The models are the single source of `crds/*.yaml` (see `swarm_operator.api.crd`) and of the parsed specs that the rest of the operator reads. Field names are
snake_case in Python and camelCase in manifests. This module does no I/O.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "swarmops.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FINALIZER: Final = f"{GROUP}/teardown"
CREDENTIALS_FINALIZER: Final = f"{GROUP}/credentials-in-use"
"""Finalizer of a Secret that `identityRef` names: it stays until no SwarmCluster needs it for its cleanup."""
ABANDON: Final = f"{GROUP}/abandon"
"""Annotation of a SwarmCluster that is being deleted: with the value "true" its finalizer goes and what is left in the cloud stays there."""
APPLIED_DIGEST: Final = f"{GROUP}/applied-digest"
"""Annotation of a SwarmService that a SwarmStack made: a hash of what was applied last."""
RESTARTED_AT: Final = f"{GROUP}/restartedAt"
"""Annotation of a SwarmService: its tasks are replaced once for each value (as `kubectl rollout restart` does with an annotation of its own)."""


class ApiModel(BaseModel):
    """Base of all spec and status types: immutable, camelCase on the wire, unknown fields ignored (the API server prunes them)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_manifest(self) -> dict[str, Any]:
        """The JSON form for a manifest or a status patch: camelCase, absent where None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(rule: str, message: str, **extra: str) -> dict[str, str]:
    """One CEL validation rule (`x-kubernetes-validations` entry; Kubernetes API reference, ValidationRule). `extra` takes fieldPath, reason, messageExpression."""
    return {"rule": " ".join(rule.split()), "message": message, **extra}


def schema_extra(*rules: dict[str, str], **extra: Any) -> dict[str, Any]:
    """`json_schema_extra` that carries CEL rules and further schema keys through to the CRD generator."""
    out: dict[str, Any] = dict(extra)
    if rules:
        out["x-kubernetes-validations"] = list(rules)
    return out


DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""RFC 1123 DNS label."""
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""Name of a Kubernetes object (RFC 1123 subdomain)."""
CloudName = Annotated[str, Field(min_length=1, max_length=255)]
"""Name of an OpenStack object; OpenStack allows any characters."""
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
Cidr = Annotated[str, Field(min_length=9, max_length=18, pattern=rf"^{_OCTET}(\.{_OCTET}){{3}}/(3[0-2]|[12]?[0-9])$")]
"""IPv4 network in CIDR notation."""
IPv4Address = Annotated[str, Field(min_length=7, max_length=15, pattern=rf"^{_OCTET}(\.{_OCTET}){{3}}$")]
"""IPv4 address."""
IPv4AddressOrCidr = Annotated[str, Field(min_length=7, max_length=18, pattern=rf"^{_OCTET}(\.{_OCTET}){{3}}(/(3[0-2]|[12]?[0-9]))?$")]
"""IPv4 address, or network in CIDR notation."""
Tag = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^,/]+$")]
"""Tag of a server or port (Compute and Networking API: no comma and no slash, at most 60 characters)."""
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A time, RFC 3339."""
ShortMoment = Annotated[Moment, Field(max_length=32)]
"""A time, RFC 3339, of at most 32 characters."""
Seconds = Annotated[int, Field(ge=0, le=604800)]
"""A duration in whole seconds, at most a week."""


RESERVED_LABEL_PREFIX: Final = f"io.{GROUP.split('.')[0]}."
"""Labels of the engine, of nodes and of services that start so are the operator's own."""
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_MAP_KEYS: Final = "x-kubernetes-list-map-keys"


def own_labels_rule() -> dict[str, str]:
    """CEL rule of a label map: it must not hold the operator's own labels."""
    return cel(f"self.all(k, !k.startsWith('{RESERVED_LABEL_PREFIX}'))", f"keys must not start with `{RESERVED_LABEL_PREFIX}`")


class ResourceFilter(ApiModel):
    """Selects an OpenStack object by its tags; more than one match is an error."""

    tags: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(
        min_length=1, max_length=16, description="All of these tags must be on the object.", json_schema_extra={LIST_TYPE: "set"}
    )


class ResourceRef(ApiModel):
    """Reference to an existing OpenStack object: exactly one of id, name or filter."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("[has(self.id), has(self.name), has(self.filter)].filter(x, x).size() == 1", "must set exactly one of `id`, `name`, `filter`")
        )
    )

    id: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(default=None, description="ID of the object.")
    name: CloudName | None = Field(default=None, description="Name of the object; must match exactly one.")
    filter: ResourceFilter | None = Field(default=None, description="Selects the object by tags; must match exactly one.")

    def __str__(self) -> str:
        if self.id is not None:
            return f"id {self.id}"
        if self.name is not None:
            return f"name {self.name!r}"
        return f"tags {','.join(self.filter.tags) if self.filter else ''}"


class SecretRef(ApiModel):
    """Reference to a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
