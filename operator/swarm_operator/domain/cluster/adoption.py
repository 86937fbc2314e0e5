"""Taking over a cluster whose SwarmCluster is gone.

Everything in the cloud and in the swarm says by UID whose it is. An object with `spec.adopt` owns what carries the UID named there, so nothing has to be tagged anew, machines
keep their identity, and the takeover is done as soon as it is safe: when the spec declares what is there. Until then nothing at all is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import AdoptionStatus, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import Machine, MachineTable, current, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import (
    AddRouterInterface,
    AdoptSecrets,
    CreateNetwork,
    CreateRouter,
    CreateSecurityGroup,
    CreateSubnet,
    DeleteInfrastructure,
    Step,
)
from swarm_operator.domain.facts import Known, Unknown

_NEW = (CreateNetwork, CreateSubnet, CreateRouter, CreateSecurityGroup, AddRouterInterface, DeleteInfrastructure)


def owner_uid(object_uid: str, spec: SwarmClusterSpec) -> str:
    """The UID that what is this object's in the cloud and in the swarm carries."""
    return spec.adopt.cluster_uid if spec.adopt is not None else object_uid


def observing(spec: SwarmClusterSpec, status: SwarmClusterStatus) -> bool:
    """Whether the takeover is still to come. Also where status was lost: it is judged anew then."""
    return spec.adopt is not None and (status.adoption is None or status.adoption.state != "Adopted")


def assess_adoption(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    infrastructure: Sequence[Step],
    problem: Unknown | None,
    now: datetime,
) -> AdoptionStatus | None:
    """The takeover as status carries it; None where there is none to make. `infrastructure`: what would be done to network, groups and key pair; `problem`: why that is not known."""
    if spec.adopt is None:
        return None
    if status.adoption is not None and status.adoption.state == "Adopted":
        return status.adoption
    present = {role: _present(m for m in table.machines if m.id.role == role) for role in ("Manager", "Worker")}
    against = _against(spec, observation, table, infrastructure, problem)
    state = "Observing" if against else "Adopted"
    since = status.adoption.since if status.adoption is not None and status.adoption.state == state else times.stamp(now)
    return AdoptionStatus(state=state, since=since, managers=present["Manager"], workers=present["Worker"], message=against[:1024])


def _against(spec: SwarmClusterSpec, observation: ClusterObservation, table: MachineTable, infrastructure: Sequence[Step], problem: Unknown | None) -> str:
    """Why it can't be taken over yet; empty where it can."""
    for fact in (problem, observation.servers, observation.secrets):
        if isinstance(fact, Unknown):
            return fact.message
    if observation.rival is not None:
        return f"SwarmCluster {observation.rival} owns or adopts the same UID"
    if isinstance(observation.secrets, Known) and not observation.secrets.value.ssh:
        return f"Secret {observation.name}-ssh is missing: restore it, or make it with a key that the servers accept (ssh-privatekey, ssh-publickey)"
    if not any(not m.gone for m in table.machines):
        return f"no server carries the UID {observation.uid}"
    differences = []
    declared = pools(spec)
    for role, pool, replicas in declared:
        found = _present(current(table.of(role, pool)))
        if found != replicas:
            where = "spec.managers.replicas" if role == "Manager" else f"replicas of pool {pool}"
            differences.append(f"{where} is {replicas}, servers found: {found}")
    named = {(role, pool) for role, pool, _ in declared}
    for role, pool in sorted({(m.id.role, m.id.pool) for m in table.machines if not m.gone} - named):
        differences.append(f"the spec has no pool {pool}, servers found: {_present(table.of(role, pool))}")
    changes = sorted({type(step).__name__ for step in infrastructure if isinstance(step, _NEW)})
    if changes:
        differences.append(f"spec.network and spec.securityGroups do not declare what is there, or it is not complete: {', '.join(changes)} would be done")
    return "; ".join(differences)


def _present(machines: Iterable[Machine]) -> int:
    return sum(not m.gone for m in machines)


def adopt_step(observation: ClusterObservation, spec: SwarmClusterSpec, status: SwarmClusterStatus) -> tuple[Step, ...]:
    """The Secrets that survived become this object's, in the reconcile that takes over."""
    return (AdoptSecrets(observation.uid),) if observing(spec, status) else ()


def pending(adoption: AdoptionStatus | None) -> Verdict | None:
    """The condition while it is not taken over: that the members are not as declared."""
    if adoption is None or adoption.state == "Adopted":
        return None
    message = f"observing only, nothing is changed: {adoption.message}"
    return Verdict(type=ConditionType.MEMBERS_UP_TO_DATE, status="False", reason=Reason.ADOPTION_PENDING, message=message)
