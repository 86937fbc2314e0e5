"""Objects in the cloud that carry this cluster's UID and serve no part of it: reported, and with `spec.orphans: Delete` deleted.

Ordinary convergence accounts for what it makes: servers of machines, `port/` and `fip/` of slots, one data volume for each name and slot, one network, subnet, router, security
group and key pair; a trunk goes with its port, and serves nothing where that serves nothing. What is left here are other volumes, and objects whose description, metadata or name gives a part that does not exist, or one that the spec now takes from elsewhere.
An object is deleted only when status has named it for the grace and a complete fresh listing shows it again: two sightings, and a lost status starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import OrphanKind, OrphanStatus, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Network, OwnedNetworking, Router, SecurityGroup, Subnet
from swarm_operator.domain.cluster.images import serves_nothing
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.security_groups import PARTS
from swarm_operator.domain.cluster.steps import DeleteOrphan, Step
from swarm_operator.domain.cluster.verdicts import verdict
from swarm_operator.domain.cluster.volumes import in_service
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import FLOATING_IP_PART, keypair_name, machine_of, part_of, part_of_image, slot_of_port

MOST = 100
"""Orphans that status names; further ones come when these are gone."""
_ORDER: tuple[OrphanKind, ...] = ("server", "floating-ip", "trunk", "port", "router", "subnet", "network", "security-group", "volume", "image", "key-pair")
"""Of the deletes: what hangs on another goes first."""


@dataclass(frozen=True)
class Orphans:
    """`found`: for status. `wake_in`: seconds until the next one is due, None where none is."""

    found: tuple[OrphanStatus, ...]
    steps: tuple[Step, ...]
    verdict: Verdict
    wake_in: float | None = None


def find_orphans(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation, now: datetime) -> Orphans:
    """What there is, and deletes of those that are due. Where a listing is missing, what status knows of its kinds stays as it was, and nothing is deleted of them."""
    looked, seen = _present(spec, status, observation)
    known = {(o.kind, o.id): o for o in status.orphans}
    found = [o for o in status.orphans if o.kind not in looked]
    busy, trunks = _busy_routers(observation), _trunks(observation)
    for kind, identity, name in seen:
        found.append(known.get((kind, identity)) or OrphanStatus(kind=kind, id=identity, name=name[:255], first_seen=times.stamp(now)))
    found = sorted(found, key=lambda o: (_ORDER.index(o.kind), o.id))[:MOST]  # so that none is named without what has to go before it
    steps: list[DeleteOrphan] = []
    waits: list[float] = []
    if spec.orphans == "Delete":
        for orphan in found:
            if orphan.id in busy or trunks.get(orphan.id, "") not in ("", *(s.evidence.value for s in steps)):
                continue
            left = spec.orphan_grace_seconds - (times.age(orphan.first_seen, now) or 0.0)
            if left > 0:
                waits.append(left)
            elif (orphan.kind, orphan.id) in known and orphan.kind in looked and observation.project_fresh:
                steps.append(DeleteOrphan(orphan.kind, Known(orphan.id), orphan.name))
    return Orphans(tuple(found), tuple(steps), _verdict(spec, found), min(waits) if waits else None)


def overdue(spec: SwarmClusterSpec, status: SwarmClusterStatus, now: datetime) -> bool:
    """Whether an orphan is to be deleted now, if it is still there: the next look at the cloud must be a fresh one."""
    return spec.orphans == "Delete" and any((times.age(o.first_seen, now) or 0.0) >= spec.orphan_grace_seconds for o in status.orphans)


def _busy_routers(observation: ClusterObservation) -> frozenset[str]:
    """Ids of routers that somebody's subnet hangs on: named, and never deleted."""
    networking = observation.networking
    return frozenset(r.id for r in networking.value.routers if r.subnet_ids) if isinstance(networking, Known) else frozenset()


def _trunks(observation: ClusterObservation) -> dict[str, str]:
    """Trunks by the id of their parent port, which Neutron deletes only after them."""
    networking = observation.networking
    return {p.id: p.trunk_id for p in networking.value.ports if p.trunk_id is not None} if isinstance(networking, Known) else {}


