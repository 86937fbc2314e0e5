"""Credentials are read anew at each reconcile: a Secret that is renewed, or spoilt, takes effect in the running operator."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest

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
