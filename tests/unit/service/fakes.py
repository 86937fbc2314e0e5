"""A swarm and a Kubernetes API in memory, behind the ports. The swarm keeps the rules of the engine that the controller depends on: versions, "update out of sequence",
names that are unique, UpdateStatus that an update clears, tasks that carry the spec they were made for."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from simulator.dependents import SimDependents
from simulator.revisions import SimRevisions
from swarm_operator.api.base import FINALIZER, GROUP
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.materials import referenced
from swarm_operator.domain.swarm import ImageManifest, Material, MaterialKind, Node, OverlayInfo, SwarmView
from swarm_operator.ports.objects import Key, Resource
from swarm_operator.ports.swarm import SwarmEvent, TlsMaterial

Json = dict[str, Any]
TLS = TlsMaterial(b"ca", b"cert", b"key")


class FakeSwarm:
    """`failures` maps a method's name to errors to raise, one per call; `lost` holds methods whose next call is carried out and its answer lost."""

    def __init__(self) -> None:
        self.services: dict[str, Json] = {}
        self.tasks: dict[str, list[Json]] = {}
        self.nodes: list[Node] = [Node("n1", "node-1", "manager", "active", "ready", 1, address="10.0.0.1", leader=True)]
        self.networks = [OverlayInfo("net-id-front", "front", "overlay"), OverlayInfo("net-id-host", "host", "host")]
        self.busy_networks: set[str] = set()
        self.calls: list[str] = []
        self.engine_api_version = "1.52"
        self.failures: dict[str, list[ExternalError]] = {}
        self.lost: set[str] = set()
        self.before_update: Callable[[], None] | None = None
        self.run_tasks = True
        self.materials: dict[str, Material] = {}
        self.contents: dict[str, bytes] = {}
        self.images: dict[str, ImageManifest] = {}
        self.auths: list[str | None] = []
        self._ids = itertools.count(1)
        self._versions = itertools.count(10)

    def writes(self) -> list[str]:
        return [
            c
            for c in self.calls
            if c.split()[0] in ("create_service", "update_service", "remove_service", "create_material", "remove_material", "create_network", "remove_network")
        ]

    def _called(self, name: str, detail: str = "") -> None:
        self.calls.append(f"{name} {detail}".strip())
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    def _answer(self, name: str) -> None:
        if name in self.lost:
            self.lost.discard(name)
            raise ExternalError(ErrorKind.AMBIGUOUS, "docker", "the manager's Docker API did not answer in time")

    def view(self, *, with_tasks: bool = False) -> SwarmView:
        self._called("view")
        return SwarmView("swarm", tuple(self.nodes), tuple(self.networks), engine_api_version=self.engine_api_version)

    def list_services(self) -> list[Json]:
        self._called("list_services")
        return [{**copy.deepcopy(s), "ServiceStatus": self.counts(i)} for i, s in self.services.items()]

    def counts(self, service_id: str) -> Json:
        running = sum(1 for t in self.tasks.get(service_id, ()) if t["Status"]["State"] == "running" and t["DesiredState"] == "running")
        replicated = self.services[service_id]["Spec"]["Mode"].get("Replicated")
        return {"RunningTasks": running, "DesiredTasks": replicated.get("Replicas", 1) if replicated is not None else len(self.nodes)}

    def list_tasks(self, service_id: str | None = None, *, up_to_date: bool = False) -> list[Json]:
        self._called("list_tasks")
        assert service_id is not None
        template = self.services[service_id]["Spec"]["TaskTemplate"]
        return [copy.deepcopy(t) for t in self.tasks.get(service_id, ()) if not up_to_date or t["Spec"] == template]

    def inspect_service(self, service_id: str) -> Json | None:
        self._called("inspect_service", service_id)
        found = self.services.get(service_id) or next((s for s in self.services.values() if s["Spec"]["Name"] == service_id), None)
        return copy.deepcopy(found)

    def list_materials(self) -> list[Material]:
        self._called("list_materials")
        return list(self.materials.values())

    def create_material(self, kind: MaterialKind, name: str, data: bytes, labels: dict[str, str], *, templating: bool = False) -> str:
        self._called("create_material", name)
        if any((m.kind, m.name) == (kind, name) for m in self.materials.values()):
            raise ExternalError(ErrorKind.CONFLICT, "docker", "name conflicts with an existing object", reason=Reason.NAME_CONFLICT)
        number = next(self._ids)
        self.materials[f"m{number}"] = Material(kind, f"m{number}", name, labels, f"2026-01-01T00:00:{number:09d}Z")
        self.contents[name] = data
        self._answer("create_material")
        return f"m{number}"

    def remove_material(self, kind: MaterialKind, material_id: str) -> None:
        self._called("remove_material", material_id)
        if any(material_id in referenced(s["Spec"]) for s in self.services.values()):
            raise ExternalError(ErrorKind.INVALID, "docker", f"{kind.lower()} is in use by a service")
        self.materials.pop(material_id, None)

    def resolve_image(self, image: str, *, registry_auth: str | None = None) -> ImageManifest:
        self._called("resolve_image", image)
        if image not in self.images:
            raise ExternalError(ErrorKind.TRANSIENT, "docker", "manifest unknown", reason=Reason.IMAGE_UNRESOLVED)
        return self.images[image]

    def _refer(self, spec: Json) -> None:
        """The engine wants id and name of each config and secret to agree."""
        container = spec["TaskTemplate"]["ContainerSpec"]
        for kind in ("Config", "Secret"):
            for entry in container.get(f"{kind}s") or ():
                found = self.materials.get(entry[f"{kind}ID"])
                assert found is not None and (found.kind, found.name) == (kind, entry[f"{kind}Name"])

    def create_service(self, spec: Json, *, registry_auth: str | None = None) -> str:
        self._called("create_service", spec["Name"])
        self._refer(spec)
        self.auths.append(registry_auth)
        if any(s["Spec"]["Name"] == spec["Name"] for s in self.services.values()):
            raise ExternalError(ErrorKind.CONFLICT, "docker", "name conflicts with an existing object", reason=Reason.NAME_CONFLICT)
        service_id = f"id{next(self._ids)}"
        self.services[service_id] = {"ID": service_id, "Version": {"Index": next(self._versions)}, "Spec": copy.deepcopy(spec), "Endpoint": {}}
        self.orchestrate(service_id)
        self._answer("create_service")
        return service_id

    def update_service(self, service_id: str, version: int, spec: Json, *, registry_auth: str | None = None) -> list[str]:
        if self.before_update is not None:
            hook, self.before_update = self.before_update, None
            hook()
        self._called("update_service", service_id)
        if self.services[service_id]["Version"]["Index"] != version:
            raise ExternalError(ErrorKind.CONFLICT, "docker", "update out of sequence")
        self._refer(spec)
        self.auths.append(registry_auth)
        self.services[service_id]["PreviousSpec"] = copy.deepcopy(self.services[service_id]["Spec"])
        self.outside(service_id, lambda live: (live.clear(), live.update(copy.deepcopy(spec))))
        self._answer("update_service")
        return []

    def outside(self, service_id: str, edit: Callable[[Json], object], state: str | None = None, message: str = "") -> None:
        """A write by anyone: a new version, UpdateStatus cleared (or as given), tasks brought in line."""
        service = self.services[service_id]
        edit(service["Spec"])
        service["Version"] = {"Index": next(self._versions)}
        service.pop("UpdateStatus", None)
        if state is not None:
            service["UpdateStatus"] = {"State": state, "Message": message}
            if state.startswith("rollback_") and "manually" not in message:
                service.pop("PreviousSpec", None)
        self.orchestrate(service_id)

    def orchestrate(self, service_id: str) -> None:
        if not self.run_tasks:
            return
        spec = self.services[service_id]["Spec"]
        replicated = spec["Mode"].get("Replicated")
        count = replicated.get("Replicas", 1) if replicated is not None else len(self.nodes)
        old = {t["Slot"]: t for t in self.tasks.get(service_id, ()) if t["Spec"] == spec["TaskTemplate"]}
        self.tasks[service_id] = [old.get(slot) or self.task(spec["TaskTemplate"], slot, replicated is None) for slot in range(1, count + 1)]

    def task(self, template: Json, slot: int, per_node: bool = False, state: str = "running", error: str = "") -> Json:
        node = self.nodes[slot - 1].id if per_node else self.nodes[0].id
        return {
            "ID": f"task{next(self._ids)}",
            "Slot": slot,
            "NodeID": node,
            "DesiredState": "running" if state == "running" else "shutdown",
            "Status": {"State": state, "Err": error},
            "Spec": copy.deepcopy(template),
        }

    def remove_service(self, service_id: str) -> None:
        self._called("remove_service", service_id)
        self.services.pop(service_id, None)
        self.tasks.pop(service_id, None)

    def create_network(self, name: str, *, attachable: bool, encrypted: bool, subnet: str | None, labels: dict[str, str], **rest: Any) -> str:
        self._called("create_network", name)
        if any(network.name == name for network in self.networks):
            raise ExternalError(ErrorKind.CONFLICT, "docker", f"network with name {name} already exists")
        made = OverlayInfo(f"n{next(self._ids)}", name, "overlay", attachable, encrypted, labels, rest["internal"], (subnet,) if subnet else ())
        self.networks.append(made)
        self._answer("create_network")
        return made.id

    def remove_network(self, network_id: str) -> None:
        self._called("remove_network", network_id)
        targets = [entry["Target"] for s in self.services.values() for entry in s["Spec"]["TaskTemplate"].get("Networks") or ()]
        if network_id in targets or network_id in self.busy_networks:
            raise ExternalError(ErrorKind.FORBIDDEN, "docker", f"network {network_id} is in use by a task")
        self.networks = [network for network in self.networks if network.id != network_id]

    def events(self, *, timeout: float) -> Iterator[SwarmEvent | None]:
        yield None

    def close(self) -> None:
        self.calls.append("close")


