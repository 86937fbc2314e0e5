"""Which nodes the tasks of a service may run on, computed from its constraints and platforms.

Rules: swarmkit `manager/constraint/constraint.go` (operators == and !=, values without regard to case, a missing label equals "") and `manager/orchestrator/global`
(nodes that are ready and active); platforms: `manager/scheduler/filter.go`, PlatformFilter (empty parts match anything, x86_64 is amd64, aarch64 is arm64).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from swarm_operator.domain.swarm import Node

_FORM = re.compile(r"^\s*(\S+?)\s*(==|!=)\s*(.*?)\s*$")
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def eligible(nodes: Iterable[Node], placement: Mapping[str, Any]) -> tuple[tuple[Node, ...], bool]:
    """The ready, active nodes that meet a raw Placement, and whether all of it could be judged: a node may not tell its platform or its engine's labels."""
    parsed = [match.groups() for match in (_FORM.match(c) for c in placement.get("Constraints") or ()) if match is not None]
    platforms = placement.get("Platforms") or ()
    candidates = [node for node in nodes if node.state == "ready" and node.availability == "active"]
    judged = all(_known(node, key) for node in candidates for key, _, _ in parsed) and not (platforms and any(not n.os or not n.arch for n in candidates))
    chosen = tuple(node for node in candidates if all(_meets(node, key, op, value) for key, op, value in parsed) and _runs(node, platforms))
    return chosen, judged


def _known(node: Node, key: str) -> bool:
    if key.startswith("engine.labels."):
        return node.engine_labels is not None
    if key in ("node.platform.os", "node.platform.arch"):
        return bool(node.os and node.arch)
    return key in ("node.id", "node.hostname", "node.role", "node.ip") or key.startswith("node.labels.")


def _meets(node: Node, key: str, operator: str, value: str) -> bool:
    if not _known(node, key):
        return True
    if key == "node.ip":
        return _in_network(node.address, value) == (operator == "==")
    fixed = {"node.id": node.id, "node.hostname": node.hostname, "node.role": node.role, "node.platform.os": node.os, "node.platform.arch": node.arch}
    have = fixed.get(key)
    if have is None and key.startswith("engine.labels."):
        have = (node.engine_labels or {}).get(key.removeprefix("engine.labels."), "")
    elif have is None:
        have = node.labels.get(key.removeprefix("node.labels."), "")
    return (have.lower() == value.lower()) == (operator == "==")


def _runs(node: Node, platforms: Iterable[Mapping[str, Any]]) -> bool:
    wanted = [(str(p.get("OS") or ""), str(p.get("Architecture") or "")) for p in platforms]
    if not wanted or not node.os or not node.arch:
        return True
    return any((not os or os == node.os) and (not arch or _arch(arch) == _arch(node.arch)) for os, arch in wanted)


def _arch(name: str) -> str:
    return _ARCHITECTURES.get(name, name)


def _in_network(address: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
