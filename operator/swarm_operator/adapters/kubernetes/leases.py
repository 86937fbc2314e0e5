"""The lease of an election as a `coordination.k8s.io/v1` Lease.

Does not: elect (`engine.leader` does), or delete a Lease.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final

from swarm_operator.adapters.kubernetes.api import MERGE_PATCH, Json, KubernetesApi, segment
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.leader import LeaseConflict, LeaseRecord

FIELD_MANAGER: Final = "swarm-operator-lease"


class KubernetesLease:
    """A `LeaseStore`. `api` should have short timeouts: a renewal that takes longer than the renew deadline is of no use."""

    def __init__(self, api: KubernetesApi, clock: Clock, namespace: str, name: str) -> None:
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{segment(namespace)}/leases"

    def __str__(self) -> str:
        return f"{self._namespace}/{self._name}"

    def read(self) -> LeaseRecord | None:
        """See `LeaseStore`."""
        try:
            return _record(self._api.call("get_lease", "GET", f"{self._path}/{segment(self._name)}"))
        except ExternalError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise

    def write(self, record: LeaseRecord, *, acquired: bool) -> LeaseRecord:
        """See `LeaseStore`. A merge patch with the resourceVersion that was read: what others put on the Lease stays, and a change in between is refused with 409."""
        now = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # metav1.MicroTime
        spec: Json = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": max(1, round(record.duration)),
            "leaseTransitions": record.transitions,
            "renewTime": now,
        }
        if acquired:
            spec["acquireTime"] = now
        query = {"fieldManager": FIELD_MANAGER}
        try:
            if record.version:
                body: Json = {"metadata": {"resourceVersion": record.version}, "spec": spec}
                path = f"{self._path}/{segment(self._name)}"
                return _record(self._api.call("update_lease", "PATCH", path, query=query, body=body, media_type=MERGE_PATCH))
            manifest: Json = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace, "labels": {"app.kubernetes.io/managed-by": "swarm-operator"}},
                "spec": spec,
            }
            return _record(self._api.call("create_lease", "POST", self._path, query=query, body=manifest))
        except ExternalError as error:
            if error.kind is ErrorKind.CONFLICT:
                raise LeaseConflict(error.message) from error
            raise


def _record(lease: Json) -> LeaseRecord:
    """A Lease without holder or duration (both are optional) is free."""
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration=float(spec.get("leaseDurationSeconds") or 0),
        transitions=spec.get("leaseTransitions") or 0,
        version=lease["metadata"]["resourceVersion"],
    )
