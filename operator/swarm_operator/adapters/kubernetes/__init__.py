"""Kubernetes through the official client's ApiClient, as raw JSON."""

from swarm_operator.adapters.kubernetes.objects import KubernetesObjects

__all__ = ["KubernetesObjects"]
