"""The ladder of repairs: which rung comes next for one failed machine. Rungs that can't help are left out: nobody reboots a server that is gone.

Source of the rungs that go through Nova: Compute API, "Servers - run an action" (os-start, reboot SOFT and HARD, rebuild).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster_status import MachineRemediation, Rung
from swarm_operator.api.lifecycle import RemediationSpec
from swarm_operator.domain import times
from swarm_operator.domain.cluster.guests import ENGINE_LOCKED, ENGINE_SILENT
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import Guest
from swarm_operator.domain.facts import Fact, Known

HEALTHY_SECONDS = 600.0
"""A machine that was healthy for so long starts with a new account."""
BACKOFF_CAP_SECONDS = 900.0
REBUILD_TIMES = 5
"""A rebuilt machine gets so many times rungSeconds: it boots for the first time and joins."""
IDLE_SECONDS = 300.0
ORDER = tuple(Rung)
EXPIRED = "not valid after"
"""What an engine says (Swarm.Error, with LocalNodeState `error`) of a node certificate that is over (swarmkit, ca/certificates.go, `ValidateCertChain`). A certificate is renewed through a
manager that accepts the former one, so no restart helps: the node leaves and joins anew (node/node.go, `loadSecurityConfig`)."""
STOPPED = frozenset({"SHUTOFF", "SHELVED", "SHELVED_OFFLOADED"})
"""States in which a cloud leaves the servers that it takes the resources of (Compute API, "Server concepts")."""


@dataclass(frozen=True)
class NextRung:
    """What to do now: `rung` None: nothing for `wait` seconds, the last rung still has its time."""

    rung: Rung | None
    attempts: int = 1
    wait: float = 0.0


def useful(machine: Machine, guest: Fact[Guest], swarm_id: str) -> tuple[Rung, ...]:
    """The rungs that can help, in order. A server that somebody paused, suspended or rescued is not touched but replaced, like one in ERROR."""
    server = machine.present
    manager = machine.id.role == "Manager"
    if server is None or server.status == "ERROR":
        return (Rung.REPLACE,)
    # A manager's disk holds raft's state. A server that boots from a volume has no image to be rebuilt from (Compute API before 2.93).
    last = (Rung.REPLACE,) if manager or server.image_id is None else (Rung.REBUILD, Rung.REPLACE)
    if server.status == "SHUTOFF":
        return (Rung.START, Rung.HARD_REBOOT, *last)
    if server.status not in ("ACTIVE", "REBOOT", "HARD_REBOOT", "REBUILD"):
        return (Rung.REPLACE,)
    if not isinstance(guest, Known):
        return (Rung.HARD_REBOOT, *last)
    engine = guest.value.engine
    if engine.local_state == ENGINE_LOCKED:
        return (Rung.UNLOCK, *last)
    reboots = (Rung.SOFT_REBOOT, Rung.HARD_REBOOT, *last)
    if engine.local_state == ENGINE_SILENT:
        return (Rung.RESTART_ENGINE, *reboots)
    expired = engine.local_state == "error" and EXPIRED in engine.error
    elsewhere = engine.local_state == "inactive" or engine.swarm_id not in ("", swarm_id) or expired
    if manager:
        # A manager that has lost its raft state, or may not use it any more, is nobody's to join again under the old membership.
        return (Rung.REPLACE,) if elsewhere else (Rung.RESTART_ENGINE, *reboots)
    return (Rung.REJOIN, *reboots) if elsewhere else (Rung.RESTART_ENGINE, Rung.REJOIN, *reboots)


def of_this_failure(machine: Machine) -> MachineRemediation | None:
    """The last repair, if it was made for the failure that the machine has now."""
    record = machine.record
    if record is None or record.remediation is None or record.remediation.since < record.phase_since:
        return None
    return record.remediation


def backoff(attempts: int, rung_seconds: float) -> float:
    """Seconds between the last repair of an earlier failure and the first of a new one: rung_seconds, doubled with each repair so far, at most 900 s."""
    return 0.0 if attempts == 0 else min(BACKOFF_CAP_SECONDS, rung_seconds * 2.0 ** (min(attempts, 20) - 1))


def after_preemption(machine: Machine, policy: RemediationSpec, now: datetime) -> NextRung:
    """What to do now for a machine that the cloud took: a server that is only switched off is started, once; all others are replaced, and those that do not start."""
    server, last = machine.present, of_this_failure(machine)
    former = machine.record.remediation if machine.record is not None else None
    attempts = former.attempts if former is not None else 1
    if server is not None and server.status == "SHUTOFF" and Rung.START.value in policy.rungs:
        if last is None or last.rung is not Rung.START:
            return NextRung(Rung.START, attempts)
        left = policy.rung_seconds - (times.age(last.since, now) or 0.0)
        if left > 0:
            return NextRung(None, attempts, left)
    return NextRung(Rung.REPLACE, attempts) if Rung.REPLACE.value in policy.rungs else NextRung(None, attempts, IDLE_SECONDS)


def next_rung(machine: Machine, guest: Fact[Guest], swarm_id: str, policy: RemediationSpec, now: datetime) -> NextRung:
    """What to do now. Where nothing that may be tried is left, nothing, again and again."""
    last = of_this_failure(machine)
    former = machine.record.remediation if machine.record is not None else None
    attempts = former.attempts if former is not None else 0
    elapsed = times.age(former.since, now) if former is not None else None
    may_replace = Rung.REPLACE.value in policy.rungs
    # Unlocking is no repair that somebody might not want: it is what autolock asks for.
    allowed = {*policy.rungs, Rung.UNLOCK.value, *((Rung.REBUILD.value,) if policy.rebuild else ())}
    rungs = tuple(r for r in useful(machine, guest, swarm_id) if r.value in allowed)
    if rungs and rungs[0] is Rung.REPLACE:
        return NextRung(Rung.REPLACE, attempts + 1)
    pause = policy.rung_seconds * (REBUILD_TIMES if last.rung is Rung.REBUILD else 1) if last is not None else backoff(attempts, policy.rung_seconds)
    if elapsed is not None and elapsed < pause:
        return NextRung(None, attempts, pause - elapsed)
    server = machine.present
    if server is not None and server.task_state is not None and last is not None and elapsed is not None and elapsed < 5 * policy.rung_seconds:
        return NextRung(None, attempts, 2.0)  # Nova is still at it
    if attempts >= policy.retry_budget.per_machine and may_replace:
        return NextRung(Rung.REPLACE, attempts + 1)
    done = -1 if last is None else ORDER.index(last.rung)
    chosen = next((r for r in rungs if ORDER.index(r) > done), Rung.REPLACE if may_replace else None)
    return NextRung(chosen, attempts + 1) if chosen is not None else NextRung(None, attempts, IDLE_SECONDS)
