"""What a server's mark covers, and what becomes of servers without one."""

from __future__ import annotations

from typing import Any

import pytest

from swarm_operator.domain.cluster.decide import decide
from swarm_operator.domain.cluster.machines import tabulate
from swarm_operator.domain.cluster.observation import MachineReferences
from swarm_operator.domain.cluster.standing import standings
from swarm_operator.domain.cluster.steps import StampServer
from swarm_operator.domain.cluster.template import ENGINE, TEMPLATE, Mark, Wanted, engine_difference, engine_mark, marks, taken_over, template, under_way
from unit.cluster.builders import MANAGER, NOW, node, observation, record, server, spec, status, worker

REFERENCES = MachineReferences("flavor", "image")
MACHINE: dict[str, Any] = {"flavor": {"name": "small"}, "image": {"name": "debian"}}


def marked(**changes: Any) -> dict[str, str]:
    return marks(spec(**changes), "web", REFERENCES)


def test_the_hash_of_a_plain_machine_never_changes() -> None:
    """A change of it would replace every server at the next upgrade of the operator: then the form of the mark has to change as well."""
    assert marked() == {
        TEMPLATE: "v1.93239876d5c6 flavor=5e8475 image=affa65",
        ENGINE: "v2.44136fa355b3.44136fa355b3",
    }


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"machine": {**MACHINE, "configDrive": True}}, ("configDrive",)),
        ({"machine": {**MACHINE, "serverGroup": {"policy": "AntiAffinity"}}}, ("serverGroup",)),
        ({"workerPools": [{"name": "web", "machine": {"configDrive": True}}]}, ("configDrive",)),
        ({"machine": {**MACHINE, "ports": [{"name": "main", "vnicType": "direct"}]}}, ("ports",)),
        ({"machine": {**MACHINE, "ports": [{"name": "main"}, {"name": "san"}]}}, ("ports",)),
        ({"engine": {"dataRoot": "/data"}}, ("engine.data_root",)),
        ({"engine": {"storageDriver": "vfs"}}, ("engine.storage_driver",)),
        ({"ssh": {"authorizedKeys": ["ssh-ed25519 AAAAAAAAAAA"]}}, ("ssh.authorizedKeys",)),
        ({"ssh": {"keyName": "k", "privateKeySecretRef": {"name": "s"}}}, ("ssh.keyName",)),
    ],
)
def test_what_needs_a_new_server(changes: dict[str, Any], parts: tuple[str, ...]) -> None:
    before = Mark.read(marked())
    assert before is not None
    assert before.hash != template(spec(**changes), "web", REFERENCES).hash
    assert before.differing(template(spec(**changes), "web", REFERENCES)) == parts


@pytest.mark.parametrize(("references", "part"), [(MachineReferences("other", "image"), "flavor"), (MachineReferences("flavor", "other"), "image")])
def test_flavor_and_image_count_by_id(references: MachineReferences, part: str) -> None:
    mark = Mark.read(marked())
    assert mark is not None and mark.differing(template(spec(), "web", references)) == (part,)


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": {**MACHINE, "metadata": {"team": "a"}}},
        {"machine": {**MACHINE, "ports": [{"name": "any", "tags": ["a"]}]}},
        {"machine": {**MACHINE, "tags": ["a"]}},
        {"workerPools": [{"name": "web", "replicas": 7, "nodeLabels": {"a": "b"}}]},
        {"managers": {"replicas": 3}},
        {"drainTimeoutSeconds": 5},
        {"machine": {**MACHINE, "availabilityZones": ["north"], "fallbackZones": ["south"]}},
        {"engine": {"labels": {"a": "b"}, "mtu": 1400}},
        {"ssh": {"user": "ubuntu", "port": 2222}},
    ],
)
def test_what_needs_none(changes: dict[str, Any]) -> None:
    assert marked(**changes)[TEMPLATE] == marked()[TEMPLATE]


@pytest.mark.parametrize(
    ("engine", "restart", "reload"),
    [
        ({"labels": {"a": "b"}}, False, True),
        ({"registryMirrors": ["https://mirror"], "insecureRegistries": ["r:5000"]}, False, True),
        ({"extra": {"debug": True}}, False, True),
        ({"mtu": 1400}, True, False),
        ({"logDriver": "local", "labels": {"a": "b"}}, True, True),
        ({"extra": {"default-ulimits": {}}}, True, False),
        ({"dataRoot": "/data"}, False, False),
    ],
)
def test_what_of_the_engine_is_reloaded(engine: dict[str, Any], restart: bool, reload: bool) -> None:
    before, after = (engine_mark(spec(**changes).engine).split(".") for changes in ({}, {"engine": engine}))
    assert (before[1] != after[1], before[2] != after[2]) == (restart, reload)


