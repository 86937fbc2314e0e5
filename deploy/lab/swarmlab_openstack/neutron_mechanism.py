"""ML2 mechanism driver of the lab: binds every port to the one compute host, and wakes the lab's agent on changes.

There are no L2 or L3 agents with RPC. swarmlab.hosts.agent reads networks, routers and floating IPs from the Neutron API;
a datagram on its socket tells it that something has changed.
"""

from __future__ import annotations

import socket
from typing import Any

from neutron.services.trunk.drivers import base as trunk_drivers
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api
from oslo_log import log as logging

from swarmlab import paths

LOG = logging.getLogger(__name__)

AGENT_SOCKET = paths.RUN / "agent-wake"

_WATCHED = {
    resources.ROUTER: (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE),
    resources.ROUTER_GATEWAY: (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE),
    resources.ROUTER_INTERFACE: (events.AFTER_CREATE, events.AFTER_DELETE),
    resources.FLOATING_IP: (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE),
    resources.NETWORK: (events.AFTER_DELETE,),
    resources.SUBNET: (events.AFTER_UPDATE,),
}


def wake_agent() -> None:
    """Tell the agent to look at Neutron. It is no error when it is not there: it looks when it starts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(b"1", str(AGENT_SOCKET))
        except OSError as error:
            LOG.debug("agent not reached: %s", error)


class Trunks(trunk_drivers.DriverBase):
    """Lets Neutron keep trunks on ports that this mechanism driver binds (neutron.services.trunk.drivers.base). Nothing carries their VLANs: trunks are stored, as security groups are."""

    @property
    def is_loaded(self) -> bool:
        """Always: there is no other mechanism driver."""
        return True


class SwarmLabMechanismDriver(api.MechanismDriver):
    """Binds every port; see the ML2 API in neutron_lib.plugins.ml2.api."""

    def initialize(self) -> None:
        """Subscribe to what the agent must follow, and to the trunk plugin's question which drivers there are."""
        self._trunks = Trunks("swarmlab", interfaces=("tap",), segmentation_types=("vlan",), can_trunk_bound_port=True)
        for resource, kinds in _WATCHED.items():
            for kind in kinds:
                registry.subscribe(self._changed, resource, kind)

    def bind_port(self, context: Any) -> None:
        """Bind to the first segment. 'tap' is a vif_type that Nova accepts without knowing the driver behind it."""
        for segment in context.segments_to_bind:
            context.set_binding(segment[api.ID], "tap", {"port_filter": False}, status="ACTIVE")
            return

    def _changed(self, resource: str, event: str, trigger: Any, payload: Any = None) -> None:
        if resource == resources.FLOATING_IP and event != events.AFTER_DELETE and payload is not None:
            self._set_floating_ip_status(payload)
        wake_agent()

    def _set_floating_ip_status(self, payload: Any) -> None:
        """ACTIVE when associated, else DOWN: in a cloud the L3 agent reports this after it has set up the translation."""
        plugin = directory.get_plugin(plugin_constants.L3)
        state = payload.states[-1] if payload.states else {}
        identifier = payload.resource_id or state.get("id") or state.get("floating_ip_id")
        if plugin is None or not identifier:
            return
        associated = bool(state.get("port_id") or state.get("fixed_port_id"))
        plugin.update_floatingip_status(payload.context.elevated(), identifier, "ACTIVE" if associated else "DOWN")
