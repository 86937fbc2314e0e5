"""Rows of the table of leaves for the container, its resources and its log driver (see `leaves`), and how each is rendered."""

from __future__ import annotations

import base64
from typing import Any, Final

from swarm_operator.api.container import Mount
from swarm_operator.api.quantities import in_bytes, nano_cpus
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service import canonical, canonical_task
from swarm_operator.domain.service.canonical import SECOND, Raw
from swarm_operator.domain.service.leaf import CONTAINER, PLACEMENT, UNMANAGED, Leaf, RenderContext

PRIVILEGES: Final = (*CONTAINER, "Privileges")
DNS: Final = (*CONTAINER, "DNSConfig")
LIMITS: Final = ("TaskTemplate", "Resources", "Limits")
RESERVATIONS: Final = ("TaskTemplate", "Resources", "Reservations")


def _platforms(spec: SwarmServiceSpec, context: RenderContext) -> Raw:
    declared = [(p.architecture, p.os) for p in spec.placement.platforms] or context.platforms
    if declared is None:
        return UNMANAGED
    return [{"Architecture": architecture, "OS": system} for architecture, system in declared] or None


def _credential_spec(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    wanted = spec.privileges.credential_spec
    return None if wanted is None else _filled(File=wanted.file, Registry=wanted.registry)


def _selinux(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    wanted = spec.privileges.se_linux_context
    return None if wanted is None else _filled(Disable=wanted.disable, User=wanted.user, Role=wanted.role, Type=wanted.type, Level=wanted.level) or None


def _seccomp(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    wanted = spec.privileges.seccomp
    if wanted is None:
        return None
    return _filled(Mode=wanted.mode, Profile=base64.b64encode(wanted.profile.encode()).decode() if wanted.profile else None)


def _mount(mount: Mount) -> dict[str, Any]:
    out = {"Type": mount.type, **_filled(Source=mount.source), "Target": mount.target, **_filled(ReadOnly=mount.read_only)}
    if (bind := mount.bind_options) is not None:
        out["BindOptions"] = {"Propagation": bind.propagation, **_filled(NonRecursive=bind.non_recursive)}
    if (volume := mount.volume_options) is not None:
        driver = _filled(Name=volume.driver, Options=dict(volume.driver_opts))
        out["VolumeOptions"] = _filled(NoCopy=volume.no_copy, Labels=dict(volume.labels), DriverConfig=driver)
    if (tmpfs := mount.tmpfs_options) is not None:
        out["TmpfsOptions"] = _filled(SizeBytes=in_bytes(tmpfs.size), Mode=tmpfs.mode)
    return out


def _healthcheck(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    check = spec.healthcheck
    if check is None:
        return None
    if check.disable:
        return {"Test": ["NONE"]}
    return (
        _filled(
            Test=list(check.test),
            Interval=check.interval_seconds * SECOND,
            Timeout=check.timeout_seconds * SECOND,
            Retries=check.retries,
            StartPeriod=check.start_period_seconds * SECOND,
            StartInterval=check.start_interval_seconds * SECOND,
        )
        or None
    )


def _log_driver(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    driver = spec.log_driver
    return None if driver is None else _filled(Name=driver.name, Options=dict(driver.options))


def _filled(**values: Any) -> dict[str, Any]:
    """Without zero values: the engine does not store them."""
    return {key: value for key, value in values.items() if value}


def _generic(spec: SwarmServiceSpec, _context: RenderContext) -> Raw:
    return [{"DiscreteResourceSpec": {"Kind": r.kind, "Value": r.value}} for r in spec.resources.reservations.generic_resources] or None


CONTAINER_LEAVES: Final[tuple[Leaf, ...]] = (
    Leaf("placement.platforms", (*PLACEMENT, "Platforms"), _platforms, canonical.platforms),
    Leaf("groups", (*CONTAINER, "Groups"), lambda s, _: list(s.groups) or None, canonical_task.word_set),
    Leaf("hostAliases", (*CONTAINER, "Hosts"), lambda s, _: [" ".join((a.ip, *a.hostnames)) for a in s.host_aliases] or None, canonical_task.hosts),
    Leaf("init", (*CONTAINER, "Init"), lambda s, _: s.init, canonical_task.tristate, align=canonical_task.open_tristate, shown=True),
    Leaf("tty", (*CONTAINER, "TTY"), lambda s, _: s.tty or None, canonical_task.boolean, shown=True),
    Leaf("stdin", (*CONTAINER, "OpenStdin"), lambda s, _: s.stdin or None, canonical_task.boolean, shown=True),
    Leaf("readOnly", (*CONTAINER, "ReadOnly"), lambda s, _: s.read_only or None, canonical_task.boolean, shown=True),
    Leaf("stopSignal", (*CONTAINER, "StopSignal"), lambda s, _: s.stop_signal or None, canonical.text, shown=True),
    Leaf("capabilities.add", (*CONTAINER, "CapabilityAdd"), lambda s, _: list(s.capabilities.add) or None, canonical_task.capabilities),
    Leaf("capabilities.drop", (*CONTAINER, "CapabilityDrop"), lambda s, _: list(s.capabilities.drop) or None, canonical_task.capabilities),
    Leaf("sysctls", (*CONTAINER, "Sysctls"), lambda s, _: dict(s.sysctls) or None, canonical.string_map),
    Leaf(
        "ulimits", (*CONTAINER, "Ulimits"), lambda s, _: [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in s.ulimits] or None, canonical_task.ulimits
    ),
    Leaf("oomScoreAdj", (*CONTAINER, "OomScoreAdj"), lambda s, _: s.oom_score_adj or None, canonical.count, shown=True, since=(1, 46)),
    Leaf("isolation", (*CONTAINER, "Isolation"), lambda s, _: None if s.isolation == "default" else s.isolation, canonical_task.isolation, shown=True),
    Leaf("privileges.credentialSpec", (*PRIVILEGES, "CredentialSpec"), _credential_spec, canonical_task.struct),
    Leaf("privileges.seLinuxContext", (*PRIVILEGES, "SELinuxContext"), _selinux, canonical_task.struct),
    Leaf("privileges.seccomp", (*PRIVILEGES, "Seccomp"), _seccomp, canonical_task.seccomp, since=(1, 44)),
    Leaf(
        "privileges.appArmor",
        (*PRIVILEGES, "AppArmor"),
        lambda s, _: None if s.privileges.app_armor is None else {"Mode": s.privileges.app_armor.mode},
        canonical_task.app_armor,
        shown=True,
        since=(1, 44),
    ),
    Leaf(
        "privileges.noNewPrivileges",
        (*PRIVILEGES, "NoNewPrivileges"),
        lambda s, _: s.privileges.no_new_privileges or None,
        canonical_task.boolean,
        shown=True,
        since=(1, 44),
    ),
    Leaf("mounts", (*CONTAINER, "Mounts"), lambda s, _: [_mount(m) for m in s.mounts] or None, canonical_task.mounts),
    Leaf("dnsConfig.nameservers", (*DNS, "Nameservers"), lambda s, _: list(s.dns_config.nameservers) or None, canonical.sequence),
    Leaf("dnsConfig.searches", (*DNS, "Search"), lambda s, _: list(s.dns_config.searches) or None, canonical.sequence),
    Leaf("dnsConfig.options", (*DNS, "Options"), lambda s, _: list(s.dns_config.options) or None, canonical_task.word_set),
    Leaf("healthcheck", (*CONTAINER, "Healthcheck"), _healthcheck, canonical_task.struct, needs={"StartInterval": (1, 44)}),
    Leaf("resources.limits.cpu", (*LIMITS, "NanoCPUs"), lambda s, _: nano_cpus(s.resources.limits.cpu) or None, canonical.count, shown=True),
    Leaf("resources.limits.memory", (*LIMITS, "MemoryBytes"), lambda s, _: in_bytes(s.resources.limits.memory) or None, canonical.count, shown=True),
    Leaf("resources.limits.pids", (*LIMITS, "Pids"), lambda s, _: s.resources.limits.pids or None, canonical.count, shown=True),
    Leaf("resources.reservations.cpu", (*RESERVATIONS, "NanoCPUs"), lambda s, _: nano_cpus(s.resources.reservations.cpu) or None, canonical.count, shown=True),
    Leaf(
        "resources.reservations.memory",
        (*RESERVATIONS, "MemoryBytes"),
        lambda s, _: in_bytes(s.resources.reservations.memory) or None,
        canonical.count,
        shown=True,
    ),
    Leaf("resources.reservations.genericResources", (*RESERVATIONS, "GenericResources"), _generic, canonical_task.generic_resources),
    Leaf(
        "resources.memorySwap",
        ("TaskTemplate", "Resources", "SwapBytes"),
        lambda s, _: in_bytes(s.resources.memory_swap),
        canonical_task.optional_count,
        shown=True,
        since=(1, 52),
    ),
    Leaf(
        "resources.memorySwappiness",
        ("TaskTemplate", "Resources", "MemorySwappiness"),
        lambda s, _: s.resources.memory_swappiness,
        canonical_task.optional_count,
        shown=True,
        since=(1, 52),
    ),
    Leaf("logDriver", ("TaskTemplate", "LogDriver"), _log_driver, canonical_task.log_driver),
)
