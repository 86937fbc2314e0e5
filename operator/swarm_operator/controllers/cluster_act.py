"""Performing a plan: steps in order, ids into status at once, failures kept to their lane."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachinePhase, MachineStatus, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_facts import Gathered
from swarm_operator.controllers.image_transfers import Transfers
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.adoption import owner_uid
from swarm_operator.domain.cluster.faults import refusal
from swarm_operator.domain.cluster.steps import CreatePort, CreateRootVolume, CreateServer, JoinManager, JoinNode, Step
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.quota import Usage
from swarm_operator.engine.clock import Clock
from swarm_operator.ports.compute import Cloud
from swarm_operator.ports.downloads import Downloads, NoDownloads
from swarm_operator.ports.objects import Objects, Resource
from swarm_operator.ports.swarm import Swarm

log = logging.getLogger(__name__)

REFUSALS = frozenset({ErrorKind.QUOTA, ErrorKind.NO_CAPACITY, ErrorKind.INVALID, ErrorKind.FORBIDDEN, ErrorKind.NOT_FOUND, ErrorKind.CONFLICT})
"""A create that ended so made nothing, and would end so again."""
MAYBE_DONE = frozenset({ErrorKind.AMBIGUOUS, ErrorKind.TRANSIENT})
"""A create that ended so may have made something: it is looked for before the next try."""


@dataclass(frozen=True)
class StepFailure:
    step: Step
    error: ExternalError


@dataclass
class Action:
    """The state of performing one plan. `resource` and `status` move along with each status write."""

    resource: Resource
    spec: SwarmClusterSpec
    status: SwarmClusterStatus
    gathered: Gathered
    objects: Objects
    clock: Clock
    threads: int = 1
    transfers: Transfers = field(default_factory=lambda: Transfers(0))
    downloads: Downloads = field(default_factory=NoDownloads)
    failures: list[StepFailure] = field(default_factory=list)
    done: list[Step] = field(default_factory=list)
    usage: dict[str, Usage] | None = None
    """What is used of the project's quotas; None until a step has asked."""
    released: bool = False
    """The finalizer is off: the object may be gone."""

    @property
    def uid(self) -> str:
        """What owned objects carry; not the object's own where it took a cluster over."""
        return owner_uid(self.resource.uid, self.spec)

    @property
    def name(self) -> str:
        return self.resource.key.name

    @property
    def cloud(self) -> Cloud:
        cloud = self.gathered.cloud
        if cloud is None:
            raise ExternalError(ErrorKind.UNREACHABLE, "openstack", "no credentials")
        return cloud

    @property
    def swarm(self) -> Swarm:
        swarm = self.gathered.swarm
        if swarm is None:
            raise ExternalError(ErrorKind.UNREACHABLE, "docker", "no manager answers")
        return swarm

    def now(self) -> str:
        return times.stamp(self.clock.now())

    def write_status(self) -> None:
        """Down with what is known, conditions as they were."""
        self.resource = self.objects.apply_status(self.resource, self.status.to_manifest())

    def set_infrastructure(self, **changes: Any) -> None:
        self.status = self.status.model_copy(update={"infrastructure": self.status.infrastructure.model_copy(update=changes)})

    def record(self, machine_uid: str) -> MachineStatus | None:
        return next((n for n in self.status.nodes if n.machine_uid == machine_uid), None)

    def set_machine(self, machine_uid: str, **changes: Any) -> None:
        """Change a machine's record; a machine without one is let be."""
        nodes = [n.model_copy(update=changes) if n.machine_uid == machine_uid else n for n in self.status.nodes]
        self.status = self.status.model_copy(update={"nodes": nodes})

    def server(self, server_id: str) -> Server | None:
        """As the list of this reconcile showed it."""
        servers = self.gathered.observation.servers
        found: Sequence[Server] = getattr(servers, "value", ())
        return next((s for s in found if s.id == server_id), None)


Performer = Callable[[Action, Step], None]


def intend(action: Action, creates: Sequence[CreateServer | CreatePort | CreateRootVolume]) -> None:
    """Write down which servers are about to be asked for: after a crash in the midst their absence is not believed at once."""
    now = action.now()
    records = {n.machine_uid: n for n in action.status.nodes}
    for step in creates:
        machine = step.machine
        uid = machine.uid(action.uid)
        last = [n for n in records.values() if (n.role, n.pool, n.slot) == (machine.role, machine.pool, machine.slot)]
        # The last holder's record made way; it had the fault text of its end.
        records = {
            u: n
            for u, n in records.items()
            if u == uid or (n.role, n.pool, n.slot) != (machine.role, machine.pool, machine.slot) or n.phase != MachinePhase.FAILED
        }
        old = records.get(uid)
        pending = old is not None and old.phase == MachinePhase.PENDING
        records[uid] = MachineStatus(
            name=machine.server_name(action.name),
            role=machine.role,
            pool=machine.pool,
            slot=machine.slot,
            incarnation=machine.incarnation,
            machine_uid=uid,
            phase=MachinePhase.PENDING,
            phase_since=old.phase_since if old is not None and pending else now,
            created_at=now,
            **_asked_place(step, last),
        )
    nodes = sorted(records.values(), key=lambda n: MachineId(n.role, n.pool, n.slot, n.incarnation))
    action.status = action.status.model_copy(update={"nodes": nodes})
    action.write_status()


