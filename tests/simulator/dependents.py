"""SwarmServices that a SwarmStack applies, in memory, with what of server-side apply matters: fields of the applier that he no longer names go, those of others stay, a new
object meets another's with a conflict, and immutable fields are refused."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from swarm_operator.api.base import APPLIED_DIGEST
from swarm_operator.api.parse import parse_service
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.objects import Key, Resource


class SimDependents:
    """Works on the resources of a fake API server. `writes` are its calls that change something."""

    def __init__(self, resources: dict[Key, Resource]) -> None:
        self.resources = resources
        self.writes: list[str] = []
        self.before_apply: Callable[[], None] | None = None
        self._applied: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    def list(self, owner: Resource) -> list[Resource]:
        return [r for r in self.resources.values() if r.key.kind == "SwarmService" and owner.uid in r.owners]

    def apply(self, owner: Resource, name: str, spec: dict[str, Any], digest: str, known: Resource | None) -> Resource:
        if self.before_apply is not None:
            hook, self.before_apply = self.before_apply, None
            hook()
        self.writes.append(f"apply {name}")
        key = Key("SwarmService", owner.key.namespace, name)
        live = self.resources.get(key)
        if known is None and live is not None:
            raise ExternalError(ErrorKind.CONFLICT, "kubernetes", f"a SwarmService {name!r} exists", reason=Reason.NAME_CONFLICT)
        if known is not None and (live is None or live.uid != known.uid):
            raise ExternalError(ErrorKind.CONFLICT, "kubernetes", "uid mismatch")
        before = live.spec if live is not None else {}
        uid = live.uid if live is not None else f"{name}-{next(self._numbers)}"
        merged = _merged(_without(before, self._applied.get(uid, {}), spec), spec)
        merged.setdefault("mode", "replicated")
        for field in ("mode", "serviceName", "clusterRef"):
            if live is not None and merged.get(field) != before.get(field):
                raise ExternalError(ErrorKind.INVALID, "kubernetes", f"SwarmService {name!r} is invalid: spec.{field}: `{field}` must not change")
        parse_service(merged)
        self._applied[uid] = copy.deepcopy(spec)
        generation = 1 if live is None else live.generation + (merged != before)
        stored = Resource(key, uid, generation, str(next(self._numbers)), merged, {}, annotations={APPLIED_DIGEST: digest}, owners=(owner.uid,))
        if live is not None:
            stored = replace(stored, status=live.status, finalizers=live.finalizers, deleting=live.deleting)
        self.resources[key] = stored
        return stored

    def delete(self, resource: Resource) -> None:
        self.writes.append(f"delete {resource.key.name}")
        live = self.resources.get(resource.key)
        if live is None or live.uid != resource.uid:
            return
        if live.finalizers:
            self.resources[resource.key] = replace(live, deleting=True, generation=live.generation + 1)
        else:
            del self.resources[resource.key]


def _without(live: Any, applied: Any, wanted: Any) -> Any:
    """`live` less the fields that were applied and are not wanted any more."""
    if not isinstance(live, Mapping) or not isinstance(applied, Mapping):
        return copy.deepcopy(live)
    kept = {}
    for key, value in live.items():
        if key not in applied:
            kept[key] = copy.deepcopy(value)
        elif isinstance(wanted, Mapping) and key in wanted:
            kept[key] = _without(value, applied[key], wanted[key])
        elif isinstance(value, Mapping) and isinstance(applied[key], Mapping) and set(value) - set(applied[key]):
            kept[key] = _without(value, applied[key], {})
    return kept


def _merged(live: Any, wanted: Any) -> Any:
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        return {**live, **{key: _merged(live.get(key), value) for key, value in wanted.items()}}
    return copy.deepcopy(wanted)
