"""The Objects port against a real API server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from integration.apiserver import apply_crds, create_cluster, create_service, gone, namespace, open_api, services
from swarm_operator.adapters.kubernetes import KubernetesObjects
from swarm_operator.adapters.kubernetes.api import MERGE_PATCH, KubernetesApi
from swarm_operator.adapters.kubernetes.events import EventRecorder
from swarm_operator.api.base import API_VERSION, FINALIZER
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.revisions import Kept, object_name
from swarm_operator.engine.clock import SystemClock
from swarm_operator.ports.objects import Key, Resource

pytestmark = pytest.mark.lab

READY = {"type": "Ready", "status": "False", "reason": "Progressing", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
APPLIED = {**READY, "type": "Applied", "status": "True", "reason": "Applied"}


class Counting(KubernetesApi):
    """Counts the calls by operation."""

    def __init__(self, api: KubernetesApi) -> None:
        self._inner = api
        self.calls: list[str] = []

    def call(self, operation: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.calls.append(operation)
        return self._inner.call(operation, *args, **kwargs)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(scope="module")
def api(lab_kubeconfig: str) -> Iterator[Counting]:
    apply_crds(lab_kubeconfig)
    api = Counting(open_api(lab_kubeconfig))
    yield api
    api.close()


@pytest.fixture(scope="module")
def recorder(api: Counting) -> EventRecorder:
    return EventRecorder(api, SystemClock(), repeat_seconds=0.0)


@pytest.fixture(scope="module")
def objects(api: Counting, recorder: EventRecorder) -> KubernetesObjects:
    return KubernetesObjects(api, recorder)


@pytest.fixture
def ns(api: Counting) -> Iterator[str]:
    with namespace(api) as name:
        yield name


def fetch(objects: KubernetesObjects, ns: str, name: str = "web") -> Resource:
    resource = objects.get(Key("SwarmService", ns, name))
    assert resource is not None
    return resource


def test_get_and_list_see_what_is_there(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    assert objects.get(Key("SwarmService", ns, "web")) is None
    create_service(api, ns, "web")
    create_service(api, ns, "db")
    resource = fetch(objects, ns)
    assert resource.generation == 1
    assert resource.spec["clusterRef"] == {"name": "c"}
    assert not resource.deleting
    assert [item.key.name for item in objects.list("SwarmService", ns)] == ["db", "web"]
    assert {item.key for item in objects.list("SwarmService")} >= {Key("SwarmService", ns, "db"), Key("SwarmService", ns, "web")}
    assert objects.list("SwarmCluster", ns) == []


def test_list_reads_all_pages(api: Counting, objects: KubernetesObjects, ns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm_operator.adapters.kubernetes.api.PAGE", 2)
    for number in range(5):
        create_service(api, ns, f"s{number}")
    inner = KubernetesObjects(api._inner, EventRecorder(api, SystemClock()))
    assert [item.key.name for item in inner.list("SwarmService", ns)] == [f"s{number}" for number in range(5)]


def test_status_is_applied_whole_and_only_when_it_differs(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web")
    first = objects.apply_status(fetch(objects, ns), {"observedGeneration": 1, "serviceID": "s1", "conditions": [READY, APPLIED]})
    assert {condition["type"] for condition in first.status["conditions"]} == {"Ready", "Applied"}
    assert first.generation == 1, "status is no part of the generation"

    second = objects.apply_status(fetch(objects, ns), {"observedGeneration": 1, "conditions": [{**READY, "status": "True"}, APPLIED]})
    assert "serviceID" not in second.status, "what we no longer apply goes away"
    assert {condition["type"]: condition["status"] for condition in second.status["conditions"]} == {"Ready": "True", "Applied": "True"}

    api.calls.clear()
    same = {"observedGeneration": 1, "conditions": [{**READY, "status": "True"}, APPLIED]}
    assert objects.apply_status(second, same) is second
    assert objects.apply_status(fetch(objects, ns), same).resource_version == second.resource_version
    assert api.calls == ["get_SwarmService"], "equal: no write"


def test_a_spec_edit_in_between_does_not_stop_the_status(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web")
    stale = fetch(objects, ns)
    edit = {"spec": {"image": "busybox:2"}}
    api.call("test", "PATCH", services(ns, "web"), body=edit, media_type="application/merge-patch+json")
    applied = objects.apply_status(stale, {"observedGeneration": 1})
    assert (applied.status["observedGeneration"], applied.generation, applied.spec["image"]) == (1, 2, "busybox:2")


def test_conditions_of_others_are_kept(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web")
    foreign = {**READY, "type": "Foreign"}
    api.call(
        "test",
        "PATCH",
        f"{services(ns, 'web')}/status",
        query={"fieldManager": "somebody"},
        media_type="application/apply-patch+yaml",
        body={"apiVersion": API_VERSION, "kind": "SwarmService", "metadata": {"name": "web", "namespace": ns}, "status": {"conditions": [foreign]}},
    )
    applied = objects.apply_status(fetch(objects, ns), {"conditions": [READY]})
    assert {condition["type"] for condition in applied.status["conditions"]} == {"Foreign", "Ready"}
    api.calls.clear()
    objects.apply_status(fetch(objects, ns), {"conditions": [READY]})
    assert api.calls == ["get_SwarmService"], "what others added is no reason to write again"


def test_status_of_an_object_that_is_gone_or_made_anew(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web")
    old = fetch(objects, ns)
    api.call("test", "DELETE", services(ns, "web"))
    with pytest.raises(ExternalError) as gone_error:
        objects.apply_status(old, {"observedGeneration": 1})
    assert gone_error.value.kind is ErrorKind.NOT_FOUND
    create_service(api, ns, "web")
    with pytest.raises(ExternalError) as anew_error:
        objects.apply_status(old, {"observedGeneration": 1})
    assert anew_error.value.kind is ErrorKind.NOT_FOUND
    assert fetch(objects, ns).status == {"observedGeneration": -1}, "what the API server gives to a new object"


def test_a_refused_status_names_the_field(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web")
    with pytest.raises(ExternalError) as refused:
        objects.apply_status(fetch(objects, ns), {"observedGeneration": "one"})
    assert refused.value.kind is ErrorKind.INVALID
    assert "observedGeneration" in refused.value.message
    with pytest.raises(ExternalError) as undeclared:
        objects.apply_status(fetch(objects, ns), {"noSuchField": 1})
    assert undeclared.value.kind is ErrorKind.INVALID
    assert "noSuchField" in undeclared.value.message


def test_our_finalizer_comes_and_goes_beside_foreign_ones(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web", finalizers=["example.com/other"])
    stale = fetch(objects, ns)
    objects.apply_status(stale, {"observedGeneration": 1})  # makes `stale` stale
    added = objects.set_finalizer(stale, True)
    assert added.finalizers == ("example.com/other", FINALIZER)
    api.calls.clear()
    assert objects.set_finalizer(added, True) is added
    assert api.calls == []
    # Somebody else owns our finalizer too: it must go all the same (server-side apply would leave it).
    api.call(
        "test",
        "PATCH",
        services(ns, "web"),
        query={"fieldManager": "backup", "force": "true"},
        media_type="application/apply-patch+yaml",
        body={"apiVersion": API_VERSION, "kind": "SwarmService", "metadata": {"name": "web", "namespace": ns, "finalizers": [FINALIZER, "example.com/two"]}},
    )
    removed = objects.set_finalizer(added, False)
    assert sorted(removed.finalizers) == ["example.com/other", "example.com/two"]
    # Nobody will come and remove these: the namespace could not go.
    api.call("test", "PATCH", services(ns, "web"), body={"metadata": {"finalizers": []}}, media_type=MERGE_PATCH)


def test_removing_the_last_finalizer_lets_the_object_go(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web")
    held = objects.set_finalizer(fetch(objects, ns), True)
    api.call("test", "DELETE", services(ns, "web"))
    assert fetch(objects, ns).deleting
    objects.set_finalizer(held, False)
    assert objects.get(held.key) is None
    assert objects.set_finalizer(held, False) is held
    with pytest.raises(ExternalError) as error:
        objects.set_finalizer(Resource(**{**vars(held), "finalizers": ()}), True)
    assert error.value.kind is ErrorKind.NOT_FOUND


def test_secrets_belong_to_their_owner_and_go_with_it(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_cluster(api, ns, "c")
    create_cluster(api, ns, "other")
    owner, other = objects.get(Key("SwarmCluster", ns, "c")), objects.get(Key("SwarmCluster", ns, "other"))
    assert owner is not None
    assert other is not None
    assert objects.get_secret(ns, "c-ssh") is None
    assert objects.ensure_secret(owner, "c-ssh", {"k": b"\x00first"}) == {"k": b"\x00first"}
    assert objects.ensure_secret(owner, "c-ssh", {"k": b"second"}) == {"k": b"\x00first"}, "the one in force wins"
    with pytest.raises(ExternalError) as conflict:
        objects.ensure_secret(other, "c-ssh", {"k": b"x"})
    assert (conflict.value.kind, conflict.value.reason) == (ErrorKind.CONFLICT, Reason.NAME_CONFLICT)
    with pytest.raises(ExternalError):
        objects.update_secret(other, "c-ssh", {"k": b"x"})
    objects.update_secret(owner, "c-ssh", {"new": b"third"})
    assert objects.get_secret(ns, "c-ssh") == {"new": b"third"}
    api.calls.clear()
    objects.update_secret(owner, "c-ssh", {"new": b"third"})
    assert api.calls == ["get_secret"]
    api.call("test", "DELETE", f"/apis/{API_VERSION}/namespaces/{ns}/swarmclusters/c")
    assert gone(api, f"/api/v1/namespaces/{ns}/secrets/c-ssh"), "garbage collected with its owner"


def test_a_config_map_is_read_by_its_name(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    assert objects.get_config_map(ns, "app") is None
    body = {"metadata": {"name": "app"}, "data": {"text": "gr\u00fcn\n"}, "binaryData": {"raw": base64.b64encode(b"\x00\xff").decode()}}
    api.call("test", "POST", f"/api/v1/namespaces/{ns}/configmaps", body={"apiVersion": "v1", "kind": "ConfigMap", **body})
    assert objects.get_config_map(ns, "app") == {"text": "gr\u00fcn\n".encode(), "raw": b"\x00\xff"}


def test_a_foreign_secret_is_never_taken(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_cluster(api, ns, "c")
    owner = objects.get(Key("SwarmCluster", ns, "c"))
    assert owner is not None
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c-ssh"}, "data": {"mine": base64.b64encode(b"1").decode()}}
    api.call("test", "POST", f"/api/v1/namespaces/{ns}/secrets", body=body)
    with pytest.raises(ExternalError) as conflict:
        objects.ensure_secret(owner, "c-ssh", {"k": b"x"})
    assert conflict.value.reason is Reason.NAME_CONFLICT
    assert objects.get_secret(ns, "c-ssh") == {"mine": b"1"}


def test_equal_events_are_one_with_a_count(api: Counting, objects: KubernetesObjects, recorder: EventRecorder, ns: str) -> None:
    create_service(api, ns, "web")
    resource = fetch(objects, ns)
    for _ in range(3):
        objects.event(resource, Reason.CREATED, "service web created")
        recorder.flush()
    objects.event(resource, Reason.TASKS_FAILING, "failed with SWMTKN-1-abc-def", warning=True)
    recorder.flush()
    events = api.call("test", "GET", f"/api/v1/namespaces/{ns}/events")["items"]
    seen = {event["reason"]: (event["count"], event["type"], event["message"], event["involvedObject"]["uid"]) for event in events}
    assert seen == {
        "Created": (3, "Normal", "service web created", resource.uid),
        "TasksFailing": (1, "Warning", "failed with [redacted]", resource.uid),
    }


def test_revisions_are_kept_once_and_go_with_their_owner(api: Counting, objects: KubernetesObjects, ns: str) -> None:
    create_service(api, ns, "web")
    create_service(api, ns, "db")
    web, db = fetch(objects, ns), fetch(objects, ns, "db")
    template = {"image": "nginx:1", "env": [{"name": "A", "value": "1"}]}
    first = Kept(1, object_name("web", web.uid, template), template)
    for _ in range(2):  # the answer to the first was lost
        objects.revisions.create(web, first)
    objects.revisions.create(web, Kept(2, "web-2", {"image": "nginx:2"}))
    objects.revisions.create(db, Kept(1, "db-1", {"image": "db:1"}))
    kept = {k.revision: k for k in objects.revisions.list(web)}
    assert {number: k.template for number, k in kept.items()} == {1: template, 2: {"image": "nginx:2"}}
    assert kept[1].hash == first.hash
    assert kept[1].created_at.endswith("Z")
    with pytest.raises(ExternalError, match="does not belong") as refused:
        objects.revisions.create(db, Kept(2, "web-2", {"image": "x"}))
    assert refused.value.reason is Reason.NAME_CONFLICT
    for _ in range(2):
        objects.revisions.delete(web, "web-2")
    assert [k.revision for k in objects.revisions.list(web)] == [1]
    api.call("test", "DELETE", services(ns, "web"))
    assert gone(api, f"/apis/apps/v1/namespaces/{ns}/controllerrevisions/{first.name}", 60), "the garbage collector follows the owner reference"
    assert [k.revision for k in objects.revisions.list(db)] == [1]
