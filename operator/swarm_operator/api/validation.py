"""What a spec must satisfy beyond its schema, where CEL rules are too weak or too costly. Pure; the controllers report the problems as InvalidSpec.

Sources: dockerd's daemon configuration checks (moby `daemon/config`), swarm address pools (moby `daemon/cluster`), placement constraints (swarmkit `manager/constraint`),
Nova's server metadata keys (Nova API reference, "Server metadata").
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final
from urllib.parse import urlsplit

from swarm_operator.api.base import RESERVED_LABEL_PREFIX
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.container_validation import container_problems
from swarm_operator.api.engine import EngineSpec
from swarm_operator.api.image_validation import image_problems
from swarm_operator.api.materials import ConfigFile, SecretFile
from swarm_operator.api.network import DEFAULT_CIDR, NetworkSpec
from swarm_operator.api.parse import Problem
from swarm_operator.api.rollout import MaintenanceWindow
from swarm_operator.api.schedule import schedule_problem
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.api.swarm import SwarmSpec
from swarm_operator.api.windows import problem as window_problem

IPv4 = ipaddress.IPv4Network

ENGINE_EXTRA_REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("hosts", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey"), "the operator sets up the engine's socket and TLS"),
    **dict.fromkeys(
        ("pidfile", "exec-root", "containerd", "cluster-store", "cluster-advertise", "cluster-store-opts"), "it would break the service of the image"
    ),
    "live-restore": "swarm mode refuses it",
    "graph": "set `spec.engine.dataRoot`",
    "labels": "set `spec.engine.labels`",
    "log-driver": "set `spec.engine.logDriver`",
    "log-opts": "set `spec.engine.logOpts`",
    "data-root": "set `spec.engine.dataRoot`",
    "storage-driver": "set `spec.engine.storageDriver`",
    "bip": "set `spec.engine.bip`",
    "mtu": "set `spec.engine.mtu`",
    "fixed-cidr": "set `spec.engine.fixedCIDR`",
    "registry-mirrors": "set `spec.engine.registryMirrors`",
    "insecure-registries": "set `spec.engine.insecureRegistries`",
}
"""daemon.json keys that `spec.engine.extra` must not hold, and why."""

_DOCKER_NAMESPACES: Final = ("com.docker.", "io.docker.", "org.dockerproject.")
_METADATA_KEY: Final = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")
_SMALLEST_PREFIX: Final = 28
"""Neutron takes a gateway and a DHCP address of each subnet; a smaller one has no room for a swarm."""


def validate_cluster(spec: SwarmClusterSpec, objects: Collection[str] = ()) -> list[Problem]:
    """All problems of a cluster's spec, in the order of the fields; empty when there are none. An external swarm's has no field that needs it. `objects`: names of its SwarmWorkerPools."""
    if spec.external is not None:
        return []
    images = image_problems(spec)
    return [
        *_network(spec.network),
        *_security(spec),
        *_machines(spec),
        *_floating_ips(spec),
        *images,
        *_engine(spec.engine),
        *_swarm(spec.swarm, spec.network),
        *_rollout(spec, objects),
        *_promotion(spec, objects),
        *_backup(spec),
    ]


def validate_service(spec: SwarmServiceSpec) -> list[Problem]:
    """All problems of a service's spec, in the order of the fields; empty when there are none."""
    return [
        *_environment(spec),
        *_files("configs", _targets(spec.configs)),
        *_files("secrets", _targets(spec.secrets)),
        *_constraints(spec.placement.constraints),
        *container_problems(spec),
        *_schedule(spec),
    ]


def _schedule(spec: SwarmServiceSpec) -> Iterator[Problem]:
    found = schedule_problem(spec.schedule) if spec.schedule is not None else None
    if found is not None:
        yield Problem(f"spec.schedule.{found[0]}", found[1])


def _rollout(spec: SwarmClusterSpec, objects: Collection[str]) -> Iterator[Problem]:
    pools = {"manager", *objects, *(pool.name for pool in spec.worker_pools)}
    for index, name in enumerate(spec.rollout.order):
        if name not in pools:
            yield Problem(f"spec.rollout.order[{index}]", f"must be `manager` or the name of a pool, not {name!r}")
    for index, window in enumerate(spec.maintenance_windows):
        if (found := window_problem(window)) is not None:
            yield Problem(f"spec.maintenanceWindows[{index}].{found[0]}", found[1])


