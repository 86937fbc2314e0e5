"""From a SwarmService manifest to what we want of the ServiceSpec: one raw value per leaf, and the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.digests import digest_of
from swarm_operator.domain.ownership import SERVICE_LABEL_OWNER, SERVICE_LABEL_RESTARTED, SERVICE_LABEL_RUN, SERVICE_LABEL_SCHEDULED, SERVICE_LABEL_UID
from swarm_operator.domain.service.canonical import Raw
from swarm_operator.domain.service.leaves import LEAVES, UNMANAGED, RenderContext
from swarm_operator.domain.swarm import SwarmView

Json = dict[str, Any]
OWNER_LABELS = (SERVICE_LABEL_UID, SERVICE_LABEL_OWNER, SERVICE_LABEL_RESTARTED, SERVICE_LABEL_RUN, SERVICE_LABEL_SCHEDULED)


class NetworksMissing(Exception):
    """The swarm lacks networks that the manifest names; `names` are sorted."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


@dataclass(frozen=True)
class Owner:
    """Whose service it is. `restarted_at` is the value of its restart annotation, "" for none; `scheduled_at` the time of the run that is due
    or was the last one."""

    uid: str
    namespace: str
    name: str
    restarted_at: str = ""
    scheduled_at: str = ""

    def labels(self) -> dict[str, str]:
        """The labels that go into the POST that creates the service."""
        return {SERVICE_LABEL_UID: self.uid, SERVICE_LABEL_OWNER: f"{self.namespace}/{self.name}"}


@dataclass(frozen=True)
class Desired:
    """What a manifest asks of the engine. `leaves` holds raw values by leaf name, without the UNMANAGED ones; `labels` the user's and the owner's."""

    service_name: str
    mode: Literal["replicated", "global", "replicated-job", "global-job"]
    labels: Mapping[str, str]
    leaves: Mapping[str, Raw] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A hash that changes exactly with what the manifest asks of the engine (SHA-256, hex)."""
        document = {"name": self.service_name, "mode": self.mode, "labels": dict(self.labels), "leaves": dict(self.leaves)}
        return digest_of(document)

    @property
    def label_keys(self) -> list[str]:
        """Keys of the user's labels, sorted: what the next three-way comparison takes as ours."""
        return sorted(key for key in self.labels if key not in OWNER_LABELS)


def service_name(spec: SwarmServiceSpec, object_name: str) -> str:
    """The name in the swarm."""
    return spec.service_name or object_name


def resolve_networks(spec: SwarmServiceSpec, view: SwarmView) -> dict[str, str]:
    """Swarm network ids by the names that the manifest uses. The engine stores ids, so names would differ from the live spec for ever. Raises NetworksMissing."""
    known = {network.name: network.id for network in view.networks}
    missing = sorted({a.name for a in spec.networks if a.name not in known})
    if missing:
        raise NetworksMissing(missing)
    return {a.name: known[a.name] for a in spec.networks}


def render(spec: SwarmServiceSpec, owner: Owner, networks: Mapping[str, str], supplied: RenderContext | None = None) -> Desired:
    """What `spec` asks for. `networks` must hold an id for every network that the spec names, `supplied` what else it takes from elsewhere."""
    context = replace(supplied or RenderContext(), networks=networks)
    rendered = {leaf.name: leaf.render(spec, context) for leaf in LEAVES}
    return Desired(
        service_name=service_name(spec, owner.name),
        mode=spec.mode,
        labels={
            **spec.labels,
            **owner.labels(),
            **({SERVICE_LABEL_RESTARTED: owner.restarted_at} if owner.restarted_at else {}),
            **({SERVICE_LABEL_SCHEDULED: owner.scheduled_at} if owner.scheduled_at else {}),
            **({SERVICE_LABEL_RUN: spec.job.run_id} if spec.job is not None and spec.job.run_id else {}),
        },
        leaves={name: value for name, value in rendered.items() if value is not UNMANAGED},
    )
