"""What the servers of a SwarmCluster are made of, and how they are reached."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_TYPE, ApiModel, CloudName, ResourceRef, SecretRef, Tag, cel, schema_extra
from swarm_operator.api.images import ImageSource
from swarm_operator.api.placement import FALLBACK_RULE, ZONE_LIST, ServerGroupSpec, Zone
from swarm_operator.api.ports import COMMON_PORTS_RULE, PORTS, Ports
from swarm_operator.api.storage import RootVolumeSpec, Volumes
from swarm_operator.api.user_data import MachineOs, UserDataSpec

_METADATA: Final = schema_extra(cel("self.all(k, !k.startsWith('swarmops'))", "keys must not start with `swarmops`"), maxProperties=64)
"""Server metadata: the operator's own keys are refused here, the characters that Nova allows are checked in `validation`."""

Tags = Annotated[list[Tag], Field(max_length=50)]
"""Nova's tags of a server (Compute API, "Server tags": 50 of them)."""

DockerImage = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-z0-9][a-zA-Z0-9_./:@-]*$")]
"""Name of a Docker image with tag or digest."""


class SshSpec(ApiModel):
    """How the operator reaches guests for bootstrap and repair."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(cel("has(self.keyName) == has(self.privateKeySecretRef)", "`keyName` and `privateKeySecretRef` must be set together"))
    )

    user: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z_][a-z0-9_-]*$")] = Field(
        default="debian", description="Login user of the image; needs sudo without password."
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=22, description="ssh port of the guests.")
    key_name: CloudName | None = Field(default=None, description="Nova key pair that exists; the operator makes one for the cluster when absent.")
    private_key_secret_ref: SecretRef | None = Field(default=None, description="Secret with the private half of keyName under `ssh-privatekey`.")
    host_key_policy: Literal["Console", "TrustOnFirstUse"] = Field(
        default="Console",
        description="Console: host keys must equal those that cloud-init prints on the Nova console. TrustOnFirstUse: the first key seen is pinned.",
    )
    authorized_keys: list[Annotated[str, Field(min_length=16, max_length=2048, pattern=r"^[^\r\n]+$")]] = Field(
        default_factory=list, max_length=32, description="Further public keys for the login user."
    )


class MachineSpec(ApiModel):
    """What a server is made of."""

    model_config = ConfigDict(json_schema_extra=schema_extra(FALLBACK_RULE, COMMON_PORTS_RULE))

    flavor: ResourceRef = Field(description="Flavor.")
    fallback_flavors: list[ResourceRef] = Field(
        default_factory=list,
        max_length=8,
        description="Flavors that are tried in their order when no host was found for `flavor` in any zone. A machine of one of them is as declared.",
    )
    image: ImageSource = Field(description="Image; must hold cloud-init, sshd and a Docker engine.")
    config_drive: bool = Field(default=False, description="Attach a config drive.")
    metadata: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Server metadata.",
        json_schema_extra=_METADATA,
    )
    tags: Tags = Field(
        default_factory=list,
        description="Nova tags of the servers. New ones are put on servers that exist; tags are never taken off a living server.",
        json_schema_extra={LIST_TYPE: "set"},
    )
    availability_zones: list[Zone] = Field(
        default_factory=list,
        max_length=16,
        description="Availability zones that the managers, and each pool, are spread over: each new server goes to the one with the fewest. Nova's choice when empty.",
        json_schema_extra=ZONE_LIST,
    )
    fallback_zones: list[Zone] = Field(
        default_factory=list, max_length=16, description="Zones that are tried when no host was found in any of availabilityZones.", json_schema_extra=ZONE_LIST
    )
    server_group: ServerGroupSpec | None = Field(
        default=None, description="Server group of the managers, and of each pool. A group with policy SoftAntiAffinity is made when absent."
    )
    root_volume: RootVolumeSpec | None = Field(default=None, description="Boot from a Cinder volume instead of the flavor's disk.")
    volumes: Volumes = Field(default_factory=list, description="Data volumes, one of each per machine slot.")
    ports: Ports = Field(
        default_factory=list,
        description="Ports of each machine: the first is the swarm's, further ones are on other networks. One port on spec.network when empty.",
        json_schema_extra=PORTS,
    )
    preload_images: list[DockerImage] = Field(
        default_factory=list,
        max_length=16,
        description="Docker images that each machine holds before it takes tasks: copied from a node that has them, else pulled.",
    )
    os: MachineOs = Field(
        default="CloudInit",
        description="How machines are set up at their first boot: CloudInit, or Ignition (Fedora CoreOS, Flatcar; workers with `join: SSH` only).",
    )
    user_data: UserDataSpec | None = Field(default=None, description="Additions to the first boot. For machines made after a change.")


class MachineOverrides(ApiModel):
    """The parts of `spec.machine` that a role or pool changes."""

    model_config = ConfigDict(json_schema_extra=schema_extra(FALLBACK_RULE))

    flavor: ResourceRef | None = Field(default=None, description="Flavor.")
    fallback_flavors: list[ResourceRef] | None = Field(
        default=None, max_length=8, description="Flavors for when no host was found for the flavor in any zone; an empty list: none."
    )
    image: ImageSource | None = Field(default=None, description="Image.")
    config_drive: bool | None = Field(default=None, description="Attach a config drive.")
    metadata: dict[str, Annotated[str, Field(max_length=255)]] | None = Field(
        default=None,
        description="Server metadata, merged over spec.machine.metadata.",
        json_schema_extra=_METADATA,
    )
    tags: Tags | None = Field(default=None, description="Nova tags instead of those of spec.machine.", json_schema_extra={LIST_TYPE: "set"})
    availability_zones: list[Zone] | None = Field(default=None, max_length=16, description="Availability zones.", json_schema_extra=ZONE_LIST)
    fallback_zones: list[Zone] | None = Field(
        default=None, max_length=16, description="Zones for when no host was found in any of availabilityZones.", json_schema_extra=ZONE_LIST
    )
    server_group: ServerGroupSpec | None = Field(default=None, description="Server group.")
    root_volume: RootVolumeSpec | None = Field(default=None, description="Boot from a Cinder volume instead of the flavor's disk.")
    volumes: Volumes | None = Field(default=None, description="Data volumes instead of those of spec.machine; an empty list: none.")
    ports: Ports | None = Field(
        default=None, description="Ports instead of those of spec.machine; an empty list: one on spec.network.", json_schema_extra=PORTS
    )
    preload_images: list[DockerImage] | None = Field(
        default=None, max_length=16, description="Docker images that each machine holds before it takes tasks: copied from a node that has them, else pulled."
    )
    os: MachineOs | None = Field(
        default=None, description="How machines are set up at their first boot: CloudInit, or Ignition (Fedora CoreOS, Flatcar; workers with `join: SSH` only)."
    )
    user_data: UserDataSpec | None = Field(
        default=None, description="Additions to the first boot. For machines made after a change. Instead of those of spec.machine."
    )

    def over(self, base: MachineSpec) -> MachineSpec:
        """`base` with these fields put over it; metadata is merged key by key."""
        changes: dict[str, Any] = {
            name: value
            for name in (
                "flavor",
                "fallback_flavors",
                "image",
                "os",
                "user_data",
                "preload_images",
                "config_drive",
                "availability_zones",
                "fallback_zones",
                "server_group",
                "root_volume",
                "volumes",
                "ports",
                "tags",
            )
            if (value := getattr(self, name)) is not None
        }
        if self.metadata is not None:
            changes["metadata"] = {**base.metadata, **self.metadata}
        return base.model_copy(update=changes)
