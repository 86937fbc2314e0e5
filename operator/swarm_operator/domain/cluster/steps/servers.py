"""Steps for one server: made, reached, repaired, deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.cluster_status import Rung
from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import Port, Server
from swarm_operator.domain.cluster.observation import PortReferences
from swarm_operator.domain.cluster.steps.base import Step
from swarm_operator.domain.cluster.steps.guests import JoinNode
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import MachineId


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
    """A port of a slot that its servers are made with: the first one, or that with `index` in `machine.ports`, whose `references` are ids (`observation.PortReferences`). The server
    follows in the next reconcile, once the ports are listed. `missing`: so many ports does the machine still need, with this one."""

    requires: ClassVar[tuple[str, ...]] = ("infrastructure",)
    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    needs_fresh_servers: ClassVar[bool] = True
    machine: MachineId
    index: int = 0
    references: PortReferences | None = None
    missing: int = 1

    @property
    def lane(self) -> str:
        return "servers"


@dataclass(frozen=True)
class CreateTrunk(Step):
    """Make a port of ours the parent of a trunk."""

    requires: ClassVar[tuple[str, ...]] = ("infrastructure",)
    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    port_id: str

    @property
    def lane(self) -> str:
        return "servers"


@dataclass(frozen=True)
class CreateServer(Step):
    """`join_addresses` (host:port of the managers) are set for join=Metadata: then the worker token is put into the metadata. `root_volume_id`: one made before.
    `declared_flavor_id`: that of the spec, by which the server is judged later, whichever it gets."""

    requires: ClassVar[tuple[str, ...]] = ("infrastructure",)
    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    needs_fresh_servers: ClassVar[bool] = True
    machine: MachineId
    flavor_id: str
    image_id: str
    join_addresses: tuple[str, ...] = ()
    port_id: str | None = None
    root_volume_id: str | None = None
    server_group_id: str | None = None
    availability_zone: str | None = None
    zones_tried: tuple[str, ...] = ()
    declared_flavor_id: str | None = None
    flavors_tried: tuple[str, ...] = ()
    further_port_ids: tuple[str, ...] = ()
    advertise: str | None = None
    """The swarm's address, where the machine has several ports."""

    @property
    def fallback_flavor_id(self) -> str | None:
        """The flavor, where it is not that of the spec."""
        return self.flavor_id if self.declared_flavor_id not in (None, self.flavor_id) else None

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
class PreserveServer(Step):
    """Tell that a failed machine's server is kept."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    touches_cloud: ClassVar[bool] = False
    evidence: Known[Server]
    machine_uid: str
    because: str

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class EnsureFloatingIP(Step):
    """The floating IP of a machine's slot on its server's port; `floating_ip_id` is the one that exists already. `network_id`: where a new one is from, if not from
    status.infrastructure. `field`: that of the spec which names the address; such a one is looked at again before it is moved."""

    requires: ClassVar[tuple[str, ...]] = ("infrastructure",)
    machine: MachineId
    machine_uid: str
    server_id: str
    floating_ip_id: str | None
    network_id: str | None = None
    field: str | None = None

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class PromoteWorker(Step):
    """From this write on the worker is the manager `machine`; see `domain.cluster.promotion`."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    needs_fresh_servers: ClassVar[bool] = True
    evidence: Known[Server]
    machine_uid: str
    machine: MachineId

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


@dataclass(frozen=True)
class AdoptPort(Step):
    """The port of a promoted manager: from its worker's slot to its own, and into the managers' security groups; one write."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE
    machine: MachineId
    machine_uid: str
    evidence: Known[Port]

    @property
    def lane(self) -> str:
        return f"machine:{self.machine_uid}"


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
