"""A namespace of the API server with our CustomResourceDefinitions in it, and the corpus of manifests."""

from __future__ import annotations

import copy
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.kube import Kubectl

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
Manifest = dict[str, Any]

SMALLEST: dict[str, Manifest] = {
    "SwarmCluster": {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmCluster",
        "metadata": {"name": "example"},
        "spec": {"identityRef": {"secretName": "cloud-credentials"}, "machine": {"flavor": {"name": "m1.small"}, "image": {"name": "debian-12-docker"}}},
    },
    "SwarmService": {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmService",
        "metadata": {"name": "example"},
        "spec": {"clusterRef": {"name": "demo"}, "image": "busybox:1"},
    },
    "SwarmStack": {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmStack",
        "metadata": {"name": "example"},
        "spec": {"clusterRef": {"name": "demo"}, "compose": "services: {web: {image: busybox}}"},
    },
    "SwarmWorkerPool": {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": "SwarmWorkerPool",
        "metadata": {"name": "example"},
        "spec": {"clusterRef": {"name": "demo"}},
    },
}
"""The least that each kind takes."""


def merge(base: Any, patch: Any) -> Any:
    """RFC 7386 merge patch, as a copy: null removes, objects merge, the rest replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = copy.deepcopy(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


def corpus(name: str) -> list[Any]:
    """The cases of a corpus file as pytest parameters, named by what they say."""
    return [pytest.param(case, id=case["case"].replace(" ", "-")) for case in yaml.safe_load((CORPUS / name).read_text())]


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a fresh namespace of the lab's API server, or of the one that $SWARMOPS_TEST_KUBECONFIG names; skipped with the reason where there is neither.

    A plain $KUBECONFIG is not taken: it may be somebody's cluster at work, and this installs CustomResourceDefinitions.
    """
    kubeconfig = os.environ.get("SWARMOPS_TEST_KUBECONFIG") or request.getfixturevalue("lab_kubeconfig")
    namespace = f"apivalidation-{uuid.uuid4().hex[:8]}"
    kubectl = Kubectl({**os.environ, "KUBECONFIG": kubeconfig}, namespace)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    kinds = ("swarmclusters", "swarmservices", "swarmstacks", "swarmworkerpools")
    kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.swarmops.io" for kind in kinds))
    kubectl("create", "namespace", namespace)
    yield kubectl
    kubectl("delete", "namespace", namespace, "--wait=false")
