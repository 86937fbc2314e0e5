"""`volumes` and `tmpfs` of a service (docker/cli `internal/volumespec` and `cli/compose/convert/volume.go`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from swarm_operator.domain.stack.parts import NAMESPACE_LABEL, Json, given
from swarm_operator.domain.stack.section import Section

_PROPAGATIONS: Final = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_WINDOWS_DRIVE: Final = re.compile(r"^[A-Za-z]:[\\/]")


def mounts_of(service: Section, volumes: Mapping[str, Json | None]) -> list[Json]:
    """`volumes` holds what the file declares (see `declared_volumes`); None for a volume whose declaration has a problem of its own."""
    found = [mount for key, entry in service.entries("volumes") if (mount := _mount(service, key, entry, volumes)) is not None]
    found += [mount for text in service.texts("tmpfs") if (mount := _tmpfs(service, text)) is not None]
    seen: set[str] = set()
    for mount in found:
        target = mount["target"].rstrip("/") or "/"
        if target in seen:
            service.fail("volumes", f"must not mount two things at {target}")
        seen.add(target)
    return found


def declared_volumes(root: Section, stack: str) -> dict[str, Json | None]:
    """The file's volumes as mounts without a target, by name."""
    section = root.section("volumes")
    return {name: _declared(section.section(name), name, stack) for name in section.names()}


def _declared(volume: Section, name: str, stack: str) -> Json | None:
    external, own_name = external_name(volume, name)
    driver, options, labels = volume.text("driver"), volume.labels("driver_opts"), volume.labels("labels")
    volume.refuse("can't be carried out: swarm-operator makes no cluster volumes", "x-cluster-spec")
    volume.close()
    if external is not None:
        if driver or options or labels:
            volume.fail("external", "must not be set beside driver, driver_opts or labels")
            return None
        return {"type": "volume", "source": external}
    declared = given(driver=driver, driverOpts=options, labels={**labels, NAMESPACE_LABEL: stack})
    return {"type": "volume", "source": own_name or f"{stack}_{name}", "volumeOptions": declared}


def external_name(section: Section, name: str) -> tuple[str | None, str | None]:
    """What `external` and `name` say: the name of what is not the stack's, and the name that was chosen for what is. One of them is None at least."""
    raw, chosen = section.raw("external"), section.text("name")
    if isinstance(raw, dict):  # the form before file format 3.5
        inner = section.section("external")
        old = inner.text("name")
        inner.close()
        return old or chosen or name, None
    return (chosen or name, None) if section.flag("external") else (None, chosen)


def _mount(service: Section, key: str, entry: Any, volumes: Mapping[str, Json | None]) -> Json | None:
    if isinstance(entry, str):
        return _short(service, key, entry, volumes)
    long = Section(entry, f"{service.path}.{key}", service.notes)
    kind, source, target = long.text("type"), long.text("source"), long.text("target")
    read_only = long.flag("read_only") or None
    long.ignore("consistency", why="the engine drops it")
    bind, volume, tmpfs = long.section("bind"), long.section("volume"), long.section("tmpfs")
    propagation = bind.text("propagation")
    bind.ignore("create_host_path", why="the engine does not make the directory, on any node")
    bind.ignore("selinux")
    no_copy = volume.flag("nocopy") or None
    volume.refuse("can't be carried out: the engine drops it", "subpath")
    size, mode = tmpfs.size("size"), tmpfs.integer("mode")
    for part in (bind, volume, tmpfs, long):
        part.close()
    for name, allowed in (("bind", "bind"), ("volume", "volume"), ("tmpfs", "tmpfs")):
        if long.has(name) and (kind or "volume") != allowed:
            long.fail(name, f"must not be set with type {kind or 'volume'}")
    if target is None:
        long.fail("target", "is required")
        return None
    common = given(target=target, readOnly=read_only)
    if kind in ("volume", None):
        return _named(long, source, volumes, common, no_copy)
    if kind in ("bind", "npipe"):
        if not source:
            long.fail("source", "is required")
            return None
        return _bind(long, "source", source, common | {"type": kind}, propagation)
    if kind == "tmpfs":
        if source:
            long.fail("source", "must not be set with type tmpfs")
        options = given(size=None if size == "0" else size, mode=mode)
        return {"type": "tmpfs", **common, **given(tmpfsOptions=options)}
    long.fail("type", f"must be volume, bind, tmpfs or npipe, not {kind}")
    return None


def _short(service: Section, key: str, text: str, volumes: Mapping[str, Json | None]) -> Json | None:
    """`[SOURCE:]TARGET[:OPTIONS]`."""
    drive = _WINDOWS_DRIVE.match(text)
    parts = text.split(":") if drive is None else [text[:2] + text[2:].split(":")[0], *text[2:].split(":")[1:]]
    if not all(parts) or len(parts) > 3:
        service.fail(key, f"must have the form [SOURCE:]TARGET[:OPTIONS], not {text!r}")
        return None
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0]}
    source, target = parts[0], parts[1]
    read_only, no_copy, propagation = None, None, None
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option == "ro":
            read_only = True
        elif option == "nocopy":
            no_copy = True
        elif option in _PROPAGATIONS:
            propagation = option
        elif option != "rw":
            service.notes.ignored.append(f"{service.path}.{key}: the option {option} is ignored")
    common = given(target=target, readOnly=read_only)
    place = Section({}, f"{service.path}.{key}", service.notes)
    if source[0] in "/.~" or drive is not None:
        return _bind(place, "", source, common | {"type": "bind"}, propagation)
    return _named(place, source, volumes, common, no_copy)


def _named(place: Section, source: str | None, volumes: Mapping[str, Json | None], common: Json, no_copy: bool | None) -> Json | None:
    if source is None:
        return {"type": "volume", **common}  # docker/cli drops `nocopy` of one without a name too: there is nothing else that would fill it
    if source not in volumes:
        place.fail("", f"names the volume {source!r}, which the file does not declare in `volumes`")
        return None
    declared = volumes[source]
    if declared is None:
        return None
    options = declared.get("volumeOptions", {}) | given(noCopy=no_copy)
    return {**declared, **common, **given(volumeOptions=options)}


def _bind(place: Section, key: str, source: str, common: Json, propagation: str | None) -> Json | None:
    if common["type"] == "bind" and not source.startswith("/"):
        place.fail(key, f"must be an absolute path on the nodes, not {source!r}: there is no directory that it could be relative to")
        return None
    if propagation is not None and propagation not in _PROPAGATIONS:
        place.fail(key, f"has an unknown propagation {propagation!r}")
        return None
    return {**common, "source": source, **given(bindOptions=given(propagation=propagation))}


def _tmpfs(service: Section, text: str) -> Json | None:
    """`PATH[:size=64m,mode=1777]`; docker/cli drops this key without a word."""
    target, _, rest = text.partition(":")
    options = Section(dict(part.partition("=")[::2] for part in rest.split(",") if part), f"{service.path}.tmpfs", service.notes)
    size, mode = options.size("size"), options.text("mode")
    options.close()
    if not target.startswith("/"):
        service.fail("tmpfs", f"must name an absolute path, not {target!r}")
        return None
    if mode is not None and not re.fullmatch(r"[0-7]{1,4}", mode):
        service.fail("tmpfs", f"must have an octal mode, not {mode!r}")
        return None
    return {"type": "tmpfs", "target": target, **given(tmpfsOptions=given(size=size, mode=None if mode is None else int(mode, 8)))}
