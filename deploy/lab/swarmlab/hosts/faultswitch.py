"""Switches of ``lab break`` that the drivers look at: a JSON file in STATE/run."""

from __future__ import annotations

import json
from typing import Any

from swarmlab import paths

DEFAULT_BUILD_FAULT = "injected by the lab: the hypervisor could not start the domain"


def read() -> dict[str, Any]:
    """All switches that are on."""
    try:
        loaded: dict[str, Any] = json.loads((paths.RUN / "faults.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return loaded


def write(**changes: Any) -> None:
    """Change switches; None takes one away."""
    switches = {key: value for key, value in {**read(), **changes}.items() if value is not None}
    paths.RUN.mkdir(parents=True, exist_ok=True)
    temporary = paths.RUN / ".faults.json"
    temporary.write_text(json.dumps(switches))
    temporary.replace(paths.RUN / "faults.json")


def take_build_failure() -> str:
    """The fault text with which this build is to fail, or an empty string. A limited number of failures is counted down."""
    failure = read().get("fail_build")
    if not failure:
        return ""
    left = failure.get("count")
    if left is not None:
        write(fail_build={**failure, "count": left - 1} if left > 1 else None)
    return str(failure.get("text") or DEFAULT_BUILD_FAULT)
