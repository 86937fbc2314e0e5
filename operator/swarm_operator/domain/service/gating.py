"""Fields that the engine of a cluster is too old for. It would take them without a word and drop them (moby `daemon/server/router/swarm/helpers.go`), and the difference
would stay for ever: nothing is written while the manifest has such a field."""

from __future__ import annotations

import re

from swarm_operator.domain.service.leaf import ApiVersion
from swarm_operator.domain.service.leaves import LEAVES
from swarm_operator.domain.service.render import Desired


def parse_version(text: str) -> ApiVersion | None:
    """ "1.41" is (1, 41); None for what is not a version."""
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    return None if match is None else (int(match.group(1)), int(match.group(2)))


def unsupported(desired: Desired, engine_api_version: str) -> str | None:
    """What to tell where `desired` sets fields that this version of the Docker Engine API lacks; None where there are none, or the version is not known."""
    version = parse_version(engine_api_version)
    if version is None:
        return None
    found: list[str] = []
    for leaf in LEAVES:
        value = desired.leaves.get(leaf.name)
        if value is None:
            continue
        if leaf.since is not None and version < leaf.since:
            found.append(f"spec.{leaf.name} needs API {_text(leaf.since)}")
        found += [
            f"spec.{leaf.name}.{manifest_key(key)} needs API {_text(needed)}" for key, needed in leaf.needs.items() if version < needed and value.get(key)
        ]
    return f"the engine speaks Docker API {engine_api_version}: {', '.join(found)}" if found else None


def manifest_key(key: str) -> str:
    """The manifest's name of a key of the health check: StartInterval is startIntervalSeconds."""
    return key[0].lower() + key[1:] + "Seconds"


def _text(version: ApiVersion) -> str:
    return f"{version[0]}.{version[1]}"
