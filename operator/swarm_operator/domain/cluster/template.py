"""What a server was made of, as a hash in its metadata: two servers with one hash are interchangeable.

The hash covers what can only be changed by a new server. What can be changed on a living one (labels of nodes, server metadata, most of daemon.json) is left out here; the engine's
settings have a mark of their own (`engine_mark`). A server without a mark, or with one of another form, was made before there was one: it is taken as it is and marked, so that an
upgrade of the operator never replaces servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.engine import EngineSpec
from swarm_operator.domain.cluster.machine_ports import options
from swarm_operator.domain.cluster.machines import machine_spec
from swarm_operator.domain.cluster.observation import ClusterObservation, MachineReferences
from swarm_operator.domain.digests import digest_of
from swarm_operator.domain.facts import Known

TEMPLATE: Final = "swarmops-template"
"""Server metadata key: `v1.<hash>` and then, for whoever asks why, the parts with a short hash each."""
ENGINE: Final = "swarmops-engine"
"""Server metadata key: `v2.<hash of what needs a restart>.<hash of what the engine reloads>` of the daemon.json that is in force. Two further hashes: those of the settings under which
the engine is left as it is, because they were declared before the operator could change engines that live (`taken_over`). A hash is `?` while a change is under way."""
_FORM: Final = "v1"
_ENGINE_FORM: Final = "v2"
_UNDER_WAY: Final = "?"
EngineWhy = Literal["", "reload", "restart"]
_LONGEST_VALUE: Final = 255
"""Nova API reference, "Server metadata": length of a value."""

NEW_SERVER_ENGINE: Final = ("data_root", "storage_driver")
"""Engine settings under which the engine would not find its images, containers and swarm state again: they need a new server."""
RELOADED: Final = frozenset(
    {
        "debug",
        "labels",
        "insecure-registries",
        "registry-mirrors",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "shutdown-timeout",
    }
)
"""daemon.json keys that the engine takes over on SIGHUP (dockerd reference, "Configuration reload behavior"); all others need a restart."""

_NOT_OF_THE_SERVER: Final = frozenset({"metadata", "tags", "volumes", "availability_zones", "fallback_zones", "fallback_flavors", "preload_images", "ports"})
"""Fields of a machine that are set on the living server, or say where the next one shall be. What of `ports` needs a new server `machine_ports.options` knows."""


@dataclass(frozen=True)
class Template:
    """`parts`: by name of the field as in the manifest, a short hash of its value; defaults are absent, so a field that a later version adds changes no hash."""

    parts: Mapping[str, str]

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits."""
        return digest_of(dict(self.parts), 12)

    @property
    def mark(self) -> str:
        """The value of the metadata key TEMPLATE; the list of parts ends where Nova's limit does."""
        text = f"{_FORM}.{self.hash}"
        for name, digest in sorted(self.parts.items()):
            longer = f"{text} {name}={digest}"
            if len(longer) > _LONGEST_VALUE:
                break
            text = longer
        return text


@dataclass(frozen=True)
class Mark:
    """A mark as read from a server."""

    hash: str
    parts: Mapping[str, str]

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> Mark | None:
        """None where the server has none, or one of another version."""
        head, *rest = metadata.get(TEMPLATE, "").split(" ")
        form, _, digest = head.partition(".")
        if form != _FORM or not digest:
            return None
        return cls(digest, dict(part.split("=", 1) for part in rest if "=" in part))

    def differing(self, wanted: Template) -> tuple[str, ...]:
        """Names of the parts in which the server is not as wanted; empty when only the hashes tell."""
        names = self.parts.keys() | wanted.parts.keys()
        return tuple(sorted(name for name in names if self.parts.get(name) != wanted.parts.get(name)))