def test_a_mark_fits_into_metadata() -> None:
    parts = {f"field{n}": "abcdef" for n in range(40)}
    made = template(spec(), "web", REFERENCES)
    long = type(made)({**made.parts, **parts}).mark
    assert len(long) <= 255
    read = Mark.read({TEMPLATE: long})
    assert read is not None and set(read.parts) < {*made.parts, *parts}


@pytest.mark.parametrize("text", ["", "v0.abc flavor=1", "v1", "v1.", "nonsense"])
def test_marks_of_another_form_say_nothing(text: str) -> None:
    assert Mark.read({TEMPLATE: text}) is None


def steady(metadata: dict[str, str] | None = None, **changes: Any) -> Any:
    """The plan for a healthy cluster whose worker carries `metadata`."""
    of = spec(workerPools=[{"name": "web", "replicas": 1}], **changes)
    seen = observation(of, [server(MANAGER), server(worker(0), metadata=metadata)], [node(MANAGER), node(worker(0))])
    return decide(of, status(record(MANAGER), record(worker(0))), seen, NOW)


def test_a_server_without_marks_is_taken_as_it_is() -> None:
    plan = steady({TEMPLATE: "", ENGINE: ""})
    assert [type(s) for s in plan.steps] == [StampServer]
    assert plan.steps[0].values == marks(spec(), "web", REFERENCES)
    assert steady().steps == (), "and only once"


def test_no_mark_is_made_up_while_the_image_is_not_known() -> None:
    of = spec(workerPools=[{"name": "web", "replicas": 1}])
    seen = observation(of, [server(MANAGER), server(worker(0), metadata={TEMPLATE: ""})], [node(MANAGER), node(worker(0))], machine_references={})
    assert not [s for s in decide(of, status(record(MANAGER), record(worker(0))), seen, NOW).steps if isinstance(s, StampServer)]


def test_status_says_who_is_up_to_date() -> None:
    old = Mark.read(marked(machine={**MACHINE, "configDrive": True}))
    assert old is not None
    plan = steady({TEMPLATE: f"v1.{old.hash} flavor=5e8475 image=affa65 configDrive={old.parts['configDrive']}"})
    manager, outdated = plan.status.nodes
    assert manager.up_to_date is True and manager.template_hash == template(spec(), "", REFERENCES).hash
    assert outdated.up_to_date is False and outdated.template_hash == old.hash


def test_standing_names_the_difference() -> None:
    of = spec()
    seen = observation(of, [server(MANAGER, metadata={TEMPLATE: "v1.0123456789ab flavor=5e8475 image=000000", ENGINE: "v2.0.0"})])
    table = tabulate(status(), seen, NOW)
    (found,) = standings(of, Wanted.of(of, seen), table.machines, NOW).values()
    assert found.why == ("image",) and found.engine_why == "restart" and found.outdated


WANTED = "v2.aaa.bbb"


@pytest.mark.parametrize(
    ("mark", "difference"),
    [
        (None, ""),
        ("", ""),
        ("v1.xxx.yyy", ""),
        ("v2.xxx", ""),
        (WANTED, ""),
        ("v2.aaa.yyy", "reload"),
        ("v2.xxx.bbb", "restart"),
        ("v2.xxx.yyy", "restart"),
        ("v2.xxx.yyy.aaa.bbb", ""),
        ("v2.xxx.yyy.aaa.ccc", "restart"),
    ],
)
def test_how_an_engine_differs(mark: str | None, difference: str) -> None:
    assert engine_difference(mark, WANTED) == difference


@pytest.mark.parametrize(
    ("mark", "taken"),
    [("", WANTED), ("v1.aaa.bbb", WANTED), ("v1.xxx.bbb", "v2.xxx.bbb.aaa.bbb"), ("v1.xxx", WANTED), ("v9.x.y", WANTED)],
)
def test_marks_of_before_are_taken_over_without_a_change(mark: str, taken: str) -> None:
    assert taken_over(mark, WANTED) == taken
    assert engine_difference(taken, WANTED) == "", "an upgrade restarts no engine"
    assert engine_difference(taken, "v2.new.bbb") == "restart", "the next change of the settings does"


@pytest.mark.parametrize("mark", ["", WANTED, "v2.xxx.yyy", "v2.xxx.yyy.aaa.bbb", "v2.?.bbb"])
def test_while_a_change_is_under_way_no_settings_are_in_force(mark: str) -> None:
    for wanted in (WANTED, mark if mark.count(".") == 2 and "?" not in mark else WANTED):
        assert engine_difference(under_way(mark, restart=True), wanted) == "restart"
        assert engine_difference(under_way(mark, restart=False), wanted) in ("reload", "restart")
