"""When a rollout goes no further: a machine that was made as the spec says failed, and that tells of the spec rather than of the machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.api.rollout import HaltedRollout
from swarm_operator.domain import times
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.remediation import Remediation
from swarm_operator.domain.cluster.slots import Slot
from swarm_operator.domain.cluster.standing import NOT_KNOWN, Standing
from swarm_operator.domain.cluster.template import Wanted

_OF_THE_CLOUD = frozenset(
    {Reason.QUOTA_EXCEEDED, Reason.NO_CAPACITY, Reason.ADDRESSES_EXHAUSTED, Reason.FORBIDDEN, Reason.RATE_LIMITED, Reason.CLOUD_UNREACHABLE}
)
"""Failures that say nothing against the new machines: the create is tried again."""


@dataclass(frozen=True)
class Failed:
    """A new machine that failed, and how."""

    machine: Machine
    message: str


def failed_machine(
    spec: SwarmClusterSpec, groups: Iterable[Sequence[Slot]], standing: Mapping[str, Standing], remediation: Remediation, now: datetime
) -> Failed | None:
    """The first one, in pools where others are still to follow."""
    for found in groups:
        if not any(s.former or standing.get(s.holder.uid, NOT_KNOWN).outdated for s in found):
            continue
        for slot in found:
            text = _failure(spec, slot.holder, standing.get(slot.holder.uid, NOT_KNOWN), remediation, now)
            if text:
                return Failed(slot.holder, text)
    return None


def _failure(spec: SwarmClusterSpec, machine: Machine, standing: Standing, remediation: Remediation, now: datetime) -> str:
    if machine.joined or standing.outdated or standing.hash is None or machine.being_deleted:
        return ""
    failure = remediation.failures.get(machine.uid)
    if failure is not None and failure.reason not in _OF_THE_CLOUD and failure.of_itself and (not failure.budgeted or failure.due_in <= 0):
        return failure.message
    made = machine.present.created if machine.present is not None else None
    never = machine.record is None or machine.record.node_id is None
    deadline = spec.rollout.progress_deadline_seconds
    if failure is None and never and made is not None and (times.age(made, now) or 0.0) > deadline:
        return f"not ready within {deadline} s of its creation"
    return ""


def halt_of(status: SwarmClusterStatus, observation: ClusterObservation, present: str | None, failed: Failed | None, now: datetime) -> HaltedRollout | None:
    """The halt that holds: the one on record until the spec changes in what it is about, or a new one. `present`: the `spec_hash` of now."""
    former = status.rollout.halted
    if former is not None and (present is None or former.spec_hash == present):
        return former
    if failed is None or present is None:
        return None
    name = failed.machine.id.server_name(observation.name)
    return HaltedRollout(spec_hash=present, machine=name, message=f"{name}: {failed.message}"[:1024], since=times.stamp(now))


def spec_hash(spec: SwarmClusterSpec, wanted: Wanted) -> str | None:
    """Of what machines shall be and how they are rolled; None while a flavor or image is not known. A change of `replicas` does not end a halt."""
    if not wanted.complete:
        return None
    about = {
        "templates": {pool: made.hash for pool, made in sorted(wanted.templates.items())},
        # With the form that the mark had before: a hash on record is not to change by an upgrade, which would end the halt.
        "engine": "v1." + wanted.engine.partition(".")[2],
        "rollout": spec.rollout.model_dump(mode="json", exclude_defaults=True),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
