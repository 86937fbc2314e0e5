"""A world in memory behind the ports: Cloud, Hosts, Swarms and Objects with state, a clock under test control, and faults at any call.

It is stateful where the real things are (servers take time to build, boot and go; a dead host's node turns down after a while), so that tests can assert on end states:
which servers exist, and that nothing is left. Grown by need: it refuses what it does not model with AssertionError.
"""

from simulator.crashes import deaths
from simulator.faults import Crash, Faults
from simulator.world import World, drive

__all__ = ["Crash", "Faults", "World", "deaths", "drive"]
