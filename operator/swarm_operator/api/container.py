"""What a task's container may be told beyond image, command and environment: mounts, health check, resources, privileges, DNS, log driver.

Field names follow `docker service create` and, where Kubernetes has a term for the same thing, Kubernetes. What swarm can't express at all (privileged, devices, shared
memory size, other namespaces) has no field. What the engine takes and then drops has none either: BindOptions.CreateMountpoint and read-only recursion, mount
consistency, image and cluster mounts (moby `daemon/cluster/convert/container.go`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, Seconds, cel, schema_extra

CpuQuantity = Annotated[str, Field(max_length=16, pattern=r"^([0-9]+(\.[0-9]{1,9})?|[0-9]+m)$")]
"""Kubernetes quantity of processors: "0.5", "2", "500m"; at least a thousandth (the engine refuses less than 1e6 NanoCPUs)."""
ByteQuantity = Annotated[str, Field(max_length=24, pattern=r"^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$")]
"""Kubernetes quantity of bytes: "512Mi", "1G", "67108864"."""
AbsolutePath = Annotated[str, Field(min_length=1, max_length=4096)]
Word = Annotated[str, Field(min_length=1, max_length=255)]
Capability = Annotated[str, Field(max_length=64, pattern=r"^([Cc][Aa][Pp]_)?[A-Za-z][A-Za-z0-9_]*$")]


class HostAlias(ApiModel):
    """Entries of /etc/hosts."""

    ip: Annotated[str, Field(min_length=2, max_length=45)] = Field(description="IPv4 or IPv6 address.")
    hostnames: list[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s]+$")]] = Field(
        min_length=1, max_length=32, description="Names of the address."
    )


class Capabilities(ApiModel):
    """Kernel capabilities beyond, and less than, the engine's default set."""

    add: list[Capability] = Field(default_factory=list, max_length=64, description="Capabilities to add, such as NET_ADMIN; ALL for every one.")
    drop: list[Capability] = Field(default_factory=list, max_length=64, description="Capabilities to drop; ALL for every one.")


class Ulimit(ApiModel):
    """A resource limit of the container's processes (setrlimit)."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.hard == -1 || (self.soft != -1 && self.soft <= self.hard)", "`soft` must not be above `hard`", fieldPath=".soft"),
        )
    )

    name: Annotated[str, Field(max_length=16, pattern=r"^[a-z]+$")] = Field(
        description="Name as `ulimit` and `docker run --ulimit` know it: nofile, nproc, ..."
    )
    soft: Annotated[int, Field(ge=-1, le=2**53)] = Field(description="Soft limit; -1 is no limit.")
    hard: Annotated[int, Field(ge=-1, le=2**53)] = Field(description="Hard limit; -1 is no limit.")


class CredentialSpec(ApiModel):
    """Group managed service account of a Windows container."""

    model_config = ConfigDict(json_schema_extra=schema_extra(cel("has(self.file) != has(self.registry)", "must set exactly one of `file` and `registry`")))

    file: Word | None = Field(default=None, description="File in the CredentialSpecs directory of the engine's data root.")
    registry: Word | None = Field(default=None, description="Value in the Windows registry of the node.")


class SELinuxContext(ApiModel):
    """SELinux label of the container's processes."""

    disable: bool = Field(default=False, description="Run without a label.")
    user: Annotated[str, Field(max_length=255)] = Field(default="", description="SELinux user.")
    role: Annotated[str, Field(max_length=255)] = Field(default="", description="SELinux role.")
    type: Annotated[str, Field(max_length=255)] = Field(default="", description="SELinux type.")
    level: Annotated[str, Field(max_length=255)] = Field(default="", description="SELinux level.")


