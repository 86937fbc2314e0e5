"""The roles of deploy/ are what the Kubernetes adapter calls: no right too few, none too many. And the pods are as locked up as the restricted profile wants."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes import client
from swarm_operator.adapters.kubernetes import dependents, events, leases, objects, revisions, secrets
from swarm_operator.adapters.kubernetes.api import KubernetesApi
from swarm_operator.adapters.kubernetes.events import EventRecorder
from swarm_operator.adapters.kubernetes.leases import KubernetesLease
from swarm_operator.adapters.kubernetes.objects import KubernetesObjects
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.revisions import Kept
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.leader import LeaseRecord
from swarm_operator.ports.objects import Key, Kind, Resource

KUSTOMIZE = Path(__file__).resolve().parents[3] / "deploy" / "kustomize"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
PATH = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/v[^/]+(?:/namespaces/[^/]+)?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?")
OWNER = Resource(Key("SwarmCluster", "ns", "c"), "u", 1, "1", {}, {})

Right = tuple[str, str, str]
"""(group, resource with subresource, verb)"""


BY_APPLY = {("swarmops.io", "swarmservices", "create")}
"""An apply that makes a new object takes the right to create it beside that to patch."""


class RecordingApi(KubernetesApi):
    """Answers each call with an object that fits most, and records the right that it takes and the line that asked."""

    def __init__(self) -> None:
        super().__init__(client.Configuration())
        self.rights: set[Right] = set()
        self.sites: set[tuple[str, int]] = set()
        self.absent: set[str] = set()

    def call(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        caller = sys._getframe(1)
        self.sites.add((caller.f_code.co_filename, caller.f_lineno))
        return super().call(*args, **kwargs)

    def pages(self, operation: str, path: str, query: Any = None) -> Any:
        caller = sys._getframe(1)
        self.sites.add((caller.f_code.co_filename, caller.f_lineno))
        yield from super().pages(operation, path, query)

    def _send(self, method: str, path: str, *_: Any) -> dict[str, Any]:
        found = PATH.fullmatch(path)
        assert found is not None, path
        resource = found["resource"] + (f"/{found['sub']}" if found["sub"] else "")
        verb = VERBS.get(method) or ("get" if found["name"] else "list")
        self.rights.add((found["group"] or "", resource, verb))
        if method == "GET" and resource in self.absent:
            raise ExternalError(ErrorKind.NOT_FOUND, "kubernetes", "absent")
        metadata = {"namespace": "ns", "name": "c", "uid": "u", "resourceVersion": "1", "ownerReferences": [{"uid": "u"}]}
        return {"metadata": metadata, "spec": {}, "items": []}


def recorded() -> RecordingApi:
    """Every method of the adapters that run in the operator, for all kinds."""
    api, clock = RecordingApi(), FakeClock()
    recorder = EventRecorder(api, clock)
    kinds: tuple[Kind, ...] = ("SwarmCluster", "SwarmService", "SwarmStack", "SwarmWorkerPool")
    port = KubernetesObjects(api, recorder)
    for kind in kinds:
        resource = Resource(Key(kind, "ns", "c"), "u", 1, "1", {}, {})
        port.list(kind)
        port.list(kind, "ns")
        port.get(resource.key)
        port.apply_status(resource, {"a": 1})
        port.set_finalizer(resource, True)
    port.get_config_map("ns", "m")
    port.dependents.list(OWNER)
    port.dependents.apply(OWNER, "d", {}, "x", None)
    port.dependents.delete(Resource(Key("SwarmService", "ns", "d"), "u", 1, "1", {}, {}))
    port.revisions.create(OWNER, Kept(1, "r", {}))
    port.revisions.list(OWNER)
    port.revisions.delete(OWNER, "r")
    api.absent = {"secrets"}
    port.ensure_secret(OWNER, "s", {"a": b"b"})
    api.absent = set()
    port.update_secret(OWNER, "s", {"a": b"b"})
    port.get_held_secret("ns", "s")
    port.hold_secret("ns", "s", True)
    port.adopt_secret(OWNER, "s", "former")
    port.orphan_secret(OWNER, "s")
    port.event(OWNER, Reason.PAUSED, "x")
    recorder.flush()
    clock.advance(60)
    port.event(OWNER, Reason.PAUSED, "x")
    recorder.flush()
    lease = KubernetesLease(api, clock, "ns", "l")
    lease.read()
    lease.write(LeaseRecord("me", 15, 0, ""), acquired=True)
    lease.write(LeaseRecord("me", 15, 0, "1"), acquired=False)
    port.close()
    return api


def documents(*files: str) -> list[dict[str, Any]]:
    return [document for file in files for document in yaml.safe_load_all((KUSTOMIZE / file).read_text())]


def granted(*files: str, names: tuple[str, ...] = ("swarm-operator", "swarm-operator-election")) -> set[Right]:
    rules = [rule for found in documents(*files) if found["kind"] in ("Role", "ClusterRole") and found["metadata"]["name"] in names for rule in found["rules"]]
    return {(group, resource, verb) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]}


@pytest.mark.parametrize("scope", ["clusterwide", "namespaced"])
def test_roles_grant_what_is_called_and_nothing_else(scope: str) -> None:
    watched = {("swarmops.io", plural, "watch") for plural in objects.PLURALS.values()}  # kopf's; its lists are the same right as ours
    assert granted("base/rbac.yaml", f"{scope}/rbac.yaml") == recorded().rights | watched | BY_APPLY


def test_the_recording_passes_every_call_of_the_adapters() -> None:
    sites = recorded().sites
    for module in (objects, secrets, events, leases, revisions, dependents):
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("call", "pages"):
                lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                assert any((module.__file__, line) in sites for line in lines), f"{module.__name__}:{node.lineno} is not recorded"


def test_no_role_has_a_wildcard() -> None:
    for path in KUSTOMIZE.glob("*/rbac.yaml"):
        for found in yaml.safe_load_all(path.read_text()):
            for rule in found.get("rules", []):
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_a_namespaced_installation_has_no_cluster_wide_object() -> None:
    kinds = {found["kind"] for found in documents("base/rbac.yaml", "base/deployment.yaml", "base/network.yaml", "namespaced/rbac.yaml")}
    assert not {kind for kind in kinds if kind.startswith("Cluster")}


def test_the_election_holds_the_lease_that_the_operator_is_told_of() -> None:
    rules = next(found for found in documents("base/rbac.yaml") if found["metadata"]["name"] == "swarm-operator-election")["rules"]
    args = container()["args"]
    assert f"--lease-name={rules[0]['resourceNames'][0]}" in args
    assert rules[1]["verbs"] == ["create"]


def test_the_arguments_are_flags_of_the_operator() -> None:
    import argparse

    from swarm_operator.handlers import settings

    flags = argparse.ArgumentParser()
    settings.add_arguments(flags, {})
    command, *args = container()["args"]
    chosen = settings.from_arguments(flags.parse_args(args), {})
    assert (command, chosen.namespaces, chosen.metrics_address, chosen.lease) == ("run", (), "0.0.0.0", "swarm-operator")
    assert chosen.shutdown_seconds < documents("base/deployment.yaml")[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_the_pod_is_restricted() -> None:
    """Pod Security Standards, profile "restricted"."""
    pod = documents("base/deployment.yaml")[0]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(volume) <= {"name", "emptyDir"} for volume in pod["volumes"])


def container() -> dict[str, Any]:
    found: dict[str, Any] = documents("base/deployment.yaml")[0]["spec"]["template"]["spec"]["containers"][0]
    return found
