"""The one-machine lab: real Kubernetes and OpenStack control planes, and servers made of Linux namespaces."""
