"""``lab break``: the faults as subcommands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from swarmlab import cloud, faults, process

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

Action = Callable[[argparse.Namespace], str]
"""Does what the arguments say and returns a line for people."""

_ON_A_SERVER: tuple[tuple[str, Callable[[str], str], str], ...] = (
    ("kill-host", faults.kill_host, "a server is dead at once, and Nova is not told"),
    ("power-off", faults.power_off_host, "a guest powers itself off, which Nova sees"),
    ("freeze-host", faults.freeze_host, "every process of a server stops where it is"),
    ("thaw-host", lambda server: faults.freeze_host(server, frozen=False), "they go on"),
    ("cut-network", faults.cut_network, "pull the cables of a server"),
    ("heal-network", faults.heal_network, "put them back"),
    ("heal-dockerd", faults.heal_dockerd, "undo kill-dockerd --stay"),
)


def add_to(commands: Subparsers) -> None:
    """Add ``break`` and its subcommands to the commands of the lab."""
    parser = commands.add_parser("break", help="make something fail, or work again")
    subparsers = parser.add_subparsers(required=True, metavar="FAULT")
    _add_server_faults(subparsers)
    _add_cloud_faults(subparsers)


def _add_server_faults(subparsers: Subparsers) -> None:
    for name, act, text in _ON_A_SERVER:
        _on_a_server(subparsers, name, text, _for_server(act))
    command = _on_a_server(
        subparsers,
        "kill-dockerd",
        "kill a server's engine; systemd starts it again",
        lambda arguments: faults.kill_dockerd(arguments.server, arguments.stay),
    )
    command.add_argument("--stay", action="store_true", help="and keep it down until the next boot")


def _for_server(act: Callable[[str], str]) -> Action:
    return lambda arguments: act(arguments.server)


def _add_cloud_faults(subparsers: Subparsers) -> None:
    command = _add(subparsers, "fail-build", "servers go to ERROR while they are built", _fail_build)
    command.add_argument("state", choices=("on", "off"))
    command.add_argument("--text", default="", help="the fault text")
    command.add_argument("--count", type=int, help="only so many builds")
    command = _add(subparsers, "no-valid-host", "no compute host takes servers", lambda arguments: faults.no_valid_host(arguments.state))
    command.add_argument("state", choices=("on", "off"))
    command = _add(subparsers, "quota", "set a quota of the project swarm", lambda arguments: faults.quota(arguments.name, arguments.value))
    command.add_argument("name", choices=sorted(faults.QUOTAS), metavar="NAME", help=", ".join(sorted(faults.QUOTAS)))
    command.add_argument("value", type=int, help="-1 for no limit")
    for name, act, text in (
        ("stop-service", _stop_service, "stop a service of the control plane"),
        ("start-service", _start_service, "start it again"),
    ):
        command = _add(subparsers, name, text, act)
        command.add_argument("name", help="as in `lab status`")


def _on_a_server(subparsers: Subparsers, name: str, text: str, act: Action) -> argparse.ArgumentParser:
    command = _add(subparsers, name, text, act)
    command.add_argument("server", help="name or id")
    return command


def _add(subparsers: Subparsers, name: str, text: str, act: Action) -> argparse.ArgumentParser:
    def run(arguments: argparse.Namespace) -> int:
        print(act(arguments))
        return 0

    command: argparse.ArgumentParser = subparsers.add_parser(name, help=text)
    command.set_defaults(run=run)
    return command


def _fail_build(arguments: argparse.Namespace) -> str:
    return faults.fail_build(arguments.state, arguments.text, arguments.count)


def _stop_service(arguments: argparse.Namespace) -> str:
    name = cloud.service(arguments.name).name
    return f"{name} {'is stopped' if process.stop(name) else 'was not running'}"


def _start_service(arguments: argparse.Namespace) -> str:
    service = cloud.service(arguments.name)
    started = process.start(service)
    process.wait_ready(service)
    return f"{service.name} {'runs' if started else 'was running'}"
