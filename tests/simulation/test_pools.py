"""SwarmWorkerPools beside their cluster in a simulated world: scaled, refused, moved, deleted; and lists that fail, and a crash at every call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator.crashes import deaths
from simulator.world import KEY, World, drive
from swarm_operator.api.base import FINALIZER
from swarm_operator.controllers.pool import PoolController
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.outcome import Done, Outcome, Retry
from swarm_operator.ports.objects import Key, Resource

APPS = Key("SwarmWorkerPool", "default", "apps")


class PoolWorld(World):
    """A cluster with one worker in its spec, and pools as objects."""

    def put(self, name: str = "apps", **spec: Any) -> Key:
        """As `kubectl apply`."""
        key = Key("SwarmWorkerPool", "default", name)
        found = self.objects.resources.get(key)
        wanted = {"clusterRef": {"name": "demo"}, "replicas": 1, "nodeLabels": {"tier": "apps"}, **spec}
        if found is None:
            self.objects.resources[key] = Resource(key, f"uid-{name}", 1, "0", wanted, {})
        else:
            self.objects.resources[key] = replace(found, spec={**found.spec, **spec}, generation=found.generation + 1)
        return key

    def drop(self, key: Key = APPS) -> None:
        """As `kubectl delete`."""
        found = self.objects.resources[key]
        self.objects.resources[key] = replace(found, deleting=True, generation=found.generation + 1)
        if not found.finalizers:
            del self.objects.resources[key]

    def pool(self, key: Key = APPS) -> Outcome:
        """The pool's own controller, as a fresh process."""
        objects = self.port("kubernetes", self.objects, free=frozenset({"event"}))
        return PoolController(objects, self.clock).reconcile(key)

    def told(self, key: Key = APPS) -> dict[str, Any]:
        return self.objects.resources[key].status

    def says(self, kind: str, key: Key = APPS) -> tuple[str, str]:
        return next((c["status"], c["reason"]) for c in self.told(key)["conditions"] if c["type"] == kind)

    def why(self, kind: str, key: Key = APPS) -> str:
        return str(next(c["message"] for c in self.told(key)["conditions"] if c["type"] == kind))

    def settle(self) -> None:
        """Both controllers, until the cluster is Ready and has seen all pools."""

        def done() -> bool:
            for key in [k for k in self.objects.resources if k.kind == "SwarmWorkerPool"]:
                self.pool(key)
            seen = {p.name: p.object_generation for p in self.status.pools}
            accepted = [r for r in self.objects.resources.values() if r.key.kind == "SwarmWorkerPool" and seen.get(r.key.name) != r.generation]
            return self.ready and all(self.says("Accepted", r.key)[0] == "False" for r in accepted)

        drive(self, done)
        for key in [k for k in self.objects.resources if k.kind == "SwarmWorkerPool"]:
            self.pool(key)


@pytest.fixture(scope="module")
def settled() -> PoolWorld:
    world = PoolWorld()
    world.put()
    world.settle()
    return world


@pytest.fixture
def world(settled: PoolWorld) -> PoolWorld:
    copied = settled.copy()
    assert isinstance(copied, PoolWorld)
    return copied


def test_a_pool_object_makes_workers_as_an_entry_of_the_spec_does(world: PoolWorld) -> None:
    assert world.servers == ["demo-apps-0", "demo-manager-0", "demo-web-0"]
    assert world.server("demo-apps-0").metadata["swarmops-pool"] == "apps"
    assert next(n for n in world.swarm.nodes.values() if n.hostname == "demo-apps-0").labels["tier"] == "apps"
    assert FINALIZER in world.objects.resources[APPS].finalizers
    assert world.says("Ready") == ("True", "Reconciled") and world.says("Accepted") == ("True", "Accepted")
    told = world.told()
    assert (told["replicas"], told["readyReplicas"], told["updatedReplicas"], told["summary"]) == (1, 1, 1, "1/1")
    assert told["observedGeneration"] == 1 and told["selector"] == "swarmops.io/pool=uid-apps"
    assert world.status.workers.summary == "2/2"
    assert world.resource is not None and world.resource.spec["workerPools"] == [{"name": "web", "replicas": 1}], "the stored spec is never written"


def test_at_rest_nothing_is_written(world: PoolWorld) -> None:
    controller = world.controller()
    counts = []
    for _ in range(6):
        world.clock.advance(60)
        controller.reconcile(KEY)
        assert world.pool() == Done()
        counts.append(world.external_writes())
    assert len(set(counts[1:])) == 1


