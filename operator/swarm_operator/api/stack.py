"""SwarmStack: a compose file as `docker stack deploy` understands it, kept as SwarmServices and networks of one owner."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, ObjectName, cel, schema_extra
from swarm_operator.api.conditions import Condition, ConditionStatus
from swarm_operator.api.materials import ImagePolicy, ImagePullSecret, KeyRef
from swarm_operator.api.service import ClusterRef, EnvVar


class ComposeSource(ApiModel):
    """Where the compose file is, if not in the manifest."""

    config_map_key_ref: KeyRef = Field(description="A key of a ConfigMap, as UTF-8 text.")


class ConfigMapName(ApiModel):
    """A ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")


class EnvFrom(ApiModel):
    """Variables for the compose file from a whole ConfigMap. Secrets are left out on purpose: what a file is made of can be read by everybody who may read its services."""

    config_map_ref: ConfigMapName = Field(description="Each key is a variable; keys that no variable can have are left out.")


class StackConfig(ApiModel):
    """The content of a config of the file."""

    config_map_ref: KeyRef = Field(description="A key of a ConfigMap; the operator makes a config of the swarm for each content that it has.")


class StackSecret(ApiModel):
    """The content of a secret of the file."""

    secret_ref: KeyRef = Field(description="A key of a Secret; the operator makes a secret of the swarm for each content that it has.")


class SwarmStackSpec(ApiModel):
    """Desired state of a stack."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("has(self.compose) != has(self.composeFrom)", "must set exactly one of `compose`, `composeFrom`"),
            cel("self.clusterRef.name == oldSelf.clusterRef.name", "`clusterRef.name` must not change", fieldPath=".clusterRef.name"),
            cel(
                "has(self.stackName) == has(oldSelf.stackName) && (!has(self.stackName) || self.stackName == oldSelf.stackName)",
                "`stackName` must not change",
                fieldPath=".stackName",
            ),
        )
    )

    cluster_ref: ClusterRef = Field(description="The SwarmCluster to run on.")
    stack_name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?$")] | None = Field(
        default=None, description="Name in the swarm, before each service's and network's; metadata.name when absent."
    )
    compose: Annotated[str, Field(min_length=1, max_length=524288)] | None = Field(
        default=None, description="The compose file. What `docker stack deploy` refuses is refused, what it ignores is ignored and told in status.warnings."
    )
    compose_from: ComposeSource | None = Field(default=None, description="Takes the compose file from a ConfigMap; looked at every 20 seconds.")
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=512,
        description="Variables that the file may use (${NAME}); they win over envFrom.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    env_from: list[EnvFrom] = Field(
        default_factory=list, max_length=16, description="Variables from ConfigMaps; later ones win.", json_schema_extra={LIST_TYPE: "atomic"}
    )
    configs: dict[str, StackConfig] = Field(
        default_factory=dict,
        description="Contents of the file's configs, by their names there. The file's own `file:` is not read: there are no other files.",
        json_schema_extra={"maxProperties": 64},
    )
    secrets: dict[str, StackSecret] = Field(
        default_factory=dict, description="Contents of the file's secrets, by their names there.", json_schema_extra={"maxProperties": 64}
    )
    image_pull_secrets: list[ImagePullSecret] = Field(
        default_factory=list,
        max_length=16,
        description="Registry credentials, for all services.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    image_policy: ImagePolicy = Field(default_factory=ImagePolicy, description="Whether tags are replaced by digests, for all services.")
    paused: bool = Field(default=False, description="While true the operator changes nothing of the stack; its services are paused by themselves only.")


class StackServices(ApiModel):
    """How many services there are."""

    total: int = Field(default=0, description="Services of the file; while it can't be used, those that are there.")
    ready: int = Field(default=0, description="Those of them that are Ready.")
    summary: Annotated[str, Field(max_length=32)] = Field(default="0/0", description="ready/total, for display.")


class StackServiceState(ApiModel):
    """A service of the stack."""

    name: Annotated[str, Field(max_length=253)] = Field(description="Name of the SwarmService.")
    ready: ConditionStatus = Field(default="Unknown", description="Its condition Ready; Unknown before the operator has looked at its present spec.")
    reason: Annotated[str, Field(max_length=128)] = Field(default="", description="Reason of that condition, or why it could not be applied.")
    message: Annotated[str, Field(max_length=512)] = Field(default="", description="Details of the reason; empty when Ready.")


class StackNetworkState(ApiModel):
    """An overlay network of the stack."""

    name: Annotated[str, Field(max_length=255)] = Field(description="Name in the swarm.")
    network_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="networkID", description="ID in the swarm.")
    message: Annotated[str, Field(max_length=512)] | None = Field(default=None, description="What is wrong with it, or keeps it from being removed.")


class SwarmStackStatus(ApiModel):
    """Observed state of a stack."""

    observed_generation: int | None = Field(default=None, ge=-1, description="Generation that this status was computed for; -1 before the operator has looked.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=32, description="Conditions; Ready sums them up.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["type"]}
    )
    services: StackServices = Field(default_factory=StackServices, description="How many services there are.")
    service_states: list[StackServiceState] = Field(
        default_factory=list, max_length=512, description="The services, by name.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]}
    )
    networks: list[StackNetworkState] = Field(
        default_factory=list,
        max_length=256,
        description="The networks that the operator made for the stack, by name.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    warnings: list[Annotated[str, Field(max_length=512)]] = Field(
        default_factory=list,
        max_length=128,
        description="Keys of the file that were ignored, and variables that are not set.",
        json_schema_extra={LIST_TYPE: "atomic"},
    )
