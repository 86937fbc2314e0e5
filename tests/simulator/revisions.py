"""ControllerRevisions in memory, with the API server's rules that matter: names are unique, data can't be changed, what an owner owns goes with it."""

from __future__ import annotations

import copy
from dataclasses import replace

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.revisions import Kept
from swarm_operator.ports.objects import Resource


class SimRevisions:
    """`calls` counts what would be requests; `failure` is raised by the next one."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], tuple[str, Kept]] = {}
        self.calls: list[str] = []
        self.failure: ExternalError | None = None

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def list(self, owner: Resource) -> list[Kept]:
        self._called("list")
        return [copy.deepcopy(kept) for uid, kept in self.kept.values() if uid == owner.uid]

    def create(self, owner: Resource, kept: Kept) -> None:
        self._called("create")
        place = (owner.key.namespace, kept.name)
        if place in self.kept and self.kept[place][0] != owner.uid:
            raise ExternalError(ErrorKind.CONFLICT, "kubernetes", "another's", reason=Reason.NAME_CONFLICT)
        self.kept.setdefault(place, (owner.uid, replace(kept, template=copy.deepcopy(kept.template), created_at=f"2026-01-01T00:00:{len(self.kept):02d}Z")))

    def delete(self, owner: Resource, name: str) -> None:
        self._called("delete")
        self.kept.pop((owner.key.namespace, name), None)
