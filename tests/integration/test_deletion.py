"""A cluster deleted at ten moments of its life leaves nothing in the project: proved by listings by its UID that do not go through the operator.

The ten run beside one another, four at a time, each with a cluster of its own. One of them kills the operator with -9 in the midst of its deletion, and so of whatever the
others are at.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
"""The first test waits for all ten."""


@dataclass
class Scene:
    """One cluster on its way to the moment of its deletion. `cloud` is this thread's own."""

    name: str
    kubectl: Kubectl
    cloud: CloudView
    lab: Any
    operator: Operator
    uid: str = ""

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.kubectl.get("swarmcluster", self.name).get("status", {})
        return found

    def nodes(self, role: str) -> list[dict[str, Any]]:
        return [n for n in self.status().get("nodes", []) if n["role"] == role]

    def phase(self, role: str) -> str:
        return next((str(n["phase"]) for n in self.nodes(role)), "")

    def until(self, check: Callable[[], Any], what: str, within: float = 300) -> None:
        eventually(check, within=within, every=0.2, what=f"{self.name}: {what}")

    def ready(self) -> None:
        self.kubectl.wait("swarmcluster", self.name, timeout=700)  # a machine that does not come up is replaced after 600

    def scale(self, workers: int) -> None:
        self.kubectl("patch", "swarmcluster", self.name, "--type=json", "-p", f'[{{"op":"replace","path":"/spec/workerPools/0/replicas","value":{workers}}}]')

    def delete(self, *args: str) -> None:
        self.kubectl("delete", "swarmcluster", self.name, *args, timeout=320)


def before_the_network(scene: Scene) -> None:
    scene.until(lambda: scene.kubectl.get("swarmcluster", scene.name)["metadata"].get("finalizers"), "the operator has seen it")


def after_the_network(scene: Scene) -> None:
    scene.until(lambda: any(scene.uid in (n.description or "") for n in scene.cloud.connection.network.networks()), "the network is made")


def during_the_build(scene: Scene) -> None:
    scene.until(lambda: scene.phase("Manager") in ("Pending", "Building"), "a server is asked for")


def during_the_boot(scene: Scene) -> None:
    scene.until(lambda: scene.phase("Manager") == "Booting", "the manager boots")


def before_the_init(scene: Scene) -> None:
    scene.until(lambda: any(n.get("hostKeys") for n in scene.nodes("Manager")), "the manager's ssh answers")


def during_the_join(scene: Scene) -> None:
    scene.ready()
    scene.scale(1)
    scene.until(lambda: scene.phase("Worker") in ("Booting", "Joining"), "the worker is on its way into the swarm")


def when_ready(scene: Scene) -> None:
    scene.ready()


def during_a_drain(scene: Scene) -> None:
    scene.ready()
    scene.scale(0)
    scene.until(lambda: scene.phase("Worker") in ("Draining", "Deleting", ""), "the worker goes")


def during_remediation(scene: Scene) -> None:
    scene.ready()
    scene.lab("break", "kill-host", f"{scene.name}-workers-0")
    scene.until(lambda: any(n.get("remediation") for n in scene.nodes("Worker")), "the worker is being repaired")


def with_the_operator_killed(scene: Scene) -> None:
    scene.ready()
    scene.delete("--wait=false")
    scene.until(
        lambda: any(s.status == "DELETED" or s.task_state == "deleting" for s in scene.cloud.servers(scene.uid)) or not scene.cloud.servers(scene.uid),
        "servers go",
    )
    scene.operator.kill()
    scene.operator.start()


MOMENTS: dict[str, Callable[[Scene], None]] = {
    "killed": with_the_operator_killed,
    "remediation": during_remediation,
    "drain": during_a_drain,
    "join": during_the_join,
    "ready": when_ready,
    "init": before_the_init,
    "boot": during_the_boot,
    "build": during_the_build,
    "network": after_the_network,
    "start": before_the_network,
}
"""By name, the slow ones first."""


@pytest.fixture(scope="module")
def outcomes(kubectl: Kubectl, operator: Operator, lab_env: dict[str, str], lab: Any) -> dict[str, Future[list[str]]]:
    """By moment, what was left in the project after the deletion."""

    def run(moment: str) -> list[str]:
        scene = Scene(f"del-{moment}", kubectl, CloudView(lab_env["OS_CLIENT_CONFIG_FILE"]), lab, operator)
        workers = 1 if moment in ("drain", "remediation", "killed") else 0
        kubectl.apply(cluster_manifest(scene.name, workers=workers))
        scene.uid = str(kubectl.get("swarmcluster", scene.name)["metadata"]["uid"])
        MOMENTS[moment](scene)
        scene.delete("--ignore-not-found", "--timeout=300s")
        assert kubectl.find("swarmcluster", scene.name) is None
        return scene.cloud.leftovers(scene.uid)

    with ThreadPoolExecutor(4) as pool:
        return {moment: pool.submit(run, moment) for moment in MOMENTS}


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left(moment: str, outcomes: dict[str, Future[list[str]]]) -> None:
    assert outcomes[moment].result() == []
