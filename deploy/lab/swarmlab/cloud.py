"""Bring the whole lab up and take it down."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from swarmlab import (
    cloudapi,
    content,
    database,
    dataplane,
    golden,
    hostpackages,
    kubernetes,
    leftovers,
    openstack,
    openstack_conf,
    paths,
    process,
    rabbitmq,
)
from swarmlab.errors import LabError
from swarmlab.hosts import guestimage, registry
from swarmlab.hosts import plane as hosts
from swarmlab.progress import Progress


def up(progress: Progress, fake_compute: int = 0) -> None:
    """Bring the lab up, or what is missing of it. ``fake_compute`` > 0: that many of Nova's fake hosts, and no data plane.

    Raises LabError; what runs by then stays up for a look, ``up`` may be repeated and ``down`` clears it away.
    """
    with _alone():
        plane: dataplane.Plane = dataplane.Fake(fake_compute) if fake_compute else dataplane.Namespaces()
        _download(progress, plane)
        paths.STATE.mkdir(parents=True, exist_ok=True)
        paths.STATE.chmod(0o711)
        for directory in (paths.ETC, paths.LOG, paths.RUN):
            directory.mkdir(exist_ok=True, mode=0o700)
        _check_kind(plane)
        whole = golden.restore(progress)  # before anything else, as it brings the secrets that all parts use
        with ThreadPoolExecutor(3) as pool:
            jobs = [
                pool.submit(_kubernetes, progress),
                pool.submit(plane.prepare, progress),
                pool.submit(_openstack, progress, plane, whole),
            ]
            for job in jobs:
                job.result()
        plane.start_agents(progress)


def down(progress: Progress) -> list[str]:
    """Remove everything of the lab but its caches; returns what could not be removed. Safe to repeat, at any state."""
    with _alone():
        with progress.step("stop all processes"):
            process.kill_all()
        with progress.step("remove servers and networks"):
            dataplane.Namespaces().remove()
            process.kill_all()
        with progress.step("remove mounts, devices and files"):
            for point in leftovers.find_mounts():
                _quietly("umount", "-l", point)
            for device in leftovers.find_loops():
                _quietly("losetup", "-d", device)
            for group in leftovers.find_cgroups():
                with contextlib.suppress(OSError):
                    group.rmdir()
            if not leftovers.find_mounts():  # never remove files through a mount that stayed
                shutil.rmtree(paths.STATE, ignore_errors=True)
    return leftovers.find()


def purge(progress: Progress) -> None:
    """Remove the caches as well."""
    left = down(progress)
    if left:
        raise LabError("not removing the caches while parts of a lab remain: " + "; ".join(left))
    shutil.rmtree(paths.CACHE, ignore_errors=True)


def build_image(progress: Progress, image: str) -> None:
    """Build one of the further guest images; Glance gets it at once when the lab is up, else at the next start."""
    with progress.step(f"build guest image {image} (3 minutes or so)", announce=True):
        guestimage.ensure(paths.CACHE, progress.say, image)
    if process.running("glance") is not None:
        dataplane.of_state().ensure_images(content.admin())


def status() -> list[tuple[str, int | None]]:
    """Every service of the lab with its pid, None for one that is not running."""
    names = ["etcd", "kube-apiserver", "kube-controller-manager", "mariadb", "rabbitmq"]
    plane = dataplane.of_state()
    names += [*openstack.api_services(), *_workers(plane), *plane.agent_names()]
    return [(name, process.running(name)) for name in names]


def service(name: str) -> process.Service:
    """A service of the lab by its name, to be stopped and started. Raises LabError when there is none of that name."""
    if name in (*openstack.api_services(), *_workers(dataplane.of_state())):
        return openstack.service(name)
    for other in (
        hosts.agent(),
        registry.service(),
        kubernetes.etcd(),
        kubernetes.apiserver(),
        kubernetes.controller_manager(),
        rabbitmq.service(),
    ):
        if other.name == name:
            return other
    if name == "mariadb":
        return database.service(paths.DATABASE)
    raise LabError(f"no service {name!r}; there are: {', '.join(known for known, _ in status())}")


def _download(progress: Progress, plane: dataplane.Plane) -> None:
    """Everything that needs a package registry, before the lab's external network can hide one (paths.EXTERNAL_CIDR)."""
    if hostpackages.missing():
        with progress.step("install Debian packages", announce=True):
            hostpackages.ensure()
    with ThreadPoolExecutor(3) as pool:
        works = (openstack.ensure_venv, kubernetes.ensure_programs, plane.download)
        for job in [pool.submit(work, progress) for work in works]:
            job.result()


def _kubernetes(progress: Progress) -> None:
    with progress.step("Kubernetes API"):
        kubernetes.configure()
        for part in (kubernetes.etcd(), kubernetes.apiserver()):
            process.start(part)
            process.wait_ready(part)
        kubernetes.write_kubeconfig()
        process.start(kubernetes.controller_manager())


