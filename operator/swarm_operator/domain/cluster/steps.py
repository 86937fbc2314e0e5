"""The steps that a plan is made of. A step says what is to be done, holds no secret, and is idempotent or makes exactly one object with one POST.

A destructive step holds the `Known` fact that justifies it: it can't be built from an `Unknown`.
Lanes: when a step fails, the later steps of its lane are not tried in this reconcile; steps of other lanes are, unless `requires` names the lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from swarm_operator.api.cluster import OrphanKind, OverlayNetwork, Rung
from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import SecurityRule, Server
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.swarm import Node, SwarmSettings

InfrastructureKind = Literal["floating-ip", "router", "port", "subnet", "network", "security-group", "volume"]


@dataclass(frozen=True)
class Step:
    """Base of all steps. `condition` is the condition that reports the step's failure; `needs_fresh_servers`: never planned on a cached server list;
    `touches_cloud`: after it, remembered facts of the cloud are read anew."""

    condition: ClassVar[ConditionType] = ConditionType.INFRASTRUCTURE_READY
    requires: ClassVar[tuple[str, ...]] = ()
    needs_fresh_servers: ClassVar[bool] = False
    touches_cloud: ClassVar[bool] = True

    @property
    def lane(self) -> str:
        """Which steps fail together."""
        return "infrastructure"


# --- things of the whole cluster


@dataclass(frozen=True)
class EnsureSecrets(Step):
    """Make the Secrets `<cluster>-ssh` and `<cluster>-docker-tls` where they are missing; reissue the client certificate when it expires."""

    ssh: bool
    tls: bool
    renew_client: bool = False


@dataclass(frozen=True)
class CreateNetwork(Step):
    mtu: int | None


@dataclass(frozen=True)
class CreateSubnet(Step):
    """On the network of status.infrastructure."""

    cidr: str
    dns: tuple[str, ...]


@dataclass(frozen=True)
class CreateRouter(Step):
    external_network_id: str


@dataclass(frozen=True)
class AddRouterInterface(Step):
    """The subnet of status.infrastructure to its router."""


@dataclass(frozen=True)
class CreateSecurityGroup(Step):
    """An empty group; its rules follow as steps of their own."""


@dataclass(frozen=True)
class AddRule(Step):
    rule: SecurityRule


@dataclass(frozen=True)
class RemoveRule(Step):
    evidence: Known[tuple[str, SecurityRule]]


@dataclass(frozen=True)
class EnsureKeyPair(Step):
    """Import the public half of the cluster's ssh key; `replace` first deletes the one of that name (it holds our UID) that has another key."""

    replace: bool = False


@dataclass(frozen=True)
class DeleteInfrastructure(Step):
    """One Neutron object of ours. `because` is for the log and the Event."""

    kind: InfrastructureKind
    evidence: Known[str]
    because: str


@dataclass(frozen=True)
class DeletePort(DeleteInfrastructure):
    """A port whose machine is certainly no more: judged on a fresh server list only, for Neutron deletes ports in use as well."""

    needs_fresh_servers: ClassVar[bool] = True


@dataclass(frozen=True)
class DeleteOrphan(Step):
    """An object of our UID that serves nothing, seen twice."""

    condition: ClassVar[ConditionType] = ConditionType.ORPHANS_FOUND
    needs_fresh_servers: ClassVar[bool] = True
    kind: OrphanKind
    evidence: Known[str]
    name: str

    @property
    def lane(self) -> str:
        return f"orphan:{self.evidence.value}"


@dataclass(frozen=True)
class RemoveRouterInterface(Step):
    router_id: str
    evidence: Known[str]
    """The subnet's id."""


@dataclass(frozen=True)
class DeleteKeyPair(Step):
    evidence: Known[str]


@dataclass(frozen=True)
class RemoveFinalizer(Step):
    """The last step of a deletion: nothing of ours is left, or it is retained."""

    touches_cloud: ClassVar[bool] = False
    because: str


# --- servers


@dataclass(frozen=True)
class ExposeJoinToken(Step):
    """Write status.join.tokenExposed before a token goes out."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    touches_cloud: ClassVar[bool] = False

    @property
    def lane(self) -> str:
        return "servers"


@dataclass(frozen=True)
class CreatePort(Step):
    """The port that a server is to be made with, on the subnet of status.infrastructure. The server follows in the next reconcile, once the port is listed."""

    requires: ClassVar[tuple[str, ...]] = ("infrastructure",)
    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    needs_fresh_servers: ClassVar[bool] = True
    machine: MachineId

    @property
    def lane(self) -> str:
        return "servers"


@dataclass(frozen=True)
class CreateServer(Step):
    """`join_addresses` (host:port of the managers) are set for join=Metadata: then the worker token is put into the metadata."""

    requires: ClassVar[tuple[str, ...]] = ("infrastructure",)
    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    needs_fresh_servers: ClassVar[bool] = True
    machine: MachineId
    flavor_id: str
    image_id: str
    join_addresses: tuple[str, ...] = ()
    port_id: str | None = None

    @property
    def lane(self) -> str:
        return "servers"


@dataclass(frozen=True)
class DeleteServer(Step):
    """`evidence`: the server as a complete fresh list shows it."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Server]
    machine_uid: str
    reason: Reason
    because: str

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class EnsureFloatingIP(Step):
    """A floating IP on the server's port; `floating_ip_id` is the one that exists already."""

    requires: ClassVar[tuple[str, ...]] = ("infrastructure",)
    machine_uid: str
    server_id: str
    floating_ip_id: str | None

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


