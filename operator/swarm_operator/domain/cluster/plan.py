"""What `decide` returns."""

from __future__ import annotations

from dataclasses import dataclass

from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.conditions import Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.rollout_report import MachineChange
from swarm_operator.domain.cluster.steps import Step


@dataclass(frozen=True)
class ClusterPlan:
    """`status` holds the observed facts (not the conditions: they are made of `verdicts`). `requeue_after` is in seconds, None: nothing to wait for.

    `wants_fresh`: the plan would create or destroy on the strength of a cached server list; observe again with a fresh one and decide again.
    `wants_services`: the plan would drain a node by choice, and what the services have there was not looked at.
    `changes`: what the rollout will do to which machine, in order: for whoever asks, nothing is done by it.
    `failure`: a fact could not be learned; the reconcile ends in a Retry of that class.
    """

    status: SwarmClusterStatus
    steps: tuple[Step, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    requeue_after: float | None = None
    wants_fresh: bool = False
    wants_services: bool = False
    failure: Reason | None = None
    changes: tuple[MachineChange, ...] = ()
