"""The two data planes a lab can have: hosts made of namespaces, or Nova's fake driver for tests of scale."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from typing import Final

from swarmlab import cloudapi, content, ini, paths
from swarmlab.hosts import plane
from swarmlab.progress import Progress

RECORD: Final = paths.ETC / "data-plane"
"""Which kind of data plane the lab in STATE has: the plane's name."""

FAKE_IMAGES = ("debian-12-docker", "debian-13-docker")


class Plane(ABC):
    """What the control plane must know of a data plane."""

    name: str
    compute_hosts: int = 1

    def download(self, progress: Progress) -> None:  # noqa: B027
        """Build what needs a package mirror. No network of the lab is there yet: its range may hide a mirror's address."""

    def prepare(self, progress: Progress) -> None:  # noqa: B027
        """Make the networks that need no OpenStack; runs beside the start of the services."""

    def wait_networks(self) -> None:  # noqa: B027
        """Return when the external network that :meth:`prepare` makes is there."""

    @abstractmethod
    def nova_conf(self) -> ini.Snippet:
        """Options for nova.conf."""

    def neutron_conf(self) -> ini.Snippet:
        """Options for neutron.conf."""
        return {}

    def ml2_conf(self) -> ini.Snippet:
        """Options for ml2_conf.ini."""
        return {"ml2": {"mechanism_drivers": "swarmlab"}}

    def cinder_conf(self) -> ini.Snippet:
        """Options for cinder.conf; empty when the plane has no volumes."""
        return {}

    def entry_points(self) -> dict[str, dict[str, str]]:
        """Entry points of plug-ins: group -> name -> object reference."""
        driver = "swarmlab_openstack.neutron_mechanism:SwarmLabMechanismDriver"
        return {"neutron.ml2.mechanism_drivers": {"swarmlab": driver}}

    @abstractmethod
    def ensure_images(self, admin: cloudapi.Cloud) -> None:
        """Put the images into Glance."""

    def start_agents(self, progress: Progress) -> None:  # noqa: B027
        """Start what runs beside the OpenStack services; they are up."""

    def agent_names(self) -> list[str]:
        """Names of the processes that :meth:`start_agents` starts."""
        return []


class Fake(Plane):
    """Nova's fake driver: servers are records and become ACTIVE at once; there is nothing behind them."""

    def __init__(self, compute_hosts: int) -> None:
        self.name = f"fake {compute_hosts}"
        self.compute_hosts = compute_hosts

    def nova_conf(self) -> ini.Snippet:
        """The driver with 1000 vCPUs and 800 GB of memory in each host (nova.virt.fake)."""
        return {"DEFAULT": {"compute_driver": "fake.FakeDriver"}}

    def ml2_conf(self) -> ini.Snippet:
        """See openstack/always_bind.py."""
        return {"ml2": {"mechanism_drivers": "always_bind"}}

    def entry_points(self) -> dict[str, dict[str, str]]:
        """The mechanism driver beside the launcher, whose directory is on Python's path."""
        return {"neutron.ml2.mechanism_drivers": {"always_bind": "always_bind:AlwaysBind"}}

    def ensure_images(self, admin: cloudapi.Cloud) -> None:
        """The same names as in the real lab, with a few bytes of content."""
        for image in FAKE_IMAGES:
            content.ensure_image(admin, image, b"not a disk\n" * 64, {"os_distro": "debian"})


class Namespaces(Plane):
    """Servers made of namespaces: the real data plane, see swarmlab.hosts."""

    name = "namespaces"

    def __init__(self) -> None:
        self._networks = threading.Event()

    def download(self, progress: Progress) -> None:
        """The guest images."""
        plane.prepare_images(progress)

    def prepare(self, progress: Progress) -> None:
        """External network and registry."""
        try:
            plane.prepare_networks()
        finally:
            self._networks.set()

    def wait_networks(self) -> None:
        """The external bridge exists."""
        self._networks.wait()

    def nova_conf(self) -> ini.Snippet:
        """The virt driver."""
        return plane.nova_conf()

    def neutron_conf(self) -> ini.Snippet:
        """The trunk plugin."""
        return plane.neutron_conf()

    def ml2_conf(self) -> ini.Snippet:
        """The mechanism driver."""
        return plane.ml2_conf()

    def cinder_conf(self) -> ini.Snippet:
        """Volumes in files."""
        return plane.cinder_conf()

    def entry_points(self) -> dict[str, dict[str, str]]:
        """The mechanism driver."""
        return plane.entry_points()

    def ensure_images(self, admin: cloudapi.Cloud) -> None:
        """One image for each root file system that is built."""
        plane.ensure_images(admin)

    def start_agents(self, progress: Progress) -> None:
        """Network agent, registry, test images; and Glance's image of a root file system that was still being built."""
        with progress.step("network agent, registry and its images"):
            plane.start_agents()
            plane.ensure_images(content.admin())

    def agent_names(self) -> list[str]:
        """Network agent and registry."""
        return plane.agent_names()

    def remove(self) -> None:
        """Remove every server, network, mount and rule of the lab, whoever made it."""
        plane.remove()


def of_state() -> Plane:
    """The plane of the lab that is up, the real one when none is."""
    with contextlib.suppress(FileNotFoundError):
        kind, _, number = RECORD.read_text().partition(" ")
        if kind == "fake":
            return Fake(int(number))
    return Namespaces()
