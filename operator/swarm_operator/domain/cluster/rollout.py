"""The rolling change of machines: which get a successor now, which are taken out first, which wait for what, and when it is halted.

A worker's successor is made beside it, in the same slot; the former holder serves until the successor is ready, then it is drained and goes. Only where `maxSurge` leaves no room,
or what the machine has can't be there twice, the machine goes first (`maxUnavailable`). Pools take their turn one after the other. Then come the managers, one at a time and the
leader last: each leaves raft before its successor boots on its port (`managers.change_managers`), so there must be three at least. The only manager holds the swarm and stays,
or gets a second one beside it first (`only_manager`).
Engines that only get other settings keep their servers (`engine_rollout`): where a restart is needed, in the same order and under the same rules, pool by pool.

Nothing here is remembered but a halt: which machines are outdated, which slots have two holders, and who is drained is seen in Nova and in the swarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.rollout import HaltedRollout, RolloutStatus
from swarm_operator.api.windows import opening
from swarm_operator.domain.cluster import drains, engine_rollout, only_manager, rollout_quota
from swarm_operator.domain.cluster.budget import Actor, Budget, assess_budget
from swarm_operator.domain.cluster.machines import Machine, MachineTable, pools
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.remediation import Remediation
from swarm_operator.domain.cluster.rollout_halt import failed_machine, halt_of, spec_hash
from swarm_operator.domain.cluster.rollout_report import MachineChange, forecast, report
from swarm_operator.domain.cluster.slots import Slot, is_ready, never_served, ready_for, slots
from swarm_operator.domain.cluster.standing import NOT_KNOWN, Standing
from swarm_operator.domain.cluster.template import Wanted
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import Role
from swarm_operator.domain.quorum import in_transition, is_quorate

MANAGERS = "manager"
"""Name of the managers in `spec.rollout.order`."""


@dataclass(frozen=True)
class Rollout:
    """All sets are machine UIDs. `held`: former holders that stay for now. `succeed`: machines whose successor is to be made beside them. `release`: machines that go before
    their successor is made. `given_up`: successors that are not wanted any more. `frozen`: failed machines that are left as they are while the rollout is halted.
    `why`: in what a machine is not as declared. `reload`: machines whose engines read their settings again. `engines_out`: those whose node is drained, and engine restarted then.
    `spec_hash`: what a halt would be about. `changes`: what is still to be done to which machine, in order. `wake_in`: seconds until it is worth another look. `working`: something is on its way."""

    held: frozenset[str] = frozenset()
    succeed: frozenset[str] = frozenset()
    release: frozenset[str] = frozenset()
    given_up: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    why: Mapping[str, str] = field(default_factory=dict)
    status: RolloutStatus = field(default_factory=RolloutStatus)
    wake_in: float | None = None
    working: bool = False
    reload: tuple[Machine, ...] = ()
    engines_out: tuple[Machine, ...] = ()
    spec_hash: str | None = None
    changes: tuple[MachineChange, ...] = ()


@dataclass
class _Course:
    """What is found on the way through the pools."""

    held: set[str] = field(default_factory=set)
    succeed: set[str] = field(default_factory=set)
    release: set[str] = field(default_factory=set)
    waits: list[str] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)
    canary: bool = False
    reload: list[Machine] = field(default_factory=list)
    engines_out: list[Machine] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    """Ids of the nodes whose drain begins now."""

    def drain(self, machine: Machine) -> None:
        """Its tasks are not there any more for whoever is asked next."""
        self.begun |= {machine.member.id} if machine.member is not None else set()

    def wait_for_services(self, refused: str) -> None:
        """No node is drained now, for what `drains.refusal` says."""
        self.waits.append(refused)
        self.wakes.append(drains.ASK_AGAIN_SECONDS)


def plan_rollout(
    spec: SwarmClusterSpec,
    status: SwarmClusterStatus,
    observation: ClusterObservation,
    table: MachineTable,
    remediation: Remediation,
    wanted: Wanted,
    standing: Mapping[str, Standing],
    now: datetime,
) -> Rollout:
    """Pure; see the module. Without the swarm's own view of a majority nothing begins and nobody who serves goes."""
    standing, asked = only_manager.asked_for(spec, observation, table, standing)
    going = status.rollout.state != "Complete"
    groups = {
        (role, pool): slots(
            [m for m in table.of(role, pool) if m.uid not in remediation.preserved],
            standing,
            going_back=going,
            alone=role == "Manager" and spec.managers.replicas == 1,
        )
        for role, pool, _ in pools(spec)
    }
    every = [slot for found in groups.values() for slot in found]
    why = {s.holder.uid: ", ".join(st.why) for s in every if (st := standing.get(s.holder.uid, NOT_KNOWN)).outdated}
    why |= {m.uid: ", ".join(standing.get(m.uid, NOT_KNOWN).why) for s in every for m in s.former}
    about = spec_hash(spec, wanted)
    halted = halt_of(status, observation, about, failed_machine(spec, groups.values(), standing, remediation, now), now)
    course = _Course()
    view = observation.swarm
    blind = not isinstance(view, Known) or not is_quorate(view.value.nodes) or not isinstance(observation.servers, Known)
    if blind:
        course.held = {m.uid for s in every for m in s.former}
    else:
        _go(spec, observation, table, groups, remediation, standing, halted, asked, course, now)
    failed = frozenset(remediation.failures) if halted is not None else frozenset()
    frozen = frozenset(s.holder.uid for s in every if s.holder.uid in failed and never_served(s.holder) and not standing.get(s.holder.uid, NOT_KNOWN).outdated)
    engines = {s.holder.uid: f"engine settings, by a {st.engine_why}" for s in every if (st := standing.get(s.holder.uid, NOT_KNOWN)).engine_why}
    started = bool(course.succeed or course.release or course.reload or course.engines_out)
    told = report(spec, status, every, standing, engines | why, halted, course.waits, canary=course.canary, started=started)
    return Rollout(
        frozenset(course.held),
        frozenset(course.succeed),
        frozenset(course.release),
        frozenset(m.uid for s in every for m in s.given_up),
        frozen,
        why,
        told,
        min(course.wakes, default=None),
        told.state in ("Rolling", "Canary"),
        tuple(course.reload),
        tuple(course.engines_out),
        about,
        forecast(spec, observation.name, [groups[key] for key in _ordered(spec, groups)], standing) if told.outdated else (),
    )


