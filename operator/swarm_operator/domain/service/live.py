"""The parts of the engine's answers about a service that decisions read (Docker Engine API v1.41, `Service`, `Task`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from swarm_operator.api.service import AllocatedPort
from swarm_operator.domain.ownership import SERVICE_LABEL_OWNER, SERVICE_LABEL_UID
from swarm_operator.domain.service.render import Json, Owner

MANUAL_ROLLBACK = "manually requested rollback"
"""UpdateStatus.Message of a rollback that a person asked for (swarmkit `manager/controlapi/service.go`); all others come from failures."""


@dataclass(frozen=True)
class LiveService:
    """One service as `GET /services` or an inspect gives it. `running` and `wanted` are ServiceStatus counts, None where the answer carries none."""

    id: str
    version: int
    spec: Json
    update_state: str = ""
    update_message: str = ""
    ports: tuple[AllocatedPort, ...] = ()
    running: int | None = None
    wanted: int | None = None
    has_previous: bool = False
    previous_spec: Json | None = None
    job_iteration: int | None = None
    virtual_ips: tuple[tuple[str, str], ...] = ()
    """Network id and address with prefix length."""

    @property
    def name(self) -> str:
        return str(self.spec.get("Name", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    @property
    def owner_uid(self) -> str | None:
        """UID of the SwarmService that the service says it belongs to."""
        return self.labels.get(SERVICE_LABEL_UID)

    @property
    def rolled_back_by_failure(self) -> bool:
        """Whether the last thing that happened is a rollback, running, paused or done, that the engine began after failures. The message tells a person's rollback only
        while it runs; afterwards PreviousSpec does: a person's rollback swaps the two specs, the engine's own leaves no previous one (swarmkit `orchestrator/update`)."""
        return self.update_state.startswith("rollback_") and MANUAL_ROLLBACK not in self.update_message and not self.has_previous


def iteration(raw: Json) -> int:
    """The run that a JobStatus or a job's task belongs to; the engine leaves the number of the first, 0, out."""
    return int((raw.get("JobIteration") or {}).get("Index") or 0)


def parse(raw: Json) -> LiveService:
    """The typed view of a raw service."""
    update = raw.get("UpdateStatus") or {}
    status = raw.get("ServiceStatus") or {}
    return LiveService(
        id=str(raw["ID"]),
        version=int(raw["Version"]["Index"]),
        spec=raw["Spec"],
        update_state=str(update.get("State") or ""),
        update_message=str(update.get("Message") or ""),
        ports=tuple(
            AllocatedPort(
                protocol=p.get("Protocol") or "tcp",
                target_port=int(p.get("TargetPort") or 0),
                published_port=int(p.get("PublishedPort") or 0),
                publish_mode=p.get("PublishMode") or "ingress",
            )
            for p in (raw.get("Endpoint") or {}).get("Ports") or ()
        ),
        running=status.get("RunningTasks"),
        wanted=status.get("DesiredTasks"),
        has_previous=raw.get("PreviousSpec") is not None,
        previous_spec=raw.get("PreviousSpec"),
        virtual_ips=tuple((str(v.get("NetworkID") or ""), str(v.get("Addr") or "")) for v in (raw.get("Endpoint") or {}).get("VirtualIPs") or ()),
        job_iteration=None if raw.get("JobStatus") is None else iteration(raw["JobStatus"]),
    )


def ours(service: LiveService, owner: Owner, recorded_id: str | None) -> bool:
    """Whether a service is this owner's: by the UID in its label, or by the id that we recorded while no other owner's label is on it."""
    if service.owner_uid is not None:
        return service.owner_uid == owner.uid
    return recorded_id is not None and service.id == recorded_id


def adoptable(service: LiveService, owner: Owner) -> bool:
    """Whether adoptionPolicy IfUnowned may take the service: it has no owner label, or one of an earlier object of the same namespace and name (restored or retained)."""
    return service.owner_uid is None or service.labels.get(SERVICE_LABEL_OWNER) == f"{owner.namespace}/{owner.name}"


def pick(services: Iterable[LiveService], owner: Owner, name: str, recorded_id: str | None) -> tuple[LiveService | None, LiveService | None]:
    """Ours, and else another's of exactly that name. Of several that are ours the recorded one wins, then the one of that name."""
    mine = sorted((s for s in services if ours(s, owner, recorded_id)), key=lambda s: (s.id != recorded_id, s.name != name, s.id))
    if mine:
        return mine[0], None
    return None, next((s for s in services if s.name == name), None)