def _whole(spec: SwarmClusterSpec, status: SwarmClusterStatus, uid: str, networking: OwnedNetworking) -> list[tuple[OrphanKind, str, str]]:
    """Of the objects that a cluster has one of: those of another part, and those that the spec takes from elsewhere. What status says is in use never counts."""
    used = status.infrastructure
    adopted, groups = spec.network.existing is not None, spec.security_groups.existing is not None
    in_use = {used.network_id, used.subnet_id, used.router_id, *used.security_group_ids, *used.manager_security_group_ids}
    in_use |= {s.id for s in networking.subnets if s.network_id in in_use and part_of(s.description, uid) == "subnet"}
    in_use |= {r.id for r in networking.routers if set(r.subnet_ids) & in_use}
    parts = {"security-group": tuple(PARTS.values())}
    listings: tuple[tuple[OrphanKind, bool, Sequence[Network | Subnet | Router | SecurityGroup]], ...] = (
        ("network", adopted, networking.networks),
        ("subnet", adopted, networking.subnets),
        ("router", adopted, networking.routers),
        ("security-group", groups, networking.security_groups),
    )
    return [
        (kind, item.id, item.name)
        for kind, elsewhere, items in listings
        for item in items
        if (elsewhere or part_of(item.description, uid) not in parts.get(kind, (kind,))) and item.id not in in_use
    ]


def _present(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> tuple[set[OrphanKind], list[tuple[OrphanKind, str, str]]]:
    """Kinds that were listed, and (kind, id, name) of what of them serves nothing."""
    uid = observation.uid
    looked: set[OrphanKind] = set()
    seen: list[tuple[OrphanKind, str, str]] = []
    if isinstance(observation.servers, Known):
        looked.add("server")
        seen += [
            ("server", s.id, s.name) for s in observation.servers.value if machine_of(s.metadata, uid) is None and s.status not in ("DELETED", "SOFT_DELETED")
        ]
    if isinstance(observation.networking, Known):
        looked |= {"floating-ip", "network", "router", "security-group", "subnet"}
        networking = observation.networking.value
        if isinstance(observation.servers, Known):
            looked |= {"port", "trunk"}
            used = {s.id for s in observation.servers.value}
            for port in networking.ports:
                part = part_of(port.description, uid) or ""
                if slot_of_port(part) is None and port.device_id not in used:
                    seen.append(("port", port.id, part))
                    if port.trunk_id is not None:
                        seen.append(("trunk", port.trunk_id, f"of port {port.id}"))
        for address in networking.floating_ips:
            part = part_of(address.description, uid) or ""
            if not part.startswith(FLOATING_IP_PART):
                seen.append(("floating-ip", address.id, address.address))
        seen += _whole(spec, status, uid, networking)
    if isinstance(observation.volumes, Known):
        looked.add("volume")
        serving = in_service(observation.volumes.value, uid)
        seen += [("volume", v.id, v.name) for v in observation.volumes.value if v.status != "deleting" and v.id not in serving]
    if isinstance(observation.images, Known):
        looked.add("image")
        seen += [("image", i.id, i.name) for i in observation.images.value if serves_nothing(part_of_image(i.properties, uid))]
    if isinstance(observation.keypairs, Known):
        looked.add("key-pair")
        ours = keypair_name(uid) if spec.ssh.key_name is None else spec.ssh.key_name
        seen += [("key-pair", k.name, k.name) for k in observation.keypairs.value if k.name != ours]
    return looked, seen


def _verdict(spec: SwarmClusterSpec, found: list[OrphanStatus]) -> Verdict:
    kind = ConditionType.ORPHANS_FOUND
    if not found:
        return verdict(kind, "False", Reason.AS_EXPECTED, "nothing that carries the cluster's UID is without use")
    names = ", ".join(f"{o.kind} {o.id}" for o in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    fate = f"deleted {spec.orphan_grace_seconds} s after they were first seen" if spec.orphans == "Delete" else "left alone (spec.orphans is Report)"
    return verdict(kind, "True", Reason.ORPHANS_FOUND, f"{names}: {fate}")
