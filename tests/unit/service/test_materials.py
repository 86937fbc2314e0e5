"""Configs, secrets, registry credentials and digests: the controller against a swarm and a Kubernetes API in memory."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.swarm import ImageManifest, Material
from swarm_operator.engine.outcome import After, Done
from unit.service.test_controller import SPEC, WEB, World

SECRET = b"correct horse battery staple"
USING = {
    **SPEC,
    "env": [{"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "color"}}}],
    "configs": [{"configMapRef": {"name": "app", "key": "app.conf"}, "target": "/etc/app.conf", "templating": True}],
    "secrets": [{"secretRef": {"name": "db", "key": "password"}, "uid": "33", "mode": 0o400}],
}
POLLED = After(20.0)


@pytest.fixture
def world() -> World:
    world = World()
    world.objects.config_maps["app"] = {"app.conf": b"listen 80\n", "color": b"blue"}
    world.objects.secrets["db"] = {"password": SECRET}
    return world


def settle(world: World, spec: dict[str, Any] | None = None) -> None:
    if spec is not None:
        world.objects.put(WEB, spec)
    for _ in range(14):
        if world.once() == POLLED and world.condition("Reconciling")[0] == "False":
            return
    raise AssertionError(world.status)


@pytest.fixture
def using(world: World) -> World:
    settle(world, USING)
    assert world.condition("Ready") == ("True", "Reconciled")
    world.swarm.calls.clear()
    world.objects.applied.clear()
    world.objects.events.clear()
    return world


def container(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.live["Spec"]["TaskTemplate"]["ContainerSpec"]
    return found


def test_contents_become_objects_named_after_a_keyed_hash_and_files_in_the_service(using: World) -> None:
    (config,) = container(using)["Configs"]
    (secret,) = container(using)["Secrets"]
    assert config["File"] == {"Name": "/etc/app.conf", "UID": "0", "GID": "0", "Mode": 0o444}
    assert secret["File"] == {"Name": "password", "UID": "33", "GID": "0", "Mode": 0o400}
    assert container(using)["Env"] == ["COLOR=blue"]
    made = using.swarm.materials[secret["SecretID"]]
    assert made.name.startswith("web.password-") and len(made.name) <= 64
    assert made.labels["io.swarmops.service-uid"] == "uid-1" and made.labels["io.swarmops.source"] == "Secret db password"
    assert using.swarm.contents[made.name] == SECRET
    assert [(m["kind"], m["inUse"]) for m in using.status["materials"]] == [("Config", True), ("Secret", True)]


def test_nothing_that_is_told_holds_the_secret_or_its_plain_hash(using: World) -> None:
    using.objects.secrets["db"] = {"password": b"another one"}
    settle(using)
    told = json.dumps([using.objects.applied, using.objects.events, using.status, [repr(m) for m in using.swarm.materials.values()]])
    told += json.dumps(using.live)
    for data in (SECRET, b"another one"):
        assert data.decode() not in told and base64.b64encode(data).decode() not in told
    # The name depends on the cluster's key.
    names = {m.name for m in using.swarm.materials.values()}
    using.objects.secrets["c-material-key"] = {"hmac-key": b"k" * 32}
    using.restart()
    settle(using)
    assert {m.name for m in using.swarm.materials.values()} & names != {m.name for m in using.swarm.materials.values()}


def test_a_fixed_point_reads_and_writes_nothing(using: World) -> None:
    for _ in range(5):
        assert using.once() == POLLED
    assert using.swarm.writes() == [] and using.objects.applied == []
    using.restart()
    assert using.once() == POLLED
    assert using.swarm.writes() == [] and using.objects.applied == []


def test_a_service_without_any_of_it_costs_no_further_call(world: World) -> None:
    world.objects.put(WEB, SPEC)
    assert world.settle() == Done()
    assert "list_materials" not in world.swarm.calls and "resolve_image" not in world.swarm.calls


def test_a_changed_secret_is_made_rolled_and_the_old_ones_go_after_it_runs(using: World) -> None:
    first = container(using)["Secrets"][0]["SecretName"]
    names = [first]
    for number in range(5):
        using.objects.secrets["db"] = {"password": b"number %d" % number}
        using.swarm.calls.clear()
        using.once()
        kinds = [call.split()[0] for call in using.swarm.writes()]
        assert kinds == ["create_material", "update_service"]  # nothing is removed before it runs
        settle(using)
        names.append(container(using)["Secrets"][0]["SecretName"])
    assert len(set(names)) == 6
    kept = {m.name for m in using.swarm.materials.values() if m.kind == "Secret"}
    # The present one, the one of the rollback target, and two beyond these.
    assert kept == set(names[-4:])
    assert any(event[0] == "Deleted" for event in using.objects.events)
    assert {m["name"]: m["inUse"] for m in using.status["materials"] if m["kind"] == "Secret"} == {n: n == names[-1] for n in names[-4:]}
    writes = list(using.swarm.writes())
    using.once()
    assert using.swarm.writes() == writes


def test_back_to_earlier_content_uses_the_object_that_was_kept(using: World) -> None:
    before = container(using)["Secrets"][0]["SecretID"]
    using.objects.secrets["db"] = {"password": b"other"}
    settle(using)
    using.objects.secrets["db"] = {"password": SECRET}
    settle(using)
    assert container(using)["Secrets"][0]["SecretID"] == before


def test_a_rotation_that_fails_and_rolls_back_is_held_and_nothing_is_removed(using: World) -> None:
    old = [dict(entry) for entry in container(using)["Secrets"]]
    using.objects.secrets["db"] = {"password": b"wrong password"}
    using.once()
    using.swarm.outside(using.live["ID"], lambda s: s["TaskTemplate"]["ContainerSpec"].update(Secrets=old), "rollback_completed", "rollback completed")
    using.swarm.calls.clear()
    for _ in range(4):
        using.once()
    assert using.condition("Ready") == ("False", "RolledBack")
    assert using.swarm.writes() == []
    using.objects.secrets["db"] = {"password": b"right password"}
    settle(using)
    assert using.condition("Ready")[0] == "True"


@pytest.mark.parametrize(
    ("spoil", "reason", "words"),
    [
        (lambda w: w.objects.secrets.pop("db"), "SecretNotFound", "there is no Secret 'db'"),
        (lambda w: w.objects.secrets.update(db={}), "SecretNotFound", "no key 'password'"),
        (lambda w: w.objects.config_maps.pop("app"), "ConfigMapNotFound", "there is no ConfigMap 'app'"),
        (lambda w: w.objects.secrets.update(db={"password": b""}), "MaterialInvalid", "0 bytes"),
        (lambda w: w.objects.secrets.update(db={"password": b"x" * 512000}), "MaterialInvalid", "512000 bytes"),
        (lambda w: w.objects.config_maps.update(app={"app.conf": b"x", "color": b"\xff"}), "MaterialInvalid", "COLOR is not text"),
        (lambda w: setattr(w.objects, "fail_read", ExternalError(ErrorKind.FORBIDDEN, "kubernetes", "no")), "Forbidden", "may not read Secret 'db'"),
    ],
)
def test_what_is_missing_is_told_once_and_the_service_is_left_alone(using: World, spoil: Any, reason: str, words: str) -> None:
    spoil(using)
    for _ in range(3):
        using.once()
    assert using.condition("Applied") == ("False", reason)
    assert using.condition("Ready") == ("False", reason)
    assert words in next(c["message"] for c in using.status["conditions"] if c["type"] == "Applied")
    assert [event[0] for event in using.objects.events] == [reason]
    assert using.swarm.writes() == []
    using.objects.fail_read = None
    using.objects.config_maps["app"] = {"app.conf": b"listen 80\n", "color": b"blue"}
    using.objects.secrets["db"] = {"password": SECRET}
    settle(using)
    assert using.condition("Ready")[0] == "True"


def test_while_paused_or_reporting_nothing_is_made(using: World) -> None:
    using.objects.put(WEB, {**USING, "paused": True})
    using.objects.secrets["db"] = {"password": b"new"}
    for _ in range(3):
        using.once()
    assert using.swarm.writes() == []
    using.objects.put(WEB, USING)
    settle(using)
    assert [call.split()[0] for call in using.swarm.writes()] == ["create_material", "update_service"]


def test_anothers_config_is_referred_to_by_name_and_never_removed(world: World) -> None:
    spec = {**SPEC, "configs": [{"name": "shared", "target": "/shared"}]}
    world.objects.put(WEB, spec)
    world.once()
    assert world.condition("Applied") == ("False", "MaterialNotFound")
    world.swarm.materials["m"] = Material("Config", "m", "shared")
    assert world.settle() == Done()
    assert world.condition("Ready")[0] == "True"
    assert container(world)["Configs"][0]["ConfigID"] == "m"
    world.objects.put(WEB, SPEC)
    world.settle()
    assert container(world).get("Configs") in (None, [])
    assert set(world.swarm.materials) == {"m"}


def test_a_strangers_object_of_our_name_is_not_used(using: World) -> None:
    secret = container(using)["Secrets"][0]["SecretID"]
    using.swarm.materials[secret] = replace(using.swarm.materials[secret], labels={})
    using.once()
    assert using.condition("Applied") == ("False", "NameConflict")
    assert using.condition("Stalled")[0] == "True"


def test_an_answer_that_was_lost_makes_nothing_twice(world: World) -> None:
    world.swarm.lost = {"create_material"}
    settle(world, USING)
    assert world.condition("Ready")[0] == "True"
    assert len(world.swarm.materials) == 2


def test_what_another_service_has_begun_to_use_stays(using: World) -> None:
    secret = dict(container(using)["Secrets"][0])
    other = {"Name": "other", "TaskTemplate": {"ContainerSpec": {"Secrets": [secret]}}, "Mode": {"Replicated": {"Replicas": 0}}}
    using.swarm.create_service(other)
    stripped = {**SPEC, "materialHistoryLimit": 0}
    using.objects.put(WEB, stripped)
    for _ in range(10):
        using.clock.advance(3)
        using.controller.reconcile(WEB)
    assert secret["SecretID"] in using.swarm.materials
    assert next(c for c in using.status["conditions"] if c["type"] == "Ready")["status"] == "True"


def test_removal_takes_the_service_first_and_then_what_was_made_for_it(using: World) -> None:
    using.swarm.materials["m"] = Material("Config", "m", "shared")
    using.objects.delete(WEB)
    for _ in range(4):
        using.once()
    assert WEB not in using.objects.resources
    assert [call.split()[0] for call in using.swarm.writes()] == ["remove_service", "remove_material", "remove_material"]
    assert set(using.swarm.materials) == {"m"}


def test_retain_keeps_them_with_the_service(using: World) -> None:
    using.objects.put(WEB, {**USING, "deletionPolicy": "Retain"})
    using.objects.delete(WEB)
    using.once()
    assert WEB not in using.objects.resources and len(using.swarm.materials) == 2 and len(using.swarm.services) == 1


# -- registry credentials

PULLING = {**SPEC, "image": "r.example:5000/team/app:1", "imagePullSecrets": [{"name": "pull"}]}


def docker_config(password: str, server: str = "https://r.example:5000/v2/") -> dict[str, bytes]:
    return {".dockerconfigjson": json.dumps({"auths": {server: {"username": "robot", "password": password}}}).encode()}


def sent(header: str | None) -> dict[str, str]:
    assert header is not None
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(header))
    return found


@pytest.fixture
def pulling(world: World) -> World:
    world.objects.secrets["pull"] = docker_config("one")
    settle(world, PULLING)
    return world


def test_credentials_go_along_with_the_create_and_nowhere_else(pulling: World) -> None:
    assert [sent(a) for a in pulling.swarm.auths] == [{"username": "robot", "password": "one", "serveraddress": "r.example:5000"}]
    told = json.dumps([pulling.objects.applied, pulling.objects.events, pulling.live])
    assert str(pulling.swarm.auths[0]) not in told and "robot" not in told
    assert len(pulling.status["pullSecretsHash"]) == 32


def test_new_credentials_are_given_to_the_engine_without_a_change_of_the_spec(pulling: World) -> None:
    before = json.dumps(pulling.live["Spec"])
    tasks = [t["ID"] for t in pulling.swarm.tasks[pulling.live["ID"]]]
    pulling.objects.secrets["pull"] = docker_config("two")
    settle(pulling)
    assert sent(pulling.swarm.auths[-1])["password"] == "two" and len(pulling.swarm.auths) == 2
    assert json.dumps(pulling.live["Spec"]) == before
    assert [t["ID"] for t in pulling.swarm.tasks[pulling.live["ID"]]] == tasks
    settle(pulling)
    assert len(pulling.swarm.auths) == 2


def test_credentials_that_are_no_longer_named_are_taken_back(pulling: World) -> None:
    spec = {key: value for key, value in PULLING.items() if key != "imagePullSecrets"}
    pulling.objects.put(WEB, spec)
    assert pulling.settle() == Done()
    assert sent(pulling.swarm.auths[-1]) == {}
    assert "pullSecretsHash" not in pulling.status


@pytest.mark.parametrize("data", [{}, {".dockerconfigjson": b"hunter2"}, {".dockerconfigjson": b'{"auths": ["hunter2"]}'}])
def test_a_pull_secret_that_can_not_be_read_is_told_without_its_content(world: World, data: dict[str, bytes]) -> None:
    world.objects.secrets["pull"] = data
    world.objects.put(WEB, PULLING)
    world.once()
    assert world.condition("Applied")[1] in ("SecretNotFound", "MaterialInvalid")
    assert "hunter2" not in json.dumps([world.status, world.objects.events])
    assert world.swarm.services == {}


# -- digests

DIGEST, MOVED = "sha256:" + "a" * 64, "sha256:" + "b" * 64
PINNED = {**SPEC, "image": "r.example:5000/app:1", "imagePolicy": {"resolve": "IfChanged"}}


def manifest(digest: str) -> ImageManifest:
    return ImageManifest(digest, (("amd64", "linux"), ("arm", "linux"), ("unknown", "unknown")))


@pytest.fixture
def resolved(world: World) -> World:
    world.swarm.images["r.example:5000/app:1"] = manifest(DIGEST)
    world.objects.put(WEB, PINNED)
    assert world.settle() == Done()
    world.swarm.calls.clear()
    return world


def test_a_tag_is_deployed_with_its_digest_and_platforms(resolved: World) -> None:
    assert container(resolved)["Image"] == f"r.example:5000/app:1@{DIGEST}"
    assert resolved.live["Spec"]["TaskTemplate"]["Placement"]["Platforms"] == [
        {"Architecture": "amd64", "OS": "linux"},
        {"Architecture": "", "OS": "linux"},
    ]
    assert resolved.status["image"]["resolved"] == f"r.example:5000/app:1@{DIGEST}"


def test_the_registry_is_asked_again_only_when_the_image_in_the_spec_changes(resolved: World) -> None:
    resolved.swarm.images["r.example:5000/app:1"] = manifest(MOVED)
    resolved.once()
    resolved.objects.put(WEB, {**PINNED, "replicas": 3})
    assert resolved.settle() == Done()
    assert not [c for c in resolved.swarm.calls if c.startswith("resolve_image")]
    assert container(resolved)["Image"].endswith(DIGEST)
    resolved.swarm.images["r.example:5000/app:2"] = manifest(MOVED)
    resolved.objects.put(WEB, {**PINNED, "image": "r.example:5000/app:2"})
    assert resolved.settle() == Done()
    assert container(resolved)["Image"] == f"r.example:5000/app:2@{MOVED}"


def test_a_lost_status_keeps_the_live_digest(resolved: World) -> None:
    resolved.swarm.images["r.example:5000/app:1"] = manifest(MOVED)
    key = resolved.objects.resources[WEB]
    resolved.objects.resources[WEB] = replace(key, status={})
    assert resolved.settle() == Done()
    assert resolved.swarm.writes() == []


def test_a_digest_that_was_changed_outside_is_put_back(resolved: World) -> None:
    resolved.outside(lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image=f"r.example:5000/app:1@{MOVED}"))
    assert resolved.settle() == Done()
    assert container(resolved)["Image"].endswith(DIGEST)


def test_always_rolls_a_moved_tag_out_within_the_interval(world: World) -> None:
    world.swarm.images["r.example:5000/app:1"] = manifest(DIGEST)
    world.objects.put(WEB, {**PINNED, "imagePolicy": {"resolve": "Always", "intervalSeconds": 60}})
    for _ in range(10):
        outcome = world.once()
    assert outcome == After(60.0)
    world.swarm.images["r.example:5000/app:1"] = manifest(MOVED)
    asked = world.swarm.calls.count("resolve_image r.example:5000/app:1")
    world.once()
    assert world.swarm.calls.count("resolve_image r.example:5000/app:1") == asked
    world.clock.advance(60)
    world.once()
    assert container(world)["Image"].endswith(MOVED)


def test_a_registry_that_does_not_answer_leaves_the_tag_and_says_so_once(world: World) -> None:
    world.objects.put(WEB, PINNED)
    assert world.settle() == Done()
    assert container(world)["Image"] == "r.example:5000/app:1"
    assert world.condition("Applied") == ("True", "ImageUnresolved") and world.condition("Ready")[0] == "True"
    assert [e[0] for e in world.objects.events if e[0] == Reason.IMAGE_UNRESOLVED.value] == ["ImageUnresolved"]
    # A later answer would replace all tasks for the same image: with IfChanged it is not asked for.
    world.swarm.images["r.example:5000/app:1"] = manifest(DIGEST)
    world.swarm.calls.clear()
    world.once()
    assert "resolve_image r.example:5000/app:1" not in world.swarm.calls


def test_always_keeps_the_known_digest_while_the_registry_is_away(resolved: World) -> None:
    resolved.objects.put(WEB, {**PINNED, "imagePolicy": {"resolve": "Always"}})
    del resolved.swarm.images["r.example:5000/app:1"]
    for _ in range(4):
        resolved.clock.advance(400)
        resolved.once()
    assert container(resolved)["Image"].endswith(DIGEST)
    assert resolved.status["image"]["message"] == "manifest unknown"
    assert resolved.swarm.writes() == []


def test_never_and_a_digest_in_the_spec_ask_no_registry(world: World) -> None:
    world.objects.put(WEB, {**PINNED, "image": f"r.example:5000/app@{DIGEST}"})
    assert world.settle() == Done()
    assert not [c for c in world.swarm.calls if c.startswith("resolve_image")]


def test_a_strangers_secret_in_place_of_the_hash_key_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: Any, **__: Any) -> Any:
        raise ExternalError(ErrorKind.CONFLICT, "kubernetes", "Secret 'c-material-key' exists and is not ours", reason=Reason.NAME_CONFLICT)

    monkeypatch.setattr(world.objects, "ensure_secret", taken)
    world.objects.put(WEB, USING)
    world.once()
    assert world.condition("Applied") == ("False", "NameConflict") and world.condition("Stalled")[0] == "True"
    assert world.swarm.writes() == []