def _go(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    table: MachineTable,
    groups: Mapping[tuple[Role, str], Sequence[Slot]],
    remediation: Remediation,
    standing: Mapping[str, Standing],
    halted: HaltedRollout | None,
    asked: str | None,
    course: _Course,
    now: datetime,
) -> None:
    """Through the pools in their order, up to the first that is not done."""
    window = opening(spec.maintenance_windows, now)
    if not window.open and window.next_in is not None:
        course.wakes.append(window.next_in)
    rolling = spec.rollout.strategy == "RollingUpdate"
    budget = remediation.budget or assess_budget(spec, observation, table, failed=remediation.counted)
    unhealthy = next(iter(sorted(o.name for uid, o in budget.failed.items() if uid != asked)), None)
    restarting = {key: engine_rollout.restarting(spec, found, standing) for key, found in groups.items()} if rolling and halted is None else {}
    # What has begun is finished before anything else begins.
    course.engines_out += [m for due in restarting.values() for m in engine_rollout.under_way(due)]
    course.waits += [f"the engine of {m.id.server_name(observation.name)} to be restarted" for m in course.engines_out]
    done = not course.engines_out
    obstacle = halted.message if halted is not None else f"{unhealthy}, which is unhealthy" if unhealthy is not None else None
    fallback = rollout_quota.yielding(spec, observation, groups, open_now=window.open and not course.engines_out, obstacle=obstacle)
    course.waits += fallback.waits
    for former in (m for found in groups.values() for s in found for m in s.former if m.uid in fallback.machines):
        course.drain(former)
    for role, pool in _ordered(spec, groups):
        found = groups[(role, pool)]
        course.release |= {s.holder.uid for s in found if rolling and never_served(s.holder) and standing.get(s.holder.uid, NOT_KNOWN).outdated}
        # Two managers are a moment of risk, which no window makes longer.
        _retire(spec, observation, found, course, now, fallback.machines, may_begin=window.open or role == "Manager")
        outdated = [s for s in found if standing.get(s.holder.uid, NOT_KNOWN).outdated]
        if halted is None:
            reload, waits = engine_rollout.reloads(observation, found, standing)
            course.reload += reload
            course.waits += waits
        engines = restarting.get((role, pool), [])
        alone = role == "Manager" and spec.managers.replicas == 1
        if (outdated or engines) and (rolling or (alone and asked is not None)) and halted is None and done:
            if not window.open:
                course.waits.append("the next maintenance window" if window.next_in is not None else "a maintenance window, of which none ever opens")
            elif engines and (not outdated or len(engines) == len(outdated) == spec.managers.replicas == 1):
                _next_engine(spec, observation, role, found, engines, budget, unhealthy, standing, course, now)
            elif alone:
                chosen, wait = only_manager.to_succeed(spec, observation, table, found[0], unhealthy)
                course.succeed |= {found[0].holder.uid} if chosen else set()
                course.waits += [wait] if wait else []
            elif role == "Manager":
                _next_manager(spec, observation, found, outdated, budget, course)
            else:
                _next_workers(spec, observation, pool, found, outdated, standing, unhealthy, course, now)
        done = done and not outdated and not engines and all(is_ready(s.holder, spec.rollout.min_ready_seconds, now) and not s.former for s in found)


