"""Requests as they go out and answers as they are read."""

from __future__ import annotations

import base64
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from openstack_fakecloud import Answer, Request

from swarm_operator.adapters.openstack import OpenStackCloud, OpenStackClouds
from swarm_operator.adapters.openstack.convert import rule_request, security_group
from swarm_operator.api.base import ResourceFilter, ResourceRef
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.tls import new_ca
from swarm_operator.domain.cloud import FlavorSize, FloatingIP, PortRequest, ReferenceKind, SecurityRule, ServerRequest
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import CLUSTER_UID, description
from swarm_operator.domain.quota import Usage
from swarm_operator.ports.compute import Clouds

NOVA = "/compute/v2.1"
NEUTRON = "/network/v2.0"


def server(number: int, cluster: str = "c", **fields: Any) -> dict[str, Any]:
    return {"id": f"s{number}", "name": f"demo-{number}", "status": "ACTIVE", "created": "2026-01-01T00:00:00Z", "metadata": {CLUSTER_UID: cluster}, **fields}


def test_is_a_port(clouds: OpenStackClouds) -> None:
    _: Clouds = clouds


def test_the_parts_of_a_cloud_do_not_override_one_another() -> None:
    seen: dict[str, str] = {}
    for part in OpenStackCloud.__bases__:
        for name in vars(part):
            if not name.startswith("__"):
                assert name not in seen, f"{name} is in both {seen.get(name)} and {part.__name__}"
                seen[name] = part.__name__


def test_create_server_body(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NOVA}/servers", Answer(202, {"server": {"id": "new"}}))
    request = ServerRequest("demo-0", "flavor", "image", "net", "key", ("g1", "g2"), {"a": "b"}, "#cloud-config\n", True, "az1")
    assert cloud.create_server(request) == "new"
    (sent,) = fake.asked("POST", f"{NOVA}/servers")
    assert sent.body == {
        "server": {
            "name": "demo-0",
            "flavorRef": "flavor",
            "imageRef": "image",
            "networks": [{"uuid": "net"}],
            "key_name": "key",
            "security_groups": [{"name": "g1"}, {"name": "g2"}],
            "metadata": {"a": "b"},
            "user_data": base64.b64encode(b"#cloud-config\n").decode(),
            "config_drive": True,
            "availability_zone": "az1",
        }
    }
    assert fake.requests[-1] is sent, "nothing follows the POST"
    assert sent.headers["User-Agent"].startswith("swarm-operator/")


def test_a_server_on_a_port_of_ours_names_the_port_only(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NEUTRON}/ports", Answer(201, {"port": {"id": "p"}}))
    fake.on("POST", f"{NOVA}/servers", Answer(202, {"server": {"id": "new"}}))
    assert cloud.create_port(PortRequest("demo-0", "ours", "net", "sub", ("g1",))) == "p"
    cloud.create_server(ServerRequest("demo-0", "flavor", "image", "net", "key", ("g1",), {}, "", port_id="p"))
    (port,), (server,) = fake.asked("POST", f"{NEUTRON}/ports"), fake.asked("POST", f"{NOVA}/servers")
    assert port.body == {"port": {"name": "demo-0", "description": "ours", "network_id": "net", "fixed_ips": [{"subnet_id": "sub"}], "security_groups": ["g1"]}}
    assert server.body["server"]["networks"] == [{"port": "p"}]
    assert "security_groups" not in server.body["server"]


