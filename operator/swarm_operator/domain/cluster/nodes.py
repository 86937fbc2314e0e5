"""What the swarm itself is told: labels and availability of nodes, drains, removals, overlay networks, join tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster import drains
from swarm_operator.domain.cluster.budget import Actor, Budget, assess_budget
from swarm_operator.domain.cluster.hooks import Hooks, hooks_of
from swarm_operator.domain.cluster.machines import Machine, MachineTable, pool_node_labels
from swarm_operator.domain.cluster.managers import makes_way, out_of_raft
from swarm_operator.domain.cluster.membership import stale
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.remediation import Remediation
from swarm_operator.domain.cluster.steps import (
    ClearJoinMetadata,
    DeleteServer,
    DrainNode,
    PreserveServer,
    RemoveNode,
    RotateToken,
    SetNode,
    Step,
    TokenRotated,
    UpdateSwarm,
)
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import ENGINE_LABEL_MACHINE, JOIN_TOKEN, NODE_LABEL_APPLIED, NODE_LABEL_DRAINED, NODE_LABEL_ENGINE, SWARM_STARTED
from swarm_operator.domain.swarm import Node, SwarmSettings, SwarmView

DUPLICATE_SECONDS = 60.0
"""How long a machine must have been ready before a second ready row is no former one of its own: swarmkit misses a node that left within 15 s, or 25 s after a change of the leader."""


@dataclass(frozen=True)
class Removal:
    """`draining`: names of the machines that are waited for. `hooks`: by UID, those of machines that are about to be drained, or to go."""

    steps: tuple[Step, ...]
    draining: tuple[str, ...]
    hooks: Mapping[str, Hooks] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    """By UID, why a machine can't be drained yet."""


def desired_labels(node: Node, wanted: Mapping[str, str]) -> dict[str, str]:
    """The node's labels with ours set: those that we set before and want no more go, those of others stay."""
    applied = {key for key in node.labels.get(NODE_LABEL_APPLIED, "").split(",") if key}
    ours = {NODE_LABEL_APPLIED, NODE_LABEL_DRAINED, NODE_LABEL_ENGINE}
    labels = {key: value for key, value in node.labels.items() if key not in ours and (key not in applied or key in wanted)}
    labels.update(wanted)
    if wanted:
        labels[NODE_LABEL_APPLIED] = ",".join(sorted(wanted))
    return labels


def set_nodes(spec: SwarmClusterSpec, view: SwarmView, keep: Sequence[Machine], now: datetime, out: Collection[str] = ()) -> tuple[Step, ...]:
    """Labels and availability of the kept members. A drain or pause that somebody else set is left alone. A machine that joined anew gets what its former row had, which
    then goes. `out`: UIDs of machines that are drained because their engine is to be restarted; all others that we drained take tasks again."""
    pool_labels = {"": spec.managers.node_labels, **{pool.name: pool_node_labels(pool) for pool in spec.worker_pools}}
    steps: list[Step] = []
    for machine in keep:
        node = machine.member
        if node is None or node.state != "ready" or (machine.id.role == "Manager" and node.role != "manager"):
            continue
        former = stale(machine, view)
        before = former[-1] if former else node
        labels = desired_labels(replace(node, labels={**before.labels, **node.labels}), pool_labels.get(machine.id.pool, {}))
        ours = {**before.labels, **node.labels}
        availability = ours.get(NODE_LABEL_ENGINE, "active") if NODE_LABEL_DRAINED in ours else before.availability if former else node.availability
        if machine.uid in out and node.availability == "drain":
            availability = "drain"
            labels |= {key: node.labels[key] for key in (NODE_LABEL_DRAINED, NODE_LABEL_ENGINE) if key in node.labels}
        if machine.id.role == "Manager" and not spec.managers.schedulable:
            availability = "drain"
            labels[NODE_LABEL_DRAINED] = node.labels.get(NODE_LABEL_DRAINED) or times.stamp(now)
        if labels != node.labels or availability != node.availability:
            steps.append(SetNode(Known(node), node.role, availability, labels))
        elif former:
            steps += [RemoveNode(Known(n), machine.uid, "its machine has joined anew") for n in former]
    return tuple(steps)


def duplicates(observation: ClusterObservation, machines: Sequence[Machine], now: datetime) -> str:
    """What to say of a machine that several ready nodes say to be. None of them is removed while it is ready: it is an engine that runs, and may be somebody else's. After a join
    the machine's own former row is ready until it has been missed."""
    for machine in machines:
        record, node = machine.record, machine.member
        settled = record is not None and record.phase == MachinePhase.READY and (times.age(record.phase_since, now) or 0.0) >= DUPLICATE_SECONDS
        if not machine.twins or node is None or not settled:
            continue
        guest, name = observation.guest(machine.uid), machine.id.server_name(observation.name)
        own = guest.value.engine.node_id if isinstance(guest, Known) else ""
        why = f"its own engine says that it is {own}" if own else f"its engine can't be asked; {node.id} is taken for it"
        others = ", ".join(f"{n.id} ({n.hostname}, {n.address})" for n in machine.twins)
        return f"several ready nodes say to be {name}: {node.id}, and {others}; {why}. Stop the engine that is not, or take the label {ENGINE_LABEL_MACHINE} from it"
    return ""


def swarm_settings(spec: SwarmClusterSpec, view: SwarmView) -> tuple[Step, ...]:
    """Settings of the live swarm that are not as declared."""
    if view.settings is None:
        return ()
    wanted = SwarmSettings(spec.swarm.task_history_limit, spec.swarm.heartbeat_seconds, spec.swarm.cert_expiry_hours, view.settings.autolock)
    return (UpdateSwarm(wanted),) if view.settings != wanted else ()


