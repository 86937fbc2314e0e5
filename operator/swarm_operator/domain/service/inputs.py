"""What a service takes from elsewhere, as gathered for one decision: contents of ConfigMaps and Secrets, the swarm's configs and secrets, credentials, the digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from swarm_operator.api.materials import ImageStatus, MaterialStatus
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.ownership import MATERIAL_LABEL_SOURCE
from swarm_operator.domain.service.leaves import RenderContext
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.materials import MaterialProblem, Materials, Sources, Wanted, missing, ours, referenced, resolve, superfluous
from swarm_operator.domain.service.registry import NO_CREDENTIALS, Credentials
from swarm_operator.domain.service.render import Owner
from swarm_operator.domain.swarm import Material

POLL_SECONDS: Final = 20.0
"""How often ConfigMaps and Secrets are read again: nothing tells us of their changes, for watching them would need the right to list every Secret."""


@dataclass(frozen=True)
class Inputs:
    """`present` are the swarm's configs and secrets, empty where the service neither needs nor had any. `elsewhere`: ids of those that services of others refer to.
    `problem` is set where something that the manifest names can't be had."""

    sources: Sources = field(default_factory=Sources)
    present: tuple[Material, ...] = ()
    elsewhere: frozenset[str] = frozenset()
    credentials: Credentials | None = None
    image: ImageStatus | None = None
    problem: MaterialProblem | None = None


def polled(spec: SwarmServiceSpec) -> float | None:
    """Seconds until the service has to be looked at again although nobody says that anything has changed; None for never."""
    taken = (
        spec.image_pull_secrets or any(c.config_map_ref for c in spec.configs) or any(s.secret_ref for s in spec.secrets) or any(e.value_from for e in spec.env)
    )
    if taken:
        return POLL_SECONDS
    return float(spec.image_policy.interval_seconds) if spec.image_policy.resolve == "Always" else None


class Supplies:
    """Inputs with what follows from them for one service. Raises MaterialProblem when something is missing."""

    def __init__(self, spec: SwarmServiceSpec, owner: Owner, inputs: Inputs) -> None:
        if inputs.problem is not None:
            raise inputs.problem
        self._spec, self._owner, self._inputs = spec, owner, inputs
        self.materials: Materials = resolve(spec, owner, inputs.sources)
        self.missing: tuple[Wanted, ...] = missing(self.materials, owner, inputs.present)

    def context(self) -> RenderContext:
        """For `render`."""
        image = self._inputs.image
        platforms = None if image is None or image.platforms is None else [(p.architecture, p.os) for p in image.platforms]
        return self.materials.supplied(None if image is None else image.resolved, platforms)

    def superfluous(self, own: LiveService) -> tuple[Material, ...]:
        """Configs and secrets of ours that may be removed, now that `own` runs as declared. What a rollback needs stays."""
        needed = referenced(own.spec) | referenced(own.previous_spec) | self._inputs.elsewhere
        return superfluous(self.materials, self._owner, self._inputs.present, needed, self._spec.material_history_limit)

    def status(self) -> list[MaterialStatus]:
        """Our configs and secrets in the swarm, by name."""
        return [
            MaterialStatus(kind=m.kind, name=m.name, source=m.labels.get(MATERIAL_LABEL_SOURCE, "")[:600], in_use=(m.kind, m.name) in self.materials.names)
            for m in sorted(ours(self._inputs.present, self._owner), key=lambda m: (m.kind, m.name))
        ][:512]

    def registry_auth(self, given: str | None) -> str | None:
        """The value of X-Registry-Auth for a write; `given` is the hash of the credentials that the engine has."""
        if self._inputs.credentials is not None:
            return self._inputs.credentials.header
        return None if given is None else NO_CREDENTIALS

    @property
    def credentials_hash(self) -> str | None:
        """For the status, once they are given."""
        return None if self._inputs.credentials is None else self._inputs.credentials.digest
