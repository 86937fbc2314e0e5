"""From an earlier build of the operator to this one and back, at rest and in the middle of work: nothing is replaced, made twice or restarted.

A new build may have something to do once (here: a security group and server groups of their own, marks on the servers), and is not Ready for that time. The conditions are as before afterwards.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import ROOT, SECRET, cluster_manifest, docker_view, service_manifest

pytestmark = [pytest.mark.lab, pytest.mark.alone]
EARLIER = "bbea78a84640e854ec86ebffaac85d7f717f9191"
"""A commit of main from before rolling updates, stacks and adoption. There is no release yet to take."""
NAME = "up"


def earlier_build(directory: Path) -> Path:
    """The package `swarm_operator` as it was; the CRDs are those of now, as an upgrade applies them first."""
    done = subprocess.run(["git", "-C", str(ROOT), "archive", EARLIER, "operator"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this clone has no commit {EARLIER[:7]}: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory / "operator"


def facts(kubectl: Kubectl, of: Collection[str] = ()) -> dict[str, Any]:
    """What must outlive an upgrade: servers, nodes and tasks by their ids, and how it fares (conditions `of` these types: one build knows more than the other)."""
    status = kubectl.get("swarmcluster", NAME)["status"]
    view = docker_view(kubectl, NAME)
    try:
        tasks = {task["ID"] for task in view.api.tasks(filters={"service": "web", "desired-state": "running"})}
    finally:
        view.close()
    return {
        "machines": {node["name"]: (node["serverID"], node["nodeID"]) for node in status["nodes"]},
        "tasks": tasks,
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in status["conditions"] if not of or c["type"] in of},
        "service": condition(kubectl.get("swarmservice", "web"), "Ready")["status"],
    }


def led(operator: Operator) -> int:
    """How often it has begun to lead."""
    return operator.log.read_text().count("leading: ") if operator.log.exists() else 0


def test_up_and_down_at_rest_and_in_the_middle(place: str, lab_env: dict[str, str], cloud: CloudView, tmp_path: Path) -> None:
    kubectl = Kubectl(lab_env, place)
    kubectl.secret(SECRET, {"clouds.yaml": Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_bytes()})
    new = Operator(lab_env, place, tmp_path / "new.log")
    old = Operator(lab_env, place, tmp_path / "old.log")
    old.env["PYTHONPATH"] = str(earlier_build(tmp_path / "earlier"))
    old.identity = new.identity  # as a container that is started again: a kill -9 does not cost the time until the lease expires
    try:
        old.start()
        kubectl.apply(cluster_manifest(NAME), service_manifest("web", NAME, replicas=1))
        kubectl.wait("swarmcluster", NAME, timeout=300)
        kubectl.wait("swarmservice", "web", timeout=120)
        before = facts(kubectl)

        for leaving, coming in ((old, new), (new, old), (old, new)):  # at rest
            assert leaving.stop() == 0
            times = led(coming)
            coming.start()
            eventually(lambda coming=coming, times=times: led(coming) > times, within=40, what="the next one leads")
            time.sleep(8)
            # An earlier build names what it does not know as orphans: here the security group that only the later one makes.
            wanted = before if coming is new else {**before, "conditions": {**before["conditions"], "OrphansFound": ("True", "OrphansFound")}}
            eventually(
                lambda wanted=wanted: facts(kubectl, before["conditions"]) == wanted, within=40, what=f"{facts(kubectl, before['conditions'])} as {wanted}"
            )

        kubectl("patch", "swarmcluster", NAME, "--type=json", "-p", '[{"op":"replace","path":"/spec/workerPools/0/replicas","value":2}]')
        eventually(lambda: any(s.name == f"{NAME}-workers-1" for s in cloud.servers(uid(kubectl))), within=60, every=0.1, what="the new worker's server")
        new.kill()
        old.start()
        kubectl.wait("swarmcluster", NAME, timeout=240)
        assert len(cloud.servers(uid(kubectl))) == 3
        grown = facts(kubectl)
        assert before["machines"].items() <= grown["machines"].items() and grown["tasks"] == before["tasks"]
        old.kill()
        new.start()
        kubectl.apply(service_manifest("web", NAME, replicas=2))
        eventually(lambda: kubectl.get("swarmservice", "web")["status"].get("replicas", {}).get("running") == 2, within=60)
        assert facts(kubectl)["machines"] == grown["machines"] and before["tasks"] < facts(kubectl)["tasks"]
    finally:
        for operator in (old, new):
            if operator.process is not None:
                operator.kill()
        with new:
            kubectl("delete", "swarmservices,swarmclusters", "--all", "--timeout=180s", timeout=200)


def uid(kubectl: Kubectl) -> str:
    return str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
