"""What a decision about a SwarmService is made from, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm_operator.api.conditions import Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.domain.service.contest import Correction
from swarm_operator.domain.service.inputs import Inputs
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.materials import Wanted
from swarm_operator.domain.service.render import Json, Owner
from swarm_operator.domain.service.status import Finding, no
from swarm_operator.domain.swarm import Material, SwarmView


@dataclass(frozen=True)
class Subject:
    """The SwarmService: whose, what it asks, and the status last written. Where the spec is held at a revision, `spec` has that one's fields and `pinned` says so;
    `problem` is set where the revision can't be had."""

    owner: Owner
    generation: int
    spec: SwarmServiceSpec
    status: SwarmServiceStatus
    pinned: Finding = field(default_factory=lambda: no(Reason.NOT_PINNED))
    problem: Finding | None = None


@dataclass(frozen=True)
class Rejection:
    """The engine refused what hashes to `digest` a short while ago; posting it again would give the same answer."""

    digest: str
    reason: Reason
    message: str


@dataclass(frozen=True)
class Observed:
    """One complete look at the swarm. `own` is our service, `namesake` another one of its name. `tasks` carry the present spec; None where they were not read because
    nothing has changed since the service was Ready. `steady_seconds`: for how long the same tasks have been running."""

    view: SwarmView
    own: LiveService | None
    namesake: LiveService | None = None
    tasks: tuple[Json, ...] | None = None
    history: tuple[Json, ...] = ()
    steady_seconds: float = 0.0
    rejection: Rejection | None = None
    inputs: Inputs = field(default_factory=Inputs)
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True)
class Prepare:
    """POST /configs/create and /secrets/create for what the service needs first; then decide again. Safe to repeat: the names follow from the contents."""

    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class Prune:
    """DELETE of our configs and secrets that nothing refers to any more. Safe to repeat."""

    materials: tuple[Material, ...]


@dataclass(frozen=True)
class Create:
    """POST /services/create."""

    spec: Json
    registry_auth: str | None = field(default=None, repr=False)
    corrects: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Update:
    """POST /services/{id}/update. `fields` says what changes; `restarts` whether tasks are replaced; `corrects` names the fields where it undoes what others did."""

    service_id: str
    version: int
    spec: Json
    fields: tuple[str, ...]
    restarts: bool
    registry_auth: str | None = field(default=None, repr=False)
    corrects: frozenset[str] = frozenset()


Step = Prepare | Create | Update | Prune


@dataclass(frozen=True)
class Announcement:
    """An Event."""

    reason: Reason
    message: str
    warning: bool = False


@dataclass(frozen=True)
class ServicePlan:
    """The decision. `status` is what to write when the step (if any) has succeeded; `done` is announced then, `seen` at any rate. `requeue` is in seconds, None to wait
    for an event or the resync. `digest` is of what is desired, "" where that could not be told."""

    step: Step | None
    verdicts: tuple[Verdict, ...]
    status: SwarmServiceStatus
    requeue: float | None = None
    done: tuple[Announcement, ...] = ()
    seen: tuple[Announcement, ...] = ()
    digest: str = ""