def remove_machines(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    table: MachineTable,
    remove: Sequence[Machine],
    remediation: Remediation,
    rolled: Mapping[str, str],
    now: datetime,
    begun: Collection[str] = (),
) -> Removal:
    """Drain, remove from the swarm, delete. Workers that may be members go only with the swarm's own view at hand. Highest slot first. A healthy one begins to drain only
    where the disruption budget lets a scale-down go on, and services can do without its node. `begun`: as in `drains.refusal`."""
    budget = _budget(spec, observation, table, remove, remediation)
    steps: list[Step] = [DeleteServer(s, f"surplus-{s.value.id}", Reason.DELETED, "made twice") for s in table.surplus if s.value.task_state != "deleting"]
    draining: list[str] = []
    hooks: dict[str, Hooks] = {}
    blocked: dict[str, str] = {}
    stopping = set(begun)
    for machine in sorted(remove, key=lambda m: (m.id.role, m.id.pool, -m.id.slot, m.id.incarnation)):
        server = machine.present
        if server is None or server.task_state == "deleting":
            continue
        failure = remediation.failures.get(machine.uid)
        outdated = rolled.get(machine.uid, "")
        because = failure.message if failure is not None else f"not as declared any more: {outdated}" if outdated else "not wanted any more"
        delete = DeleteServer(Known(server), machine.uid, Reason.REPLACED if failure is not None or outdated else Reason.SCALED, because)
        preserve = machine.uid in remediation.preserved
        if preserve and not machine.joined:
            steps += _preserve(machine, Known(server), because)
            continue
        if machine.id.role == "Manager" and not out_of_raft(machine, observation):
            if SWARM_STARTED not in server.metadata or (machine.uid in remediation.replace and makes_way(machine, observation)):
                steps.append(delete)
            continue
        if isinstance(machine.node, Unknown):
            continue
        node = machine.node.value
        if node is None or node.state != "ready":
            steps.append(delete)
            continue
        evidence = Known(node)
        since = times.age(node.labels.get(NODE_LABEL_DRAINED), now)
        name = machine.id.server_name(observation.name)
        if node.availability != "drain" or since is None:
            if failure is None and budget.refusal(machine, Actor.SCALE_DOWN, name):
                continue
            # A failed one whose node is not ready, or whose server goes, is lost to its services either way; one that a person names serves until then.
            by_choice = not machine.being_deleted and (failure is None or machine.joined)
            refused = drains.refusal(observation, node, name, begun=stopping) if by_choice else ""
            if refused:
                blocked[machine.uid] = refused
            if not refused or (machine.record is not None and machine.record.hooks):
                hooks[machine.uid] = hooks_of(spec, observation, machine, "PreDrain", now)
            if refused or hooks[machine.uid].waiting:
                continue
            stopping.add(node.id)
            steps.append(DrainNode(evidence, times.stamp(now), because))
        elif observation.has_no_tasks(node.id) or since >= spec.drain_timeout_seconds:
            hooks[machine.uid] = hooks_of(spec, observation, machine, "PreTerminate", now)
            if hooks[machine.uid].waiting:
                continue
            steps += [RemoveNode(evidence, machine.uid, because), PreserveServer(Known(server), machine.uid, because) if preserve else delete]
        if not steps or steps[-1] is not delete:
            draining.append(name)
    return Removal(tuple(steps), tuple(draining), hooks, blocked)


def _preserve(machine: Machine, server: Known[Server], because: str) -> list[Step]:
    """Out of the swarm and otherwise left as it is. A manager's row goes once it has been demoted (`managers.change_managers`)."""
    steps: list[Step] = []
    node = machine.member
    if node is not None and node.role == "worker" and not node.reachability:
        steps.append(RemoveNode(Known(node), machine.uid, "its server is preserved"))
    if machine.record is None or machine.record.phase != MachinePhase.PRESERVED:
        steps.append(PreserveServer(server, machine.uid, because))
    return steps


def _budget(spec: SwarmClusterSpec, observation: ClusterObservation, table: MachineTable, remove: Sequence[Machine], remediation: Remediation) -> Budget:
    """What remediation has left."""
    if remediation.budget is not None:
        return remediation.budget
    leaving = {m.uid for m in remove} - remediation.failures.keys()
    return assess_budget(spec, observation, table, failed=remediation.counted, leaving=leaving)


def rotation(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, table: MachineTable, now: datetime) -> tuple[Step, ...]:
    """Once every server that was given the token has joined (or had its time), make the token worthless and take it away. Both tokens where a person asks for it."""
    if not isinstance(observation.servers, Known) or not isinstance(observation.swarm, Known):
        return ()
    holders = [s for s in observation.servers.value if JOIN_TOKEN in s.metadata]
    nonce = spec.swarm.rotate_join_tokens
    asked_for = nonce is not None and nonce != status.join.rotated_for
    if not holders and not status.join.token_exposed and not asked_for:
        return ()
    timeout = spec.health_check.node_startup_timeout_seconds
    for machine in table.machines:
        server = machine.present
        if isinstance(machine.server, Unknown):
            return ()
        if server is None or JOIN_TOKEN not in server.metadata or machine.member is not None or server.status == "ERROR" or machine.being_deleted:
            continue
        if (times.age(server.created, now) or 0.0) < timeout:
            return ()
    clear: tuple[Step, ...] = (ClearJoinMetadata(tuple(sorted(s.id for s in holders))),) if holders else ()
    managers: tuple[Step, ...] = (RotateToken("manager"),) if asked_for else ()
    return (RotateToken(), *managers, *clear, TokenRotated(nonce if asked_for else status.join.rotated_for))
