"""docs/tutorial.md as a reader follows it: its blocks of shell, in their order, in one shell, from the root of the repository."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cloud import CloudView
from harness.kube import Kubectl, eventually
from harness.markdown import Block, blocks
from harness.operator import Operator
from integration.conftest import ROOT
from swarmlab import paths

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.timeout(900)]
PAGE = ROOT / "docs" / "tutorial.md"
NAMESPACE = "tutorial"
SECONDS = 600
"""The page says that it takes about five minutes."""


def script(found: list[Block]) -> str:
    """One shell for all; each block says in the log where it stands. What runs in the background at the end of a failed run is ended."""
    lines = ["set -euo pipefail", "trap 'jobs -p | xargs -r kill' EXIT"]
    for block in found:
        lines += [f'echo "=== {PAGE.name}:{block.line}"', block.text]
    return "\n".join(lines)


@pytest.fixture
def nothing_before_or_after(lab_env: dict[str, str], cloud: CloudView, tmp_path: Path) -> Iterator[None]:
    """The project holds nothing more afterwards than before (less, where a former test's objects were still going); what a failed run has left is removed by an operator of ours."""
    before = cloud.counts()
    root = Kubectl(lab_env, "default")
    yield
    subprocess.run([str(ROOT / "deploy/lab/lab"), "prometheus", "down", "--name", "prometheus-tutorial"], check=False, capture_output=True)
    if root.find("namespace", NAMESPACE) is not None:
        with Operator(lab_env, NAMESPACE, tmp_path / "cleanup.log"):
            Kubectl(lab_env, NAMESPACE)("delete", "swarmstacks,swarmservices,swarmclusters", "--all", "--timeout=180s", timeout=200)
        root("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
    assert {kind: count for kind, count in cloud.counts().items() if count > before[kind]} == {}
    assert [server.name for server in cloud.connection.compute.servers(details=False) if server.name.startswith(("first-", "second-"))] == []


def test_every_command_of_the_tutorial_works(lab_env: dict[str, str], nothing_before_or_after: None, tmp_path: Path) -> None:
    found = [block for block in blocks(PAGE.read_text()) if block.language == "sh"]
    assert len(found) >= 10
    log = tmp_path / "tutorial.log"
    began = time.monotonic()
    with log.open("w") as out:
        done = subprocess.run(
            ["bash", "-c", script(found)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=SECONDS, check=False
        )
    seconds = time.monotonic() - began
    text = log.read_text()
    print(f"{text}\nthe tutorial took {seconds:.0f} s, with status {done.returncode}")
    assert done.returncode == 0, text[-3000:]
    told = {int(part.partition("\n")[0].rpartition(":")[2]): part.partition("\n")[2] for part in text.split("=== ")[1:]}

    def answer(command: str) -> str:
        (block,) = [block for block in found if command in block.text]
        return told[block.line]

    assert '"max-size"' in answer("cat /etc/docker/daemon.json") and "first-workers-0" in answer("cat /etc/docker/daemon.json")
    assert "DriftCorrected" in answer("docker service scale --detach hello=6")
    assert (
        '"state":"Active"' in answer("{.status.snapshots}")
        and "/srv/data" in answer("{.status.snapshots}")
        and "first-copies-0" in answer("{.status.snapshots}")
    )
    assert answer("/srv/data/proof").rstrip().endswith("kept")
    assert '"tokenExposed":false' in answer("{.status.join}")
    assert "shop" in answer("kind: SwarmStack")
    assert "Managers ready and desired" in (ROOT / "build" / "dashboard.svg").read_text()
    eventually(lambda: not (paths.STATE / "prometheus-tutorial").exists(), within=5)