def _promotion(spec: SwarmClusterSpec, objects: Collection[str]) -> Iterator[Problem]:
    """Data volumes and declared ports belong to the slot that they were made for, and Ignition is rendered for workers: neither goes along when a worker becomes a manager."""
    wanted, field = spec.managers.promote_from, "spec.managers.promoteFrom"
    if wanted is None:
        return
    pool = next((p for p in spec.worker_pools if p.name == wanted), None)
    if pool is None and wanted not in objects:
        yield Problem(field, f"must be the name of a pool, not {wanted!r}")
    for part in ("volumes", "ports"):
        if getattr(spec.managers.machine.over(spec.machine), part):
            yield Problem(field, f"managers with `{part}` can't be replaced by workers")
        if pool is not None and getattr(pool.machine.over(spec.machine), part):
            yield Problem(field, f"workers of pool {wanted!r} have `{part}`, and can't become managers")
    if pool is not None and pool.machine.over(spec.machine).os == "Ignition":
        yield Problem(field, f"workers of pool {wanted!r} are set up by Ignition, and can't become managers")
    if pool is not None and pool.preemptible:
        yield Problem(field, f"pool {wanted!r} is preemptible: the cloud may take its servers at any time")


def _backup(spec: SwarmClusterSpec) -> Iterator[Problem]:
    backup = spec.backup
    if backup is None or backup.schedule is None:
        return
    found = window_problem(MaintenanceWindow(schedule=backup.schedule, time_zone=backup.time_zone))
    if found is not None:
        yield Problem(f"spec.backup.{found[0]}", found[1])


def _cidr(field: str, text: str) -> IPv4 | Problem:
    """The network that `text` names, or the problem with it: an octet out of range, or bits set beyond the prefix."""
    try:
        return IPv4(text)
    except ValueError:
        pass
    try:
        return Problem(field, f"must be the address of a network: {IPv4(text, strict=False)}, not {text}")
    except ValueError:
        return Problem(field, f"must be an IPv4 network such as {DEFAULT_CIDR}, not {text!r}")


def _network(network: NetworkSpec) -> Iterator[Problem]:
    if network.managed is None:
        return
    field = "spec.network.managed"
    cidr = _cidr(f"{field}.cidr", network.managed.cidr)
    if isinstance(cidr, Problem):
        yield cidr
    elif cidr.prefixlen > _SMALLEST_PREFIX:
        yield Problem(f"{field}.cidr", f"must have a prefix of at most /{_SMALLEST_PREFIX} to have room for servers")
    for index, server in enumerate(network.managed.dns_nameservers):
        try:
            ipaddress.IPv4Address(server)
        except ValueError:
            yield Problem(f"{field}.dnsNameservers[{index}]", f"must be an IPv4 address, not {server!r}")


def _security(spec: SwarmClusterSpec) -> Iterator[Problem]:
    managed = spec.security_groups.managed
    if managed is None:
        return
    field = "spec.securityGroups.managed"
    for index, text in enumerate(managed.operator_cidrs):
        if isinstance(problem := _cidr(f"{field}.operatorCidrs[{index}]", text), Problem):
            yield problem
    for index, text in enumerate(managed.published_ports):
        low, high = port_range(text)
        if not 1 <= low <= high <= 65535:
            yield Problem(f"{field}.publishedPorts[{index}]", f"must be a range of ports from 1 to 65535, lower end first, not {text!r}")


def port_range(text: str) -> tuple[int, int]:
    """`tcp/80` -> (80, 80); `udp/1000-2000` -> (1000, 2000). The text has the form that the schema demands."""
    low, _, high = text.partition("/")[2].partition("-")
    return int(low), int(high or low)


def _machines(spec: SwarmClusterSpec) -> Iterator[Problem]:
    places: list[tuple[str, Mapping[str, str]]] = [
        ("spec.machine", spec.machine.metadata),
        ("spec.managers.machine", spec.managers.machine.metadata or {}),
        *((f"spec.workerPools[{index}].machine", pool.machine.metadata or {}) for index, pool in enumerate(spec.worker_pools)),
    ]
    for field, metadata in places:
        for key in metadata:
            if not _METADATA_KEY.fullmatch(key):
                yield Problem(f"{field}.metadata", f"keys must be 1 to 255 characters of [a-zA-Z0-9-_:. ], unlike {key!r}")
            elif key.startswith("swarmops"):
                yield Problem(f"{field}.metadata", f"keys must not start with `swarmops`, unlike {key!r}")
    yield from _pool_names([pool.name for pool in spec.worker_pools])


