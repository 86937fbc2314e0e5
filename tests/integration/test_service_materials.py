"""Configs, secrets and registry credentials on a real dockerd and a real registry of our own; skipped where they can't run."""

from __future__ import annotations

import base64
import functools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from integration.live_service import WEB, Running, error_of, until
from integration.private_engine import PrivateEngine, swarm_of
from integration.private_registry import HOST, PrivateRegistry
from swarm_operator.adapters.docker import DockerSwarm
from swarm_operator.adapters.docker.transport import Transport
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.swarm import Material

pytestmark = pytest.mark.skipif(not PrivateRegistry.possible(), reason="needs root, dockerd, docker-registry and ip")


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with swarm_of(PrivateEngine()) as engine:
        yield engine


@pytest.fixture(scope="module")
def registry(engine: PrivateEngine) -> Iterator[PrivateRegistry]:
    registry = PrivateRegistry(engine, "robot", "first-password")
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


@pytest.fixture
def swarm(engine: PrivateEngine) -> Iterator[DockerSwarm]:
    opened = DockerSwarm(Transport([engine.endpoint], engine.tls))
    yield opened
    opened.close()


def test_configs_and_secrets_are_made_listed_and_removed(swarm: DockerSwarm) -> None:
    config = swarm.create_material("Config", "c-1", b"color=blue\n", {"a": "b"})
    secret = swarm.create_material("Secret", "s-1", b"hunter2", {"a": "c"}, templating=True)
    found = {m.name: m for m in swarm.list_materials()}
    assert found["c-1"] == Material("Config", config, "c-1", {"a": "b"}, found["c-1"].created_at)
    assert found["s-1"] == Material("Secret", secret, "s-1", {"a": "c"}, found["s-1"].created_at)
    assert found["s-1"].created_at.endswith("Z")
    again = error_of(lambda: swarm.create_material("Secret", "s-1", b"other", {}))
    assert (again.kind, again.reason) == (ErrorKind.CONFLICT, Reason.NAME_CONFLICT)
    assert error_of(lambda: swarm.create_material("Config", "bad name!", b"x", {})).kind is ErrorKind.INVALID
    mount = {"SecretID": secret, "SecretName": "s-1", "File": {"Name": "pw", "UID": "0", "GID": "0", "Mode": 0o400}}
    service = swarm.create_service(
        {"Name": "uses", "TaskTemplate": {"ContainerSpec": {"Image": "none", "Secrets": [mount]}}, "Mode": {"Replicated": {"Replicas": 0}}}
    )
    in_use = error_of(lambda: swarm.remove_material("Secret", secret))
    assert in_use.kind is ErrorKind.INVALID and "in use" in in_use.message
    swarm.remove_service(service)
    swarm.remove_material("Secret", secret)
    swarm.remove_material("Secret", secret)
    swarm.remove_material("Config", config)
    assert swarm.list_materials() == []


def header(user: str, password: str) -> str:
    document = {"username": user, "password": password, "serveraddress": HOST}
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def test_the_registry_is_asked_through_the_engine_with_the_credentials_given(engine: PrivateEngine, registry: PrivateRegistry, swarm: DockerSwarm) -> None:
    if not engine.import_image("local/app:1"):
        pytest.skip("no static busybox")
    registry.push("local/app:1", "app:1")
    good = header(registry.user, registry.password)
    found = swarm.resolve_image(f"{HOST}/app:1", registry_auth=good)
    assert found.digest.startswith("sha256:") and len(found.digest) == 71
    assert [os for _, os in found.platforms] == ["linux"]
    for image, auth, words in (
        (f"{HOST}/app:1", None, "credentials"),
        (f"{HOST}/app:1", header(registry.user, "wrong"), "unauthorized"),
        (f"{HOST}/none:1", good, "manifest unknown"),
        ("127.0.0.1:5999/app:1", None, "connection refused"),
    ):
        failure = error_of(functools.partial(swarm.resolve_image, image, registry_auth=auth))
        assert failure.reason is Reason.IMAGE_UNRESOLVED and words in failure.message


UPDATE = {"monitorSeconds": 1, "order": "start-first", "failureAction": "rollback"}


def content(running: Running, path: str) -> str:
    """A file in the newest container of the service."""
    container = running.engine.docker("ps", "-q", "--filter", "label=com.docker.swarm.service.name=web", "--latest").stdout.strip()
    return running.engine.docker("exec", container, "/bin/busybox", "cat", path).stdout


def names(swarm: DockerSwarm) -> set[str]:
    return {m.name for m in swarm.list_materials()}


