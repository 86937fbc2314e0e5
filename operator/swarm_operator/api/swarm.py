"""Settings of the swarm itself, and its overlay networks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, Cidr, cel, own_labels_rule, schema_extra


class OverlayNetwork(ApiModel):
    """An overlay network of the swarm."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")] = Field(description="Name of the network in the swarm.")
    attachable: bool = Field(default=False, description="Plain containers may attach.")
    encrypted: bool = Field(default=False, description="Encrypt the data path (IPsec).")
    internal: bool = Field(default=False, description="No way out of it: containers on it reach each other only.")
    subnet: Cidr | None = Field(default=None, description="Subnet; taken from swarm.defaultAddrPools when absent.")
    driver_opts: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Options of the overlay driver, such as com.docker.network.driver.mtu.",
        json_schema_extra=schema_extra(cel("!('encrypted' in self)", "must not hold `encrypted`: there is a field for it"), maxProperties=32),
    )
    labels: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, description="Labels of the network.", json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64)
    )


class SwarmSpec(ApiModel):
    """Settings of the swarm itself (Docker Engine API, POST /swarm/init and SwarmSpec)."""

    default_addr_pools: list[Cidr] = Field(
        default_factory=lambda: ["10.128.0.0/9"],
        min_length=1,
        max_length=16,
        description="Address pools for overlay networks; they must not overlap the network of the servers.",
    )
    subnet_size: Annotated[int, Field(ge=16, le=29)] = Field(default=24, description="Prefix length of each overlay subnet.")
    data_path_port: Annotated[int, Field(ge=1024, le=49151)] = Field(default=4789, description="UDP port of the VXLAN data path.")
    task_history_limit: Annotated[int, Field(ge=0, le=1000)] = Field(default=5, description="Tasks kept per slot.")
    heartbeat_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=5, description="Period in which nodes tell the managers that they are alive; a node is down after three missed ones."
    )
    cert_expiry_hours: Annotated[int, Field(ge=1, le=87600)] = Field(default=2160, description="Life of the nodes' certificates; they are renewed in time.")
    rotate_join_tokens: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Any text. Each change of it makes new join tokens for workers and managers, and the old ones worthless."
    )
    autolock: bool = Field(
        default=False,
        description="Managers need a key to start again after a restart of their engine. The operator keeps the key in the Secret `<cluster>-unlock-key` and unlocks them.",
    )
    rotate_unlock_key: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Any text. Each change of it makes a new unlock key; the former one is kept until every manager has the new one."
    )
    rotate_ca: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        alias="rotateCA",
        description="Any text. Each change of it makes a new root CA of the swarm, and new certificates of all nodes, once all of them are ready.",
    )
    networks: list[OverlayNetwork] = Field(
        default_factory=list,
        max_length=64,
        description="Overlay networks to make.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