class FakeSwarms:
    def __init__(self, swarm: FakeSwarm) -> None:
        self.swarm = swarm

    def open(self, endpoints: list[str], tls: TlsMaterial) -> Any:
        return self.swarm


class FakeObjects:
    """Our kinds in memory; every status that is applied is kept."""

    def __init__(self) -> None:
        self.resources: dict[Key, Resource] = {}
        self.revisions = SimRevisions()
        self.dependents: Any = SimDependents(self.resources)
        self.secrets: dict[str, dict[str, bytes]] = {}
        self.config_maps: dict[str, dict[str, bytes]] = {}
        self.fail_read: ExternalError | None = None
        self.events: list[tuple[str, str, bool]] = []
        self.applied: list[Json] = []
        self.fail_status: ExternalError | None = None
        self._versions = itertools.count(1)

    def annotate(self, key: Key, **annotations: str) -> None:
        """Under our group."""
        self.resources[key] = replace(self.resources[key], annotations={f"{GROUP}/{name}": value for name, value in annotations.items()})

    def put(self, key: Key, spec: Json, uid: str = "uid-1") -> Resource:
        old = self.resources.get(key)
        generation = 1 if old is None else old.generation + (0 if old.spec == spec else 1)
        resource = Resource(
            key,
            uid,
            generation,
            str(next(self._versions)),
            copy.deepcopy(spec),
            old.status if old else {},
            old.deleting if old else False,
            old.finalizers if old else (),
        )
        self.resources[key] = resource
        return resource

    def delete(self, key: Key) -> None:
        resource = self.resources[key]
        if resource.finalizers:
            self.resources[key] = replace(resource, deleting=True)
        else:
            del self.resources[key]

    def get(self, key: Key) -> Resource | None:
        return self.resources.get(key)

    def apply_status(self, resource: Resource, status: Json) -> Resource:
        if self.fail_status is not None:
            failure, self.fail_status = self.fail_status, None
            raise failure
        current = self.resources.get(resource.key)
        if current is None:
            raise ExternalError(ErrorKind.NOT_FOUND, "kubernetes", "gone")
        if current.status != status:
            self.applied.append(status)
            current = self.resources[resource.key] = replace(current, status=copy.deepcopy(status), resource_version=str(next(self._versions)))
        return current

    def set_finalizer(self, resource: Resource, present: bool) -> Resource:
        current = self.resources[resource.key]
        if present == (FINALIZER in current.finalizers):
            return current
        current = self.resources[resource.key] = replace(current, finalizers=(FINALIZER,) if present else ())
        if current.deleting and not present:
            del self.resources[resource.key]
        return current

    def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        if self.fail_read is not None:
            raise self.fail_read
        return self.secrets.get(name)

    def get_config_map(self, namespace: str, name: str) -> dict[str, bytes] | None:
        return self.config_maps.get(name)

    def ensure_secret(self, owner: Resource, name: str, data: dict[str, bytes], *, secret_type: str = "Opaque") -> dict[str, bytes]:
        assert owner.key.kind == "SwarmCluster"
        return self.secrets.setdefault(name, data)

    def event(self, resource: Resource, reason: Reason, message: str, *, warning: bool = False) -> None:
        self.events.append((str(reason), message, warning))
