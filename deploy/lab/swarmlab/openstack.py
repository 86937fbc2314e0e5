"""The OpenStack services as processes, and their virtual environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from swarmlab import openstack_conf, paths, probe, process
from swarmlab.progress import Progress

REQUIREMENTS = paths.LAB_DIR / "requirements-openstack.txt"

_WSGI = {
    "keystone": ("keystone.wsgi.api", paths.PORT_KEYSTONE),
    "placement": ("placement.wsgi.api", paths.PORT_PLACEMENT),
    "glance": ("glance.wsgi.api", paths.PORT_GLANCE),
    "neutron": ("neutron.wsgi.api", paths.PORT_NEUTRON),
    "nova-api": ("nova.wsgi.osapi_compute", paths.PORT_NOVA),
    "nova-metadata": ("nova.wsgi.metadata", paths.PORT_NOVA_METADATA),
    "cinder-api": ("cinder.wsgi.api", paths.PORT_CINDER),
}
"""Service -> its WSGI module and its port."""

_WORKERS = ("nova-conductor", "nova-scheduler", "cinder-scheduler", "cinder-volume")


def ensure_venv(progress: Progress) -> None:
    """Install the pinned OpenStack into its virtual environment, unless exactly that is there."""
    wanted = requirements_digest()
    stamp = paths.OPENSTACK_VENV / "requirements.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    with progress.step("install OpenStack from PyPI (2 minutes or so)", announce=True):
        shutil.rmtree(paths.OPENSTACK_VENV, ignore_errors=True)
        process.run([sys.executable, "-m", "venv", str(paths.OPENSTACK_VENV)], name="pip")
        argv = [str(paths.OPENSTACK_PYTHON), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)]
        process.run(argv, name="pip", env=dict(os.environ))
        stamp.write_text(wanted)


def requirements_digest() -> str:
    """Identifies the pinned set of OpenStack packages."""
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()


def environment() -> dict[str, str]:
    """What the OpenStack programs find in their environment besides the lab's marks."""
    etc = paths.ETC
    return {
        "PYTHONPATH": f"{python_path_dir()}:{paths.LAB_DIR}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "PATH": f"{paths.OPENSTACK_VENV / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "XDG_CACHE_HOME": str(paths.STATE / "cache"),
        "OS_KEYSTONE_CONFIG_DIR": str(etc / "keystone"),
        "OS_GLANCE_CONFIG_DIR": str(etc / "glance"),
        "OS_PLACEMENT_CONFIG_DIR": str(etc / "placement"),
        "OS_NEUTRON_CONFIG_DIR": str(etc / "neutron"),
        "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini",
        "OS_NOVA_CONFIG_DIR": str(etc / "nova"),
    }


def python_path_dir() -> Path:
    """A directory on PYTHONPATH for the metadata of plug-ins (entry points) that are made at run time."""
    return paths.ETC / "python"


def tool(name: str, *arguments: str) -> str:
    """Run a management program (``nova-manage`` and the like) to its end and return what it printed."""
    project = name.partition("-")[0]
    config = [f"--config-file={paths.ETC / project / f'{project}.conf'}"] if name != "glance-manage" else []
    if name == "glance-manage":
        config = [f"--config-file={paths.ETC / 'glance' / 'glance-api.conf'}"]
    elif name == "neutron-db-manage":
        config.append(f"--config-file={paths.ETC / 'neutron' / 'ml2_conf.ini'}")
    argv = [str(paths.OPENSTACK_VENV / "bin" / name), *config, *arguments]
    return process.run(argv, name=f"{name}", env=environment())


def service(name: str) -> process.Service:
    """An API service or a worker by its name. Workers report their readiness through Nova and Cinder, not here."""
    launcher = [str(paths.OPENSTACK_PYTHON), str(paths.LAB_DIR / "openstack" / "launch.py")]
    if name in _WSGI:
        module, port = _WSGI[name]
        url = f"http://{paths.LOOPBACK}:{port}/"
        argv = [*launcher, "wsgi", module, str(port)]
        if name == "cinder-api":  # the one that knows no OS_..._CONFIG_DIR
            argv.append(f"--config-file={paths.ETC / 'cinder' / 'cinder.conf'}")
        return process.Service(name, argv, lambda: probe.http(url), environment())
    project = name.partition("-")[0]
    program = "nova-compute" if name.startswith("nova-compute-") else name
    files = [paths.ETC / project / f"{project}.conf"]
    if program == "nova-compute":
        files.append(openstack_conf.compute_file(name))
    argv = [*launcher, "run", program, *(f"--config-file={file}" for file in files)]
    return process.Service(name, argv, None, environment())


def api_services() -> list[str]:
    """Names of the services with an API, Keystone first."""
    return list(_WSGI)


def worker_services() -> list[str]:
    """Names of the services that are only reached through the message bus, compute hosts left out."""
    return list(_WORKERS)


def compute_services(hosts: int) -> list[str]:
    """Names of the compute services of that many hosts; the first is called like the program."""
    return [f"nova-compute-{number}" if number > 1 else "nova-compute" for number in range(1, hosts + 1)]


def write_entry_points(groups: dict[str, dict[str, str]]) -> None:
    """Make plug-ins of ours known to the services by an installed distribution's metadata, which is what stevedore reads."""
    info = python_path_dir() / "swarmlab_openstack-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: swarmlab-openstack\nVersion: 1\n")
    lines = [f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in all_.items()) for group, all_ in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
