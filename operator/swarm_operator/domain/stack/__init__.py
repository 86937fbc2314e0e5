"""Compose files as `docker stack deploy` understands them, turned into SwarmServices and networks. Pure: text, variables and references in, manifests out."""
