"""What a deletion still has to remove, or leaves behind: by kind and id, from what was seen last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from swarm_operator.api.base import ABANDON
from swarm_operator.api.cluster_status import DeletionStage, DeletionStatus, RemainingObject, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import GONE_STATUSES
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import IMAGE_RETAIN, part_of_image

_MOST: Final = 200
_CLOUD_LOST: Final = frozenset(
    {Reason.SECRET_NOT_FOUND, Reason.CLOUD_NOT_FOUND, Reason.CREDENTIALS_MALFORMED, Reason.AUTHENTICATION_FAILED, Reason.FORBIDDEN, Reason.DELETION_BLOCKED}
)


def remaining(status: SwarmClusterStatus, observation: ClusterObservation, kept: frozenset[str] = frozenset()) -> tuple[RemainingObject, ...]:
    """Everything that is there as far as it could be seen; what could not be looked at is as it was: as the last look left it, or as status knows it from before. `kept`: ids of what stays on purpose."""
    before = status.deletion.remaining if status.deletion is not None else _recorded(status, kept)
    found: list[RemainingObject] = []
    if isinstance(observation.servers, Known):
        found += [_one("server", s.id, s.name) for s in observation.servers.value if s.status not in GONE_STATUSES]
    else:
        found += [r for r in before if r.kind == "server"]
    if isinstance(observation.networking, Known):
        networking = observation.networking.value
        found += [_one("floating-ip", f.id, f.address) for f in networking.floating_ips]
        found += [_one("port", p.id, "") for p in networking.ports]
        found += [_one("router", r.id, r.name) for r in networking.routers]
        found += [_one("subnet", s.id, s.name) for s in networking.subnets]
        found += [_one("network", n.id, n.name) for n in networking.networks]
        found += [_one("security-group", g.id, g.name) for g in networking.security_groups]
    else:
        found += [r for r in before if r.kind in ("floating-ip", "port", "router", "subnet", "network", "security-group")]
    if isinstance(observation.volumes, Known):
        found += [_one("volume", v.id, v.name) for v in observation.volumes.value if v.id not in kept]
    else:
        found += [r for r in before if r.kind == "volume"]
    if isinstance(observation.images, Known):
        gone = ("deleted", "pending_delete")
        ours = [i for i in observation.images.value if part_of_image(i.properties, observation.uid) is not None and i.status not in gone]
        found += [_one("image", i.id, i.name) for i in ours if i.properties.get(IMAGE_RETAIN) != "true"]
    else:
        found += [r for r in before if r.kind == "image"]
    if isinstance(observation.server_groups, Known):
        found += [_one("server-group", g.id, g.name) for g in observation.server_groups.value]
    else:
        found += [r for r in before if r.kind == "server-group"]
    if isinstance(observation.keypair, Known):
        found += [_one("key-pair", observation.keypair.value.name, "")] if observation.keypair.value is not None else []
    else:
        found += [r for r in before if r.kind == "key-pair"]
    return tuple(found)


def _recorded(status: SwarmClusterStatus, kept: frozenset[str]) -> list[RemainingObject]:
    """What status knows when nothing was ever looked at during the deletion."""
    facts = status.infrastructure
    images = [_one("image", s.image_id, s.name) for s in status.snapshots if s.image_id is not None]
    found = [_one("server", n.server_id, n.name) for n in status.nodes if n.server_id is not None]
    found += [_one("floating-ip", n.floating_ip, n.name) for n in status.nodes if n.floating_ip is not None]
    if facts.router_id is not None:  # the network was made for the cluster
        found += [_one("router", facts.router_id, "")] if facts.router_id not in kept else []
        found += [_one(kind, made, "") for kind, made in (("subnet", facts.subnet_id), ("network", facts.network_id)) if made is not None]
    found += [_one("server-group", made, pool) for pool, made in facts.server_group_ids.items()]
    if facts.key_name is not None and facts.key_name.startswith("swarmops-"):
        found.append(_one("key-pair", facts.key_name, ""))
    return [*found, *images]


def _one(kind: str, identity: str, name: str) -> RemainingObject:
    return RemainingObject(kind=kind, id=identity[:255], name=name[:255])


def progress(status: SwarmClusterStatus, stage: DeletionStage, left: Sequence[RemainingObject], now: datetime) -> SwarmClusterStatus:
    """`status` with the stage, and what is left."""
    old = status.deletion
    since = old.since if old is not None and old.stage == stage else times.stamp(now)
    return status.model_copy(update={"deletion": DeletionStatus(stage=stage, since=since, count=len(left), remaining=list(left[:_MOST]))})


def is_done(status: SwarmClusterStatus) -> bool:
    """Whether an earlier reconcile saw that nothing is left to remove: nothing is made after that."""
    return status.deletion is not None and status.deletion.stage == "Done"


def lines(left: Sequence[RemainingObject]) -> tuple[str, ...]:
    """One for each object: kind, id, name."""
    return tuple(f"{r.kind} {r.id} {r.name}".rstrip() for r in left)


def way_out(reason: Reason) -> str:
    """What a person can do where only a person can help; part of a condition's message."""
    if reason not in _CLOUD_LOST:
        return ""
    return f"; mend it, or annotate the SwarmCluster with {ABANDON}=true to let it go and leave in the cloud what status.deletion.remaining names"
