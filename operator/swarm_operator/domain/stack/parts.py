"""What a conversion works on, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.api.parse import Problem

Json = dict[str, Any]

NAMESPACE_LABEL: Final = "com.docker.stack.namespace"
"""Label by which `docker stack ls`, `ps` and `services` find what belongs to a stack."""
IMAGE_LABEL: Final = "com.docker.stack.image"
"""Service label with the image as written: `docker stack deploy` keeps the digest while it is the same."""


@dataclass(frozen=True)
class StackInput:
    """`stack` is the name in the swarm, `object_name` that of the SwarmStack. `base` are fields that every service gets (clusterRef and what else the SwarmStack says for
    all). `configs` and `secrets` give the ConfigMap or Secret key (`{"name":, "key":}`) behind the file's configs and secrets, by their names in the file."""

    stack: str
    object_name: str
    base: Json
    variables: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class StackService:
    """A service of the file: the name and spec of its SwarmService. `networks` are the swarm's names of those that it is attached to."""

    name: str
    object_name: str
    spec: Json
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class StackNetwork:
    """An overlay network that the stack needs, by its name in the swarm."""

    name: str
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    attachable: bool = False
    internal: bool = False
    subnet: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    """What a file comes to. With `problems` it is not to be carried out, and services and networks are empty."""

    services: tuple[StackService, ...] = ()
    networks: tuple[StackNetwork, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def given(**values: Any) -> Json:
    """Those values that say something: not None, and not an empty text, list or mapping."""
    return {key: value for key, value in values.items() if value is not None and value not in ("", [], {})}
