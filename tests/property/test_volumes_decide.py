"""Properties of data volumes, over observations that need not make sense together: what is on a volume is never put at risk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from property.test_cluster_decide import NOW, UID, fact, observations, statuses
from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import SwarmClusterStatus
from swarm_operator.domain.cloud import Volume
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.machines import tabulate
from swarm_operator.domain.cluster.membership import select
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.remediation import assess
from swarm_operator.domain.cluster.rollout import plan_rollout
from swarm_operator.domain.cluster.standing import standings
from swarm_operator.domain.cluster.template import Wanted
from swarm_operator.domain.cluster.volumes import plan_volumes, volumes_of_the_deleted
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import CLUSTER_UID, machine_of
from swarm_operator.domain.volumes import SlotVolume, retained, slot_volume_of, volume_metadata

ENTRY: dict[str, Any] = {"name": "data", "sizeGiB": 10, "mountPath": "/data"}


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    slot = SlotVolume("Worker", draw(st.sampled_from(["web", "gone"])), draw(st.integers(0, 4)), draw(st.sampled_from(["data", "old"])))
    metadata = volume_metadata(UID, "demo", slot, retain=draw(st.booleans()))
    if draw(st.integers(0, 4)) == 0:
        metadata = draw(st.sampled_from([{CLUSTER_UID: UID}, {**metadata, "swarmops-slot": "9"}, {**metadata, CLUSTER_UID: "somebody's"}]))
    status = draw(st.sampled_from(["creating", "available", "available", "in-use", "in-use", "detaching", "error", "deleting"]))
    attached = (f"srv-{draw(st.integers(0, 99))}",) if status in ("in-use", "detaching") else ()
    return Volume(f"vol-{draw(st.integers(0, 999))}", "v", status, draw(st.sampled_from([5, 10, 20])), metadata, attached, "2026-01-01")


@st.composite
def seen(draw: st.DrawFn) -> ClusterObservation:
    """An observation with volumes, some of them on servers that are there."""
    observation = draw(observations())
    found = draw(fact(st.lists(volumes(), max_size=6, unique_by=lambda v: v.id).map(tuple)))
    if isinstance(found, Known) and isinstance(observation.servers, Known) and observation.servers.value:
        server = draw(st.sampled_from(list(observation.servers.value)))
        found = Known(tuple(replace(v, attached_to=(server.id,)) if v.attached_to and draw(st.booleans()) else v for v in found.value))
    return replace(observation, volumes=found, project_fresh=draw(st.booleans()))


specs = st.builds(
    lambda replicas, retain, orphans: SwarmClusterSpec.model_validate(
        {
            "identityRef": {"secretName": "c"},
            "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}},
            "workerPools": [{"name": "web", "replicas": replicas, "machine": {"volumes": [{**ENTRY, "retain": retain}]}}],
            "orphans": orphans,
        }
    ),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["Report", "Delete"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(specs, statuses(), seen())
def test_what_is_on_a_volume_is_never_put_at_risk(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> None:
    observation = replace(observation, deleting=False)
    table = tabulate(status, observation, NOW)
    remediation = assess(spec, status, observation, table, NOW)
    wanted = Wanted.of(spec, observation)
    rollout = plan_rollout(spec, status, observation, table, remediation, wanted, standings(spec, wanted, table.machines, NOW), NOW)
    membership = select(spec, status, observation, table, remediation, rollout, NOW)
    plan = plan_volumes(spec, status, observation, table, membership)
    assert plan == plan_volumes(spec, status, observation, table, membership)
    last = volumes_of_the_deleted(spec, observation)
    listed = observation.volumes.value if isinstance(observation.volumes, Known) else ()
    deleted = {x.evidence.value.id for x in plan.steps if isinstance(x, s.DeleteVolume)}
    assert all(slot_volume_of(v.metadata, UID) is not None and not v.attached_to for v in listed if v.id in deleted)
    for volume in listed:
        slot = slot_volume_of(volume.metadata, UID)
        if volume.id in deleted | {v.id for v in last.going}:
            event("deleted")
            assert volume.status in ("available", "error")
            if slot is not None and (slot.pool, slot.name) == ("web", "data"):
                assert not spec.worker_pools[0].machine.volumes[0].retain  # type: ignore[index]
            elif slot is not None:
                assert not retained(volume.metadata)
    made = [x.volume for x in plan.steps if isinstance(x, s.CreateVolume)]
    assert len(set(made)) == len(made) and not set(made) & {slot_volume_of(v.metadata, UID) for v in listed}
    assert not made or isinstance(observation.volumes, Known)
    for step in plan.steps:
        event(type(step).__name__)
        if isinstance(step, s.AttachVolume):
            assert isinstance(observation.servers, Known) and step.volume.value.status == "available"
            server = next(x for x in observation.servers.value if x.id == step.server_id)
            slot, machine = slot_volume_of(step.volume.value.metadata, UID), machine_of(server.metadata, UID)
            assert server.status == "ACTIVE" and slot is not None and machine is not None and slot.is_of(machine)
        if isinstance(step, s.ExtendVolume):
            assert step.size_gib > step.volume.value.size_gib
        if isinstance(step, s.SetUpVolume):
            assert any(v.id == step.mount.volume_id and v.status == "in-use" for v in listed)
    wanted = {m.slot for m in (*(m.id for m in membership.keep), *membership.create, *membership.waiting) if m.pool == "web"}
    doomed = {slot_volume_of(v.metadata, UID) for v in listed if v.id in deleted}
    assert not {SlotVolume("Worker", "web", slot, "data") for slot in wanted} & doomed
