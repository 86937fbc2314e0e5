"""`kubectl swarm` by the real kubectl: what it writes on a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.kube import Kubectl, KubectlError
from integration.conftest import cluster_manifest, service_manifest

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[2]
REVISION = {"hash": "h", "appliedAt": "2026-01-01T00:00:00Z", "name": "web-r", "image": "busybox:1"}
MACHINE = {"slot": 0, "machineUID": "u", "phase": "Ready", "phaseSince": "2026-01-01T00:00:00Z"}

Plugin = Callable[..., subprocess.CompletedProcess[str]]


def plugin_environment(env: dict[str, str], directory: Path) -> dict[str, str]:
    """`env` with the plugin's script, of this source tree, on the path, as an installation has it."""
    script = directory / "kubectl-swarm"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT / "operator"} exec {sys.executable} -m swarm_operator.cli "$@"\n')
    script.chmod(0o755)
    return {**env, "PATH": f"{directory}{os.pathsep}{env['PATH']}"}


@pytest.fixture(scope="module")
def alone(lab_env: dict[str, str], crds: None) -> Iterator[Kubectl]:
    """A namespace that no operator serves, with a cluster and a service in it."""
    name = f"plugin-{os.getpid()}"
    Kubectl(lab_env, "default")("create", "namespace", name)
    kubectl = Kubectl(lab_env, name)
    kubectl.apply(cluster_manifest("blue"), service_manifest("web", "blue"))
    nodes = [
        {"name": "blue-manager-0", "role": "Manager", **MACHINE},
        {"name": "blue-workers-0", "role": "Worker", "pool": "workers", **MACHINE, "machineUID": "w"},
    ]
    set_status(kubectl, "swarmcluster", "blue", {"nodes": nodes})
    set_status(kubectl, "swarmservice", "web", {"revision": 2, "revisions": [{"revision": 2, **REVISION}, {"revision": 1, **REVISION}]})
    yield kubectl
    Kubectl(lab_env, "default")("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def plugin(alone: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    """Runs `kubectl swarm ...` in that namespace."""
    env = plugin_environment(alone.env, tmp_path_factory.mktemp("plugin"))

    def call(*args: str, check: bool = True, namespace: str = alone.namespace) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["kubectl", "swarm", *args, "-n", namespace], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"kubectl swarm {' '.join(args)}: {done.stderr}"
        return done

    return call


def set_status(kubectl: Kubectl, kind: str, name: str, status: dict[str, Any]) -> None:
    kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


def test_pause_and_resume(alone: Kubectl, plugin: Plugin) -> None:
    plugin("pause", "blue")
    plugin("pause", "service/web")
    assert (alone.get("swarmcluster", "blue")["spec"]["paused"], alone.get("swarmservice", "web")["spec"]["paused"]) == (True, True)
    plugin("resume", "service/web")
    assert (alone.get("swarmcluster", "blue")["spec"]["paused"], alone.get("swarmservice", "web")["spec"]["paused"]) == (True, False)
    managers = {
        entry["manager"] for entry in json.loads(alone("get", "swarmcluster", "blue", "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]
    }
    assert "kubectl-swarm" in managers, "it is seen who paused it"


def test_restart_rollback_and_release(alone: Kubectl, plugin: Plugin) -> None:
    before = alone.get("swarmservice", "web")["metadata"]["generation"]
    plugin("restart", "web")
    plugin("rollback", "web")
    service = alone.get("swarmservice", "web")
    assert service["metadata"]["annotations"]["swarmops.io/restartedAt"] and service["spec"]["rollbackTo"] == {"revision": 1}
    plugin("rollback", "web", "--release")
    after = alone.get("swarmservice", "web")
    assert "rollbackTo" not in after["spec"] and after["metadata"]["generation"] == before + 2
    refused = plugin("rollback", "web", "--to-revision", "9", check=False)
    assert refused.returncode == 1 and refused.stderr == "error: service web has no revision 9; kept are: 2, 1\n"


def test_adopt(alone: Kubectl, plugin: Plugin) -> None:
    plugin("adopt", "web")
    assert alone.get("swarmservice", "web")["spec"]["adoptionPolicy"] == "IfUnowned"


def test_replace_and_rotate(alone: Kubectl, plugin: Plugin) -> None:
    alone("annotate", "swarmcluster", "blue", "swarmops.io/remediate=other")
    plugin("replace", "blue-workers-0")
    assert alone.get("swarmcluster", "blue")["metadata"]["annotations"]["swarmops.io/remediate"] == "other,blue-workers-0"
    plugin("replace", "blue-workers-0", "--cancel")
    plugin("replace", "other", "--cluster", "blue", "--cancel")
    assert "swarmops.io/remediate" not in alone.get("swarmcluster", "blue")["metadata"].get("annotations", {})
    plugin("rotate", "blue")
    first = alone.get("swarmcluster", "blue")["spec"]["swarm"]["rotateJoinTokens"]
    plugin("rotate", "blue")
    assert first != alone.get("swarmcluster", "blue")["spec"]["swarm"]["rotateJoinTokens"]
    alone.patch("swarmcluster", "blue", {"spec": {"swarm": {"autolock": True}}})
    plugin("rotate", "blue", "ca", "unlock-key")
    swarm = alone.get("swarmcluster", "blue")["spec"]["swarm"]
    assert swarm["rotateCA"] == swarm["rotateUnlockKey"] > first


def test_renew(alone: Kubectl, plugin: Plugin) -> None:
    plugin("renew", "blue")
    assert alone.get("swarmcluster", "blue")["spec"]["rollout"]["after"].endswith("Z")


def test_what_is_not_there_is_one_line(plugin: Plugin) -> None:
    done = plugin("status", "absent", check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "absent" in done.stderr


def test_the_namespace_of_the_context_is_the_default(alone: Kubectl, plugin: Plugin, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_bytes(Path(alone.env["KUBECONFIG"]).read_bytes())
    alone("config", "set-context", "--current", f"--namespace={alone.namespace}", "--kubeconfig", str(kubeconfig))
    env = {**plugin_environment(alone.env, tmp_path), "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(["kubectl", "swarm", "status", "-o", "json"], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert [item["metadata"]["name"] for item in json.loads(done.stdout)["items"]] == ["blue", "web"]
    with pytest.raises(KubectlError):
        alone("get", "swarmcluster", "blue", "-n", "default")
    (active,) = json.loads(alone("config", "view", "--minify", "-o", "json", "--kubeconfig", str(kubeconfig)))["contexts"]
    who = (f"--cluster={active['context']['cluster']}", f"--user={active['context']['user']}")
    alone("config", "set-context", "elsewhere", *who, "--namespace=kube-public", "--kubeconfig", str(kubeconfig))
    for flags, wanted in ((("--context", "elsewhere"), []), (("--context", "elsewhere", "-n", alone.namespace), ["blue", "web"])):
        done = subprocess.run(["kubectl", "swarm", "status", "-o", "json", *flags], env=env, capture_output=True, text=True, timeout=60, check=True)
        assert [item["metadata"]["name"] for item in json.loads(done.stdout)["items"]] == wanted
    del env["KUBECONFIG"]
    done = subprocess.run(["kubectl", "swarm", "status", "--kubeconfig", str(kubeconfig)], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert f"SwarmCluster {alone.namespace}/blue" in done.stdout
