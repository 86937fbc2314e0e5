"""Credentials are read anew at each reconcile: a Secret that is renewed, or spoilt, takes effect in the running operator."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import SECRET, cluster_manifest

pytestmark = pytest.mark.lab


def test_a_renewed_secret_is_used_without_a_restart(kubectl: Kubectl, operator: Operator, lab_env: dict[str, str]) -> None:
    good = Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_bytes()
    content = yaml.safe_load(good)
    content["clouds"]["swarm"]["auth"]["password"] = "not-this-one"
    bad = yaml.safe_dump(content).encode()

    def valid() -> tuple[str, str]:
        found = condition(kubectl.get("swarmcluster", "renewal"), "CredentialsValid")
        return found.get("status", ""), found.get("reason", "")

    def look_again(number: int) -> None:
        """An edit of the object, so that the test need not wait for the back-off or the resync."""
        kubectl("annotate", "swarmcluster", "renewal", f"test/look={number}", "--overwrite")

    assert operator.process is not None
    pid = operator.process.pid
    kubectl.secret("renewal-cloud", {"clouds.yaml": bad})
    kubectl.apply(cluster_manifest("renewal", paused=True, identityRef={"secretName": "renewal-cloud", "cloudName": "swarm"}))
    try:
        eventually(lambda: valid() == ("False", "AuthenticationFailed"), within=60, what="refused")
        for number, (secret, expected) in enumerate(((good, ("True", "CredentialsAccepted")), (bad, ("False", "AuthenticationFailed")))):
            kubectl.secret("renewal-cloud", {"clouds.yaml": secret})
            look_again(number)
            eventually(lambda expected=expected: valid() == expected, within=60, what=str(expected))
        assert operator.process.pid == pid and operator.process.poll() is None
    finally:
        kubectl.secret("renewal-cloud", {"clouds.yaml": good})
        kubectl("delete", "swarmcluster", "renewal", "--timeout=120s")


@pytest.fixture
def application_credentials(cloud: CloudView, lab_env: dict[str, str]) -> Iterator[list[bytes]]:
    """clouds.yaml with an application credential that ends in five days, and with one that does not end."""
    identity = cloud.connection.identity
    user = cloud.connection.current_user_id
    entry = yaml.safe_load(Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["swarm"]
    made, texts = [], []
    for expires in (datetime.now(UTC) + timedelta(days=5), None):
        ends = {"expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.000000")} if expires is not None else {}
        credential = identity.create_application_credential(user=user, name=f"it-{uuid.uuid4().hex[:8]}", **ends)
        made.append(credential)
        auth = {
            "auth_url": entry["auth"]["auth_url"],
            "application_credential_id": credential.id,
            "application_credential_secret": credential.secret,
        }
        content = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": entry["region_name"]}
        texts.append(yaml.safe_dump({"clouds": {"swarm": content}}).encode())
    yield texts
    for credential in made:
        identity.delete_application_credential(user, credential, ignore_missing=True)


def test_an_application_credential_that_ends_is_warned_of_and_renewed(kubectl: Kubectl, operator: Operator, application_credentials: list[bytes]) -> None:
    ending, lasting = application_credentials

    def says() -> tuple[str, str]:
        found = condition(kubectl.get("swarmcluster", "ending"), "CredentialsExpiring")
        return found.get("status", ""), found.get("reason", "")

    assert operator.process is not None
    pid = operator.process.pid
    kubectl.secret("ending-cloud", {"clouds.yaml": ending})
    kubectl.apply(cluster_manifest("ending", paused=True, identityRef={"secretName": "ending-cloud", "cloudName": "swarm"}))
    try:
        eventually(lambda: says() == ("True", "CredentialsExpiring"), within=60, what="warned of")
        status = kubectl.get("swarmcluster", "ending")["status"]["credentials"]
        left = datetime.fromisoformat(status["expiresAt"]) - datetime.now(UTC)
        assert status["kind"] == "ApplicationCredential" and timedelta(days=4, hours=23) < left < timedelta(days=5)
        kubectl.secret("ending-cloud", {"clouds.yaml": lasting})
        kubectl("annotate", "swarmcluster", "ending", "test/look=1", "--overwrite")
        eventually(lambda: says() == ("False", "AsExpected"), within=60, what="renewed")
        found = kubectl.get("swarmcluster", "ending")
        assert condition(found, "CredentialsValid")["status"] == "True" and "expiresAt" not in found["status"]["credentials"]
        assert operator.process.pid == pid and operator.process.poll() is None
    finally:
        kubectl("delete", "swarmcluster", "ending", "--timeout=120s")


def test_clouds_yaml_must_not_name_files(kubectl: Kubectl, operator: Operator, lab_env: dict[str, str]) -> None:
    content = yaml.safe_load(Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_bytes())
    content["clouds"]["swarm"]["cacert"] = "/etc/passwd"
    kubectl.secret("naming-cloud", {"clouds.yaml": yaml.safe_dump(content).encode()})
    kubectl.apply(cluster_manifest("naming", paused=True, identityRef={"secretName": "naming-cloud", "cloudName": "swarm"}))
    try:
        refused = eventually(lambda: condition(kubectl.get("swarmcluster", "naming"), "CredentialsValid"), within=60, what="refused")
        assert (refused["status"], refused["reason"]) == ("False", "CredentialsMalformed") and "`cacert`" in refused["message"]
    finally:
        kubectl("delete", "swarmcluster", "naming", "--timeout=120s")


def test_a_namespace_goes_with_its_cluster_and_its_credentials(lab_env: dict[str, str], crds: None, cloud: CloudView, tmp_path: Path) -> None:
    """The namespace controller deletes the Secret at once; it is needed until the servers are gone."""
    everywhere, name = Kubectl(lab_env, "default"), f"it-{uuid.uuid4().hex[:8]}"
    everywhere("create", "namespace", name)
    kubectl = Kubectl(lab_env, name)
    kubectl.secret(SECRET, {"clouds.yaml": Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_bytes()})
    with Operator(lab_env, name, tmp_path / "operator.log"):
        kubectl.apply(cluster_manifest("gone", workers=0))
        uid = str(kubectl.get("swarmcluster", "gone")["metadata"]["uid"])
        eventually(lambda: cloud.servers(uid), within=120, what="a server")
        assert kubectl.get("secret", SECRET)["metadata"]["finalizers"] == ["swarmops.io/credentials-in-use"]
        everywhere("delete", "namespace", name, "--wait=false")
        seen: list[str] = []

        def gone() -> bool:
            held = kubectl.find("secret", SECRET) is not None
            found = kubectl.find("swarmcluster", "gone")
            if found is not None:
                stage = found.get("status", {}).get("deletion", {}).get("stage", "")
                assert held or stage == "Done", "it is held until nothing is left"
                seen.append(stage)
            return everywhere.find("namespace", name) is None

        eventually(gone, within=180, what="the namespace is gone")
    assert cloud.leftovers(uid) == []
    assert "Servers" in seen
