"""How the rungs of the ladder are performed. Each is written into status before it is tried: after a crash it counts, and the next one is not tried too early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from swarm_operator.api.cluster_status import MachineRemediation, Rung
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_unlock import read_secret, unlock
from swarm_operator.domain.cluster.steps import JoinNode, Repair
from swarm_operator.domain.errors import ErrorKind, ExternalError

RESTART_ENGINE: Final = ("systemctl", "restart", "docker.service")


def repair(action: Action, step: Repair, join: Callable[[JoinNode], None]) -> None:
    """Perform one rung. Raises ExternalError; the rung counts all the same."""
    server = step.evidence.value
    action.set_machine(step.machine_uid, remediation=MachineRemediation(rung=step.rung, attempts=step.attempts, since=action.now()))
    if step.rung is Rung.REBUILD:
        # The new disk makes keys of its own; they are read from the console again.
        action.set_machine(step.machine_uid, host_keys=[])
    action.write_status()
    action.objects.event(action.resource, Reason.REPAIRED, f"{step.rung.value} of {server.name}: {step.because}", warning=True)
    match step.rung:
        case Rung.UNLOCK:
            unlock(action.gathered.logins.open(step.machine_uid), server.name, read_secret(action.objects, action.resource))
        case Rung.RESTART_ENGINE:
            host = action.gathered.logins.open(step.machine_uid)
            result = host.run(list(RESTART_ENGINE), sudo=True, timeout=90.0)
            if result.status != 0:
                text = f"restart of the engine of {server.name}: {(result.stderr or result.stdout).strip()[:300]}"
                raise ExternalError(ErrorKind.TRANSIENT, "ssh", text, reason=Reason.ENGINE_FAILED)
        case Rung.REJOIN:
            if step.join is not None:
                join(step.join)
        case Rung.START:
            action.cloud.start_server(server.id)
        case Rung.SOFT_REBOOT:
            action.cloud.reboot_server(server.id, hard=False)
        case Rung.HARD_REBOOT:
            action.cloud.reboot_server(server.id, hard=True)
        case Rung.REBUILD:
            assert server.image_id is not None
            action.cloud.rebuild_server(server.id, server.image_id)
        case Rung.REPLACE:
            raise AssertionError("a replacement is a DeleteServer and a CreateServer")