def _floating_ips(spec: SwarmClusterSpec) -> Iterator[Problem]:
    """An address can be on one port only."""
    seen: dict[str, str] = {}
    places = [("spec.managers", spec.managers.floating_ip.addresses)]
    places += [(f"spec.workerPools[{index}]", pool.floating_ip.addresses) for index, pool in enumerate(spec.worker_pools)]
    for place, addresses in places:
        for index, address in enumerate(addresses):
            field = f"{place}.floatingIP.addresses[{index}]"
            if address in seen:
                yield Problem(field, f"must not be {address}, which {seen[address]} names")
            seen.setdefault(address, field)


def _pool_names(names: Sequence[str]) -> Iterator[Problem]:
    """Servers are `<cluster>-<pool>-<slot>[-<incarnation>]`: no pool may be another's name, a dash and a number, or two servers could be named alike."""
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(f"spec.workerPools[{index}].name", f"must be unique; `{name}` occurs twice")
        for other in ("manager", *names):
            if re.fullmatch(rf"{re.escape(other)}-[0-9]+", name):
                yield Problem(f"spec.workerPools[{index}].name", f"must not be `{other}` with a number: servers of the two could have the same name")


def _engine(engine: EngineSpec) -> Iterator[Problem]:
    field = "spec.engine"
    bridge = _bridge(engine.bip)
    if isinstance(bridge, Problem):
        yield bridge
    if engine.fixed_cidr is not None:
        fixed = _cidr(f"{field}.fixedCIDR", engine.fixed_cidr)
        if isinstance(fixed, Problem):
            yield fixed
        elif isinstance(bridge, IPv4) and not fixed.subnet_of(bridge):
            yield Problem(f"{field}.fixedCIDR", f"must lie within bip {bridge}")
    for index, mirror in enumerate(engine.registry_mirrors):
        parts = urlsplit(mirror)
        if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
            yield Problem(f"{field}.registryMirrors[{index}]", "must be http(s)://host[:port][/path] without user, query or fragment")
    for index, registry in enumerate(engine.insecure_registries):
        if "://" in registry or not registry.strip():
            yield Problem(f"{field}.insecureRegistries[{index}]", "must be host[:port] or a network, without a scheme")
    for key in engine.labels:
        for prefix in (*_DOCKER_NAMESPACES, RESERVED_LABEL_PREFIX):
            if key.lower().startswith(prefix):
                yield Problem(f"{field}.labels", f"keys must not start with `{prefix}`, unlike {key!r}")
        if not key or "=" in key:
            yield Problem(f"{field}.labels", f"keys must not be empty or hold `=`, unlike {key!r}")
    yield from refused_extra(engine.extra)


def refused_extra(extra: Mapping[str, Any]) -> list[Problem]:
    """Problems of `spec.engine.extra`: the keys that the operator sets by itself or that would stop the engine."""
    return [Problem(f"spec.engine.extra.{key}", f"must not be set: {ENGINE_EXTRA_REFUSED[key]}") for key in sorted(extra) if key in ENGINE_EXTRA_REFUSED]


def _bridge(bip: str | None) -> IPv4 | Problem | None:
    """The network of docker0; `bip` is the address of the bridge in it, not that of the network."""
    if bip is None:
        return None
    try:
        interface = ipaddress.IPv4Interface(bip)
    except ValueError:
        return Problem("spec.engine.bip", f"must be an IPv4 address with prefix such as 172.26.0.1/16, not {bip!r}")
    if interface.network.prefixlen < 31 and interface.ip in (interface.network.network_address, interface.network.broadcast_address):
        return Problem("spec.engine.bip", f"must be the address of the bridge, such as {next(interface.network.hosts())}/{interface.network.prefixlen}")
    return interface.network


