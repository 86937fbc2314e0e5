"""What must hold of images and snapshots beyond the schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.images import ImageSource
from swarm_operator.api.parse import Problem


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
    from_volumes = {pool.name for pool in spec.worker_pools if pool.machine.over(spec.machine).root_volume is not None}
    for index, snapshot in enumerate(spec.snapshots):
        if snapshot.of.pool in from_volumes:
            yield Problem(f"spec.snapshots[{index}].of.pool", "must not be a pool with a rootVolume: Nova would save a volume snapshot, and no image")
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(f"spec.snapshots[{index}].name", f"must be unique; `{name}` occurs twice")
