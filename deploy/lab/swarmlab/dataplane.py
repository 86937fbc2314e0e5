"""The two data planes a lab can have: hosts made of namespaces, or Nova's fake driver for tests of scale."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod

from swarmlab import cloudapi, content, ini, paths
from swarmlab.errors import LabError
from swarmlab.progress import Progress

FAKE_IMAGES = ("debian-12-docker", "debian-13-docker")


class Plane(ABC):
    """What the control plane must know of a data plane."""

    name: str
    compute_hosts: int = 1

    def prepare(self, progress: Progress) -> None:
        """Make images and networks that need no OpenStack; runs beside the start of the services."""

    def wait_networks(self) -> None:
        """Return when what :meth:`prepare` makes for Neutron's networks is there."""

    @abstractmethod
    def nova_conf(self) -> ini.Snippet:
        """Options for nova.conf."""

    def neutron_conf(self) -> ini.Snippet:
        """Options for neutron.conf."""
        return {}

    def ml2_conf(self) -> ini.Snippet:
        """Options for ml2_conf.ini."""
        return {}

    def cinder_conf(self) -> ini.Snippet:
        """Options for cinder.conf; empty when the plane has no volumes."""
        return {}

    def entry_points(self) -> dict[str, dict[str, str]]:
        """Entry points of plug-ins: group -> name -> object reference."""
        return {}

    @abstractmethod
    def ensure_images(self, admin: cloudapi.Cloud) -> None:
        """Put the images into Glance."""

    def start_agents(self, progress: Progress) -> None:
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
    """Servers made of namespaces: the real data plane."""

    name = "namespaces"

    def nova_conf(self) -> ini.Snippet:
        """Not there yet."""
        raise LabError("the data plane of namespaces is not there yet: use --fake-compute 1")

    def ensure_images(self, admin: cloudapi.Cloud) -> None:
        """Not there yet."""

    def remove(self) -> None:
        """Remove every server, network, mount and rule of the lab, whoever made it."""


def of_state() -> Plane:
    """The plane of the lab that is up, the real one when none is."""
    record = paths.ETC / "data-plane"
    with contextlib.suppress(FileNotFoundError):
        kind, _, number = record.read_text().partition(" ")
        if kind == "fake":
            return Fake(int(number))
    return Namespaces()
