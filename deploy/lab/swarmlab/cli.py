"""The command line of the lab."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from swarmlab import cloud, leftovers, paths, process
from swarmlab.errors import LabError
from swarmlab.progress import Progress


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    if os.geteuid() != 0:
        print("lab: needs root, as it makes network namespaces and mounts", file=sys.stderr)
        return 2
    try:
        code: int = arguments.run(arguments)
        return code
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _up(arguments: argparse.Namespace) -> int:
    progress = Progress()
    cloud.up(progress, arguments.fake_compute)
    progress.say(f'the lab is up. Next: eval "$({paths.LAB_DIR / "lab"} env)"')
    return 0


def _down(arguments: argparse.Namespace) -> int:
    return _report(cloud.down(Progress()))


def _purge(arguments: argparse.Namespace) -> int:
    cloud.purge(Progress())
    return 0


def _leftovers(arguments: argparse.Namespace) -> int:
    return _report(leftovers.find())


def _report(left: list[str]) -> int:
    for line in left:
        print(line)
    return 1 if left else 0


def _status(arguments: argparse.Namespace) -> int:
    states = cloud.status()
    for name, pid in states:
        print(f"{name:24} {f'running, pid {pid}' if pid else 'not running'}")
    return 0 if all(pid for _, pid in states) else 1


def _env(arguments: argparse.Namespace) -> int:
    print("export OS_CLOUD=swarm")
    print(f"export OS_CLIENT_CONFIG_FILE={paths.CLOUDS_YAML}")
    print(f"export KUBECONFIG={paths.KUBECONFIG}")
    print(f'export PATH="$PATH:{paths.BIN}:{paths.OPENSTACK_VENV / "bin"}"')
    return 0


def _stop_service(arguments: argparse.Namespace) -> int:
    service = cloud.service(arguments.name)
    print("stopped" if process.stop(service.name) else "was not running")
    return 0


def _start_service(arguments: argparse.Namespace) -> int:
    service = cloud.service(arguments.name)
    started = process.start(service)
    process.wait_ready(service)
    print("started" if started else "was running")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Kubernetes, OpenStack and servers on one machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("up", help="bring the lab up, or what is missing of it")
    command.add_argument(
        "--fake-compute",
        type=int,
        default=0,
        metavar="N",
        help="N compute hosts with Nova's fake driver (no real servers) instead of hosts made of namespaces",
    )
    command.set_defaults(run=_up)
    for name, run, text in (
        ("down", _down, "remove all of the lab but its caches; lists what it could not remove"),
        ("purge", _purge, "down, and remove the caches"),
        ("status", _status, "list the services; exit code 1 when one does not run"),
        ("env", _env, "print shell commands that point clients to the lab"),
        ("leftovers", _leftovers, "list what of a lab is on this machine; exit code 1 when there is something"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run)

    faults = commands.add_parser("break", help="make something fail").add_subparsers(required=True, metavar="FAULT")
    for name, run, text in (
        ("stop-service", _stop_service, "stop a service of the control plane"),
        ("start-service", _start_service, "start it again"),
    ):
        command = faults.add_parser(name, help=text)
        command.add_argument("name", help="as in `lab status`")
        command.set_defaults(run=run)
    return parser
