"""SwarmService: one service of a swarm. Field names follow `docker service create` (ServiceSpec of the Docker Engine API) and Kubernetes where a term exists there."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from swarm_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, ApiModel, Cidr, ObjectName, Seconds, cel, own_labels_rule, schema_extra
from swarm_operator.api.container import (
    Capabilities,
    DnsConfig,
    Healthcheck,
    HostAlias,
    JobSpec,
    LogDriver,
    Mount,
    Privileges,
    Resources,
    Ulimit,
    Word,
)
from swarm_operator.api.history import PausedUpdate, RollbackTo
from swarm_operator.api.materials import ConfigFile, EnvSource, ImagePolicy, ImagePullSecret, Platform, SecretFile
from swarm_operator.api.schedule import JobSchedule, RebalanceSpec
from swarm_operator.api.service_status import AllocatedPort, Endpoint, FailingTask, ReplicaStatus, SwarmServiceStatus, VirtualIP


class ClusterRef(ApiModel):
    """The SwarmCluster, in the same namespace, that the service runs on."""

    name: ObjectName = Field(description="Name of the SwarmCluster.")


class EnvVar(ApiModel):
    """An environment variable."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("!has(self.valueFrom) || !has(self.value) || self.value == ''", "must not set both `value` and `valueFrom`", fieldPath=".value")
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^=\s]+$")] = Field(description="Name.")
    value: Annotated[str, Field(max_length=32768)] = Field(default="", description="Value; Go templates of swarm pass through.")
    value_from: EnvSource | None = Field(default=None, description="Takes the value from elsewhere.")


class Spread(ApiModel):
    """A placement preference."""

    spread: Annotated[str, Field(max_length=255, pattern=r"^(node|engine)\.labels\..+$")] = Field(
        description="Label to spread over: node.labels.KEY or engine.labels.KEY. The engine would ignore anything else without a word."
    )


Constraint = Annotated[
    str,
    Field(
        max_length=512,
        pattern=r"^\s*(node\.(id|hostname|ip|role|platform\.os|platform\.arch)|node\.labels\.[A-Za-z0-9._/-]+|engine\.labels\.[A-Za-z0-9._/-]+)\s*(==|!=)\s*\S.*$",
    ),
]


class Placement(ApiModel):
    """Where tasks may run."""

    constraints: list[Constraint] = Field(
        default_factory=list,
        max_length=32,
        description="Constraints such as node.role==worker; only == and !=. A key the engine does not know would match no node and is refused.",
    )
    preferences: list[Spread] = Field(default_factory=list, max_length=16, description="Preferences, in order.")
    max_replicas: Annotated[int, Field(ge=0, le=100000)] = Field(default=0, description="Most tasks per node; 0 is no limit.")
    platforms: list[Platform] = Field(
        default_factory=list,
        max_length=64,
        description="Platforms of nodes that may run the tasks. When empty those that imagePolicy found in the registry, else whatever the service has.",
        json_schema_extra={LIST_TYPE: "atomic"},
    )


