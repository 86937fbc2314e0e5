"""How machines that live are changed."""

from __future__ import annotations

from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.domain.cluster import steps as s


@performs(s.TagServer)
def _tag(action: Action, step: s.TagServer) -> None:
    action.cloud.add_server_tags(step.evidence.value.id, step.tags)


@performs(s.StampServer)
def _stamp(action: Action, step: s.StampServer) -> None:
    action.cloud.update_server_metadata(step.evidence.value.id, dict(step.values))
