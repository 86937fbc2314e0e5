"""What status says of a rollout, and what it will do to which machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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

How = Literal["new server", "engine restart", "engine reload", "stays"]


@dataclass(frozen=True)
class MachineChange:
    """A machine that is not as declared. `how`: what brings it there, or that it is left as it is; `why`: in what it differs, by the names of the manifest, or what keeps it."""

    name: str
    how: How
    why: str


def forecast(spec: SwarmClusterSpec, cluster: str, groups: Sequence[Sequence[Slot]], standing: Mapping[str, Standing]) -> tuple[MachineChange, ...]:
    """The machines that the rollout will change, in the order in which it takes them as things are now. `groups`: the slots of each pool, in the order of the pools."""
    reloads: list[MachineChange] = []
    others: list[MachineChange] = []
    for found in groups:
        for slot in sorted(found, key=lambda s: (s.holder.id.role == "Manager" and s.holder.leads, s.holder.id.slot)):
            st, name = standing.get(slot.holder.uid, NOT_KNOWN), slot.holder.id.server_name(cluster)
            if slot.former or not (st.outdated or st.engine_why):
                continue
            why = ", ".join((*st.why, *(["engine settings"] if st.engine_why else [])))
            if st.engine_why == "reload" and not st.outdated:
                reloads.append(MachineChange(name, "engine reload", why))
            elif spec.rollout.strategy == "OnDelete":
                others.append(MachineChange(name, "stays", f"{why}; the strategy is OnDelete"))
            elif st.outdated and slot.holder.id.role == "Manager" and spec.managers.replicas == 1 and not may_be_replaced(spec):
                others.append(MachineChange(name, "engine restart" if st.engine_why == "restart" else "stays", f"{why}; it is the only manager"))
            else:
                others.append(MachineChange(name, "new server" if st.outdated else "engine restart", why))
    return (*reloads, *others)


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
