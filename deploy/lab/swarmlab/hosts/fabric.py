"""The external network of the lab in the root namespace: bridge ``swlext``, of which this machine is the gateway."""

from __future__ import annotations

import contextlib
import ipaddress

from swarmlab import paths
from swarmlab.hosts.kernel import ip_batch, namespaces, run
from swarmlab.hosts.network import drop_namespace, links

_COMMENT = ("-m", "comment", "--comment", "swl")


def up() -> None:
    """Make the bridge, its address and the route that keeps stray traffic on this machine. Safe to repeat.

    No setting of the root namespace is changed: nothing is forwarded by it, each router forwards in its own namespace.
    """
    bridge = paths.EXTERNAL_BRIDGE
    length = ipaddress.ip_network(paths.EXTERNAL_CIDR).prefixlen
    if bridge not in links(""):
        ip_batch([f"link add {bridge} type bridge forward_delay 0 stp_state 0"])
    ip_batch([f"link set {bridge} up", f"addr replace {paths.EXTERNAL_GATEWAY}/{length} dev {bridge}"])
    # With the bridge gone, packets for floating IPs must not follow the default route to the world.
    run("ip", "route", "replace", "unreachable", paths.EXTERNAL_CIDR, "metric", "4000")
    # Bridged frames pass the FORWARD chain of this machine where br_netfilter asks for it; and nothing may leave by it.
    for rule in _rules():
        if _missing(rule):
            run("iptables", "-I", "FORWARD", *rule)


def _rules() -> list[tuple[str, ...]]:
    bridge = paths.EXTERNAL_BRIDGE
    return [
        ("-i", bridge, "!", "-o", bridge, *_COMMENT, "-j", "REJECT"),
        ("-i", bridge, "-o", bridge, *_COMMENT, "-j", "ACCEPT"),
    ]


def _missing(rule: tuple[str, ...]) -> bool:
    try:
        run("iptables", "-C", "FORWARD", *rule)
    except RuntimeError:
        return True
    return False


def down() -> None:
    """Remove all namespaces and links of the lab and what up() made. Servers must have been stopped. Safe to repeat."""
    for name in sorted(namespaces()):
        if name.startswith(paths.PREFIX):
            drop_namespace(name)
    with contextlib.suppress(FileNotFoundError):
        for rule in _rules():
            while not _missing(rule):
                run("iptables", "-D", "FORWARD", *rule)
    for name in [n for n in links("") if n.startswith(paths.PREFIX)]:
        run("ip", "link", "del", name, check=False)
    run("ip", "route", "del", "unreachable", paths.EXTERNAL_CIDR, "metric", "4000", check=False)
