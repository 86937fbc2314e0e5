"""Zones and server groups: which zone is chosen, when the next member may be asked for, and what is told of the spread."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.api.cluster_status import MachinePhase
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.zones import choose_zone
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import MachineId
from swarm_operator.domain.quota import SERVER_GROUP, SERVER_GROUP_MEMBERS, Usage
from unit.cluster.builders import MANAGER, NOW, node, observation, record, server, server_group, spec, status, worker

WANTED = spec(workerPools=[{"name": "web", "replicas": 2}])
NO_HOST = "No valid host was found."


def zones(first: list[str], then: list[str] | None = None) -> Any:
    return spec(machine={"flavor": {"name": "f"}, "image": {"name": "i"}, "availabilityZones": first, "fallbackZones": then or []})


def failed(*tried: str) -> Any:
    return record(worker(0), MachinePhase.FAILED, node_id=None, message=NO_HOST, availability_zone=tried[-1] or None, zones_tried=list(tried))


def test_the_least_loaded_zone_and_the_first_of_equals() -> None:
    assert choose_zone(zones(["a", "b"]), worker(0), Counter(), []).zone == "a"
    assert choose_zone(zones(["a", "b"]), worker(0), Counter(a=1), []).zone == "b"
    assert choose_zone(zones(["a", "b"]), worker(0), Counter(a=2, b=1, c=0), []).zone == "b"
    assert choose_zone(spec(), worker(0), Counter(), []).zone is None, "Nova's choice"


def test_another_zone_where_no_host_was_found_and_the_fallback_last() -> None:
    of = zones(["a", "b"], ["c"])
    second = choose_zone(of, worker(0, 2), Counter(), [failed("a")])
    assert (second.zone, second.tried) == ("b", ("a",))
    third = choose_zone(of, worker(0, 3), Counter(), [failed("a", "b")])
    assert (third.zone, third.tried) == ("c", ("a", "b"))
    again = choose_zone(of, worker(0, 4), Counter(), [failed("a", "b", "c")])
    assert (again.zone, again.tried) == ("a", ()), "all were tried: all are open again"
    refused = record(worker(0), MachinePhase.FAILED, server_id=None, message=f"NoCapacity: {NO_HOST}", availability_zone="a")
    assert choose_zone(of, worker(0), Counter(), [refused]).zone == "b", "refused at once"
    assert choose_zone(zones([], ["c"]), worker(0, 2), Counter(), [failed("")]).zone == "c"
    assert choose_zone(of, worker(1), Counter(), [failed("a")]).zone == "a", "another slot"


@pytest.mark.parametrize(("fault", "tried"), [(NO_HOST, ["x", "a"]), ("the disk is broken", ["x"])])
def test_status_notes_the_zone_that_had_no_host(fault: str, tried: list[str]) -> None:
    """Another fault says nothing of the zone."""
    old = record(worker(0), MachinePhase.BUILDING, node_id=None, zones_tried=["x"])
    broken = server(worker(0), "ERROR", fault=fault, availability_zone="a")
    plan = decide(WANTED, status(record(MANAGER), old), observation(WANTED, [server(MANAGER), broken], [node(MANAGER)]), NOW)
    assert next(n.zones_tried for n in plan.status.nodes if n.slot == 0 and n.role == "Worker") == tried


def test_a_slot_with_data_volumes_stays_where_they_are() -> None:
    machine = {"flavor": {"name": "f"}, "image": {"name": "i"}, "availabilityZones": ["a", "b"], "volumes": [{"name": "d", "sizeGiB": 1, "mountPath": "/d"}]}
    of = spec(machine=machine)
    assert choose_zone(of, worker(0, 2), Counter(b=3), [record(worker(0), availability_zone="b")]).zone == "b"


def creates(seen: Any, *records: Any, of: Any = WANTED) -> list[tuple[MachineId, str | None]]:
    return [(x.machine, x.server_group_id) for x in decide(of, status(*records), seen, NOW).steps if isinstance(x, s.CreateServer)]


def test_the_next_member_waits_until_the_last_one_has_a_host() -> None:
    building = server(worker(0), "BUILD", age=2)
    nodes = [node(MANAGER)]
    first = record(worker(0), MachinePhase.BUILDING, node_id=None)
    assert creates(observation(WANTED, [server(MANAGER), building], nodes), record(MANAGER), first) == []
    placed = replace(building, host_id="host-1")
    assert creates(observation(WANTED, [server(MANAGER), placed], nodes), record(MANAGER), first) == [(worker(1), "group-web")]
    none = spec(workerPools=[{"name": "web", "replicas": 2, "machine": {"serverGroup": {"policy": "None"}}}])
    groups = Known((server_group(WANTED),))
    assert len(creates(observation(none, [server(MANAGER)], nodes, server_groups=groups), record(MANAGER), of=none)) == 2, "without a group all at once"


def test_a_missing_group_comes_before_its_servers() -> None:
    seen = observation(WANTED, [server(MANAGER)], [node(MANAGER)], server_groups=Known((server_group(WANTED),)))
    plan = decide(WANTED, status(record(MANAGER)), seen, NOW)
    assert [(x.pool, x.policy) for x in plan.steps if isinstance(x, s.CreateServerGroup)] == [("web", "soft-anti-affinity")]
    assert not any(isinstance(x, s.CreateServer) for x in plan.steps)
    blind = replace(seen, server_groups=Unknown(Reason.CLOUD_UNREACHABLE, "could not look"))
    plan = decide(WANTED, status(record(MANAGER)), blind, NOW)
    assert not any(isinstance(x, s.CreateServer | s.CreateServerGroup) for x in plan.steps), "unknown is not absent"
    assert next(v.reason for v in plan.verdicts if v.type == "MembersUpToDate") is Reason.CLOUD_UNREACHABLE


@pytest.mark.parametrize(("groups", "usage"), [((), {SERVER_GROUP: Usage(10, 10)}), (None, {SERVER_GROUP_MEMBERS: Usage(0, 1)})])
def test_by_default_servers_are_made_without_where_there_is_no_room(groups: Any, usage: dict[str, Usage]) -> None:
    """No further group, or no further member; where the policy is asked for by name, it is kept and the cloud's refusal is shown."""
    kept = {} if groups is None else {"server_groups": Known(groups)}
    full = observation(WANTED, [server(MANAGER), server(worker(0))], [node(MANAGER), node(worker(0))], compute_usage=Known(usage), **kept)
    records = (record(MANAGER), record(worker(0)))
    assert creates(full, *records) == [(worker(1), None)]
    plan = decide(WANTED, status(*records), full, NOW)
    (told,) = [v for v in plan.verdicts if v.type == "SpreadDegraded"]
    assert told.status == "True" and "no server group" in told.message
    asked = WANTED.model_copy(
        update={"machine": zones([]).machine.model_validate({**zones([]).machine.to_manifest(), "serverGroup": {"policy": "SoftAntiAffinity"}})}
    )
    assert (worker(1), None) not in creates(full, *records, of=asked)


