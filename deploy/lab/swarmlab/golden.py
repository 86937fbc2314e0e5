"""The golden database: all schemas and the first content of Keystone, made once and copied at each start.

Schema migrations of six services take most of a minute; a copy of their result takes a second. A golden copy belongs to
one set of package versions, one recipe and one STATE directory (Nova's cell mappings hold paths), and is only used whole.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swarmlab import cloudapi, database, identity, openstack, openstack_conf, paths, process, rabbitmq, secrets
from swarmlab.errors import LabError
from swarmlab.progress import Progress

_PARTS = {
    "db": paths.DATABASE,
    "secrets": paths.ETC / "secrets",
    "fernet-keys": paths.ETC / "keystone" / "fernet-keys",
    "credential-keys": paths.ETC / "keystone" / "credential-keys",
}
"""Name in the golden copy -> place in STATE."""


def directory() -> Path:
    """Where the golden copy for this code, these packages and this STATE is or will be."""
    digest = hashlib.sha256(f"{openstack.requirements_digest()} {paths.STATE}".encode())
    for module in ("golden", "identity", "database", "cloudapi"):
        digest.update((Path(__file__).parent / f"{module}.py").read_bytes())
    version = subprocess.run(["/usr/sbin/mariadbd", "--no-defaults", "--version"], capture_output=True, check=True).stdout
    digest.update(version)
    return paths.CACHE / f"golden-{digest.hexdigest()[:12]}"


def restore(progress: Progress) -> bool:
    """Put the golden copy into an empty STATE. False when there is none, so that :func:`make` is needed.

    Does nothing and returns True when STATE already has its database.
    """
    done = _marker()
    if done.exists():
        return True
    process.stop("mariadb", grace=0)  # of a start that was killed half-way
    for place in _PARTS.values():
        shutil.rmtree(place, ignore_errors=True)
    source = directory()
    if not source.exists():
        return False
    with progress.step("copy the golden database"):
        for name, place in _PARTS.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            process.run(["cp", "-aT", "--reflink=auto", str(source / name), str(place)], name="golden")
    done.touch()
    return True


def make(progress: Progress) -> None:
    """Make the databases from nothing in STATE and keep a golden copy of them. Configuration files must be in place.

    Keystone and MariaDB are stopped at the end, as they are before :func:`restore` returns.
    """
    with progress.step("MariaDB from nothing"):
        database.initialise(paths.DATABASE)
        server = database.service(paths.DATABASE)
        process.start(server)
        process.wait_ready(server)
        database.create_schemas()
    with progress.step("schemas of all services (a minute or so)", announce=True), ThreadPoolExecutor(2) as pool:
        for result in [pool.submit(work) for work in (_nova, _others)]:
            result.result()
    with progress.step("services and users in Keystone"):
        keystone = openstack.service("keystone")
        process.start(keystone)
        process.wait_ready(keystone)
        identity.populate(cloudapi.Cloud("admin", secrets.get("admin"), "admin"))
        process.stop("keystone")
    with progress.step("keep the golden copy"):
        process.stop("mariadb", grace=60)
        _keep()
    _marker().touch()


def _nova() -> None:
    tool = openstack.tool
    tool("nova-manage", "api_db", "sync")
    tool("nova-manage", "cell_v2", "map_cell0", "--database_connection", database.url("nova_cell0"))
    tool("nova-manage", "db", "sync")
    connections = ["--transport-url", rabbitmq.transport_url(), "--database_connection", database.url("nova")]
    tool("nova-manage", "cell_v2", "create_cell", "--name", "cell1", *connections)


def _others() -> None:
    tool = openstack.tool
    tool("keystone-manage", "db_sync")
    for kind in ("fernet", "credential"):
        (paths.ETC / "keystone" / f"{kind}-keys").mkdir(mode=0o700, exist_ok=True)
        tool("keystone-manage", f"{kind}_setup", "--keystone-user", "root", "--keystone-group", "root")
    endpoints = [word for kind in ("admin", "internal", "public") for word in (f"--bootstrap-{kind}-url", openstack_conf.AUTH_URL)]
    region = ["--bootstrap-region-id", openstack_conf.REGION]
    tool("keystone-manage", "bootstrap", "--bootstrap-password", secrets.get("admin"), *endpoints, *region)
    tool("neutron-db-manage", "upgrade", "heads")
    tool("placement-manage", "db", "sync")
    tool("glance-manage", "db_sync")
    tool("cinder-manage", "db", "sync")


def _keep() -> None:
    if process.running("mariadb") is not None:
        raise LabError("MariaDB did not stop: a copy of its files would not be whole")
    target = directory()
    unfinished = target.with_name(target.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    for name, place in _PARTS.items():
        process.run(["cp", "-aT", "--reflink=auto", str(place), str(unfinished / name)], name="golden")
    unfinished.rename(target)
    for old in paths.CACHE.glob("golden-*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def _marker() -> Path:
    return paths.STATE / "database-is-whole"
