"""A Prometheus of the lab, with the project's alerts: `lab prometheus up --target HOST:PORT` scrapes an operator that runs outside of the cluster.

It listens on the loopback address. `lab up` does not start it; `lab down` ends it with everything else. Several can run side by side under names of their own.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from swarmlab import paths, process
from swarmlab.errors import LabError

PORT = 19090
RULES = paths.LAB_DIR.parent / "monitoring" / "rules.yaml"
JOB = "swarm-operator"


def configuration(targets: Sequence[str], rules: Sequence[Path], seconds: float) -> str:
    """prometheus.yml, as JSON, which is YAML. `honor_labels`: the namespace of a metric is the object's, not one of the scraped process."""
    period = f"{max(1, round(seconds * 1000))}ms"
    content = {
        "global": {"scrape_interval": period, "evaluation_interval": period, "scrape_timeout": period},
        "rule_files": [str(rule) for rule in rules],
        "scrape_configs": [{"job_name": JOB, "honor_labels": True, "static_configs": [{"targets": list(targets)}]}],
    }
    return json.dumps(content, indent=1)


def up(name: str, port: int, targets: Sequence[str], rules: Sequence[Path], seconds: float) -> str:
    """Start it, unless it runs, and wait until it is ready; its address. Raises LabError."""
    if not shutil.which("prometheus"):
        raise LabError("there is no prometheus: `lab up` installs Debian's package")
    for target in targets:
        if not re.fullmatch(r"[\w.-]+:\d{1,5}|\[[0-9a-f:]+\]:\d{1,5}", target):
            raise LabError(f"a target is HOST:PORT, not {target!r}")
    directory = _directory(name)
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "prometheus.yml"
    config.write_text(configuration(targets, [rule.resolve() for rule in rules], seconds))
    address = f"{paths.LOOPBACK}:{port}"
    service = process.Service(
        name=name,
        argv=[
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ],
        ready=lambda: _answers(f"http://{address}/-/ready"),
        timeout=60.0,
    )
    process.start(service)
    process.wait_ready(service)
    return f"http://{address}"


def down(name: str) -> bool:
    """Stop it and remove its data; False when it did not run."""
    ran = process.stop(name)
    shutil.rmtree(_directory(name), ignore_errors=True)
    return ran


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `lab prometheus`."""
    command = commands.add_parser("prometheus", help="a Prometheus with the project's alerts, on the loopback address")
    what = command.add_subparsers(required=True, metavar="up|down")
    start = what.add_parser("up", help="start it")
    start.add_argument("--target", action="append", metavar="HOST:PORT", help=f"what to scrape; may be repeated ({paths.LOOPBACK}:8080)")
    start.add_argument("--rules", action="append", type=Path, metavar="FILE", help="rule files instead of deploy/monitoring/rules.yaml")
    start.add_argument("--port", type=int, default=PORT)
    start.add_argument("--seconds", type=float, default=5.0, help="between scrapes, and between evaluations of the rules (%(default)s)")
    start.set_defaults(run=_up)
    stop = what.add_parser("down", help="stop it and remove its data")
    stop.set_defaults(run=_down)
    for each in (start, stop):
        each.add_argument("--name", default="prometheus", help="to run several (%(default)s)")


def _up(arguments: argparse.Namespace) -> int:
    targets = arguments.target or [f"{paths.LOOPBACK}:8080"]
    print(up(_name(arguments), arguments.port, targets, arguments.rules or [RULES], arguments.seconds))
    return 0


def _down(arguments: argparse.Namespace) -> int:
    down(_name(arguments))
    return 0


def _name(arguments: argparse.Namespace) -> str:
    name: str = arguments.name
    if not re.fullmatch(r"prometheus(-[a-z0-9-]{1,40})?", name):
        raise LabError(f"a name is prometheus, or prometheus-SOMETHING, not {name!r}")
    return name


def _directory(name: str) -> Path:
    return paths.STATE / name


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
