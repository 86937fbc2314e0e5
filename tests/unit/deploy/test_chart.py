"""The chart renders what deploy/kustomize has, and the CRDs of crds/. Skipped where there is no helm: put one on the path, or `go install` it into the lab's bin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarmlab import paths

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
CHART = DEPLOY / "helm" / "swarm-operator"
HELM = shutil.which("helm", path=f"{os.environ.get('PATH', '')}:{paths.BIN}")
needs_helm = pytest.mark.skipif(HELM is None or shutil.which("kubectl") is None, reason="no helm or no kubectl here")
HELMS_OWN = ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version")


def template(*args: str) -> list[dict[str, Any]]:
    # A helm made by `go install` thinks of Kubernetes 1.20 unless told.
    argv = [str(HELM), "template", "swarm-operator", str(CHART), "-n", "swarm-operator", "--kube-version", "1.35.4", *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def by_name(found: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    for document in found:
        for label in HELMS_OWN:
            document["metadata"].get("labels", {}).pop(label, None)
    return {(document["kind"], document["metadata"]["name"]): document for document in found}


@needs_helm
@pytest.mark.parametrize(("scope", "args"), [("clusterwide", ()), ("namespaced", ("--set", "watchNamespaces={swarm-operator},rbac.aggregateRoles=false"))])
def test_chart_equals_kustomize(scope: str, args: tuple[str, ...]) -> None:
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY / "kustomize" / scope)], capture_output=True, text=True, timeout=60, check=True)
    assert by_name(template("--set", "crds.enabled=false", *args)) == by_name([found for found in yaml.safe_load_all(done.stdout) if found])


@needs_helm
def test_crds_of_the_chart_are_those_of_the_repository_and_stay() -> None:
    rendered = by_name([found for found in template() if found["kind"] == "CustomResourceDefinition"])
    source = by_name([yaml.safe_load(path.read_text()) for path in (DEPLOY.parent / "crds").glob("*.yaml")])
    for document in rendered.values():
        assert document["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
        if not document["metadata"]["annotations"]:
            del document["metadata"]["annotations"]
    assert rendered == source


def leaves(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths that are in one of the two and not in the other."""
    known = schema.get("properties")
    if known is None:
        return
    for name in sorted(values.keys() ^ known.keys()):
        yield f"{path}.{name}"
    for name in values.keys() & known.keys():
        if isinstance(values[name], dict):
            yield from leaves(values[name], known[name], f"{path}.{name}")


def test_the_schema_knows_each_value_and_no_other() -> None:
    """`global` is Helm's own."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert list(leaves(yaml.safe_load((CHART / "values.yaml").read_text()), schema)) == [".global"]


@needs_helm
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("replicas=two", "replicas"),
        ("replica=2", "replica"),
        ("image.digest=sha256:ab", "digest"),
        ("image.pullPolicy=always", "pullPolicy"),
        ("operator.loglevel=INFO", "loglevel"),
        ("operator.workers=0", "workers"),
        ("watchNamespaces={A_b}", "watchNamespaces"),
        ("metrics.port=0", "port"),
        ("networkPolicy.openstackPorts={https}", "openstackPorts"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, named: str) -> None:
    argv = [str(HELM), "template", "swarm-operator", str(CHART), "--set", value]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr and named in done.stderr, done.stderr


@needs_helm
def test_lint() -> None:
    done = subprocess.run([str(HELM), "lint", "--strict", str(CHART)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "[WARNING]" not in done.stdout, done.stdout + done.stderr


@needs_helm
def test_one_replica_has_no_disruption_budget_and_monitoring_is_asked_for() -> None:
    kinds = {found["kind"] for found in template("--set", "replicas=1,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true")}
    assert "PodDisruptionBudget" not in kinds
    assert {"ServiceMonitor", "PrometheusRule"} <= kinds
