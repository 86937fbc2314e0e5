"""What the commands that change objects write, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from swarm_operator.api.swarm import SwarmSpec
from swarm_operator.cli.change import ROTATED
from swarm_operator.cli.completion import ROTATIONS
from swarm_operator.domain.errors import ErrorKind, ExternalError
from unit.cli.fakes import CLUSTER, SERVICE, STACK, Call, FakeApi, run

REMEDIATE = "swarmops.io/remediate"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def annotated(names: str, **spec: Any) -> dict[str, Any]:
    return {**CLUSTER, "metadata": {**CLUSTER["metadata"], "annotations": {REMEDIATE: names}}, "spec": {**CLUSTER["spec"], **spec}}


def test_pause_and_resume_write_only_paused() -> None:
    api = FakeApi()
    assert run("pause", "main", api=api) == "cluster shop/main paused\n"
    assert run("resume", "service/web", api=api) == "service shop/web resumed\n"
    assert api.writes == [("swarmclusters", "main", {"spec": {"paused": True}}), ("swarmservices", "web", {"spec": {"paused": False}})]
    stacks = FakeApi(STACK)
    assert run("pause", "stack/blog", api=stacks) == "stack shop/blog paused\n"
    assert stacks.writes == [("swarmstacks", "blog", {"spec": {"paused": True}})]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ExternalError, match="neither"):
        run("pause", "pod/x")


def test_restart_annotates_each_service_with_a_new_time() -> None:
    api = FakeApi()
    run("restart", "web", "service/web", api=api)
    stamps = [body["metadata"]["annotations"]["swarmops.io/restartedAt"] for _, _, body in api.writes]
    assert [(plural, name) for plural, name, _ in api.writes] == [("swarmservices", "web")] * 2
    assert all(STAMP.fullmatch(stamp) for stamp in stamps) and stamps[0] != stamps[1]


def test_a_job_is_not_restarted() -> None:
    api = FakeApi({**SERVICE, "spec": {**SERVICE["spec"], "mode": "replicated-job"}})
    with pytest.raises(ExternalError, match="job"):
        run("restart", "web", api=api)
    assert api.writes == []


def test_rollback_takes_the_revision_that_was_applied_last_before_the_present_one() -> None:
    api = FakeApi()
    assert "held at revision 1;" in run("rollback", "web", api=api), "revision 1 was applied again after 2"
    assert api.writes == [("swarmservices", "web", {"spec": {"rollbackTo": {"revision": 1}}})]


def test_rollback_to_a_revision_and_back_to_the_spec() -> None:
    api = FakeApi()
    run("rollback", "web", "--to-revision", "2", api=api)
    run("rollback", "web", "--release", api=api)
    assert [body for _, _, body in api.writes] == [{"spec": {"rollbackTo": {"revision": 2}}}, {"spec": {"rollbackTo": None}}]


def test_rollback_refuses_what_is_not_kept() -> None:
    api = FakeApi()
    with pytest.raises(ExternalError, match="no revision 7; kept are: 3, 2, 1"):
        run("rollback", "web", "--to-revision", "7", api=api)
    with pytest.raises(ExternalError, match="no earlier revision"):
        run("rollback", "lost", api=api)
    assert api.writes == []


def test_replace_adds_the_machine_to_those_that_are_named() -> None:
    api = FakeApi(annotated("other-0, w-0"))
    assert run("replace", "w-0", api=api).startswith("machine w-0 of cluster shop/main will be replaced")
    assert api.writes == [], "it is asked for already"
    api = FakeApi(annotated("other-0"))
    run("replace", "w-0", api=api)
    assert api.writes == [("swarmclusters", "main", {"metadata": {"resourceVersion": "1", "annotations": {REMEDIATE: "other-0,w-0"}}})]


def test_replace_can_be_taken_back() -> None:
    api = FakeApi(annotated("w-0"))
    run("replace", "w-0", "--cancel", api=api)
    assert api.writes[0][2]["metadata"]["annotations"] == {REMEDIATE: None}
    gone = FakeApi(annotated("w-9,w-0"))
    run("replace", "w-9", "--cancel", "--cluster", "main", api=gone)
    assert gone.writes[0][2]["metadata"]["annotations"] == {REMEDIATE: "w-0"}


def test_replace_tries_again_where_somebody_else_was_quicker() -> None:
    api = FakeApi()
    api.conflicts = 2
    run("replace", "w-0", api=api)
    assert len(api.writes) == 1
    api.conflicts = 9
    with pytest.raises(ExternalError) as refused:
        run("replace", "w-0", api=api)
    assert refused.value.kind is ErrorKind.CONFLICT


def test_the_only_manager_is_not_replaced() -> None:
    api = FakeApi()
    with pytest.raises(ExternalError, match="only manager"):
        run("replace", "m-0", api=api)
    assert api.writes == []
    asked_for = FakeApi(annotated("", rollout={"loneManager": "Replace"}))
    run("replace", "m-0", api=asked_for)
    assert len(asked_for.writes) == 1
    several = FakeApi(annotated("", managers={"replicas": 3}))
    run("replace", "m-0", api=several)
    assert len(several.writes) == 1


def test_a_machine_of_two_clusters_must_be_told_apart() -> None:
    twin = {**CLUSTER, "metadata": {**CLUSTER["metadata"], "name": "twin"}}
    with pytest.raises(ExternalError, match="main, twin"):
        run("replace", "w-0", api=FakeApi(CLUSTER, twin))
    api = FakeApi(CLUSTER, twin)
    run("replace", "w-0", "--cluster", "twin", api=api)
    assert api.writes[0][1] == "twin"
    with pytest.raises(ExternalError, match="has a machine 'w-7'"):
        run("replace", "w-7")


def test_rotate_writes_a_new_nonce() -> None:
    api = FakeApi()
    run("rotate", "main", api=api)
    run("rotate", "main", api=api)
    nonces = [body["spec"]["swarm"]["rotateJoinTokens"] for _, _, body in api.writes]
    assert nonces[0] != nonces[1] and all(STAMP.fullmatch(nonce) and len(nonce) <= 64 for nonce in nonces)
    with pytest.raises(ExternalError, match="not found"):
        Call("rotate", "absent", api=api)


def test_unlock_key_and_ca_are_rotated_where_there_are_any() -> None:
    api = FakeApi(annotated("", swarm={"autolock": True}))
    run("rotate", "main", "unlock-key", "ca", "ca", api=api)
    (written,) = [body["spec"]["swarm"] for _, _, body in api.writes]
    assert set(written) == {"rotateUnlockKey", "rotateCA"} and set(ROTATED) == set(ROTATIONS)
    assert {SwarmSpec.model_fields[name].alias or to_camel(name) for name in ("rotate_join_tokens", "rotate_unlock_key", "rotate_ca")} == set(ROTATED.values())
    unlocked = FakeApi()
    with pytest.raises(ExternalError, match="autolock is off"):
        run("rotate", "main", "unlock-key", api=unlocked)
    with pytest.raises(ExternalError, match="'keys' is none of"):
        run("rotate", "main", "keys", api=unlocked)
    assert unlocked.writes == []


def test_adopt_is_for_services_that_have_none_yet() -> None:
    api = FakeApi()
    assert "takes over the service lost of the swarm" in run("adopt", "lost", api=api)
    assert api.writes == [("swarmservices", "lost", {"spec": {"adoptionPolicy": "IfUnowned"}})]
    with pytest.raises(ExternalError, match="already"):
        run("adopt", "web", api=api)


def test_backup_asks_for_one_by_a_new_text_each_time() -> None:
    api = FakeApi()
    run("backup", "main", api=api)
    run("backup", "main", api=api)
    (plural, name, first), (_, _, second) = api.writes
    assert (plural, name, set(first["spec"]), set(first["spec"]["backup"])) == ("swarmclusters", "main", {"backup"}, {"now"})
    assert first["spec"]["backup"]["now"] != second["spec"]["backup"]["now"]


def test_renew_names_the_time_before_which_machines_were_made() -> None:
    api = FakeApi()
    run("renew", "main", api=api)
    ((plural, name, body),) = api.writes
    assert (plural, name) == ("swarmclusters", "main") and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["spec"]["rollout"]["after"])
    assert set(body["spec"]) == {"rollout"} and set(body["spec"]["rollout"]) == {"after"}