class Seccomp(ApiModel):
    """System call filter."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("(self.mode == 'custom') == has(self.profile)", "`profile` must be set with mode `custom` only", fieldPath=".profile")
        )
    )

    mode: Literal["default", "unconfined", "custom"] = Field(description="The engine's profile, none, or the one in `profile`.")
    profile: Annotated[str, Field(min_length=2, max_length=262144)] | None = Field(default=None, description="Profile as JSON text, with mode `custom`.")


class AppArmor(ApiModel):
    """AppArmor profile."""

    mode: Literal["default", "disabled"] = Field(description="The engine's profile, or none.")


class Privileges(ApiModel):
    """Security options of the container."""

    credential_spec: CredentialSpec | None = Field(default=None, description="Service account of a Windows container.")
    se_linux_context: SELinuxContext | None = Field(default=None, description="SELinux label.")
    seccomp: Seccomp | None = Field(default=None, description="System call filter. Engine API 1.44 and later.")
    app_armor: AppArmor | None = Field(default=None, description="AppArmor profile. Engine API 1.44 and later.")
    no_new_privileges: bool = Field(default=False, description="Processes can't gain privileges by setuid programs. Engine API 1.44 and later.")


class BindOptions(ApiModel):
    """Options of a bind mount."""

    propagation: Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"] = Field(default="rprivate", description="Mount propagation.")
    non_recursive: bool = Field(default=False, description="Leave out what is mounted below the source.")


class VolumeOptions(ApiModel):
    """Options of a volume, used where a task's node has no volume of that name yet."""

    no_copy: bool = Field(default=False, description="Do not fill an empty volume with what the image has at the target.")
    labels: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, description="Volume labels.", json_schema_extra={"maxProperties": 64}
    )
    driver: Annotated[str, Field(max_length=255)] = Field(default="", description="Volume driver; the engine's local one when empty.")
    driver_opts: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, description="Options of the driver.", json_schema_extra={"maxProperties": 64}
    )


class TmpfsOptions(ApiModel):
    """Options of a file system in memory."""

    size: ByteQuantity | None = Field(default=None, description="Size, such as 64Mi; no limit when absent.")
    mode: Annotated[int, Field(ge=0, le=4095)] | None = Field(
        default=None, description="Permissions, as a number (YAML 0o1777 or 1023); the kernel's when absent."
    )


class Mount(ApiModel):
    """A file system in the container."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.type in ['volume', 'tmpfs'] || has(self.source)", "`source` must be set for this type of mount", fieldPath=".source"),
            cel("self.type != 'tmpfs' || !has(self.source)", "`source` must not be set with type `tmpfs`", fieldPath=".source"),
            cel("self.type == 'bind' || !has(self.bindOptions)", "`bindOptions` must not be set with another type than `bind`", fieldPath=".bindOptions"),
            cel(
                "self.type == 'volume' || !has(self.volumeOptions)",
                "`volumeOptions` must not be set with another type than `volume`",
                fieldPath=".volumeOptions",
            ),
            cel("self.type == 'tmpfs' || !has(self.tmpfsOptions)", "`tmpfsOptions` must not be set with another type than `tmpfs`", fieldPath=".tmpfsOptions"),
            cel("self.type == 'npipe' || self.target.startsWith('/')", "`target` must be an absolute path", fieldPath=".target"),
            cel("self.type != 'bind' || !has(self.source) || self.source.startsWith('/')", "`source` must be an absolute path", fieldPath=".source"),
        )
    )

    type: Literal["bind", "volume", "tmpfs", "npipe"] = Field(
        default="volume", description="Kind of mount. A directory of a bind mount must exist on every node that gets a task: the engine does not make it."
    )
    source: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, description="Path on the node, or name of the volume; a volume without one is new for every task. Go templates of swarm pass through."
    )
    target: AbsolutePath = Field(description="Path in the container.")
    read_only: bool = Field(default=False, description="Mount read-only.")
    bind_options: BindOptions | None = Field(default=None, description="With type bind.")
    volume_options: VolumeOptions | None = Field(default=None, description="With type volume.")
    tmpfs_options: TmpfsOptions | None = Field(default=None, description="With type tmpfs.")


class DnsConfig(ApiModel):
    """Name resolution of the container, beyond the names of services."""

    nameservers: list[Annotated[str, Field(min_length=2, max_length=45)]] = Field(
        default_factory=list, max_length=16, description="Addresses of servers, in order."
    )
    searches: list[Word] = Field(default_factory=list, max_length=32, description="Search domains, in order.")
    options: list[Word] = Field(default_factory=list, max_length=32, description="Options of resolv.conf, such as ndots:2.")


class Healthcheck(ApiModel):
    """Health check; what is absent is taken from the image. A task counts as running only when it is healthy."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("!self.disable || !has(self.test)", "`test` must not be set with `disable`", fieldPath=".test"),
            cel(
                "!has(self.test) || self.test.size() == 0 || self.test[0] in ['CMD', 'CMD-SHELL']",
                "`test` must begin with CMD or CMD-SHELL; set `disable` for no check",
                fieldPath=".test",
            ),
        )
    )

    test: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=64, description="CMD and the words of a command, or CMD-SHELL and one line for the shell."
    )
    interval_seconds: Seconds = Field(default=0, description="Time between checks; 0 is the image's, or 30.")
    timeout_seconds: Seconds = Field(default=0, description="Time that a check may take; 0 is the image's, or 30.")
    retries: Annotated[int, Field(ge=0, le=1000)] = Field(default=0, description="Failures in a row that make the container unhealthy; 0 is the image's, or 3.")
    start_period_seconds: Seconds = Field(default=0, description="Time after the start in which failures do not count.")
    start_interval_seconds: Seconds = Field(default=0, description="Time between checks within the start period. Engine API 1.44 and later.")
    disable: bool = Field(default=False, description="No health check, not even the image's.")