def test_options_of_a_port_are_those_of_the_networking_api(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NEUTRON}/ports", Answer(201, {"port": {"id": "p"}}))
    fake.on("POST", f"{NOVA}/servers", Answer(202, {"server": {"id": "new"}}))
    cloud.create_port(
        PortRequest(
            *("x", "ours", "net", "sub", ()),
            fixed_ips=(("san", "192.0.2.9"), (None, "192.0.2.10"), ("san", None)),
            secured=False,
            vnic_type="direct",
            address_pairs=(("192.0.2.200", None), ("192.0.2.0/24", "fa:16:3e:00:00:01")),
            profile={"trusted": True},
            extra={"qos_policy_id": "gold", "description": "never"},
        )
    )
    (port,) = fake.asked("POST", f"{NEUTRON}/ports")
    assert port.body["port"] == {
        "name": "x",
        "description": "ours",
        "network_id": "net",
        "security_groups": [],
        "fixed_ips": [{"subnet_id": "san", "ip_address": "192.0.2.9"}, {"ip_address": "192.0.2.10"}, {"subnet_id": "san"}],
        "port_security_enabled": False,
        "binding:vnic_type": "direct",
        "allowed_address_pairs": [{"ip_address": "192.0.2.200"}, {"ip_address": "192.0.2.0/24", "mac_address": "fa:16:3e:00:00:01"}],
        "binding:profile": {"trusted": True},
        "qos_policy_id": "gold",
    }
    cloud.create_server(ServerRequest("x", "flavor", "image", "net", "key", ("g1",), {}, "", port_id="p", further_port_ids=("q", "r")))
    (server,) = fake.asked("POST", f"{NOVA}/servers")
    assert server.body["server"]["networks"] == [{"port": "p"}, {"port": "q"}, {"port": "r"}]


