"""The commands of `kubectl swarm` that reach a swarm and its machines, by the real kubectl on one small cluster of the lab."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cloud import DockerView
from harness.kube import Kubectl, eventually
from harness.operator import Operator
from integration.conftest import cluster_manifest, docker_view, service_manifest
from integration.test_plugin import Plugin, plugin_environment

pytestmark = pytest.mark.lab
NAME = "plug"
MANAGER, WORKER = f"{NAME}-manager-0", f"{NAME}-workers-0"
TICKS = ["sh", "-c", "echo begun; while true; do echo tick $HOSTNAME; sleep 1; done"]


@pytest.fixture(scope="module")
def cluster(kubectl: Kubectl, operator: Operator) -> Iterator[str]:
    """A Ready cluster of a manager and a worker, with a service of two tasks."""
    kubectl.apply(cluster_manifest(NAME, managers={"schedulable": True}))
    kubectl.wait("swarmcluster", NAME, timeout=300)
    kubectl.apply(service_manifest("ticks", NAME, command=TICKS, replicas=2))
    kubectl.wait("swarmservice", "ticks", timeout=120)
    yield NAME
    kubectl("delete", "swarmservice", "ticks", "--ignore-not-found", "--timeout=60s")
    kubectl("delete", "swarmcluster", NAME, "--ignore-not-found", "--timeout=180s", timeout=200)


@pytest.fixture(scope="module")
def environment(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**plugin_environment(kubectl.env, tmp_path_factory.mktemp("plugin")), "XDG_RUNTIME_DIR": str(tmp_path_factory.mktemp("run"))}


@pytest.fixture
def plugin(kubectl: Kubectl, cluster: str, environment: dict[str, str]) -> Plugin:
    def call(*args: str, check: bool = True, timeout: float = 120, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        argv = ["kubectl", "swarm", "-n", kubectl.namespace, *args]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=timeout, check=False, input=stdin)
        assert not check or done.returncode == 0, f"kubectl swarm {' '.join(args)}: {done.stdout}{done.stderr}"
        return done

    return call


@pytest.fixture
def docker(kubectl: Kubectl, cluster: str) -> Iterator[DockerView]:
    view = docker_view(kubectl, cluster)
    yield view
    view.close()


def running(plugin: Plugin) -> dict[str, str]:
    """Node by id of the tasks that run."""
    tasks = json.loads(plugin("ps", "ticks", "-o", "json").stdout)
    return {task["ID"]: task["NodeID"] for task in tasks if task["Status"]["State"] == "running" and task["DesiredState"] == "running"}


def test_ssh_reaches_the_manager_and_through_it_the_worker(plugin: Plugin, environment: dict[str, str]) -> None:
    for machine in (MANAGER, WORKER):
        done = plugin("ssh", machine, "--", "cat", "/etc/hostname")
        assert done.stdout.strip() == machine
    assert plugin("ssh", WORKER, "--", "exit", "7", check=False).returncode == 7
    assert list(Path(environment["XDG_RUNTIME_DIR"]).iterdir()) == [], "no key stays"
    assert not list(Path(tempfile.gettempdir()).glob("kubectl-swarm-*"))


def test_a_changed_host_key_is_refused(plugin: Plugin, kubectl: Kubectl, environment: dict[str, str], tmp_path: Path) -> None:
    """The operator pins anew what status says, so a copy of the object with another key is looked at: by a kubectl that is asked for nothing else."""
    found = kubectl.get("swarmcluster", NAME)
    wrong = next(node for node in found["status"]["nodes"] if node["name"] == WORKER)["hostKeys"]
    for node in found["status"]["nodes"]:
        if node["name"] == MANAGER:
            node["hostKeys"] = wrong
    code = (
        "import json, sys; from unit.cli.fakes import FakeApi, Call; found = json.load(open(sys.argv[1])); api = FakeApi(found['cluster']); "
        "api.secrets[f\"{found['cluster']['metadata']['name']}-ssh\"] = {'ssh-privatekey': found['key'].encode()}; "
        "sys.exit(Call('ssh', sys.argv[2], '--', 'true', api=api).status)"
    )
    key = kubectl.secret_data(f"{NAME}-ssh")["ssh-privatekey"].decode()
    (tmp_path / "found.json").write_text(json.dumps({"cluster": found, "key": key}))
    tests = Path(__file__).resolve().parents[1]
    env = {**environment, "PYTHONPATH": f"{tests}:{tests.parent / 'operator'}"}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "found.json"), MANAGER], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 255 and "verification failed" in done.stderr.lower()


def test_ps_and_top_show_what_runs_where(plugin: Plugin, docker: DockerView) -> None:
    lines = [line.split() for line in plugin("ps", "ticks", "--current").stdout.splitlines()]
    assert [line[:1] + line[2:4] for line in lines[1:]] == [["ticks.1", "running", "running"], ["ticks.2", "running", "running"]]
    assert {line[1] for line in lines[1:]} <= {MANAGER, WORKER}
    machines = {entry["machine"]: entry for entry in json.loads(plugin("top", NAME, "-o", "json").stdout)}
    assert set(machines) == {MANAGER, WORKER} and sum(entry["runningTasks"] for entry in machines.values()) == docker.running("ticks")
    assert machines[MANAGER]["role"] == "leader" and machines[WORKER]["nanoCPUs"] > 0


def test_logs_come_from_all_tasks_and_are_followed(plugin: Plugin, kubectl: Kubectl, environment: dict[str, str]) -> None:
    lines = plugin("logs", "ticks", "--tail", "3").stdout.splitlines()
    assert {line.split("@")[0] for line in lines} == {"ticks.1", "ticks.2"} and all(" | tick" in line or " | begun" in line for line in lines)
    assert plugin("logs", "ticks", "--raw", "--timestamps").stdout.split(" ", 1)[0].endswith("Z")
    argv = ["kubectl", "swarm", "logs", "ticks", "-f", "--tail", "0", "-n", kubectl.namespace]
    # What was started in the background of a shell has SIGINT ignored, and so would it.
    following = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert following.stdout is not None
    seen = [following.stdout.readline() for _ in range(6)]
    following.send_signal(signal.SIGINT)
    assert following.wait(20) == 130 and all(" | tick" in line for line in seen)


def test_restart_replaces_the_tasks_and_rollback_holds(plugin: Plugin, kubectl: Kubectl, docker: DockerView) -> None:
    def variables() -> list[str]:
        service = docker.service("ticks")
        assert service is not None
        return service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") or []

    before = running(plugin)
    plugin("restart", "ticks")
    eventually(lambda: len(running(plugin)) == 2 and not set(before) & set(running(plugin)), within=90, what="both tasks replaced")
    kubectl.patch("swarmservice", "ticks", {"spec": {"env": [{"name": "NEW", "value": "1"}]}})
    eventually(lambda: [r["revision"] for r in json.loads(plugin("history", "ticks", "-o", "json").stdout)] == [2, 1], within=90, what="a second revision")
    assert variables() == ["NEW=1"]
    plugin("rollback", "ticks")
    eventually(lambda: variables() == [], within=60, what="the engine holds the first revision")
    kubectl.wait("swarmservice", "ticks", condition="Pinned", timeout=60)
    plugin("rollback", "ticks", "--release")
    eventually(lambda: variables() == ["NEW=1"], within=60, what="the spec applies again")
    assert plugin("wait", "service/ticks", "--timeout", "2m").stdout.startswith(f"service {kubectl.namespace}/ticks: Ready after")


def test_plans_are_empty_at_rest_and_tell_what_a_manifest_would_do(plugin: Plugin, kubectl: Kubectl) -> None:
    eventually(lambda: plugin("plan", NAME, "--exit-code", check=False).returncode == 0, within=60, what="nothing to do")
    manifest = cluster_manifest(NAME, workers=2)
    done = plugin("plan", "-f", "-", "--exit-code", "-o", "json", check=False, stdin=yaml.safe_dump(manifest))
    (planned,) = json.loads(done.stdout)
    assert done.returncode == 3 and {"spec.workerPools[workers].replicas: 1 -> 2"} <= set(planned["changes"])
    assert [(step["step"], step["what"].split()[0]) for step in planned["steps"]] == [("CreatePort", f"{NAME}-workers-1")] and planned["notSeen"] == []
    assert kubectl.get("swarmcluster", NAME)["spec"]["workerPools"][0]["replicas"] == 1
    service = service_manifest("ticks", NAME, command=TICKS, replicas=3, env=[{"name": "NEW", "value": "1"}])
    assert "(no running task restarts)" in plugin("plan", "-f", "-", stdin=yaml.safe_dump(service)).stdout
    service["spec"]["stopGracePeriodSeconds"] = 2
    assert "(tasks are replaced)" in plugin("plan", "-f", "-", stdin=yaml.safe_dump(service)).stdout


def test_drain_empties_a_machine_and_the_operator_leaves_it_so(plugin: Plugin, docker: DockerView) -> None:
    plugin("drain", WORKER, "--wait", "--timeout", "60s")
    nodes = {node["Description"]["Hostname"]: node for node in docker.nodes()}
    eventually(lambda: set(running(plugin).values()) == {nodes[MANAGER]["ID"]} and len(running(plugin)) == 2, within=60, what="all tasks on the manager")
    assert nodes[WORKER]["Spec"]["Availability"] == "drain"
    plugin("undrain", WORKER)
    assert {node["Spec"]["Availability"] for node in docker.nodes()} == {"active"}


def test_replace_makes_the_machine_anew(plugin: Plugin, kubectl: Kubectl) -> None:
    def names() -> dict[str, Any]:
        return {node["name"]: node["phase"] for node in kubectl.get("swarmcluster", NAME)["status"]["nodes"]}

    assert plugin("replace", MANAGER, check=False).returncode == 1, "the only manager"
    plugin("replace", WORKER)
    eventually(lambda: names() == {MANAGER: "Ready", f"{WORKER}-2": "Ready"}, within=240, what="a successor, and the former one gone")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    plugin("replace", WORKER, "--cancel", "--cluster", NAME)


def test_the_report_and_the_orphans_of_a_real_cluster(plugin: Plugin, kubectl: Kubectl, tmp_path: Path) -> None:
    path = tmp_path / "report.tar.gz"
    plugin("report", NAME, "--file", str(path))
    content = subprocess.run(["tar", "-xzOf", str(path)], capture_output=True, check=True).stdout
    secrets = [value for name in (f"{NAME}-ssh", f"{NAME}-docker-tls", "cloud-credentials") for value in kubectl.secret_data(name).values()]
    assert b"kind: SwarmCluster" in content and not any(value.strip() in content for value in secrets)
    assert plugin("orphans", NAME).stdout.startswith("No orphans")
