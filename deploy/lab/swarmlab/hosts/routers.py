"""Brings router namespaces to what Neutron wants; see topology.py for what that is."""

from __future__ import annotations

import socket
import struct
from typing import Any

from swarmlab import paths
from swarmlab.hosts import network, topology
from swarmlab.hosts.kernel import ip_batch, namespaces, network_namespace, run, run_in
from swarmlab.hosts.topology import EXTERNAL_LEG, Router

_ROUTER_PREFIX = f"{paths.PREFIX}r"


def ensure(router: Router) -> None:
    """Make or change one router's namespace; does nothing to what is right already."""
    name = network.router_namespace_of(router.router_id)
    if name not in namespaces():
        run("ip", "netns", "add", name)
        for key in ("all", "default"):
            network.set_sysctl(name, f"net.ipv6.conf.{key}.disable_ipv6", "1")
            # Floating addresses are answered for by name only on the leg that has them.
            network.set_sysctl(name, f"net.ipv4.conf.{key}.arp_ignore", "1")
        network.set_sysctl(name, "net.ipv4.ip_forward", "1")
        # Without a default route a guest's packet to the world ends here, with an answer, and never leaves the machine.
        ip_batch(["link set lo up", "route add unreachable default metric 4000"], name)
    # Translation first: a floating IP must not answer before it leads somewhere.
    run_in(name, "iptables-restore", "-w", stdin=topology.nat_table(router))
    present = network.links(name)
    wanted = {network.host_end_of(leg.port_id): leg for leg in router.legs}
    for link in present:
        if link.startswith(paths.PREFIX) and link not in wanted:
            run("ip", "-n", name, "link", "del", link, check=False)
    for link, leg in wanted.items():
        if link not in present:
            _plug_leg(name, link, leg)
        _set_addresses(name, link, leg.addresses, present.get(link))
    _external_leg(name, router, present)
    for destination, hop in router.routes:
        run("ip", "-n", name, "route", "replace", destination, "via", hop, check=False)


def _plug_leg(name: str, link: str, leg: topology.Leg) -> None:
    bridge_namespace = network.ensure_network(leg.network_id)
    far = f"q{link.removeprefix(paths.PREFIX)}"
    run("ip", "-n", bridge_namespace, "link", "del", far, check=False)
    run(
        *f"ip -n {name} link add {link} mtu 1500 address {leg.mac} type veth".split(),
        *f"peer name {far} mtu 1500 netns {bridge_namespace}".split(),
    )
    ip_batch([f"link set {far} master {network.BRIDGE} up"], bridge_namespace)
    ip_batch([f"link set {link} up"], name)


def _external_leg(name: str, router: Router, present: dict[str, dict[str, Any]]) -> None:
    addresses = topology.external_addresses(router)
    if not addresses:
        if EXTERNAL_LEG in present:
            run("ip", "-n", name, "link", "del", EXTERNAL_LEG, check=False)
        return
    if EXTERNAL_LEG not in present:
        outside = f"{paths.PREFIX}e{name.removeprefix(_ROUTER_PREFIX)}"
        run("ip", "link", "del", outside, check=False)
        run(
            *f"ip link add {outside} type veth".split(),
            *f"peer name {EXTERNAL_LEG} address {router.external_mac} netns {name}".split(),
        )
        ip_batch([f"link set {outside} master {paths.EXTERNAL_BRIDGE} up"])
        ip_batch([f"link set {EXTERNAL_LEG} up"], name)
    for address in _set_addresses(name, EXTERNAL_LEG, addresses, present.get(EXTERNAL_LEG)):
        announce(name, EXTERNAL_LEG, address.partition("/")[0])


def _set_addresses(name: str, link: str, wanted: tuple[str, ...], present: dict[str, Any] | None) -> list[str]:
    have = {f"{a['local']}/{a['prefixlen']}" for a in (present or {}).get("addr_info", ()) if a["family"] == "inet"}
    new = [a for a in wanted if a not in have]
    commands = [f"addr del {a} dev {link}" for a in sorted(have - set(wanted))]
    commands += [f"addr add {a} dev {link}" for a in new]
    if commands:
        ip_batch(commands, name)
    return new


def announce(namespace: str, link: str, address: str) -> None:
    """Gratuitous ARP (RFC 5227 announcement), so that neighbours forget who had a floating IP before."""
    with network_namespace(namespace):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    with sender:
        sender.bind((link, 0x0806))
        mac = sender.getsockname()[4]
        packed = socket.inet_aton(address)
        frame = b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + packed + b"\0" * 6 + packed
        sender.send(frame)


def drop_others(wanted: set[str]) -> None:
    """Remove the namespaces of routers that Neutron no longer has."""
    names = {network.router_namespace_of(router_id) for router_id in wanted}
    for name in namespaces():
        if name.startswith(_ROUTER_PREFIX) and name not in names:
            network.drop_namespace(name)
