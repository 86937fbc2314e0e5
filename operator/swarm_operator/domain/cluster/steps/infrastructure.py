"""Steps for things of the whole cluster: Secrets, network, security group, key pair, and the removal of what is ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from swarm_operator.api.cluster_status import OrphanKind
from swarm_operator.api.conditions import ConditionType
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import FloatingIP, Port, SecurityRule
from swarm_operator.domain.cluster.steps.base import Step
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import Role

GroupRole = Literal["members", "managers"]
"""The two managed security groups: that of all machines, and that which managers have besides."""
InfrastructureKind = Literal["floating-ip", "router", "port", "subnet", "network", "security-group", "volume", "image", "server-group"]


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

    group: GroupRole = "members"


@dataclass(frozen=True)
class AddRule(Step):
    """To one of the cluster's groups. A `remote_group_id` is the role of the other group, which may have no id yet."""

    rule: SecurityRule
    group: GroupRole = "members"


@dataclass(frozen=True)
class RemoveRule(Step):
    evidence: Known[tuple[str, SecurityRule]]


@dataclass(frozen=True)
class JoinGroups(Step):
    """The groups of status.infrastructure for a role, on a port that lacks one of them; further groups on it stay."""

    evidence: Known[Port]
    role: Role


@dataclass(frozen=True)
class CreateServerGroup(Step):
    """The group of a pool ("" for managers); `policy` is Nova's word."""

    pool: str
    name: str
    policy: str

    @property
    def lane(self) -> str:
        return f"server-group:{self.pool}"


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
class ReleaseFloatingIP(Step):
    """Take our mark off a floating IP that stays in the project, and it off its port unless `keep_port`."""

    evidence: Known[FloatingIP]
    because: str
    keep_port: bool = False


@dataclass(frozen=True)
class DetachFloatingIP(Step):
    """Take a floating IP that is the user's off a port of ours, if it is still there."""

    evidence: Known[FloatingIP]
    because: str


@dataclass(frozen=True)
class TagPort(Step):
    """Replace the tags of a port of ours; `tags` hold those that are on it."""

    evidence: Known[Port]
    tags: tuple[str, ...]

    @property
    def lane(self) -> str:
        return "tags"


@dataclass(frozen=True)
class DeleteTrunk(Step):
    """The trunk of a port of ours whose machine is certainly no more, if it is ours as well; its subports are let go."""

    needs_fresh_servers: ClassVar[bool] = True
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
class AdoptSecrets(Step):
    """The cluster's own Secrets that the former object left become this one's."""

    touches_cloud: ClassVar[bool] = False
    former_uid: str


@dataclass(frozen=True)
class OrphanSecrets(Step):
    """The cluster's own Secrets outlive the object: with what is left in the cloud they are of use."""

    touches_cloud: ClassVar[bool] = False


@dataclass(frozen=True)
class HoldCredentials(Step):
    """Our finalizer onto the Secret of `identityRef`. Nothing is made before."""

    condition: ClassVar[ConditionType] = ConditionType.CREDENTIALS_VALID
    touches_cloud: ClassVar[bool] = False
    secret_name: str


@dataclass(frozen=True)
class ReleaseCredentials(Step):
    """Our finalizer off a Secret, unless another SwarmCluster of the namespace needs it."""

    condition: ClassVar[ConditionType] = ConditionType.CREDENTIALS_VALID
    touches_cloud: ClassVar[bool] = False
    secret_name: str

    @property
    def lane(self) -> str:
        return "credentials"


@dataclass(frozen=True)
class LetGo(Step):
    """Tell what is left in the cloud on purpose. `left` are lines of kind, id and name; `reason` is Abandoned or Retained."""

    touches_cloud: ClassVar[bool] = False
    reason: Reason
    left: tuple[str, ...]


@dataclass(frozen=True)
class RemoveFinalizer(Step):
    """The last step of a deletion: nothing of ours is left, or it is retained."""

    touches_cloud: ClassVar[bool] = False
    because: str
