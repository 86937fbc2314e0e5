"""What a SwarmService takes from elsewhere: configs and secrets, values of variables, registry credentials, the digest of its image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import ApiModel, ObjectName, cel, schema_extra

FileMode = Annotated[int, Field(ge=0, le=0o777)]
FileOwner = Annotated[str, Field(min_length=1, max_length=10, pattern=r"^[0-9]+$")]
FileTarget = Annotated[str, Field(min_length=1, max_length=255)]
MaterialName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$")]
"""Name of a config or secret in the swarm (swarmkit `manager/controlapi`, validateConfigOrSecretAnnotations)."""


class KeyRef(ApiModel):
    """One key of a ConfigMap or Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap or Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(description="Key in it.")


class ConfigFile(ApiModel):
    """A config of the swarm as a file in the containers."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("has(self.name) != has(self.configMapRef)", "must set exactly one of `name`, `configMapRef`"),
            cel(
                "!has(self.templating) || !self.templating || has(self.configMapRef)",
                "`templating` must not be set with `name`: whoever made that config has chosen",
                fieldPath=".templating",
            ),
        )
    )

    name: MaterialName | None = Field(default=None, description="A config that exists in the swarm and is somebody else's.")
    config_map_ref: KeyRef | None = Field(default=None, description="Content from a ConfigMap; the operator makes a config for each content that it has.")
    target: FileTarget | None = Field(default=None, description="File in the containers; relative ones are below /. The key, or the name, when absent.")
    uid: FileOwner = Field(default="0", description="Owner of the file.")
    gid: FileOwner = Field(default="0", description="Group of the file.")
    mode: FileMode = Field(default=0o444, description="Permissions, as a decimal number (292 is 0444).")
    templating: bool = Field(default=False, description="Expand Go templates in the content for each task.")


class SecretFile(ApiModel):
    """A secret of the swarm as a file in the containers."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("has(self.name) != has(self.secretRef)", "must set exactly one of `name`, `secretRef`"),
            cel(
                "!has(self.templating) || !self.templating || has(self.secretRef)",
                "`templating` must not be set with `name`: whoever made that secret has chosen",
                fieldPath=".templating",
            ),
        )
    )

    name: MaterialName | None = Field(default=None, description="A secret that exists in the swarm and is somebody else's.")
    secret_ref: KeyRef | None = Field(default=None, description="Content from a Secret; the operator makes a swarm secret for each content that it has.")
    target: FileTarget | None = Field(
        default=None, description="File in the containers; relative ones are below /run/secrets. The key, or the name, when absent."
    )
    uid: FileOwner = Field(default="0", description="Owner of the file.")
    gid: FileOwner = Field(default="0", description="Group of the file.")
    mode: FileMode = Field(default=0o444, description="Permissions, as a decimal number (256 is 0400).")
    templating: bool = Field(default=False, description="Expand Go templates in the content for each task.")


class EnvSource(ApiModel):
    """Where the value of a variable comes from. Secrets are left out on purpose: a variable can be read by everybody who may inspect the service."""

    config_map_key_ref: KeyRef = Field(description="A key of a ConfigMap, as UTF-8 text.")


class ImagePullSecret(ApiModel):
    """A Secret with registry credentials in the same namespace."""

    name: ObjectName = Field(description="Name of a Secret of type kubernetes.io/dockerconfigjson.")


class ImagePolicy(ApiModel):
    """Whether the image's tag is replaced by the digest that the registry has for it, so that all tasks run the same image."""

    resolve: Literal["Never", "IfChanged", "Always"] = Field(
        default="Never",
        description="Never: the tag is deployed as it is written. IfChanged: its digest is looked up when `image` changes, as `docker service create` does. "
        "Always: also every `intervalSeconds`, so that a tag that was moved is rolled out.",
    )
    interval_seconds: Annotated[int, Field(ge=30, le=604800)] = Field(default=300, description="How often Always asks the registry.")


class Platform(ApiModel):
    """A platform that an image is built for."""

    architecture: Annotated[str, Field(max_length=64)] = Field(default="", description="Architecture; empty for any.")
    os: Annotated[str, Field(max_length=64)] = Field(default="", description="Operating system; empty for any.")


class ImageStatus(ApiModel):
    """What became of the image under imagePolicy."""

    requested: Annotated[str, Field(max_length=512)] = Field(description="The image in the spec that was looked up.")
    resolved: Annotated[str, Field(max_length=640)] | None = Field(default=None, description="The same with its digest, as deployed.")
    platforms: list[Platform] | None = Field(
        default=None,
        max_length=64,
        description="Platforms that the registry lists; tasks are placed accordingly.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    message: Annotated[str, Field(max_length=1024)] | None = Field(default=None, description="Why the last look-up failed.")


class MaterialStatus(ApiModel):
    """A config or secret of the swarm that the operator made for the service."""

    kind: Literal["Config", "Secret"] = Field(description="Config or Secret.")
    name: Annotated[str, Field(max_length=64)] = Field(description="Name in the swarm; it ends in a keyed hash of the content.")
    source: Annotated[str, Field(max_length=600)] = Field(default="", description="Kind, name and key of where the content is from.")
    in_use: bool = Field(default=True, description="False for one that is kept for a rollback.")