def test_tags_and_trunks_of_ports(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("PUT", f"{NEUTRON}/ports/p/tags", Answer(200, {"tags": ["a"]}))
    fake.on("POST", f"{NEUTRON}/trunks", Answer(201, {"trunk": {"id": "t"}}))
    cloud.set_port_tags("p", ("a",))
    assert fake.asked("PUT", f"{NEUTRON}/ports/p/tags")[0].body == {"tags": ["a"]}
    ours = description("c", "demo", "trunk")
    assert cloud.create_trunk("x", ours, "p") == "t"
    assert fake.asked("POST", f"{NEUTRON}/trunks")[0].body == {"trunk": {"name": "x", "description": ours, "port_id": "p", "sub_ports": []}}
    parent = {
        "id": "p",
        "network_id": "n",
        "fixed_ips": [],
        "description": ours,
        "tags": ["a"],
        "port_security_enabled": False,
        "trunk_details": {"trunk_id": "t"},
    }
    neutron(fake, ports=[parent])
    (port,) = cloud.list_owned_networking("c").ports
    assert (port.tags, port.trunk_id, port.secured) == (("a",), "t", False)
    fake.on("DELETE", f"{NEUTRON}/trunks/t", Answer(204, {}))
    fake.on(
        "GET",
        f"{NEUTRON}/trunks/t",
        [Answer(404, {}), Answer(200, {"trunk": {"id": "t", "description": "theirs"}}), Answer(200, {"trunk": {"id": "t", "description": ours}})],
    )
    cloud.delete_trunk("t", "c")
    with pytest.raises(ExternalError, match="made by somebody else"):
        cloud.delete_trunk("t", "c")
    assert fake.asked("DELETE", f"{NEUTRON}/trunks/t") == []
    cloud.delete_trunk("t", "c")
    assert len(fake.asked("DELETE", f"{NEUTRON}/trunks/t")) == 1


def test_server_groups_are_read_to_the_end_and_told_apart_by_name(fake: Any, cloud: OpenStackCloud) -> None:
    """Nova gives no link to a next page, and may give less than was asked for."""
    everything = [
        {"id": f"g{n}", "name": name, "policy": "anti-affinity", "members": ["s1"]}
        for n, name in enumerate(("swarmops-c-manager-x", "web", "swarmops-c2-web-x"))
    ]

    def page(request: Request) -> Answer:
        start = int(request.query["offset"][0])
        return Answer(200, {"server_groups": everything[start : start + 2]})

    fake.on("GET", f"{NOVA}/os-server-groups", page)
    assert [(g.id, g.policy, g.members) for g in cloud.list_server_groups("c")] == [("g0", "anti-affinity", ("s1",))]
    assert cloud.resolve("server group", ResourceRef(name="web")) == "g1"
    with pytest.raises(ExternalError) as missing:
        cloud.resolve("server group", ResourceRef(id="elsewhere"))
    assert missing.value.reason is Reason.REFERENCE_NOT_FOUND


def test_a_server_is_asked_for_in_its_group(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NOVA}/os-server-groups", Answer(200, {"server_group": {"id": "g"}}))
    fake.on("POST", f"{NOVA}/servers", Answer(202, {"server": {"id": "new"}}))
    fake.on("DELETE", f"{NOVA}/os-server-groups/g", Answer(404, {}))
    group = cloud.create_server_group("swarmops-c-web-soft-anti-affinity", "soft-anti-affinity")
    cloud.create_server(ServerRequest("demo-0", "flavor", "image", "net", "key", (), {}, "", server_group_id=group))
    (made,), (server,) = fake.asked("POST", f"{NOVA}/os-server-groups"), fake.asked("POST", f"{NOVA}/servers")
    assert made.body == {"server_group": {"name": "swarmops-c-web-soft-anti-affinity", "policy": "soft-anti-affinity"}}
    assert made.headers["OpenStack-API-Version"] == "compute 2.64"
    assert server.body["os:scheduler_hints"] == {"group": "g"}
    cloud.delete_server_group(group)


def test_servers_are_listed_over_all_pages_once_and_told_apart_by_metadata(fake: Any, cloud: OpenStackCloud) -> None:
    def page(request: Request) -> Answer:
        marker = int(request.query.get("marker", ["0"])[0])
        links = [{"rel": "next", "href": f"http://inside.invalid/servers/detail?limit=2&marker={marker + 2}"}] if marker < 4 else []
        return Answer(200, {"servers": [server(marker + n, "c" if n else "other") for n in (0, 1)], "servers_links": links})

    fake.on("GET", f"{NOVA}/servers/detail", page)
    assert [s.id for s in cloud.list_servers("c")] == ["s1", "s3", "s5"]
    assert [s.id for s in cloud.list_servers("other")] == ["s0", "s2", "s4"]
    asked = fake.asked("GET", f"{NOVA}/servers/detail")
    assert len(asked) == 3, "one listing serves both"
    assert asked[0].query == {}, "a filter or limit would make Nova hide servers of a cell that is down"
    assert asked[0].headers["OpenStack-API-Version"] == "compute 2.69"
    cloud.list_servers("c", fresh=True)
    assert len(fake.asked("GET", f"{NOVA}/servers/detail")) == 6


def test_a_broken_page_is_no_shorter_list(fake: Any, cloud: OpenStackCloud) -> None:
    first = Answer(200, {"servers": [server(1)], "servers_links": [{"rel": "next", "href": "http://x/?marker=1"}]})
    fake.on("GET", f"{NOVA}/servers/detail", [first, Answer(500, "x")])
    with pytest.raises(ExternalError):
        cloud.list_servers("c")
    fake.on("GET", f"{NOVA}/servers/detail", first)
    with pytest.raises(ExternalError, match="do not end"):
        cloud.list_servers("c")


def test_a_cell_that_is_down_makes_the_list_unknown(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on(
        "GET", f"{NOVA}/servers/detail", Answer(200, {"servers": [server(1), {"id": "s2", "status": "UNKNOWN", "created": "x", "tenant_id": "p", "links": []}]})
    )
    with pytest.raises(ExternalError, match="cell is down") as caught:
        cloud.list_servers("c")
    assert caught.value.kind is ErrorKind.TRANSIENT


def test_a_write_ends_the_cache(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("GET", f"{NOVA}/servers/detail", [Answer(200, {"servers": [server(1)]}), Answer(200, {"servers": []})])
    assert len(cloud.list_servers("c")) == 1
    cloud.delete_server("s1")
    assert cloud.list_servers("c") == ()


def test_start_and_reboot_are_actions_of_nova(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NOVA}/servers/s1/action", Answer(202))
    fake.on("GET", f"{NOVA}/servers/detail", [Answer(200, {"servers": [server(1)]}), Answer(200, {"servers": []})])
    cloud.list_servers("c")
    cloud.start_server("s1")
    cloud.reboot_server("s1", hard=False)
    cloud.reboot_server("s1", hard=True)
    assert [r.body for r in fake.asked("POST", f"{NOVA}/servers/s1/action")] == [{"os-start": None}, {"reboot": {"type": "SOFT"}}, {"reboot": {"type": "HARD"}}]
    assert cloud.list_servers("c") == (), "the status is another now"
    fake.on("POST", f"{NOVA}/servers/s1/action", Answer(409, {"conflictingRequest": {"message": "Cannot 'start' instance s1 while it is in vm_state active"}}))
    with pytest.raises(ExternalError, match="vm_state active") as caught:
        cloud.start_server("s1")
    assert caught.value.kind is ErrorKind.CONFLICT


def test_threads_share_a_listing(fake: Any, cloud: OpenStackCloud) -> None:
    cloud.check_credentials()
    fake.on("GET", f"{NOVA}/servers/detail", Answer(200, {"servers": [server(1)]}, hang=0.2))
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(cloud.list_servers("c", fresh=True)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 8
    assert len(fake.asked("GET", f"{NOVA}/servers/detail")) <= 2


def test_server_fields(fake: Any, cloud: OpenStackCloud) -> None:
    item = server(
        1,
        status="ERROR",
        fault={"code": 500, "message": "No valid host was found. (Request-ID: req-3d1e3c8a-65a3-4c3a-9ff7-1cb1f9a5a4c7)", "created": "x"},
        addresses={
            "net": [
                {"version": 4, "addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed"},
                {"version": 6, "addr": "fe80::1", "OS-EXT-IPS:type": "fixed"},
                {"version": 4, "addr": "198.51.100.5", "OS-EXT-IPS:type": "floating"},
            ]
        },
        image={"id": "img"},
        flavor={"original_name": "m1.small", "vcpus": 1},
        security_groups=[{"name": "a"}, {"name": "a"}, {"name": "b"}],
    )
    item["OS-EXT-STS:task_state"] = "deleting"
    fake.on("GET", f"{NOVA}/servers/detail", Answer(200, {"servers": [item, {**server(2), "image": ""}]}))
    one, two = cloud.list_servers("c")
    assert (one.fault, one.fixed, one.floating) == ("No valid host was found.", ("10.0.0.5",), ("198.51.100.5",))
    assert (one.image_id, one.flavor, one.security_groups, one.task_state) == ("img", "m1.small", ("a", "b"), "deleting")
    assert (two.image_id, two.fault) == (None, None)


def neutron(fake: Any, **collections: list[dict[str, Any]]) -> None:
    for name in ("networks", "subnets", "routers", "security_groups", "floatingips", "ports"):
        fake.on("GET", f"{NEUTRON}/{name.replace('_', '-')}", Answer(200, {name: collections.get(name, [])}))


def test_owned_networking_is_told_by_description(fake: Any, cloud: OpenStackCloud) -> None:
    mine, foreign = description("c", "demo", "network"), description("d", "demo", "network")
    neutron(
        fake,
        networks=[{"id": "n1", "name": "x", "description": mine, "subnets": ["sn1"]}, {"id": "n2", "name": "x", "description": foreign}, {"id": "n3", "name": "x", "description": None}],
        routers=[{"id": "r1", "name": "x", "description": mine, "external_gateway_info": {"network_id": "ext"}}],
        ports=[
            {"id": "p1", "network_id": "n1", "device_id": "r1", "device_owner": "network:router_interface", "fixed_ips": [{"subnet_id": "sn1", "ip_address": "10.0.0.1"}]},
            {"id": "p2", "network_id": "ext", "device_id": "r1", "device_owner": "network:router_gateway", "fixed_ips": [{"subnet_id": "ext-s", "ip_address": "198.51.100.2"}]},
            {"id": "p3", "network_id": "n1", "device_id": "", "device_owner": "", "fixed_ips": [], "description": description("c", "demo", "port/m")},
            {"id": "p4", "network_id": "n1", "device_id": "", "device_owner": "", "fixed_ips": [], "description": description("d", "demo", "port/m")},
        ],
    )  # fmt: skip
    owned = cloud.list_owned_networking("c")
    assert [n.id for n in owned.networks] == ["n1"]
    assert (owned.routers[0].external_network_id, owned.routers[0].subnet_ids) == ("ext", ("sn1",))
    assert [p.id for p in owned.ports] == ["p3"]
    assert cloud.list_owned_networking("nobody").networks == ()
    assert all(request.query["project_id"] == ["project-1"] for request in fake.asked("GET", f"{NEUTRON}/networks"))
    of_routers = [request for request in fake.asked("GET", f"{NEUTRON}/ports") if "device_id" in request.query]
    assert [request.query["device_id"] for request in of_routers] == [["r1"]], "without a router of its own a cluster costs no listing of router ports"


def test_routers_of_others_are_told_where_they_are_on_a_subnet_of_ours(fake: Any, cloud: OpenStackCloud) -> None:
    interface = {"network_id": "n", "device_owner": "network:router_interface_distributed"}
    neutron(
        fake,
        subnets=[{"id": "sn1", "name": "x", "network_id": "n", "cidr": "10.0.0.0/24", "description": description("c", "demo", "subnet")}],
        routers=[{"id": "r1", "name": "edge", "description": "ours"}, {"id": "r2", "name": "far", "description": None}],
        ports=[
            {**interface, "id": "p1", "device_id": "r1", "fixed_ips": [{"subnet_id": "sn1", "ip_address": "10.0.0.1"}]},
            {**interface, "id": "p2", "device_id": "r1", "fixed_ips": [{"subnet_id": "other", "ip_address": "10.9.0.1"}]},
            {**interface, "id": "p3", "device_id": "r2", "fixed_ips": [{"subnet_id": "other", "ip_address": "10.9.0.2"}]},
        ],
    )
    owned = cloud.list_owned_networking("c")
    assert owned.routers == () and [(r.id, r.name, r.subnet_ids) for r in owned.other_routers] == [("r1", "edge", ("sn1",))]
    assert not [r for r in fake.asked("GET", f"{NEUTRON}/ports") if "device_id" in r.query], "no further call"


def test_one_collection_that_fails_fails_the_whole(fake: Any, cloud: OpenStackCloud) -> None:
    neutron(fake)
    fake.on("GET", f"{NEUTRON}/floatingips", Answer(503, "x"))
    with pytest.raises(ExternalError):
        cloud.list_owned_networking("c")


def test_rules_survive_the_round_trip() -> None:
    rules = (
        SecurityRule("tcp", 22, 22, "10.0.0.0/8"),
        SecurityRule("udp", 7946, 7946, None, True),
        SecurityRule("esp", None, None, None, True),
        SecurityRule("any", None, None, "0.0.0.0/0"),
    )
    sent = [{"id": str(n), **rule_request("g", rule)} for n, rule in enumerate(rules)]
    egress = {"id": "e", "direction": "egress", "ethertype": "IPv4"}
    six = {"id": "6", "direction": "ingress", "ethertype": "IPv6", "protocol": None}
    assert tuple(security_group({"id": "g", "name": "x", "security_group_rules": [*sent, egress, six]}).rules.values()) == rules
    assert rule_request("g", SecurityRule("tcp", 1, 1, "10.1.2.3/8"))["remote_ip_prefix"] == "10.0.0.0/8"


def test_router_interface_that_is_there_already(fake: Any, cloud: OpenStackCloud) -> None:
    path = f"{NEUTRON}/routers/r/add_router_interface"
    fake.on(
        "PUT",
        path,
        Answer(400, {"NeutronError": {"type": "BadRequest", "message": "Bad router request: Router already has a port on subnet s.", "detail": ""}}),
    )
    cloud.add_router_interface("r", "s")
    fake.on("PUT", path, Answer(400, {"NeutronError": {"type": "BadRequest", "message": "Bad router request: Cidr overlaps", "detail": ""}}))
    with pytest.raises(ExternalError, match="overlaps"):
        cloud.add_router_interface("r", "s")


REFERENCES: list[tuple[ReferenceKind, ResourceRef | None, str, str, list[dict[str, Any]]]] = [
    ("flavor", ResourceRef(name="a"), f"{NOVA}/flavors", "flavors", [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]),
    ("image", ResourceRef(name="a"), "/image/v2/images", "images", [{"id": "1", "name": "a", "status": "active"}, {"id": "2", "name": "a", "status": "queued"}]),
    ("image", ResourceRef(filter=ResourceFilter(tags=["t", "u"])), "/image/v2/images", "images", [{"id": "1", "name": "a", "status": "active"}]),
    ("network", ResourceRef(name="a"), f"{NEUTRON}/networks", "networks", [{"id": "1"}]),
    ("subnet", ResourceRef(filter=ResourceFilter(tags=["t"])), f"{NEUTRON}/subnets", "subnets", [{"id": "1"}]),
    ("router", ResourceRef(name="edge"), f"{NEUTRON}/routers", "routers", [{"id": "1"}]),
    ("security group", ResourceRef(name="default"), f"{NEUTRON}/security-groups", "security_groups", [{"id": "1"}]),
    ("external network", None, f"{NEUTRON}/networks", "networks", [{"id": "1"}]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "ref", "path", "key", "items"), REFERENCES)
def test_resolve(fake: Any, cloud: OpenStackCloud, kind: ReferenceKind, ref: ResourceRef | None, path: str, key: str, items: list[dict[str, Any]]) -> None:
    fake.on("GET", path, Answer(200, {key: []}))
    with pytest.raises(ExternalError) as caught:
        cloud.resolve(kind, ref)
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.NOT_FOUND, Reason.REFERENCE_NOT_FOUND)
    assert kind in caught.value.message
    fake.on("GET", path, Answer(200, {key: items}))
    assert cloud.resolve(kind, ref) == "1", "what was not found must not be remembered"
    count = len(fake.asked("GET", path))
    assert cloud.resolve(kind, ref) == "1"
    assert len(fake.asked("GET", path)) == count, "what was found is remembered"
    cloud.forget_references()
    fake.on("GET", path, Answer(200, {key: [*items, {**items[0], "id": "9"}]}))
    with pytest.raises(ExternalError) as caught:
        cloud.resolve(kind, ref)
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.INVALID, Reason.REFERENCE_AMBIGUOUS)


def test_resolve_by_id_and_key_pair(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("GET", f"{NEUTRON}/networks/n1", Answer(200, {"network": {"id": "n1", "router:external": False}}))
    fake.on("GET", f"{NOVA}/os-keypairs/my%20key", Answer(200, {"keypair": {"name": "my key", "public_key": "ssh-ed25519 A"}}))
    assert cloud.resolve("network", ResourceRef(id="n1")) == "n1"
    assert cloud.resolve("key pair", ResourceRef(name="my key")) == "my key"
    for kind, ref in (("external network", ResourceRef(id="n1")), ("image", ResourceRef(id="nope"))):
        with pytest.raises(ExternalError) as caught:
            cloud.resolve(kind, ref)  # type: ignore[arg-type]
        assert caught.value.reason is Reason.REFERENCE_NOT_FOUND


def test_one_cloud_per_credential(fake: Any, clouds: OpenStackClouds) -> None:
    one = clouds.open(fake.clouds_yaml(), "mine", None)
    assert clouds.open(fake.clouds_yaml(), "mine", None) is one
    assert clouds.open(fake.clouds_yaml(password="new"), "mine", None) is not one
    assert fake.requests == [], "open makes no call"


def test_cacert_is_kept_private_and_removed(fake: Any, clouds: OpenStackClouds) -> None:
    from datetime import UTC, datetime

    cloud = clouds.open(fake.clouds_yaml(), "mine", new_ca("x", datetime.now(UTC)).cert)
    path = Path(str(cloud._api._region.config["cacert"]))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    cloud.check_credentials()
    cloud._api._ca_directory.cleanup()  # type: ignore[union-attr]
    assert not path.exists()


def test_secrets_stay_out_of_the_log(fake: Any, cloud: OpenStackCloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    fake.on("POST", f"{NOVA}/servers/s/metadata", Answer(200, {"metadata": {}}))
    cloud.update_server_metadata("s", {"swarm_token": "SWMTKN-1-secret"})
    time.sleep(0)
    assert "SWMTKN" not in caplog.text
    assert "correct horse" not in caplog.text


VOLUMES = [
    {"id": "v1", "name": "a", "status": "available", "metadata": {"swarmops-cluster-uid": "c"}},
    {"id": "v2", "name": "a", "status": "in-use", "metadata": {"swarmops-cluster-uid": "d"}},
    {"id": "v3", "name": "a", "status": "in-use", "metadata": {}},
]


def test_volumes_are_told_by_metadata_and_deleted_once(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("GET", "/volume/v3/volumes/detail", Answer(200, {"volumes": VOLUMES}))
    fake.on("DELETE", "/volume/v3/volumes/v1", Answer(202, None))
    fake.on("DELETE", "/volume/v3/volumes/gone", Answer(404, {"itemNotFound": {"message": "no", "code": 404}}))
    assert [(v.id, v.status) for v in cloud.list_owned_volumes("c")] == [("v1", "available")]
    cloud.delete_volume("v1")
    cloud.delete_volume("gone")
    assert len(fake.asked("DELETE", "/volume/v3/volumes/v1")) == 1


def test_usage_of_quotas(fake: Any, cloud: OpenStackCloud) -> None:
    absolute = {"maxTotalInstances": 10, "totalInstancesUsed": 4, "maxTotalCores": -1, "totalCoresUsed": 8}
    fake.on("GET", f"{NOVA}/limits", Answer(200, {"limits": {"rate": [], "absolute": absolute}}))
    details = {"port": {"used": 5, "limit": 6, "reserved": 1}, "floatingip": {"used": 0, "limit": -1, "reserved": 0}, "network": {"used": 1, "limit": 2}}
    fake.on("GET", f"{NEUTRON}/quotas/project-1/details", Answer(200, {"quota": details}))
    fake.on("GET", f"{NOVA}/flavors/f", Answer(200, {"flavor": {"id": "f", "vcpus": 2, "ram": 4096}}))
    assert cloud.get_compute_usage() == {"instances": Usage(4, 10), "cores": Usage(8, None)}
    assert cloud.get_network_usage() == {"ports": Usage(6, 6), "floating IPs": Usage(0, None)}
    assert cloud.get_flavor_size("f") == cloud.get_flavor_size("f") == FlavorSize(2, 4096)
    assert len(fake.asked("GET", f"{NOVA}/flavors/f")) == 1


def test_key_pairs_of_a_cluster_are_known_by_their_name(fake: Any, cloud: OpenStackCloud) -> None:
    uid = "11111111-2222-3333-4444-555555555555"
    names = (f"swarmops-{uid}", f"swarmops-{uid}-old", f"swarmops-{uid}0", "swarmops-other", "mine")
    fake.on("GET", f"{NOVA}/os-keypairs", Answer(200, {"keypairs": [{"keypair": {"name": n, "public_key": "ssh-ed25519 A"}} for n in names]}))
    assert [k.name for k in cloud.list_owned_keypairs(uid)] == list(names[:2])


def test_rebuild(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NOVA}/servers/s1/action", Answer(202, None))
    cloud.rebuild_server("s1", "image")
    (sent,) = fake.asked("POST", f"{NOVA}/servers/s1/action")
    assert sent.body == {"rebuild": {"imageRef": "image"}}


def test_floating_ips_of_the_project_are_told_by_address_and_by_port(fake: Any, cloud: OpenStackCloud) -> None:
    mine = description("c", "demo", "fip/m")

    def fip(number: int, text: str = "", port: str | None = None) -> dict[str, Any]:
        return {"id": f"f{number}", "floating_ip_address": f"198.51.100.{number}", "port_id": port, "description": text}

    own = {"id": "p1", "network_id": "n1", "fixed_ips": [], "description": description("c", "demo", "port/m")}
    neutron(fake, ports=[own], floatingips=[fip(1, mine), fip(2), fip(3, port="p1"), fip(4, port="elsewhere")])
    owned = cloud.list_owned_networking("c", frozenset({"198.51.100.1", "198.51.100.2"}))
    assert [f.id for f in owned.floating_ips] == ["f1"]
    assert [f.id for f in owned.other_floating_ips] == ["f2", "f3"]
    assert cloud.list_owned_networking("c").other_floating_ips == owned.other_floating_ips[1:], "of the rest of the project nothing is told"


def test_a_floating_ip_is_let_go_in_one_call(fake: Any, cloud: OpenStackCloud) -> None:
    path = f"{NEUTRON}/floatingips/f1"
    fake.on("PUT", path, [Answer(200, {"floatingip": {}}), Answer(200, {"floatingip": {}}), Answer(404, {})])
    cloud.release_floating_ip("f1", keep_port=False)
    cloud.release_floating_ip("f1", keep_port=True)
    cloud.release_floating_ip("f1", keep_port=True)
    assert [r.body["floatingip"] for r in fake.asked("PUT", path)][:2] == [{"description": "", "port_id": None}, {"description": ""}]
    fake.on("GET", path, Answer(200, {"floatingip": {"id": "f1", "floating_ip_address": "198.51.100.1", "port_id": "p", "description": None}}))
    assert cloud.get_floating_ip("f1") == FloatingIP("f1", "198.51.100.1", "p", "")


def test_tags_of_servers(fake: Any, cloud: OpenStackCloud) -> None:
    fake.on("POST", f"{NOVA}/servers", Answer(202, {"server": {"id": "new"}}))
    fake.on("PUT", f"{NOVA}/servers/s1/tags/team%20a", Answer(201, {}))
    cloud.create_server(ServerRequest("x", "flavor", "image", "net", "key", (), {}, "", tags=("a", "b")))
    (sent,) = fake.asked("POST", f"{NOVA}/servers")
    assert sent.body["server"]["tags"] == ["a", "b"] and sent.headers["OpenStack-API-Version"] == "compute 2.52"
    cloud.add_server_tags("s1", ("team a",))
    cloud.add_server_tags("s1", ("team a",))
    fake.on("GET", f"{NOVA}/servers/detail", Answer(200, {"servers": [{**server(1), "tags": ["team a"]}]}))
    assert cloud.list_servers("c")[0].tags == ("team a",)


def test_content_of_an_image(fake: Any, cloud: OpenStackCloud) -> None:
    path = "/image/v2/images/i/file"
    fake.on("GET", path, Answer(200, "x" * 700_000, {"Content-Type": "application/octet-stream"}))
    pieces = list(cloud.download_image("i"))
    assert b"".join(pieces) == b"x" * 700_000 and len(pieces) > 1
    fake.on("GET", path, Answer(204))
    with pytest.raises(ExternalError) as caught:
        list(cloud.download_image("i"))
    assert caught.value.kind is ErrorKind.NOT_FOUND
    fake.on("GET", path, Answer(503, {"message": "busy"}))
    with pytest.raises(ExternalError) as caught:
        list(cloud.download_image("i"))
    assert caught.value.kind is ErrorKind.TRANSIENT
