"""A swarm that the operator did not make: a dockerd of the test's own, a SwarmCluster with `external`, and a SwarmService on it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import service_manifest
from integration.private_engine import PrivateEngine

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")]


@pytest.fixture
def engine() -> Iterator[PrivateEngine]:
    engine = PrivateEngine()
    try:
        engine.start()
        engine.init_swarm()
        assert engine.import_image("theirs:1")
        yield engine
    finally:
        engine.stop()


def test_services_run_on_a_swarm_of_somebody_else(kubectl: Kubectl, operator: Operator, engine: PrivateEngine, cloud: CloudView) -> None:
    name = f"theirs-{uuid.uuid4().hex[:6]}"
    before, nodes = cloud.counts(), engine.docker("node", "ls", "-q").stdout
    kubectl.apply(
        {
            "apiVersion": "swarmops.io/v1alpha1",
            "kind": "SwarmCluster",
            "metadata": {"name": name},
            "spec": {"external": {"endpoints": [engine.endpoint], "tlsSecretRef": {"name": f"{name}-client"}}},
        }
    )
    missing = eventually(lambda: condition(kubectl.get("swarmcluster", name), "CredentialsValid"), within=60, what="no certificate")
    assert (missing["status"], missing["reason"]) == ("False", "SecretNotFound")
    kubectl.secret(f"{name}-client", {"ca.pem": engine.tls.ca, "cert.pem": engine.tls.cert, "key.pem": engine.tls.key})
    kubectl.wait("swarmcluster", name, timeout=60)
    status = kubectl.get("swarmcluster", name)["status"]
    assert status["swarmID"] == engine.docker("info", "-f", "{{.Swarm.Cluster.ID}}").stdout.strip()
    assert status["managers"]["summary"] == "1/1" and status["endpoint"] == engine.endpoint

    kubectl.apply(service_manifest(f"{name}-web", name, image="theirs:1", command=["sleep", "1000000"]))
    kubectl.wait("swarmservice", f"{name}-web", timeout=90)
    assert engine.docker("service", "ls", "--format", "{{.Name}} {{.Replicas}}").stdout.strip() == f"{name}-web 1/1"
    kubectl("delete", "swarmservice", f"{name}-web", "--timeout=60s")
    assert engine.docker("service", "ls", "-q").stdout == ""
    kubectl("delete", "swarmcluster", name, "--timeout=30s")
    assert engine.docker("node", "ls", "-q").stdout == nodes and "active" in engine.docker("info", "-f", "{{.Swarm.LocalNodeState}}").stdout
    assert cloud.counts() == before, "no cloud was touched"
    assert kubectl.find("secret", f"{name}-client") is not None
