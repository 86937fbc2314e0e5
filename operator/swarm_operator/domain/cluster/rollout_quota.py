"""A rollout in a project without room for one machine more: with `rollout.quotaFallback: DeleteFirst` a worker goes before its successor, which was refused for quota."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster import drains
from swarm_operator.domain.cluster.faults import refusal_of
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.slots import Slot
from swarm_operator.domain.ownership import Role


@dataclass(frozen=True)
class Yielding:
    """`machines`: UIDs of former holders that go though their successor is not there. `waits`: why another does not."""

    machines: frozenset[str] = frozenset()
    waits: tuple[str, ...] = ()


def yielding(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    groups: Mapping[tuple[Role, str], Sequence[Slot]],
    *,
    open_now: bool,
    obstacle: str | None,
) -> Yielding:
    """One worker of the whole cluster at a time, inside a maintenance window, with nothing unhealthy (`obstacle`), and no service below its floor. One that is on its way out goes on."""
    if spec.rollout.quota_fallback != "DeleteFirst" or spec.rollout.strategy != "RollingUpdate":
        return Yielding()
    every = [s for (role, _), found in groups.items() if role == "Worker" for s in found]
    waiting = [(s, m) for s in every if s.holder.gone and not s.holder.was_created for m in s.former if m.joined]
    gone_on = frozenset(m.uid for _, m in waiting if m.drained_at is not None)
    if gone_on or not open_now or any(not s.serves for s in every):
        return Yielding(gone_on)
    for slot, machine in waiting:
        if not _for_quota(slot) or machine.member is None:
            continue
        name = machine.id.server_name(observation.name)
        refused = drains.refusal(observation, machine.member, name, patient=True)
        if obstacle:
            refused = f"{name} can't go before its successor yet: {obstacle}"
        if refused:
            return Yielding(waits=(f"room in the quota: {refused}",))
        return Yielding(frozenset({machine.uid}))
    return Yielding()


def _for_quota(slot: Slot) -> bool:
    record = slot.holder.record
    return (
        slot.holder.gone and not slot.holder.was_created and record is not None and record.phase == "Failed" and refusal_of(record)[0] is Reason.QUOTA_EXCEEDED
    )