def test_a_rotation_reaches_the_containers_keeps_what_a_rollback_needs_and_removes_the_rest(
    engine: PrivateEngine, running: Running, swarm: DockerSwarm
) -> None:
    if not engine.import_image("busybox:materials"):
        pytest.skip("no static busybox")
    running.objects.config_maps["app"] = {"app.conf": b"node {{.Node.Hostname}}\n"}
    running.objects.secrets["db"] = {"password": b"one"}
    engine.docker("config", "create", "shared", "-", data=b"for all")
    running.apply(
        {
            "image": "busybox:materials",
            "args": ["sleep", "100000"],
            "replicas": 1,
            "configs": [{"configMapRef": {"name": "app", "key": "app.conf"}, "target": "/etc/app.conf", "templating": True}, {"name": "shared"}],
            "secrets": [{"secretRef": {"name": "db", "key": "password"}, "mode": 0o400}],
            "materialHistoryLimit": 0,
            "updateConfig": UPDATE,
            "stopGracePeriodSeconds": 0,
        }
    )
    running.wait("Ready", "True", 40)
    assert content(running, "/run/secrets/password") == "one"
    assert content(running, "/etc/app.conf").startswith("node ") and "{{" not in content(running, "/etc/app.conf")
    assert content(running, "/shared") == "for all"
    version = running.live()["Version"]["Index"]
    for _ in range(3):
        running.queue.add(WEB)
        time.sleep(0.3)
    assert running.live()["Version"]["Index"] == version
    generations = [names(swarm)]
    for password in (b"two", b"three"):
        running.objects.secrets["db"] = {"password": password}
        before = running.live()["Version"]["Index"]
        running.queue.add(WEB, urgent=True)
        until(lambda before=before: running.live()["Version"]["Index"] > before, 20, "the new secret is in the spec")  # type: ignore[misc]
        until(lambda: running.condition("Ready")["status"] == "False", 10, "the update is seen")
        running.wait("Ready", "True", 40)
        assert content(running, "/run/secrets/password") == password.decode()
        generations.append(names(swarm))
    running.queue.add(WEB)
    first, second, third = generations
    until(lambda: not (first - second) & names(swarm), 10, "the first secret is removed")
    assert len(names(swarm)) == 4 and names(swarm) < second | third
    # What PreviousSpec refers to was kept, so the rollback by hand can be done; it is drift, and put back.
    engine.docker("service", "rollback", "--detach", "web")
    until(lambda: any(event[0] == "DriftCorrected" for event in running.objects.events), 20, "the rollback by hand is put back")
    running.delete()
    until(lambda: WEB not in running.objects.resources, 20, "deletion")
    assert names(swarm) == {"shared"}
    told = json.dumps([running.objects.applied, running.objects.events])
    assert not any(password in told for password in ('"one"', '"two"', '"three"'))
    engine.docker("config", "rm", "shared")


def test_an_image_is_pulled_with_credentials_that_can_be_renewed_under_running_tasks(
    engine: PrivateEngine, registry: PrivateRegistry, running: Running
) -> None:
    if not engine.import_image("local/app:1"):
        pytest.skip("no static busybox")
    for tag in ("1", "2"):
        registry.push("local/app:1", f"pulled:{tag}")
        engine.docker("rmi", f"{HOST}/pulled:{tag}")
    engine.docker("rmi", "-f", "local/app:1")
    engine.docker("logout", HOST)
    running.objects.secrets["pull"] = {".dockerconfigjson": registry.docker_config()}
    spec: dict[str, Any] = {
        "image": f"{HOST}/pulled:1",
        "imagePolicy": {"resolve": "IfChanged"},
        "imagePullSecrets": [{"name": "pull"}],
        "args": ["sleep", "100000"],
        "replicas": 1,
        "updateConfig": UPDATE,
        "stopGracePeriodSeconds": 0,
    }
    running.apply(spec)
    running.wait("Ready", "True", 40)
    image = running.live()["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert image.startswith(f"{HOST}/pulled:1@sha256:")
    tasks, told = running.running(), running.objects.resources[WEB].status["pullSecretsHash"]
    registry.set_password("second-password")
    running.objects.secrets["pull"] = {".dockerconfigjson": registry.docker_config()}
    running.queue.add(WEB, urgent=True)
    until(lambda: running.objects.resources[WEB].status["pullSecretsHash"] != told, 20, "the engine has the new credentials")
    time.sleep(3)
    running.wait("Ready", "True", 20)
    assert running.running() == tasks
    running.apply({**spec, "image": f"{HOST}/pulled:2"})
    running.wait("Ready", "True", 40)
    assert running.live()["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].startswith(f"{HOST}/pulled:2@sha256:")
    assert running.running().isdisjoint(tasks) and len(running.running()) == 1
    document = json.dumps([running.objects.applied, running.objects.events, running.live()])
    assert registry.password not in document and "first-password" not in document
    running.delete()
    until(lambda: WEB not in running.objects.resources, 20, "deletion")
