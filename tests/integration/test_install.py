"""deploy/kustomize on a real API server: every object is accepted, restricted pod security has no complaint, and the operator can work with those rights only."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from harness.kube import Kubectl
from harness.operator import Operator
from integration.conftest import ROOT, cluster_manifest
from swarmlab import paths

pytestmark = [pytest.mark.lab, pytest.mark.alone]
NAMESPACE = "swarm-operator"


def chart(namespace: str) -> str:
    """What the Helm chart makes, all of it but the CRDs and the objects of the Prometheus operator."""
    helm = shutil.which("helm", path=f"{os.environ.get('PATH', '')}:{paths.BIN}")
    if helm is None:
        pytest.skip("no helm here: `deploy/lab/lab tools` builds it")
    argv = [
        helm,
        "template",
        "swarm-operator",
        str(ROOT / "deploy/helm/swarm-operator"),
        "-n",
        namespace,
        "--kube-version",
        "1.35.4",
        "--set",
        "crds.enabled=false",
    ]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def rendered(scope: str, namespace: str) -> str:
    """What `kubectl kustomize` makes, moved to a namespace of the test; cluster-wide names get its name too."""
    done = subprocess.run(["kubectl", "kustomize", str(ROOT / "deploy/kustomize" / scope)], capture_output=True, text=True, timeout=60, check=True)
    found = [document for document in yaml.safe_load_all(done.stdout) if document]
    for document in found:
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
        for subject in document.get("subjects", []):
            subject["namespace"] = namespace
    return yaml.safe_dump_all(found)


@pytest.mark.parametrize("scope", ["clusterwide", "namespaced", "chart"])
def test_every_object_is_accepted(scope: str, place: str, lab_env: dict[str, str]) -> None:
    text = chart(place) if scope == "chart" else rendered(scope, place)
    done = subprocess.run(["kubectl", "apply", "--dry-run=server", "-f", "-"], input=text, env=lab_env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "deployment.apps/swarm-operator created" in done.stdout


def test_the_operator_works_with_the_namespaced_rights_only(place: str, lab_env: dict[str, str], tmp_path: Path) -> None:
    """Its token is that of the ServiceAccount. The cluster's Secret is missing: list, watch, get, finalizer, status and Lease are used for real; what comes later (Secrets of its
    own, Events) is asked of the authoriser."""
    subprocess.run(["kubectl", "apply", "-f", "-"], input=rendered("namespaced", place), env=lab_env, capture_output=True, text=True, timeout=60, check=True)
    kubectl = Kubectl(lab_env, place)
    config = yaml.safe_load(Path(lab_env["KUBECONFIG"]).read_text())
    token = kubectl("create", "token", "swarm-operator").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    log = tmp_path / "operator.log"
    with Operator({**lab_env, "KUBECONFIG": str(kubeconfig)}, place, log, "--lease-namespace", place, "--lease-name", "swarm-operator"):
        kubectl.apply(cluster_manifest("c"))
        end = time.monotonic() + 40
        while time.monotonic() < end:
            status = kubectl.get("swarmcluster", "c").get("status") or {}
            reasons = {condition["reason"] for condition in status.get("conditions", [])}
            if "SecretNotFound" in reasons:
                break
            time.sleep(0.5)
        assert "SecretNotFound" in reasons, log.read_text()[-3000:]
        assert kubectl.get("lease", "swarm-operator")["spec"]["holderIdentity"]
        kubectl("delete", "swarmcluster", "c", "--wait=true", "--timeout=30s", timeout=40)
    assert "forbidden" not in log.read_text().lower()
    rights = ("create secrets", "update secrets", "get configmaps", "create events", "patch events", "list controllerrevisions.apps")
    for verb, resource in (right.split() for right in rights):
        assert kubectl("auth", "can-i", verb, resource, f"--as=system:serviceaccount:{place}:swarm-operator").strip() == "yes", (verb, resource)
