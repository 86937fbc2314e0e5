"""A service that fails is left alone, for one credential; the others and the other services are not. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from openstack_fakecloud import Answer

from swarm_operator.adapters.openstack import OpenStackCloud, OpenStackClouds
from swarm_operator.adapters.openstack.convert import fault_text
from swarm_operator.adapters.openstack.gate import Limits
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.faults import fault_reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import FakeClock

NOVA = "/compute/v2.1/servers/detail"
NEUTRON = "/network/v2.0/networks"
SERVERS = Answer(200, {"servers": []})
DEFAULTS = Limits()


def failure(call: Any) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


def opened(fake: Any, observed: list[tuple[str, str, str]], limits: Limits = DEFAULTS) -> tuple[OpenStackClouds, OpenStackCloud, FakeClock]:
    clock = FakeClock()
    clouds = OpenStackClouds(lambda system, operation, outcome, _: observed.append((system, operation, outcome)), (0.5, 0.5), limits, clock)
    return clouds, clouds.open(fake.clouds_yaml(), "mine", None), clock


def list_fresh(cloud: OpenStackCloud) -> object:
    return cloud.list_servers("c", fresh=True)


def test_five_failures_open_the_circuit_and_a_success_closes_it(fake: Any, observed: list[Any]) -> None:
    clouds, cloud, clock = opened(fake, observed)
    fake.on("GET", NOVA, Answer(503, "busy"))
    fake.on("GET", f"{NEUTRON}/n", Answer(200, {"network": {"id": "n", "name": "n"}}))
    errors = [failure(lambda: list_fresh(cloud)) for _ in range(5)]
    assert {e.reason for e in errors} == {Reason.CLOUD_FAILING}
    asked = len(fake.requests)
    error = failure(lambda: list_fresh(cloud))
    assert len(fake.requests) == asked, "nothing is sent"
    assert (error.kind, error.reason, error.retry_after) == (ErrorKind.UNREACHABLE, Reason.CLOUD_FAILING, 5.0)
    assert error.message == (
        "list servers: not sent: the compute API has failed since 2026-01-01T00:00:00Z, next try at 2026-01-01T00:00:05Z; last failure: list servers: busy (503)"
    )
    assert observed[-1][2] == "not-sent"
    assert clouds.open_circuits() == {"compute": 1}
    assert cloud.get_network("n").id == "n", "Neutron is none the worse for it"
    clock.advance(5)
    fake.on("GET", NOVA, SERVERS)
    assert list_fresh(cloud) == ()
    assert clouds.open_circuits() == {}


def test_a_refusal_is_an_answer(fake: Any, observed: list[Any]) -> None:
    clouds, cloud, _ = opened(fake, observed)
    fake.on("GET", NOVA, Answer(403, {"forbidden": {"message": "Policy doesn't allow it"}}))
    assert {failure(lambda: list_fresh(cloud)).kind for _ in range(8)} == {ErrorKind.FORBIDDEN}
    assert clouds.open_circuits() == {}


def test_keystone_has_a_circuit_too_and_another_credential_its_own(fake: Any, observed: list[Any]) -> None:
    clouds, cloud, clock = opened(fake, observed)
    fake.token_answer = Answer(503, "busy")
    for _ in range(5):
        failure(cloud.check_credentials)
    sent = len(fake.requests)
    error = failure(cloud.check_credentials)
    assert "the identity API has failed since" in error.message and len(fake.requests) == sent
    other = clouds.open(fake.clouds_yaml(region="Two"), "mine", None)
    failure(other.check_credentials)
    assert len(fake.requests) > sent, "it has seen one failure only"
    fake.token_answer = None
    clock.advance(5)
    cloud.check_credentials()


def test_a_pause_that_the_cloud_asks_for_holds_for_every_call_of_the_credential(fake: Any, observed: list[Any]) -> None:
    _, cloud, clock = opened(fake, observed)
    fake.on("GET", NOVA, Answer(429, "slow down", {"Retry-After": "30"}))
    fake.on("GET", f"{NEUTRON}/n", Answer(200, {"network": {"id": "n", "name": "n"}}))
    assert failure(lambda: list_fresh(cloud)).retry_after == 30
    asked = len(fake.requests)
    error = failure(lambda: cloud.get_network("n"))
    assert (error.kind, error.reason) == (ErrorKind.RATE_LIMITED, Reason.RATE_LIMITED) and error.retry_after == pytest.approx(30)
    assert len(fake.requests) == asked
    clock.advance(30)
    assert cloud.get_network("n").id == "n"


def test_calls_wait_for_their_turn(fake: Any, observed: list[Any]) -> None:
    _, cloud, clock = opened(fake, observed, Limits(rate=1.0, burst=2, patience=3.0))
    fake.on("GET", NOVA, SERVERS)
    for _ in range(6):
        list_fresh(cloud)
    assert clock.monotonic() == pytest.approx(4.0), "two at once, then one a second"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"code": 500, "message": "No valid host was found. There are not enough hosts available."}, Reason.NO_CAPACITY),
        ({"code": 500, "message": "Build of instance x aborted: volume gave up"}, Reason.SERVER_FAILED),
        ({"code": 413, "message": "Maximum number of ports reached"}, Reason.QUOTA_EXCEEDED),
        ({"code": 413}, Reason.QUOTA_EXCEEDED),
        ({"code": 403, "message": "Quota exceeded for resources: ['port']."}, Reason.QUOTA_EXCEEDED),
    ],
)
def test_faults_of_servers(fault: dict[str, Any], reason: Reason) -> None:
    text = fault_text(fault)
    assert text is not None and fault_reason(text) is reason
    assert fault.get("message", "") in text


@pytest.mark.parametrize("status", [400, 403, 409, 412, 413, 422])
def test_a_quota_is_told_by_its_words_whatever_the_status(fake: Any, cloud: OpenStackCloud, status: int) -> None:
    fake.on("POST", NEUTRON, Answer(status, {"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['network']."}}))
    error = failure(lambda: cloud.create_network("n", "d", None))
    assert (error.kind, error.reason) == (ErrorKind.QUOTA, Reason.QUOTA_EXCEEDED) and "['network']" in error.message


def test_a_conflict_and_a_broken_api_have_reasons_of_their_own(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", NEUTRON, [Answer(409, {"NeutronError": {"type": "NetworkInUse", "message": "in use"}}), Answer(500, "oops")])
    assert failure(lambda: cloud.create_network("n", "d", None)).reason is Reason.CONFLICT
    error = failure(lambda: cloud.create_network("n", "d", None))
    assert (error.kind, error.reason) == (ErrorKind.AMBIGUOUS, Reason.CLOUD_FAILING)
