"""What to do about one SwarmStack: `decide(subject, observed)`. Pure.

Networks first, then services, then what has left the file: services, and networks once nothing needs them. Whose a thing is, is told by UIDs: a SwarmService by its owner
reference, a network by its label. One of our name that is not ours is reported and left alone. A file that can't be used changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.api.conditions import ConditionStatus
from swarm_operator.domain.digests import digest_of
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import NETWORK_LABEL_STACK
from swarm_operator.domain.stack.parts import Converted, Json, StackNetwork, StackService
from swarm_operator.domain.swarm import OverlayInfo

LIST_KEYS: Final = {"env": "name", "networks": "name", "mounts": "target", "ulimits": "name", "imagePullSecrets": "name", "genericResources": "kind"}
"""Lists of a SwarmService's spec whose entries the API server merges by this key: somebody else may have added entries of their own."""


@dataclass(frozen=True)
class Component:
    """A SwarmService that the stack owns. `digest` is that of what we applied last; `ready`, `reason` and `message` are those of its condition Ready if it is about its
    present spec."""

    name: str
    spec: Mapping[str, Any]
    digest: str = ""
    deleting: bool = False
    ready: ConditionStatus = "Unknown"
    reason: str = ""
    message: str = ""
    stalled: bool = False


@dataclass(frozen=True)
class Swarm:
    """What there is in the swarm. `used` are ids of networks that services are attached to, or would be after a rollback."""

    networks: tuple[OverlayInfo, ...]
    used: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Observed:
    """`foreign` are names that SwarmServices have which are not ours. `failures` are texts of what was refused in this round, by name of the SwarmService or network;
    `trouble` is what kept the round from its end."""

    owned: tuple[Component, ...]
    foreign: frozenset[str]
    swarm: Fact[Swarm]
    failures: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True)
class Plan:
    """What to write, in this order. `conflicts` and `differing` are texts about what stands in the way, by name."""

    make: tuple[StackNetwork, ...] = ()
    apply: tuple[StackService, ...] = ()
    delete: tuple[Component, ...] = ()
    unmake: tuple[OverlayInfo, ...] = ()
    conflicts: Mapping[str, str] = field(default_factory=dict)
    differing: Mapping[str, str] = field(default_factory=dict)
    leaving: tuple[OverlayInfo, ...] = ()
    """Networks of ours that the file does not need any more, with those that can't go yet."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.make or self.apply or self.delete or self.unmake)


def decide(converted: Converted, uid: str, observed: Observed) -> Plan:
    """The plan for a stack that is not being deleted and not paused; `uid` is the SwarmStack's."""
    if converted.problems:
        return Plan()
    conflicts: dict[str, str] = {
        name: f"a SwarmService {name!r} exists and is not of this stack"
        for name in sorted({service.object_name for service in converted.services} & observed.foreign)
    }
    differing: dict[str, str] = {}
    make: list[StackNetwork] = []
    if isinstance(observed.swarm, Known):
        present = {network.name: network for network in observed.swarm.value.networks}
        for network in converted.networks:
            live = present.get(network.name)
            if live is None:
                make.append(network)
            elif live.labels.get(NETWORK_LABEL_STACK) != uid:
                conflicts[network.name] = f"a network {network.name!r} exists and is not of this stack; to use it all the same, declare it `external`"
            elif (problem := _difference(network, live)) is not None:
                differing[network.name] = problem
    owned = {component.name: component for component in observed.owned}
    apply = tuple(
        service
        for service in converted.services
        if service.object_name not in conflicts and not (set(service.networks) & set(conflicts)) and _outdated(service, owned.get(service.object_name))
    )
    wanted = {service.object_name for service in converted.services}
    delete = tuple(component for component in observed.owned if component.name not in wanted and not component.deleting)
    leaving = _leaving(converted, uid, observed.swarm)
    used = observed.swarm.value.used if isinstance(observed.swarm, Known) else frozenset()
    # Only once no service of ours is on its way out: it may be attached still, though not to what was seen.
    going = any(component.name not in wanted for component in observed.owned)
    unmake = () if going else tuple(network for network in leaving if network.id not in used)
    return Plan(tuple(make), apply, delete, unmake, conflicts, differing, leaving)


def ours(uid: str, swarm: Fact[Swarm]) -> tuple[OverlayInfo, ...]:
    """The networks of the stack, by name; none while the swarm is not known."""
    if isinstance(swarm, Unknown):
        return ()
    return tuple(sorted((n for n in swarm.value.networks if n.labels.get(NETWORK_LABEL_STACK) == uid), key=lambda n: n.name))


def _leaving(converted: Converted, uid: str, swarm: Fact[Swarm]) -> tuple[OverlayInfo, ...]:
    needed = {network.name for network in converted.networks}
    return tuple(network for network in ours(uid, swarm) if network.name not in needed)


def _difference(wanted: StackNetwork, live: OverlayInfo) -> str | None:
    """What of a network is not as the file says; options are not compared, the engine adds its own."""
    pairs = {"attachable": (wanted.attachable, live.attachable), "internal": (wanted.internal, live.internal)}
    found = [f"{key} is {there}".lower() for key, (asked, there) in pairs.items() if asked != there]
    if wanted.subnet is not None and live.subnets and wanted.subnet not in live.subnets:
        found.append(f"subnet is {', '.join(live.subnets)}")
    return f"the network {wanted.name!r} exists, and its {'; '.join(found)}; a network can't be changed: give it another name" if found else None


def digest(service: StackService) -> str:
    """A hash of what we apply (SHA-256, hex), kept on the SwarmService: so that a field that has left the file is taken back too."""
    return digest_of(service.spec)


def _outdated(service: StackService, live: Component | None) -> bool:
    """Whether it has to be applied: it is not there, we last applied something else, or somebody changed a field that is ours. One that is being deleted has to go first."""
    if live is None:
        return True
    return not live.deleting and (live.digest != digest(service) or not covers(live.spec, service.spec))


def covers(live: Any, wanted: Any, key: str = "") -> bool:
    """Whether `live`, as the API server holds it with its defaults, says all that `wanted` says."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(name in live and covers(live[name], value, name) for name, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return False
        if (by := LIST_KEYS.get(key)) is not None:
            there: dict[Any, Json] = {entry.get(by): entry for entry in live}
            return all(entry[by] in there and covers(there[entry[by]], entry) for entry in wanted)
        return len(live) == len(wanted) and all(covers(a, b) for a, b in zip(live, wanted, strict=True))
    return bool(live == wanted)
