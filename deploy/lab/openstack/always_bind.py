"""An ML2 mechanism driver for the fake data plane: every port is bound and active, and nothing is built for it."""

from __future__ import annotations

from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class AlwaysBind(api.MechanismDriver):
    """Binds each port to its first segment (neutron_lib.plugins.ml2.api.MechanismDriver)."""

    def initialize(self) -> None:
        """Nothing to prepare."""

    @property
    def connectivity(self) -> str:
        """Ports are on layer 2, as Neutron wants to be told."""
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context: api.PortContext) -> None:
        """Bind a port; ``tap`` is a VIF type that Nova knows without further details."""
        segment = context.segments_to_bind[0]
        context.set_binding(segment[api.ID], portbindings.VIF_TYPE_TAP, {"port_filter": False}, status="ACTIVE")
