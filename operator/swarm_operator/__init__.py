"""swarm-operator: Docker swarms on OpenStack, declared as Kubernetes resources."""

__version__ = "0.1.0"
