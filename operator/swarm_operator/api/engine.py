"""Settings of the Docker engine of each machine."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from swarm_operator.api.base import ApiModel, Cidr, own_labels_rule, schema_extra


class EngineSpec(ApiModel):
    """Settings of the Docker engine, written into /etc/docker/daemon.json (dockerd reference, "Daemon configuration file")."""

    log_driver: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="`log-driver`.")
    log_opts: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, description="`log-opts`.", json_schema_extra={"maxProperties": 32}
    )
    data_root: Annotated[str, Field(max_length=255, pattern=r"^/")] | None = Field(default=None, description="`data-root`, an absolute path.")
    storage_driver: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="`storage-driver`.")
    bip: Cidr | None = Field(default=None, description="`bip`: address and prefix of docker0.")
    mtu: Annotated[int, Field(ge=576, le=9216)] | None = Field(default=None, description="`mtu` of the default bridge.")
    fixed_cidr: Cidr | None = Field(default=None, alias="fixedCIDR", description="`fixed-cidr`.")
    registry_mirrors: list[Annotated[str, Field(max_length=255, pattern=r"^https?://")]] = Field(
        default_factory=list, max_length=16, description="`registry-mirrors`."
    )
    insecure_registries: list[Annotated[str, Field(max_length=255)]] = Field(default_factory=list, max_length=16, description="`insecure-registries`.")
    labels: dict[str, Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict,
        description="Engine labels (engine.labels.KEY in constraints).",
        json_schema_extra=schema_extra(own_labels_rule(), maxProperties=64),
    )
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="Further daemon.json keys as they are. `hosts`, `tls*`, `labels` and the keys of the fields above are refused.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