def test_a_group_of_no_use_goes_once_none_of_ours_is_in_it() -> None:
    old = server_group(spec(machine={"flavor": {"name": "f"}, "image": {"name": "i"}, "serverGroup": {"policy": "Affinity"}}), "web", "srv-web-0-1")
    machines = [MANAGER, worker(0), worker(1)]
    seen = observation(WANTED, [*map(server, machines)], [*map(node, machines)], project_fresh=True)
    assert isinstance(seen.server_groups, Known)
    with_old = replace(seen, server_groups=Known((*seen.server_groups.value, replace(old, id="old"))))
    assert decide(WANTED, status(*map(record, machines)), with_old, NOW).steps == ()
    empty = replace(seen, server_groups=Known((*seen.server_groups.value, replace(old, id="old", members=("of-somebody",)))))
    (delete,) = decide(WANTED, status(*map(record, machines)), empty, NOW).steps
    assert isinstance(delete, s.DeleteInfrastructure) and (delete.kind, delete.evidence.value) == ("server-group", "old")
    assert decide(WANTED, status(*map(record, machines)), replace(empty, project_fresh=False), NOW).steps == ()


def told(servers: list[Server], of: Any) -> tuple[str, str]:
    ids = [MANAGER, worker(0), worker(1), worker(2)][: len(servers)]
    plan = decide(of, status(*map(record, ids)), observation(of, servers, [*map(node, ids)]), NOW)
    (verdict,) = [v for v in plan.verdicts if v.type == "SpreadDegraded"]
    assert next(v.status for v in plan.verdicts if v.type == "Ready") == "True", "it is for information"
    return verdict.status, verdict.message


def on(*hosts: str, zones: tuple[str | None, ...] = (None, None, None, None)) -> list[Server]:
    ids = [MANAGER, worker(0), worker(1), worker(2)]
    return [server(m, host_id=h, availability_zone=z) for m, h, z in zip(ids, hosts, zones, strict=False)]


def test_what_is_told_of_the_spread() -> None:
    assert told(on("h1", "h1", "h2"), WANTED)[0] == "False"
    assert told(on("h1", "h2", "h2"), WANTED) == ("True", "pool web: demo-web-0, demo-web-1 are on one host")
    three = spec(workerPools=[{"name": "web", "replicas": 3}])
    assert told(on("h1", "h1", "h2", "h2"), three)[0] == "False", "three on two hosts can be no better"
    of = zones(["a", "b"], ["c"])
    assert told(on("h1", "h2", "h3", zones=("a", "a", "b")), of)[0] == "False"
    assert told(on("h1", "h2", "h3", zones=("a", "a", "a")), of) == ("True", "pool web: 2 in zone a, 0 in zone b")
    assert told(on("h1", "h2", "h3", zones=("a", "a", "c")), of) == ("True", "pool web: servers in fallback zone c")
