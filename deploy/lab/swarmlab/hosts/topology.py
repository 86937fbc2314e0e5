"""What routers must look like, from Neutron's answers: pure functions from JSON to interfaces and NAT rules.

The rules are those of a Neutron L3 agent in substance: each floating IP is translated both ways, other traffic leaves
under the router's own external address, and a floating IP can be reached from inside the tenant network as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

GATEWAY_OWNER = "network:router_gateway"
INTERFACE_OWNERS = ("network:router_interface", "network:router_interface_distributed")
EXTERNAL_LEG = "ext"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Leg:
    """A router's interface in a tenant network. ``addresses`` are CIDR strings."""

    port_id: str
    network_id: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Router:
    """One router. ``external`` holds CIDR strings of the router's own external addresses, empty without a gateway.

    ``floating`` are pairs (floating address, fixed address).
    """

    router_id: str
    legs: tuple[Leg, ...] = ()
    external: tuple[str, ...] = ()
    external_mac: str = ""
    snat: bool = True
    floating: tuple[tuple[str, str], ...] = ()
    routes: tuple[tuple[str, str], ...] = field(default=())


def routers(routers_json: Iterable[Json], ports: Iterable[Json], subnets: Iterable[Json], floating_ips: Iterable[Json]) -> list[Router]:
    """The routers as they should be, from the lists of Neutron's API (ports: those whose owner is a router)."""
    lengths = {s["id"]: ipaddress.ip_network(s["cidr"]).prefixlen for s in subnets}
    by_router: dict[str, list[Json]] = {}
    for port in ports:
        by_router.setdefault(port["device_id"], []).append(port)
    made = []
    for router in sorted(routers_json, key=lambda r: str(r["id"])):
        if not router.get("admin_state_up", True):
            continue
        legs: list[Leg] = []
        external: tuple[str, ...] = ()
        external_mac = ""
        for port in sorted(by_router.get(router["id"], ()), key=lambda p: str(p["id"])):
            addresses = tuple(f"{a['ip_address']}/{lengths.get(a['subnet_id'], 24)}" for a in port["fixed_ips"])
            if port["device_owner"] in INTERFACE_OWNERS:
                legs.append(Leg(port["id"], port["network_id"], port["mac_address"], addresses))
            elif port["device_owner"] == GATEWAY_OWNER:
                external, external_mac = addresses, port["mac_address"]
        gateway = router.get("external_gateway_info") or {}
        made.append(
            Router(
                router["id"],
                tuple(legs),
                external,
                external_mac,
                bool(gateway.get("enable_snat", True)),
                tuple(
                    sorted(
                        (f["floating_ip_address"], f["fixed_ip_address"])
                        for f in floating_ips
                        if f.get("router_id") == router["id"] and f.get("fixed_ip_address")
                    )
                ),
                tuple((r["destination"], r["nexthop"]) for r in router.get("routes") or ()),
            )
        )
    return made


def nat_table(router: Router) -> str:
    """The nat table of a router's namespace, as input of iptables-restore."""
    lines = ["*nat", ":PREROUTING ACCEPT", ":INPUT ACCEPT", ":OUTPUT ACCEPT", ":POSTROUTING ACCEPT"]
    own = router.external[0].partition("/")[0] if router.external else ""
    inside = [str(ipaddress.ip_interface(a).network) for leg in router.legs for a in leg.addresses]
    if own:
        for floating, fixed in router.floating:
            lines.append(f"-A PREROUTING -d {floating}/32 -j DNAT --to-destination {fixed}")
        for floating, fixed in router.floating:
            lines.append(f"-A POSTROUTING -s {fixed}/32 -o {EXTERNAL_LEG} -j SNAT --to-source {floating}")
        # A guest that speaks to a floating IP of its own network must get the answer through the router.
        for cidr in inside:
            lines.append(f"-A POSTROUTING -s {cidr} ! -o {EXTERNAL_LEG} -m conntrack --ctstate DNAT -j SNAT --to-source {own}")
        if router.snat:
            lines.append(f"-A POSTROUTING -o {EXTERNAL_LEG} -m addrtype ! --src-type LOCAL -j SNAT --to-source {own}")
    return "\n".join([*lines, "COMMIT", ""])


def external_addresses(router: Router) -> tuple[str, ...]:
    """All addresses of the external leg: the router's own, and each floating IP as a /32."""
    if not router.external:
        return ()
    return (*router.external, *(f"{floating}/32" for floating, _ in router.floating))
