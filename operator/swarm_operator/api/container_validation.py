"""What the container fields of a service must satisfy beyond their schema. Pure.

Sources: swarmkit `manager/controlapi/service.go` (least resources) and moby `daemon/cluster/convert/container.go`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from typing import Final

from swarm_operator.api.container import Capabilities
from swarm_operator.api.parse import Problem
from swarm_operator.api.quantities import in_bytes, nano_cpus
from swarm_operator.api.service import SwarmServiceSpec

_LEAST_NANO_CPUS: Final = 10**6
_LEAST_MEMORY: Final = 4 * 2**20


def container_problems(spec: SwarmServiceSpec) -> Iterator[Problem]:
    """Problems of a service's container fields."""
    for index, alias in enumerate(spec.host_aliases):
        if not _is_address(alias.ip):
            yield Problem(f"spec.hostAliases[{index}].ip", f"must be an IP address, not {alias.ip!r}")
    for index, server in enumerate(spec.dns_config.nameservers):
        if not _is_address(server):
            yield Problem(f"spec.dnsConfig.nameservers[{index}]", f"must be an IP address, not {server!r}")
    yield from _capabilities(spec.capabilities)
    targets = [mount.target.rstrip("/") or "/" for mount in spec.mounts]
    for index, target in enumerate(targets):
        if target in targets[:index]:
            yield Problem(f"spec.mounts[{index}].target", f"must be unique; `{target}` occurs twice")
    seccomp = spec.privileges.seccomp
    if seccomp is not None and seccomp.profile is not None and not _is_json_object(seccomp.profile):
        yield Problem("spec.privileges.seccomp.profile", "must be a JSON object")
    for part, amounts in (("limits", spec.resources.limits), ("reservations", spec.resources.reservations)):
        cpus, memory = nano_cpus(amounts.cpu), in_bytes(amounts.memory)
        if cpus is not None and cpus < _LEAST_NANO_CPUS:
            yield Problem(f"spec.resources.{part}.cpu", f"must be at least 1m, not {amounts.cpu!r}")
        if memory is not None and memory < _LEAST_MEMORY:
            yield Problem(f"spec.resources.{part}.memory", f"must be at least 4Mi, not {amounts.memory!r}")


def _capabilities(capabilities: Capabilities) -> Iterator[Problem]:
    added = {name.upper().removeprefix("CAP_") for name in capabilities.add}
    for index, name in enumerate(capabilities.drop):
        if name.upper().removeprefix("CAP_") in added:
            yield Problem(f"spec.capabilities.drop[{index}]", f"must not name `{name}`, which `add` holds as well")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