def _next_engine(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    role: Role,
    found: Sequence[Slot],
    due: Sequence[Slot],
    budget: Budget,
    unhealthy: str | None,
    standing: Mapping[str, Standing],
    course: _Course,
    now: datetime,
) -> None:
    """One engine of a pool that gets other settings and is to be restarted for it."""
    canary, allowed = spec.rollout.canary, len(due)
    if role == "Worker" and canary is not None:
        allowed, wake = _canary(canary.replicas, canary.soak_seconds, found, due, standing, now)
        course.canary = allowed < len(due)
        course.wakes += [wake] if wake is not None else []
    chosen = engine_rollout.next_restart(spec, observation, found, due, budget, unhealthy, allowed, now, course.begun)
    course.waits += [chosen.wait] if chosen.wait else []
    course.wakes += [chosen.wake_in] if chosen.wake_in is not None else []
    course.engines_out += [chosen.machine] if chosen.machine is not None else []


def _ordered(spec: SwarmClusterSpec, groups: Mapping[tuple[Role, str], Sequence[Slot]]) -> list[tuple[Role, str]]:
    """Pools as `order` says; those it does not name follow as in the spec, managers last."""
    given = {name: index for index, name in enumerate(spec.rollout.order)}
    default = sorted(groups, key=lambda key: key[0] == "Manager")
    return sorted(default, key=lambda key: given.get(MANAGERS if key[0] == "Manager" else key[1], len(given)))


def _retire(
    spec: SwarmClusterSpec, observation: ClusterObservation, found: Sequence[Slot], course: _Course, now: datetime, yielding: frozenset[str], *, may_begin: bool
) -> None:
    """Former holders stay until their successor is ready and services can do without their node; one at a time begins to drain."""
    going = sum(m.drained_at is not None and is_ready(s.holder, spec.rollout.min_ready_seconds, now) for s in found for m in s.former)
    for slot in found:
        for machine in slot.former:
            if machine.uid in yielding:
                continue
            if not is_ready(slot.holder, spec.rollout.min_ready_seconds, now):
                course.held.add(machine.uid)
                if slot.holder.joined:
                    course.wakes.append(max(1.0, spec.rollout.min_ready_seconds - ready_for(slot.holder, now)))
                continue
            if machine.drained_at is not None or machine.member is None:
                continue
            patient = ready_for(slot.holder, now) < spec.drain_timeout_seconds
            refused = drains.refusal(observation, machine.member, machine.id.server_name(observation.name), patient=patient, begun=course.begun)
            if not may_begin or going >= max(1, spec.rollout.max_unavailable) or refused:
                course.held.add(machine.uid)
                if refused and may_begin:
                    course.wait_for_services(refused)
                continue
            course.drain(machine)
            going += 1


