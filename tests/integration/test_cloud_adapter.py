"""The cloud adapter against the lab's real Keystone, Nova, Neutron and Glance."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.cloud_fixture import NAME, RULES, Site, open_cloud, site, until
from swarm_operator.adapters.openstack import OpenStackCloud, OpenStackClouds
from swarm_operator.adapters.openstack.errors import Effect
from swarm_operator.api.base import ResourceRef
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import OwnedNetworking, PortRequest, SecurityRule, ServerRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import keypair_name

pytestmark = [pytest.mark.lab, pytest.mark.alone]


@pytest.fixture(scope="module")
def built(lab_env: dict[str, str]) -> Iterator[Site]:
    with site(lab_env) as made:
        yield made


def failure(call: Any) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        call()
    return caught.value


def test_networking_is_found_again_by_owner(built: Site) -> None:
    owned = built.cloud.list_owned_networking(built.uid)
    assert [(n.id, n.external) for n in owned.networks] == [(built.network, False)]
    assert [(s.id, s.network_id, s.cidr) for s in owned.subnets] == [(built.subnet, built.network, "10.77.0.0/24")]
    assert [(r.id, r.external_network_id, r.subnet_ids) for r in owned.routers] == [(built.router, built.external, (built.subnet,))]
    assert [g.id for g in owned.security_groups] == [built.group]
    assert set(owned.security_groups[0].rules.values()) == set(RULES)
    assert built.cloud.list_owned_networking("someone-else") == OwnedNetworking()
    assert built.cloud.get_network(built.network).subnet_ids == (built.subnet,)
    assert [s.id for s in built.cloud.get_subnets(built.network)] == [built.subnet]
    pair = built.cloud.get_keypair(keypair_name(built.uid))
    assert pair is not None
    assert pair.public_key.split()[:2] == built.key.public.split()[:2]


def test_a_port_is_moved_into_further_groups_whose_rules_name_one_another(built: Site) -> None:
    second = built.cloud.create_security_group(f"{NAME}-second", built._describe("security-group/managers"))
    port = built.cloud.create_port(PortRequest("in-two", built._describe("port/x"), built.network, built.subnet, (built.group,)))
    try:
        rule = SecurityRule("tcp", 2377, 2377, remote_group_id=built.group)
        built.cloud.create_security_rule(second, rule)
        back = built.cloud.create_security_rule(built.group, SecurityRule("tcp", 22, 22, remote_group_id=second))
        built.cloud.set_port_security_groups(port, (built.group, second))
        owned = built.cloud.list_owned_networking(built.uid)
        assert next(set(p.security_group_ids) for p in owned.ports if p.id == port) == {built.group, second}
        groups = {g.id: g for g in owned.security_groups}
        assert list(groups[second].rules.values()) == [rule] and groups[built.group].rules[back].remote_group_id == second
    finally:
        built.cloud.delete_port(port)
        built.cloud.delete_security_group(second)
    left = built.cloud.list_owned_networking(built.uid).security_groups
    assert [g.id for g in left] == [built.group]
    assert set(left[0].rules.values()) == set(RULES), "the rule that named the second group went with it"


def test_repeats_are_harmless(built: Site) -> None:
    built.cloud.add_router_interface(built.router, built.subnet)
    rules = built.cloud.list_owned_networking(built.uid).security_groups[0].rules
    for rule_id, rule in rules.items():
        assert built.cloud.create_security_rule(built.group, rule) == rule_id
    assert built.cloud.list_owned_networking(built.uid).security_groups[0].rules == rules
    nowhere = "00000000-0000-0000-0000-000000000000"
    for delete in ("server", "network", "subnet", "router", "security_group", "security_rule", "floating_ip", "port", "keypair"):
        getattr(built.cloud, f"delete_{delete}")(nowhere)
    built.cloud.remove_router_interface(nowhere, built.subnet)
    assert built.cloud.get_keypair("nobody") is None
    assert failure(lambda: built.cloud.create_keypair(keypair_name(built.uid), built.key.public)).kind is ErrorKind.CONFLICT
    assert failure(lambda: built.cloud.delete_network(built.network)).kind is ErrorKind.CONFLICT


def test_server_metadata_address_console_and_delete(built: Site) -> None:
    cloud = built.cloud
    server_id = built.boot(0)
    assert server_id in [s.id for s in cloud.list_servers(built.uid)], "the cached list must not be older than our own write"
    server = built.active(server_id)
    assert (server.name, server.flavor) == (f"{NAME}-w-0", "m1.small")
    assert server.image_id == cloud.resolve("image", ResourceRef(name="debian-12-docker"))
    assert [s.id for s in cloud.find_servers_by_name(server.name)] == [server_id]
    cloud.update_server_metadata(server_id, {"swarm_manager": "10.0.0.1:2377"})
    assert cloud.list_servers(built.uid)[0].metadata == {**server.metadata, "swarm_manager": "10.0.0.1:2377"}
    cloud.delete_server_metadata(server_id, ["swarm_manager", "never-there"])
    assert cloud.list_servers(built.uid)[0].metadata == server.metadata
    address = built.float(server_id)
    assert cloud.list_owned_networking(built.uid).floating_ips == (address,)
    until("floating address in Nova's view", lambda: cloud.list_servers(built.uid, fresh=True)[0].floating == (address.address,))
    cloud.associate_floating_ip(address.id, None)
    assert cloud.list_owned_networking(built.uid).floating_ips[0].port_id is None
    assert isinstance(cloud.console_output(server_id), str)
    cloud.delete_floating_ip(address.id)
    cloud.delete_server(server_id)
    until("server gone", lambda: not cloud.list_servers(built.uid, fresh=True))
    assert cloud.list_ports(device_id=server_id) == ()


@contextlib.contextmanager
def quota(admin: OpenStackCloud, cloud: OpenStackCloud, limit: dict[str, int], service: str) -> Iterator[None]:
    project = cloud._api.project_id()
    path, key = (f"/quotas/{project}", "quota") if service == "network" else (f"/os-quota-sets/{project}", "quota_set")

    def call(method: str, body: Any = None) -> None:
        admin._api.call(service, method, path, operation="test", what="set quota", effect=Effect.WRITE, json=body)  # type: ignore[arg-type]

    call("PUT", {key: limit})
    try:
        yield
    finally:
        call("DELETE")


def test_quota(built: Site, lab_env: dict[str, str]) -> None:
    admin, cloud = open_cloud(lab_env, "swarm-admin"), built.cloud
    details = admin._api.call_json("network", "GET", f"/quotas/{cloud._api.project_id()}/details", operation="test", what="get quota", effect=Effect.READ)
    with quota(admin, cloud, {"security_group": details["quota"]["security_group"]["used"]}, "network"):  # Neutron refuses a limit below what is used
        error = failure(lambda: cloud.create_security_group("x", "x"))
    assert (error.kind, error.reason) == (ErrorKind.QUOTA, Reason.QUOTA_EXCEEDED)
    assert "security_group" in error.message
    with quota(admin, cloud, {"instances": 0, "force": True}, "compute"):
        error, again = failure(lambda: built.boot(9)), failure(lambda: built.boot(9))
    assert error.kind is ErrorKind.QUOTA
    assert "instances" in error.message
    assert error.message == again.message, "messages must be stable"


def test_refused_requests(built: Site) -> None:
    cloud = built.cloud
    assert failure(lambda: cloud.create_subnet("x", "x", built.network, "10.77.0.0/25", ())).kind is ErrorKind.INVALID
    assert failure(lambda: cloud.get_network("nope")).kind is ErrorKind.NOT_FOUND
    bad = ServerRequest("x", "nope", cloud.resolve("image", ResourceRef(name="debian-12-docker")), built.network, keypair_name(built.uid), (), {}, "")
    error = failure(lambda: cloud.create_server(bad))
    assert error.kind in (ErrorKind.INVALID, ErrorKind.NOT_FOUND)
    assert "nope" in error.message
    assert cloud.find_servers_by_name("x") == ()


@pytest.mark.parametrize("kind", ["flavor", "image", "network", "subnet", "security group", "key pair", "external network"])
def test_unknown_references(built: Site, kind: Any) -> None:
    for ref in (ResourceRef(name="no such thing"), ResourceRef(id="00000000-0000-0000-0000-000000000000"), ResourceRef(id="not-a-uuid")):
        assert failure(lambda ref=ref: built.cloud.resolve(kind, ref)).reason is Reason.REFERENCE_NOT_FOUND


def test_references(built: Site) -> None:
    cloud = built.cloud
    name = cloud.get_network(built.network).name
    assert cloud.resolve("network", ResourceRef(name=name)) == built.network
    assert cloud.resolve("subnet", ResourceRef(name=name)) == built.subnet
    assert cloud.resolve("security group", ResourceRef(id=built.group)) == built.group
    image = cloud.resolve("image", ResourceRef(name="debian-12-docker"))
    assert cloud.resolve("image", ResourceRef(id=image)) == image
    second = cloud.create_network(name, "a second one of that name", None)
    try:
        cloud.forget_references()
        assert failure(lambda: cloud.resolve("network", ResourceRef(name=name))).reason is Reason.REFERENCE_AMBIGUOUS
    finally:
        cloud.delete_network(second)


def test_wrong_password_and_wrong_address(lab_env: dict[str, str]) -> None:
    text = Path(lab_env["OS_CLIENT_CONFIG_FILE"]).read_text()
    document = json.loads(text)
    entry = document["clouds"]["swarm"]
    entry["auth"]["password"] = "wrong"
    error = failure(OpenStackClouds().open(json.dumps(document).encode(), "swarm", None).check_credentials)
    assert (error.kind, error.reason) == (ErrorKind.UNAUTHORIZED, Reason.AUTHENTICATION_FAILED)
    entry["auth"]["auth_url"] = "http://127.0.0.1:1/v3"
    error = failure(OpenStackClouds().open(json.dumps(document).encode(), "swarm", None).check_credentials)
    assert error.kind is ErrorKind.UNREACHABLE
    entry["auth"]["auth_url"] = "http://127.0.0.1:15000/nothing/v3"
    error = failure(OpenStackClouds().open(json.dumps(document).encode(), "swarm", None).check_credentials)
    assert (error.kind, error.reason) == (ErrorKind.INVALID, Reason.CREDENTIALS_MALFORMED)
