"""What the API server's rules (CEL, in the schema of SwarmService) would refuse, said in the file's words and before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swarm_operator.api.base import RESERVED_LABEL_PREFIX
from swarm_operator.api.parse import Problem
from swarm_operator.api.service import IMAGE_PATTERN, SwarmServiceSpec


def rule_problems(name: str, spec: SwarmServiceSpec) -> Iterator[Problem]:
    """Problems of the service `name` of the file."""
    place = f"services.{name}"
    if not re.fullmatch(IMAGE_PATTERN, spec.image):
        yield Problem(f"{place}.image", f"must be an image reference such as registry.example:5000/app/web:1.2, not {spec.image!r}")
    if any(key.startswith(RESERVED_LABEL_PREFIX) for key in spec.labels):
        yield Problem(f"{place}.deploy.labels", f"must not hold keys that start with {RESERVED_LABEL_PREFIX}")
    yield from _deploy(f"{place}.deploy", spec)
    published = [(port.published_port, port.protocol) for port in spec.ports if port.published_port]
    for port, protocol in sorted({pair for pair in published if published.count(pair) > 1}):
        yield Problem(f"{place}.ports", f"must not publish {port}/{protocol} twice")
    if spec.endpoint_mode == "dnsrr" and any(port.publish_mode == "ingress" for port in spec.ports):
        yield Problem(f"{place}.ports", "must have mode host with deploy.endpoint_mode dnsrr")
    if len(spec.networks) > 1 and any(network.name == "host" for network in spec.networks):
        yield Problem(f"{place}.networks", "must hold nothing besides the network host")
    if any(network.name == "ingress" for network in spec.networks):
        yield Problem(f"{place}.networks", "must not name ingress: publishing a port attaches it")
    for limit in spec.ulimits:
        if limit.hard != -1 and (limit.soft == -1 or limit.soft > limit.hard):
            yield Problem(f"{place}.ulimits.{limit.name}", "must have a soft limit that is not above the hard one")
    if spec.healthcheck is not None and spec.healthcheck.test and spec.healthcheck.test[0] not in ("CMD", "CMD-SHELL"):
        yield Problem(f"{place}.healthcheck.test", "must begin with CMD, CMD-SHELL or NONE")
    for mount in spec.mounts:
        if mount.type != "npipe" and not mount.target.startswith("/"):
            yield Problem(f"{place}.volumes", f"must have an absolute path as target, not {mount.target!r}")
    credentials = spec.privileges.credential_spec
    if credentials is not None and (credentials.file is None) == (credentials.registry is None):
        yield Problem(f"{place}.credential_spec", "must set exactly one of file and registry")


def _deploy(place: str, spec: SwarmServiceSpec) -> Iterator[Problem]:
    job = spec.mode.endswith("job")
    if spec.mode.startswith("global") and spec.placement.max_replicas:
        yield Problem(f"{place}.placement.max_replicas_per_node", f"must not be set with mode {spec.mode}")
    if job and (spec.update_config is not None or spec.rollback_config is not None):
        yield Problem(f"{place}.update_config", f"must not be set with mode {spec.mode}, nor rollback_config")
