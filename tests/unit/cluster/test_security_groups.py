"""Who may reach which port: two groups, their rules, and the way there from one group."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm_operator.domain.cloud import OwnedNetworking, SecurityGroup, SecurityRule
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.security_groups import PARTS, normal, plan_security_groups, wanted_rules
from swarm_operator.domain.facts import Known
from swarm_operator.domain.ownership import description
from unit.cluster.builders import MANAGER, NOW, UID, networking, node, observation, port_id, record, server, spec, status, worker

RULES = {"managed": {"operatorCidrs": ["192.0.2.7/24"], "publishedPorts": ["tcp/80", "udp/3000-3010"]}}


def plan(networks: OwnedNetworking, **changes: object) -> tuple[s.Step, ...]:
    return plan_security_groups(spec(**changes), status().infrastructure, UID, None, networks).steps


def test_each_port_is_open_to_those_who_need_it() -> None:
    wanted = wanted_rules(spec(securityGroups=RULES, swarm={"dataPathPort": 7777}, ssh={"port": 2222}))
    assert set(wanted["members"]) == {
        SecurityRule("tcp", 7946, 7946, remote_self=True),
        SecurityRule("udp", 7946, 7946, remote_self=True),
        SecurityRule("udp", 7777, 7777, remote_self=True),
        SecurityRule("esp", None, None, remote_self=True),
        SecurityRule("tcp", 2222, 2222, remote_group_id="managers"),
        SecurityRule("tcp", 80, 80, "0.0.0.0/0"),
        SecurityRule("udp", 3000, 3010, "0.0.0.0/0"),
    }
    assert set(wanted["managers"]) == {
        SecurityRule("tcp", 2377, 2377, remote_group_id="members"),
        SecurityRule("tcp", 2222, 2222, "192.0.2.0/24"),
        SecurityRule("tcp", 2376, 2376, "192.0.2.0/24"),
    }


def test_nothing_is_done_where_all_is_as_declared() -> None:
    assert plan(networking(spec(), MANAGER)) == ()


def test_rules_are_completed_and_strangers_removed() -> None:
    seen = networking(spec(workerPools=[]), MANAGER)
    steps = plan(seen, workerPools=[], securityGroups=RULES)
    assert {(x.rule.protocol, x.rule.port_min, x.group) for x in steps if isinstance(x, s.AddRule)} == {
        ("tcp", 22, "managers"),
        ("tcp", 2376, "managers"),
        ("tcp", 80, "members"),
        ("udp", 3000, "members"),
    }
    removed = [x.evidence.value[1] for x in steps if isinstance(x, s.RemoveRule)]
    assert {(r.port_min, r.remote_cidr) for r in removed} == {(22, "0.0.0.0/0"), (2376, "0.0.0.0/0")}


def test_a_rule_for_a_group_of_somebody_else_is_not_taken_for_one_from_anywhere() -> None:
    stranger = SecurityRule("tcp", 80, 80, remote_group_id="foreign")
    assert normal(stranger).remote_cidr is None
    members, managers = networking(spec(), MANAGER).security_groups
    seen = replace(networking(spec(), MANAGER), security_groups=(replace(members, rules={**members.rules, "x": stranger}), managers))
    assert [x.evidence.value for x in plan(seen) if isinstance(x, s.RemoveRule)] == [("x", stranger)]


def test_one_group_of_an_earlier_version_becomes_two_without_a_gap() -> None:
    """First the second group, then the managers' ports into it, and only then the rules out of the first."""
    seen = networking(spec(), MANAGER)
    members, managers = seen.security_groups
    old = SecurityRule("tcp", 2377, 2377, remote_self=True)
    before = replace(
        seen, security_groups=(replace(members, rules={**members.rules, "old": old}),), ports=tuple(replace(p, security_group_ids=("grp",)) for p in seen.ports)
    )
    first = plan(before)
    assert s.CreateSecurityGroup("managers") in first and not any(isinstance(x, s.RemoveRule | s.JoinGroups) for x in first)
    made = replace(before, security_groups=(*before.security_groups, managers))
    second = plan(made)
    assert [(type(x), x.evidence.value.id) for x in second if isinstance(x, s.JoinGroups)] == [(s.JoinGroups, port_id(MANAGER))]
    assert not any(isinstance(x, s.RemoveRule) for x in second)
    joined = replace(made, ports=seen.ports)
    assert plan(joined) == (s.RemoveRule(Known(("old", old))),)


@pytest.mark.parametrize("role", PARTS)
def test_a_group_made_twice_is_removed_once_nothing_lacks_the_other(role: str) -> None:
    seen = networking(spec(), MANAGER)
    twice = replace(seen, security_groups=(*seen.security_groups, SecurityGroup("z", "g", description(UID, "demo", PARTS[role]))))  # type: ignore[index]
    assert plan(twice) == (s.DeleteInfrastructure("security-group", Known("z"), "made twice"),)


def test_the_groups_are_no_orphans() -> None:
    seen = observation(spec(), [server(MANAGER), server(worker(0))], [node(MANAGER), node(worker(0))], networking=Known(networking(spec(), MANAGER)))
    orphans = decide(spec(), status(record(MANAGER), record(worker(0))), seen, NOW).status.orphans
    assert not [o for o in orphans if o.kind == "security-group"]
