"""`make bench`: what it costs the engine to keep N services as declared, beside the same by `docker stack deploy`, on one engine in one run.

The calls are counted by the engine itself, in its debug log; so those of both are counted alike. CPU-seconds are those of this process (the operator's controller, its queue and session, over a
Kubernetes API in memory) and of the docker commands. Services have `replicas: 0`: what is measured is the talk with the engine, not the start of containers.

Needs root, dockerd and ip, as the tests on a private engine do. Exit status 2 where these are missing.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from integration.live_service import CLUSTER, Running, until
from integration.private_engine import PrivateEngine
from swarm_operator.ports.objects import Key

_CALL = re.compile(r"(?:Calling|handling) (GET|HEAD|POST|DELETE|PUT)[^\n]*? /")


@dataclass(frozen=True)
class Cost:
    """`calls` by method, as the engine counted them."""

    calls: Counter[str]
    cpu_seconds: float

    @property
    def reads(self) -> int:
        return self.calls["GET"] + self.calls["HEAD"]

    @property
    def writes(self) -> int:
        return sum(self.calls.values()) - self.reads


class Engine(PrivateEngine):
    """A private engine that tells how often it was called."""

    def calls(self) -> Counter[str]:
        return Counter(_CALL.findall((self._dir / "dockerd.log").read_text()))


def cpu() -> float:
    """Of this process and of the commands that it has waited for. dockerd is not among them: it still runs."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measured(engine: Engine, work: Callable[[], None]) -> Cost:
    before, used = engine.calls(), cpu()
    work()
    return Cost(engine.calls() - before, cpu() - used)


class Ours:
    """N SwarmServices under the operator's controller."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._running, self._count = Running(engine), count

    def apply(self, label: str) -> None:
        """Declare all of them, and wait until each is Ready as declared."""
        keys = [Key("SwarmService", "default", f"ours-{n}") for n in range(self._count)]
        for key in keys:
            self._running.objects.put(
                key, {"clusterRef": {"name": CLUSTER.name}, "image": "none", "replicas": 0, "labels": {"round": label}}, f"uid-{key.name}"
            )
            self._running.queue.add(key)
        for key in keys:
            until(lambda key=key: self._is_ready(key), 300, f"{key.name} is Ready")  # type: ignore[misc]
        until(self._is_idle, 60, "every object was looked at")

    def _is_idle(self) -> bool:
        figures = self._running.queue.figures()
        return not (figures.depth or figures.in_flight)

    def _is_ready(self, key: Key) -> bool:
        found = self._running.objects.resources[key]
        return any(
            c["type"] == "Ready" and c["status"] == "True" and c.get("observedGeneration") == found.generation for c in found.status.get("conditions", ())
        )

    def close(self) -> None:
        self._running.close()


class Peer:
    """The same services as one compose file under `docker stack deploy`."""

    def __init__(self, engine: Engine, count: int, directory: Path) -> None:
        self._engine, self._count, self._file = engine, count, directory / "compose.yaml"

    def apply(self, label: str) -> None:
        services: dict[str, Any] = {f"s-{n}": {"image": "none", "deploy": {"replicas": 0, "labels": {"round": label}}} for n in range(self._count)}
        self._file.write_text(yaml.safe_dump({"version": "3.8", "services": services}))
        self._engine.docker("stack", "deploy", "--resolve-image=never", "-c", str(self._file), "peer")


def table(rows: list[tuple[str, Cost, Cost]], count: int) -> str:
    """Markdown."""
    lines = [
        f"{count} services; ours / `docker stack deploy`:",
        "",
        "| | reads | writes | CPU-seconds | ratio of writes |",
        "|---|---:|---:|---:|---:|",
    ]
    for title, ours, peer in rows:
        ratio = f"{ours.writes / peer.writes:.2f}" if peer.writes else "-"
        lines.append(f"| {title} | {ours.reads} / {peer.reads} | {ours.writes} / {peer.writes} | {ours.cpu_seconds:.2f} / {peer.cpu_seconds:.2f} | {ratio} |")
    return "\n".join(lines)


def run(count: int) -> list[tuple[str, Cost, Cost]]:
    """Title, ours, theirs."""
    engine = Engine("--debug")
    with tempfile.TemporaryDirectory() as directory:
        try:
            engine.start()
            engine.init_swarm()
            ours, peer = Ours(engine, count), Peer(engine, count, Path(directory))
            rows = []
            for title, label in (("made", "1"), ("applied again, unchanged", "1"), ("a label of each changed", "2")):
                rows.append((title, measured(engine, lambda label=label: ours.apply(label)), measured(engine, lambda label=label: peer.apply(label))))  # type: ignore[misc]
            ours.close()
        finally:
            engine.stop()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="What it costs the engine to keep services as declared.")
    parser.add_argument("--services", type=int, default=50)
    count = parser.parse_args().services
    if not PrivateEngine.possible():
        print("needs root, dockerd and ip", file=sys.stderr)
        return 2
    print(table(run(count), count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
