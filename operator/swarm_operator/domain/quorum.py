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


def raft_members(nodes: Iterable[Node]) -> list[Node]:
    """The nodes that count in raft: managers, reachable or not, and those whose demotion is not through yet."""
    return [node for node in nodes if (node.role == "manager" and not is_cast_out(node)) or node.reachability]


def is_outside_raft(node: Node) -> bool:
    """Whether the row says manager and raft has no such member: the swarm tells a reachability of every member (swarmkit, manager/controlapi/node.go, `ListNodes`). So is one that
    is being promoted or joins, and so are all others after `--force-new-cluster`, those that live as well."""
    return node.role == "manager" and not node.reachability


def is_cast_out(node: Node) -> bool:
    """Whether raft has no such manager and nothing is heard of it: what `--force-new-cluster` leaves of those that are lost."""
    return is_outside_raft(node) and node.state != "ready"


def in_transition(nodes: Iterable[Node]) -> list[Node]:
    """Nodes whose promotion or demotion is under way: nothing else is changed meanwhile."""
    return [
        node
        for node in nodes
        if (node.role == "manager" and node.state == "ready" and node.reachability not in ("reachable", "unreachable"))
        or (node.role != "manager" and node.reachability)
    ]


def may_join(nodes: Iterable[Node]) -> bool:
    """Whether one more manager, which answers us but not raft yet, may join. With a dead member it may only where the majority of the larger group holds without it;
    with none it may always: the first step from one manager to three has no other way (swarmkit itself checks that it can reach the newcomer)."""
    members = raft_members(nodes)
    reachable = sum(node.reachability == "reachable" for node in members)
    return bool(members) and (reachable == len(members) or survives(len(members), reachable, added=1))


def may_leave(nodes: Iterable[Node], leaving: Node) -> bool:
    """Whether a majority of the members that remain is reachable when `leaving` is demoted. Never true of the last one."""
    rest = [node for node in raft_members(nodes) if node.id != leaving.id]
    return sum(node.reachability == "reachable" for node in rest) >= majority(len(rest)) if rest else False


def may_be_disturbed(nodes: Iterable[Node], node: Node) -> bool:
    """Whether `node` may be out for a while (its engine restarts, its server reboots) and stay a member."""
    members = raft_members(nodes)
    reachable = sum(n.reachability == "reachable" for n in members)
    lost = int(any(n.id == node.id and n.reachability == "reachable" for n in members))
    return survives(len(members), reachable, lost=lost)


def is_quorate(nodes: Iterable[Node]) -> bool:
    """Whether the managers among `nodes` have a reachable majority and a leader. Unreachable managers still count as members; those that raft does not know do not yet, or not any
    more: after a recovery a survivor is ready for a while before it is a member again."""
    managers = [node for node in nodes if node.role == "manager" and not is_outside_raft(node)]
    reachable = sum(node.reachability == "reachable" for node in managers)
    return bool(managers) and reachable >= majority(len(managers)) and any(node.leader for node in managers)


def survives(members: int, reachable: int, *, lost: int = 0, added: int = 0) -> bool:
    """Whether a majority is reachable after `lost` reachable managers are gone from raft's point of view (still members) and `added` joined but do not answer yet."""
    return reachable - lost >= majority(members + added)
