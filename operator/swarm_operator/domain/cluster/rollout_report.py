"""What status says of a rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.api.rollout import HaltedRollout, RolloutState, RolloutStatus
from swarm_operator.domain.cluster.only_manager import may_be_replaced
from swarm_operator.domain.cluster.slots import Slot
from swarm_operator.domain.cluster.standing import NOT_KNOWN, Standing

_HELD = "the only manager, which holds the swarm and stays; with three managers, or with rollout.loneManager: Replace, it would be replaced"
_HELD_BOUND = "the only manager, which holds the swarm and stays: its data volumes or fixed addresses can't be in two places"


def report(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    every: Sequence[Slot],
    standing: Mapping[str, Standing],
    why: Mapping[str, str],
    halted: HaltedRollout | None,
    waits: Sequence[str],
    *,
    canary: bool,
    started: bool,
) -> RolloutStatus:
    """Stable: the same observation gives the same words."""
    known = [standing.get(s.holder.uid, NOT_KNOWN) for s in every]
    outdated = sum(st.up_to_date is False for st in known)
    updated = sum(bool(st.up_to_date) for st in known)
    pairs = [s for s in every if s.former or s.given_up]
    if not outdated and not pairs:
        return RolloutStatus(updated=updated)
    reasons = sorted({text for uid, text in why.items() if text})
    about = f"{outdated} of {len(every)} machines are to be changed" + (f" ({'; '.join(reasons)})" if reasons else "")
    if halted is not None:
        state: RolloutState = "Halted"
        text = halted.message
    elif spec.rollout.strategy == "OnDelete" and not pairs:
        state, text = "OnDelete", about
    elif (
        not pairs
        and not started
        and spec.managers.replicas == 1
        and not may_be_replaced(spec)
        and all(_only_manager(s, standing) for s in every if standing.get(s.holder.uid, NOT_KNOWN).up_to_date is False)
    ):
        state, text = "Held", f"{about}: {_HELD_BOUND if spec.rollout.lone_manager == 'Replace' else _HELD}"
    elif waits and not started and not pairs:
        state, text = "Waiting", f"{about}; waiting for {waits[0]}"
    else:
        state = "Canary" if canary else "Rolling"
        text = f"{about}; waiting for {waits[0]}" if waits else about
    return RolloutStatus(state=state, updated=updated, outdated=outdated, message=text[:1024], halted=halted)


def _only_manager(slot: Slot, standing: Mapping[str, Standing]) -> bool:
    return slot.holder.id.role == "Manager" and standing.get(slot.holder.uid, NOT_KNOWN).outdated


def halted_verdict(status: RolloutStatus) -> Verdict:
    """The condition RolloutHalted."""
    if status.halted is not None:
        return Verdict(type=ConditionType.ROLLOUT_HALTED, status="True", reason=Reason.ROLLOUT_HALTED, message=status.halted.message)
    return Verdict(type=ConditionType.ROLLOUT_HALTED, status="False", reason=Reason.AS_EXPECTED)


def members_verdict(status: RolloutStatus) -> Verdict | None:
    """What MembersUpToDate says of a rollout; None where all machines are as declared."""
    reasons = {
        "Halted": Reason.ROLLOUT_HALTED,
        "OnDelete": Reason.MACHINES_OUTDATED,
        "Held": Reason.MACHINES_OUTDATED,
        "Rolling": Reason.ROLLING_OUT,
        "Canary": Reason.ROLLING_OUT,
        "Waiting": Reason.WINDOW_CLOSED if "maintenance window" in status.message else Reason.ROLLING_OUT,
    }
    reason = reasons.get(status.state)
    return None if reason is None else Verdict(type=ConditionType.MEMBERS_UP_TO_DATE, status="False", reason=reason, message=status.message)
