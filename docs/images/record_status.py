"""Records `kubectl swarm` on a real cluster of the lab, and makes the pictures of it: docs/images/status.svg.

    eval "$(deploy/lab/lab env)" && .venv/bin/python docs/images/record_status.py

Everything that it makes in the lab is removed at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "operator")]

from harness.kube import Kubectl, eventually  # noqa: E402
from harness.operator import Operator  # noqa: E402
from integration.conftest import IMAGE, SECRET, cluster_manifest, service_manifest  # noqa: E402

NAMESPACE = "shop"
CLUSTER = "blue"


def swarm(*args: str) -> str:
    """`kubectl swarm`, in colour."""
    argv = [sys.executable, "-m", "swarm_operator.cli", "-n", NAMESPACE, "--color", "always", *args]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(ROOT / "operator")}, capture_output=True, text=True, check=True)
    return f"\x1b[1;36m$ kubectl swarm {' '.join(args)}\x1b[0m\n{done.stdout}"


def record(kubectl: Kubectl) -> str:
    """Three commands on a swarm in which one service waits for an image that does not exist."""
    kubectl.apply(cluster_manifest(CLUSTER, workers=2))
    kubectl.wait("swarmcluster", CLUSTER, timeout=400)
    kubectl.apply(service_manifest("web", CLUSTER, replicas=3, resources={"reservations": {"cpu": "0.1", "memory": "64Mi"}}))
    kubectl.apply(service_manifest("metrics", CLUSTER, mode="global"))
    for name in ("web", "metrics"):
        kubectl.wait("swarmservice", name, timeout=120)
    kubectl.apply(service_manifest("api", CLUSTER, image=f"{IMAGE}:9", replicas=1))
    eventually(lambda: kubectl.get("swarmservice", "api").get("status", {}).get("failingTasks"), within=90, what="a failing task")
    web = service_manifest("web", CLUSTER, replicas=3, image=f"{IMAGE}:2", resources={"reservations": {"cpu": "0.1", "memory": "64Mi"}})
    import yaml

    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        Path("web.yaml").write_text(yaml.safe_dump(web))
        return "\n".join([swarm("status"), swarm("plan", "-f", "web.yaml"), swarm("top", CLUSTER)])


def main() -> None:
    """Make it, record it, remove it."""
    env = dict(os.environ)
    everywhere, kubectl = Kubectl(env, "default"), Kubectl(env, NAMESPACE)
    everywhere("create", "namespace", NAMESPACE)
    kubectl.secret(SECRET, {"clouds.yaml": Path(env["OS_CLIENT_CONFIG_FILE"]).read_bytes()})
    log = Path(tempfile.gettempdir()) / f"record-status-{uuid.uuid4().hex[:8]}.log"
    try:
        with Operator(env, NAMESPACE, log):
            try:
                text = record(kubectl)
            finally:
                kubectl("delete", "swarmservices,swarmclusters", "--all", "--wait=true", "--timeout=180s", timeout=200)
    finally:
        everywhere("delete", "namespace", NAMESPACE, "--wait=false")
        log.unlink(missing_ok=True)
    print(text)
    renderer = [sys.executable, str(ROOT / "docs" / "images" / "render.py"), "kubectl swarm"]
    picture = subprocess.run(renderer, input=text, capture_output=True, text=True, check=True).stdout
    (ROOT / "docs" / "images" / "status.svg").write_text(picture)


if __name__ == "__main__":
    main()
