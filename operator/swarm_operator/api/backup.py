"""Backups of the swarm's raft state: what is asked for, and what there is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, ShortMoment

BackupName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class BackupSpec(ApiModel):
    """When the raft state of the managers is saved: services, configs, secrets, networks, nodes and the keys of the swarm. Not what containers wrote."""

    schedule: Annotated[str, Field(min_length=9, max_length=100, pattern=r"^\S+( +\S+){4}$")] | None = Field(
        default=None, description="When to save it: five cron fields, minute to day of the week. Without it only when `now` changes."
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(default="UTC", description="IANA name of the time zone of `schedule`.")
    retention: Annotated[int, Field(ge=1, le=100)] = Field(default=7, description="How many backups are kept; older ones are deleted.")
    now: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(default=None, description="Any text. Each new text asks for one backup now.")
    verify: bool = Field(
        default=True,
        description="Start an engine from each copy, cut off from everything, and keep the copy only where the swarm that it then leads holds what the live one holds.",
    )


class BackupRecord(ApiModel):
    """A backup that can be restored."""

    name: BackupName = Field(description="Its name, for spec.recovery.restoreFrom.")
    image_id: Annotated[str, Field(max_length=64)] = Field(alias="imageID", description="The Glance image that holds it, encrypted.")
    size: int = Field(default=0, ge=0, description="Bytes of the archive.")
    sha256: Annotated[str, Field(max_length=64)] = Field(default="", description="Checksum of the archive before it is encrypted.")
    engine_version: Annotated[str, Field(max_length=64)] = Field(default="", description="Engine of the manager that it was taken of.")
    machine: Annotated[str, Field(max_length=63)] = Field(default="", description="The manager that it was taken of.")
    swarm_id: Annotated[str, Field(max_length=64)] = Field(default="", alias="swarmID", description="The swarm.")
    locked: bool = Field(default=False, description="The unlock key that was in force then is needed to restore it.")
    verified: bool = Field(default=False, description="An engine was started from it, and held what the swarm held.")
    nodes: int = Field(default=0, ge=0, description="Nodes in it.")
    services: int = Field(default=0, ge=0, description="Services in it.")
    secrets: int = Field(default=0, ge=0, description="Secrets in it.")
    configs: int = Field(default=0, ge=0, description="Configs in it.")
    networks: int = Field(default=0, ge=0, description="Networks in it.")


class BackupRun(ApiModel):
    """A backup that is being made."""

    name: BackupName = Field(description="Its name.")
    machine_uid: Annotated[str, Field(max_length=64)] = Field(alias="machineUID", description="The manager that it is taken of.")
    begun_at: ShortMoment = Field(description="When it was begun.")
    asked_at: ShortMoment | None = Field(default=None, description="When Glance was asked for its image.")
    image_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="imageID", description="The image that it goes to.")


class BackupStatus(ApiModel):
    """What became of spec.backup."""

    last_successful_time: ShortMoment | None = Field(default=None, description="When the last backup was complete.")
    last_name: BackupName | None = Field(default=None, description="The last backup that was made; it is among `kept` for as long as retention keeps it.")
    last_attempt: ShortMoment | None = Field(default=None, description="When one was last begun.")
    next: ShortMoment | None = Field(default=None, description="When the schedule asks for the next one.")
    failures: int = Field(default=0, ge=0, description="Attempts that failed since the last success.")
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why the last attempt failed, or what one waits for.")
    done_for: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="The spec.backup.now that was carried out.")
    scheduled_at: ShortMoment | None = Field(default=None, description="Until when the schedule was followed.")
    running: BackupRun | None = Field(default=None, description="The one that is being made.")
    kept: list[BackupRecord] = Field(
        default_factory=list,
        max_length=128,
        description="Backups that there are, the oldest first.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
