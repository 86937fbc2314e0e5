"""Whether a node may be drained now that need not be: the one question of all who drain by choice.

Those are rollouts (workers, managers, engines), machines that are not wanted any more, and healthy ones that a person names. A machine that has failed, a server that somebody else deletes,
and the deletion of the whole cluster ask nobody: their tasks are lost either way. Nothing is remembered: who is refused is asked again with the tasks as they are then. Meanwhile it takes no
place in the disruption budget from a repair, which may be what brings the tasks back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from swarm_operator.domain.cluster import floors
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.facts import Known
from swarm_operator.domain.swarm import Node

ASK_AGAIN_SECONDS: Final = 10.0
"""Nobody tells us when tasks have moved."""


def refusal(observation: ClusterObservation, node: Node | None, name: str, *, patient: bool = False, begun: Collection[str] = ()) -> str:
    """Why the node may not be drained now, for people; "" where it may. One that is drained already, or is not ready, is not held. `name`: of its server. `patient`: services that have a
    task there must be complete as well. `begun`: ids of the nodes whose drain this same decision begins: their tasks are as good as stopped, as are those of nodes that drain already."""
    if node is None or node.availability == "drain" or node.state != "ready":
        return ""
    nodes = observation.swarm.value.nodes if isinstance(observation.swarm, Known) else ()
    stopping = {*begun, *(n.id for n in nodes if n.availability == "drain" or n.state != "ready")}
    refused = floors.refusal(observation.services, node.id, patient=patient, stopping=stopping)
    return f"{name} can't be drained yet: {refused}" if refused else ""
