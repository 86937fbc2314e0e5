"""Data volumes on a guest: the commands of `bootstrap.guest_volumes`, and their answers as results and errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from swarm_operator.adapters.ssh.errors import external
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap import guest_volumes
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.volumes import GuestVolume, Mount
from swarm_operator.ports.hosts import CommandResult

Run = Callable[[Sequence[str], float], CommandResult]
"""Runs a command as root within so many seconds."""


def look(run: Run, mounts: Sequence[Mount]) -> tuple[GuestVolume, ...]:
    """See `ports.hosts.Host.look_at_volumes`."""
    result = run(guest_volumes.look_argv(mounts), 60.0)
    try:
        return guest_volumes.parse_look(result.stdout)
    except (ValueError, KeyError, TypeError) as error:
        raise external(ErrorKind.TRANSIENT, "ssh", f"look at the volumes: {_last(result)}", reason=Reason.VOLUME_FAILED) from error


def set_up(run: Run, mount: Mount) -> None:
    """See `ports.hosts.Host.set_up_volume`."""
    result = run(guest_volumes.set_up_argv(mount), guest_volumes.SET_UP_SECONDS)
    what = f"set up volume {mount.name} ({mount.volume_id})"
    try:
        refused, failed = guest_volumes.parse_set_up(result.stdout)
    except (ValueError, AttributeError) as error:
        raise external(ErrorKind.TRANSIENT, "ssh", f"{what}: {_last(result)}", reason=Reason.VOLUME_FAILED) from error
    if refused:
        raise external(ErrorKind.INVALID, "ssh", f"{what}: {refused}", reason=Reason.VOLUME_REFUSED)
    if failed:
        raise external(ErrorKind.TRANSIENT, "ssh", f"{what}: {failed}", reason=Reason.VOLUME_FAILED)


def _last(result: CommandResult) -> str:
    """The last line that the command left."""
    return (result.stderr.strip().splitlines() or [f"status {result.status} and no answer"])[-1][:300]
