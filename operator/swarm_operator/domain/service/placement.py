"""Which nodes a global service runs on, computed from its constraints.

Rules: swarmkit `manager/constraint/constraint.go` (operators == and !=, values without regard to case, a missing label equals "") and `manager/orchestrator/global`
(nodes that are ready and active).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from swarm_operator.domain.swarm import Node

_FORM = re.compile(r"^\s*(\S+?)\s*(==|!=)\s*(.*?)\s*$")


def eligible(nodes: Iterable[Node], constraints: Iterable[str]) -> tuple[tuple[Node, ...], bool]:
    """The ready, active nodes that meet the constraints, and whether every constraint could be judged: engine labels and platforms are not in our view of a node."""
    parsed = [match.groups() for match in (_FORM.match(c) for c in constraints) if match is not None]
    judged = all(_known(key) for key, _, _ in parsed)
    chosen = tuple(
        node for node in nodes if node.state == "ready" and node.availability == "active" and all(_meets(node, key, op, value) for key, op, value in parsed)
    )
    return chosen, judged


def _known(key: str) -> bool:
    return key in ("node.id", "node.hostname", "node.role", "node.ip") or key.startswith("node.labels.")


def _meets(node: Node, key: str, operator: str, value: str) -> bool:
    if not _known(key):
        return True
    if key == "node.ip":
        return _in_network(node.address, value) == (operator == "==")
    have = {"node.id": node.id, "node.hostname": node.hostname, "node.role": node.role}.get(key)
    if have is None:
        have = node.labels.get(key.removeprefix("node.labels."), "")
    return (have.lower() == value.lower()) == (operator == "==")


def _in_network(address: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
