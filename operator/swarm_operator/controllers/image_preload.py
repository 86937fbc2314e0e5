"""Docker images copied from node to node through the operator (`docker save`, `docker load`), or pulled where no node has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_guests import GuestLogins
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.hosts import Host

PULL_SECONDS: Final = 600.0
COPY_SECONDS: Final = 1800.0


def load_images(logins: GuestLogins, machine_uid: str, images: Sequence[str], sources: Sequence[str]) -> None:
    """Give a machine the images that it lacks. Closes the logins. Raises ExternalError; what was loaded before stays."""
    try:
        target = logins.open(machine_uid)
        for image in images:
            if not _has(target, image):
                _bring(logins, target, image, sources)
    finally:
        logins.close()


def _bring(logins: GuestLogins, target: Host, image: str, sources: Sequence[str]) -> None:
    for uid in sources:
        try:
            source = logins.open(uid)
            if not _has(source, image):
                continue
        except ExternalError:
            continue  # another one may have it
        source.pipe(["docker", "save", image], target, ["docker", "load", "--quiet"], sudo=True, timeout=COPY_SECONDS)
        if _has(target, image):
            return
    done = target.run(["docker", "pull", "--quiet", image], sudo=True, timeout=PULL_SECONDS)
    if done.status != 0:
        text = f"image {image}: no node that was asked has it, and it can't be pulled: {done.stderr.strip()[:300]}"
        raise ExternalError(ErrorKind.TRANSIENT, "ssh", text, reason=Reason.IMAGE_FAILED)


def _has(host: Host, image: str) -> bool:
    return host.run(["docker", "image", "inspect", "--format", "{{.Id}}", image], sudo=True).status == 0
