"""One namespace, one operator and one swarm for the whole session; tests that need their own make their own."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cloud import CloudView, DockerView
from harness.kube import Kubectl
from harness.operator import Operator
from integration.live_service import Running
from integration.private_engine import PrivateEngine

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "deploy" / "lab" / "lab"
REGISTRY = "198.51.100.1:5000"
IMAGE = f"{REGISTRY}/swarmlab/busybox"
SECRET = "cloud-credentials"


def cluster_manifest(name: str, workers: int = 1, **spec: Any) -> dict[str, Any]:
    """A small SwarmCluster on the lab; keywords go over the spec."""
    return {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmCluster",
        "metadata": {"name": name},
        "spec": {
            "identityRef": {"secretName": SECRET, "cloudName": "swarm"},
            "machine": {"flavor": {"name": "m1.small"}, "image": {"name": "debian-12-docker"}},
            "workerPools": [{"name": "workers", "replicas": workers}],
            "engine": {"insecureRegistries": [REGISTRY], "mtu": 1350},
            "healthCheck": {"nodeDownGraceSeconds": 10},
            **spec,
        },
    }


def service_manifest(name: str, cluster: str, **spec: Any) -> dict[str, Any]:
    """A SwarmService that sleeps for ever."""
    return {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmService",
        "metadata": {"name": name},
        "spec": {"clusterRef": {"name": cluster}, "image": f"{IMAGE}:1", "command": ["sleep", "1000000"], "stopGracePeriodSeconds": 1, **spec},
    }


@pytest.fixture(scope="session")
def lab(lab_env: dict[str, str]) -> Any:
    """Runs `lab ...`; used for the fault switches."""

    def run(*args: str) -> str:
        done = subprocess.run([str(LAB), *args], env=lab_env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"lab {' '.join(args)}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def crds(lab_env: dict[str, str]) -> None:
    """Our custom resource definitions, established."""
    kubectl = Kubectl(lab_env, "default")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))


@pytest.fixture
def place(lab_env: dict[str, str], crds: None) -> Iterator[str]:
    """A namespace under the restricted profile."""
    name = f"it-{uuid.uuid4().hex[:8]}"
    root = Kubectl(lab_env, "default")
    root("create", "namespace", name)
    root("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
    yield name
    root("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def kubectl(lab_env: dict[str, str], crds: None) -> Iterator[Kubectl]:
    """kubectl in a namespace of this session, with the cloud's credentials in it."""
    name = f"it-{uuid.uuid4().hex[:8]}"
    client = Kubectl(lab_env, name)
    Kubectl(lab_env, "default")("create", "namespace", name)
    client.secret(SECRET, {"clouds.yaml": Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_bytes()})
    yield client
    Kubectl(lab_env, "default")("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def cloud(lab_env: dict[str, str]) -> CloudView:
    """The project, by openstacksdk."""
    return CloudView(lab_env["OS_CLIENT_CONFIG_FILE"])


@pytest.fixture(scope="session")
def before(cloud: CloudView) -> dict[str, int]:
    """What was in the project before the session made anything."""
    return cloud.counts()


@pytest.fixture(scope="session")
def operator(lab_env: dict[str, str], kubectl: Kubectl, before: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator for the session's namespace. At the end all SwarmClusters are deleted through it, so that nothing stays in the project."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with Operator(lab_env, kubectl.namespace, log) as running:
        print(f"operator log: {log}")
        yield running
        kubectl("delete", "swarmstacks,swarmservices,swarmclusters", "--all", "--wait=true", "--timeout=180s", timeout=200)


@pytest.fixture(scope="session")
def swarm(kubectl: Kubectl, operator: Operator) -> str:
    """Name of a Ready SwarmCluster with one manager and one worker, joined over ssh."""
    kubectl.apply(cluster_manifest("main"))
    kubectl.wait("swarmcluster", "main", timeout=300)
    return "main"


@pytest.fixture
def docker(kubectl: Kubectl, swarm: str) -> Iterator[DockerView]:
    """The swarm's Docker API with the client certificate that the operator keeps for users."""
    view = docker_view(kubectl, swarm)
    yield view
    view.close()


def docker_view(kubectl: Kubectl, name: str) -> DockerView:
    """A DockerView of the named SwarmCluster."""
    return DockerView(kubectl.get("swarmcluster", name)["status"]["endpoint"], kubectl.secret_data(f"{name}-docker-tls"))


@pytest.fixture
def running(engine: PrivateEngine) -> Iterator[Running]:
    """The SwarmService controller on the module's own engine."""
    running = Running(engine)
    yield running
    running.close()
    engine.docker("service", "rm", "web", check=False)
