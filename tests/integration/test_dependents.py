"""SwarmServices of a SwarmStack on a real API server: server-side apply as the conversion and the decision count on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from integration.apiserver import apply_crds, create_service, gone, namespace, open_api, services
from integration.test_stack_parity import compose_file
from swarm_operator.adapters.kubernetes import KubernetesObjects
from swarm_operator.adapters.kubernetes.api import MERGE_PATCH, KubernetesApi
from swarm_operator.adapters.kubernetes.events import EventRecorder
from swarm_operator.api.base import API_VERSION, APPLIED_DIGEST
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.stack.convert import convert
from swarm_operator.domain.stack.decide import covers
from swarm_operator.domain.stack.parts import StackInput
from swarm_operator.engine.clock import SystemClock
from swarm_operator.ports.objects import Key, Resource

pytestmark = pytest.mark.lab

SPEC: dict[str, Any] = {"clusterRef": {"name": "c"}, "image": "web:1", "user": "nobody", "labels": {"a": "b"}, "env": [{"name": "A", "value": "1"}]}


@pytest.fixture(scope="module")
def api(lab_kubeconfig: str) -> Iterator[KubernetesApi]:
    apply_crds(lab_kubeconfig)
    api = open_api(lab_kubeconfig)
    yield api
    api.close()


@pytest.fixture(scope="module")
def objects(api: KubernetesApi) -> KubernetesObjects:
    return KubernetesObjects(api, EventRecorder(api, SystemClock()))


@pytest.fixture
def ns(api: KubernetesApi) -> Iterator[str]:
    with namespace(api) as name:
        yield name


@pytest.fixture
def owner(api: KubernetesApi, objects: KubernetesObjects, ns: str) -> Resource:
    spec = {"clusterRef": {"name": "c"}, "compose": "services: {web: {image: x}}"}
    body = {"apiVersion": API_VERSION, "kind": "SwarmStack", "metadata": {"name": "shop", "namespace": ns}, "spec": spec}
    api.call("test", "POST", f"/apis/{API_VERSION}/namespaces/{ns}/swarmstacks", body=body)
    found = objects.get(Key("SwarmStack", ns, "shop"))
    assert found is not None
    return found


def test_fields_that_are_not_applied_any_more_go_and_those_of_others_stay(api: KubernetesApi, objects: KubernetesObjects, owner: Resource, ns: str) -> None:
    made = objects.dependents.apply(owner, "shop-web", SPEC, "d1", None)
    assert made.owners == (owner.uid,) and made.annotations[APPLIED_DIGEST] == "d1"
    assert [found.key for found in objects.dependents.list(owner)] == [made.key]
    theirs = {"spec": {"driftPolicy": "Report", "labels": {"theirs": "1"}, "replicas": 5}}
    api.call("test", "PATCH", services(ns, "shop-web"), body=theirs, media_type=MERGE_PATCH)
    wanted = {"clusterRef": {"name": "c"}, "image": "web:2", "env": [{"name": "B", "value": "2"}]}
    changed = objects.dependents.apply(owner, "shop-web", wanted, "d2", made)
    assert changed.uid == made.uid and changed.spec["image"] == "web:2"
    assert "user" not in changed.spec and changed.spec["env"] == [{"name": "B", "value": "2"}]
    assert (changed.spec["driftPolicy"], changed.spec["labels"], changed.spec["replicas"]) == ("Report", {"theirs": "1"}, 5)
    again = objects.dependents.apply(owner, "shop-web", wanted, "d2", changed)
    assert again.resource_version == changed.resource_version, "the same once more writes nothing"


def test_what_others_have_is_not_taken(api: KubernetesApi, objects: KubernetesObjects, owner: Resource, ns: str) -> None:
    create_service(api, ns, "shop-web")
    with pytest.raises(ExternalError) as conflict:
        objects.dependents.apply(owner, "shop-web", SPEC, "d1", None)
    assert (conflict.value.kind, conflict.value.reason) == (ErrorKind.CONFLICT, Reason.NAME_CONFLICT)
    theirs = objects.get(Key("SwarmService", ns, "shop-web"))
    assert theirs is not None and theirs.spec["image"] == "busybox:1" and theirs.owners == ()
    assert objects.dependents.list(owner) == []


def test_one_that_was_made_anew_meanwhile_is_neither_changed_nor_removed(api: KubernetesApi, objects: KubernetesObjects, owner: Resource, ns: str) -> None:
    made = objects.dependents.apply(owner, "shop-web", SPEC, "d1", None)
    api.call("test", "DELETE", services(ns, "shop-web"))
    with pytest.raises(ExternalError) as absent:
        objects.dependents.apply(owner, "shop-web", SPEC, "d1", made)
    assert absent.value.kind is ErrorKind.CONFLICT, "an apply by UID makes nothing new"
    create_service(api, ns, "shop-web")
    objects.dependents.delete(made)
    found = objects.get(Key("SwarmService", ns, "shop-web"))
    assert found is not None and found.uid != made.uid
    with pytest.raises(ExternalError) as other:
        objects.dependents.apply(owner, "shop-web", SPEC, "d1", made)
    assert other.value.kind is ErrorKind.CONFLICT


def test_what_can_not_change_is_refused_by_its_name(objects: KubernetesObjects, owner: Resource) -> None:
    made = objects.dependents.apply(owner, "shop-web", SPEC, "d1", None)
    with pytest.raises(ExternalError) as refused:
        objects.dependents.apply(owner, "shop-web", {**SPEC, "mode": "global"}, "d2", made)
    assert refused.value.kind is ErrorKind.INVALID and "`mode` must not change" in refused.value.message


def test_services_go_with_their_stack(api: KubernetesApi, objects: KubernetesObjects, owner: Resource, ns: str) -> None:
    objects.dependents.apply(owner, "shop-web", SPEC, "d1", None)
    api.call("test", "DELETE", f"/apis/{API_VERSION}/namespaces/{ns}/swarmstacks/shop")
    assert gone(api, services(ns, "shop-web")), "garbage collected with its owner"


def test_all_that_the_conversion_makes_is_accepted_and_then_found_as_it_was_asked_for(objects: KubernetesObjects, owner: Resource) -> None:
    """Else it would be applied for ever: nothing is pruned, defaulted to something else, or put in another order."""
    found = convert(compose_file(), StackInput("shop", "shop", {"clusterRef": {"name": "c"}}))
    assert len(found.services) > 40
    for service in found.services:
        stored = objects.dependents.apply(owner, service.object_name, service.spec, "d", None)
        assert covers(stored.spec, service.spec), json.dumps([stored.spec, service.spec])
        again = objects.dependents.apply(owner, service.object_name, service.spec, "d", stored)
        assert (again.generation, again.spec) == (stored.generation, stored.spec), service.name
