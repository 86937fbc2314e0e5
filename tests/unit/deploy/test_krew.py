"""The krew manifest and its archive: krew's own rules, and that the archive holds a plugin that starts."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm_operator import __version__

ROOT = Path(__file__).resolve().parents[3]
KNOWN = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"version", "homepage", "shortDescription", "description", "caveats", "platforms"},
    "platform": {"selector", "uri", "sha256", "bin", "files"},
}
"""Fields of kubernetes-sigs/krew `pkg/index/types.go`; krew reads manifests strictly."""


def _build() -> Any:
    spec = importlib.util.spec_from_file_location("krew_build", ROOT / "deploy" / "krew" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = _build()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("krew")
    build.main("https://releases.example.org/swarm/", directory)
    return directory


@pytest.fixture(scope="module")
def unpacked(built: Path) -> Path:
    """As krew installs it: the archive in a directory, and a link to `bin` elsewhere."""
    store = built / "store"
    with tarfile.open(built / f"kubectl-swarm-v{__version__}.tar.gz") as archive:
        archive.extractall(store, filter="data")
    (built / "bin").mkdir()
    (built / "bin" / "kubectl-swarm").symlink_to(store / "kubectl-swarm")
    return built


def test_the_manifest_keeps_krews_rules(built: Path) -> None:
    """kubernetes-sigs/krew `internal/index/validation/validate.go`."""
    manifest = yaml.safe_load((built / "swarm.yaml").read_text())
    spec = manifest["spec"]
    assert set(manifest) == KNOWN[""] and set(spec) <= KNOWN["spec"]
    assert manifest["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2" and manifest["kind"] == "Plugin"
    assert re.fullmatch(r"[\w-]+", manifest["metadata"]["name"]) and manifest["metadata"]["name"] == "swarm"
    assert re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", spec["version"]) and spec["version"] == f"v{__version__}"
    assert spec["shortDescription"] and "\n" not in spec["shortDescription"] and len(spec["shortDescription"]) <= 50
    (platform,) = spec["platforms"]
    assert set(platform) == KNOWN["platform"]
    assert re.fullmatch(r"[a-f0-9]{64}", platform["sha256"]) and platform["uri"].startswith("https://") and platform["uri"].endswith(".tar.gz")
    (expression,) = platform["selector"]["matchExpressions"]
    assert expression["key"] in ("os", "arch") and expression["operator"] == "In" and expression["values"]
    assert platform["files"] and all(entry["from"] and entry["to"] for entry in platform["files"])
    assert "@" not in (built / "swarm.yaml").read_text()


def test_checksum_and_binary_are_those_of_the_archive(built: Path) -> None:
    (platform,) = yaml.safe_load((built / "swarm.yaml").read_text())["spec"]["platforms"]
    data = (built / platform["uri"].rsplit("/", 1)[1]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == platform["sha256"]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        modes = {entry.name: entry.mode for entry in archive}
    assert modes[platform["bin"]] == 0o755 and all(any(fnmatch(name, entry["from"]) for entry in platform["files"]) for name in modes)
    assert not any(name.startswith("/") or ".." in name for name in modes)


def test_the_same_sources_give_the_same_archive() -> None:
    assert build.archive() == build.archive()


def test_the_archive_holds_a_plugin_that_starts(unpacked: Path) -> None:
    """With the packages of this environment in the place where the first call would install them."""
    packages = unpacked / "cache" / "kubectl-swarm" / f"{(unpacked / 'store' / 'LOCK').read_text()}-{sys.version_info.major}.{sys.version_info.minor}"
    packages.parent.mkdir(parents=True)
    packages.symlink_to(Path(sys.prefix))
    env = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(unpacked / "cache"), "KUBECTL_SWARM_PYTHON": sys.executable}
    (unpacked / "hostile").mkdir()
    (unpacked / "hostile" / "yaml.py").write_text("raise SystemExit('not ours')")

    def run(name: Path, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(name), *args], env=env, cwd=unpacked / "hostile", capture_output=True, text=True, timeout=60, check=False)

    assert run(unpacked / "bin" / "kubectl-swarm", "--version").stdout.strip() == __version__
    assert run(unpacked / "store" / "kubectl_complete-swarm", "dra").stdout.splitlines()[-1] == ":4"
    where = run(unpacked / "bin" / "kubectl-swarm", "completion", "bash")
    assert where.returncode == 0 and where.stderr == ""


def test_an_old_python_is_told(unpacked: Path, tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9); exec(sys.argv[1])" "$2"\n')
    old.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECTL_SWARM_PYTHON": str(old)}
    done = subprocess.run([str(unpacked / "bin" / "kubectl-swarm"), "--version"], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "needs Python 3.11" in done.stderr and not (tmp_path / ".cache").exists()