def _openstack(progress: Progress, plane: dataplane.Plane, whole: bool) -> None:
    openstack_conf.write(plane.nova_conf(), plane.neutron_conf(), plane.ml2_conf(), plane.cinder_conf())
    for number, name in enumerate(openstack.compute_services(plane.compute_hosts), 1):
        openstack_conf.write_compute(name, number)
    openstack.write_entry_points(plane.entry_points())
    if not whole:
        golden.make(progress)
    rabbitmq.configure()
    mariadb, broker = database.service(paths.DATABASE), rabbitmq.service()
    apis = [openstack.service(name) for name in openstack.api_services()]
    computes = openstack.compute_services(plane.compute_hosts)
    with progress.step("MariaDB, RabbitMQ and OpenStack services"):
        _start([mariadb, broker])
        process.wait_ready(mariadb)
        # They load their code while the broker starts. The conductor goes first: when nova-compute asks for it and gets no
        # answer, it waits for ten seconds before it asks again (nova.conductor.api.API.wait_until_ready).
        _start([openstack.service("nova-conductor"), *apis])
        process.wait_ready(broker)
        _start([openstack.service(name) for name in _workers(plane) if name not in computes])
        _wait(apis)
        _start([openstack.service(name) for name in computes])
    plane.wait_networks()
    with progress.step("flavors, networks and images"):
        content.write_clouds_yaml()
        admin, user = content.admin(), content.user()
        content.ensure_flavors(admin)
        content.ensure_external_network(admin)
        content.ensure_adoptable_network(user)
        _ensure_ssh_key()
        content.ensure_keypair(user)
        plane.ensure_images(admin)
    with progress.step("compute and volume hosts"):
        _wait_hosts(admin, plane)


def _workers(plane: dataplane.Plane) -> list[str]:
    workers = [name for name in openstack.worker_services() if name != "cinder-volume" or plane.cinder_conf()]
    return workers + openstack.compute_services(plane.compute_hosts)


def _start(services: list[process.Service]) -> None:
    for one in services:
        process.start(one)


def _wait(services: list[process.Service]) -> None:
    for one in services:
        process.wait_ready(one)


def _wait_hosts(admin: cloudapi.Cloud, plane: dataplane.Plane, timeout: float = 90.0) -> None:
    """Wait until Nova and Cinder see all their workers alive, and map new compute hosts to their cell."""
    workers = _workers(plane)
    wanted = Counter("nova-compute" if name.startswith("nova-compute") else name for name in workers)
    deadline = time.monotonic() + timeout
    while True:
        services = admin.call("GET", "compute", "/os-services")["services"]
        services += admin.call("GET", "block-storage", "/os-services")["services"]
        missing = wanted - Counter(item["binary"] for item in services if item["state"] == "up")
        if not missing and len(_compute_nodes(admin)) >= plane.compute_hosts:
            break
        for name in workers:
            if process.running(name) is None:
                raise LabError(f"{name} has ended; see {openstack.service(name).log}")
        if time.monotonic() > deadline:
            raise LabError(f"not alive after {timeout:.0f}s: {', '.join(missing) or 'compute nodes'}; see {paths.LOG}")
        time.sleep(0.5)
    mapped = paths.STATE / "hosts-are-mapped"
    if not mapped.exists():
        openstack.tool("nova-manage", "cell_v2", "discover_hosts")
        mapped.touch()


def _compute_nodes(admin: cloudapi.Cloud) -> list[cloudapi.Body]:
    """Placement's root resource providers: one for each compute node that has reported (a Nova cell's list needs its mapping first)."""
    providers: list[cloudapi.Body] = admin.call("GET", "placement", "/resource_providers")["resource_providers"]
    return providers


def _ensure_ssh_key() -> None:
    if not paths.SSH_KEY.exists():
        paths.SSH_KEY.parent.mkdir(mode=0o700, exist_ok=True)
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(paths.SSH_KEY)], name="ssh-keygen")


def _check_kind(plane: dataplane.Plane) -> None:
    """One STATE is one kind of lab: servers of one cannot be looked after by the other."""
    record = dataplane.RECORD
    if not record.exists():
        record.write_text(plane.name)
    elif record.read_text() != plane.name:
        raise LabError(f"a lab with data plane {record.read_text()!r} is up; take it down first (lab down)")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Only one ``up`` or ``down`` at a time; the lock goes with the process that holds it."""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with (paths.CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("another lab up or lab down is at work") from None
        yield


def _quietly(*argv: str) -> None:
    """Run a command of the clean-up; what it could not do shows in the list of leftovers."""
    subprocess.run(argv, capture_output=True)
