"""Right manifests are accepted and filled with the defaults that the operator itself assumes; kubectl shows and scales what there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from apivalidation.conftest import CORPUS, ROOT, SMALLEST, merge
from harness.kube import Kubectl, manifests
from swarm_operator.api.cluster_status import InfrastructureStatus, JoinStatus, MachinePhase, MachineStatus, RoleCount, SwarmClusterStatus
from swarm_operator.api.conditions import Condition
from swarm_operator.api.materials import ImageStatus, MaterialStatus, Platform
from swarm_operator.api.parse import parse_cluster, parse_cluster_status, parse_pool, parse_service, parse_service_status, parse_stack
from swarm_operator.api.service import AllocatedPort, FailingTask, ReplicaStatus, SwarmServiceStatus
from swarm_operator.api.storage import MachineVolumeStatus, RetainedVolumeStatus

pytestmark = pytest.mark.lab

PARSE: dict[str, Any] = {"SwarmCluster": parse_cluster, "SwarmService": parse_service, "SwarmStack": parse_stack, "SwarmWorkerPool": parse_pool}
NOW = "2026-11-23T20:00:00Z"
READY = Condition(type="Ready", status="True", observed_generation=1, last_transition_time=NOW, reason="Reconciled", message="")


def dry_run(api: Kubectl, manifest: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server would store it."""
    stored: dict[str, Any] = json.loads(api("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=yaml.safe_dump(manifest)))
    return stored


@pytest.mark.parametrize("kind", ["SwarmCluster", "SwarmService", "SwarmStack", "SwarmWorkerPool"])
def test_defaults_of_the_server_are_those_of_the_operator(api: Kubectl, kind: str) -> None:
    stored = dry_run(api, SMALLEST[kind])["spec"]
    assert PARSE[kind](stored) == PARSE[kind](SMALLEST[kind]["spec"])
    if kind == "SwarmCluster":
        assert stored["managers"] == {"replicas": 1, "machine": {}, "floatingIP": {"enabled": True, "deletionPolicy": "Delete"}, "schedulable": True}
        assert stored["swarm"] == {
            "defaultAddrPools": ["10.128.0.0/9"],
            "subnetSize": 24,
            "dataPathPort": 4789,
            "taskHistoryLimit": 5,
            "heartbeatSeconds": 5,
            "certExpiryHours": 2160,
            "autolock": False,
        }
        assert stored["identityRef"] == {"secretName": "cloud-credentials", "cloudName": "openstack", "expiryWarningDays": 14}
    if kind == "SwarmService":
        assert stored["mode"] == "replicated"
        assert "replicas" not in stored  # so that a scaler may own it


@pytest.mark.parametrize("manifest", manifests(CORPUS / "full.yaml"), ids=lambda m: m["metadata"]["name"])
def test_full_manifest_is_accepted_and_nothing_in_it_is_lost(api: Kubectl, manifest: dict[str, Any]) -> None:
    stored = dry_run(api, manifest)["spec"]
    assert contains(stored, manifest["spec"])
    assert PARSE[manifest["kind"]](stored) == PARSE[manifest["kind"]](manifest["spec"])


def contains(stored: Any, wanted: Any) -> bool:
    """Whether all of `wanted` is in `stored`, which may hold more (defaults)."""
    if isinstance(wanted, dict):
        return isinstance(stored, dict) and all(key in stored and contains(stored[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(stored, list) and len(stored) == len(wanted) and all(map(contains, stored, wanted))
    return bool(stored == wanted)


@pytest.mark.parametrize("path", sorted((ROOT / "deploy" / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_example_is_accepted(api: Kubectl, path: Path) -> None:
    shown = api("apply", "--dry-run=server", "-f", str(path))
    assert shown.count("created (server dry run)") == len(manifests(path)) > 0


def test_cluster_status_round_trip(api: Kubectl) -> None:
    """What the operator writes at most is accepted and comes back equal."""
    node = MachineStatus(
        name="full-a-0",
        role="Worker",
        pool="a",
        slot=0,
        incarnation=2,
        machine_uid="m1",
        server_id="s1",
        node_id="n1",
        address="10.20.0.5",
        floating_ip="198.51.100.20",
        phase=MachinePhase.READY,
        phase_since=NOW,
        created_at=NOW,
        message="No valid host was found.",
        engine_version="26.1",
        host_keys=["ssh-ed25519 AAAA"],
        engine_configured=True,
        volumes=[MachineVolumeStatus(name="data", volume_id="v1", size_gib=10, attached=True)],
    )
    status = SwarmClusterStatus(
        observed_generation=1,
        conditions=[READY],
        managers=RoleCount(desired=1, ready=1, summary="1/1"),
        workers=RoleCount(desired=2, ready=1, summary="1/2"),
        endpoint="tcp://198.51.100.20:2376",
        swarm_id="w1",
        engine_version="26.1",
        engine_api_version="1.45",
        infrastructure=InfrastructureStatus(
            network_id="net-1", subnet_id="sub-1", router_id="rtr-1", external_network_id="net-0", security_group_ids=["sg-1"], key_name="swarmops-1"
        ),
        join=JoinStatus(token_exposed=True, rotated_at=NOW),
        retained_volumes=[RetainedVolumeStatus(volume_id="v2", name="full-a-1-data", size_gib=10)],
        nodes=[node],
    )
    assert parse_cluster_status(written(api, "SwarmCluster", status.to_manifest())) == status
    columns = api("get", "swc", "status").splitlines()
    assert columns[0].split() == ["NAME", "READY", "REASON", "MANAGERS", "WORKERS", "ENDPOINT", "AGE"]
    assert columns[1].split()[:6] == ["status", "True", "Reconciled", "1/1", "1/2", "tcp://198.51.100.20:2376"]
    assert "condition met" in api("wait", "--for=condition=Ready", "swarmcluster/status", "--timeout=5s")


def test_service_status_round_trip(api: Kubectl) -> None:
    status = SwarmServiceStatus(
        observed_generation=1,
        conditions=[READY],
        service_id="x1",
        version=12,
        applied_hash="ab" * 32,
        applied_labels=["team"],
        update_state="updating",
        replicas=ReplicaStatus(desired=3, running=2, summary="2/3"),
        current_replicas=2,
        selector="swarmops.io/service-uid=x",
        image=ImageStatus(requested="busybox:1", resolved="busybox:1@sha256:0", platforms=[Platform(architecture="amd64", os="linux")], message="no answer"),
        materials=[MaterialStatus(kind="Secret", name="web.password-0123456789abcdef", source="Secret db password", in_use=False)],
        pull_secrets_hash="ab" * 16,
        ports=[AllocatedPort(target_port=80, published_port=30000), AllocatedPort(protocol="udp", target_port=80, published_port=30000)],
        drift=["replicas"],
        corrections=1,
        failing_tasks=[FailingTask(node="w0", state="rejected", error="No such image", count=2)],
        progressed_at=NOW,
    )
    assert parse_service_status(written(api, "SwarmService", status.to_manifest())) == status
    api("scale", "sws/status", "--replicas=3")  # an autoscaler's GET fails while nobody has set it
    scale = json.loads(api("get", "--raw", f"/apis/swarmops.io/v1alpha1/namespaces/{api.namespace}/swarmservices/status/scale"))
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": "swarmops.io/service-uid=x"}
    columns = api("get", "sws", "status").splitlines()
    assert columns[0].split() == ["NAME", "READY", "REASON", "CLUSTER", "MODE", "REPLICAS", "IMAGE", "AGE"]
    assert columns[1].split()[:7] == ["status", "True", "Reconciled", "demo", "replicated", "2/3", "busybox:1"]


def written(api: Kubectl, kind: str, status: dict[str, Any]) -> dict[str, Any]:
    """Put the status on an object named `status`; as the server has it then."""
    manifest = merge(SMALLEST[kind], {"metadata": {"name": "status"}})
    api("create", "-f", "-", stdin=yaml.safe_dump(manifest))
    manifest["status"] = status
    api("apply", "--server-side", "--subresource=status", "--field-manager=swarm-operator", "-f", "-", stdin=yaml.safe_dump(manifest))
    back: dict[str, Any] = api.get(kind, "status")["status"]
    return back


def test_scale_and_select(api: Kubectl) -> None:
    api("create", "-f", "-", stdin=yaml.safe_dump(merge(SMALLEST["SwarmService"], {"metadata": {"name": "scaled"}, "spec": {"clusterRef": {"name": "one"}}})))
    api("scale", "swarmservice", "scaled", "--replicas=4")
    assert api.get("sws", "scaled")["spec"]["replicas"] == 4
    assert api("get", "sws", "--field-selector", "spec.clusterRef.name=one", "-o", "name").split() == ["swarmservice.swarmops.io/scaled"]
    assert api("get", "sws", "--field-selector", "spec.clusterRef.name=two", "-o", "name") == ""
    assert "swarmservice.swarmops.io/scaled" in api("get", "swarm", "-o", "name")


@pytest.mark.parametrize("kind", ["swarmcluster", "swarmservice"])
def test_explain_describes_every_field(api: Kubectl, kind: str) -> None:
    text = api("explain", f"{kind}.spec")
    fields = [line for line in text.split("FIELDS:")[1].splitlines() if line.startswith("  ") and not line.startswith("   ") and "\t" in line]
    schema = yaml.safe_load((ROOT / "crds" / f"swarmops.io_{kind}s.yaml").read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert {line.split()[0] for line in fields} == set(schema["properties"]["spec"]["properties"])
    assert "<no description>" not in text
