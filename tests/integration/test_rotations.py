"""The swarm's own keys on the lab: locked managers that come back after a reboot, the unlock key and the root CA made anew."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cloud import CloudView, DockerView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view

pytestmark = pytest.mark.lab
NAME = "locked"
MANAGER = f"{NAME}-manager-0"
KEY = f"{NAME}-unlock-key"


@pytest.fixture(scope="module")
def uid(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> Iterator[str]:
    """UID of a Ready cluster of one manager and one worker, whose managers lock themselves."""
    kubectl.apply(cluster_manifest(NAME, workers=1, swarm={"autolock": True}))
    kubectl.wait("swarmcluster", NAME, timeout=300)
    found = str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    yield found
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(found) == []


@pytest.fixture
def docker(kubectl: Kubectl, uid: str) -> Iterator[DockerView]:
    """The swarm's Docker API."""
    view = docker_view(kubectl, NAME)
    yield view
    view.close()


def machine(kubectl: Kubectl, name: str) -> dict[str, Any]:
    return next(n for n in kubectl.get("swarmcluster", NAME)["status"]["nodes"] if n["name"] == name)


def status_of(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get("swarmcluster", NAME)["status"]
    return found


def autolock(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = status_of(kubectl).get("autolock", {})
    return found


def key_of(kubectl: Kubectl) -> str:
    return kubectl.secret_data(KEY)["unlock-key"].decode()


def local_state(lab: Any) -> str:
    return str(lab("ssh", MANAGER, "docker", "info", "--format", "{{.Swarm.LocalNodeState}}")).strip()


def test_the_key_is_in_a_secret_and_nowhere_else(kubectl: Kubectl, uid: str, docker: DockerView, operator: Operator, cloud: CloudView) -> None:
    key = eventually(lambda: autolock(kubectl).get("keyStored") and key_of(kubectl), within=60, what="the key is stored")
    assert docker.api.inspect_swarm()["Spec"]["EncryptionConfig"]["AutoLockManagers"] is True
    assert key == docker.api.get_unlock_key()["UnlockKey"]
    texts = [operator.log.read_text(), kubectl("get", "swarmcluster", NAME, "-o", "yaml"), kubectl("get", "events", "-o", "yaml")]
    texts += [str(s.metadata) + base64.b64decode(s.user_data or "").decode(errors="replace") for s in cloud.servers(uid)]
    assert not any(key in text for text in texts)


def test_a_manager_that_is_locked_after_a_reboot_is_unlocked(kubectl: Kubectl, uid: str, cloud: CloudView, docker: DockerView) -> None:
    """The only manager: the whole swarm is locked until the operator has given it its key."""
    before, members = machine(kubectl, MANAGER), {n["ID"] for n in docker.nodes()}
    cloud.connection.compute.reboot_server(before["serverID"], "HARD")
    eventually(
        lambda: condition(kubectl.get("swarmcluster", NAME), "ManagersQuorate")["status"] != "True", within=90, every=0.2, what="the manager is seen down"
    )
    eventually(lambda: condition(kubectl.get("swarmcluster", NAME), "ManagersQuorate")["status"] == "True", within=180, what="the manager is back")
    kubectl.wait("swarmcluster", NAME, timeout=120)
    after = machine(kubectl, MANAGER)
    assert (after["serverID"], after["nodeID"]) == (before["serverID"], before["nodeID"])
    assert {n["ID"] for n in docker.nodes()} == members
    assert f"Unlock of {MANAGER}" in kubectl("get", "events", "-o", "yaml")


def test_another_key_opens_the_manager_after_its_engine_was_restarted(kubectl: Kubectl, uid: str, docker: DockerView, lab: Any) -> None:
    former = key_of(kubectl)
    kubectl.patch("swarmcluster", NAME, {"spec": {"swarm": {"rotateUnlockKey": "2026-11"}}})
    eventually(lambda: autolock(kubectl).get("rotatedFor") == "2026-11", within=60, what="the key is rotated")
    key = eventually(lambda: (k := key_of(kubectl)) != former and k, within=30, what="the Secret has the new key")
    assert key == docker.api.get_unlock_key()["UnlockKey"]
    kubectl.wait("swarmcluster", NAME, timeout=120)
    assert not autolock(kubectl).get("unconfirmed")
    lab("ssh", MANAGER, "systemctl", "restart", "docker.service")
    eventually(lambda: local_state(lab) == "active", within=120, every=1, what="the manager is unlocked")
    kubectl.wait("swarmcluster", NAME, timeout=120)


def test_all_nodes_get_certificates_of_a_new_root(kubectl: Kubectl, uid: str, docker: DockerView) -> None:
    before = docker.api.inspect_swarm()["TLSInfo"]["TrustRoot"]
    members = {n["ID"] for n in docker.nodes()}
    kubectl.patch("swarmcluster", NAME, {"spec": {"swarm": {"rotateCA": "2026-11"}}})
    eventually(lambda: status_of(kubectl).get("authority", {}).get("rotatedFor") == "2026-11", within=180, what="the root is rotated")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    info = docker.api.inspect_swarm()
    assert info["TLSInfo"]["TrustRoot"] != before and not info["RootRotationInProgress"]
    issuers = {n["Description"]["TLSInfo"]["TrustRoot"] for n in docker.nodes()}
    assert issuers == {info["TLSInfo"]["TrustRoot"]}
    assert {n["ID"] for n in docker.nodes()} == members
