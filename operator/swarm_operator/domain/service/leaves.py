"""The table of ServiceSpec leaves that a SwarmService declares: where each lives, how it is rendered, and when two values of it mean the same.

A further field of the ServiceSpec is one more row here (and its field in `api.service`); render, compare and patch read only this table. What is not in the table is
nobody's business here and survives every update as it is. The rows of the container are in `container_leaves`.
"""

from __future__ import annotations

from typing import Any, Final

from swarm_operator.api.service import RollbackConfig, SwarmServiceSpec, UpdateConfig
from swarm_operator.domain.service import canonical
from swarm_operator.domain.service.canonical import SECOND, Raw
from swarm_operator.domain.service.container_leaves import CONTAINER_LEAVES
from swarm_operator.domain.service.leaf import CONTAINER, PLACEMENT, UNMANAGED, Leaf, RenderContext

__all__ = ["LEAVES", "UNMANAGED", "Leaf", "RenderContext"]


def _seconds(value: int | None) -> int | None:
    return None if value is None else value * SECOND


def _update(config: UpdateConfig | RollbackConfig | None) -> dict[str, Any] | None:
    if config is None:
        return None
    return {
        "Parallelism": config.parallelism,
        "Delay": config.delay_seconds * SECOND,
        "FailureAction": config.failure_action,
        "Monitor": config.monitor_seconds * SECOND,
        "MaxFailureRatio": config.max_failure_ratio,
        "Order": config.order,
    }


def _restart(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    policy = spec.restart_policy
    if policy is None:
        return None
    return {
        "Condition": policy.condition,
        "Delay": policy.delay_seconds * SECOND,
        "MaxAttempts": policy.max_attempts,
        "Window": policy.window_seconds * SECOND,
    }


def _networks(spec: SwarmServiceSpec, context: RenderContext) -> Raw:
    out = []
    for attachment in spec.networks:
        entry: dict[str, Any] = {"Target": context.networks[attachment.name]}
        if attachment.aliases:
            entry["Aliases"] = list(attachment.aliases)
        if attachment.driver_opts:
            entry["DriverOpts"] = dict(attachment.driver_opts)
        out.append(entry)
    return out or None


def _ports(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    out = []
    for port in spec.ports:
        entry: dict[str, Any] = {"Protocol": port.protocol, "TargetPort": port.target_port, "PublishMode": port.publish_mode}
        if port.name:
            entry["Name"] = port.name
        if port.published_port:
            entry["PublishedPort"] = port.published_port
        out.append(entry)
    return out or None


def _completions(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    if spec.mode != "replicated-job":
        return UNMANAGED
    return 1 if spec.job is None else spec.job.completions


def _max_concurrent(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    """As many as completions where nothing is said, as the Docker CLI does; the engine alone would take 1."""
    if spec.mode != "replicated-job":
        return UNMANAGED
    job = spec.job
    return 1 if job is None else job.max_concurrent or job.completions or 1


def _replicas(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    return spec.replicas if spec.mode == "replicated" and spec.replicas is not None else UNMANAGED


LEAVES: Final[tuple[Leaf, ...]] = (
    Leaf("image", (*CONTAINER, "Image"), lambda s, c: c.image or s.image, canonical.image, align=canonical.open_digest, shown=True),
    Leaf("command", (*CONTAINER, "Command"), lambda s, _: list(s.command) or None, canonical.sequence),
    Leaf("args", (*CONTAINER, "Args"), lambda s, _: list(s.args) or None, canonical.sequence),
    Leaf("env", (*CONTAINER, "Env"), lambda s, c: [f"{e.name}={c.env.get(e.name, e.value)}" for e in s.env] or None, canonical.environment),
    Leaf("workingDir", (*CONTAINER, "Dir"), lambda s, _: s.working_dir or None, canonical.text, shown=True),
    Leaf("user", (*CONTAINER, "User"), lambda s, _: s.user or None, canonical.text, shown=True),
    Leaf("hostname", (*CONTAINER, "Hostname"), lambda s, _: s.hostname or None, canonical.text, shown=True),
    Leaf("containerLabels", (*CONTAINER, "Labels"), lambda s, _: dict(s.container_labels) or None, canonical.string_map),
    Leaf(
        "stopGracePeriodSeconds",
        (*CONTAINER, "StopGracePeriod"),
        lambda s, _: _seconds(s.stop_grace_period_seconds),
        canonical.stop_grace_period,
    ),
    Leaf("placement.constraints", (*PLACEMENT, "Constraints"), lambda s, _: list(s.placement.constraints) or None, canonical.constraints),
    Leaf(
        "placement.preferences",
        (*PLACEMENT, "Preferences"),
        lambda s, _: [{"Spread": {"SpreadDescriptor": p.spread}} for p in s.placement.preferences] or None,
        canonical.preferences,
    ),
    Leaf("placement.maxReplicas", (*PLACEMENT, "MaxReplicas"), lambda s, _: s.placement.max_replicas or None, canonical.count, shown=True),
    Leaf("configs", (*CONTAINER, "Configs"), lambda _, c: list(c.configs) or None, canonical.config_files),
    Leaf("secrets", (*CONTAINER, "Secrets"), lambda _, c: list(c.secrets) or None, canonical.secret_files),
    Leaf("networks", ("TaskTemplate", "Networks"), _networks, canonical.networks),
    Leaf("restartPolicy", ("TaskTemplate", "RestartPolicy"), _restart, canonical.restart_policy, merge=True),
    Leaf("replicas", ("Mode", "Replicated", "Replicas"), _replicas, canonical.replicas, shown=True),
    Leaf("job.completions", ("Mode", "ReplicatedJob", "TotalCompletions"), _completions, canonical.replicas, shown=True),
    Leaf("job.maxConcurrent", ("Mode", "ReplicatedJob", "MaxConcurrent"), _max_concurrent, canonical.replicas, shown=True),
    Leaf("updateConfig", ("UpdateConfig",), lambda s, _: _update(s.update_config), canonical.update_config, merge=True),
    Leaf("rollbackConfig", ("RollbackConfig",), lambda s, _: _update(s.rollback_config), canonical.update_config, merge=True),
    Leaf("endpointMode", ("EndpointSpec", "Mode"), lambda s, _: None if s.endpoint_mode == "vip" else s.endpoint_mode, canonical.endpoint_mode, shown=True),
    Leaf("ports", ("EndpointSpec", "Ports"), _ports, canonical.ports),
    *CONTAINER_LEAVES,
)
