"""Lifecycle hooks: what somebody else does before a machine is drained (PreDrain) or its server goes (PreTerminate), as the annotations of Machines in Cluster API let them.

A hook is a name in `spec.lifecycleHooks`. While it is waited for, `status.nodes[].hooks` says so; it is done when the annotation names machine and hook, or its time is over. The time
runs from when status first named it: where status is lost it starts anew, so a hook is never cut short. Only machines that work are held: nothing is gained by holding one that has failed,
and a successor would wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import MachineHook
from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation

HOOK_DONE: Final = "swarmops.io/hook-done"
"""Annotation of a SwarmCluster: `<machine>/<hook>` (comma separated) of the hooks that are done."""
_MANAGERS: Final = "manager"


@dataclass(frozen=True)
class Hooks:
    """Those of a machine that are not done. `waiting`: names of those whose time is not over; the others are remembered until the machine has gone on, or their time would begin
    anew. `wake_in`: seconds until the first of these is over."""

    hooks: tuple[MachineHook, ...] = ()
    waiting: tuple[str, ...] = ()
    wake_in: float | None = None

    @property
    def text(self) -> str:
        """For people; "" where nothing is waited for."""
        return f"its removal waits for {', '.join(self.waiting)}" if self.waiting else ""


NO_HOOKS: Final = Hooks()


def hooks_of(spec: SwarmClusterSpec, observation: ClusterObservation, machine: Machine, at: Literal["PreDrain", "PreTerminate"], now: datetime) -> Hooks:
    """The hooks of a machine that is about to be drained, or to go."""
    done = observation.named(HOOK_DONE)
    name, known = machine.id.server_name(observation.name), {(h.name, h.at): h for h in (machine.record.hooks if machine.record is not None else ())}
    found: list[MachineHook] = []
    waiting: list[str] = []
    left: list[float] = []
    for hook in spec.lifecycle_hooks:
        if hook.at != at or f"{name}/{hook.name}" in done or (hook.pools and (machine.id.pool or _MANAGERS) not in hook.pools):
            continue
        since = known[(hook.name, at)].since if (hook.name, at) in known else times.stamp(now)
        found.append(MachineHook(name=hook.name, at=at, since=since))
        rest = hook.timeout_seconds - (times.age(since, now) or 0.0)
        if rest > 0:
            waiting.append(f"{hook.name} ({at})")
            left.append(rest)
    return Hooks(tuple(found), tuple(waiting), min(left, default=None))