class ResourceLimits(ApiModel):
    """The most that a task gets."""

    cpu: CpuQuantity | None = Field(default=None, description='Processors: "0.5" or "500m".')
    memory: ByteQuantity | None = Field(default=None, description='Memory: "512Mi"; at least 4Mi.')
    pids: Annotated[int, Field(ge=0, le=4194304)] = Field(default=0, description="Processes and threads; 0 is no limit.")


class GenericResource(ApiModel):
    """Resource that nodes advertise (`node-generic-resources` of the engine), such as GPUs."""

    kind: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^=\s]+$")] = Field(description="Kind.")
    value: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(description="How many.")


class ResourceReservations(ApiModel):
    """What a node must have left to be given a task."""

    cpu: CpuQuantity | None = Field(default=None, description='Processors: "0.5" or "500m".')
    memory: ByteQuantity | None = Field(default=None, description='Memory: "512Mi"; at least 4Mi.')
    generic_resources: list[GenericResource] = Field(
        default_factory=list, max_length=32, description="Generic resources.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["kind"]}
    )


class Resources(ApiModel):
    """Limits and reservations per task."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel(
                "!has(self.memorySwap) || has(self.limits.memory)",
                "`memorySwap` must not be set without `limits.memory`",
                fieldPath=".memorySwap",
            )
        )
    )

    limits: ResourceLimits = Field(default_factory=ResourceLimits, description="The most that a task gets.")
    reservations: ResourceReservations = Field(default_factory=ResourceReservations, description="What a node must have left.")
    memory_swap: ByteQuantity | None = Field(default=None, description="Swap space beside limits.memory. Engine API 1.52 and later.")
    memory_swappiness: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="How readily the kernel swaps, 0 to 100. Engine API 1.52 and later."
    )


class LogDriver(ApiModel):
    """Where the output of the container goes; the engine's default when absent."""

    name: Word = Field(description="Driver: json-file, local, journald, syslog, fluentd, none, ...")
    options: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, description="Options of the driver.", json_schema_extra={"maxProperties": 64}
    )


class JobSpec(ApiModel):
    """What the modes replicated-job and global-job do."""

    completions: Annotated[int, Field(ge=0, le=100000)] = Field(default=1, description="Tasks of a replicated job that must end well.")
    max_concurrent: Annotated[int, Field(ge=1, le=100000)] | None = Field(
        default=None, description="Tasks of a replicated job that run at a time; as many as `completions` when absent."
    )
    run_id: Annotated[str, Field(max_length=63)] = Field(
        default="", description="Any word. A change runs the job again. So does every other change of the service: the engine starts a job anew on each update."
    )
