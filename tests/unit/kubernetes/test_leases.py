from __future__ import annotations

import re
from pathlib import Path

import pytest

from swarm_operator.adapters.kubernetes.api import KubernetesApi
from swarm_operator.adapters.kubernetes.leases import KubernetesLease
from swarm_operator.adapters.kubernetes.login import load_configuration
from swarm_operator.domain.errors import ExternalError
from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.leader import LeaseConflict, LeaseRecord

LEASE = {"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 2}}
PATH = "/apis/coordination.k8s.io/v1/namespaces/ops/leases"


@pytest.fixture
def lease(server, tmp_path: Path) -> KubernetesLease:  # type: ignore[no-untyped-def]
    api = KubernetesApi(load_configuration(server.kubeconfig(tmp_path, {"token": "t"})), connect_timeout=1, read_timeout=0.5)
    return KubernetesLease(api, FakeClock(), "ops", "swarm-operator")


def test_a_lease_is_read_and_a_missing_one_is_none(lease: KubernetesLease, server, answer) -> None:  # type: ignore[no-untyped-def]
    server.answer = lambda request: answer(body=LEASE)
    assert lease.read() == LeaseRecord("a", 15.0, 2, "7")
    server.answer = lambda request: answer(body={"metadata": {"resourceVersion": "8"}, "spec": {}})
    assert lease.read() == LeaseRecord("", 0.0, 0, "8"), "all fields are optional"
    server.answer = lambda request: answer(404)
    assert lease.read() is None


@pytest.mark.parametrize("status", [0, 403, 500, 503])
def test_unknown_is_not_absent(lease: KubernetesLease, server, answer, status: int) -> None:  # type: ignore[no-untyped-def]
    server.answer = lambda request: answer(status)
    with pytest.raises(ExternalError):
        lease.read()
    with pytest.raises(ExternalError):
        lease.write(LeaseRecord("a", 15.0, 0, "7"), acquired=False)


def test_a_renewal_names_the_version_and_keeps_the_time_of_acquisition(lease: KubernetesLease, server, answer) -> None:  # type: ignore[no-untyped-def]
    server.answer = lambda request: answer(body=LEASE)
    lease.write(LeaseRecord("a", 15.0, 2, "6"), acquired=False)
    lease.write(LeaseRecord("a", 15.0, 2, "6"), acquired=True)
    renewal, takeover = server.requests
    assert (renewal.method, renewal.path.partition("?")[0], renewal.media_type) == ("PATCH", f"{PATH}/swarm-operator", "application/merge-patch+json")
    assert renewal.body["metadata"] == {"resourceVersion": "6"}
    assert "acquireTime" not in renewal.body["spec"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", renewal.body["spec"]["renewTime"])
    assert takeover.body["spec"]["acquireTime"] == takeover.body["spec"]["renewTime"]


def test_the_first_is_created_and_a_conflict_is_told_apart(lease: KubernetesLease, server, answer) -> None:  # type: ignore[no-untyped-def]
    server.answer = lambda request: answer(201, body=LEASE)
    lease.write(LeaseRecord("a", 15.0), acquired=True)
    (create,) = server.requests
    assert (create.method, create.path.partition("?")[0]) == ("POST", PATH)
    assert create.body["metadata"]["name"] == "swarm-operator"
    server.answer = lambda request: answer(409)
    for record in (LeaseRecord("a", 15.0), LeaseRecord("a", 15.0, 0, "6")):
        with pytest.raises(LeaseConflict):
            lease.write(record, acquired=True)