def _asked_place(step: CreateServer | CreatePort | CreateRootVolume, last: Sequence[MachineStatus]) -> dict[str, Any]:
    """Zone, zones and flavors tried: of the server that is asked for; what comes before it keeps what is known of the slot."""
    if isinstance(step, CreateServer):
        return {
            "availability_zone": step.availability_zone,
            "zones_tried": list(step.zones_tried),
            "flavors_tried": list(step.flavors_tried),
            "fallback_flavor_id": step.fallback_flavor_id,
        }
    former = max(last, key=lambda n: n.incarnation, default=None)
    if former is None:
        return {}
    return {"availability_zone": former.availability_zone, "zones_tried": list(former.zones_tried), "flavors_tried": list(former.flavors_tried)}


def perform_all(action: Action, steps: Sequence[Step], perform: Performer) -> None:
    """Perform `steps` in order by `perform`. `ExternalError`s end up in `action.failures`; one of Kubernetes itself (nothing can be written down) is raised."""
    failed: set[str] = set()
    creates = [s for s in steps if isinstance(s, CreateServer | CreatePort | CreateRootVolume)]
    intended = False
    queue = list(steps)
    while queue:
        step = queue.pop(0)
        if step.lane in failed or any(lane in failed for lane in step.requires):
            continue
        batch: list[Step] = [step]
        if isinstance(step, JoinNode) and not isinstance(step, JoinManager):
            while queue and isinstance(queue[0], JoinNode) and not isinstance(queue[0], JoinManager):
                batch.append(queue.pop(0))
            batch = [s for s in batch if s.lane not in failed]
        if isinstance(step, CreateServer | CreatePort | CreateRootVolume) and not intended:
            intend(action, creates)
            intended = True
        for one, error in _run(action, batch, perform):
            if error is None:
                log.info("%s: %s (%s)", action.resource.key, type(one).__name__, one.lane)
                action.done.append(one)
                continue
            log.warning("%s: %s (%s) failed: %s", action.resource.key, type(one).__name__, one.lane, error.message)
            failed.add(one.lane)
            action.failures.append(StepFailure(one, error))
            if isinstance(one, CreateServer) or (isinstance(one, CreatePort) and error.kind in (ErrorKind.QUOTA, ErrorKind.NO_CAPACITY)):
                _note_refusal(action, one, error)
        if action.released:
            return
    if intended:
        _forget_unsent(action, creates)


def _run(action: Action, batch: Sequence[Step], perform: Performer) -> list[tuple[Step, ExternalError | None]]:
    def one(step: Step) -> tuple[Step, ExternalError | None]:
        try:
            perform(action, step)
        except ExternalError as error:
            # Kubernetes does not take our writes: stop. A Secret of our name that is somebody else's is another matter, and can be said in status.
            if error.system == "kubernetes" and error.reason is not Reason.NAME_CONFLICT:
                raise
            return step, error
        return step, None

    if len(batch) > 1 and action.threads > 1:
        with ThreadPoolExecutor(min(action.threads, len(batch)), thread_name_prefix="join") as pool:
            return list(pool.map(one, batch))
    return [one(step) for step in batch]


def _note_refusal(action: Action, step: CreateServer | CreatePort, error: ExternalError) -> None:
    uid = step.machine.uid(action.uid)
    if error.kind in REFUSALS:
        record = action.record(uid)
        action.set_machine(uid, phase=MachinePhase.FAILED, phase_since=action.now(), created_at=None, message=refusal(error.reason, error.message))
        if record is None:
            return
    elif error.kind not in MAYBE_DONE:
        action.set_machine(uid, created_at=None)


def _forget_unsent(action: Action, creates: Sequence[CreateServer | CreatePort | CreateRootVolume]) -> None:
    """The machines that were written down and whose server was never asked for (their port or root volume is to be made first): nothing has to be looked for."""
    tried = {s for s in action.done if isinstance(s, CreateServer)} | {f.step for f in action.failures if isinstance(f.step, CreateServer)}
    for step in creates:
        if step not in tried:
            action.set_machine(step.machine.uid(action.uid), created_at=None)
