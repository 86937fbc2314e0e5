"""Bad input and broken surroundings: a condition with reason and message, retries, nothing lost, nothing twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import SECRET, cluster_manifest

pytestmark = [pytest.mark.lab, pytest.mark.alone]


def reason_within(kubectl: Kubectl, name: str, kind: str, reason: str, within: float = 60) -> dict[str, Any]:
    """The condition once it has that reason."""
    found: dict[str, Any] = eventually(
        lambda: (c := condition(kubectl.get("swarmcluster", name), kind)).get("reason") == reason and c, within=within, what=f"{kind} has reason {reason}"
    )
    return found


def remove(kubectl: Kubectl, name: str) -> None:
    kubectl("delete", "swarmcluster", name, "--timeout=180s", timeout=200)


def test_missing_secret_then_there(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    kubectl.apply(cluster_manifest("no-secret", workers=0, identityRef={"secretName": "not-there", "cloudName": "swarm"}))
    found = reason_within(kubectl, "no-secret", "CredentialsValid", "SecretNotFound")
    assert "not-there" in found["message"]
    remove(kubectl, "no-secret")


def test_wrong_cloud_name(kubectl: Kubectl, operator: Operator) -> None:
    kubectl.apply(cluster_manifest("no-cloud", workers=0, identityRef={"secretName": SECRET, "cloudName": "elsewhere"}))
    found = reason_within(kubectl, "no-cloud", "CredentialsValid", "CloudNotFound")
    assert "elsewhere" in found["message"]
    remove(kubectl, "no-cloud")


def test_wrong_password(kubectl: Kubectl, operator: Operator, lab_env: dict[str, str]) -> None:
    clouds = yaml.safe_load(Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_text())
    clouds["clouds"]["swarm"]["auth"]["password"] = "not-the-password"
    kubectl.secret("wrong-password", {"clouds.yaml": yaml.safe_dump(clouds).encode()})
    kubectl.apply(cluster_manifest("no-auth", workers=0, identityRef={"secretName": "wrong-password", "cloudName": "swarm"}))
    found = reason_within(kubectl, "no-auth", "CredentialsValid", "AuthenticationFailed")
    assert "not-the-password" not in str(kubectl.get("swarmcluster", "no-auth")["status"]) and found["message"]
    remove(kubectl, "no-auth")


@pytest.mark.parametrize("part", ["flavor", "image", "network"])
def test_unknown_reference_is_named(part: str, kubectl: Kubectl, operator: Operator, cloud: CloudView) -> None:
    name = f"no-{part}"
    manifest = cluster_manifest(name, workers=0)
    if part == "network":
        manifest["spec"]["network"] = {"existing": {"network": {"name": "nothing-of-that-name"}}}
    else:
        manifest["spec"]["machine"][part] = {"name": "nothing-of-that-name"}
    kubectl.apply(manifest)
    found = reason_within(kubectl, name, "Ready", "ReferenceNotFound")
    assert "nothing-of-that-name" in found["message"] and part in found["message"]
    assert cloud.servers(str(kubectl.get("swarmcluster", name)["metadata"]["uid"])) == []
    remove(kubectl, name)


def test_quota_exceeded_is_said_and_survived(kubectl: Kubectl, operator: Operator, cloud: CloudView, lab: Any) -> None:
    in_use = len(list(cloud.connection.compute.servers(details=False)))
    lab("break", "quota", "instances", str(in_use))
    try:
        kubectl.apply(cluster_manifest("no-quota", workers=0))
        found = eventually(
            lambda: next((c for c in kubectl.get("swarmcluster", "no-quota").get("status", {}).get("conditions", []) if c["reason"] == "QuotaExceeded"), None),
            within=90,
            what="QuotaExceeded",
        )
        assert re.search(r"quota too small: needs 1 instances, \d+ of \d+ used", found["message"])
    finally:
        lab("break", "quota", "instances", "100")
    kubectl.wait("swarmcluster", "no-quota", timeout=240)
    assert len(cloud.servers(str(kubectl.get("swarmcluster", "no-quota")["metadata"]["uid"]))) == 1
    remove(kubectl, "no-quota")


def test_nova_error_shows_the_fault_text(kubectl: Kubectl, operator: Operator, cloud: CloudView, lab: Any) -> None:
    lab("break", "fail-build", "on")
    try:
        kubectl.apply(cluster_manifest("bad-build", workers=0))
        shown = eventually(
            lambda: next((n["message"] for n in kubectl.get("swarmcluster", "bad-build").get("status", {}).get("nodes", []) if n.get("message")), None),
            within=120,
            what="fault text in status.nodes",
        )
        assert shown
    finally:
        lab("break", "fail-build", "off")
    kubectl.wait("swarmcluster", "bad-build", timeout=300)
    assert len(cloud.servers(str(kubectl.get("swarmcluster", "bad-build")["metadata"]["uid"]))) == 1
    remove(kubectl, "bad-build")


def test_no_valid_host_is_said_and_survived(kubectl: Kubectl, operator: Operator, cloud: CloudView, lab: Any) -> None:
    """Nova's own words reach the condition; what failed to build is removed before the next try, and the last try leaves one server."""
    lab("break", "no-valid-host", "on")
    try:
        kubectl.apply(cluster_manifest("no-host", workers=0))
        uid = str(kubectl.get("swarmcluster", "no-host")["metadata"]["uid"])
        found = eventually(
            lambda: next((c for c in kubectl.get("swarmcluster", "no-host").get("status", {}).get("conditions", []) if c["reason"] == "NoCapacity"), None),
            within=120,
            what="NoCapacity",
        )
        assert found["status"] == "False" and "No valid host" in found["message"]
        assert len(cloud.servers(uid)) <= 1
    finally:
        lab("break", "no-valid-host", "off")
    kubectl.wait("swarmcluster", "no-host", timeout=400)
    assert len(cloud.servers(uid)) == 1
    remove(kubectl, "no-host")


