"""Looking at the project's quotas before something is asked for: a refusal of the cloud names the resource at best, never the numbers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from swarm_operator.controllers.cluster_act import Action
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.quota import CORES, FLOATING_IP, GIGABYTES, PORT, RAM, SERVER, SERVER_GROUP, VOLUME, Usage, shortage, taken

log = logging.getLogger(__name__)
T = TypeVar("T")


def server_needs(action: Action, flavor_id: str, *, port: bool, root_gib: int = 0) -> dict[str, int]:
    """What a server of the flavor takes; `port`: Nova makes its port; `root_gib`: Nova makes its root volume."""
    found = _if_told(lambda: action.cloud.get_flavor_size(flavor_id))
    size = {} if found is None else {CORES: found.vcpus, RAM: found.ram}
    return {SERVER: 1, **size, **({PORT: 1} if port else {}), **(volume_needs(root_gib) if root_gib else {})}


def volume_needs(size_gib: int) -> dict[str, int]:
    """What a volume takes."""
    return {VOLUME: 1, GIGABYTES: size_gib}


PORT_NEEDS: Mapping[str, int] = {PORT: 1}
FLOATING_IP_NEEDS: Mapping[str, int] = {FLOATING_IP: 1}
SERVER_GROUP_NEEDS: Mapping[str, int] = {SERVER_GROUP: 1}


def check_quota(action: Action, what: str, needs: Mapping[str, int]) -> None:
    """Raise QUOTA with the numbers where `needs` exceed what is left. The usage is read once for all steps of a plan. A cloud that does not tell is asked for the thing itself."""
    if action.usage is None:
        usage: dict[str, Usage] = {}
        usage |= _if_told(action.cloud.get_compute_usage) or {}
        usage |= _if_told(action.cloud.get_network_usage) or {}
        action.usage = usage
    if GIGABYTES in needs and GIGABYTES not in action.usage:
        action.usage = {**action.usage, **(_if_told(action.cloud.get_volume_usage) or {})}
    short = shortage(needs, action.usage)
    if short is not None:
        raise ExternalError(ErrorKind.QUOTA, "openstack", f"create {what}: quota too small: {short}")


def note_taken(action: Action, needs: Mapping[str, int]) -> None:
    """Something was made: the next step of the plan has that much less."""
    action.usage = taken(needs, action.usage or {})


def _if_told(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except ExternalError as error:
        log.info("quota not looked at: %s", error.message)
        return None
