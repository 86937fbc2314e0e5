"""The lab's network agent (``python -m swarmlab.hosts.agent``): L3 agent, DHCP namespaces and metadata proxy in one process.

It reads the whole of Neutron's routers, floating IPs and subnets, brings the namespaces to that state, and sleeps until the
mechanism driver's datagram says that something changed, or the slow period is over. It keeps no state: kill it at any time.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import urllib.parse
from typing import Any

from swarmlab import cloudapi, content, paths
from swarmlab.errors import LabError
from swarmlab.hosts import network, routers, topology
from swarmlab.hosts.kernel import namespace_inode, namespaces
from swarmlab.hosts.metadata import Proxy

PERIOD_SECONDS = 120.0
RETRY_SECONDS = 3.0
SETTLE_SECONDS = 0.1
"""Changes come in bursts (an API call makes several); one look serves them all."""

AGENT_SOCKET = paths.RUN / "agent-wake"


class Agent:
    """One process, one loop. Requests of guests are served by threads of the proxy."""

    def __init__(self) -> None:
        self._cloud: cloudapi.Cloud | None = None
        self._proxy = Proxy(self.lookup)
        self._done: dict[str, tuple[object, ...]] = {}

    def call(self, path: str) -> dict[str, Any]:
        """GET from Neutron; the token is renewed when it has run out."""
        for attempt in (1, 2):
            if self._cloud is None:
                self._cloud = content.admin()
            try:
                return self._cloud.call("GET", "network", path)
            except cloudapi.ApiError as error:
                if error.status != 401 or attempt == 2:
                    raise
                self._cloud = None
        raise AssertionError

    def lookup(self, network_id: str, address: str) -> tuple[str, str] | None:
        """The server that has an address in a network, from Neutron's ports."""
        query = urllib.parse.urlencode({"network_id": network_id, "fixed_ips": f"ip_address={address}"})
        try:
            ports = self.call(f"/v2.0/ports?{query}&fields=device_id&fields=device_owner&fields=project_id")["ports"]
        except LabError:
            return None
        for port in ports:
            if port["device_owner"].startswith("compute:"):
                return port["device_id"], port["project_id"]
        return None

    def reconcile(self) -> None:
        """One full look at Neutron, and the changes that follow from it."""
        owners = "&".join(f"device_owner={urllib.parse.quote(o)}" for o in (topology.GATEWAY_OWNER, *topology.INTERFACE_OWNERS))
        wanted = topology.routers(
            self.call("/v2.0/routers")["routers"],
            self.call(f"/v2.0/ports?{owners}")["ports"],
            self.call("/v2.0/subnets?fields=id&fields=cidr")["subnets"],
            self.call("/v2.0/floatingips")["floatingips"],
        )
        networks = self.call("/v2.0/networks?fields=id&fields=mtu&router:external=false")["networks"]
        for entry in networks:
            network.ensure_network(entry["id"], entry.get("mtu") or 1450)
        for router in wanted:
            if self._done.get(router.router_id) != _fingerprint(router):
                routers.ensure(router)
                self._done[router.router_id] = _fingerprint(router)
        routers.drop_others({r.router_id for r in wanted})
        names = {network.network_namespace_of(entry["id"]) for entry in networks}
        self._proxy.follow({entry["id"] for entry in networks})
        for name in namespaces():
            if name.startswith(f"{paths.PREFIX}n") and name not in names and not _has_guests(name):
                network.drop_namespace(name)

    def run(self) -> None:
        """For ever."""
        AGENT_SOCKET.parent.mkdir(parents=True, exist_ok=True)
        AGENT_SOCKET.unlink(missing_ok=True)
        wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        wake.bind(str(AGENT_SOCKET))
        first = True
        while True:
            delay = PERIOD_SECONDS
            started = time.monotonic()
            try:
                self.reconcile()
                _say(f"reconciled {len(self._done)} routers in {time.monotonic() - started:.2f} s")
                if first:
                    (paths.RUN / "agent-ready").write_text(str(os.getpid()))
                    first = False
            except (LabError, RuntimeError, OSError) as error:
                _say(f"reconcile failed, again in {RETRY_SECONDS:.0f} s: {error}")
                self._done.clear()
                delay = RETRY_SECONDS
            wake.settimeout(delay)
            with contextlib.suppress(TimeoutError):
                wake.recv(16)
                time.sleep(SETTLE_SECONDS)
                wake.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while wake.recv(16):
                        pass


def _fingerprint(router: topology.Router) -> tuple[object, ...]:
    """Equal while the router is wanted as it is and the namespaces it was set up in are the same ones."""
    names = [network.router_namespace_of(router.router_id)]
    names += [network.network_namespace_of(leg.network_id) for leg in router.legs]
    return (router, *(namespace_inode(name) for name in names))


def _has_guests(name: str) -> bool:
    return any(link.startswith(f"{paths.PREFIX}p") for link in network.links(name))


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    Agent().run()
