"""The data plane of servers made of namespaces, as ``lab up`` starts it and ``lab down`` removes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from swarmlab import cloudapi, content, ini, paths, process
from swarmlab.hosts import fabric, guestimage, guestroot, kernel, registry, server
from swarmlab.progress import Progress

DEFAULT_IMAGE = "debian-12-docker"
AGENT = "network-agent"


def prepare_networks() -> None:
    """External network, then the registry that listens on it."""
    fabric.up()
    process.start(registry.service())


def prepare_images(progress: Progress) -> None:
    """The guest's root file system (2 minutes when it is not cached); others when they have been built here before."""
    for image in guestimage.SUITES:
        wanted = image == DEFAULT_IMAGE or guestimage.rootfs_dir(paths.CACHE, image).is_dir()
        if wanted and not guestimage.is_built(paths.CACHE, image):
            with progress.step(f"build guest image {image}", announce=True):
                guestimage.ensure(paths.CACHE, _quiet, image)


def _quiet(text: str) -> None:
    """The caller shows the step."""


def nova_conf() -> ini.Snippet:
    """The virt driver; a short period for power states, because guests can power themselves off."""
    return {
        "DEFAULT": {
            "compute_driver": "swarmlab_openstack.nova_driver.SwarmLabDriver",
            "sync_power_state_interval": 60,
            "shutdown_timeout": 45,
            "vif_plugging_is_fatal": False,
        }
    }


def neutron_conf() -> ini.Snippet:
    """Trunks, of which the mechanism driver can be asked."""
    return {"DEFAULT": {"service_plugins": "router,trunk"}}


def ml2_conf() -> ini.Snippet:
    """The mechanism driver; see entry_points."""
    return {"ml2": {"mechanism_drivers": "swarmlab"}}


def entry_points() -> dict[str, dict[str, str]]:
    """The mechanism driver, found by Neutron through the entry points of Python packages."""
    return {"neutron.ml2.mechanism_drivers": {"swarmlab": "swarmlab_openstack.neutron_mechanism:SwarmLabMechanismDriver"}}


def cinder_conf() -> ini.Snippet:
    """One back end with volumes in files."""
    return {
        "DEFAULT": {"enabled_backends": "swarmlab"},
        "swarmlab": {
            "volume_driver": "swarmlab_openstack.cinder_driver.SwarmLabFiles",
            "volume_backend_name": "swarmlab",
        },
    }


def ensure_images(admin: cloudapi.Cloud) -> None:
    """One Glance image for each root file system that is built; its content names the recipe."""
    for image, suite in guestimage.SUITES.items():
        if not guestimage.is_built(paths.CACHE, image):
            continue
        descriptor = {"swarmlab_rootfs": image, "suite": suite, "recipe": guestimage.recipe_hash(suite)}
        properties = {"swarmlab_rootfs": image, "os_distro": "debian", "os_admin_user": "debian"}
        content.ensure_image(admin, image, json.dumps(descriptor, indent=1).encode() + b"\n", properties)


def agent() -> process.Service:
    """The network agent."""
    ready = paths.RUN / "agent-ready"
    env = {
        "PYTHONPATH": str(paths.LAB_DIR),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return process.Service(AGENT, [sys.executable, "-m", "swarmlab.hosts.agent"], ready.exists, env)


def start_agents() -> None:
    """The network agent, and the test images in the registry."""
    service = agent()
    if process.running(AGENT) is None:
        (paths.RUN / "agent-ready").unlink(missing_ok=True)
    process.start(service)
    process.start(registry.service())
    process.wait_ready(registry.service())
    registry.push_test_images()
    process.wait_ready(service)


def agent_names() -> list[str]:
    """Processes beside the OpenStack services."""
    return [AGENT, "registry"]


def remove() -> None:
    """Remove every server's leftovers, network, loop device and control group. All processes must have been ended."""
    for each in server.all_servers():
        server.kill_supervisor(each.uuid)
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        if Path(backing.read_text().strip().removesuffix(" (deleted)")).is_relative_to(paths.STATE):
            kernel.run("losetup", "-d", f"/dev/{backing.parts[3]}", check=False)
    fabric.down()
    guestroot.drop_all_cgroups()