def _next_workers(
    spec: SwarmClusterSpec,
    observation: ClusterObservation,
    pool: str,
    found: Sequence[Slot],
    outdated: Sequence[Slot],
    standing: Mapping[str, Standing],
    unhealthy: str | None,
    course: _Course,
    now: datetime,
) -> None:
    """Begin with as many as surge, unavailability and the canary leave room for."""
    rollout = spec.rollout
    surge, down = _limits(spec, pool)
    # One that we drain to change it goes on: it is out already.
    gone_on = {s.holder.uid for s in outdated if s.holder.drained_at is not None and not s.former}
    course.release |= gone_on
    missing = [s for s in found if not s.serves or s.holder.uid in gone_on]
    pairs = [s for s in found if s.former]
    candidates = [s for s in outdated if s.holder.joined and not s.former and s.holder.uid not in gone_on and not s.holder.being_deleted]
    if len(missing) > down:
        course.waits.append(f"{missing[0].holder.id.server_name(observation.name)} is not ready")
        return
    if unhealthy is not None:
        course.waits.append(f"{unhealthy}, which is unhealthy")
        return
    allowed = len(candidates)
    if rollout.canary is not None:
        allowed, wake = _canary(rollout.canary.replicas, rollout.canary.soak_seconds, found, outdated, standing, now)
        course.canary = allowed < len(candidates)
        course.wakes += [wake] if wake is not None else []
    chosen = candidates[: max(0, allowed)]
    course.succeed |= {s.holder.uid for s in chosen[: max(0, surge - len(pairs))]}
    for slot in chosen[max(0, surge - len(pairs)) :][: max(0, down - len(missing))]:
        refused = drains.refusal(observation, slot.holder.member, slot.holder.id.server_name(observation.name), patient=True, begun=course.begun)
        if refused:
            course.wait_for_services(refused)
            break
        course.drain(slot.holder)
        course.release.add(slot.holder.uid)


def _limits(spec: SwarmClusterSpec, pool: str) -> tuple[int, int]:
    """(surge, unavailable) of a pool. Where a machine has what can't be there twice (a data volume, an address of its own), it always goes before its successor is made."""
    rollout = spec.rollout
    return (0, max(1, rollout.max_unavailable)) if only_manager.is_bound(spec, pool) else (rollout.max_surge, rollout.max_unavailable)


def _canary(
    replicas: int, soak: float, found: Sequence[Slot], outdated: Sequence[Slot], standing: Mapping[str, Standing], now: datetime
) -> tuple[int, float | None]:
    """How many further machines may begin, and in how many seconds that may change."""
    old = {s.holder.uid for s in outdated}
    new = [s for s in found if s.holder.uid not in old and standing.get(s.holder.uid, NOT_KNOWN).up_to_date is not None]
    if len(new) < replicas:
        return replicas - len(new), None
    watched = sorted((ready_for(s.holder, now) if s.holder.joined else -1.0 for s in new), reverse=True)[:replicas]
    if watched[-1] >= soak:
        return len(found), None
    return 0, max(1.0, soak - max(0.0, watched[-1]))


def _next_manager(
    spec: SwarmClusterSpec, observation: ClusterObservation, found: Sequence[Slot], outdated: Sequence[Slot], budget: Budget, course: _Course
) -> None:
    """One manager leaves, when all are members and none changes; the leader is the last. One that has left raft already goes on."""
    view = observation.swarm
    assert isinstance(view, Known)
    going = [s.holder for s in outdated if s.holder.member is not None and s.holder.member.role != "manager"]
    if going:
        course.release |= {m.uid for m in going}
        return
    unsettled = [s for s in found if not s.holder.joined]
    if unsettled or in_transition(view.value.nodes):
        course.waits.append(
            f"manager {unsettled[0].holder.id.server_name(observation.name)}, which is not ready" if unsettled else "the role of a manager to change"
        )
        return
    chosen = min((s.holder for s in outdated), key=lambda m: (m.leads, m.id.slot))
    name = chosen.id.server_name(observation.name)
    if refused := budget.refusal(chosen, Actor.ROLLOUT, name):
        course.waits.append(f"{name} may not leave: {refused}")
        return
    if refused := drains.refusal(observation, chosen.member, name, begun=course.begun):
        course.wait_for_services(refused)
        return
    course.release.add(chosen.uid)
