"""What must hold of images and snapshots beyond the schema. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.images import ImageSource
from swarm_operator.api.parse import Problem
from swarm_operator.api.user_data import MachineOs, UserDataError, parse_additions

_PROPERTY: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,254}")
_BUILT_IN: Final = frozenset(
    {"id", "name", "status", "visibility", "protected", "owner", "checksum", "size", "tags", "min_disk", "min_ram", "disk_format", "container_format"}
)
"""Attributes that every image has (Image API v2, "Image schema")."""


def image_sources(spec: SwarmClusterSpec) -> Iterator[tuple[str, ImageSource]]:
    """(path of the field, image) of everything that names one."""
    yield "spec.machine.image", spec.machine.image
    if spec.managers.machine.image is not None:
        yield "spec.managers.machine.image", spec.managers.machine.image
    for index, pool in enumerate(spec.worker_pools):
        if pool.machine.image is not None:
            yield f"spec.workerPools[{index}].machine.image", pool.machine.image


def image_problems(spec: SwarmClusterSpec) -> Iterator[Problem]:
    """Snapshots that are named and not declared, and names that occur twice."""
    names = [snapshot.name for snapshot in spec.snapshots]
    for field, image in image_sources(spec):
        if image.from_snapshot_of is not None and image.from_snapshot_of.snapshot not in names:
            yield Problem(f"{field}.fromSnapshotOf.snapshot", f"must name an entry of spec.snapshots, not {image.from_snapshot_of.snapshot!r}")
    yield from _first_boots(spec)
    from_volumes = {pool.name for pool in spec.worker_pools if pool.machine.over(spec.machine).root_volume is not None}
    for index, snapshot in enumerate(spec.snapshots):
        if snapshot.of.pool in from_volumes:
            yield Problem(f"spec.snapshots[{index}].of.pool", "must not be a pool with a rootVolume: Nova would save a volume snapshot, and no image")
    formats: dict[str, str] = {}
    for field, image in image_sources(spec):
        if image.url is None:
            continue
        if formats.setdefault(image.url.checksum, image.url.disk_format) != image.url.disk_format:
            yield Problem(f"{field}.url.diskFormat", "must be the same wherever the checksum is")
        parts = urlsplit(image.url.url)
        try:
            named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            named = False
        if not named:
            yield Problem(f"{field}.url.url", "must name a host, and a port from 1 to 65535 if any")
        for key in image.url.properties:
            if not _PROPERTY.fullmatch(key) or key.startswith(("swarmops", "os_glance")) or key in {"instance_uuid", *_BUILT_IN}:
                yield Problem(f"{field}.url.properties", f"keys must be names of image properties other than the operator's and Glance's own, unlike {key!r}")
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(f"spec.snapshots[{index}].name", f"must be unique; `{name}` occurs twice")


def _first_boots(spec: SwarmClusterSpec) -> Iterator[Problem]:
    """Additions that can't be read or touch what is the operator's, and Ignition where it can't do."""
    places = [("spec.managers", spec.managers.machine)]
    places += [(f"spec.workerPools[{index}]", pool.machine) for index, pool in enumerate(spec.worker_pools)]
    told: set[Problem] = set()
    for field, overrides in places:
        machine = overrides.over(spec.machine)
        if machine.user_data is not None and machine.user_data.inline is not None:
            # Where the text is; but a text that is right for the `os` beside it is wrong where another `os` is set.
            inherited = overrides.user_data is None and overrides.os is None
            found = [Problem(f"{'spec' if inherited else field}.machine.userData.inline", text) for text in _wrong(machine.user_data.inline, machine.os)]
            yield from (problem for problem in found if problem not in told)
            told.update(found)
        if machine.os != "Ignition":
            continue
        if field == "spec.managers":
            yield Problem(f"{field}.machine.os", "must be CloudInit: setting up a manager needs python3 on it")
        elif spec.join == "Metadata":
            yield Problem(f"{field}.machine.os", "must be CloudInit with `join: Metadata`: its script needs python3 on the machine")
        if machine.image.from_snapshot_of is not None:
            yield Problem(
                f"{field}.machine.image.fromSnapshotOf",
                "must not be set with `os: Ignition`: it runs once per disk, and a copy would keep the identity of its source",
            )


@lru_cache(maxsize=128)  # asked for at every pass and for every pool, and YAML is slow to read
def _wrong(text: str, os: MachineOs) -> Sequence[str]:
    try:
        parse_additions(text, os)
    except UserDataError as error:
        return error.problems
    return ()
