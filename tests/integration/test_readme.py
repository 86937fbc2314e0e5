"""The commands of README.md, in their order, on the manifests that stand before them. `make demo` and `make test` are not among them: tests/e2e/bare-machine runs those on a bare system."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.kube import Kubectl
from harness.markdown import blocks
from harness.operator import Operator
from integration.conftest import IMAGE, REGISTRY, ROOT

pytestmark = pytest.mark.lab
ELSEWHERE = ("make ",)


def on_the_lab(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a user puts in the place of the example's cloud and image; nothing else is changed."""
    spec = manifest["spec"]
    if manifest["kind"] == "SwarmCluster":
        spec["identityRef"]["cloudName"] = "swarm"
        spec["engine"] = {"insecureRegistries": [REGISTRY], "mtu": 1350}
    else:
        assert spec["image"] == "registry.example/hello:1"
        spec |= {"image": f"{IMAGE}:1", "command": ["sleep", "1000000"], "stopGracePeriodSeconds": 1}
    return manifest


def test_every_command_of_the_readme_works(lab_env: dict[str, str], kubectl: Kubectl, operator: Operator, tmp_path: Path) -> None:
    found = blocks((ROOT / "README.md").read_text())
    manifests = [one for block in found if block.language == "yaml" for one in yaml.safe_load_all(block.text)]
    assert [one["kind"] for one in manifests] == ["SwarmCluster", "SwarmService"]
    commands = [line for block in found if block.language in ("console", "sh") for line in block.text.splitlines() if not line.startswith(ELSEWHERE)]
    assert len(commands) >= 3
    kubectl.apply(*(on_the_lab(one) for one in manifests))
    config = yaml.safe_load(Path(lab_env["KUBECONFIG"]).read_text())
    config["contexts"][0]["context"]["namespace"] = kubectl.namespace
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    env = {**lab_env, "KUBECONFIG": str(kubeconfig), "PATH": f"{ROOT / '.venv/bin'}:{lab_env['PATH']}"}
    try:
        for command in commands:
            done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
            print(f"$ {command}\n{done.stdout}{done.stderr}")
            assert done.returncode == 0, f"{command}: {done.stderr}"
    finally:
        kubectl("delete", "swarmservice/hello", "swarmcluster/blue", "--ignore-not-found", "--timeout=180s", timeout=200)
