"""How an OpenStack or swarm object says whose it is. Ownership is by UID, written in the same POST that creates the object; names never count.

Nova: server metadata (keys may hold only `[a-zA-Z0-9-_:. ]`, Nova API reference). Neutron: the `description` field, the one free text that every resource takes at
creation. Key pairs have neither: their name holds the cluster UID. Swarm nodes: an engine label set in daemon.json before the node joins. Services: service labels.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

CLUSTER_UID: Final = "swarmops-cluster-uid"
CLUSTER_NAME: Final = "swarmops-cluster"
MACHINE_UID: Final = "swarmops-machine-uid"
ROLE: Final = "swarmops-role"
POOL: Final = "swarmops-pool"
SLOT: Final = "swarmops-slot"
INCARNATION: Final = "swarmops-incarnation"

PROMOTED: Final = "swarmops-promoted"
"""On a worker's server that has become a manager: `<slot>/<incarnation>` among the managers. Role, pool and slot stay those that it was made for, and so does its UID, which
its engine carries as a label."""
SWARM_STARTED: Final = "swarmops-swarm"
"""On a manager's server from just before `swarm init`: from then on its disk holds the swarm, so the server is never replaced without care, even when status is lost."""
JOIN_MANAGER: Final = "swarm_manager"
"""Server metadata key that the guest's join script reads (join=Metadata): manager addresses, host:port, comma separated."""
JOIN_TOKEN: Final = "swarm_token"  # noqa: S105 - a key, not a token
"""Likewise: the worker join token."""
JOIN_ADVERTISE: Final = "swarm_advertise"
"""Likewise: the address that the node makes itself known by; only where the machine has several."""

IMAGE_PART: Final = "swarmops-image"
"""Image property: which part of the cluster the image is (`snapshot/<name>`, `url/<checksum>`)."""
IMAGE_SOURCE: Final = "swarmops-image-source"
"""Image property: id of the server that it was taken of, or FROM_URL. Servers hand the properties of their image down to every snapshot of theirs (Nova,
`non_inheritable_image_properties`), so one that somebody takes by hand carries our UID as well; Nova's own `instance_uuid` tells it apart."""
FROM_URL: Final = "url"
IMAGE_VERIFIED: Final = "swarmops-verified"
"""Image property: the checksum that the content was found to have."""
IMAGE_IMPORT: Final = "swarmops-import"
"""Image property: the way of import that Glance was asked for once."""
IMAGE_BACKUP: Final = "swarmops-backup"
"""Image property: what a backup of the raft state holds, as JSON. Written before its content is complete, so an active image without it is none."""
IMAGE_RETAIN: Final = "swarmops-retain"
"""Image property: `true` where the image outlives the cluster."""

ENGINE_LABEL_MACHINE: Final = "io.swarmops.machine-uid"
ENGINE_LABEL_CLUSTER: Final = "io.swarmops.cluster-uid"
NODE_LABEL_APPLIED: Final = "io.swarmops.applied"
"""Node label with the comma separated label keys that we set: labels of others survive, and ours are found again when status is lost."""
NODE_LABEL_DRAINED: Final = "io.swarmops.drained-at"
"""Node label with the RFC 3339 time since when *we* drain the node; a drain without it is somebody else's and is left alone."""
NODE_LABEL_LEAVING: Final = "io.swarmops.leaving"
"""Node label of a manager that *we* demoted, written by the same update: its machine goes. One that a person demoted has none, and is promoted again."""
NODE_LABEL_ENGINE: Final = "io.swarmops.engine-change"
"""Node label, beside NODE_LABEL_DRAINED, of a node that we drain because its engine is to be restarted with other settings: the availability that it gets back."""
NODE_LABEL_PREEMPTIBLE: Final = "io.swarmops.preemptible"
"""Node label `true` on nodes of preemptible pools, for placement constraints."""
NODE_LABEL_PRELOADED: Final = "io.swarmops.preloaded"
"""Node label with a digest of the Docker images that the node was given before it took tasks."""
SERVICE_LABEL_UID: Final = "io.swarmops.service-uid"
SERVICE_LABEL_OWNER: Final = "io.swarmops.service"
SERVICE_LABEL_RESTARTED: Final = "io.swarmops.restarted-at"
SERVICE_LABEL_RUN: Final = "io.swarmops.job-run"
SERVICE_LABEL_SCHEDULED: Final = "io.swarmops.scheduled-at"
"""Service label with the value of the restart annotation that was carried out: written by the very update that restarts, so that it is done once."""
SERVICE_LABEL_REBALANCED: Final = "io.swarmops.rebalanced"
"""Service label with the hash of the nodes for which tasks were last spread anew and the time since when it was these, written by the very update that does so."""
NETWORK_LABEL_CLUSTER: Final = "io.swarmops.cluster-uid"
"""Label with the cluster's UID on overlay networks that we made."""
NETWORK_LABEL_STACK: Final = "io.swarmops.stack-uid"
"""Label with the SwarmStack's UID on overlay networks that we made for it."""
MATERIAL_LABEL_SOURCE: Final = "io.swarmops.source"
"""On a config or secret that we made, beside the service's labels: kind, name and key of where its content is from."""

