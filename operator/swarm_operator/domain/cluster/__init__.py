"""SwarmCluster decisions. Pure: no I/O, no clock, no randomness; the same input gives the same plan."""
