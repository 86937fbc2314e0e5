"""The steps that a plan is made of. A step says what is to be done, holds no secret, and is idempotent or makes exactly one object with one POST.

A destructive step holds the `Known` fact that justifies it: it can't be built from an `Unknown`.
Lanes: when a step fails, the later steps of its lane are not tried in this reconcile; steps of other lanes are, unless `requires` names the lane.
"""

from __future__ import annotations

from swarm_operator.domain.cluster.steps.base import GuestStep, Step, SwarmStep
from swarm_operator.domain.cluster.steps.guests import ConfigureEngine, InitSwarm, JoinManager, JoinNode, PinHostKeys
from swarm_operator.domain.cluster.steps.infrastructure import (
    AddRouterInterface,
    AddRule,
    CreateNetwork,
    CreateRouter,
    CreateSecurityGroup,
    CreateSubnet,
    DeleteInfrastructure,
    DeleteKeyPair,
    DeleteOrphan,
    DeletePort,
    EnsureKeyPair,
    EnsureSecrets,
    HoldCredentials,
    InfrastructureKind,
    LetGo,
    ReleaseCredentials,
    RemoveFinalizer,
    RemoveRouterInterface,
    RemoveRule,
)
from swarm_operator.domain.cluster.steps.servers import CreatePort, CreateServer, DeleteServer, EnsureFloatingIP, ExposeJoinToken, Repair
from swarm_operator.domain.cluster.steps.swarm import (
    ClearJoinMetadata,
    CreateOverlay,
    DemoteManager,
    DrainNode,
    RemoveNode,
    RemoveOverlay,
    RotateToken,
    SetNode,
    TokenRotated,
    UpdateSwarm,
)

__all__ = [
    "AddRouterInterface",
    "AddRule",
    "ClearJoinMetadata",
    "ConfigureEngine",
    "CreateNetwork",
    "CreateOverlay",
    "CreatePort",
    "CreateRouter",
    "CreateSecurityGroup",
    "CreateServer",
    "CreateSubnet",
    "DeleteInfrastructure",
    "DeleteKeyPair",
    "DeleteOrphan",
    "DeletePort",
    "DeleteServer",
    "DemoteManager",
    "DrainNode",
    "EnsureFloatingIP",
    "EnsureKeyPair",
    "EnsureSecrets",
    "ExposeJoinToken",
    "GuestStep",
    "HoldCredentials",
    "InfrastructureKind",
    "InitSwarm",
    "JoinManager",
    "JoinNode",
    "LetGo",
    "PinHostKeys",
    "ReleaseCredentials",
    "RemoveFinalizer",
    "RemoveNode",
    "RemoveOverlay",
    "RemoveRouterInterface",
    "RemoveRule",
    "Repair",
    "RotateToken",
    "SetNode",
    "Step",
    "SwarmStep",
    "TokenRotated",
    "UpdateSwarm",
]
