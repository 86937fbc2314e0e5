"""Counting tasks, and which nodes a global service is owed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.api.service import AllocatedPort
from swarm_operator.domain.service.convergence import measure
from swarm_operator.domain.service.endpoints import endpoints, virtual_ips
from swarm_operator.domain.service.live import LiveService, adoptable, parse, pick
from swarm_operator.domain.service.placement import eligible
from swarm_operator.domain.service.render import Owner
from swarm_operator.domain.swarm import Node, OverlayInfo, SwarmView


def node(name: str, *, state: str = "ready", availability: str = "active", role: str = "worker", address: str = "", **labels: str) -> Node:
    return Node(name, f"host-{name}", role, availability, state, 1, address=address, labels=labels)


def task(number: int, slot: int = 0, on: str = "n1", state: str = "running", wanted: str = "running", error: str = "") -> dict[str, Any]:
    return {"ID": f"t{number}", "Slot": slot, "NodeID": on, "DesiredState": wanted, "Status": {"State": state, "Err": error}}


def service(mode: dict[str, Any], constraints: tuple[str, ...] = ()) -> LiveService:
    return LiveService("s", 1, {"Mode": mode, "TaskTemplate": {"Placement": {"Constraints": list(constraints)}}})


REPLICATED = service({"Replicated": {"Replicas": 2}})
GLOBAL = service({"Global": {}})
VIEW = SwarmView("swarm", (node("n1"), node("n2"), node("gone", state="down"), node("idle", availability="drain")))


@pytest.mark.parametrize(
    ("tasks", "running", "full"),
    [
        ([task(1, 1), task(2, 2, "n2")], 2, True),
        ([task(1, 1)], 1, False),
        ([task(1, 1), task(2, 2, "gone")], 1, False),  # a task on a node that is down still says running
        ([task(1, 1), task(2, 1, state="failed", wanted="shutdown")], 1, False),
        ([task(1, 1), task(2, 2, state="starting")], 1, False),
        ([task(1, 1), task(2, 2, state="failed", wanted="shutdown"), task(3, 2)], 2, True),
        ([task(1, 1), task(2, 2), task(3, 3)], 3, False),  # one too many is not there yet either
        ([task(1, 1), task(2, 2, wanted="shutdown")], 1, False),
    ],
)
def test_replicated(tasks: list[dict[str, Any]], running: int, full: bool) -> None:
    measured = measure(REPLICATED, VIEW, tasks)
    assert (measured.desired, measured.running, measured.full) == (2, running, full)


def test_global_is_measured_against_the_nodes_that_could_run_it() -> None:
    assert measure(GLOBAL, VIEW, [task(1, on="n1")]).full is False
    both = measure(GLOBAL, VIEW, [task(1, on="n1"), task(2, on="n2"), task(3, on="idle"), task(4, on="gone")])
    assert (both.desired, both.running, both.full) == (2, 2, True)
    none = measure(service({"Global": {}}, ("node.labels.gpu == yes",)), VIEW, [])
    assert (none.full, none.no_eligible_node) == (False, True)


def test_a_node_that_does_not_tell_its_platform_is_left_to_the_orchestrator() -> None:
    arm = service({"Global": {}}, ("node.platform.arch == aarch64",))
    assert measure(arm, VIEW, [task(1, on="n1")]).full
    assert not measure(arm, VIEW, []).full


@pytest.mark.parametrize(
    ("constraint", "names"),
    [
        ("node.role==manager", ["a"]),
        ("node.role != manager", ["b"]),
        ("node.labels.zone == EAST", ["a"]),
        ("node.labels.zone != east", ["b"]),
        ("node.labels.none == ", ["a", "b"]),
        ("node.hostname==host-b", ["b"]),
        ("node.id != b", ["a"]),
        ("node.ip == 10.0.0.0/24", ["a"]),
        ("node.ip != 10.0.0.0/24", ["b"]),
        ("node.ip == 10.0.1.7", ["b"]),
        ("node.platform.os == linux", ["a", "b"]),
        ("node.platform.arch == X86_64", ["a"]),
        ("node.platform.arch != x86_64", ["b"]),
        ("engine.labels.disk == ssd", ["a"]),
        ("engine.labels.disk != ssd", ["b"]),
    ],
)
def test_eligible_nodes(constraint: str, names: list[str]) -> None:
    nodes = (
        replace(node("a", role="manager", address="10.0.0.7", zone="east"), os="linux", arch="x86_64", engine_labels={"disk": "ssd"}),
        replace(node("b", address="10.0.1.7"), os="linux", arch="aarch64", engine_labels={}),
    )
    chosen, judged = eligible(nodes, {"Constraints": [constraint]})
    assert ([n.id for n in chosen], judged) == (names, True)


def test_failures_are_grouped_with_the_engines_words() -> None:
    tasks = [task(i, i, state="rejected", wanted="shutdown", error="No such image") for i in (1, 2)]
    tasks += [
        task(3, 3, on="", state="pending", error="no suitable node (scheduling constraints not satisfied on 2 nodes)"),
        task(4, 4),
        task(5, 5, state="preparing"),
    ]
    measured = measure(REPLICATED, VIEW, tasks)
    assert [(f.node, f.state, f.count) for f in measured.failing] == [("host-n1", "rejected", 2), ("", "pending", 1)]
    assert measured.crashed


OWNER = Owner("u", "ns", "web")


def live(service_id: str, name: str, **labels: str) -> LiveService:
    mapped = {key.replace("_", ".").replace("uid", "service-uid"): value for key, value in labels.items()}
    return LiveService(service_id, 1, {"Name": name, "Labels": mapped})


def test_ownership_is_by_uid_and_never_by_name() -> None:
    mine, other, plain = live("1", "web", io_swarmops_uid="u"), live("2", "web", io_swarmops_uid="v"), live("3", "web")
    assert pick([other, mine], OWNER, "web", None) == (mine, None)
    assert pick([other], OWNER, "web", "2") == (None, other)  # the recorded id does not outweigh another owner's label
    assert pick([plain], OWNER, "web", "3") == (plain, None)  # our label was taken off by hand
    assert pick([plain], OWNER, "web", None) == (None, plain)
    assert pick([live("4", "web2")], OWNER, "web", None) == (None, None)
    assert adoptable(plain, OWNER)
    assert not adoptable(other, OWNER)


def test_a_manual_rollback_is_not_one_by_failure() -> None:
    raw = {"ID": "s", "Version": {"Index": 3}, "Spec": {}, "UpdateStatus": {"State": "rollback_started", "Message": "manually requested rollback"}}
    assert not parse(raw).rolled_back_by_failure
    raw["UpdateStatus"] = {"State": "rollback_completed", "Message": "rollback completed"}
    raw["PreviousSpec"] = {}
    assert not parse(raw).rolled_back_by_failure
    del raw["PreviousSpec"]
    raw["UpdateStatus"] = {"State": "rollback_completed", "Message": "rollback completed"}
    assert parse(raw).rolled_back_by_failure


def job_task(number: int, slot: int, state: str, iteration: int = 7, on: str = "n1") -> dict[str, Any]:
    return {**task(number, slot, on, state, "complete"), "JobIteration": {"Index": iteration}}


def test_a_replicated_job_is_done_when_every_slot_of_this_run_has_completed() -> None:
    job = replace(service({"ReplicatedJob": {"TotalCompletions": 2, "MaxConcurrent": 1}}), job_iteration=7)
    half = measure(job, VIEW, [job_task(1, 0, "complete"), job_task(2, 1, "running"), job_task(3, 1, "complete", iteration=5)])
    assert (half.desired, half.running, half.active, half.full, half.job) == (2, 1, 1, False, True)
    again = measure(job, VIEW, [job_task(1, 0, "complete"), job_task(2, 1, "failed"), job_task(3, 1, "complete")])
    assert (again.running, again.full, again.crashed) == (2, True, True)
    assert measure(job, VIEW, []).full is False


def test_a_global_job_is_done_on_the_nodes_that_it_was_given() -> None:
    job = replace(service({"GlobalJob": {}}), job_iteration=7)
    assert measure(job, VIEW, []).desired == 2
    assert measure(job, VIEW, [job_task(1, 0, "complete"), job_task(2, 0, "running", on="n2")]).full is False
    assert measure(job, VIEW, [job_task(1, 0, "complete"), job_task(2, 0, "complete", on="n2")]).full is True


@pytest.mark.parametrize(
    ("platforms", "names"),
    [
        ([("linux", "amd64")], ["a"]),
        ([("linux", "arm64"), ("linux", "amd64")], ["a", "b"]),
        ([("linux", "")], ["a", "b"]),
        ([("", "aarch64")], ["b"]),
        ([("windows", "amd64")], []),
    ],
)
def test_platforms_are_matched_as_the_scheduler_does(platforms: list[tuple[str, str]], names: list[str]) -> None:
    nodes = (replace(node("a"), os="linux", arch="x86_64"), replace(node("b"), os="linux", arch="aarch64"))
    chosen, judged = eligible(nodes, {"Platforms": [{"OS": os, "Architecture": arch} for os, arch in platforms]})
    assert ([n.id for n in chosen], judged) == (names, True)
    assert eligible((node("silent"),), {"Platforms": [{"OS": "linux"}]})[1] is False


def test_more_replicas_than_placement_has_room_for_is_known_beforehand() -> None:
    crowded = LiveService("s", 1, {"Mode": {"Replicated": {"Replicas": 5}}, "TaskTemplate": {"Placement": {"MaxReplicas": 2}}})
    assert measure(crowded, VIEW, []).room == 4
    nowhere = LiveService("s", 1, {"Mode": {"Replicated": {"Replicas": 1}}, "TaskTemplate": {"Placement": {"Constraints": ["node.labels.gpu==yes"]}}})
    assert (measure(nowhere, VIEW, []).room, measure(nowhere, VIEW, []).no_eligible_node) == (0, True)
    assert measure(REPLICATED, VIEW, []).room is None


def test_endpoints_are_all_nodes_for_ingress_and_those_with_a_task_for_host_ports() -> None:
    view = SwarmView("swarm", (node("n1", address="10.0.0.1"), node("n2", address="10.0.0.2"), node("gone", state="down", address="10.0.0.3")))
    ports = (AllocatedPort(target_port=80, published_port=30000), AllocatedPort(target_port=81, publish_mode="host"))
    own = LiveService("s", 1, {}, ports=ports, virtual_ips=(("net1", "10.1.0.2/24"), ("net2", "10.2.0.2/24")))
    host = {"PortStatus": {"Ports": [{"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 32768, "PublishMode": "host"}]}}
    tasks = [task(1, 1, "n2"), task(2, 2, "gone"), task(3, 3, "n1", state="failed", wanted="shutdown")]
    for entry in tasks:
        entry["Status"] |= host
    found = endpoints(own, view, tasks, ())
    assert [(e.address, e.port, e.publish_mode) for e in found] == [("10.0.0.1", 30000, "ingress"), ("10.0.0.2", 30000, "ingress"), ("10.0.0.2", 32768, "host")]
    assert endpoints(own, view, None, found) == found  # not read: what was known stands
    named = replace(view, networks=(OverlayInfo("net1", "front", "overlay"),))
    assert [(v.network, v.address) for v in virtual_ips(own, named)] == [("front", "10.1.0.2"), ("net2", "10.2.0.2")]
    assert len(endpoints(own, SwarmView("s", tuple(node(f"n{i}", address=f"10.0.1.{i}") for i in range(200))), None, ())) == 64
