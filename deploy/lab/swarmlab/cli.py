"""The command line of the lab."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from swarmlab import cloud, fault_commands, gotools, leftovers, paths, prometheus
from swarmlab.errors import LabError
from swarmlab.hosts import guestimage
from swarmlab.hosts import server as hosts
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


def _tools(arguments: argparse.Namespace) -> int:
    gotools.ensure(Progress())
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
    for name, pid in [] if arguments.quiet else states:
        print(f"{name:24} {f'running, pid {pid}' if pid else 'not running'}")
    return 0 if all(pid for _, pid in states) else 1


def _env(arguments: argparse.Namespace) -> int:
    variables = {
        "OS_CLOUD": "swarm",
        "OS_CLIENT_CONFIG_FILE": str(paths.CLOUDS_YAML),
        "KUBECONFIG": str(paths.KUBECONFIG),
        "PATH": f"{paths.BIN}:{os.environ.get('PATH', os.defpath)}",
    }
    for name, value in variables.items():
        print(f"{name}={value}" if arguments.plain else f"export {name}={shlex.quote(value)}")
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    server = _server(arguments.server)
    command = arguments.command or ["/bin/bash", "--login"]
    os.execvp("nsenter", hosts.enter_command(server, *command))


def _console(arguments: argparse.Namespace) -> int:
    sys.stdout.buffer.write(hosts.console(_server(arguments.server)))
    return 0


def _server(name: str) -> str:
    try:
        return hosts.find(name).uuid
    except hosts.ServerError as error:
        raise LabError(str(error)) from error


def _image(arguments: argparse.Namespace) -> int:
    cloud.build_image(Progress(), arguments.name)
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
        ("tools", _tools, "build what tests without the lab need: helm, unless there is one, and the judges of GitOps, of the OLM bundle and of traces"),
        ("purge", _purge, "down, and remove the caches"),
        ("leftovers", _leftovers, "list what of a lab is on this machine; exit code 1 when there is something"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=run)
    command = commands.add_parser("status", help="list the services; exit code 1 when one does not run")
    command.add_argument("--quiet", action="store_true", help="only the exit code")
    command.set_defaults(run=_status)
    command = commands.add_parser("env", help="print shell commands that point clients to the lab")
    command.add_argument("--plain", action="store_true", help="NAME=VALUE lines instead, for programs")
    command.set_defaults(run=_env)
    command = commands.add_parser("ssh", help="a root shell, or a command, inside a running server")
    command.add_argument("server", help="name or id")
    command.add_argument("command", nargs=argparse.REMAINDER)
    command.set_defaults(run=_ssh)
    command = commands.add_parser("console", help="print a server's console log")
    command.add_argument("server", help="name or id")
    command.set_defaults(run=_console)
    command = commands.add_parser("image", help="build a further image and register it when the lab is up")
    command.add_argument("name", choices=sorted(guestimage.SUITES))
    command.set_defaults(run=_image)

    fault_commands.add_to(commands)
    prometheus.add_to(commands)
    return parser