def test_scaling_up_and_down(world: PoolWorld) -> None:
    world.put(replicas=3)
    world.pool()
    assert world.says("Ready") == ("False", "Progressing"), "the cluster has not looked yet"
    assert world.told()["summary"] == "1/3"
    world.settle()
    assert [s for s in world.servers if "apps" in s] == ["demo-apps-0", "demo-apps-1", "demo-apps-2"]
    assert world.told()["summary"] == "3/3" and world.told()["replicas"] == 3
    world.put(replicas=1)
    world.settle()
    assert [s for s in world.servers if "apps" in s] == ["demo-apps-0"] and world.told()["replicas"] == 1


def test_a_deleted_pool_goes_once_its_workers_are_gone(world: PoolWorld) -> None:
    world.drop()
    world.pool()
    assert APPS in world.objects.resources and world.says("Ready") == ("False", "Deleting") and "1 workers are left" in world.why("Ready")
    drive(world, lambda: (world.pool(), APPS not in world.objects.resources)[1])
    assert world.servers == ["demo-manager-0", "demo-web-0"]
    assert not [n for n in world.swarm.nodes.values() if "apps" in n.hostname]
    drive(world, lambda: world.ready)
    assert [p.name for p in world.status.pools] == ["web"]


@pytest.mark.parametrize("kind", [ErrorKind.TRANSIENT, ErrorKind.UNREACHABLE, ErrorKind.FORBIDDEN])
def test_a_list_that_fails_removes_and_changes_nothing(world: PoolWorld, kind: ErrorKind) -> None:
    before, controller = world.external_writes(), world.controller()
    world.faults.errors["kubernetes.list"] = ExternalError(kind, "kubernetes", "away")
    for _ in range(20):
        world.tick()
        assert isinstance(controller.reconcile(KEY), Retry)
        assert isinstance(world.pool(), Retry)
        world.clock.advance(60)
    assert world.external_writes() == before and "demo-apps-0" in world.servers
    world.faults.errors.clear()
    world.settle()
    assert "demo-apps-0" in world.servers and world.says("Ready")[0] == "True"


def test_a_name_that_the_spec_has_is_refused_and_the_entry_rules(world: PoolWorld) -> None:
    world.edit(workerPools=[{"name": "web", "replicas": 1}, {"name": "apps", "replicas": 2, "nodeLabels": {"tier": "apps"}}])
    world.settle()
    assert world.servers == ["demo-apps-0", "demo-apps-1", "demo-manager-0", "demo-web-0"]
    assert world.says("Accepted") == ("False", "NameConflict") and world.says("Stalled") == ("True", "NameConflict")
    assert "metadata.name: spec.workerPools" in world.why("Ready") and world.told()["replicas"] == 0
    assert [e for e in world.objects.events if e[0] == "NameConflict"] == [("NameConflict", world.why("Accepted"))]
    world.drop()
    world.pool()
    assert APPS not in world.objects.resources, "no worker is its own"
    world.settle()
    assert "demo-apps-1" in world.servers


def test_moving_a_pool_keeps_its_machines(world: PoolWorld) -> None:
    """From an object into the spec: add the entry, then delete the object. Back: the object first, which waits, then take the entry out."""
    ids = {world.server("demo-apps-0").id, world.server("demo-web-0").id}
    world.edit(workerPools=[{"name": "web", "replicas": 1}, {"name": "apps", "replicas": 1, "nodeLabels": {"tier": "apps"}}])
    world.settle()
    world.drop()
    world.pool()
    world.settle()
    world.put("web", nodeLabels={})
    world.settle()
    world.edit(workerPools=[{"name": "apps", "replicas": 1, "nodeLabels": {"tier": "apps"}}])
    world.settle()
    web = Key("SwarmWorkerPool", "default", "web")
    assert world.says("Ready", web) == ("True", "Reconciled") and web in world.objects.resources
    assert {world.server("demo-apps-0").id, world.server("demo-web-0").id} == ids
    assert world.servers == ["demo-apps-0", "demo-manager-0", "demo-web-0"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"machine": {"image": {"fromSnapshotOf": {"snapshot": "golden"}}}, "replicas": 5}, "spec.machine.image.fromSnapshotOf.snapshot"),
        ({"machine": {"userData": {"inline": "#cloud-config\npackages: 1\n"}}, "replicas": 5}, "spec.machine.userData.inline: packages: "),
        ({"replicas": 1000}, "spec.replicas"),
        ({"machine": {"metadata": {"swarmops-x": "1"}}}, "spec.machine.metadata"),
        ({"replicas": "many"}, "spec.replicas"),
    ],
)
def test_a_refused_pool_keeps_its_workers_as_they_are(world: PoolWorld, change: dict[str, Any], field: str) -> None:
    server, writes = world.server("demo-apps-0").id, world.cloud.writes
    world.put(**change)
    for _ in range(30):
        world.tick()
        world.controller().reconcile(KEY)
        world.pool()
        world.clock.advance(30)
    assert world.server("demo-apps-0").id == server and world.cloud.writes == writes
    assert world.says("Accepted") == ("False", "InvalidSpec") and world.why("Ready").startswith(field)
    assert world.says("Stalled")[0] == "True" and world.told()["replicas"] == 1
    assert world.ready, "the cluster is not disturbed"
    assert world.status.workers.summary == "2/2"
    world.put(replicas=2, machine={})
    world.settle()
    assert world.says("Ready") == ("True", "Reconciled") and world.told()["summary"] == "2/2"


