"""`python -m swarm_operator` and the `swarm-operator` script: run the operator, or print its CRDs."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from swarm_operator import __version__


def execute(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` says; the exit status: see `handlers.application` for those of `run`."""
    from swarm_operator.handlers import settings

    parser = argparse.ArgumentParser(prog="swarm-operator", description="Docker swarms on OpenStack, declared as Kubernetes resources.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    settings.add_arguments(commands.add_parser("run", help="run the operator"), os.environ)
    commands.add_parser("crds", help="print the CustomResourceDefinitions")
    arguments = parser.parse_args(argv)
    if arguments.command == "crds":
        from swarm_operator.cli.crds import print_crds

        print_crds(sys.stdout)
        return 0
    try:
        chosen = settings.from_arguments(arguments, os.environ)
    except ValueError as error:
        parser.error(str(error))
    return _run(chosen)


def _run(chosen: object) -> int:
    from swarm_operator.domain.errors import ExternalError
    from swarm_operator.handlers.application import Application
    from swarm_operator.handlers.settings import Settings
    from swarm_operator.telemetry import logs

    assert isinstance(chosen, Settings)
    logs.configure(chosen.log_format, chosen.log_level)
    try:
        application = Application(chosen)
    except (ExternalError, OSError) as error:
        logging.getLogger(__name__).error("can't start: %s", error)
        return 1
    return application.run()


def main() -> None:
    """Entry point. Ends the process at once: threads of other libraries that hang in a call would hold up a normal exit beyond the pod's grace; ours have been stopped."""
    status = execute()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
