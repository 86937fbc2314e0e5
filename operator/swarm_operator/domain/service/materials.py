"""Configs and secrets of the swarm made from ConfigMaps and Secrets: their names, what has to be made, and which earlier ones may go.

A config or secret can't be changed in a swarm (swarmkit `manager/controlapi/{config,secret}.go`: only labels), so each content gets an object of its own, named after a
keyed hash of it. A change of content is then a change of the name in the service's spec, and the usual update rolls it. The key is a Secret of the cluster: names and
labels can be read by everybody who may list the swarm's objects, and a plain hash of a short password could be guessed.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.api.materials import ConfigFile, KeyRef, SecretFile
from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.ownership import MATERIAL_LABEL_SOURCE, SERVICE_LABEL_UID
from swarm_operator.domain.service.leaves import RenderContext
from swarm_operator.domain.service.render import Json, Owner, service_name
from swarm_operator.domain.swarm import Material, MaterialKind

LONGEST: Final[Mapping[MaterialKind, int]] = {"Config": 1000 * 1024, "Secret": 500 * 1024}
"""Bytes (swarmkit `manager/controlapi`, MaxConfigSize and MaxSecretSize); both must also hold something."""
LONGEST_NAME: Final = 64
HASH_DIGITS: Final = 16
ORIGIN: Final[Mapping[MaterialKind, str]] = {"Config": "ConfigMap", "Secret": "Secret"}

Content = Mapping[str, bytes] | None
"""The keys of one ConfigMap or Secret; None where there is no such object."""


class MaterialProblem(Exception):
    """Something that the manifest takes from elsewhere is missing or can't be used. `lasting` where only an edit helps."""

    def __init__(self, reason: Reason, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.reason, self.message, self.lasting = reason, message, lasting


@dataclass(frozen=True)
class Sources:
    """The ConfigMaps and Secrets that a manifest names, by name, and the key of the hash."""

    config_maps: Mapping[str, Content] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, Content] = field(default_factory=dict, repr=False)
    hash_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Wanted:
    """A config or secret that the service needs and that we make. `source` names kind, object and key."""

    kind: MaterialKind
    name: str
    source: str
    labels: Mapping[str, str]
    templating: bool
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Materials:
    """What a manifest comes to: references without ids for the ServiceSpec, values of variables, what we make for it, and (kind, name) of others' that it names."""

    configs: tuple[Json, ...] = ()
    secrets: tuple[Json, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    wanted: tuple[Wanted, ...] = ()
    foreign: frozenset[tuple[MaterialKind, str]] = frozenset()

    def supplied(self, image: str | None, platforms: Iterable[tuple[str, str]] | None) -> RenderContext:
        """For `render`."""
        chosen = None if platforms is None else tuple(platforms)
        return RenderContext(env=self.env, configs=self.configs, secrets=self.secrets, image=image, platforms=chosen)

    @property
    def names(self) -> set[tuple[MaterialKind, str]]:
        """Kind and name of all that has to be in the swarm."""
        return {(w.kind, w.name) for w in self.wanted} | self.foreign


def config_map_names(spec: SwarmServiceSpec) -> set[str]:
    """The ConfigMaps that the manifest names."""
    named = {c.config_map_ref.name for c in spec.configs if c.config_map_ref is not None}
    return named | {e.value_from.config_map_key_ref.name for e in spec.env if e.value_from is not None}


def secret_names(spec: SwarmServiceSpec) -> set[str]:
    """The Secrets that the manifest names for files (not the ones for pulling)."""
    return {s.secret_ref.name for s in spec.secrets if s.secret_ref is not None}


def resolve(spec: SwarmServiceSpec, owner: Owner, sources: Sources) -> Materials:
    """What the manifest comes to with these sources. Raises MaterialProblem."""
    wanted: dict[tuple[MaterialKind, str], Wanted] = {}
    foreign: set[tuple[MaterialKind, str]] = set()
    lists: dict[MaterialKind, list[Json]] = {"Config": [], "Secret": []}
    for kind, file, ref in _files(spec):
        if ref is None:
            name, default = str(file.name), str(file.name)
            foreign.add((kind, name))
        else:
            made = _wanted(kind, ref, file.templating, spec, owner, sources)
            wanted[(kind, made.name)] = made
            name, default = made.name, ref.key
        mount = {"Name": file.target or default, "UID": file.uid, "GID": file.gid, "Mode": file.mode}
        lists[kind].append({f"{kind}Name": name, "File": mount})
    env = {e.name: _text(_content("Config", e.value_from.config_map_key_ref, sources), e.name) for e in spec.env if e.value_from is not None}
    return Materials(tuple(lists["Config"]), tuple(lists["Secret"]), env, tuple(wanted.values()), frozenset(foreign))


def missing(materials: Materials, owner: Owner, present: Iterable[Material]) -> tuple[Wanted, ...]:
    """Those that have to be made first. Raises MaterialProblem where a name is taken by a stranger, or a config or secret that is not ours to make is not there."""
    known = {(m.kind, m.name): m for m in present}
    for kind, name in sorted(materials.foreign):
        if (kind, name) not in known:
            raise MaterialProblem(Reason.MATERIAL_NOT_FOUND, f"the swarm has no {kind.lower()} {name!r}")
    for want in materials.wanted:
        there = known.get((want.kind, want.name))
        if there is not None and there.labels.get(SERVICE_LABEL_UID) != owner.uid:
            raise MaterialProblem(Reason.NAME_CONFLICT, f"a {want.kind.lower()} named {want.name!r} exists and is not ours", lasting=True)
    return tuple(want for want in materials.wanted if (want.kind, want.name) not in known)


def with_ids(spec: Json, present: Iterable[Material]) -> Json:
    """The ServiceSpec with the id beside each name of a config or secret: the engine wants both (swarmkit `manager/controlapi`, checkConfigExistence)."""
    ids = {(m.kind, m.name): m.id for m in present}
    out = copy.deepcopy(spec)
    container: Json = (out.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    kinds: tuple[MaterialKind, ...] = ("Config", "Secret")
    for kind in kinds:
        for entry in container.get(f"{kind}s") or ():
            if not entry.get(f"{kind}ID"):
                entry[f"{kind}ID"] = ids[(kind, str(entry[f"{kind}Name"]))]
    return out


def referenced(spec: Json | None) -> set[str]:
    """Ids of the configs and secrets that a ServiceSpec refers to."""
    container: Mapping[str, Any] = ((spec or {}).get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return {str(e.get("ConfigID", "")) for e in container.get("Configs") or ()} | {str(e.get("SecretID", "")) for e in container.get("Secrets") or ()}


def ours(present: Iterable[Material], owner: Owner) -> list[Material]:
    """The ones with our label, newest first."""
    return sorted((m for m in present if m.labels.get(SERVICE_LABEL_UID) == owner.uid), key=lambda m: (m.created_at, m.name), reverse=True)


def superfluous(materials: Materials, owner: Owner, present: Iterable[Material], needed: set[str], history_limit: int) -> tuple[Material, ...]:
    """Ours that may go: whose ids are not in `needed` (the present spec, the one before it, other services), beyond the newest `history_limit` of each source that the
    manifest still names."""
    sources = {w.source for w in materials.wanted}
    kept: dict[str, int] = {}
    out: list[Material] = []
    for material in ours(present, owner):
        if material.id in needed or (material.kind, material.name) in materials.names:
            continue
        source = material.labels.get(MATERIAL_LABEL_SOURCE, "")
        kept[source] = kept.get(source, 0) + 1
        if source not in sources or kept[source] > history_limit:
            out.append(material)
    return tuple(out)


def _files(spec: SwarmServiceSpec) -> Iterator[tuple[MaterialKind, ConfigFile | SecretFile, KeyRef | None]]:
    for config in spec.configs:
        yield "Config", config, config.config_map_ref
    for secret in spec.secrets:
        yield "Secret", secret, secret.secret_ref


def _content(kind: MaterialKind, ref: KeyRef, sources: Sources) -> bytes:
    content = (sources.config_maps if kind == "Config" else sources.secrets).get(ref.name)
    absent = Reason.CONFIG_MAP_NOT_FOUND if kind == "Config" else Reason.SECRET_NOT_FOUND
    if content is None:
        raise MaterialProblem(absent, f"there is no {ORIGIN[kind]} {ref.name!r}")
    if ref.key not in content:
        raise MaterialProblem(absent, f"{ORIGIN[kind]} {ref.name!r} has no key {ref.key!r}")
    return content[ref.key]


def _wanted(kind: MaterialKind, ref: KeyRef, templating: bool, spec: SwarmServiceSpec, owner: Owner, sources: Sources) -> Wanted:
    data = _content(kind, ref, sources)
    source = f"{ORIGIN[kind]} {ref.name} {ref.key}"
    if not 0 < len(data) < LONGEST[kind]:
        limit = f"1 to {LONGEST[kind] - 1} bytes"
        raise MaterialProblem(Reason.MATERIAL_INVALID, f"{source} holds {len(data)} bytes; a {kind.lower()} of a swarm takes {limit}")
    if not sources.hash_key:
        raise ValueError("no key for the hash")
    # The owner's UID goes in, so that equal contents of two services can't be told from their names.
    head = "\0".join((kind, owner.uid, source, "golang" if templating else "")).encode()
    digest = hmac.new(sources.hash_key, head + b"\0" + data, hashlib.sha256).hexdigest()[:HASH_DIGITS]
    base = re.sub(r"[^A-Za-z0-9._-]", "-", f"{service_name(spec, owner.name)}.{ref.key}")[: LONGEST_NAME - HASH_DIGITS - 1]
    labels = {**owner.labels(), MATERIAL_LABEL_SOURCE: source}
    return Wanted(kind, f"{base}-{digest}", source, labels, templating, data)


def _text(value: bytes, variable: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise MaterialProblem(Reason.MATERIAL_INVALID, f"the value for variable {variable} is not text")
    return text
