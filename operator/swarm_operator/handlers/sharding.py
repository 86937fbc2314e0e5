"""Which of several operators looks after an object, where one would not do: all objects of a cluster go to one shard, by a hash of namespace and cluster name.

Each shard has a lease of its own. The number of shards must be the same in all processes: change it only when none runs.
Does not: balance, or move anything while it runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from swarm_operator.engine.outcome import Done, Outcome
from swarm_operator.handlers.watch import ClusterNames
from swarm_operator.ports.objects import Key, Objects

Reconcile = Callable[[Key], Outcome]


@dataclass(frozen=True)
class Shard:
    """Number `index` (from 0) of `count`."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "i/n", 0 <= i < n. Raises ValueError."""
        match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if match is None or not int(match[1]) < int(match[2]):
            raise ValueError(f"a shard is i/n with 0 <= i < n, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def owns(self, namespace: str, cluster: str) -> bool:
        """Whether the cluster and all that is on it is this shard's."""
        digest = hashlib.sha256(f"{namespace}/{cluster}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


def only_own(reconcile: Reconcile, shard: Shard, clusters: ClusterNames, objects: Objects) -> Reconcile:
    """`reconcile` for the keys of `shard`; those of others are done at once."""

    def filtered(key: Key) -> Outcome:
        cluster = clusters.cluster_of(key)
        if cluster is None:
            # A service that went, or came back this moment: its spec says whose it is, and one that is gone is nobody's.
            resource = objects.get(key)
            if resource is None:
                return reconcile(key)
            clusters.note(key, resource.spec)
            cluster = clusters.cluster_of(key) or ""
        return reconcile(key) if shard.owns(key.namespace, cluster) else Done()

    return filtered
