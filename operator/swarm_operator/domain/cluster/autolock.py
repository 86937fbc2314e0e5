"""The managers' lock: on or off as declared, the key in force in the cluster's Secret, former keys kept until every manager has the new one.

The engine makes the key itself, when autolock is turned on or the key is rotated, and tells it only afterwards (Docker Engine API, `GET /swarm/unlockkey`). So the Secret is
made before, the key is fetched and stored right after, and until it is stored no engine is restarted by our hand. A manager that was away keeps the key that it knew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import AutolockStatus, SwarmClusterStatus
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import ConfigureEngine, ForgetFormerKeys, Repair, RestartEngine, RotateUnlockKey, SetAutolock, Step, StoreUnlockKey
from swarm_operator.domain.facts import Known
from swarm_operator.domain.quorum import in_transition, is_quorate, raft_members


@dataclass(frozen=True)
class AutolockPlan:
    """At most one step. `waiting`: what keeps the lock from being as declared, "" where it is."""

    status: AutolockStatus | None
    steps: tuple[Step, ...] = ()
    waiting: str = ""


def plan_autolock(
    spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, keep: Sequence[Machine], *, complete: bool
) -> AutolockPlan:
    """`complete`: no manager is missing or on its way, and nothing else of the swarm is being rotated."""
    former, view, keys = status.autolock, observation.swarm, observation.unlock_keys
    if not isinstance(view, Known) or view.value.settings is None or not is_quorate(view.value.nodes):
        return AutolockPlan(former)
    enabled, wanted, nonce = view.value.settings.autolock, spec.swarm.autolock, spec.swarm.rotate_unlock_key
    if not enabled and not wanted and former is None:
        return AutolockPlan(None)
    if not isinstance(keys, Known):
        return AutolockPlan(former, waiting=f"the Secret of unlock keys is not known: {keys.message}")
    facts = keys.value
    managers = [m for m in keep if m.id.role == "Manager" and m.member is not None]
    unconfirmed = [m.id.server_name(observation.name) for m in managers if not facts.confirmed.get(m.uid, False)] if facts.former else []
    now = (former or AutolockStatus()).model_copy(
        update={"enabled": enabled, "key_stored": facts.stored, "former_keys": facts.former, "unconfirmed": sorted(unconfirmed)}
    )
    if enabled and not facts.stored:
        return AutolockPlan(now, (StoreUnlockKey(),), "the unlock key in force is not stored yet")
    members = raft_members(view.value.nodes)
    calm = complete and not in_transition(view.value.nodes) and all(n.reachability == "reachable" for n in members)
    if enabled != wanted:
        text = f"autolock is to be turned {'on' if wanted else 'off'}"
        return AutolockPlan(now, (SetAutolock(wanted),), text) if calm else AutolockPlan(now, waiting=f"{text} once all managers are reachable")
    if facts.former and managers and not unconfirmed and calm:
        return AutolockPlan(now, (ForgetFormerKeys(),))
    if wanted and nonce is not None and nonce != now.rotated_for:
        if facts.former:
            return AutolockPlan(
                now, waiting=f"the unlock key is rotated once these managers have the last one: {', '.join(sorted(unconfirmed)) or 'none known'}"
            )
        return (
            AutolockPlan(now, (RotateUnlockKey(nonce),), "the unlock key is to be rotated")
            if calm
            else AutolockPlan(now, waiting="the unlock key is rotated once all managers are reachable")
        )
    return AutolockPlan(now)


def first_the_key(steps: Sequence[Step]) -> tuple[Step, ...]:
    """`steps`; while the key in force is not stored, that comes first, and no engine of ours is stopped: a manager that starts again would need the key."""
    if not any(isinstance(s, StoreUnlockKey) for s in steps):
        return tuple(steps)
    store = [s for s in steps if isinstance(s, StoreUnlockKey)]
    return (*store, *(s for s in steps if not isinstance(s, StoreUnlockKey | Repair | ConfigureEngine | RestartEngine)))
