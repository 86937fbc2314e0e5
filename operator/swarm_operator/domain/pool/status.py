"""The status of a SwarmWorkerPool, from that of its SwarmCluster. Pure.

The cluster's controller makes and removes the workers, and notes which generation of the object it has looked at; only then does what it says of them count.
Ready is True when as many workers as wanted are ready nodes, none is outdated, and none is on its way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.base import GROUP
from swarm_operator.api.cluster_status import MachinePhase, MachineStatus, PoolStatus, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict, merge_conditions
from swarm_operator.api.pool import SwarmWorkerPoolStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cluster.pools import Refusal
from swarm_operator.domain.service.status import UNJUDGED, Finding, no, yes

C = ConditionType


@dataclass(frozen=True)
class PoolView:
    """What is known of one pool. `cluster` None: there is none. `refusal`: why it is no part of the cluster. `paused`: the cluster is."""

    name: str
    uid: str
    generation: int
    wanted: int
    cluster: SwarmClusterStatus | None
    refusal: Refusal | None = None
    paused: bool = False
    deleting: bool = False

    @property
    def workers(self) -> list[MachineStatus]:
        """Machines of the pool."""
        return [] if self.cluster is None else [n for n in self.cluster.nodes if n.role == "Worker" and n.pool == self.name]

    @property
    def entry(self) -> PoolStatus | None:
        """The pool in the status of its cluster, where that is about this generation of it."""
        entries = [] if self.cluster is None else self.cluster.pools
        return next((p for p in entries if p.name == self.name and p.object_generation == self.generation), None)

    @property
    def emptied(self) -> bool:
        """Whether an object that is being deleted may go: its cluster has seen that it goes, and no worker is left; or no worker is its own."""
        if self.cluster is None or (self.refusal is not None and self.refusal.reason is Reason.NAME_CONFLICT):
            return True
        return self.entry is not None and not self.workers


def report(view: PoolView, former: SwarmWorkerPoolStatus, now: datetime) -> SwarmWorkerPoolStatus:
    """The whole status."""
    ours = [] if view.refusal is not None and view.refusal.reason is Reason.NAME_CONFLICT else view.workers
    ready = [n for n in ours if n.phase == MachinePhase.READY]
    wanted = 0 if view.deleting else view.entry.desired if view.entry is not None else view.wanted
    conditions = merge_conditions(former.conditions, _verdicts(view, ours, wanted), generation=view.generation, now=times.stamp(now))
    return SwarmWorkerPoolStatus(
        observed_generation=view.generation,
        conditions=conditions,
        replicas=sum(n.phase != MachinePhase.PENDING for n in ours),
        ready_replicas=len(ready),
        updated_replicas=sum(n.up_to_date is True for n in ours),
        desired_replicas=wanted,
        why=view.entry.autoscaling.why if view.entry is not None and view.entry.autoscaling is not None else None,
        summary=f"{len(ready)}/{wanted}",
        selector=f"{GROUP}/pool={view.uid}",
    )


def _verdicts(view: PoolView, workers: Sequence[MachineStatus], wanted: int) -> tuple[Verdict, ...]:
    accepted, stalled = yes(Reason.ACCEPTED), no(Reason.AS_EXPECTED)
    if view.cluster is None:
        accepted = no(Reason.CLUSTER_NOT_FOUND, "there is no SwarmCluster of this name in the namespace")
    elif view.refusal is not None:
        accepted = no(view.refusal.reason, view.refusal.message)
        stalled = yes(view.refusal.reason, view.refusal.message)
    elif view.entry is None:
        accepted = UNJUDGED
    if view.deleting:
        left = f"{len(workers)} workers are left" if workers else "being deleted"
        ready, reconciling = no(Reason.DELETING, left), yes(Reason.DELETING, left)
        stalled = no(Reason.AS_EXPECTED)
    elif accepted.status == "False":
        # A cluster may come, so that is waited for; a refusal is not.
        ready = no(accepted.reason, accepted.message)
        reconciling = yes(accepted.reason, accepted.message) if view.cluster is None else no(Reason.AS_EXPECTED)
    else:
        ready = _ready(view, workers, wanted)
        idle = ready.status == "True" or view.paused
        reconciling = no(Reason.IDLE) if idle else yes(ready.reason, ready.message)
    named: dict[ConditionType, Finding] = {
        C.READY: ready,
        C.RECONCILING: reconciling,
        C.STALLED: stalled,
        C.PAUSED: yes(Reason.PAUSED, "its SwarmCluster is paused") if view.paused else no(Reason.NOT_PAUSED),
        C.ACCEPTED: accepted,
    }
    return tuple(Verdict(type=kind, status=f.status, reason=f.reason, message=f.message) for kind, f in named.items())


def _ready(view: PoolView, workers: Sequence[MachineStatus], wanted: int) -> Finding:
    if view.entry is None:
        return no(Reason.PROGRESSING, "the cluster has not looked at this generation yet")
    ready = sum(n.phase == MachinePhase.READY for n in workers)
    outdated = sum(n.up_to_date is False for n in workers)
    parts = [f"{ready} of {wanted} workers are ready"]
    parts += [f"{outdated} are outdated"] if outdated else []
    others = [n for n in workers if n.phase != MachinePhase.READY]
    parts += [f"{n.name} is {n.phase.value}{f' ({n.message[:200]})' if n.message else ''}" for n in others[:4]]
    if ready == wanted == len(workers) and not outdated:
        return yes(Reason.RECONCILED, parts[0])
    return no(Reason.WORKERS_PENDING, "; ".join(parts))