def template(spec: SwarmClusterSpec, pool: str, references: MachineReferences) -> Template:
    """What servers of a pool ("" for managers) are made of. By the ids of flavor and image: another image of the same name is another template."""
    machine = machine_spec(spec, pool)
    values: dict[str, Any] = machine.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"flavor", "image", *_NOT_OF_THE_SERVER})
    if ports := options(machine.ports):
        values["ports"] = ports
    values |= {"flavor": references.flavor_id, "image": references.image_id}
    values |= {f"engine.{name}": value for name in NEW_SERVER_ENGINE if (value := getattr(spec.engine, name)) is not None}
    if spec.ssh.key_name is not None:
        values["ssh.keyName"] = spec.ssh.key_name
    if spec.ssh.authorized_keys:
        values["ssh.authorizedKeys"] = spec.ssh.authorized_keys
    return Template({name: digest_of(value, 6) for name, value in values.items()})


def engine_mark(engine: EngineSpec) -> str:
    """The value of the metadata key ENGINE for these settings."""
    values = engine.model_dump(mode="json", exclude_defaults=True, exclude={*NEW_SERVER_ENGINE, "extra"})
    values = {name.replace("_", "-"): value for name, value in values.items()} | engine.extra
    reloaded = {name: value for name, value in values.items() if name in RELOADED}
    restarted = {name: value for name, value in values.items() if name not in RELOADED}
    return f"{_ENGINE_FORM}.{digest_of(restarted, 12)}.{digest_of(reloaded, 12)}"


def engine_difference(mark: str | None, wanted: str) -> EngineWhy:
    """How settings of the engine that are not in force would come into force. A mark that is missing or of another form says nothing."""
    found, (_, wanted_restart, wanted_reload) = (mark or "").split("."), wanted.split(".")
    if len(found) < 3 or not is_engine_mark(mark):
        return ""
    _, restart, reload, *left = found
    if left == [wanted_restart, wanted_reload]:
        return ""
    return "restart" if restart != wanted_restart else "reload" if reload != wanted_reload else ""


def taken_over(mark: str, wanted: str) -> str:
    """The mark for an engine whose own is missing or of an earlier form. Without one it is taken to be as declared. One of the form before this, which differs, was left as it is by the
    operator of that time: an upgrade of the operator shall restart no engine, so it stays so until the settings are changed again."""
    form, _, hashes = mark.partition(".")
    if form != _FORM or hashes.count(".") != 1 or f"{_ENGINE_FORM}.{hashes}" == wanted:
        return wanted
    return f"{_ENGINE_FORM}.{hashes}.{wanted.partition('.')[2]}"


def is_engine_mark(mark: str | None) -> bool:
    """Whether it is of the present form."""
    return (mark or "").partition(".")[0] == _ENGINE_FORM


def under_way(mark: str, *, restart: bool) -> str:
    """The mark while the file is being changed: equal to none that is wanted, so that a crash, or an edit in the midst, is followed by another change."""
    former, reload = (*mark.split("."), "", "")[1:3]
    return f"{_ENGINE_FORM}.{_UNDER_WAY if restart else former}.{_UNDER_WAY if not restart else reload}"


def marks(spec: SwarmClusterSpec, pool: str, references: MachineReferences) -> dict[str, str]:
    """Metadata that a new server carries."""
    return {TEMPLATE: template(spec, pool, references).mark, ENGINE: engine_mark(spec.engine)}


@dataclass(frozen=True)
class Wanted:
    """What all machines shall be. `templates`: by pool; one whose flavor or image is not known has none, and nothing in it is outdated then. `complete`: all pools have one.
    `engine`: the mark of the engine's settings."""

    templates: Mapping[str, Template]
    complete: bool
    engine: str

    @classmethod
    def of(cls, spec: SwarmClusterSpec, observation: ClusterObservation) -> Wanted:
        """By what the look has found of flavors and images."""
        found = observation.machine_references
        templates = {pool: template(spec, pool, fact.value) for pool, fact in found.items() if isinstance(fact, Known)}
        return cls(templates, len(templates) == len(found), engine_mark(spec.engine))
