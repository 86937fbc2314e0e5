"""Settings of an engine that lives: the command of `bootstrap.guest_engine`, and its answer as an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from swarm_operator.adapters.ssh.errors import external
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap import guest_engine
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.ports.hosts import CommandResult, HowApplied

Run = Callable[[Sequence[str], bytes, float], CommandResult]
"""Runs a command as root with that input, within so many seconds."""


def apply(run: Run, settings: bytes, how: HowApplied) -> None:
    """See `ports.hosts.Host.apply_engine_settings`."""
    result = run(guest_engine.argv(how), settings, guest_engine.SECONDS)
    if result.status == 0:
        return
    words = (result.stdout.strip() or result.stderr.strip() or f"status {result.status} and no answer")[-500:]
    what = f"{how} of the engine's settings"
    if result.status == guest_engine.REFUSED:
        raise external(ErrorKind.INVALID, "ssh", f"{what}: the engine refuses them: {words}", reason=Reason.ENGINE_FAILED)
    if result.status == guest_engine.DOWN:
        text = f"{what}: the engine refuses them, and does not start with the former ones either: {words}"
        raise external(ErrorKind.INVALID, "ssh", text, reason=Reason.ENGINE_FAILED)
    raise external(ErrorKind.TRANSIENT, "ssh", f"{what}: {words}", reason=Reason.ENGINE_FAILED)
