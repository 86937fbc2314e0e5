"""Namespaces and links of the lab's networks: what a compute host's L2 agent and the L3 agent would plug.

* ``swln<id>``: one namespace per Neutron network, holding the bridge ``br0`` to which guests and routers are plugged.
  The bridge owns 169.254.169.254, where the metadata proxy listens (Neutron does this in the DHCP or router namespace).
* ``swlr<id>``: one namespace per Neutron router, with one leg in each attached network and one on ``swlext``.
* ``swls<id>``: one namespace per running server.
* ``swlext``: bridge in the root namespace, the external network; the machine itself is its gateway.

Names are cut to fit IFNAMSIZ (15 characters), like Neutron's own tap names.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

from swarmlab import paths
from swarmlab.hosts.kernel import ip_batch, namespaces, network_namespace, run, run_in
from swarmlab.hosts.record import Nic, nic_name

BRIDGE = "br0"
METADATA_ADDRESS = "169.254.169.254"
_ID_CHARS = 11


def _short(identifier: str) -> str:
    return identifier.replace("-", "")[:_ID_CHARS]


def network_namespace_of(network_id: str) -> str:
    """Name of the namespace that holds a network's bridge."""
    return f"{paths.PREFIX}n{_short(network_id)}"


def router_namespace_of(router_id: str) -> str:
    """Name of a router's namespace."""
    return f"{paths.PREFIX}r{_short(router_id)}"


def server_namespace_of(server_id: str) -> str:
    """Name of a running server's namespace."""
    return f"{paths.PREFIX}s{_short(server_id)}"


def host_end_of(port_id: str) -> str:
    """Name of the switch side of a port's veth pair."""
    return f"{paths.PREFIX}p{_short(port_id)}"


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    paths.RUN.mkdir(parents=True, exist_ok=True)
    with (paths.RUN / "network.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def set_sysctl(namespace: str, key: str, value: str) -> None:
    """One net.* setting of a namespace. Keys that this kernel lacks are passed over (br_netfilter may be absent)."""
    path = Path("/proc/sys") / key.replace(".", "/")
    with network_namespace(namespace), contextlib.suppress(FileNotFoundError):
        path.write_text(value)


def ensure_network(network_id: str, mtu: int = 1450) -> str:
    """The namespace and bridge of a network, made when absent; gives the namespace's name. Safe to repeat."""
    name = network_namespace_of(network_id)
    with _lock():
        if name in namespaces() and _bridge_ready(name):
            return name
        if name not in namespaces():
            run("ip", "netns", "add", name)
        for table in ("iptables", "ip6tables", "arptables"):
            set_sysctl(name, f"net.bridge.bridge-nf-call-{table}", "0")
        set_sysctl(name, "net.ipv6.conf.all.disable_ipv6", "1")
        set_sysctl(name, "net.ipv6.conf.default.disable_ipv6", "1")
        run("ip", "-n", name, "link", "del", BRIDGE, check=False)
        ip_batch(
            [
                "link set lo up",
                f"link add {BRIDGE} type bridge forward_delay 0 stp_state 0",
                f"link set {BRIDGE} mtu {mtu} up",
                f"addr add {METADATA_ADDRESS}/32 dev {BRIDGE}",
                # Answers of the metadata proxy go to any guest address, whatever its subnet.
                f"route add default dev {BRIDGE}",
            ],
            name,
        )
    return name


def _bridge_ready(namespace: str) -> bool:
    return METADATA_ADDRESS in run("ip", "-n", namespace, "-o", "addr", "show", "dev", BRIDGE, check=False)


def plug(server_namespace: str, index: int, nic: Nic, connected: bool = True) -> None:
    """Give a server's namespace the interface of a port, with the addresses and routes that DHCP would hand out.

    ``connected`` False leaves the switch side down: the cable is out. Replaces an interface left over from before.
    """
    network = ensure_network(nic.network_id, nic.mtu)
    switch_end, guest_end = host_end_of(nic.port_id), nic_name(index)
    run("ip", "-n", network, "link", "del", switch_end, check=False)
    run(
        *f"ip -n {network} link add {switch_end} mtu {nic.mtu} type veth".split(),
        *f"peer name {guest_end} mtu {nic.mtu} address {nic.mac} netns {server_namespace}".split(),
    )
    ip_batch([f"link set {switch_end} master {BRIDGE} {'up' if connected else 'down'}"], network)
    commands = [f"link set {guest_end} up"]
    commands += [f"addr add {address} dev {guest_end}" for address in nic.addresses]
    if index == 0 and nic.addresses:
        commands.append(f"route add {METADATA_ADDRESS}/32 dev {guest_end}")
    commands += [f"route add {cidr} via {gateway} dev {guest_end}" for cidr, gateway in nic.routes]
    if nic.gateway:
        commands.append(f"route add default via {nic.gateway} dev {guest_end} metric {100 + index}")
    ip_batch(commands, server_namespace)
    set_sysctl(server_namespace, f"net.ipv4.conf.{guest_end}.arp_notify", "1")


def unplug(nic: Nic) -> None:
    """Remove a port's veth pair; nothing happens when it is gone already."""
    run("ip", "-n", network_namespace_of(nic.network_id), "link", "del", host_end_of(nic.port_id), check=False)


def set_connected(nic: Nic, connected: bool) -> None:
    """Pull or put back the cable of a port, on the switch's side."""
    state = "up" if connected else "down"
    run("ip", "-n", network_namespace_of(nic.network_id), "link", "set", host_end_of(nic.port_id), state)


def make_server_namespace(server_id: str) -> str:
    """A fresh namespace for one boot of a server; one left over from an earlier boot is replaced."""
    name = server_namespace_of(server_id)
    drop_namespace(name)
    run("ip", "netns", "add", name)
    for table in ("iptables", "ip6tables", "arptables"):
        set_sysctl(name, f"net.bridge.bridge-nf-call-{table}", "0")
    run("ip", "-n", name, "link", "set", "lo", "up")
    return name


def drop_namespace(name: str) -> None:
    """Remove a namespace; nothing happens when there is none."""
    if name in namespaces():
        run("ip", "netns", "del", name, check=False)


def links(namespace: str) -> dict[str, dict[str, object]]:
    """Interfaces of a namespace by name (ip -j addr)."""
    text = run_in(namespace, "ip", "-j", "addr") if namespace else run("ip", "-j", "addr")
    return {link["ifname"]: link for link in json.loads(text or "[]") if link}
