"""How each step of a SwarmCluster's plan is performed: `perform` after the modules here have registered theirs."""

from __future__ import annotations

from swarm_operator.controllers.perform import backup, engines, guests, images, infrastructure, release, rollout, rotation, servers, swarm, volumes
from swarm_operator.controllers.perform.registry import perform, performed

__all__ = ["backup", "engines", "guests", "images", "infrastructure", "perform", "performed", "release", "rollout", "rotation", "servers", "swarm", "volumes"]
