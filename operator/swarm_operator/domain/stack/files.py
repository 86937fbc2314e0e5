"""`configs` and `secrets` of the file and of its services. The operator has no files beside the compose file: contents come from ConfigMaps and Secrets that the SwarmStack
names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from swarm_operator.domain.stack.mounts import external_name
from swarm_operator.domain.stack.parts import Json, given
from swarm_operator.domain.stack.section import Section

Kind = Literal["configs", "secrets"]
_REF: Mapping[Kind, str] = {"configs": "configMapRef", "secrets": "secretRef"}
_OBJECT: Mapping[Kind, str] = {"configs": "ConfigMap", "secrets": "Secret"}


def declared_files(root: Section, kind: Kind, references: Mapping[str, Json]) -> dict[str, Json | None]:
    """The file's configs or secrets as entries without a target, by their names in it; None for one with a problem of its own."""
    section = root.section(kind)
    found = {name: _declared(section.section(name), kind, name, references.get(name)) for name in section.names()}
    for name in references:
        if name not in found:
            section.fail("", f"must declare {name!r}, which spec.{kind} names")
    return found


def _declared(declared: Section, kind: Kind, name: str, reference: Json | None) -> Json | None:
    external, chosen = external_name(declared, name)
    templating = declared.text("template_driver")
    for key in ("file", "content", "environment"):
        declared.raw(key)  # where the content is from when docker deploys the file; here spec.configs and spec.secrets say it
    declared.ignore("labels", why=f"the {kind} that the operator makes carry its own")
    declared.refuse("can't be carried out: the content has to come from a Secret", "driver", "driver_opts")
    declared.close()
    if chosen is not None:
        declared.ignore("name", why="the operator names them by their content, and makes new ones when it changes")
    if templating not in (None, "golang"):
        declared.fail("template_driver", f"must be golang, not {templating}")
        return None
    if external is not None:
        if reference is not None:
            declared.fail("external", f"must not be set where spec.{kind} names the content")
            return None
        return {"name": external}
    if reference is None:
        declared.fail("", f"needs its content: name a key of a {_OBJECT[kind]} in spec.{kind}.{name}, or make it `external`")
        return None
    return {_REF[kind]: dict(reference), **given(templating=templating == "golang" or None)}


def files_of(service: Section, kind: Kind, declared: Mapping[str, Json | None]) -> list[Json]:
    """The service's configs or secrets."""
    return [file for key, entry in service.entries(kind) if (file := _file(service, key, entry, kind, declared)) is not None]


def _file(service: Section, key: str, entry: Any, kind: Kind, declared: Mapping[str, Json | None]) -> Json | None:
    long = Section({"source": entry} if isinstance(entry, str) else entry, f"{service.path}.{key}", service.notes)
    source, target = long.text("source"), long.text("target")
    uid, gid, mode = long.text("uid"), long.text("gid"), long.integer("mode")
    long.close()
    if source is None or source not in declared:
        long.fail("source" if isinstance(entry, dict) else "", f"must name one of the file's {kind}, not {source!r}")
        return None
    behind = declared[source]
    return None if behind is None else {**behind, "target": target or source, **given(uid=uid, gid=gid, mode=mode)}