_NAMESPACE: Final = uuid.UUID("6f1c7c86-2f0e-5a55-9d3a-6f9ad0a54f10")

Role = Literal["Manager", "Worker"]


@dataclass(frozen=True, order=True)
class MachineId:
    """Which machine of a cluster: its role, pool ("" for managers), slot, and the how-manieth holder of that slot it is (from 1). `origin`: pool, slot and incarnation that
    a promoted manager had as a worker; () for all others. UID and name stay those of the worker."""

    role: Role
    pool: str
    slot: int
    incarnation: int
    origin: tuple[str, int, int] | tuple[()] = ()

    @property
    def made_as(self) -> MachineId:
        """What it was made as: itself, but for a promoted manager."""
        return MachineId("Worker", *self.origin) if self.origin else self

    def uid(self, cluster_uid: str) -> str:
        """The machine UID: deterministic, so that a create repeated after a crash carries the same one and is recognised."""
        made = self.made_as
        return _uid(f"{cluster_uid}/{made.role}/{made.pool}/{made.slot}/{made.incarnation}")

    def slot_uid(self, cluster_uid: str) -> str:
        """The UID of the slot, whoever holds it: what is kept when a machine is replaced (port, floating IP) carries this one."""
        return _uid(f"{cluster_uid}/{self.role}/{self.pool}/{self.slot}")

    def server_name(self, cluster_name: str) -> str:
        """Name of the server and host name of the guest (RFC 1123 label, at most 63 characters): `<cluster>-<pool|manager>-<slot>[-<incarnation>]`."""
        made = self.made_as
        tail = f"-{made.pool or 'manager'}-{made.slot}" + (f"-{made.incarnation}" if made.incarnation > 1 else "")
        head = re.sub(r"[^a-z0-9-]", "-", cluster_name)[: 63 - len(tail)].strip("-")
        return head + tail


def server_metadata(cluster_uid: str, cluster_name: str, machine: MachineId) -> dict[str, str]:
    """Ownership metadata of a server."""
    return {
        CLUSTER_UID: cluster_uid,
        CLUSTER_NAME: cluster_name,
        MACHINE_UID: machine.uid(cluster_uid),
        ROLE: machine.role,
        POOL: machine.pool,
        SLOT: str(machine.slot),
        INCARNATION: str(machine.incarnation),
    }


def machine_of(metadata: Mapping[str, str], cluster_uid: str) -> MachineId | None:
    """The machine that a server's metadata names, or None where it is not one of this cluster's or was tampered with (the UID must agree)."""
    if metadata.get(CLUSTER_UID) != cluster_uid:
        return None
    role = metadata.get(ROLE)
    slot, incarnation = metadata.get(SLOT, ""), metadata.get(INCARNATION, "")
    if role not in ("Manager", "Worker") or not slot.isdigit() or not incarnation.isdigit():
        return None
    machine = MachineId("Manager" if role == "Manager" else "Worker", metadata.get(POOL, ""), int(slot), int(incarnation))
    if metadata.get(MACHINE_UID) != machine.uid(cluster_uid):
        return None
    now = re.fullmatch(r"(\d{1,2})/(\d{1,9})", metadata.get(PROMOTED, ""))
    return machine if now is None or machine.role == "Manager" else promoted(machine, int(now[1]), int(now[2]))


def promoted(worker: MachineId, slot: int, incarnation: int) -> MachineId:
    """A worker as the manager that it becomes."""
    return MachineId("Manager", "", slot, incarnation, (worker.pool, worker.slot, worker.incarnation))


@lru_cache(maxsize=16384)
def _uid(text: str) -> str:
    """A UUID of version 5 (RFC 9562). Remembered: each reconcile asks for those of all machines many times, which was an eighth of its time."""
    return str(uuid.uuid5(_NAMESPACE, text))


