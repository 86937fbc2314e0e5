"""The support bundle of `kubectl swarm report`: objects, Events and the status of one cluster as a tar of YAML and text, redacted.

It never contains a Secret or a ControllerRevision: none is read. Fields of the specs that often carry passwords are masked by name, and all text goes through the redaction of
the logs.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from swarm_operator import __version__
from swarm_operator.api.base import API_VERSION, GROUP
from swarm_operator.cli.context import Context
from swarm_operator.cli.view import Style, tree
from swarm_operator.telemetry.redaction import MASK, redact

Json = dict[str, Any]

LEFT_OUT: Final = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
"""Only bulk, and the second one a copy of the spec as text."""
MASKED_VALUES: Final = frozenset({"options", "logOpts", "driverOpts", "extra", "labels", "containerLabels"})
"""Maps whose keys may be seen: options of log drivers and volumes hold tokens and passwords of file shares, labels those of proxies."""
MASKED_LISTS: Final = frozenset({"command", "args", "test"})
"""Command lines: the first word may be seen."""
MASKED_TEXTS: Final = frozenset({"inline", "compose"})
"""User data, and compose files: what a stack makes of one is in its services."""


def report(context: Context) -> int:
    """Write the bundle and name it."""
    name = context.arguments.name
    path = context.arguments.file or Path(f"{name}-report.tar.gz")
    write_report(path, context.cluster(name), context.services_of(name), context.api.events(context.namespace), context.stacks(context.namespace, name))
    context.out.write(f"{path}\n")
    return 0


def write_report(path: Path, cluster: Json, services: list[Json], events: list[Json], stacks: list[Json]) -> None:
    """Write the bundle to `path`, readable by its owner only."""
    namespace, name = cluster["metadata"]["namespace"], cluster["metadata"]["name"]
    names = {("SwarmCluster", name)} | {("SwarmService", service["metadata"]["name"]) for service in services}
    names |= {("SwarmStack", stack["metadata"]["name"]) for stack in stacks}
    ours = [event for event in events if event["involvedObject"].get("apiVersion") == API_VERSION and _about(event) in names]
    about = {"plugin": __version__, "python": sys.version.split()[0], "cluster": f"{namespace}/{name}", "services": len(services), "events": len(ours)}
    documents = {"about.yaml": about, "cluster.yaml": cluster, "services.yaml": services, "stacks.yaml": stacks, "events.yaml": ours}
    files = {file: yaml.safe_dump(cleaned(content), sort_keys=False, width=10_000) for file, content in documents.items()}
    files["status.txt"] = redact(tree([cluster], services, Style(False), wide=True, stacks=stacks))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    # A file that was there keeps its mode when it is written over.
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w") as bundle:
        for file, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{name}-report/{file}")
            entry.size, entry.mode = len(data), 0o600
            bundle.addfile(entry, io.BytesIO(data))


def cleaned(value: Any, field: str = "", holder: str = "") -> Any:
    """`value` without what may be secret or is only bulk. `field` is its key, `holder` the key of the map that it is in."""
    if isinstance(value, Mapping):
        if field in MASKED_VALUES or (field == "metadata" and holder == "machine"):
            return dict.fromkeys(value, MASK)
        if field == "annotations":
            return {key: redact(str(item)) if key.startswith(f"{GROUP}/") else MASK for key, item in value.items() if key not in LEFT_OUT}
        return {key: cleaned(item, key, field) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        if field == "env":
            return [_masked(item) for item in value]
        if field in MASKED_LISTS:
            return [MASK if index else redact(str(item).split(maxsplit=1)[0] if str(item).strip() else "") for index, item in enumerate(value)]
        return [cleaned(item) for item in value]
    if isinstance(value, str):
        return MASK if field in MASKED_TEXTS else redact(value)
    return value


def _masked(item: Any) -> Any:
    """An environment variable without its value, as `NAME=value` or as an object."""
    if isinstance(item, Mapping):
        return {key: MASK if key == "value" else cleaned(found, key) for key, found in item.items()}
    name, sign, _ = str(item).partition("=")
    return f"{name}={MASK}" if sign else name


def _about(event: Json) -> tuple[str, str]:
    return event["involvedObject"]["kind"], event["involvedObject"]["name"]
