"""Settings of engines that live: which are reloaded now, which engine is restarted next.

What the engine reads again on SIGHUP is changed at once, everywhere: nothing stops. All else takes a restart, which stops what runs there, so it is a rolling change under the
rules of the rollout: windows, order, canary, floors, and the one budget. A node is drained, its engine restarted, and the node given back the availability that it had. One at a time
in the whole cluster; of managers the leader last, and never one that the majority would miss. The only manager is restarted too: the swarm has no control for those seconds, and
its state is on the disk.

The record of what is in force is the server's own metadata (`template.ENGINE`), that of who is out the node's labels: nothing is lost with status.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.domain import times
from swarm_operator.domain.cluster import drains
from swarm_operator.domain.cluster.budget import Actor, Budget
from swarm_operator.domain.cluster.guests import is_up, pin
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.only_manager import may_be_replaced
from swarm_operator.domain.cluster.slots import Slot, is_ready, ready_for
from swarm_operator.domain.cluster.standing import NOT_KNOWN, Standing
from swarm_operator.domain.cluster.steps import DrainForEngine, ReloadEngine, RestartEngine, Step
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, NODE_LABEL_ENGINE
from swarm_operator.domain.quorum import in_transition, raft_members

AT_ONCE = 10
"""Engines that are reloaded in one reconcile, and machines whose host keys are looked up for it."""


@dataclass(frozen=True)
class NextRestart:
    """`machine`: whose node is drained next, or None. `wait`: what holds it up. `wake_in`: seconds until that may change."""

    machine: Machine | None = None
    wait: str = ""
    wake_in: float | None = None


def to_reach(machines: Sequence[Machine], standing: Mapping[str, Standing]) -> list[Machine]:
    """The members that must be reached over ssh because their engine has other settings; of those whose host keys must be looked up, a few at a time."""
    found = [m for m in machines if standing.get(m.uid, NOT_KNOWN).engine_why and m.joined and is_up(m)]
    pinned = [m for m in found if m.record is not None and m.record.host_keys]
    return [*pinned, *[m for m in found if m not in pinned][:AT_ONCE]]


def reloads(observation: ClusterObservation, found: Sequence[Slot], standing: Mapping[str, Standing]) -> tuple[list[Machine], list[str]]:
    """The engines that only read their file again, and what the others wait for."""
    due = [s.holder for s in found if standing.get(s.holder.uid, NOT_KNOWN).engine_why == "reload"]
    refused = {m.uid: _unreached(m, observation) for m in due}
    return [m for m in due if not refused[m.uid]], [text for text in refused.values() if text]


def restarting(spec: SwarmClusterSpec, found: Sequence[Slot], standing: Mapping[str, Standing]) -> list[Slot]:
    """Those that need a restart and no new server. Where the only manager gets none, its engine need not wait for it."""
    return [
        s
        for s in found
        if (st := standing.get(s.holder.uid, NOT_KNOWN)).engine_why == "restart"
        and (st.made_as_declared or _is_alone(spec, s.holder))
        and not s.holder.being_deleted
    ]


def under_way(found: Sequence[Slot]) -> list[Machine]:
    """Of those that need a restart: whose node we have drained for it."""
    return [s.holder for s in found if s.holder.member is not None and NODE_LABEL_ENGINE in s.holder.member.labels]


def next_restart(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    found: Sequence[Slot],
    due: Sequence[Slot],
    budget: Budget,
    unhealthy: str | None,
    allowed: int,
    now: datetime,
    begun: Collection[str] = (),
) -> NextRestart:
    """Of one pool. `due`: as `restarting` has them. `allowed`: how many more may follow (canary). `begun`: as in `drains.refusal`."""
    view, name = observation.swarm, observation.name
    assert isinstance(view, Known)
    if unhealthy is not None:
        return NextRestart(wait=f"{unhealthy}, which is unhealthy")
    waiting = next((s.holder for s in found if s.former or not is_ready(s.holder, spec.rollout.min_ready_seconds, now)), None)
    if waiting is not None:
        soon = max(1.0, spec.rollout.min_ready_seconds - ready_for(waiting, now)) if waiting.joined else None
        return NextRestart(None, f"{waiting.id.server_name(name)}, which is not ready", soon)
    if allowed <= 0:
        return NextRestart()
    if in_transition(view.value.nodes):
        return NextRestart(wait="the role of a manager to change")
    chosen = min((s.holder for s in due), key=lambda m: (m.leads, m.id.slot))
    label = chosen.id.server_name(name)
    if text := _unreached(chosen, observation):
        return NextRestart(wait=text)
    alone = chosen.id.role == "Manager" and len(raft_members(view.value.nodes)) == 1
    if not alone and (text := budget.refusal(chosen, Actor.ROLLOUT, label)):
        return NextRestart(wait=f"{label}: {text}")
    if alone and budget.counted(Actor.ROLLOUT):
        return NextRestart(wait=f"{budget.counted(Actor.ROLLOUT)[0].name}, which is out")
    if text := drains.refusal(observation, chosen.member, label, patient=True, begun=begun):
        return NextRestart(wait=text, wake_in=drains.ASK_AGAIN_SECONDS)
    return NextRestart(chosen)


def engine_steps(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    reload: Sequence[Machine],
    out: Sequence[Machine],
    mark: str,
    spec_hash: str | None,
    empty: Collection[str],
    now: datetime,
) -> tuple[Step, ...]:
    """What is done now. `out`: whose engine is restarted; `mark`: of the settings that they get; `empty`: ids of the nodes on which certainly nothing runs that a drain moves."""
    if spec_hash is None:
        return ()
    steps: list[Step] = []
    for machine in [*reload[:AT_ONCE], *out]:
        server, node = machine.present, machine.member
        if server is None or node is None or _unreached(machine, observation):
            continue
        steps += pin(machine, observation)
        about = (machine.id, machine.uid, Known(server), mark, spec_hash)
        if machine in reload:
            steps.append(ReloadEngine(*about))
            continue
        since = times.age(node.labels.get(NODE_LABEL_DRAINED), now)
        if node.availability != "drain":
            steps.append(DrainForEngine(*about, Known(node), times.stamp(now), "its engine gets other settings"))
        elif NODE_LABEL_ENGINE not in node.labels or node.id in empty or since is None or since >= spec.drain_timeout_seconds:
            # A drain of somebody else's, or that of a manager that takes no tasks, has been for long.
            steps.append(RestartEngine(*about, "its engine gets other settings"))
    return tuple(steps)


def _is_alone(spec: SwarmClusterSpec, machine: Machine) -> bool:
    return machine.id.role == "Manager" and spec.managers.replicas == 1 and not may_be_replaced(spec)


def _unreached(machine: Machine, observation: ClusterObservation) -> str:
    """Why nothing can be written there now; "" where it can."""
    name = machine.id.server_name(observation.name)
    if not is_up(machine) or machine.being_deleted or (machine.member is None):
        return f"{name}, which is not up"
    if machine.member.state != "ready" and NODE_LABEL_ENGINE not in machine.member.labels:
        return f"{name}, which is not ready"
    if machine.record is not None and machine.record.host_keys:
        return ""
    keys = observation.host_keys.get(machine.uid)
    if isinstance(keys, Known) and keys.value:
        return ""
    return f"the ssh host keys of {name}" + (f": {keys.message}" if isinstance(keys, Unknown) else "")
