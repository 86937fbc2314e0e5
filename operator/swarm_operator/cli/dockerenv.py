"""`kubectl swarm docker-env`: the docker command of the user on a cluster's swarm."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from swarm_operator.cli.context import Context, endpoints
from swarm_operator.ports.swarm import TlsMaterial


def docker_env(context: Context) -> int:
    """Write the client certificate for its owner only, print exports for a shell."""
    name = context.arguments.name
    cluster = context.cluster(name)
    endpoint = endpoints(cluster)[0]
    found = context.certificate(cluster)
    directory: Path = context.arguments.directory or Path.home() / ".docker" / "swarm-operator" / context.namespace / name
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The CA's key stays in the cluster: the docker command has no use for it.
    for file_name, content in zip(TlsMaterial.KEYS, (found.ca, found.cert, found.key), strict=True):
        with os.fdopen(os.open(directory / file_name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
    for variable, value in (("DOCKER_HOST", endpoint), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", str(directory.resolve()))):
        context.out.write(f"export {variable}={shlex.quote(value)}\n")
    return 0