def _swarm(swarm: SwarmSpec, network: NetworkSpec) -> Iterator[Problem]:
    pools: list[tuple[int, IPv4]] = []
    for index, text in enumerate(swarm.default_addr_pools):
        field = f"spec.swarm.defaultAddrPools[{index}]"
        pool = _cidr(field, text)
        if isinstance(pool, Problem):
            yield pool
            continue
        if pool.prefixlen > swarm.subnet_size:
            yield Problem(field, f"must not be smaller than a subnet of spec.swarm.subnetSize /{swarm.subnet_size}")
        pools.append((index, pool))
    for (first, one), (second, other) in combinations(pools, 2):
        if one.overlaps(other):
            yield Problem(f"spec.swarm.defaultAddrPools[{second}]", f"must not overlap defaultAddrPools[{first}] ({one})")
    servers = _server_network(network)
    if servers is not None:
        for index, pool in pools:
            if pool.overlaps(servers):
                yield Problem(f"spec.swarm.defaultAddrPools[{index}]", f"must not overlap the network of the servers ({servers})")
    yield from _overlays(swarm, servers)


def _server_network(network: NetworkSpec) -> IPv4 | None:
    """Where the servers are, if the spec tells; None for an existing network or one that is reported already."""
    if network.existing is not None:
        return None
    cidr = _cidr("", network.managed.cidr if network.managed is not None else DEFAULT_CIDR)
    return None if isinstance(cidr, Problem) else cidr


def _overlays(swarm: SwarmSpec, servers: IPv4 | None) -> Iterator[Problem]:
    seen: list[tuple[str, IPv4]] = [("the network of the servers", servers)] if servers is not None else []
    for index, overlay in enumerate(swarm.networks):
        field = f"spec.swarm.networks[{index}]"
        if overlay.name in ("ingress", "docker_gwbridge", "host", "bridge", "none"):
            yield Problem(f"{field}.name", f"must not be `{overlay.name}`, which every engine has")
        if overlay.subnet is None:
            continue
        subnet = _cidr(f"{field}.subnet", overlay.subnet)
        if isinstance(subnet, Problem):
            yield subnet
            continue
        for name, other in seen:
            if subnet.overlaps(other):
                yield Problem(f"{field}.subnet", f"must not overlap {name} ({other})")
        seen.append((f"network `{overlay.name}`", subnet))


def _environment(spec: SwarmServiceSpec) -> Iterator[Problem]:
    names: set[str] = set()
    for index, variable in enumerate(spec.env):
        if variable.name in names:
            yield Problem(f"spec.env[{index}].name", f"must be unique; `{variable.name}` occurs twice")
        names.add(variable.name)


def _targets(files: Sequence[ConfigFile | SecretFile]) -> Iterator[str]:
    for file in files:
        ref = file.config_map_ref if isinstance(file, ConfigFile) else file.secret_ref
        yield file.target or (ref.key if ref is not None else file.name or "")


def _files(field: str, targets: Iterable[str]) -> Iterator[Problem]:
    """Files of one place: the engine refuses two with one target."""
    seen: set[str] = set()
    for index, target in enumerate(targets):
        if target in seen:
            yield Problem(f"spec.{field}[{index}].target", f"must be unique; `{target}` occurs twice")
        seen.add(target)


_CONSTRAINT: Final = re.compile(r"\s*(\S+?)\s*(==|!=)\s*(.*\S)\s*")
_CONSTRAINT_VALUE: Final = re.compile(r"[a-zA-Z0-9:\-_\s.*()?+\[\]\\^$|/]+")


def _constraints(constraints: Sequence[str]) -> Iterator[Problem]:
    """Values that the engine takes but that no node can have: the tasks would be pending for ever."""
    for index, text in enumerate(constraints):
        field = f"spec.placement.constraints[{index}]"
        match = _CONSTRAINT.fullmatch(text)
        if match is None:
            yield Problem(field, "must have the form key==value or key!=value")
            continue
        key, value = match.group(1).lower(), match.group(3)
        if not _CONSTRAINT_VALUE.fullmatch(value):
            yield Problem(field, f"must not hold characters in its value that the engine refuses: {value!r}")
        elif key == "node.role" and value.lower() not in ("manager", "worker"):
            yield Problem(field, f"must compare node.role with `manager` or `worker`, not {value!r}")
        elif key == "node.ip" and not _is_address(value):
            yield Problem(field, f"must compare node.ip with an address or a network, not {value!r}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
