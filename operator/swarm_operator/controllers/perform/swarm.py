"""What the managers are told through the Docker API."""

from __future__ import annotations

from swarm_operator.api.cluster_status import JoinStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.domain.cluster import overlays
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.ownership import (
    JOIN_MANAGER,
    JOIN_TOKEN,
    NODE_LABEL_DRAINED,
    NODE_LABEL_LEAVING,
)


@performs(
    s.SetNode, s.DrainNode, s.DemoteManager, s.RemoveNode, s.CreateOverlay, s.RemoveOverlay, s.UpdateSwarm, s.RotateToken, s.ClearJoinMetadata, s.TokenRotated
)
def _swarm(action: Action, step: s.SwarmStep) -> None:
    swarm = action.swarm
    match step:
        case s.SetNode(evidence, role, availability, labels):
            swarm.update_node(evidence.value.id, evidence.value.version, role=role, availability=availability, labels=labels)
        case s.DrainNode(evidence, at, because):
            node = evidence.value
            swarm.update_node(node.id, node.version, role=node.role, availability="drain", labels={**node.labels, NODE_LABEL_DRAINED: at})
            action.objects.event(action.resource, Reason.NODES_DRAINING, f"node {node.hostname}: {because}")
        case s.DemoteManager(evidence, because):
            node = evidence.value
            swarm.update_node(node.id, node.version, role="worker", availability=node.availability, labels={**node.labels, NODE_LABEL_LEAVING: because[:255]})
            action.objects.event(action.resource, Reason.SCALED, f"manager {node.hostname} is demoted: {because}")
        case s.RemoveNode(evidence, _, because):
            swarm.remove_node(evidence.value.id, force=True)
            action.objects.event(action.resource, Reason.DELETED, f"node {evidence.value.hostname} ({evidence.value.id}): {because}")
        case s.CreateOverlay(network):
            swarm.create_network(
                network.name,
                attachable=network.attachable,
                encrypted=network.encrypted,
                internal=network.internal,
                subnet=network.subnet,
                driver_opts=network.driver_opts,
                labels=overlays.labels(network, action.uid),
            )
        case s.RemoveOverlay(_, network_id, name):
            swarm.remove_network(network_id)
            action.objects.event(action.resource, Reason.DELETED, f"network {name} of the swarm: not in the spec any more")
        case s.UpdateSwarm(settings):
            swarm.update_settings(settings)
            action.objects.event(action.resource, Reason.UPDATED, "settings of the swarm")
        case s.RotateToken(role):
            swarm.rotate_join_token(role)
            action.objects.event(action.resource, Reason.TOKEN_ROTATED, f"{role} join token")
        case s.ClearJoinMetadata(server_ids):
            for server_id in server_ids:
                action.cloud.delete_server_metadata(server_id, [JOIN_TOKEN, JOIN_MANAGER])
        case s.TokenRotated(nonce):
            action.status = action.status.model_copy(update={"join": JoinStatus(token_exposed=False, rotated_at=action.now(), rotated_for=nonce)})
        case _:
            raise AssertionError(f"no way to perform {step}")
