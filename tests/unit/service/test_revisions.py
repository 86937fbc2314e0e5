"""Revisions are kept, a spec can be held at one, and a paused update is continued where that is wanted: the controller against a swarm and an API server in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.api.parse import parse_service
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.revisions import HELD, OUTSIDE, Kept, RevisionProblem, held_at, recording, template_of
from swarm_operator.domain.swarm import ImageManifest
from swarm_operator.engine.outcome import After, Done
from unit.service.test_controller import SPEC, WEB, World

PAUSED = "update paused due to failure or early termination of task x"


@pytest.fixture
def world() -> World:
    world = World()
    world.objects.put(WEB, SPEC)
    assert world.settle() == Done()
    return world


def apply(world: World, **spec: Any) -> None:
    world.objects.put(WEB, {**SPEC, **spec})
    assert world.settle() == Done()


def image(world: World) -> str:
    return str(world.live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])


def numbers(world: World) -> list[int]:
    return [r["revision"] for r in world.status["revisions"]]


def message(world: World, kind: str) -> str:
    return str(next(c for c in world.status["conditions"] if c["type"] == kind)["message"])


# -- the record


def test_each_template_is_one_revision_and_scaling_is_none(world: World) -> None:
    assert (world.status["revision"], numbers(world)) == (1, [1])
    apply(world, replicas=5, driftPolicy="Report", updateConfig={"parallelism": 2})
    assert numbers(world) == [1]
    apply(world, image="nginx:2")
    assert (world.status["revision"], numbers(world)) == (2, [2, 1])
    assert [r["image"] for r in world.status["revisions"]] == ["nginx:2", "nginx:1"]
    apply(world)  # back by an edit: the same revision, the same number
    assert (world.status["revision"], numbers(world)) == (1, [2, 1])
    first = next(r for r in world.status["revisions"] if r["revision"] == 1)
    assert first["appliedAt"] > next(r for r in world.status["revisions"] if r["revision"] == 2)["appliedAt"]
    (_, kept) = world.objects.revisions.kept[("default", first["name"])]
    assert kept.template == {"image": "nginx:1", "labels": {"tier": "front"}}


def test_at_rest_no_revision_is_read(world: World) -> None:
    world.objects.revisions.calls.clear()
    world.objects.applied.clear()
    for _ in range(3):
        world.once()
    world.restart()
    world.once()
    assert world.objects.revisions.calls == []
    assert world.objects.applied == []


def test_a_lost_status_gives_back_the_same_numbers(world: World) -> None:
    apply(world, image="nginx:2")
    before = {r["revision"]: r["hash"] for r in world.status["revisions"]}
    world.restart()
    world.objects.resources[WEB] = replace(world.objects.resources[WEB], status={})
    world.settle()
    assert {r["revision"]: r["hash"] for r in world.status["revisions"]} == before
    assert world.status["revision"] == 2
    assert len(world.objects.revisions.kept) == 2


def test_a_crash_between_record_and_status_makes_no_second_revision(world: World) -> None:
    world.objects.put(WEB, {**SPEC, "image": "nginx:2"})
    world.once()
    world.objects.fail_status = ExternalError(ErrorKind.TRANSIENT, "kubernetes", "connection refused")
    world.once()
    world.restart()
    world.settle()
    assert numbers(world) == [2, 1]
    assert len(world.objects.revisions.kept) == 2


def test_the_oldest_go_and_what_is_pinned_stays(world: World) -> None:
    for number in range(2, 6):
        apply(world, image=f"nginx:{number}", revisionHistoryLimit=2)
    assert numbers(world) == [5, 4, 3]
    assert len(world.objects.revisions.kept) == 3
    apply(world, image="nginx:5", revisionHistoryLimit=0)
    assert numbers(world) == [5]
    for number in range(6, 9):
        apply(world, image=f"nginx:{number}", revisionHistoryLimit=1)
    apply(world, image="nginx:8", revisionHistoryLimit=1, rollbackTo={"revision": 7})
    assert (world.status["revision"], image(world)) == (7, "nginx:7")
    assert numbers(world) == [8, 7]


def test_what_can_not_be_kept_is_told_and_tried_again_and_the_service_runs_on(world: World) -> None:
    world.objects.revisions.failure = ExternalError(ErrorKind.FORBIDDEN, "kubernetes", "controllerrevisions.apps is forbidden")
    world.objects.put(WEB, {**SPEC, "image": "nginx:2"})
    world.once()
    world.once()
    assert world.objects.events[-1] == ("RevisionNotKept", "controllerrevisions.apps is forbidden", True)
    assert numbers(world) == [1]
    world.settle()
    assert numbers(world) == [2, 1]
    assert world.condition("Ready")[0] == "True"
    world.objects.revisions.failure = ExternalError(ErrorKind.FORBIDDEN, "kubernetes", "x")
    world.objects.put(WEB, {**SPEC, "image": "nginx:3"})
    world.settle(1)
    assert isinstance(world.once(), After)


def test_every_field_is_either_held_or_knowingly_left_out() -> None:
    fields = set(SwarmServiceSpec.model_fields)
    assert fields >= OUTSIDE
    assert set(HELD) == fields - OUTSIDE
    assert {"image", "env", "labels", "mounts", "ports", "placement", "networks", "healthcheck", "configs", "secrets"} <= set(HELD)


def test_a_template_gives_back_the_fields_that_it_was_made_of() -> None:
    manifest = {
        **SPEC,
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}],
        "ports": [{"targetPort": 80, "publishedPort": 8080}],
        "healthcheck": {"test": ["CMD", "x"], "intervalSeconds": 3},
        "placement": {"constraints": ["node.role==worker"]},
        "init": False,
    }
    spec = parse_service(manifest)
    other = parse_service({**SPEC, "image": "other:1", "replicas": 9})
    held, differing = held_at(other, [Kept(4, "n", template_of(spec, None))], 4)
    assert held == spec.model_copy(update={"replicas": 9})
    assert set(differing) == {"image", "env", "ports", "healthcheck", "placement", "init"}


def test_a_revision_that_this_version_can_not_read_is_refused() -> None:
    with pytest.raises(RevisionProblem, match=r"revision 1 can't be applied: spec.env: must be a list"):
        held_at(parse_service(SPEC), [Kept(1, "n", {"image": "Not An Image", "env": "?"})], 1)
    with pytest.raises(RevisionProblem, match="revision 9 is not kept; those that are: 1"):
        held_at(parse_service(SPEC), [Kept(1, "n", {"image": "a"})], 9)


def test_no_limit_drops_the_present_one() -> None:
    kept = [Kept(n, f"n{n}", {"image": f"a:{n}"}) for n in range(1, 5)]
    plan = recording(kept, {"image": "a:2"}, {}, 0, None)
    assert (plan.number, plan.create, {k.revision for k in plan.drop}) == (2, False, {1, 3, 4})
    plan = recording(kept, {"image": "a:9"}, {1: "2026-03", 2: "2026-02", 3: "2026-01", 4: "2026-01"}, 1, 3)
    assert (plan.number, plan.create, {k.revision for k in plan.drop}) == (5, True, {1, 2, 4})


# -- going back


def test_rollback_to_holds_the_service_until_it_is_removed(world: World) -> None:
    apply(world, image="nginx:2", env=[{"name": "A", "value": "1"}])
    world.swarm.calls.clear()
    apply(world, image="nginx:2", env=[{"name": "A", "value": "1"}], replicas=3, rollbackTo={"revision": 1})
    assert image(world) == "nginx:1"
    assert "Env" not in world.live["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert world.live["Spec"]["Mode"]["Replicated"]["Replicas"] == 3  # a scale is no part of a revision
    assert world.condition("Pinned") == ("True", "Pinned")
    assert message(world, "Pinned") == "held at revision 1; not applied of the spec: env, image"
    assert world.condition("Ready") == ("True", "Reconciled")
    assert (world.status["revision"], numbers(world)) == (1, [2, 1])
    # Held: neither time, nor a restart, nor a further edit of the spec's template moves it.
    world.restart()
    apply(world, image="nginx:3", rollbackTo={"revision": 1})
    assert image(world) == "nginx:1"
    # Drift is put back to the revision.
    world.outside(lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image="nginx:9"))
    world.settle()
    assert image(world) == "nginx:1"
    apply(world, image="nginx:3")
    assert image(world) == "nginx:3"
    assert world.condition("Pinned") == ("False", "NotPinned")
    assert world.status["revision"] == 3


def test_a_revision_that_is_not_kept_writes_nothing(world: World) -> None:
    world.swarm.calls.clear()
    world.objects.events.clear()
    world.objects.put(WEB, {**SPEC, "image": "nginx:2", "rollbackTo": {"revision": 7}})
    world.settle(3)
    assert world.swarm.writes() == []
    assert image(world) == "nginx:1"
    assert world.condition("Applied") == ("False", "RevisionNotFound")
    assert world.condition("Stalled") == ("True", "RevisionNotFound")
    assert world.condition("Pinned") == ("False", "RevisionNotFound")
    assert "those that are: 1" in message(world, "Ready")
    assert [e[0] for e in world.objects.events] == ["RevisionNotFound"]


def test_revisions_that_can_not_be_read_are_not_taken_for_absent(world: World) -> None:
    apply(world, image="nginx:2")
    world.restart()
    world.swarm.calls.clear()
    world.objects.revisions.failure = ExternalError(ErrorKind.TRANSIENT, "kubernetes", "no answer")
    world.objects.put(WEB, {**SPEC, "image": "nginx:2", "rollbackTo": {"revision": 1}})
    world.once()
    assert world.condition("Ready")[0] == "True"  # unsaid yet: nothing is known
    assert world.swarm.writes() == []
    world.settle()
    assert image(world) == "nginx:1"


def test_another_objects_revisions_are_not_ours(world: World) -> None:
    apply(world, image="nginx:2")
    world.objects.revisions.kept = {place: ("uid-of-another", kept) for place, (_, kept) in world.objects.revisions.kept.items()}
    world.restart()
    world.objects.put(WEB, {**SPEC, "image": "nginx:2", "rollbackTo": {"revision": 1}})
    world.settle(3)
    assert image(world) == "nginx:2"
    assert world.condition("Applied") == ("False", "RevisionNotFound")


def test_going_back_from_a_spec_that_was_rolled_back_and_forth_again(world: World) -> None:
    world.objects.put(WEB, {**SPEC, "image": "nginx:bad"})
    world.once()
    world.once()
    assert world.status["revision"] == 2
    world.outside(lambda s: s["TaskTemplate"]["ContainerSpec"].update(Image="nginx:1"), state="rollback_completed", message="rolled back")
    world.settle(4)
    assert world.condition("Ready") == ("False", "RolledBack")
    assert "revision" not in world.status
    apply(world, image="nginx:bad", rollbackTo={"revision": 1})
    assert (image(world), world.status["revision"]) == ("nginx:1", 1)
    assert world.condition("Ready")[0] == "True"
    apply(world, image="nginx:bad")  # the pin is gone: the spec is tried again, for somebody asked for it
    assert image(world) == "nginx:bad"


def test_a_pinned_revision_that_fails_is_held_as_well(world: World) -> None:
    apply(world, image="nginx:2")
    world.objects.put(WEB, {**SPEC, "image": "nginx:2", "rollbackTo": {"revision": 1}})
    world.once()
    world.once()
    world.outside(lambda s: s["TaskTemplate"]["ContainerSpec"].update(Image="nginx:2"), state="rollback_completed", message="rolled back")
    world.swarm.calls.clear()
    world.settle(4)
    assert world.swarm.writes() == []
    assert world.condition("Ready") == ("False", "RolledBack")
    assert world.condition("Pinned")[0] == "True"


def test_the_digest_that_ran_is_what_comes_back(world: World) -> None:
    digests = {tag: f"sha256:{tag * 64}" for tag in ("a", "b")}
    world.swarm.images = {f"nginx:{tag}": ImageManifest(digest) for tag, digest in digests.items()}
    policy = {"imagePolicy": {"resolve": "IfChanged"}}
    apply(world, image="nginx:a", **policy)
    apply(world, image="nginx:b", **policy)
    ran = world.status["revisions"][1]["image"]
    assert ran.endswith(digests["a"])
    world.swarm.images["nginx:a"] = ImageManifest("sha256:" + "c" * 64)  # the tag has moved meanwhile
    apply(world, image="nginx:b", **policy, rollbackTo={"revision": world.status["revisions"][1]["revision"]})
    assert image(world) == ran


# -- a paused update


def pause(world: World) -> None:
    world.outside(lambda s: None, state="paused", message=PAUSED)


def test_a_paused_update_is_held_unless_asked_otherwise(world: World) -> None:
    pause(world)
    world.swarm.calls.clear()
    world.once()
    world.clock.advance(3600)
    world.once()
    assert world.swarm.writes() == []
    assert world.condition("Stalled") == ("True", "UpdatePaused")


def test_a_paused_update_is_continued_so_often_and_no_more(world: World) -> None:
    apply(world, pausedUpdate={"action": "Resume", "afterSeconds": 60, "attempts": 2})
    before = world.live["Spec"]
    world.swarm.calls.clear()
    pause(world)
    world.once()
    assert world.condition("Ready") == ("False", "UpdatePaused")
    assert world.condition("Stalled")[0] == "False"
    world.clock.advance(30)
    world.once()
    assert world.swarm.writes() == []
    world.clock.advance(30)
    world.once()
    assert len(world.swarm.writes()) == 1
    assert world.live["Spec"] == before  # nothing but the engine's going on
    assert (world.status["resumes"], world.condition("Ready")) == (1, ("False", "UpdateResumed"))
    pause(world)
    world.once()
    world.clock.advance(61)
    world.once()
    assert len(world.swarm.writes()) == 1  # twice as long before the second
    world.clock.advance(61)
    world.once()
    assert len(world.swarm.writes()) == 2
    pause(world)
    world.once()
    world.clock.advance(3600)
    world.once()
    assert len(world.swarm.writes()) == 2
    assert world.condition("Stalled") == ("True", "UpdatePaused")
    events = [e[0] for e in world.objects.events]
    assert events.count("UpdateResumed") == 2
    assert events.count("UpdatePaused") == 3
    apply(world, image="nginx:2", pausedUpdate={"action": "Resume", "afterSeconds": 60, "attempts": 2})
    assert world.status["resumes"] == 0


def test_a_paused_object_continues_nothing(world: World) -> None:
    world.objects.put(WEB, {**SPEC, "paused": True, "pausedUpdate": {"action": "Resume", "afterSeconds": 10}})
    world.settle(2)
    pause(world)
    world.swarm.calls.clear()
    for _ in range(3):
        world.clock.advance(600)
        world.once()
    assert world.swarm.writes() == []
