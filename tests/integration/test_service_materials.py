"""Configs, secrets and registry credentials on a real dockerd and a real registry of our own; skipped where they can't run."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from integration.private_engine import PrivateEngine
from integration.private_registry import HOST, PrivateRegistry
from swarm_operator.adapters.docker import DockerSwarm
from swarm_operator.adapters.docker.transport import Transport
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.swarm import Material

pytestmark = pytest.mark.skipif(not PrivateRegistry.possible(), reason="needs root, dockerd, docker-registry and ip")


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    engine = PrivateEngine()
    try:
        engine.start()
        engine.init_swarm()
        yield engine
    finally:
        engine.stop()


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


def error_of(call: Any) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


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
