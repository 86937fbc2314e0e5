"""The Swarm port on the Docker Engine API."""

from swarm_operator.adapters.docker.swarm import DockerSwarm, DockerSwarms

__all__ = ["DockerSwarm", "DockerSwarms"]
