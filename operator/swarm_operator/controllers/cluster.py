"""Reconciling one SwarmCluster: observe, decide, act, write status. All that is remembered between two reconciles is safe to lose.

Does not: watch anything, or know Kubernetes, OpenStack, Docker or ssh other than through ports.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from swarm_operator.api.base import ABANDON, FINALIZER
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict, merge_conditions
from swarm_operator.api.images import ImageState, SnapshotState
from swarm_operator.api.parse import SpecError, parse_cluster, parse_cluster_status
from swarm_operator.api.reasons import Reason
from swarm_operator.api.validation import validate_cluster
from swarm_operator.controllers.backup_events import tell_of_backups
from swarm_operator.controllers.cluster_act import Action, StepFailure, perform_all
from swarm_operator.controllers.cluster_decision import decided
from swarm_operator.controllers.cluster_facts import MEMO_SECONDS, MEMO_SECONDS_BLIND, Gathered, Sessions, SlowFacts, remember
from swarm_operator.controllers.cluster_gather import Gatherer
from swarm_operator.controllers.external import reconcile_external
from swarm_operator.controllers.image_transfers import Transfers
from swarm_operator.controllers.perform import perform
from swarm_operator.controllers.perform.release import named_by_others, own_secrets, pieces
from swarm_operator.controllers.pools import read_pools, tell_of_pools
from swarm_operator.domain import times
from swarm_operator.domain.cluster import verdicts
from swarm_operator.domain.cluster.faults import fault_reason
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.orphans import overdue
from swarm_operator.domain.cluster.plan import ClusterPlan
from swarm_operator.domain.cluster.pools import PoolMerge
from swarm_operator.domain.cluster.remaining import lines, remaining
from swarm_operator.domain.cluster.steps import CreateServer
from swarm_operator.domain.delays import AMBIGUOUS_SETTLE_SECONDS, delay_of
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Unknown
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.compute import Clouds
from swarm_operator.ports.downloads import Downloads, NoDownloads
from swarm_operator.ports.hosts import Hosts
from swarm_operator.ports.objects import Key, Objects, Resource
from swarm_operator.telemetry.requests import ObserveFailure, ObserveStep, ignore_failure, ignore_step

_OF_ONE_POOL = frozenset({Reason.REFERENCE_NOT_FOUND, Reason.REFERENCE_AMBIGUOUS})
_ON_ITS_WAY = frozenset({MachinePhase.BUILDING, MachinePhase.BOOTING, MachinePhase.JOINING, MachinePhase.DRAINING, MachinePhase.DELETING})


@dataclass
class _Memory:
    """Per cluster UID. `settle_until` (monotonic): an answer to a POST was lost; what it made may not be listed before."""

    slow: SlowFacts | None = None
    settle_until: float = 0.0


class ClusterController:
    """See the module. Thread safe as long as one key is reconciled by one thread at a time (the queue's promise)."""

    def __init__(
        self,
        objects: Objects,
        clouds: Clouds,
        hosts: Hosts,
        sessions: Sessions,
        clock: Clock,
        *,
        guest_threads: int = 8,
        downloads: Downloads | None = None,
        transfers: Transfers | None = None,
        observe_step: ObserveStep = ignore_step,
        observe_failure: ObserveFailure = ignore_failure,
    ) -> None:
        """`observe_step` is told of each step that was performed or failed, `observe_failure` of each failure of the outer world."""
        self._objects, self._clouds, self._hosts, self._sessions, self._clock = objects, clouds, hosts, sessions, clock
        self._threads = guest_threads
        self._downloads: Downloads = downloads or NoDownloads()
        self._transfers = transfers or Transfers(0)
        self._observe_step, self._observe_failure = observe_step, observe_failure
        self._memory: dict[str, _Memory] = {}
        self._lock = threading.Lock()

    def reconcile(self, key: Key) -> Outcome:
        """One pass. Failures of the outer world become conditions and a Retry; only defects raise."""
        try:
            return self._reconcile(key)
        except ExternalError as error:
            # Kubernetes itself: there is nowhere to write it down.
            if error.kind is ErrorKind.NOT_FOUND and error.system == "kubernetes":
                return Done()
            return Retry(f"{error.system}: {error.message}", error.retry_after or 1.0)

    def _reconcile(self, key: Key) -> Outcome:
        resource = self._objects.get(key)
        if resource is None:
            self._sessions.drop(key)
            return Done()
        memory = self._remembered(resource.uid)
        wait = memory.settle_until - self._clock.monotonic()
        if wait > 0:
            return After(wait)
        status = parse_cluster_status(resource.status)
        found = read_pools(self._objects, key.namespace, key.name)
        try:
            spec = parse_cluster(resource.spec)
            if not resource.deleting and (problems := validate_cluster(spec, found.names)):
                raise SpecError(problems)
        except SpecError as error:
            if resource.deleting and resource.annotations.get(ABANDON) == "true":
                return self._let_go(resource, status)
            return self._invalid(resource, status, str(error))
        if resource.deleting:
            if FINALIZER not in resource.finalizers:
                self._forget(resource)
                return Done()
            self._sessions.drop(key)
        if spec.external is not None:
            if resource.deleting:
                self._objects.set_finalizer(resource, False)
                return Done()
            return reconcile_external(resource, spec.external, status, self._objects, self._sessions, self._clock, paused=spec.paused)
        pools = found.merge(spec, status)
        spec = pools.spec
        if not resource.deleting and not spec.paused:
            found.hold(self._objects, pools)
        gatherer = Gatherer(
            resource,
            pools,
            status,
            objects=self._objects,
            clouds=self._clouds,
            hosts=self._hosts,
            sessions=self._sessions,
            clock=self._clock,
            memo=self._slow_facts(memory, resource, spec, status, pools),
            threads=self._threads,
        )
        with decided(gatherer, spec, status, self._clock) as (gathered, plan):
            return self._act(resource, spec, status, plan, gathered, memory)

    def _act(self, resource: Resource, spec: SwarmClusterSpec, former: SwarmClusterStatus, plan: ClusterPlan, gathered: Gathered, memory: _Memory) -> Outcome:
        """Perform the plan and write down what came of it. `former`: the status as it was read."""
        memory.slow = remember(gathered, self._clock.monotonic()) if memory.slow is None else memory.slow
        if any(step.touches_cloud for step in plan.steps) or plan.failure is not None:
            # Before acting, not after: a crash in the midst must not leave a memory of how it was.
            memory.slow = None
        if plan.steps and not resource.deleting and FINALIZER not in resource.finalizers:
            resource = self._objects.set_finalizer(resource, True)
        action = Action(resource, spec, plan.status, gathered, self._objects, self._clock, self._threads, self._transfers, self._downloads)
        try:
            perform_all(action, plan.steps, perform)
        finally:
            for step in action.done:
                self._observe_step(type(step).__name__, "ok")
            for failure in action.failures:
                self._observe_step(type(failure.step).__name__, "failed")
            _count(former, action, self._observe_failure)
        if action.released:
            self._forget(resource)
            return Done()
        found = verdicts.with_failures(plan.verdicts, [v for f in action.failures for v in _failed(f, resource.deleting)]) if action.failures else plan.verdicts
        self._write(action.resource, action.status, found)
        _tell_of_orphans(former, action)
        if not resource.deleting:
            _tell_of_retained(former, action)
        _tell_of_images(former, action)
        tell_of_backups(former, action)
        tell_of_pools(action.objects, action.resource, former, action.status)
        if action.failures:
            memory.slow = None
        if any(f.error.kind is ErrorKind.AMBIGUOUS for f in action.failures):
            memory.settle_until = self._clock.monotonic() + AMBIGUOUS_SETTLE_SECONDS
        return self._outcome(plan, action, gathered)

    def _outcome(self, plan: ClusterPlan, action: Action, gathered: Gathered) -> Outcome:
        if action.failures:
            held = all(isinstance(f.step, CreateServer) and f.error.kind is not ErrorKind.AMBIGUOUS for f in action.failures)
            if held and any(n.phase in _ON_ITS_WAY for n in action.status.nodes) and plan.requeue_after is not None:
                # The refused servers are held back by their own records; the others shall not wait for them.
                return After(plan.requeue_after)
            worst = max(action.failures, key=lambda f: _minimum(f.error.reason, f.error))
            return Retry(f"{worst.error.reason.value}: {worst.error.message}", _minimum(worst.error.reason, worst.error), delay_of(worst.error.reason).most)
        on_its_way = any(n.phase in _ON_ITS_WAY for n in action.status.nodes)
        if plan.failure in _OF_ONE_POOL and on_its_way and plan.requeue_after is not None:
            # One pool's flavor or image is wrong; the machines of the others shall not wait for its back-off.
            return After(max(2.0, plan.requeue_after))
        if plan.failure is not None:
            asked = max((e.retry_after or 0.0 for e in gathered.errors), default=0.0)
            delay = delay_of(plan.failure)
            return Retry(plan.failure.value, max(asked, delay.least), delay.most)
        return Done() if plan.requeue_after is None else After(plan.requeue_after)

    def _write(self, resource: Resource, status: SwarmClusterStatus, found: Sequence[Verdict]) -> None:
        now = times.stamp(self._clock.now())
        conditions = merge_conditions(status.conditions, found, generation=resource.generation, now=now)
        whole = status.model_copy(update={"conditions": conditions, "observed_generation": resource.generation})
        self._objects.apply_status(resource, whole.to_manifest())

    def _invalid(self, resource: Resource, status: SwarmClusterStatus, message: str) -> Outcome:
        """A spec that can't be carried out; the message names the fields."""
        parts = [v for v in verdicts.from_conditions(status.conditions) if v.type not in (ConditionType.INFRASTRUCTURE_READY, ConditionType.DELETION_BLOCKED)]
        parts.append(verdicts.verdict(ConditionType.INFRASTRUCTURE_READY, "False", Reason.INVALID_SPEC, message))
        blocked = resource.deleting and FINALIZER in resource.finalizers
        hold = verdicts.verdict(
            ConditionType.DELETION_BLOCKED, "True" if blocked else "False", Reason.INVALID_SPEC if blocked else Reason.AS_EXPECTED, message if blocked else ""
        )
        found = verdicts.with_failures([*parts, hold], [])
        self._write(resource, status, found)
        return Retry(message, delay_of(Reason.INVALID_SPEC).least)

    def _let_go(self, resource: Resource, status: SwarmClusterStatus) -> Outcome:
        """The end of a cluster whose spec can't be read, on demand: what status knows of is left behind."""
        left = lines(remaining(status, ClusterObservation(resource.uid, resource.key.name, resource.generation)))
        for text in pieces(left):
            self._objects.event(resource, Reason.ABANDONED, text, warning=True)
        held = status.credentials.secret_name
        if held is not None and not named_by_others(self._objects, resource, held):
            self._objects.hold_secret(resource.key.namespace, held, False)
        for name in own_secrets(resource.key.name):
            self._objects.orphan_secret(resource, name)
        self._objects.set_finalizer(resource, False)
        self._forget(resource)
        return Done()

    def _remembered(self, uid: str) -> _Memory:
        with self._lock:
            return self._memory.setdefault(uid, _Memory())

    def _forget(self, resource: Resource) -> None:
        self._sessions.drop(resource.key)
        with self._lock:
            self._memory.pop(resource.uid, None)

    def _slow_facts(self, memory: _Memory, resource: Resource, spec: SwarmClusterSpec, status: SwarmClusterStatus, pools: PoolMerge) -> SlowFacts | None:
        slow = memory.slow
        changed = slow is not None and (slow.generation, slow.pools) != (resource.generation, pools.generations)
        if slow is None or resource.deleting or changed or overdue(spec, status, self._clock.now()):
            memory.slow = None
            return None
        quorate = any(c.type == ConditionType.MANAGERS_QUORATE.value and c.status == "True" for c in status.conditions)
        if self._clock.monotonic() - slow.at > (MEMO_SECONDS if quorate else MEMO_SECONDS_BLIND):
            memory.slow = None
        return memory.slow


def _minimum(reason: Reason, error: ExternalError) -> float:
    if error.kind is ErrorKind.AMBIGUOUS:
        return AMBIGUOUS_SETTLE_SECONDS
    return max(error.retry_after or 0.0, delay_of(reason).least)


def _failed(failure: StepFailure, deleting: bool) -> list[Verdict]:
    """The condition that a failed step speaks in; refused credentials speak in their own as well."""
    error = failure.error
    if failure.step.condition is ConditionType.ORPHANS_FOUND:
        found = [verdicts.verdict(ConditionType.ORPHANS_FOUND, "True", error.reason, error.message)]
    elif deleting:
        found = [verdicts.verdict(ConditionType.DELETION_BLOCKED, "True", error.reason, error.message)]
    else:
        found = [verdicts.of_unknown(failure.step.condition, Unknown(error.reason, error.message))]
    if error.kind is ErrorKind.UNAUTHORIZED and error.system == "openstack":
        found.append(verdicts.of_unknown(ConditionType.CREDENTIALS_VALID, Unknown(error.reason, error.message)))
    return found


def _count(former: SwarmClusterStatus, action: Action, observe: ObserveFailure) -> None:
    """Failed reads and steps, and servers that were found in ERROR just now."""
    for error in (*action.gathered.errors, *(f.error for f in action.failures)):
        observe(error.system, error.reason.value)
    faulty = [n for n in action.status.nodes if n.phase == MachinePhase.FAILED and n.server_id is not None and n.message]
    before = {n.machine_uid for n in former.nodes if n.phase == MachinePhase.FAILED} if faulty else set()
    for node in faulty:
        if node.machine_uid not in before:
            observe("openstack", fault_reason(node.message).value)


def _tell_of_orphans(former: SwarmClusterStatus, action: Action) -> None:
    """One Event for each that status did not name before."""
    known = {o.id for o in former.orphans}
    for orphan in action.status.orphans:
        if orphan.id not in known:
            action.objects.event(action.resource, Reason.ORPHANS_FOUND, f"{orphan.kind} {orphan.id} {orphan.name}", warning=True)


def _tell_of_retained(former: SwarmClusterStatus, action: Action) -> None:
    """One Event for each volume that has just become one without a machine."""
    known = {v.volume_id for v in former.retained_volumes}
    for volume in action.status.retained_volumes:
        if volume.volume_id not in known:
            action.objects.event(action.resource, Reason.RETAINED, f"volume {volume.name} ({volume.volume_id}) is kept: `retain` is set")


def _tell_of_images(former: SwarmClusterStatus, action: Action) -> None:
    """One Event for each snapshot that became Active, failed or was lost."""
    before = {s.name: s.state for s in former.snapshots}
    for snapshot in action.status.snapshots:
        if before.get(snapshot.name) == snapshot.state:
            continue
        if snapshot.state is SnapshotState.ACTIVE:
            action.objects.event(action.resource, Reason.IMAGE_READY, f"snapshot {snapshot.name}: image {snapshot.image_id} can be booted from")
        elif snapshot.state in (SnapshotState.FAILED, SnapshotState.LOST):
            action.objects.event(action.resource, Reason.IMAGE_FAILED, f"snapshot {snapshot.name}: {snapshot.message}", warning=True)
    fetched = {i.checksum: i.state for i in former.images}
    for image in action.status.images:
        if fetched.get(image.checksum) == image.state:
            continue
        if image.state is ImageState.ACTIVE:
            action.objects.event(action.resource, Reason.IMAGE_READY, f"image {image.image_id} with checksum {image.checksum[:19]}... can be booted from")
        elif image.state is ImageState.FAILED:
            action.objects.event(action.resource, Reason.IMAGE_FAILED, f"image with checksum {image.checksum[:19]}...: {image.message}", warning=True)
