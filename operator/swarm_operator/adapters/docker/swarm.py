"""The `Swarm` port on a manager's Docker Engine API (v1.41 and later, reference: Docker Engine API, Swarm, Node, Service, Task, Network, System)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from swarm_operator.adapters.docker.transport import Transport, timed_out, translated
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import ENGINE_LABEL_MACHINE
from swarm_operator.domain.swarm import ImageManifest, Material, MaterialKind, Node, OverlayInfo, RootAuthority, SwarmSettings, SwarmView
from swarm_operator.ports.swarm import Json, Swarm, SwarmEvent, TlsMaterial

_PREDEFINED = ("host", "bridge")
_ENDED = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
_MATERIALS: dict[MaterialKind, str] = {"Config": "/configs", "Secret": "/secrets"}
_SECOND = 1_000_000_000
"""In nanoseconds, the unit of durations in SwarmSpec."""
_EVENT_TYPES = ("service", "node", "network", "secret", "config")


class DockerSwarms:
    """Opens swarms over mutual TLS."""

    def open(self, endpoints: list[str], tls: TlsMaterial) -> Swarm:
        """See `ports.swarm.Swarms`."""
        return DockerSwarm(Transport(endpoints, tls))


class DockerSwarm:
    """One swarm through any of its managers."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    # -- reading

    def view(self, *, with_tasks: bool = False) -> SwarmView:
        info = self._http.get("/info")
        version = self._http.get("/version")
        nodes = self._http.get("/nodes")
        networks = self._http.get("/networks", filters=_filters(scope=["swarm"]))
        known = {n.get("Name") for n in networks}
        # The swarm's own entries for `host` and `bridge` are left out of the list but found by name (seen on 20.10).
        networks += [n for n in (self._optional(f"/networks/{name}", scope="swarm") for name in _PREDEFINED if name not in known) if n is not None]
        swarm = info.get("Swarm") or {}
        return SwarmView(
            swarm_id=str((swarm.get("Cluster") or {}).get("ID", "")),
            nodes=tuple(_node(n) for n in nodes),
            networks=tuple(_network(n) for n in networks),
            running_tasks_by_node=self._running_by_node() if with_tasks else {},
            engine_version=str(version.get("Version", "")),
            engine_api_version=str(version.get("ApiVersion", "")),
            settings=_settings((swarm.get("Cluster") or {}).get("Spec")),
            authority=_authority(swarm.get("Cluster") or {}),
        )

    def list_services(self) -> list[Json]:
        services: list[Json] = self._http.get("/services", status="true")
        return services

    def list_tasks(self, service_id: str | None = None, *, up_to_date: bool = False) -> list[Json]:
        filters: dict[str, list[str]] = {}
        if service_id is not None:
            filters["service"] = [service_id]
        if up_to_date:
            # The server applies IsTaskDirty; the Docker CLI's progress bar relies on it as well (docker/cli cli/command/service/progress).
            filters["_up-to-date"] = ["true"]
        tasks: list[Json] = self._http.get("/tasks", filters=_filters(**filters))
        return tasks

    def inspect_service(self, service_id: str) -> Json | None:
        service: Json | None = self._optional(f"/services/{quote(service_id, safe='')}")
        return service

    def list_materials(self) -> list[Material]:
        return [_material(kind, raw) for kind, path in _MATERIALS.items() for raw in self._http.get(path)]

    def resolve_image(self, image: str, *, registry_auth: str | None = None) -> ImageManifest:
        try:
            answer = self._http.get(f"/distribution/{quote(image, safe='/:@')}/json", headers=_auth(registry_auth))
        except ExternalError as error:
            if error.kind is ErrorKind.UNREACHABLE or error.reason is Reason.QUORUM_LOST:
                raise
            # What the registry, or the way to it, answers: the engine passes it on under various codes (500 for missing credentials, seen on 20.10).
            raise ExternalError(error.kind, error.system, error.message, reason=Reason.IMAGE_UNRESOLVED) from error
        pairs = ((str(p.get("architecture") or ""), str(p.get("os") or "")) for p in answer.get("Platforms") or ())
        return ImageManifest(str(answer["Descriptor"]["digest"]), tuple(dict.fromkeys(pairs)))

    def join_token(self, role: str) -> str:
        swarm = self._http.get("/swarm")
        return str(swarm["JoinTokens"]["Manager" if role.lower() == "manager" else "Worker"])

    def events(self, *, timeout: float) -> Iterator[SwarmEvent | None]:
        """See `ports.swarm.Swarm`. A connection is not trusted for longer than `timeout` seconds of silence: it is opened again, from the time of the last event on, so
        that a dead peer is noticed by the connect, and nothing within the engine's buffer is missed. Events may come twice. The first item is None, once connected."""
        since: dict[str, str] = {}
        while True:
            response = self._http.stream("/events", read_timeout=timeout, filters=_filters(scope=["swarm"], type=list(_EVENT_TYPES)), **since)
            try:
                since = since or _from_header(response.headers.get("Date"))
                yield None
                with translated("GET"):
                    for line in response.iter_lines(chunk_size=65536):
                        if not line:
                            continue
                        entry = json.loads(line)
                        if entry.get("timeNano"):
                            since = {"since": _after(int(entry["timeNano"]))}
                        yield _event(entry)
                raise ExternalError(ErrorKind.TRANSIENT, "docker", "the manager ended the event stream")
            except ExternalError as error:
                if not timed_out(error.__cause__ or error):
                    raise
            finally:
                response.close()

    # -- writing

    def create_service(self, spec: Json, *, registry_auth: str | None = None) -> str:
        return str(self._http.post("/services/create", spec, headers=_auth(registry_auth))["ID"])

    def update_service(self, service_id: str, version: int, spec: Json, *, registry_auth: str | None = None) -> list[str]:
        answer = self._http.post(f"/services/{quote(service_id, safe='')}/update", spec, headers=_auth(registry_auth), version=version)
        return [str(w) for w in (answer or {}).get("Warnings") or ()]

    def remove_service(self, service_id: str) -> None:
        self._gone_is_fine(f"/services/{quote(service_id, safe='')}")

    def create_material(self, kind: MaterialKind, name: str, data: bytes, labels: dict[str, str], *, templating: bool = False) -> str:
        body: Json = {"Name": name, "Labels": labels, "Data": base64.b64encode(data).decode("ascii")}
        if templating:
            body["Templating"] = {"Name": "golang"}
        return str(self._http.post(f"{_MATERIALS[kind]}/create", body)["ID"])

    def remove_material(self, kind: MaterialKind, material_id: str) -> None:
        self._gone_is_fine(f"{_MATERIALS[kind]}/{quote(material_id, safe='')}")

    def update_node(self, node_id: str, version: int, *, role: str, availability: str, labels: dict[str, str]) -> None:
        body = {"Role": role, "Availability": availability, "Labels": labels}
        self._http.post(f"/nodes/{quote(node_id, safe='')}/update", body, version=version)

    def remove_node(self, node_id: str, *, force: bool = False) -> None:
        self._gone_is_fine(f"/nodes/{quote(node_id, safe='')}", force="true" if force else "false")

    def rotate_join_token(self, role: str) -> None:
        swarm = self._http.get("/swarm")
        flags: dict[str, Any] = {"rotateManagerToken" if role.lower() == "manager" else "rotateWorkerToken": "true"}
        self._http.post("/swarm/update", swarm["Spec"], version=swarm["Version"]["Index"], **flags)

    def update_settings(self, settings: SwarmSettings) -> None:
        swarm = self._http.get("/swarm")
        spec = swarm["Spec"]
        spec.setdefault("Orchestration", {})["TaskHistoryRetentionLimit"] = settings.task_history_limit
        spec.setdefault("Dispatcher", {})["HeartbeatPeriod"] = settings.heartbeat_seconds * _SECOND
        spec.setdefault("CAConfig", {})["NodeCertExpiry"] = settings.cert_expiry_hours * 3600 * _SECOND
        self._http.post("/swarm/update", spec, version=swarm["Version"]["Index"])

    def cluster_version(self) -> int:
        return int(self._http.get("/swarm")["Version"]["Index"])

    def unlock_key(self) -> str:
        return str(self._http.get("/swarm/unlockkey").get("UnlockKey") or "")

    def set_autolock(self, enabled: bool, version: int) -> None:
        spec = self._http.get("/swarm")["Spec"]
        spec.setdefault("EncryptionConfig", {})["AutoLockManagers"] = enabled
        self._http.post("/swarm/update", spec, version=version)

    def rotate_unlock_key(self, version: int) -> None:
        self._http.post("/swarm/update", self._http.get("/swarm")["Spec"], version=version, rotateManagerUnlockKey="true")

    def rotate_authority(self, over: int) -> bool:
        swarm = self._http.get("/swarm")
        authority = swarm["Spec"].setdefault("CAConfig", {})
        if int(authority.get("ForceRotate") or 0) > over:
            return False
        authority["ForceRotate"] = over + 1
        self._http.post("/swarm/update", swarm["Spec"], version=swarm["Version"]["Index"])
        return True

    def create_network(
        self,
        name: str,
        *,
        attachable: bool,
        encrypted: bool,
        subnet: str | None,
        labels: dict[str, str],
        internal: bool = False,
        driver_opts: dict[str, str] | None = None,
    ) -> str:
        body: Json = {
            "Name": name,
            "Driver": "overlay",
            "Attachable": attachable,
            "CheckDuplicate": True,
            "Labels": labels,
            "Internal": internal,
            "Options": {**(driver_opts or {}), **({"encrypted": ""} if encrypted else {})},
        }
        if subnet is not None:
            body["IPAM"] = {"Driver": "default", "Config": [{"Subnet": subnet}]}
        return str(self._http.post("/networks/create", body)["Id"])

    def remove_network(self, network_id: str) -> None:
        self._gone_is_fine(f"/networks/{quote(network_id, safe='')}")

    def close(self) -> None:
        self._http.close()

    # -- parts

    def _optional(self, path: str, **params: Any) -> Any:
        try:
            return self._http.get(path, **params)
        except ExternalError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise

    def _gone_is_fine(self, path: str, **params: Any) -> None:
        try:
            self._http.delete(path, **params)
        except ExternalError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise

    def _running_by_node(self) -> dict[str, int]:
        """Tasks wanted and not ended, by node. A task without a slot belongs to a global service and does not move when its node drains."""
        counts: dict[str, int] = {}
        for task in self._http.get("/tasks", filters=_filters(**{"desired-state": ["running"]})):
            node = task.get("NodeID")
            if node and task.get("Slot") and (task.get("Status") or {}).get("State") not in _ENDED:
                counts[node] = counts.get(node, 0) + 1
        return counts


