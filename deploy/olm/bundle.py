"""Makes the OLM bundle (`--write DIRECTORY`, by `make bundle`), and the chart's annotations for Artifact Hub (`--chart Chart.yaml`, by `make crds`), from what is there already.

From crds/ come the CRDs, from deploy/kustomize the Deployment, the rights, the Service and the PodDisruptionBudget, from deploy/examples one example of each kind, from csv.yaml the words.
Does not: name an image by digest, as none is published.
"""

from __future__ import annotations

import argparse
import base64
import json
import textwrap
from pathlib import Path
from typing import Any

import yaml

from swarm_operator import __version__

ROOT = Path(__file__).resolve().parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
NAME = "swarm-operator"
CHANNEL = "candidate-v0"
GENERATED = "# Made by `make crds` from here on.\n"
ANNOTATIONS = {
    "operators.operatorframework.io.bundle.mediatype.v1": "registry+v1",
    "operators.operatorframework.io.bundle.manifests.v1": "manifests/",
    "operators.operatorframework.io.bundle.metadata.v1": "metadata/",
    "operators.operatorframework.io.bundle.package.v1": NAME,
    "operators.operatorframework.io.bundle.channels.v1": CHANNEL,
    "operators.operatorframework.io.bundle.channel.default.v1": CHANNEL,
}

Document = dict[str, Any]


def documents(path: Path) -> list[Document]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def base(kind: str, name: str) -> Document:
    """An object of the kustomization, without the namespace: OLM gives one."""
    found = next(
        one
        for file in ("deployment", "network", "rbac")
        for one in documents(KUSTOMIZE / "base" / f"{file}.yaml")
        if (one["kind"], one["metadata"]["name"]) == (kind, name)
    )
    del found["metadata"]["namespace"]
    return found


def crds() -> list[Document]:
    return [documents(path)[0] for path in sorted((ROOT / "crds").glob("*.yaml"))]


def owned(crd: Document) -> Document:
    """How the CSV speaks of a CRD."""
    version = crd["spec"]["versions"][-1]
    kind = crd["spec"]["names"]["kind"]
    text = version["schema"]["openAPIV3Schema"]["description"]
    return {"name": crd["metadata"]["name"], "kind": kind, "version": version["name"], "displayName": kind.replace("Swarm", "Swarm "), "description": text}


def example(kind: str) -> Document:
    """The first manifest of that kind in deploy/examples."""
    return next(one for path in sorted((ROOT / "deploy" / "examples").glob("*.yaml")) for one in documents(path) if one["kind"] == kind)


def rules() -> list[Document]:
    """Those of the namespaced Role and of the election. For a group of all namespaces OLM makes ClusterRoles of them."""
    role = next(one for one in documents(KUSTOMIZE / "namespaced" / "rbac.yaml") if one["kind"] == "Role")
    found: list[Document] = [*role["rules"], *base("Role", f"{NAME}-election")["rules"]]
    return found


def deployment_spec() -> Document:
    """The Deployment's, told by OLM what to serve: by the annotation that it puts on the pods."""
    spec: Document = base("Deployment", NAME)["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    container["args"] = [arg for arg in container["args"] if arg != "--all-namespaces" and not arg.startswith("--lease-namespace=")]
    container["env"] = [
        {"name": "WATCH_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['olm.targetNamespaces']"}}},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    return spec


def csv() -> Document:
    found = documents(ROOT / "deploy" / "olm" / "csv.yaml")[0]
    kinds = [owned(crd) for crd in crds()]
    found["metadata"] |= {"name": f"{NAME}.v{__version__}", "namespace": "placeholder"}
    found["metadata"]["annotations"] |= {
        "alm-examples": json.dumps([example(crd["kind"]) for crd in kinds], indent=2),
        "containerImage": deployment_spec()["template"]["spec"]["containers"][0]["image"],
    }
    found["spec"] |= {
        "version": __version__,
        "icon": [{"base64data": base64.b64encode((ROOT / "docs" / "images" / "icon.svg").read_bytes()).decode(), "mediatype": "image/svg+xml"}],
        "customresourcedefinitions": {"owned": kinds},
        "install": {
            "strategy": "deployment",
            "spec": {
                "permissions": [{"serviceAccountName": NAME, "rules": rules()}],
                "deployments": [{"name": NAME, "label": base("Deployment", NAME)["metadata"]["labels"], "spec": deployment_spec()}],
            },
        },
    }
    return found


def files() -> dict[str, str]:
    """The whole bundle: path in it -> content."""

    def text(document: Document) -> str:
        return yaml.safe_dump(document, sort_keys=False, width=160)

    found = {"metadata/annotations.yaml": text({"annotations": ANNOTATIONS}), f"manifests/{NAME}.clusterserviceversion.yaml": text(csv())}
    for crd in crds():
        found[f"manifests/{crd['spec']['group']}_{crd['spec']['names']['plural']}.yaml"] = text(crd)
    for kind, name in (("Service", f"{NAME}-metrics"), ("PodDisruptionBudget", NAME)):
        found[f"manifests/{name}_{kind.lower()}.yaml"] = text(base(kind, name))
    labels = "".join(f"LABEL {key}={value}\n" for key, value in ANNOTATIONS.items())
    return found | {"bundle.Dockerfile": f"FROM scratch\n{labels}COPY manifests /manifests/\nCOPY metadata /metadata/\n"}


def annotated(chart: str) -> str:
    """The text of Chart.yaml with annotations as Artifact Hub wants them (its documentation, "Helm annotations"): YAML inside of strings."""
    kept, _, _ = chart.partition(GENERATED)

    def block(found: object) -> str:
        return "|\n" + textwrap.indent(yaml.safe_dump(found, sort_keys=False, width=160), " " * 4).rstrip()

    kinds = [owned(crd) for crd in crds()]
    image = deployment_spec()["template"]["spec"]["containers"][0]["image"]
    lines = {
        "crds": block([kind | {"name": kind["name"].partition(".")[0]} for kind in kinds]),
        "crdsExamples": block([example(kind["kind"]) for kind in kinds]),
        "images": block([{"name": NAME, "image": image, "whitelisted": True}]),
        "operator": '"true"',
        "operatorCapabilities": documents(ROOT / "deploy" / "olm" / "csv.yaml")[0]["metadata"]["annotations"]["capabilities"],
        "prerelease": '"true"',
    }
    return kept + GENERATED + "annotations:\n" + "".join(f"  artifacthub.io/{key}: {value}\n" for key, value in lines.items())


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the OLM bundle, or the chart's annotations.")
    parser.add_argument("--write", type=Path, metavar="DIRECTORY")
    parser.add_argument("--chart", type=Path, metavar="CHART.YAML")
    arguments = parser.parse_args()
    if arguments.chart:
        arguments.chart.write_text(annotated(arguments.chart.read_text()))
    if arguments.write:
        write(arguments.write)


def write(directory: Path) -> None:
    """The bundle, and nothing else, into the directory."""
    wanted = files()
    for path in [path for path in directory.rglob("*") if path.is_file() and path.relative_to(directory).as_posix() not in wanted]:
        path.unlink()
    for name, text in wanted.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


if __name__ == "__main__":
    main()
