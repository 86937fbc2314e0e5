"""From the JSON of an object to typed spec and status.

A spec that does not fit raises SpecError with the camelCase path of the field; the texts are ours, so they don't change with the library. A status always parses: it is
the operator's own note, may come from another version, and nothing in it is worth a crash. Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.pool import SwarmWorkerPoolSpec, SwarmWorkerPoolStatus
from swarm_operator.api.service import SwarmServiceSpec, SwarmServiceStatus
from swarm_operator.api.stack import SwarmStackSpec, SwarmStackStatus

M = TypeVar("M", bound=BaseModel)
Location = tuple[int | str, ...]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a spec: the path of the field in the manifest (`spec.workerPools[0].name`) and what must hold."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class SpecError(ValueError):
    """A spec can't be carried out. `field` and `message` are those of the first problem; `problems` holds all, in the order of the fields."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: Final = tuple(problems)
        self.field: Final = problems[0].field
        self.message: Final = problems[0].message
        super().__init__("; ".join(str(problem) for problem in problems[:8]))


def parse_cluster(spec: Any) -> SwarmClusterSpec:
    """`spec` of a SwarmCluster. Raises SpecError. Without `external` it has `identityRef` and `machine`; with it, neither."""
    parsed = _parse(SwarmClusterSpec, spec)
    names = {"spec.identityRef": parsed.identity_ref, "spec.machine": parsed.machine}
    if parsed.external is None:
        problems = [Problem(name, "is required") for name, value in names.items() if value is None]
    else:
        problems = [Problem(name, "must not be set with `external`") for name, value in names.items() if value is not None]
    if problems:
        raise SpecError(problems)
    return parsed


def parse_service(spec: Any) -> SwarmServiceSpec:
    """`spec` of a SwarmService. Raises SpecError."""
    return _parse(SwarmServiceSpec, spec)


def parse_pool(spec: Any) -> SwarmWorkerPoolSpec:
    """`spec` of a SwarmWorkerPool. Raises SpecError."""
    return _parse(SwarmWorkerPoolSpec, spec)


def parse_pool_status(status: Any) -> SwarmWorkerPoolStatus:
    """`status` of a SwarmWorkerPool. Never fails: see `parse_cluster_status`."""
    return _salvage(SwarmWorkerPoolStatus, status)


def parse_stack(spec: Any) -> SwarmStackSpec:
    """`spec` of a SwarmStack. Raises SpecError."""
    return _parse(SwarmStackSpec, spec)


def parse_stack_status(status: Any) -> SwarmStackStatus:
    """`status` of a SwarmStack. Never fails: see `parse_cluster_status`."""
    return _salvage(SwarmStackStatus, status)


def parse_cluster_status(status: Any) -> SwarmClusterStatus:
    """`status` of a SwarmCluster. Never fails: an entry that can't be read is left out, whatever else is there is kept."""
    return _salvage(SwarmClusterStatus, status)


def parse_service_status(status: Any) -> SwarmServiceStatus:
    """`status` of a SwarmService. Never fails, as `parse_cluster_status`."""
    return _salvage(SwarmServiceStatus, status)


def _parse(model: type[M], spec: Any) -> M:
    if not isinstance(spec, Mapping):
        raise SpecError([Problem("spec", "is required" if spec is None else "must be an object")])
    try:
        return model.model_validate(dict(spec))
    except ValidationError as error:
        raise SpecError([Problem(field_path(details["loc"]), _message(details)) for details in error.errors(include_url=False)]) from None


def field_path(location: Location) -> str:
    """`("workerPools", 0, "name")` -> `spec.workerPools[0].name`."""
    path = "spec"
    for part in location:
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


_TYPES: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_BOUNDS: Final = {
    "greater_than_equal": ("at least", "ge", ""),
    "less_than_equal": ("at most", "le", ""),
    "string_too_short": ("at least", "min_length", " characters long"),
    "string_too_long": ("at most", "max_length", " characters long"),
    "too_short": ("at least", "min_length", " entries long"),
    "too_long": ("at most", "max_length", " entries long"),
}


def _message(details: ErrorDetails) -> str:
    """Our text of a pydantic error (pydantic documentation, "Validation Errors", lists the types)."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "missing":
        return "is required"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}"
    if kind in _BOUNDS:
        word, key, unit = _BOUNDS[kind]
        return f"must be {word} {context[key]}{unit}"
    if kind in ("literal_error", "enum"):
        return f"must be one of {context['expected']}".replace("'", "`")
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}"
    return "is not valid"


def _salvage(model: type[M], data: Any) -> M:
    """`data` as `model`, without the parts that don't fit: a bad value is dropped; where it is required, what it belongs to."""
    rest: Any = copy.deepcopy(dict(data)) if isinstance(data, Mapping) else {}
    while True:
        try:
            return model.model_validate(rest)
        except ValidationError as error:
            locations = {_drop_at(details) for details in error.errors(include_url=False, include_input=False)}
        # Later entries of a list first, so that the indices of the earlier ones stay right.
        removed = [_remove(rest, location) for location in sorted(locations, key=_position, reverse=True)]
        if not any(removed):
            return model()  # nothing to take out, so nothing to keep


def _position(location: Location) -> list[int]:
    return [part if isinstance(part, int) else -1 for part in location]


def _drop_at(details: ErrorDetails) -> Location:
    location: Location = tuple(part for part in details["loc"] if part != "[key]")
    return location[:-1] if details["type"] == "missing" else location


def _remove(data: Any, location: Location) -> bool:
    """Take out the value at `location`; False where there is none, as when an earlier removal took it along."""
    if not location:
        return False
    for part in location[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    last = location[-1]
    try:
        del data[last]
    except (KeyError, IndexError, TypeError):
        return False
    return True