def _after(nanoseconds: int) -> str:
    """The instant after an event, in the form of the `since` parameter (seconds.nanoseconds), so that the event itself does not come again."""
    return f"{(nanoseconds + 1) // 1_000_000_000}.{(nanoseconds + 1) % 1_000_000_000:09d}"


def _from_header(date: str | None) -> dict[str, str]:
    """`since` by the engine's own clock, from its HTTP Date header: ours may differ."""
    if not date:
        return {}
    return {"since": str(int(parsedate_to_datetime(date).timestamp()))}


def _filters(**filters: list[str]) -> str:
    return json.dumps(filters)


def _settings(spec: Json | None) -> SwarmSettings | None:
    """None where a part is not told."""
    try:
        history, beat, expiry = spec["Orchestration"]["TaskHistoryRetentionLimit"], spec["Dispatcher"]["HeartbeatPeriod"], spec["CAConfig"]["NodeCertExpiry"]  # type: ignore[index]
        autolock = bool((spec.get("EncryptionConfig") or {}).get("AutoLockManagers", False))  # type: ignore[union-attr]
        return SwarmSettings(int(history), int(beat) // _SECOND, int(expiry) // (3600 * _SECOND), autolock)
    except (KeyError, TypeError):
        return None


def _authority(cluster: Json) -> RootAuthority | None:
    """None where it is not told."""
    tls = cluster.get("TLSInfo") or {}
    if not tls.get("TrustRoot"):
        return None
    force = ((cluster.get("Spec") or {}).get("CAConfig") or {}).get("ForceRotate") or 0
    return RootAuthority(
        _fingerprint(tls.get("TrustRoot")), _fingerprint(tls.get("CertIssuerPublicKey")), bool(cluster.get("RootRotationInProgress")), int(force)
    )


def _fingerprint(text: str | None) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _node(raw: Json) -> Node:
    spec, description, status = raw.get("Spec") or {}, raw.get("Description") or {}, raw.get("Status") or {}
    manager = raw.get("ManagerStatus") or {}
    engine = description.get("Engine") or {}
    return Node(
        id=str(raw["ID"]),
        hostname=str(description.get("Hostname", "")),
        role=str(spec.get("Role", "")),
        availability=str(spec.get("Availability", "")),
        state=str(status.get("State", "unknown")),
        version=int(raw["Version"]["Index"]),
        address=str(status.get("Addr", "")),
        leader=bool(manager.get("Leader", False)),
        reachability=str(manager.get("Reachability", "")),
        engine_version=str(engine.get("EngineVersion", "")),
        labels=dict(spec.get("Labels") or {}),
        machine_uid=(engine.get("Labels") or {}).get(ENGINE_LABEL_MACHINE),
        message=str(status.get("Message", "")),
        os=str((description.get("Platform") or {}).get("OS", "")),
        arch=str((description.get("Platform") or {}).get("Architecture", "")),
        engine_labels=dict(engine.get("Labels") or {}) if engine else None,
        cpus=int((description.get("Resources") or {}).get("NanoCPUs") or 0),
        memory=int((description.get("Resources") or {}).get("MemoryBytes") or 0),
        issuer=_fingerprint((description.get("TLSInfo") or {}).get("CertIssuerPublicKey")),
    )


def _auth(registry_auth: str | None) -> dict[str, str] | None:
    return None if registry_auth is None else {"X-Registry-Auth": registry_auth}


def _material(kind: MaterialKind, raw: Json) -> Material:
    spec = raw.get("Spec") or {}
    return Material(kind, str(raw["ID"]), str(spec.get("Name", "")), dict(spec.get("Labels") or {}), str(raw.get("CreatedAt", "")))


def _network(raw: Json) -> OverlayInfo:
    options = raw.get("Options") or {}
    return OverlayInfo(
        id=str(raw["Id"]),
        name=str(raw["Name"]),
        driver=str(raw.get("Driver", "")),
        attachable=bool(raw.get("Attachable", False)),
        encrypted="encrypted" in options,
        labels=dict(raw.get("Labels") or {}),
        internal=bool(raw.get("Internal", False)),
        subnets=tuple(str(entry["Subnet"]) for entry in (raw.get("IPAM") or {}).get("Config") or () if entry.get("Subnet")),
    )


def _event(raw: Json) -> SwarmEvent:
    actor = raw.get("Actor") or {}
    return SwarmEvent(
        type=str(raw.get("Type", "")),
        action=str(raw.get("Action", "")),
        actor_id=str(actor.get("ID", "")),
        attributes={str(k): str(v) for k, v in (actor.get("Attributes") or {}).items()},
    )


__all__ = ["DockerSwarm", "DockerSwarms"]
