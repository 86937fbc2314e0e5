"""GitOps tools wait for the right thing: on every phase of our kinds kstatus and the Argo CD script say what a person would."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from gitops.judges import HEALTH, ORACLE, ROOT, Judged, judge
from simulation.test_pools import APPS, PoolWorld
from simulation.test_stacks import SHOP
from simulation.test_stacks import World as StackWorld
from simulator import World, drive
from simulator.world import KEY
from swarm_operator.api.crd import KINDS, NOT_LOOKED_AT
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.outcome import Done
from swarm_operator.ports.objects import Resource
from unit.service.test_controller import SPEC, UNREACHABLE, WEB
from unit.service.test_controller import World as ServiceWorld

pytestmark = pytest.mark.skipif(ORACLE is None, reason="no gitops-oracle here: `deploy/lab/lab tools` builds it")

WAITING, DONE, STUCK = ("InProgress", "Progressing"), ("Current", "Healthy"), ("Failed", "Degraded")


def seen(resource: Resource) -> dict[str, Any]:
    """The object as a client of the API server reads it: with the status that the CRD gives to a new one."""
    metadata = {"name": resource.key.name, "namespace": resource.key.namespace, "uid": resource.uid, "generation": resource.generation}
    return {
        "apiVersion": "swarmops.io/v1alpha1",
        "kind": resource.key.kind,
        "metadata": metadata,
        "spec": copy.deepcopy(resource.spec),
        "status": copy.deepcopy(resource.status) or dict(NOT_LOOKED_AT),
    }


def both(judged: Judged) -> tuple[str, str]:
    return judged.kstatus, judged.argo


def life(world: World, until: Callable[[], bool]) -> list[dict[str, Any]]:
    """The cluster as it was before and after each reconcile."""
    states = [seen(world.resource)]

    def look() -> bool:
        states.append(seen(world.resource))
        return until()

    drive(world, look)
    return states


def ready(state: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in state["status"].get("conditions", ()))


def test_a_cluster_is_waited_for_until_it_is_ready() -> None:
    world = World()
    states = life(world, lambda: world.ready)
    judged = judge(states)
    assert both(judged[0]) == WAITING, "a new object, which nobody has looked at"
    assert {both(j) for s, j in zip(states, judged, strict=True) if not ready(s)} == {WAITING}
    assert {both(j) for s, j in zip(states, judged, strict=True) if ready(s)} == {DONE}


def test_an_edit_is_waited_for_from_its_first_moment() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.scale(2)
    states = life(world, lambda: world.ready and world.status.workers.summary == "2/2")
    judged = [both(j) for j in judge(states)]
    assert judged[0] == WAITING, "the status is of the generation before"
    assert judged[-1] == DONE
    assert set(judged) == {WAITING, DONE}


def test_a_cluster_that_repairs_itself_is_in_progress() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.kill(world.server("demo-web-0").id, hopeless=True)
    states = life(world, lambda: world.status.nodes[-1].incarnation == 2 and world.ready)
    judged = [both(j) for j in judge(states)]
    assert WAITING in judged
    assert STUCK not in judged
    assert judged[-1] == DONE


def test_what_a_person_must_mend_has_failed() -> None:
    world = World()
    world.objects.secrets.clear()
    controller = world.controller()
    controller.reconcile(world.resource.key)  # type: ignore[union-attr]
    (judged,) = judge([seen(world.resource)])
    assert both(judged) == STUCK
    assert judged.message.startswith("SecretNotFound: ")


def test_a_paused_cluster_is_suspended_for_argo_and_never_failed() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.edit(paused=True)
    controller = world.controller()
    controller.reconcile(world.resource.key)  # type: ignore[union-attr]
    (judged,) = judge([seen(world.resource)])
    assert both(judged) == ("Current", "Suspended")


def test_a_deleted_object_is_terminating() -> None:
    world = World()
    drive(world, lambda: world.ready)
    state = seen(world.resource)
    state["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["swarmops.io/operator"]}
    assert judge([state])[0].kstatus == "Terminating"


def service(world: ServiceWorld) -> Judged:
    return judge([seen(world.objects.resources[WEB])])[0]


def test_a_service_is_waited_for_until_its_tasks_have_held() -> None:
    world = ServiceWorld()
    world.objects.put(WEB, SPEC)
    states = [seen(world.objects.resources[WEB])]
    for _ in range(12):
        outcome = world.once()
        states.append(seen(world.objects.resources[WEB]))
        if outcome == Done():
            break
    judged = [both(j) for j in judge(states)]
    assert judged[0] == WAITING
    assert set(judged[:-1]) == {WAITING}
    assert judged[-1] == DONE


def test_a_service_without_its_cluster_is_waited_for() -> None:
    world = ServiceWorld()
    world.swarm.failures["list_services"] = [UNREACHABLE] * 4
    world.objects.put(WEB, SPEC)
    world.once()
    assert both(service(world)) == WAITING


def test_a_service_that_the_engine_refuses_has_failed() -> None:
    world = ServiceWorld()
    world.swarm.failures["create_service"] = [ExternalError(ErrorKind.INVALID, "docker", "invalid reference format")] * 4
    world.objects.put(WEB, SPEC)
    world.once()
    judged = service(world)
    assert both(judged) == STUCK
    assert "invalid reference format" in judged.message


def test_an_update_that_rolled_back_has_failed() -> None:
    world = ServiceWorld()
    world.objects.put(WEB, SPEC)
    assert world.settle() == Done()
    world.objects.put(WEB, {**SPEC, "image": "nginx:broken"})
    world.once()
    world.outside(lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image="nginx:1"), state="rollback_completed", message="update rolled back")
    world.settle()
    assert both(service(world)) == STUCK


def test_kstatus_takes_an_object_without_status_for_done_which_is_why_the_crd_gives_one() -> None:
    world = World()
    bare = seen(world.resource)
    del bare["status"]
    assert judge([bare])[0].kstatus == "Current"
    for kind in KINDS:
        schema = yaml.safe_load((ROOT / "crds" / kind.file_name).read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert schema["properties"]["status"]["default"] == NOT_LOOKED_AT


def test_the_config_map_holds_the_script_for_all_kinds() -> None:
    data = yaml.safe_load((HEALTH.parent / "argocd-cm.yaml").read_text())["data"]
    assert data == {f"resource.customizations.health.swarmops.io_{kind.kind}": HEALTH.read_text() for kind in KINDS}


def test_a_pool_is_waited_for_with_or_without_its_cluster_and_a_refused_one_is_a_failure() -> None:
    world = PoolWorld()
    world.put()
    states = [seen(world.objects.resources[APPS])]
    cluster = world.objects.resources.pop(KEY)
    world.pool()
    states.append(seen(world.objects.resources[APPS]))
    world.objects.resources[KEY] = cluster

    def look() -> bool:
        world.pool()
        states.append(seen(world.objects.resources[APPS]))
        return ready(states[-1]) and world.ready

    drive(world, look)
    world.put(replicas=2)
    states.append(seen(world.objects.resources[APPS]))
    world.pool()
    states.append(seen(world.objects.resources[APPS]))
    judged = [both(verdict) for verdict in judge(states)]
    assert {verdict for state, verdict in zip(states[:-2], judged, strict=False) if not ready(state)} == {WAITING}
    assert DONE in judged[:-2] and judged[-2:] == [WAITING, WAITING]
    world.put(machine={"metadata": {"swarmops-x": "1"}})
    world.pool()
    assert [both(verdict) for verdict in judge([seen(world.objects.resources[APPS])])] == [STUCK]


def test_a_stack_is_waited_for_until_it_is_ready_and_a_wrong_file_is_a_failure() -> None:
    world = StackWorld()
    states = [seen(world.objects.resources[SHOP])]
    for _ in range(14):
        world.settle(1)
        states.append(seen(world.objects.resources[SHOP]))
    verdicts = [both(judged) for judged in judge(states)]
    assert verdicts[0] == WAITING and verdicts[-1] == DONE
    assert all((verdict == DONE) == ready(state) for verdict, state in zip(verdicts, states, strict=True))
    world.edit(compose="services: {web: {image: x, nonsense: 1}}")
    unseen = seen(world.objects.resources[SHOP])
    world.settle(2)
    assert [both(judged) for judged in judge([unseen, seen(world.objects.resources[SHOP])])] == [WAITING, STUCK]


@pytest.mark.parametrize("path", ["argocd/application.yaml", "flux/kustomizations.yaml"])
def test_examples_are_yaml_with_the_kinds_they_say(path: str) -> None:
    documents = list(yaml.safe_load_all((HEALTH.parents[1] / path).read_text()))
    wanted = "Application" if path.startswith("argocd") else "Kustomization"
    assert documents and {d["kind"] for d in documents} == {wanted}
