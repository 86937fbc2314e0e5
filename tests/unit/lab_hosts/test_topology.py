"""Neutron's JSON becomes routers, addresses and NAT rules."""

from __future__ import annotations

from typing import Any

from swarmlab.hosts import topology

SUBNETS = [{"id": "s-in", "cidr": "10.0.0.0/16"}, {"id": "s-ext", "cidr": "198.51.100.0/24"}]


def router(**changes: Any) -> dict[str, Any]:
    return {"id": "r1", "admin_state_up": True, "external_gateway_info": {"enable_snat": True}, "routes": [], **changes}


def port(owner: str, subnet: str, address: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"p-{address}",
        "device_id": "r1",
        "device_owner": owner,
        "network_id": f"n-{subnet}",
        "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"subnet_id": subnet, "ip_address": address}],
        **changes,
    }


PORTS = [
    port("network:router_interface", "s-in", "10.0.0.1"),
    port("network:router_gateway", "s-ext", "198.51.100.20"),
]
FLOATING = [
    {"router_id": "r1", "floating_ip_address": "198.51.100.30", "fixed_ip_address": "10.0.0.5"},
    {"router_id": None, "floating_ip_address": "198.51.100.31", "fixed_ip_address": None},
    {"router_id": "r2", "floating_ip_address": "198.51.100.32", "fixed_ip_address": "10.0.0.5"},
]


def one(**changes: Any) -> topology.Router:
    (made,) = topology.routers([router(**changes)], PORTS, SUBNETS, FLOATING)
    return made


def test_router_with_gateway_and_its_own_floating_ip_only() -> None:
    made = one()
    assert [leg.addresses for leg in made.legs] == [("10.0.0.1/16",)]
    assert made.external == ("198.51.100.20/24",)
    assert made.floating == (("198.51.100.30", "10.0.0.5"),)
    assert topology.external_addresses(made) == ("198.51.100.20/24", "198.51.100.30/32")


def test_floating_ip_is_translated_before_the_shared_address() -> None:
    rules = topology.nat_table(one()).splitlines()
    assert "-A PREROUTING -d 198.51.100.30/32 -j DNAT --to-destination 10.0.0.5" in rules
    own = [i for i, rule in enumerate(rules) if rule.endswith("--to-source 198.51.100.30")]
    shared = [i for i, rule in enumerate(rules) if "-o ext -m addrtype" in rule]
    assert own and shared and own[0] < shared[0]
    assert rules[0] == "*nat" and rules[-1] == "COMMIT"


def test_guest_reaches_a_floating_ip_of_its_own_network_through_the_router() -> None:
    hairpin = "-A POSTROUTING -s 10.0.0.0/16 ! -o ext -m conntrack --ctstate DNAT -j SNAT --to-source 198.51.100.20"
    assert hairpin in topology.nat_table(one()).splitlines()


def test_without_snat_only_floating_ips_are_translated() -> None:
    table = topology.nat_table(one(external_gateway_info={"enable_snat": False}))
    assert "addrtype" not in table and "DNAT --to-destination 10.0.0.5" in table


def test_router_without_gateway_translates_nothing() -> None:
    (made,) = topology.routers([router(external_gateway_info=None)], PORTS[:1], SUBNETS, [])
    assert topology.external_addresses(made) == ()
    assert "-A" not in topology.nat_table(made)


def test_router_that_is_switched_off_is_not_wanted() -> None:
    assert topology.routers([router(admin_state_up=False)], PORTS, SUBNETS, FLOATING) == []