def test_an_unreachable_manager_is_said_and_nothing_is_destroyed(kubectl: Kubectl, operator: Operator, cloud: CloudView, lab: Any) -> None:
    kubectl.apply(cluster_manifest("cut-off", workers=1))
    kubectl.wait("swarmcluster", "cut-off", timeout=300)
    uid = str(kubectl.get("swarmcluster", "cut-off")["metadata"]["uid"])
    before = {s.id for s in cloud.servers(uid)}
    lab("break", "cut-network", "cut-off-manager-0")
    try:
        found = reason_within(kubectl, "cut-off", "ManagersQuorate", "ManagerUnreachable", within=120)
        assert found["status"] in ("False", "Unknown")
        assert condition(kubectl.get("swarmcluster", "cut-off"), "Ready")["status"] != "True"
    finally:
        lab("break", "heal-network", "cut-off-manager-0")
    kubectl.wait("swarmcluster", "cut-off", timeout=180)
    assert {s.id for s in cloud.servers(uid)} == before
    remove(kubectl, "cut-off")


def test_a_stopped_nova_api_destroys_nothing(kubectl: Kubectl, operator: Operator, swarm: str, cloud: CloudView, lab: Any) -> None:
    uid = str(kubectl.get("swarmcluster", swarm)["metadata"]["uid"])
    before = {s.id for s in cloud.servers(uid)}
    lab("break", "stop-service", "nova-api")
    try:
        kubectl.patch("swarmcluster", swarm, {"metadata": {"annotations": {"poke": "1"}}})
        eventually(
            lambda: any(c["reason"] == "CloudUnreachable" for c in kubectl.get("swarmcluster", swarm)["status"]["conditions"]),
            within=120,
            what="CloudUnreachable",
        )
    finally:
        lab("break", "start-service", "nova-api")
    kubectl.wait("swarmcluster", swarm, timeout=120)
    assert {s.id for s in cloud.servers(uid)} == before
