"""Rotation of the swarm's root CA, once for each `spec.swarm.rotateCA`.

swarmkit goes on with a rotation until every node has a certificate of the new root (manager/ca, reconciler), so it is begun only while all nodes are ready. Meanwhile no machine
joins and nothing else is rotated, for PATIENCE_SECONDS: a node that never comes back would hold its own successor up for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import AuthorityStatus, SwarmClusterStatus
from swarm_operator.domain import times
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import (
    ClearJoinMetadata,
    CreateServer,
    DrainForEngine,
    JoinNode,
    Repair,
    RestartEngine,
    RotateAuthority,
    RotateToken,
    RotateUnlockKey,
    SetAutolock,
    Step,
    TokenRotated,
)
from swarm_operator.domain.facts import Known
from swarm_operator.domain.quorum import in_transition, is_quorate

PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class AuthorityPlan:
    """`holds`: joins and other rotations wait. `waiting`: how far the rotation is, or what it waits for; "" where none is wanted."""

    status: AuthorityStatus | None
    steps: tuple[Step, ...] = ()
    holds: bool = False
    waiting: str = ""


def plan_authority(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, now: datetime, *, complete: bool) -> AuthorityPlan:
    """`complete`: no machine is missing or on its way, and no join token is out."""
    former, view = status.authority, observation.swarm
    if not isinstance(view, Known) or view.value.authority is None or not is_quorate(view.value.nodes):
        return AuthorityPlan(former)
    root, nodes = view.value.authority, view.value.nodes
    seen = (former or AuthorityStatus()).model_copy(
        update={
            "fingerprint": root.fingerprint or None,
            "rotating": root.rotating,
            "nodes_renewed": sum(n.issuer == root.issuer for n in nodes) if root.rotating else 0,
            "nodes_total": len(nodes) if root.rotating else 0,
        }
    )
    if root.rotating:
        late = sorted(n.hostname for n in nodes if n.issuer != root.issuer)
        text = f"the root CA is being rotated: {seen.nodes_renewed} of {len(nodes)} nodes have new certificates"
        # Begun by a person: there is no time on record, and it holds all the same.
        held = times.age(seen.requested_at, now) if seen.requested_for != seen.rotated_for else None
        return AuthorityPlan(seen, holds=(held or 0.0) < PATIENCE_SECONDS, waiting=text + (f"; not yet: {', '.join(late[:10])}" if late else ""))
    nonce = spec.swarm.rotate_ca
    if seen.requested_for is not None and seen.requested_for != seen.rotated_for and root.force_rotate > seen.requested_over:
        seen = seen.model_copy(update={"rotated_for": seen.requested_for})
    if nonce is None or nonce == seen.rotated_for:
        return AuthorityPlan(seen)
    if not complete or in_transition(nodes) or any(n.state != "ready" for n in nodes):
        return AuthorityPlan(seen, waiting="the root CA is rotated once all nodes are ready")
    return AuthorityPlan(seen, (RotateAuthority(nonce, root.force_rotate),), waiting="the root CA is to be rotated")


def held(steps: Sequence[Step]) -> tuple[Step, ...]:
    """`steps` without those that wait for the end of a rotation: joins, creates of servers that carry a token, other rotations."""
    return tuple(s for s in steps if not _waits(s))


def _waits(step: Step) -> bool:
    if isinstance(step, CreateServer):
        return bool(step.join_addresses)
    if isinstance(step, Repair):
        return step.join is not None
    return isinstance(step, JoinNode | RotateToken | ClearJoinMetadata | TokenRotated | RotateUnlockKey | SetAutolock | DrainForEngine | RestartEngine)
