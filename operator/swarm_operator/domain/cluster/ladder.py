"""The ladder of repairs: which rung comes next for one failed machine. Rungs that can't help are left out: nobody reboots a server that is gone.

Source of the rungs that go through Nova: Compute API, "Servers - run an action" (os-start, reboot SOFT and HARD).
"""

from __future__ import annotations

from dataclasses import dataclass

from swarm_operator.api.cluster_status import MachineRemediation, Rung
from swarm_operator.domain.cluster.guests import ENGINE_SILENT
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import Guest
from swarm_operator.domain.facts import Fact, Known

MAX_ATTEMPTS = 5
"""Repairs of one machine since it was last healthy for HEALTHY_SECONDS; then it is replaced."""
HEALTHY_SECONDS = 600.0
ORDER = tuple(Rung)


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
    if server.status == "SHUTOFF":
        return (Rung.START, Rung.HARD_REBOOT, Rung.REPLACE)
    if server.status not in ("ACTIVE", "REBOOT", "HARD_REBOOT"):
        return (Rung.REPLACE,)
    if not isinstance(guest, Known):
        return (Rung.HARD_REBOOT, Rung.REPLACE)
    engine = guest.value.engine
    reboots = (Rung.SOFT_REBOOT, Rung.HARD_REBOOT, Rung.REPLACE)
    if engine.local_state == ENGINE_SILENT:
        return (Rung.RESTART_ENGINE, *reboots)
    elsewhere = engine.local_state == "inactive" or engine.swarm_id not in ("", swarm_id)
    if manager:
        # A manager that has lost its raft state is nobody's to join again under the old membership.
        return (Rung.REPLACE,) if elsewhere else (Rung.RESTART_ENGINE, *reboots)
    return (Rung.REJOIN, *reboots) if elsewhere else (Rung.RESTART_ENGINE, Rung.REJOIN, *reboots)


def of_this_failure(machine: Machine) -> MachineRemediation | None:
    """The last repair, if it was made for the failure that the machine has now."""
    record = machine.record
    if record is None or record.remediation is None or record.remediation.since < record.phase_since:
        return None
    return record.remediation


def next_rung(machine: Machine, guest: Fact[Guest], swarm_id: str, rung_seconds: float, elapsed: float | None) -> NextRung:
    """`elapsed`: seconds since the last repair, None where there is none on record."""
    last = of_this_failure(machine)
    former = machine.record.remediation if machine.record is not None else None
    attempts = former.attempts if former is not None else 0
    rungs = useful(machine, guest, swarm_id)
    if rungs[0] is Rung.REPLACE:
        return NextRung(Rung.REPLACE, attempts + 1)
    if last is not None and elapsed is not None and elapsed < rung_seconds:
        return NextRung(None, attempts, rung_seconds - elapsed)
    server = machine.present
    if server is not None and server.task_state is not None and last is not None and elapsed is not None and elapsed < 5 * rung_seconds:
        return NextRung(None, attempts, 2.0)  # Nova is still at it
    if attempts >= MAX_ATTEMPTS:
        return NextRung(Rung.REPLACE, attempts + 1)
    done = -1 if last is None else ORDER.index(last.rung)
    return NextRung(next(r for r in (*rungs, Rung.REPLACE) if ORDER.index(r) > done), attempts + 1)
