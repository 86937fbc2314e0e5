"""Steps of changing the settings of an engine that lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.steps.base import GuestStep
from swarm_operator.domain.facts import Known
from swarm_operator.domain.swarm import Node


@dataclass(frozen=True)
class EngineStep(GuestStep):
    """Base of the others. `spec_hash`: what a halt of the rollout is about, where the engine refuses the settings."""

    condition: ClassVar[ConditionType] = ConditionType.MEMBERS_UP_TO_DATE
    needs_fresh_servers: ClassVar[bool] = True
    """A mark that is out of date would have the engine restarted twice."""
    touches_cloud: ClassVar[bool] = True
    evidence: Known[Server]
    mark: str
    """Of the settings, for the server's metadata."""
    spec_hash: str


@dataclass(frozen=True)
class ReloadEngine(EngineStep):
    """Write daemon.json and have the engine read it again: nothing is stopped."""


@dataclass(frozen=True)
class DrainForEngine(EngineStep):
    """Have the engine judge the settings, where it can, and drain its node."""

    node: Known[Node]
    at: str
    because: str


@dataclass(frozen=True)
class RestartEngine(EngineStep):
    """Write daemon.json and restart the engine; where it does not start with it, the former file is put back and the engine started with that."""

    because: str
