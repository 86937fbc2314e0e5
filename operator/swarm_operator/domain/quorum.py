"""Arithmetic of raft majorities (swarmkit: a swarm can be changed while more than half of its managers are reachable and one leads)."""

from __future__ import annotations

from collections.abc import Iterable

from swarm_operator.domain.swarm import Node


def majority(managers: int) -> int:
    """How many of `managers` must be reachable; 1 at least."""
    return managers // 2 + 1


def tolerance(managers: int) -> int:
    """How many of `managers` may be lost with the swarm still working."""
    return max(0, managers - majority(managers))


def is_quorate(nodes: Iterable[Node]) -> bool:
    """Whether the managers among `nodes` have a reachable majority and a leader. Unreachable managers still count as members."""
    managers = [node for node in nodes if node.role == "manager"]
    reachable = sum(node.reachability == "reachable" for node in managers)
    return bool(managers) and reachable >= majority(len(managers)) and any(node.leader for node in managers)


def survives(members: int, reachable: int, *, lost: int = 0, added: int = 0) -> bool:
    """Whether a majority is reachable after `lost` reachable managers are gone from raft's point of view (still members) and `added` joined but do not answer yet."""
    return reachable - lost >= majority(members + added)