class NetworkAttachment(ApiModel):
    """A network that tasks are attached to."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.name != 'ingress'", "`name` must not be `ingress`: publishing a port attaches it", fieldPath=".name"),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of a swarm network, or `host`.")
    aliases: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(default_factory=list, max_length=32, description="DNS aliases on that network.")
    driver_opts: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, description="Options of the network driver for this attachment.", json_schema_extra={"maxProperties": 32}
    )


class PortConfig(ApiModel):
    """A published port."""

    name: Annotated[str, Field(max_length=63)] = Field(default="", description="Name, for reference.")
    protocol: Literal["tcp", "udp", "sctp"] = Field(default="tcp", description="Protocol.")
    target_port: Annotated[int, Field(ge=1, le=65535)] = Field(description="Port in the container.")
    published_port: Annotated[int, Field(ge=0, le=65535)] = Field(default=0, description="Port on the node; 0 lets the swarm choose (see status.ports).")
    publish_mode: Literal["ingress", "host"] = Field(default="ingress", description="ingress: routing mesh on every node. host: on nodes that run a task.")


MonitorSeconds = Annotated[int, Field(ge=1, le=604800)]
"""A duration of at least a second: the engine reads 0 as its default of 5 s."""


class UpdateConfig(ApiModel):
    """How tasks are replaced on an update (engine defaults)."""

    parallelism: Annotated[int, Field(ge=0, le=100000)] = Field(default=1, description="Tasks replaced at a time; 0 is all at once.")
    delay_seconds: Seconds = Field(default=0, description="Pause between batches.")
    monitor_seconds: MonitorSeconds = Field(default=5, description="How long a new task is watched for failure.")
    failure_action: Literal["pause", "continue", "rollback"] = Field(default="pause", description="What happens when tasks fail.")
    max_failure_ratio: Annotated[float, Field(ge=0, le=1)] = Field(default=0.0, description="Share of failures tolerated, 0 to 1.")
    order: Literal["stop-first", "start-first"] = Field(default="stop-first", description="Stop the old task before or after the new one starts.")


class RollbackConfig(ApiModel):
    """How tasks are replaced on a rollback."""

    parallelism: Annotated[int, Field(ge=0, le=100000)] = Field(default=1, description="Tasks replaced at a time; 0 is all at once.")
    delay_seconds: Seconds = Field(default=0, description="Pause between batches.")
    monitor_seconds: MonitorSeconds = Field(default=5, description="How long a new task is watched for failure.")
    failure_action: Literal["pause", "continue"] = Field(default="pause", description="What happens when tasks fail.")
    max_failure_ratio: Annotated[float, Field(ge=0, le=1)] = Field(default=0.0, description="Share of failures tolerated, 0 to 1.")
    order: Literal["stop-first", "start-first"] = Field(default="stop-first", description="Stop the old task before or after the new one starts.")


class RestartPolicy(ApiModel):
    """When a task that ended is started again (engine defaults)."""

    condition: Literal["none", "on-failure", "any"] = Field(default="any", description="Condition.")
    delay_seconds: Seconds = Field(default=5, description="Delay between attempts.")
    max_attempts: Annotated[int, Field(ge=0, le=100000)] = Field(default=0, description="Most attempts within the window; 0 is no limit.")
    window_seconds: Seconds = Field(default=0, description="Window for max_attempts; 0 is unbounded.")


IMAGE_PATTERN: Final = (
    "^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*"
    "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$"
)
"""Image reference: [registry/]path[:tag][@digest] (distribution's reference grammar; IPv6 registries and digests other than sha256 are left out)."""


class SwarmServiceSpec(ApiModel):
    """Desired state of a swarm service."""

    model_config = ConfigDict(
        json_schema_extra=schema_extra(
            cel("self.clusterRef.name == oldSelf.clusterRef.name", "`clusterRef.name` must not change", fieldPath=".clusterRef.name"),
            cel(
                "has(self.serviceName) == has(oldSelf.serviceName) && (!has(self.serviceName) || self.serviceName == oldSelf.serviceName)",
                "`serviceName` must not change",
                fieldPath=".serviceName",
            ),
            cel("self.mode == oldSelf.mode", "`mode` must not change; delete the service and create it again", fieldPath=".mode"),
            cel("self.mode == 'replicated' || !has(self.replicas)", "`replicas` must be set with mode `replicated` only", fieldPath=".replicas"),
            cel(
                "self.mode in ['replicated', 'replicated-job'] || self.placement.maxReplicas == 0",
                "`placement.maxReplicas` must not be set with a global mode",
                fieldPath=".placement.maxReplicas",
            ),
            cel("!has(self.job) || self.mode in ['replicated-job', 'global-job']", "`job` must be set with a job mode only", fieldPath=".job"),
            cel("!has(self.schedule) || self.mode in ['replicated-job', 'global-job']", "`schedule` must be set with a job mode only", fieldPath=".schedule"),
            cel("!has(self.rebalance) || self.mode == 'replicated'", "`rebalance` must be set with mode `replicated` only", fieldPath=".rebalance"),
            cel(
                "!has(self.job) || self.mode != 'global-job' || (self.job.completions == 1 && !has(self.job.maxConcurrent))",
                "`job.completions` and `job.maxConcurrent` must not be set with mode `global-job`",
                fieldPath=".job",
            ),
            cel(
                "self.mode in ['replicated', 'global'] || (!has(self.updateConfig) && !has(self.rollbackConfig))",
                "`updateConfig` and `rollbackConfig` must not be set with a job mode",
                fieldPath=".updateConfig",
            ),
            cel(
                "self.mode in ['replicated', 'global'] || !has(self.restartPolicy) || self.restartPolicy.condition != 'any'",
                "`restartPolicy.condition` must be `on-failure` or `none` with a job mode",
                fieldPath=".restartPolicy.condition",
            ),
            cel(
                "self.endpointMode != 'dnsrr' || !has(self.ports) || self.ports.all(p, p.publishMode == 'host')",
                "`ports` must have publishMode `host` with endpointMode `dnsrr`",
                fieldPath=".ports",
            ),
            cel(
                "!has(self.networks) || self.networks.size() == 1 || self.networks.all(n, n.name != 'host')",
                "`networks` must hold nothing besides `host`",
                fieldPath=".networks",
            ),
        )
    )

    cluster_ref: ClusterRef = Field(description="The SwarmCluster to run on.")
    service_name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?$")] | None = Field(
        default=None, description="Name in the swarm; metadata.name when absent."
    )
    image: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Image, with tag or digest.",
        json_schema_extra=schema_extra(cel(f"self.matches('{IMAGE_PATTERN}')", "must be an image reference such as registry.example:5000/app/web:1.2")),
    )
    command: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=256, description="Entrypoint (as in Kubernetes; ContainerSpec.Command)."
    )
    args: list[Annotated[str, Field(max_length=4096)]] = Field(default_factory=list, max_length=256, description="Arguments (ContainerSpec.Args).")
    env: list[EnvVar] = Field(default_factory=list, max_length=512, description="Environment.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]})
    configs: list[ConfigFile] = Field(
        default_factory=list, max_length=64, description="Configs as files in the containers.", json_schema_extra={LIST_TYPE: "atomic"}
    )
    secrets: list[SecretFile] = Field(
        default_factory=list, max_length=64, description="Secrets as files in the containers.", json_schema_extra={LIST_TYPE: "atomic"}
    )
    image_pull_secrets: list[ImagePullSecret] = Field(
        default_factory=list,
        max_length=16,
        description="Registry credentials: nodes pull the image with them, and the digest is looked up with them.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    image_policy: ImagePolicy = Field(default_factory=ImagePolicy, description="Whether tags are replaced by digests.")
    material_history_limit: Annotated[int, Field(ge=0, le=50)] = Field(
        default=2, description="How many configs and secrets with earlier content are kept of each source, beyond those that the last rollback target needs."
    )
    working_dir: Annotated[str, Field(max_length=4096)] | None = Field(default=None, description="Working directory.")
    user: Annotated[str, Field(max_length=128)] | None = Field(default=None, description="User, as name, uid or uid:gid.")
    hostname: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="Host name of the containers; Go templates pass through.")
    labels: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict,
        description="Service labels. Labels that others put on the service are kept.",
        json_schema_extra=schema_extra(own_labels_rule(), maxProperties=128),
    )
    container_labels: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, description="Container labels.", json_schema_extra={"maxProperties": 128}
    )
    mode: Literal["replicated", "global", "replicated-job", "global-job"] = Field(
        default="replicated",
        description="replicated: a number of tasks. global: one task per eligible node. replicated-job: tasks that run to completion, so many times. "
        "global-job: once on every eligible node.",
    )
    job: JobSpec | None = Field(default=None, description="With a job mode: how often, how many at a time, and which run.")
    schedule: JobSchedule | None = Field(default=None, description="With a job mode: runs the job by the clock, and only then.")
    groups: list[Word] = Field(default_factory=list, max_length=64, description="Further groups of the processes.", json_schema_extra={LIST_TYPE: "set"})
    host_aliases: list[HostAlias] = Field(default_factory=list, max_length=128, description="Entries of /etc/hosts.", json_schema_extra={LIST_TYPE: "atomic"})
    init: bool | None = Field(default=None, description="Run an init process as PID 1; the engine's setting when absent.")
    tty: bool = Field(default=False, description="Allocate a terminal.")
    stdin: bool = Field(default=False, description="Keep standard input open.")
    read_only: bool = Field(default=False, description="Mount the root file system read-only.")
    stop_signal: Annotated[str, Field(max_length=16, pattern=r"^(SIG)?[A-Z0-9+-]+$")] | None = Field(
        default=None, description="Signal that asks the process to end; the image's when absent."
    )
    capabilities: Capabilities = Field(default_factory=Capabilities, description="Kernel capabilities.")
    sysctls: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, description="Kernel parameters of the container's namespaces.", json_schema_extra={"maxProperties": 64}
    )
    ulimits: list[Ulimit] = Field(
        default_factory=list, max_length=32, description="Resource limits of processes.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]}
    )
    oom_score_adj: Annotated[int, Field(ge=-1000, le=1000)] = Field(
        default=0, description="How readily the kernel kills the container when memory runs out. Engine API 1.46 and later."
    )
    isolation: Literal["default", "process", "hyperv"] = Field(default="default", description="Isolation of Windows containers.")
    privileges: Privileges = Field(default_factory=Privileges, description="Security options.")
    mounts: list[Mount] = Field(
        default_factory=list, max_length=64, description="File systems in the container.", json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["target"]}
    )
    dns_config: DnsConfig = Field(default_factory=DnsConfig, description="Name resolution.")
    healthcheck: Healthcheck | None = Field(default=None, description="Health check; the image's when absent.")
    resources: Resources = Field(default_factory=Resources, description="Limits and reservations per task.")
    log_driver: LogDriver | None = Field(default=None, description="Where output goes; the engine's default when absent.")
    replicas: Annotated[int, Field(ge=0, le=100000)] | None = Field(
        default=None, description="Tasks of a replicated service; 1 when absent at creation, and then left to others."
    )
    rebalance: RebalanceSpec | None = Field(
        default=None, description="Spreads the tasks of a replicated service anew after nodes have come or gone; never when absent. `{}` takes the defaults."
    )
    placement: Placement = Field(default_factory=Placement, description="Where tasks may run.")
    networks: list[NetworkAttachment] = Field(
        default_factory=list,
        max_length=32,
        description="Networks that the tasks are attached to; none but the default ones when empty.",
        json_schema_extra={LIST_TYPE: "map", LIST_MAP_KEYS: ["name"]},
    )
    ports: list[PortConfig] = Field(
        default_factory=list,
        max_length=128,
        description="Ports that are published on nodes.",
        json_schema_extra=schema_extra(
            cel(
                "self.all(p, p.publishedPort == 0 || self.exists_one(q, q.publishedPort == p.publishedPort && q.protocol == p.protocol))",
                "`publishedPort` must be unique per protocol",
            ),
            **{LIST_TYPE: "atomic"},
        ),
    )
    endpoint_mode: Literal["vip", "dnsrr"] = Field(default="vip", description="Virtual IP or DNS round robin.")
    update_config: UpdateConfig | None = Field(default=None, description="How updates roll; the engine's defaults when absent.")
    rollback_config: RollbackConfig | None = Field(default=None, description="How rollbacks roll; the engine's defaults when absent.")
    restart_policy: RestartPolicy | None = Field(default=None, description="Restart of ended tasks; the engine's defaults when absent.")
    stop_grace_period_seconds: Seconds | None = Field(default=None, description="Time between stop signal and kill; 10 by the engine's default.")
    drift_policy: Literal["Correct", "Report"] = Field(default="Correct", description="Put changes from outside back, or only report them.")
    adoption_policy: Literal["Never", "IfUnowned"] = Field(
        default="Never",
        description="What happens when a service of that name exists without our owner label: Never reports NameConflict, IfUnowned takes it over.",
    )
    deletion_policy: Literal["Delete", "Retain"] = Field(default="Delete", description="Remove the service with this object, or leave it running.")
    progress_deadline_seconds: Annotated[int, Field(ge=10, le=604800)] = Field(default=600, description="Without progress for so long the service is Stalled.")
    rollback_to: RollbackTo | None = Field(
        default=None,
        description="Holds the service at an earlier revision until this is removed; the fields of the spec that a revision holds are not applied meanwhile.",
    )
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(default=10, description="How many revisions are kept besides the one that is applied.")
    paused_update: PausedUpdate = Field(default_factory=PausedUpdate, description="What is done about an update that the engine paused.")
    paused: bool = Field(default=False, description="While true the operator changes nothing; it still reports status.")


__all__ = ["AllocatedPort", "Cidr", "Endpoint", "FailingTask", "ReplicaStatus", "SwarmServiceSpec", "SwarmServiceStatus", "VirtualIP"]
