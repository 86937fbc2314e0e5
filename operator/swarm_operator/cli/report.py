"""The support bundle of `kubectl swarm report`: objects and Events of one cluster as a zip of YAML, redacted.

It never contains a Secret: none is read. Environment variables and labels of services often carry passwords all the same, so values of `env` are left out, and all text goes
through the redaction of the logs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from swarm_operator import __version__
from swarm_operator.api.base import API_VERSION
from swarm_operator.telemetry.redaction import MASK, redact

Json = dict[str, Any]


def write_report(path: Path, cluster: Json, services: list[Json], events: list[Json]) -> None:
    """Write the bundle to `path`, readable by its owner only."""
    namespace, name = cluster["metadata"]["namespace"], cluster["metadata"]["name"]
    names = {("SwarmCluster", name)} | {("SwarmService", service["metadata"]["name"]) for service in services}
    ours = [event for event in events if event["involvedObject"].get("apiVersion") == API_VERSION and _about(event) in names]
    files = {"cluster.yaml": cluster, "services.yaml": services, "events.yaml": ours, "about.yaml": {"plugin": __version__, "cluster": f"{namespace}/{name}"}}
    path.touch(mode=0o600)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for file, content in files.items():
            bundle.writestr(file, yaml.safe_dump(cleaned(content), sort_keys=False, width=10_000))


def cleaned(value: Any, field: str = "") -> Any:
    """`value` without what may be secret or is only bulk."""
    if isinstance(value, Mapping):
        return {key: cleaned(item, key) for key, item in value.items() if key not in ("managedFields", "kubectl.kubernetes.io/last-applied-configuration")}
    if isinstance(value, list):
        return [_masked(item) if field == "env" else cleaned(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _masked(item: Any) -> Any:
    """An environment variable without its value, as `NAME=value` or as an object."""
    if isinstance(item, Mapping):
        return {key: MASK if key == "value" else cleaned(found, key) for key, found in item.items()}
    name, sign, _ = str(item).partition("=")
    return f"{name}={MASK}" if sign else name


def _about(event: Json) -> tuple[str, str]:
    return event["involvedObject"]["kind"], event["involvedObject"]["name"]
