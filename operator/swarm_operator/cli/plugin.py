"""`kubectl swarm`: what is going on in swarms, and what to do about it, for people. Installed as `kubectl-swarm`, also `python -m swarm_operator.cli`.

Works with the user's own kubeconfig and rights. Each group of commands has a module; here are their flags, and the entry point. A module is imported when one of its commands runs, so
that the completion of a shell, which needs the flags only, is there at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from swarm_operator import __version__
from swarm_operator.cli import completion
from swarm_operator.cli.context import Api, Context, Engine
from swarm_operator.cli.output import LISTING
from swarm_operator.domain.errors import ExternalError
from swarm_operator.ports.swarm import TlsMaterial

Command = Callable[[Context], int]
TARGET = "NAME of a SwarmCluster, service/NAME or stack/NAME"


class _Verbs:
    """Adds commands that all take the flags of a kubectl command, before the command's name or after it. `completes` says what the command's positional arguments name."""

    def __init__(self, top: argparse.ArgumentParser) -> None:
        _common(top, {"namespace": None, "kubeconfig": None, "context": None, "color": "auto"})
        self._verbs = top.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def __call__(self, name: str, run: Command, text: str, completes: str = "") -> argparse.ArgumentParser:
        verb = self._verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        # What is not given here shall not undo what was given before the command's name.
        _common(verb, dict.fromkeys(("namespace", "kubeconfig", "context", "color"), argparse.SUPPRESS))
        verb.set_defaults(run=run, completes=completes)
        return verb


def _later(module: str, function: str) -> Command:
    """A command of `swarm_operator.cli.<module>`, which is imported when it runs."""

    def run(context: Context) -> int:
        command: Command = getattr(importlib.import_module(f"swarm_operator.cli.{module}"), function)
        return command(context)

    run.__qualname__ = f"{module}.{function}"
    return run


def _common(parser: argparse.ArgumentParser, defaults: dict[str, str | None]) -> None:
    parser.add_argument("--namespace", "-n", default=defaults["namespace"], help="default: that of the context")
    parser.add_argument("--kubeconfig", default=defaults["kubeconfig"], help="default: $KUBECONFIG, ~/.kube/config")
    parser.add_argument("--context", default=defaults["context"], help="of the kubeconfig; default: the current one")
    parser.add_argument("--color", choices=("auto", "always", "never"), default=defaults["color"], help="auto: on a terminal, unless NO_COLOR is set")


def _listing(verb: argparse.ArgumentParser, choices: Sequence[str] = LISTING, *, everywhere: bool = False) -> None:
    verb.add_argument("--output", "-o", choices=choices, default=choices[0])
    if everywhere:
        verb.add_argument("--all-namespaces", "-A", action="store_true")


def parser() -> argparse.ArgumentParser:
    """Flags as kubectl has them."""
    top = argparse.ArgumentParser(prog="kubectl swarm", description="Swarms as swarm-operator keeps them.")
    top.add_argument("--version", action="version", version=__version__)
    verbs = _Verbs(top)
    _reading(verbs)
    _changing(verbs)
    _of_the_swarm(verbs)
    return top


def _reading(verbs: _Verbs) -> None:
    verb = verbs("status", _later("show", "status"), "clusters, machines, stacks and services as a tree", "cluster")
    verb.add_argument("name", nargs="?", help="one SwarmCluster")
    _listing(verb, ("tree", "wide", "json", "yaml"), everywhere=True)
    verb = verbs("events", _later("show", "events"), "Events of our kinds, oldest first", "target")
    verb.add_argument("target", nargs="?", help=TARGET)
    verb.add_argument("--watch", "-w", action="store_true", help="go on until interrupted")
    _listing(verb, ("text", "json", "yaml"))
    verb = verbs(
        "orphans", _later("show", "orphans"), "what is left in the cloud and serves no part of its cluster; exit status 3 when there is something", "cluster"
    )
    verb.add_argument("name", nargs="?", help="one SwarmCluster")
    _listing(verb, everywhere=True)
    verb = verbs("history", _later("show", "history"), "revisions of a service", "service")
    verb.add_argument("service", help="a SwarmService")
    _listing(verb)
    verb = verbs("plan", _later("planning", "planned"), "what the operator would do next, as things are or as a manifest would make them", "target")
    verb.add_argument("target", nargs="?", help="NAME of a SwarmCluster, with its services, or service/NAME; default: all of the namespace")
    verb.add_argument("--filename", "-f", metavar="FILE", help="plan this manifest, as if it were applied; - for standard input")
    verb.add_argument("--exit-code", action="store_true", help="exit status 3 when there is something to do")
    _listing(verb, ("text", "json", "yaml"))
    verb = verbs("wait", _later("wait", "wait"), "wait for a condition, and show what goes on meanwhile", "target")
    verb.add_argument("target", help=TARGET)
    verb.add_argument("--for", dest="condition", default="Ready", metavar="CONDITION[=STATUS]", help="a condition, or `delete`; default: Ready")
    verb.add_argument("--timeout", type=seconds, default=600.0, metavar="DURATION", help="default: 10m")
    verb = verbs("completion", _print_completion, "print the completion of kubectl-swarm for a shell", "shell")
    verb.add_argument("shell", choices=tuple(completion.SHELLS))
    verb = verbs("docker-env", _later("dockerenv", "docker_env"), "write the client certificate and print exports for the docker command", "cluster")
    verb.add_argument("name", help="a SwarmCluster")
    verb.add_argument("--directory", type=Path, help="for the certificates; default: ~/.docker/swarm-operator/NAMESPACE/NAME")
    verb = verbs("report", _later("report", "report"), "write a support bundle without secrets", "cluster")
    verb.add_argument("name", help="a SwarmCluster")
    verb.add_argument("--file", type=Path, help="default: NAME-report.tar.gz")


def _changing(verbs: _Verbs) -> None:
    verbs("pause", _later("change", "pause"), "have the operator change nothing", "target").add_argument("target", help=TARGET)
    verbs("resume", _later("change", "resume"), "end a pause", "target").add_argument("target", help=TARGET)
    verb = verbs("restart", _later("change", "restart"), "replace the tasks of services once, as their update settings say", "service")
    verb.add_argument("services", nargs="+", metavar="SERVICE", help="a SwarmService")
    verb = verbs("rollback", _later("change", "rollback"), "hold a service at an earlier revision", "service")
    verb.add_argument("service", help="a SwarmService")
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--to-revision", type=int, metavar="N", help="see `history`; default: the one that was applied before the present one")
    which.add_argument("--release", action="store_true", help="end it: the spec applies again")
    verb = verbs("adopt", _later("change", "adopt"), "take over a service of the swarm that nobody owns, as the SwarmService declares it", "service")
    verb.add_argument("service", help="a SwarmService that waits with NameConflict")
    verb = _machine(verbs("replace", _later("change", "replace"), "have a machine replaced: drained, removed and made anew", "machine"))
    verb.add_argument("--cancel", action="store_true", help="take the wish back, as far as nothing has been done")
    verb = verbs("renew", _later("change", "renew"), "have all machines of a cluster made anew, a few at a time", "cluster")
    verb.add_argument("name", help="a SwarmCluster")
    verb = verbs("backup", _later("change", "backup"), "have the raft state of a swarm saved now", "cluster")
    verb.add_argument("name", help="a SwarmCluster")
    verb = verbs("rotate", _later("change", "rotate"), "have join tokens, the unlock key or the CA of a swarm made anew", "rotation")
    verb.add_argument("name", help="a SwarmCluster")
    verb.add_argument("what", nargs="*", metavar="WHAT", help=f"any of {', '.join(completion.ROTATIONS)}; default: join-tokens")


def _of_the_swarm(verbs: _Verbs) -> None:
    verb = verbs("ps", _later("swarm", "ps"), "tasks of a service, with their nodes and errors", "service")
    verb.add_argument("service", help="a SwarmService")
    verb.add_argument("--current", action="store_true", help="only tasks that shall run")
    _listing(verb)
    verb = verbs("logs", _later("swarm", "logs"), "what the tasks of a service write, on whichever nodes they are", "service")
    verb.add_argument("service", help="a SwarmService")
    verb.add_argument("--follow", "-f", action="store_true", help="go on until interrupted")
    verb.add_argument("--tail", default="all", metavar="N", help="so many of the last lines of each task; default: all")
    verb.add_argument("--since", type=seconds, metavar="DURATION", help="only what is younger: 90s, 10m, 2h, 1d")
    verb.add_argument("--timestamps", "-t", action="store_true", help="the engine's time of each line")
    verb.add_argument("--raw", action="store_true", help="lines alone, without task and node")
    verb = verbs("top", _later("swarm", "top"), "machines with their tasks and what these have reserved", "cluster")
    verb.add_argument("name", help="a SwarmCluster")
    _listing(verb)
    verb = _machine(verbs("drain", _later("swarm", "drain"), "have the tasks of a machine run elsewhere", "machine"))
    verb.add_argument("--wait", action="store_true", help="until no task is left there")
    verb.add_argument("--timeout", type=seconds, default=300.0, metavar="DURATION", help="of --wait; default: 5m")
    _machine(verbs("undrain", _later("swarm", "undrain"), "have a machine take tasks again", "machine"))
    verb = _machine(verbs("ssh", _later("ssh", "ssh"), "log in to a machine, or run a command there: ssh MACHINE -- COMMAND", "machine"))
    verb.add_argument("--tty", "-t", action="store_true", help="a terminal for the command too")


def _print_completion(context: Context) -> int:
    context.out.write(completion.SHELLS[context.arguments.shell])
    return 0


def _machine(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb.add_argument("machine", help="name of a machine, as in `status`")
    verb.add_argument("--cluster", help="its SwarmCluster, where several have one of that name")
    return verb


def seconds(text: str) -> float:
    """A duration as kubectl takes it: 90s, 10m, 1h30m; a bare number is seconds. Raises ValueError."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    if not re.fullmatch(r"([0-9]+(ms|[smhd]))+", text):
        raise ValueError(f"no duration: {text!r}")
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"([0-9]+)(ms|[smhd])", text))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The flags. What follows `--` is a command for `ssh`, and nothing for the others."""
    flags, command = (list(argv[: argv.index("--")]), list(argv[argv.index("--") + 1 :])) if "--" in argv else (list(argv), [])
    top = parser()
    arguments = top.parse_args(flags)
    if command and arguments.verb != "ssh":
        top.error(f"unrecognized arguments: {' '.join(command)}")
    arguments.command = command
    return arguments


def _open_engine(endpoints: list[str], tls: TlsMaterial) -> Engine:
    from swarm_operator.adapters.docker.user import UserSwarm

    return UserSwarm(endpoints, tls)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `kubectl-swarm`; 1 when something outside refuses or can't be reached, 2 for wrong flags, else what the command says."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    from swarm_operator.adapters.kubernetes.user import UserApi
    from swarm_operator.api.parse import SpecError

    try:
        # The script of a shell's start-up is printed also where there is no kubeconfig.
        api = UserApi(arguments.kubeconfig, arguments.context) if arguments.verb != "completion" else None
        context = Context(arguments, cast(Api, api), arguments.namespace or (api.namespace if api else ""), sys.stdout, sys.stderr, _open_engine)
        status = int(arguments.run(context))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read, such as `head`, has enough. What is still in the buffer would fail once more at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ExternalError, SpecError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
