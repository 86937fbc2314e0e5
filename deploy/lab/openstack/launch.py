"""Run one OpenStack program of the lab, inside the OpenStack virtual environment.

    launch.py wsgi MODULE PORT [ARG..]  serve ``application`` of a WSGI module on loopback
    launch.py run PROGRAM [ARG..]       run a console script of the virtual environment

Why not the console scripts alone: the API services have none any more (they are WSGI modules for a server of one's
choice), and a Nova virt driver is only found below the package ``nova.virt``, so ours must be put there first.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from pathlib import Path

LAB_DIR = Path(__file__).resolve().parent.parent
THREADS = 8


def serve(module_name: str, port: int, arguments: list[str]) -> None:
    """Serve a WSGI module for ever. Some of the modules parse ``sys.argv``, so it must be what oslo.config understands."""
    sys.argv = [module_name, *arguments]
    application = importlib.import_module(module_name).application
    waitress = importlib.import_module("waitress")
    waitress.serve(application, host="127.0.0.1", port=port, threads=THREADS, ident="", connection_limit=500)


def run(program: str, arguments: list[str]) -> None:
    """Run a console script in this process."""
    sys.argv = [program, *arguments]
    (script,) = importlib.metadata.entry_points(group="console_scripts", name=program)
    if program == "nova-compute":
        # nova.virt.driver.load_compute_driver() prefixes compute_driver with "nova.virt."
        from nova import monkey_patch

        monkey_patch.patch(backend="threading")
        import nova.virt

        nova.virt.__path__.append(str(LAB_DIR))
    sys.exit(script.load()())


if __name__ == "__main__":
    if sys.argv[1] == "wsgi":
        serve(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    else:
        run(sys.argv[2], sys.argv[3:])