def description(cluster_uid: str, cluster_name: str, part: str) -> str:
    """Neutron description of an object: who owns it and which part it is (`network`, `router`, `fip/<slot uid>`, ...). At most 255 characters."""
    return f"swarmops cluster={cluster_uid} part={part} name={cluster_name}"[:255]


def part_of(text: str | None, cluster_uid: str) -> str | None:
    """The part that a Neutron description names, or None where the object is not this cluster's."""
    match = re.match(r"^swarmops cluster=(\S+) part=(\S+) name=", text or "")
    return match.group(2) if match is not None and match.group(1) == cluster_uid else None


def cluster_of(text: str | None) -> str | None:
    """UID of the cluster that a Neutron description names, whichever it is."""
    match = re.match(r"^swarmops cluster=(\S+) part=", text or "")
    return match.group(1) if match is not None else None


PORT_PART: Final = "port/"
FLOATING_IP_PART: Final = "fip/"


NIC_PART: Final = "nic/"


def port_part(slot_uid: str, options: str = "") -> str:
    """The part of the swarm's port, which the machines of a slot boot on, one after the other. `options`: a digest of how it was asked for; "" for the default."""
    return f"{PORT_PART}{slot_uid}" + (f"/{options}" if options else "")


def nic_part(slot_uid: str, name: str, options: str) -> str:
    """The part of a further port of a slot."""
    return f"{NIC_PART}{slot_uid}/{name}" + (f"/{options}" if options else "")


def slot_of_port(part: str | None) -> str | None:
    """The slot's UID in the part of a port; None where it is no such part."""
    head, _, rest = (part or "").partition("/")
    return rest.partition("/")[0] or None if f"{head}/" in (PORT_PART, NIC_PART) else None


TRUNK_PART: Final = "trunk"
"""The part of a trunk: whose it is says its parent port."""


def floating_ip_part(slot_uid: str) -> str:
    """The part of a slot's floating IP."""
    return FLOATING_IP_PART + slot_uid


def snapshot_part(name: str) -> str:
    """The part of the image of a snapshot."""
    return f"snapshot/{name}"


def url_part(checksum: str) -> str:
    """The part of an image from the web."""
    return f"url/{checksum}"


BACKUP_PART: Final = "backup/"


def backup_part(name: str) -> str:
    """The part of the image that a backup of the raft state is."""
    return BACKUP_PART + name


def image_properties(cluster_uid: str, cluster_name: str, part: str, source: str, *, retain: bool = False) -> dict[str, str]:
    """Ownership properties of an image."""
    return {CLUSTER_UID: cluster_uid, CLUSTER_NAME: cluster_name, IMAGE_PART: part, IMAGE_SOURCE: source, IMAGE_RETAIN: "true" if retain else "false"}


def part_of_image(properties: Mapping[str, str], cluster_uid: str) -> str | None:
    """The part that an image is, or None where it is not this cluster's: another's, or one that only inherited the properties."""
    if properties.get(CLUSTER_UID) != cluster_uid or properties.get(IMAGE_SOURCE) != properties.get("instance_uuid", FROM_URL):
        return None
    return properties.get(IMAGE_PART, "")


def keypair_name(cluster_uid: str) -> str:
    """Name of the managed Nova key pair (Nova allows letters, digits, space, dash, underscore)."""
    return f"swarmops-{cluster_uid}"


def is_own_keypair(name: str, cluster_uid: str) -> bool:
    """Whether a Nova key pair's name says that it is the cluster's: the managed one, or one with a suffix to that name."""
    return name == keypair_name(cluster_uid) or name.startswith(keypair_name(cluster_uid) + "-")


def server_group_prefix(cluster_uid: str) -> str:
    """How the names of a cluster's server groups begin: Nova gives them no metadata and no description, so ownership is in the name, as with key pairs."""
    return f"swarmops-{cluster_uid}-"


def server_group_name(cluster_uid: str, pool: str, policy: str) -> str:
    """Name of the managed server group of a pool ("" for managers). A group can't change its policy: another one is another group."""
    return f"{server_group_prefix(cluster_uid)}{pool or 'manager'}-{policy}"


def object_name(cluster_name: str, cluster_uid: str) -> str:
    """Display name of networks, groups and routers: readable, and distinct among clusters of equal name."""
    return f"swarm-{cluster_name}-{cluster_uid[:8]}"[:255]