# --- guests


@dataclass(frozen=True)
class GuestStep(Step):
    """Base of steps over ssh."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    touches_cloud: ClassVar[bool] = False
    machine: MachineId
    machine_uid: str

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class PinHostKeys(GuestStep):
    """Remember the verified public host keys in status."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class ConfigureEngine(GuestStep):
    """Give a manager's engine its server certificate for `addresses` and restart it."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class InitSwarm(GuestStep):
    """`server_id` gets the mark ownership.SWARM_STARTED first."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    server_id: str
    advertise: str


@dataclass(frozen=True)
class JoinNode(GuestStep):
    """Join as worker, through one of `managers` (host:port). `leave_first`: the engine is in another or an old swarm, or was removed from ours."""

    advertise: str
    managers: tuple[str, ...]
    leave_first: bool = False


@dataclass(frozen=True)
class JoinManager(JoinNode):
    """Join as manager: changes raft, so there is never more than one in a plan. `server_id` gets the mark ownership.SWARM_STARTED first."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    server_id: str = ""


@dataclass(frozen=True)
class Repair(Step):
    """One rung of the ladder, written into status before it is tried. `join` is what Rejoin does."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Server]
    machine_uid: str
    rung: Rung
    attempts: int
    because: str
    join: JoinNode | None = None

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


# --- the swarm


@dataclass(frozen=True)
class SwarmStep(Step):
    """Base of steps through the Docker API of the managers."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    touches_cloud: ClassVar[bool] = False


@dataclass(frozen=True)
class SetNode(SwarmStep):
    evidence: Known[Node]
    role: str
    availability: str
    labels: dict[str, str] = field(hash=False)

    @property
    def lane(self) -> str:
        return f"node:{self.evidence.value.id}"


@dataclass(frozen=True)
class DrainNode(SwarmStep):
    """Availability drain, marked with the time `at`."""

    evidence: Known[Node]
    at: str
    because: str

    @property
    def lane(self) -> str:
        return f"node:{self.evidence.value.id}"


@dataclass(frozen=True)
class DemoteManager(SwarmStep):
    """Make a manager a worker: raft loses a member. Only where `domain.quorum.may_leave` holds, and never more than one in a plan."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Node]
    because: str

    @property
    def lane(self) -> str:
        return f"node:{self.evidence.value.id}"


@dataclass(frozen=True)
class RemoveNode(SwarmStep):
    """`docker node rm --force` of a node that is drained or whose machine is gone. In the machine's lane: its server is not deleted when this fails."""

    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Node]
    machine_uid: str
    because: str

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class CreateOverlay(SwarmStep):
    network: OverlayNetwork

    @property
    def lane(self) -> str:
        return f"overlay:{self.network.name}"


@dataclass(frozen=True)
class RemoveOverlay(SwarmStep):
    """Remove a network that no service uses; `evidence` are the ids of those that are used. The engine refuses where something has been attached meanwhile."""

    evidence: Known[frozenset[str]]
    network_id: str
    name: str

    @property
    def lane(self) -> str:
        return f"overlay:{self.name}"


@dataclass(frozen=True)
class UpdateSwarm(SwarmStep):
    """Settings of the whole swarm."""

    settings: SwarmSettings

    @property
    def lane(self) -> str:
        return "swarm"


@dataclass(frozen=True)
class RotateToken(SwarmStep):
    """Make the join token of a role worthless."""

    role: str = "worker"

    @property
    def lane(self) -> str:
        return "token"


@dataclass(frozen=True)
class ClearJoinMetadata(SwarmStep):
    """Take the (now worthless) token out of the servers' metadata."""

    touches_cloud: ClassVar[bool] = True
    server_ids: tuple[str, ...]

    @property
    def lane(self) -> str:
        return "token"


@dataclass(frozen=True)
class TokenRotated(SwarmStep):
    """Note in status that no token is out any more, and for which spec.swarm.rotateJoinTokens they were made."""

    nonce: str | None = None

    @property
    def lane(self) -> str:
        return "token"