def test_a_dead_worker_of_a_refused_pool_stays_and_no_other_is_made(world: PoolWorld) -> None:
    world.put(machine={"metadata": {"swarmops-x": "1"}}, replicas=1)
    world.kill(world.server("demo-apps-0").id, hopeless=True)
    for _ in range(60):
        world.tick()
        world.controller().reconcile(KEY)
        world.clock.advance(30)
    assert [s for s in world.servers if "apps" in s] == ["demo-apps-0"]
    world.put(machine={})
    world.settle()
    assert len([s for s in world.servers if "apps" in s]) == 1 and world.says("Ready")[0] == "True"


def test_a_refused_pool_can_be_deleted(world: PoolWorld) -> None:
    world.put(machine={"metadata": {"swarmops-x": "1"}})
    world.pool()
    world.drop()
    drive(world, lambda: (world.pool(), APPS not in world.objects.resources)[1])
    assert world.servers == ["demo-manager-0", "demo-web-0"]


def test_without_a_cluster_a_pool_says_so_and_holds_nothing_up(world: PoolWorld) -> None:
    world.delete()
    drive(world, lambda: world.resource is None)
    world.pool()
    assert world.says("Accepted") == ("False", "ClusterNotFound") and world.says("Ready") == ("False", "ClusterNotFound")
    assert world.says("Stalled")[0] == "False", "a cluster may come"
    world.drop()
    world.pool()
    assert APPS not in world.objects.resources and world.servers == []


def test_pools_of_other_clusters_are_none_of_ours(world: PoolWorld) -> None:
    world.put("other", clusterRef={"name": "green"}, replicas=4)
    drive(world, lambda: world.ready)
    assert world.servers == ["demo-apps-0", "demo-manager-0", "demo-web-0"]


def test_a_paused_cluster_changes_no_pool(world: PoolWorld) -> None:
    world.edit(paused=True)
    world.put(replicas=3)
    world.put("late")
    for _ in range(5):
        world.controller().reconcile(KEY)
        world.pool()
        world.clock.advance(30)
    assert world.servers == ["demo-apps-0", "demo-manager-0", "demo-web-0"]
    assert world.says("Paused") == ("True", "Paused") and FINALIZER not in world.objects.resources[Key("SwarmWorkerPool", "default", "late")].finalizers
    world.edit(paused=False)
    world.settle()
    assert len(world.servers) == 6


def test_an_external_swarm_takes_no_pool() -> None:
    world = PoolWorld()
    found = world.objects.resources[KEY]
    world.objects.resources[KEY] = replace(found, spec={"external": {"endpoints": ["tcp://10.0.0.1:2376"], "tlsSecretRef": {"name": "tls"}}})
    world.put()
    world.pool()
    assert world.says("Accepted")[0] == "False" and "external" in world.why("Ready")


def scenario(world: PoolWorld) -> None:
    """Made, scaled, deleted, in as many steps as are left after a crash."""
    if APPS in world.objects.resources and not world.objects.resources[APPS].deleting:
        world.settle()
        if world.objects.resources[APPS].spec["replicas"] == 1:
            world.put(replicas=2)
        world.settle()
        assert world.told()["summary"] == "2/2"
        world.drop()
    drive(world, lambda: (world.pool() if APPS in world.objects.resources else None, APPS not in world.objects.resources)[1])
    drive(world, lambda: world.ready)


def test_a_crash_at_any_write_is_made_good_by_the_next_process(world: PoolWorld) -> None:
    found = deaths(world, scenario, of=("set_finalizer", "create_server", "delete_server", "update_node", "remove_node", "swarm_join"))
    assert len(found) >= 6
    for point, tried in found:
        scenario(tried)
        assert tried.servers == ["demo-manager-0", "demo-web-0"] and APPS not in tried.objects.resources, point
