"""Failures of every service, as real HTTP, become the right kind with a stable message."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from openstack_fakecloud import Answer

from swarm_operator.adapters.openstack import OpenStackCloud, OpenStackClouds
from swarm_operator.adapters.openstack.errors import stable
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import SecurityRule, ServerRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError

SERVER = ServerRequest("demo-0", "f", "i", "n", "k", ("g",), {"a": "b"}, "#cloud-config\n")
NOVA = "/compute/v2.1/servers"
NEUTRON = "/network/v2.0"


def failure(call: Callable[[], object]) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


CREATE_CASES = [
    (403, {"forbidden": {"code": 403, "message": "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"}}, {}, ErrorKind.QUOTA),
    (413, {"overLimit": {"code": 413, "message": "Quota exceeded for cores"}}, {"Retry-After": "0"}, ErrorKind.QUOTA),
    (403, {"forbidden": {"code": 403, "message": "Resource servers is over limit of 1 due to current usage 1 and delta 1"}}, {}, ErrorKind.QUOTA),
    (403, {"forbidden": {"code": 403, "message": "Maximum number of ports exceeded"}}, {}, ErrorKind.QUOTA),
    (413, {"overLimit": {"code": 413, "message": "This request was rate-limited."}}, {"Retry-After": "7"}, ErrorKind.RATE_LIMITED),
    (429, "slow down", {"Retry-After": "7"}, ErrorKind.RATE_LIMITED),
    (403, {"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:servers:create to be performed."}}, {}, ErrorKind.FORBIDDEN),
    (400, {"badRequest": {"code": 400, "message": "Can not find requested image"}}, {}, ErrorKind.INVALID),
    (409, {"conflictingRequest": {"code": 409, "message": "Multiple possible networks found"}}, {}, ErrorKind.CONFLICT),
    (404, {"itemNotFound": {"code": 404, "message": "Flavor x could not be found."}}, {}, ErrorKind.NOT_FOUND),
    (500, {"computeFault": {"code": 500, "message": "Unexpected API Error. <class 'oslo_messaging.MessagingTimeout'>"}}, {}, ErrorKind.AMBIGUOUS),
    (504, "<html><head><title>x</title></head><body><h1>504 Gateway Time-out</h1></body></html>", {}, ErrorKind.AMBIGUOUS),
    (503, "<html><body><h1>503 Service Unavailable</h1>No server is available</body></html>", {}, ErrorKind.TRANSIENT),
    (400, {"badRequest": {"code": 400, "message": "No valid host was found. There are not enough hosts available."}}, {}, ErrorKind.NO_CAPACITY),
]


@pytest.mark.parametrize(("status", "body", "headers", "kind"), CREATE_CASES)
def test_create_server(fake: Any, cloud: OpenStackCloud, observed: list[Any], status: int, body: Any, headers: dict[str, str], kind: ErrorKind) -> None:
    fake.on("POST", NOVA, Answer(status, body, headers))
    error = failure(lambda: cloud.create_server(SERVER))
    assert error.kind is kind, error.message
    assert error.message.startswith("create server demo-0: ")
    assert "<" not in error.message.replace("<class", "")
    assert len(fake.asked("POST", NOVA)) == 1, "a POST must never be repeated by the client"
    assert observed[-1] == ("openstack", "compute.server.create", kind.value)
    if kind is ErrorKind.RATE_LIMITED:
        assert error.retry_after == 7


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"type": "OverQuota", "message": "Quota exceeded for resources: ['network'].", "detail": ""}, 409, ErrorKind.QUOTA),
        ({"type": "IpAddressGenerationFailure", "message": "No more IP addresses available on network x.", "detail": ""}, 409, ErrorKind.NO_CAPACITY),
        ({"type": "InvalidInput", "message": "overlaps with another subnet", "detail": ""}, 400, ErrorKind.INVALID),
    ],
)
def test_neutron(fake: Any, cloud: OpenStackCloud, body: Any, status: int, kind: ErrorKind) -> None:
    fake.on("POST", f"{NEUTRON}/networks", Answer(status, {"NeutronError": body}))
    error = failure(lambda: cloud.create_network("n", "d", None))
    assert error.kind is kind
    assert body["message"] in error.message
    assert (error.reason is Reason.ADDRESSES_EXHAUSTED) == (kind is ErrorKind.NO_CAPACITY), "a full subnet is no lack of hosts"


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (400, "No valid host was found. There are not enough hosts available.", Reason.NO_CAPACITY),
        (400, "No fixed IP addresses available for network: 1", Reason.ADDRESSES_EXHAUSTED),
        (500, "No more IP addresses available on network 1.", Reason.ADDRESSES_EXHAUSTED),
    ],
)
def test_a_lack_of_hosts_and_one_of_addresses(fake: Any, cloud: OpenStackCloud, status: int, message: str, reason: Reason) -> None:
    fake.on("POST", NOVA, Answer(status, {"badRequest": {"code": status, "message": message}}))
    error = failure(lambda: cloud.create_server(SERVER))
    assert (error.kind, error.reason) == (ErrorKind.NO_CAPACITY, reason)


def test_in_use_is_conflict_and_gone_is_no_error(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("DELETE", f"{NEUTRON}/networks/1", Answer(409, {"NeutronError": {"type": "NetworkInUse", "message": "Unable to complete operation", "detail": ""}}))
    assert failure(lambda: cloud.delete_network("1")).kind is ErrorKind.CONFLICT
    cloud.delete_network("2")
    cloud.delete_server("gone")
    cloud.delete_keypair("gone")


@pytest.mark.parametrize("broken", [Answer(202, {}, hang=1.5), Answer(drop=True)])
def test_lost_answer_of_a_write_is_ambiguous_and_of_a_read_transient(fake: Any, cloud: OpenStackCloud, broken: Answer) -> None:
    fake.on("POST", NOVA, broken)
    fake.on("GET", f"{NOVA}/detail", broken)
    assert failure(lambda: cloud.create_server(SERVER)).kind is ErrorKind.AMBIGUOUS
    assert failure(lambda: cloud.list_servers("c")).kind is ErrorKind.TRANSIENT
    assert len(fake.asked("POST", NOVA)) == 1
    assert len(fake.asked("GET", f"{NOVA}/detail")) == 1


def test_nothing_listening_is_unreachable(fake: Any, clouds: OpenStackClouds, cloud: OpenStackCloud) -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
        away = clouds.open(fake.clouds_yaml(auth_url=f"http://127.0.0.1:{port}/v3"), "mine", None)
        error = failure(away.check_credentials)
        assert error.kind is ErrorKind.UNREACHABLE
        assert error.message == f"authenticate with Keystone: no connection to 127.0.0.1:{port}: Connection refused"
        versionless = clouds.open(fake.clouds_yaml(auth_url=f"http://127.0.0.1:{port}"), "mine", None)
        assert failure(versionless.check_credentials).kind is ErrorKind.UNREACHABLE
        fake.compute_url = f"http://127.0.0.1:{port}"
        error = failure(lambda: cloud.create_server(SERVER))
        assert error.kind is ErrorKind.UNREACHABLE, "nothing was sent, so nothing is in doubt"
        assert error.message == f"create server demo-0: no connection to 127.0.0.1:{port}: Connection refused"


def test_keystone_that_hangs_during_a_write_leaves_nothing_in_doubt(fake: Any, cloud: OpenStackCloud) -> None:
    fake.token_answer = Answer(201, {}, hang=1.5)
    assert failure(lambda: cloud.create_server(SERVER)).kind is ErrorKind.TRANSIENT
    assert fake.asked("POST", NOVA) == []


def test_wrong_password(fake: Any, clouds: OpenStackClouds) -> None:
    error = failure(clouds.open(fake.clouds_yaml(password="wrong"), "mine", None).check_credentials)
    assert (error.kind, error.reason) == (ErrorKind.UNAUTHORIZED, Reason.AUTHENTICATION_FAILED)
    assert "wrong" not in error.message


@pytest.mark.parametrize("path", ["/nothing", "/nothing/v3"])
def test_no_keystone_at_auth_url(fake: Any, clouds: OpenStackClouds, path: str) -> None:
    error = failure(clouds.open(fake.clouds_yaml(auth_url=fake.url + path), "mine", None).check_credentials)
    assert (error.kind, error.reason) == (ErrorKind.INVALID, Reason.CREDENTIALS_MALFORMED)


def test_keystone_down_is_transient(fake: Any, cloud: OpenStackCloud) -> None:
    fake.token_answer = Answer(503, "busy", {"Retry-After": "3"})
    error = failure(cloud.check_credentials)
    assert error.kind is ErrorKind.TRANSIENT
    assert error.retry_after == 3


def test_revoked_token_is_renewed_once(fake: Any, cloud: OpenStackCloud) -> None:
    cloud.check_credentials()
    fake.on("GET", f"{NOVA}/detail", [Answer(401, {"error": {"message": "x"}}), Answer(200, {"servers": []})])
    assert cloud.list_servers("c") == ()
    assert fake.tokens == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"clouds: {mine: {auth: {password: 'secret", Reason.CREDENTIALS_MALFORMED),
        (b"[]", Reason.CREDENTIALS_MALFORMED),
        (b"\xff\xfe", Reason.CREDENTIALS_MALFORMED),
        (b"clouds: {mine: {}}", Reason.CREDENTIALS_MALFORMED),
        (b"clouds: {mine: {auth_type: nonsense, auth: {auth_url: 'http://x'}}}", Reason.CREDENTIALS_MALFORMED),
        (b"clouds: {other: {auth: {auth_url: 'http://x'}}}", Reason.CLOUD_NOT_FOUND),
    ],
)
def test_unusable_clouds_yaml(clouds: OpenStackClouds, text: bytes, reason: Reason) -> None:
    error = failure(lambda: clouds.open(text, "mine", None))
    assert (error.kind, error.reason) == (ErrorKind.INVALID, reason)
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"cacert": "/etc/shadow"}, "cacert"),
        ({"cert": "/root/.ssh/id", "key": "/root/.ssh/id"}, "cert"),
        ({"verify": "/etc/shadow"}, "verify"),
        ({"auth": {"auth_url": "http://x", "access-token-file": "/run/secrets/token"}}, "access-token-file"),
        ({"regions": [{"name": "One", "values": {"cacert": "/etc/shadow"}}]}, "cacert"),
        ({"profile": "https://elsewhere.invalid/"}, "profile"),
    ],
)
def test_options_that_name_files_are_refused(fake: Any, clouds: OpenStackClouds, options: dict[str, Any], named: str) -> None:
    content = json.loads(fake.clouds_yaml())
    content["clouds"]["mine"].update(options)
    error = failure(lambda: clouds.open(json.dumps(content).encode(), "mine", None))
    assert error.reason is Reason.CREDENTIALS_MALFORMED
    assert f"`{named}` of cloud 'mine' would name a file of the operator's host" in error.message and "/etc" not in error.message


def test_verify_may_be_a_truth_value(fake: Any, clouds: OpenStackClouds) -> None:
    content = json.loads(fake.clouds_yaml())
    content["clouds"]["mine"]["verify"] = False
    clouds.open(json.dumps(content).encode(), "mine", None).check_credentials()


def test_environment_and_missing_options_do_not_leak_in(clouds: OpenStackClouds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLOUD", "elsewhere")
    monkeypatch.setenv("OS_USERNAME", "someone")
    monkeypatch.setenv("OS_PASSWORD", "else")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ExternalError) as caught:
        clouds.open(b"clouds: {mine: {auth: {username: u, password: p}}}", "mine", None).check_credentials()
    assert caught.value.reason is Reason.CREDENTIALS_MALFORMED


def test_wrong_region(fake: Any, clouds: OpenStackClouds) -> None:
    error = failure(lambda: clouds.open(fake.clouds_yaml(region="Two"), "mine", None).list_servers("c"))
    assert (error.kind, error.reason) == (ErrorKind.INVALID, Reason.CREDENTIALS_MALFORMED)
    assert "Two" in error.message


def test_cacert_must_be_pem(fake: Any, clouds: OpenStackClouds) -> None:
    error = failure(lambda: clouds.open(fake.clouds_yaml(), "mine", b"nonsense"))
    assert error.reason is Reason.CREDENTIALS_MALFORMED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bad (HTTP 400) (Request-ID: req-3d1e3c8a-65a3-4c3a-9ff7-1cb1f9a5a4c7)", "Bad"),
        ("x req-3d1e3c8a-65a3-4c3a-9ff7-1cb1f9a5a4c7 y", "x y"),
        ("<urllib3.connection.HTTPConnection object at 0x7f33aa> failed", "failed"),
        ("to https://u:p@host/path?token=secret now", "to https://host/path now"),
        ("at 2026-11-23T20:20:18.123Z", "at (time)"),
        ("token gAAAAABn5Wd2zq1l2m3n4o5p6q7r8s9t0", "token (token)"),
        ("y" * 2000, "y" * 509 + "..."),
    ],
)
def test_stable_messages(text: str, expected: str) -> None:
    assert stable(text) == expected


def test_rule_that_exists_gives_its_id(fake: Any, cloud: OpenStackCloud) -> None:
    held = "11111111-2222-3333-4444-555555555555"
    text = f"Security group rule already exists. Rule id is {held}."
    fake.on("POST", f"{NEUTRON}/security-group-rules", Answer(409, {"NeutronError": {"type": "SecurityGroupRuleExists", "message": text, "detail": ""}}))
    assert cloud.create_security_rule("g", SecurityRule("tcp", 22, 22, "0.0.0.0/0")) == held
    fake.on(
        "POST", f"{NEUTRON}/security-group-rules", Answer(409, {"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources", "detail": ""}})
    )
    assert failure(lambda: cloud.create_security_rule("g", SecurityRule("tcp", 22, 22))).kind is ErrorKind.QUOTA
