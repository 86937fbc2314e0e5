"""The swarm's overlay networks: made as declared, removed when they have left the spec and nothing uses them.

Ours are told by the cluster's UID in a label. A network can't be changed once it exists; one of a declared name with other properties, or of somebody else, is left alone
and shown in status.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import OverlayStatus
from swarm_operator.api.swarm import OverlayNetwork
from swarm_operator.domain.cluster.steps import CreateOverlay, RemoveOverlay, Step
from swarm_operator.domain.facts import Fact, Known
from swarm_operator.domain.ownership import NETWORK_LABEL_CLUSTER
from swarm_operator.domain.swarm import OverlayInfo, SwarmView


def labels(network: OverlayNetwork, cluster_uid: str) -> dict[str, str]:
    """The labels that go into the POST: the declared ones and the owner's."""
    return {**network.labels, NETWORK_LABEL_CLUSTER: cluster_uid}


def unwanted(spec: SwarmClusterSpec, cluster_uid: str, view: SwarmView) -> tuple[OverlayInfo, ...]:
    """Networks of ours that are not in the spec."""
    declared = {network.name for network in spec.swarm.networks}
    return tuple(n for n in view.networks if n.labels.get(NETWORK_LABEL_CLUSTER) == cluster_uid and n.name not in declared)


def used(services: Iterable[dict[str, Any]]) -> frozenset[str]:
    """Ids of the networks that services (raw, as listed) are attached to, by their present spec or the one they would roll back to."""
    found: set[str] = set()
    for service in services:
        for spec in (service.get("Spec") or {}, service.get("PreviousSpec") or {}):
            attached = [*((spec.get("TaskTemplate") or {}).get("Networks") or ()), *(spec.get("Networks") or ())]
            found |= {str(entry.get("Target", "")) for entry in attached}
    return frozenset(found)


def overlays(spec: SwarmClusterSpec, cluster_uid: str, view: SwarmView, in_use: Fact[frozenset[str]]) -> tuple[Step, ...]:
    """Makes those that are missing, by name; removes those of ours that are not declared any more and that certainly no service uses."""
    present = {network.name for network in view.networks}
    made: tuple[Step, ...] = tuple(CreateOverlay(n) for n in spec.swarm.networks if n.name not in present)
    if not isinstance(in_use, Known):
        return made
    return made + tuple(RemoveOverlay(in_use, n.id, n.name) for n in unwanted(spec, cluster_uid, view) if n.id not in in_use.value)


def statuses(spec: SwarmClusterSpec, cluster_uid: str, view: SwarmView, in_use: Fact[frozenset[str]]) -> list[OverlayStatus]:
    """What became of each network, by name."""
    by_name = {network.name: network for network in view.networks}
    out = []
    for declared in spec.swarm.networks:
        live = by_name.get(declared.name)
        if live is None:
            continue
        problem = _problem(declared, live, cluster_uid)
        out.append(OverlayStatus(name=live.name, network_id=live.id, state="Ready" if problem is None else "Differs", message=problem))
    for live in unwanted(spec, cluster_uid, view):
        busy = not isinstance(in_use, Known) or live.id in in_use.value
        told = "not in the spec any more; removed once no service is attached to it" if busy else "not in the spec any more; being removed"
        out.append(OverlayStatus(name=live.name, network_id=live.id, state="Unwanted", message=told))
    return sorted(out, key=lambda status: status.name)


def _problem(declared: OverlayNetwork, live: OverlayInfo, cluster_uid: str) -> str | None:
    wanted = {"attachable": declared.attachable, "encrypted": declared.encrypted, "internal": declared.internal}
    there = {"attachable": live.attachable, "encrypted": live.encrypted, "internal": live.internal}
    if live.driver != "overlay":
        return f"a network of that name has driver {live.driver}"
    differing = [f"{key} is {there[key]}".lower() for key in wanted if wanted[key] != there[key]]
    if declared.subnet is not None and live.subnets and declared.subnet not in live.subnets:
        differing.append(f"subnet is {', '.join(live.subnets)}")
    if differing:
        return f"{'; '.join(differing)}; a network can't be changed: give it another name"
    # One without an owner is of an earlier version or made by hand; it is used as it is and never removed.
    owner = live.labels.get(NETWORK_LABEL_CLUSTER)
    return None if owner in (None, cluster_uid) else "a network of that name belongs to another SwarmCluster"
