"""The bundle for the Operator Lifecycle Manager, judged by its own validators (operator-framework/api), and what Artifact Hub reads of the chart."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm_operator.api.crd import KINDS, manifest
from swarm_operator.handlers import settings
from swarmlab import gotools, paths

ROOT = Path(__file__).resolve().parents[2]
JUDGE = shutil.which(gotools.OLM_JUDGE, path=f"{os.environ.get('PATH', '')}:{paths.BIN}")
needs_judge = pytest.mark.skipif(JUDGE is None, reason="no olm-judge here: `deploy/lab/lab tools` builds it")
CHART = ROOT / "deploy" / "helm" / "swarm-operator" / "Chart.yaml"
CSV = "manifests/swarm-operator.clusterserviceversion.yaml"


def make(*args: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "deploy/olm/bundle.py"), *args], check=True, timeout=60)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    made = tmp_path / "olm"
    make("--write", str(made))
    return made


def findings(bundle: Path) -> list[dict[str, str]]:
    done = subprocess.run([str(JUDGE), str(bundle)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def csv(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((bundle / CSV).read_text())
    return found


@needs_judge
def test_the_validators_find_nothing(bundle: Path) -> None:
    assert findings(bundle) == []


@needs_judge
@pytest.mark.parametrize("broken", ["an owned kind without its CRD", "an unknown capability", "no example", "no install mode", "an unknown field"])
def test_the_validators_find_what_is_wrong(bundle: Path, broken: str) -> None:
    changed = csv(bundle)
    match broken:
        case "an owned kind without its CRD":
            (bundle / "manifests/swarmops.io_swarmclusters.yaml").unlink()
        case "an unknown capability":
            changed["metadata"]["annotations"]["capabilities"] = "Perfect"
        case "no example":
            changed["metadata"]["annotations"]["alm-examples"] = "[]"
        case "no install mode":
            changed["spec"]["installModes"] = []
        case "an unknown field":
            changed["spec"]["install"]["spec"]["deployments"][0]["lables"] = {}
    (bundle / CSV).write_text(yaml.safe_dump(changed))
    assert findings(bundle)


def test_it_owns_every_kind_and_has_the_rights_and_the_pod_of_the_kustomization(bundle: Path) -> None:
    spec = csv(bundle)["spec"]
    assert {one["kind"] for one in spec["customresourcedefinitions"]["owned"]} == {kind.kind for kind in KINDS}
    assert {one["kind"] for one in json.loads(csv(bundle)["metadata"]["annotations"]["alm-examples"])} == {kind.kind for kind in KINDS}
    for kind in KINDS:
        assert yaml.safe_load((bundle / f"manifests/swarmops.io_{kind.plural}.yaml").read_text()) == manifest(kind)
    (permission,) = spec["install"]["spec"]["permissions"]
    roles = [
        one
        for file in ("base", "namespaced")
        for one in yaml.safe_load_all((ROOT / f"deploy/kustomize/{file}/rbac.yaml").read_text())
        if one and one["kind"] == "Role"
    ]
    for rule in (rule for role in roles for rule in role["rules"]):
        assert rule in permission["rules"]
    pod = spec["install"]["spec"]["deployments"][0]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == permission["serviceAccountName"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(("target", "served"), [("", ()), ("a", ("a",)), ("a,b", ("a", "b"))])
def test_the_operator_serves_what_olm_tells_it_and_holds_the_lease_that_it_may(bundle: Path, target: str, served: tuple[str, ...]) -> None:
    """`target`: the annotation olm.targetNamespaces."""
    install = csv(bundle)["spec"]["install"]["spec"]
    container = install["deployments"][0]["spec"]["template"]["spec"]["containers"][0]
    values = {"metadata.annotations['olm.targetNamespaces']": target, "metadata.namespace": "ops"}
    env = {one["name"]: values[one["valueFrom"]["fieldRef"]["fieldPath"]] for one in container["env"]}
    flags = argparse.ArgumentParser()
    settings.add_arguments(flags, env)
    chosen = settings.from_arguments(flags.parse_args(container["args"][1:]), env)
    lease = next(rule for rule in install["permissions"][0]["rules"] if "resourceNames" in rule)
    assert (chosen.namespaces, chosen.lease_namespace, [chosen.lease]) == (served, "ops", lease["resourceNames"])


def test_artifact_hub_lists_the_kinds_as_they_are(tmp_path: Path) -> None:
    copy = tmp_path / "Chart.yaml"
    copy.write_text(CHART.read_text())
    make("--chart", str(copy))
    assert copy.read_text() == CHART.read_text(), "stale: make crds"
    chart = yaml.safe_load(CHART.read_text())
    told = {key.removeprefix("artifacthub.io/"): yaml.safe_load(value) for key, value in chart["annotations"].items()}
    known = {
        "changes",
        "containsSecurityUpdates",
        "images",
        "crds",
        "crdsExamples",
        "license",
        "links",
        "maintainers",
        "operator",
        "operatorCapabilities",
        "prerelease",
    }
    assert set(told) <= known
    assert all(isinstance(value, str) for value in chart["annotations"].values()), "Helm refuses anything else"
    assert [(one["kind"], one["name"]) for one in told["crds"]] == [(kind.kind, kind.plural) for kind in sorted(KINDS, key=lambda kind: kind.plural)]
    assert all(set(one) == {"kind", "version", "name", "displayName", "description"} for one in told["crds"])
    assert {one["kind"] for one in told["crdsExamples"]} == {kind.kind for kind in KINDS}
    assert (told["operator"], told["prerelease"]) == (True, True)
    assert told["operatorCapabilities"] in ("Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot")
    owners = yaml.safe_load((CHART.parent.parent / "artifacthub-repo.yml").read_text())["owners"]
    assert all(set(owner) == {"name", "email"} for owner in owners)
