"""The Dockerfile, executed step by step in a Debian root file system, and what comes out of it started as the Deployment says: not root, read-only root, no capability, the pod's service account.

There is no engine for builds and no kubelet here; tests/harness/image.py says what it does in their place and where it differs.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import dockerfile
from harness.image import Builder, Root, pod
from harness.kube import Kubectl, eventually
from integration.conftest import ROOT, cluster_manifest
from integration.test_install import rendered

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("debootstrap") is None, reason="needs root and debootstrap to make the root file systems"),
]
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture(scope="module")
def image(lab_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    with Builder(ROOT, tmp_path_factory.mktemp("image")) as builder:
        began = time.monotonic()
        root = builder.build(dockerfile.parse((ROOT / "Dockerfile").read_text()))
        print(f"Dockerfile executed in {time.monotonic() - began:.0f} s")
        yield root


def version(image: Root, *command: str) -> subprocess.CompletedProcess[str]:
    """A short command in the image."""
    return subprocess.run(pod(image, list(command), {}, {}), capture_output=True, text=True, timeout=60, check=False)


def test_it_says_its_version(image: Root) -> None:
    done = version(image, "--version")
    assert (done.returncode, done.stdout) == (0, "0.1.0\n"), done.stderr


def test_no_compiler_no_pip_and_no_source_of_ours_but_the_package(image: Root) -> None:
    for name in ("cc", "gcc", "pip", "pip3", "make", "git"):
        assert not list(image.path.glob(f"usr/**/bin/{name}")) and not list(image.path.glob(f"opt/**/bin/{name}")), name
    assert not (image.path / "src").exists()
    assert not list(image.path.glob("usr/**/site-packages/pip*")) and not list(image.path.glob("opt/**/site-packages/pip*"))
    installed = next(image.path.glob("opt/swarm-operator/lib/python3*/site-packages/swarm_operator"))
    source = ROOT / "operator/swarm_operator"
    assert {path.relative_to(installed) for path in installed.rglob("*.py")} == {path.relative_to(source) for path in source.rglob("*.py")}
    assert all(list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")) for path in installed.rglob("*.py")), "compiled, as nothing can be written later"


def test_nothing_of_this_machine_is_left_in_the_image(image: Root) -> None:
    """How it reaches mirrors and registries, that is; and no package lists."""
    upper = image.path.parent / "upper"
    for name in ("etc/resolv.conf", "etc/hosts", "etc/apt/sources.list"):
        assert not (image.path / name).read_text()
    assert [
        path for folder in ("run", "tmp", "root", "var/lib/apt/lists") for path in (upper / folder).glob("*") if path.is_file() or any(path.iterdir())
    ] == []


def test_the_user_is_not_root_and_owns_nothing(image: Root) -> None:
    assert image.user == "65532:65532"
    assert [
        path for path in (image.path.parent / "upper").rglob("*") if path.lstat().st_uid == 65532 or (not path.is_symlink() and path.stat().st_mode & 0o6002)
    ] == []


def container(namespace: str) -> dict[str, Any]:
    """Of the Deployment for one namespace."""
    deployment = next(found for found in yaml.safe_load_all(rendered("namespaced", namespace)) if found["kind"] == "Deployment")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def service_account(lab_env: dict[str, str], kubectl: Kubectl, directory: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """What the kubelet mounts at SERVICE_ACCOUNT and sets in the environment."""
    directory.mkdir()
    config = yaml.safe_load(Path(lab_env["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]
    (directory / "ca.crt").write_bytes(base64.b64decode(config["certificate-authority-data"]))
    (directory / "namespace").write_text(kubectl.namespace)
    token = directory / "token"
    token.write_text(kubectl("create", "token", "swarm-operator").strip())
    os.chown(token, 0, 65532)
    token.chmod(0o640)
    host, _, port = config["server"].removeprefix("https://").partition(":")
    return {SERVICE_ACCOUNT: directory}, {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


def test_it_runs_as_the_deployment_says_on_a_real_api_server(image: Root, place: str, lab_env: dict[str, str], tmp_path: Path) -> None:
    """Its arguments are the Deployment's, but for names of this test's namespace and a free port."""
    kubectl = Kubectl(lab_env, place)
    subprocess.run(["kubectl", "apply", "-f", "-"], input=rendered("namespaced", place), env=lab_env, capture_output=True, text=True, timeout=60, check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    changed = {
        "--namespace=swarm-operator": f"--namespace={place}",
        "--lease-namespace=swarm-operator": f"--lease-namespace={place}",
        "--metrics-port=8080": f"--metrics-port={port}",
    }
    args = container(place)["args"]
    assert set(changed) <= set(args)
    volumes, env = service_account(lab_env, kubectl, tmp_path / "service-account")
    log = tmp_path / "operator.log"
    with log.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(pod(image, [changed.get(arg, arg) for arg in args], volumes, env), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        for probe in ("livez", "readyz"):
            eventually(lambda probe=probe: process.poll() is not None or answers(f"http://127.0.0.1:{port}/{probe}"), within=60, what=probe)
        assert process.poll() is None, log.read_text()[-2000:]
        print(f"ready {time.monotonic() - began:.1f} s after its start")
        (inside,) = children(process.pid)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{inside}/status").read_text().splitlines() if ":\t" in line)
        assert (status["Uid"].split(), status["Gid"].split(), status["Groups"].split()) == (["65532"] * 4, ["65532"] * 4, [])
        assert (status["NoNewPrivs"], status["CapEff"], status["CapBnd"], status["NSpid"].split()[-1]) == ("1", "0" * 16, "0" * 16, "1")
        root = next(line for line in Path(f"/proc/{inside}/mountinfo").read_text().splitlines() if line.split()[4] == "/")
        assert "ro" in root.split()[5].split(",")
        kubectl.apply(cluster_manifest("c"))
        eventually(lambda: "SecretNotFound" in str(kubectl.get("swarmcluster", "c").get("status")), within=40, what="it works on an object")
        kubectl("delete", "swarmcluster", "c", "--wait=true", "--timeout=30s", timeout=40)
        peak = int(status["VmHWM"].split()[0]) / 1024
        print(f"peak memory {peak:.0f} MiB")
        assert peak < 512, "the Deployment's limit"
        os.kill(inside, signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()
    assert all(line.startswith("{") for line in log.read_text().splitlines()), "structured logs"


def answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]
