"""Steps that change keys and certificates of the swarm: the managers' lock, the root CA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from swarm_operator.api.conditions import ConditionType
from swarm_operator.domain.cluster.steps.base import GuestStep, SwarmStep


@dataclass(frozen=True)
class UnlockKeyStep(SwarmStep):
    """Base of those that have to do with the managers' lock."""

    @property
    def lane(self) -> str:
        return "unlock-key"


@dataclass(frozen=True)
class SetAutolock(UnlockKeyStep):
    """Turn autolock on or off. The Secret for the key is made first, and the key stored right after."""

    enabled: bool


@dataclass(frozen=True)
class StoreUnlockKey(UnlockKeyStep):
    """Fetch the key in force into the Secret; the one that is there becomes a former one."""


@dataclass(frozen=True)
class RotateUnlockKey(UnlockKeyStep):
    """Make a new unlock key for `nonce`, and store it."""

    nonce: str


@dataclass(frozen=True)
class ForgetFormerKeys(UnlockKeyStep):
    """Every manager has the key in force."""


@dataclass(frozen=True)
class UnlockManager(GuestStep):
    """Unlock a manager's engine with one of the keys of the Secret."""

    condition: ClassVar[ConditionType] = ConditionType.MANAGERS_QUORATE


@dataclass(frozen=True)
class RotateAuthority(SwarmStep):
    """Begin a rotation of the root CA for `nonce`. `over`: CAConfig.ForceRotate as it was seen; if it is higher already, the rotation was begun before."""

    nonce: str
    over: int

    @property
    def lane(self) -> str:
        return "authority"
