from __future__ import annotations

from typing import cast

import pytest

from swarm_operator.engine.outcome import Done, Outcome
from swarm_operator.handlers.sharding import Shard, only_own
from swarm_operator.handlers.watch import ClusterNames
from swarm_operator.ports.objects import Key, Objects, Resource


class Server:
    """An API server that holds some services."""

    def __init__(self, **clusters: str) -> None:
        self.clusters = clusters

    def get(self, key: Key) -> Resource | None:
        cluster = self.clusters.get(key.name)
        return None if cluster is None else Resource(key, f"u-{key.name}", 1, "1", {"clusterRef": {"name": cluster}}, {})


class Rig:
    def __init__(self, shard: Shard, **clusters: str) -> None:
        self.seen: list[Key] = []
        self.names = ClusterNames()
        self.reconcile = only_own(self.work, shard, self.names, cast(Objects, Server(**clusters)))

    def work(self, key: Key) -> Outcome:
        self.seen.append(key)
        return Done()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_cluster_has_one_shard_and_all_shards_have_some(count: int) -> None:
    shards = [Shard(index, count) for index in range(count)]
    owners = [[shard.index for shard in shards if shard.owns("ns", f"c{number}")] for number in range(200)]
    assert all(len(owner) == 1 for owner in owners)
    share = [sum(owner == [index] for owner in owners) for index in range(count)]
    assert min(share) > 200 / count / 2, share


def test_the_shard_of_a_cluster_never_moves() -> None:
    assert [Shard.parse("0/4").owns("ns", name) for name in ("a", "b", "c", "d", "e", "f")] == [True, False, False, False, True, False], (
        "an upgrade would leave two shards with one cluster"
    )


def test_services_go_with_their_cluster() -> None:
    service, cluster = Key("SwarmService", "ns", "web"), Key("SwarmCluster", "ns", "c")
    for index in range(3):
        rig = Rig(Shard(index, 3))
        rig.names.note(service, {"clusterRef": {"name": "c"}})
        assert rig.reconcile(cluster) == rig.reconcile(service) == Done()
        assert rig.seen == ([cluster, service] if Shard(index, 3).owns("ns", "c") else [])


def test_a_service_whose_cluster_is_not_known_is_looked_up() -> None:
    service = Key("SwarmService", "ns", "web")
    seen = []
    for index in range(3):
        rig = Rig(Shard(index, 3), web="c")
        rig.reconcile(service)
        seen += rig.seen
    assert seen == [service], "by one shard only"


def test_a_service_that_is_gone_is_let_go_by_all() -> None:
    service = Key("SwarmService", "ns", "web")
    for index in range(2):
        rig = Rig(Shard(index, 2))
        rig.reconcile(service)
        assert rig.seen == [service], "it may have left something in memory; there is nothing to act on"
