"""Specs are parsed or refused with the path of the field; statuses always parse."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_operator.api.cluster_status import MachinePhase, MachineStatus, RoleCount, SwarmClusterStatus
from swarm_operator.api.conditions import Condition
from swarm_operator.api.parse import SpecError, parse_cluster, parse_cluster_status, parse_service, parse_service_status
from swarm_operator.api.service import SwarmServiceStatus

NOW = "2026-11-23T20:00:00Z"
CLUSTER: dict[str, Any] = {"identityRef": {"secretName": "s"}, "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}}}
SERVICE: dict[str, Any] = {"clusterRef": {"name": "c"}, "image": "i"}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"identityRef": {}}, "spec.identityRef.secretName", "is required"),
        ({"machine": {"flavor": {"name": "f"}}}, "spec.machine.image", "is required"),
        ({"paused": "perhaps"}, "spec.paused", "must be true or false"),
        ({"join": "Token"}, "spec.join", "must be one of `SSH` or `Metadata`"),
        ({"workerPools": {}}, "spec.workerPools", "must be a list"),
        ({"workerPools": [{"name": "a"}, {"replicas": 1}]}, "spec.workerPools[1].name", "is required"),
        ({"workerPools": [{"name": "a", "replicas": "many"}]}, "spec.workerPools[0].replicas", "must be an integer"),
        ({"workerPools": [{"name": "a", "replicas": -1}]}, "spec.workerPools[0].replicas", "must be at least 0"),
        ({"workerPools": [{"name": "", "replicas": 1}]}, "spec.workerPools[0].name", "must be at least 1 characters long"),
        ({"drainTimeoutSeconds": 10**7}, "spec.drainTimeoutSeconds", "must be at most 604800"),
        ({"machine": None}, "spec.machine", "must be an object"),
        ({"network": {"managed": {"cidr": "10.0.0.300/24"}}}, "spec.network.managed.cidr", "must match "),
        ({"engine": {"fixedCIDR": 1}}, "spec.engine.fixedCIDR", "must be a string"),
        ({"engine": {"labels": {"rack": 1}}}, "spec.engine.labels.rack", "must be a string"),
        ({"managers": {"floatingIP": {"enabled": []}}}, "spec.managers.floatingIP.enabled", "must be true or false"),
        ({"swarm": {"defaultAddrPools": []}}, "spec.swarm.defaultAddrPools", "must be at least 1 entries long"),
    ],
)
def test_wrong_cluster_names_the_field(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_cluster({**CLUSTER, **change})
    assert error.value.field == field
    assert error.value.message.startswith(message)
    assert str(error.value).startswith(f"{field}: {message}")


def test_all_problems_are_told() -> None:
    with pytest.raises(SpecError) as error:
        parse_service({"clusterRef": {}, "ports": [{"targetPort": 0}]})
    assert [problem.field for problem in error.value.problems] == ["spec.clusterRef.name", "spec.image", "spec.ports[0].targetPort"]


@pytest.mark.parametrize("spec", [None, [], "spec", 3])
def test_no_spec(spec: Any) -> None:
    for parse in (parse_cluster, parse_service):
        with pytest.raises(SpecError) as error:
            parse(spec)
        assert error.value.field == "spec"


def test_a_secret_in_a_wrong_place_is_not_repeated() -> None:
    """Messages go into status: they must not carry what somebody wrote into a field by mistake."""
    with pytest.raises(SpecError) as error:
        parse_cluster({**CLUSTER, "identityRef": {"secretName": "hunter2 password!"}})
    assert "hunter2" not in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def machine(**changes: Any) -> dict[str, Any]:
    entry = MachineStatus(name="c-a-0", role="Worker", pool="a", slot=0, machine_uid="m", server_id="s", phase=MachinePhase.READY, phase_since=NOW)
    return {**entry.to_manifest(), **changes}


CONDITION = Condition(type="Ready", status="True", observed_generation=1, last_transition_time=NOW, reason="Reconciled", message="").to_manifest()
STATUS: dict[str, Any] = {"observedGeneration": 1, "conditions": [CONDITION], "workers": {"desired": 1}, "swarmID": "w", "nodes": [machine()]}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value in the tree."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, child in value.items():
            found += places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            found += places(child, (*path, index))
    return found


@given(JSON)
def test_any_status_parses(status: Any) -> None:
    assert isinstance(parse_cluster_status(status), SwarmClusterStatus)
    assert isinstance(parse_service_status(status), SwarmServiceStatus)


@given(st.sampled_from(places(STATUS)), JSON)
def test_a_damaged_status_parses_and_the_rest_of_it_is_kept(place: tuple[Any, ...], junk: Any) -> None:
    status = copy.deepcopy(STATUS)
    target = status
    for part in place[:-1]:
        target = target[part]
    target[place[-1]] = junk
    parsed = parse_cluster_status(status)
    if place[0] != "swarmID":
        assert parsed.swarm_id == "w"
    if place[0] != "conditions":
        assert [c.type for c in parsed.conditions] == ["Ready"]
    if place[0] != "nodes":
        assert parsed.nodes == [MachineStatus.model_validate(machine())]


def test_a_bad_entry_goes_and_its_neighbours_stay() -> None:
    bad = machine(name="c-a-1", machineUID="m1")
    del bad["phase"]
    odd = machine(name="c-a-2", machineUID="m2", incarnation="x", address=["?"])
    parsed = parse_cluster_status({"nodes": [bad, machine(), odd, "junk", machine(name="c-a-3", machineUID="m3", phase="Unheard")], "workers": 3})
    assert [(node.machine_uid, node.incarnation, node.address) for node in parsed.nodes] == [("m", 1, None), ("m2", 1, None)]
    assert parsed.workers == RoleCount()


def test_several_bad_entries_take_no_good_one_along() -> None:
    nodes = ["junk", "junk", *(machine(name=f"c-a-{n}", machineUID=f"m{n}") for n in range(3))]
    assert [node.machine_uid for node in parse_cluster_status({"nodes": nodes}).nodes] == ["m0", "m1", "m2"]


def test_the_input_is_left_alone() -> None:
    status = {"nodes": ["junk"]}
    parse_cluster_status(status)
    assert status == {"nodes": ["junk"]}


def test_a_status_written_by_us_comes_back_equal() -> None:
    parsed = parse_cluster_status(STATUS)
    assert parse_cluster_status(parsed.to_manifest()) == parsed
    assert parsed.nodes[0].server_id == "s"
