"""CEL rules of whole objects: on metadata.name, and on what must not change once `status` says that the thing made from it exists.

Until then a wrong value can be corrected, which a plain transition rule on the field would forbid. `fieldPath` is relative to the object.
"""

from __future__ import annotations

from typing import Final

from swarm_operator.api.base import cel
from swarm_operator.api.network import DEFAULT_CIDR


def _fixed(existence: str, what: str, field: str, unchanged: str) -> dict[str, str]:
    """Rule at the root: `field` must not change once `status.<existence>` says that the thing made from it exists. Before that, a mistake can be corrected."""
    parts = existence.split(".")
    absent = [f"!has(oldSelf.status.{'.'.join(parts[: i + 1])})" for i in range(len(parts))]
    return cel(" || ".join(["!has(oldSelf.status)", *absent, unchanged]), f"`spec.{field}` must not change once {what}", fieldPath=f".spec.{field}")


def _same(path: str, *optional: str) -> str:
    """CEL: the optional field `spec.<path>` is as it was. Its parents are there by default, but for those in `optional`, the outer ones first."""
    fields = (*optional, path)
    new, old = (" && ".join(f"has({root}.spec.{field})" for field in fields) for root in ("self", "oldSelf"))
    absent = " || ".join(f"!has(oldSelf.spec.{field})" for field in fields)
    return f"({new} ? {old} && self.spec.{path} == oldSelf.spec.{path} : {absent})"


def _managed_cidr(root: str) -> str:
    return f"(has({root}.spec.network.managed) ? {root}.spec.network.managed.cidr : '{DEFAULT_CIDR}')"


_NETWORK = "the cluster has a network"
_SWARM = "the swarm exists"
CLUSTER_RULES: Final = (
    cel("self.metadata.name.size() <= 40", "metadata.name must be at most 40 characters, to leave room for server names"),
    cel("!self.metadata.name.contains('.')", "metadata.name must not contain `.`: server names start with it"),
    _fixed("infrastructure.networkID", _NETWORK, "identityRef.cloudName", "self.spec.identityRef.cloudName == oldSelf.spec.identityRef.cloudName"),
    _fixed("infrastructure.networkID", _NETWORK, "network.existing", _same("network.existing")),
    _fixed("infrastructure.networkID", _NETWORK, "network.managed.cidr", f"{_managed_cidr('self')} == {_managed_cidr('oldSelf')}"),
    _fixed("infrastructure.routerID", "the cluster has a router", "network.external", _same("network.external")),
    _fixed("infrastructure.routerID", "the cluster has a router", "network.managed.router", _same("network.managed.router", "network.managed")),
    _fixed("infrastructure.keyName", "the key pair is in use", "ssh.keyName", _same("ssh.keyName")),
    _fixed("infrastructure.keyName", "the key pair is in use", "ssh.user", "self.spec.ssh.user == oldSelf.spec.ssh.user"),
    _fixed("swarmID", _SWARM, "swarm.defaultAddrPools", "self.spec.swarm.defaultAddrPools == oldSelf.spec.swarm.defaultAddrPools"),
    _fixed("swarmID", _SWARM, "swarm.subnetSize", "self.spec.swarm.subnetSize == oldSelf.spec.swarm.subnetSize"),
    _fixed("swarmID", _SWARM, "swarm.dataPathPort", "self.spec.swarm.dataPathPort == oldSelf.spec.swarm.dataPathPort"),
    cel(
        """!has(oldSelf.status) || !has(oldSelf.status.swarmID) || !has(self.spec.swarm.networks) || !has(oldSelf.spec.swarm.networks)
           || self.spec.swarm.networks.all(n, oldSelf.spec.swarm.networks.all(o, o.name != n.name || o == n))""",
        "entries of `spec.swarm.networks` must not change once the swarm exists; remove the network, or give it another name",
        fieldPath=".spec.swarm.networks",
    ),
    cel(
        """!has(self.spec.snapshots) || !has(oldSelf.spec.snapshots)
           || self.spec.snapshots.all(n, oldSelf.spec.snapshots.all(o, o.name != n.name || o.of == n.of))""",
        "`of` of an entry of `spec.snapshots` must not change; give it another name",
        fieldPath=".spec.snapshots",
    ),
)
"""Rules of SwarmCluster."""

SERVICE_RULES: Final = (
    cel(
        "has(self.spec.serviceName) || (self.metadata.name.size() <= 63 && !self.metadata.name.contains('.'))",
        "`spec.serviceName` must be set where metadata.name is longer than 63 characters or contains `.`",
        fieldPath=".spec",
    ),
)
"""Rules of SwarmService."""

POOL_RULES: Final = (
    cel(
        "self.metadata.name.size() <= 24 && !self.metadata.name.contains('.') && self.metadata.name != 'manager'",
        "metadata.name must be at most 24 characters without `.`, and not `manager`: it is a part of server names",
    ),
)
"""Rules of SwarmWorkerPool."""

STACK_RULES: Final = (
    cel(
        "has(self.spec.stackName) || (self.metadata.name.size() <= 40 && !self.metadata.name.contains('.'))",
        "`spec.stackName` must be set where metadata.name is longer than 40 characters or contains `.`",
        fieldPath=".spec",
    ),
)
"""Rules of SwarmStack."""
