"""The two long jobs of backups, beside the reconciles: a manager's raft state into a Glance image, and back into an engine. All of it streams; what leaves the guest for Glance is
encrypted by the key in the Secret `<cluster>-backup-key`, which goes nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.api.backup import BackupRecord
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap import raft_backup as guest
from swarm_operator.bootstrap.sealing import Broken, new_key, seal, unseal
from swarm_operator.controllers.cluster_guests import GuestLogins
from swarm_operator.controllers.image_transfers import checked
from swarm_operator.domain.cluster.backup import described
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import IMAGE_BACKUP
from swarm_operator.ports.compute import Cloud
from swarm_operator.ports.hosts import CommandResult
from swarm_operator.ports.objects import Objects, Resource

KEY: Final = "key"
LEAST_KEY: Final = 16
"""Bytes of a key that somebody else put there."""


@dataclass(frozen=True)
class Place:
    """Which backup, on which manager. `what`: what the stream is, as it was sealed; `key` and `unlock_keys` are secret. `machine`: name of the manager's server."""

    name: str
    machine_uid: str
    machine: str
    image_id: str
    data_root: str
    what: str
    key: bytes = field(repr=False)
    unlock_keys: Sequence[str] = field(default=(), repr=False)


def key_secret_name(cluster: str) -> str:
    return f"{cluster}-backup-key"


def sealed_as(cluster_uid: str, name: str) -> str:
    """What a backup is, for its encryption."""
    return f"raft/{cluster_uid}/{name}"


def read_key(objects: Objects, resource: Resource) -> bytes:
    """The key. INVALID with reason SecretNotFound where there is none."""
    name = key_secret_name(resource.key.name)
    key = (objects.get_secret(resource.key.namespace, name) or {}).get(KEY, b"")
    if len(key) < LEAST_KEY:
        text = f"Secret {name!r} does not exist, or its key `{KEY}` has less than {LEAST_KEY} bytes: without it no backup can be read"
        raise ExternalError(ErrorKind.INVALID, "kubernetes", text, reason=Reason.SECRET_NOT_FOUND)
    return key


def ensure_key(objects: Objects, resource: Resource) -> None:
    """Make the key, unless there is one: a Secret that a user made is used as it is, and stays when the cluster goes."""
    name = key_secret_name(resource.key.name)
    if objects.get_secret(resource.key.namespace, name) is None:
        objects.ensure_secret(resource, name, {KEY: new_key()})


def make_backup(cloud: Cloud, logins: GuestLogins, place: Place, *, verify: bool) -> None:
    """Take the copy, have it verified, and bring it into the image. Closes the logins. Raises ExternalError: the image has then no content."""
    try:
        host = logins.open(place.machine_uid)
        order = guest.take_order(place.name, place.data_root, place.unlock_keys, verify=verify)
        answer = host.run(guest.take_argv(), stdin=order, sudo=True, timeout=guest.TAKE_SECONDS)
        try:
            copy = guest.parse_copy(answer.stdout)
        except (ValueError, KeyError, TypeError) as error:
            raise _failed(f"the copy on {place.machine}", error, answer) from error
        record = BackupRecord(
            name=place.name,
            image_id=place.image_id,
            size=copy.size,
            sha256=copy.sha256,
            engine_version=copy.engine,
            machine=place.machine,
            swarm_id=copy.swarm_id,
            locked=copy.locked,
            verified=copy.verified,
            **copy.counts,
        )

        def told() -> None:
            cloud.set_image_property(place.image_id, IMAGE_BACKUP, described(record))

        plain = checked(host.read(guest.send_argv(copy), sudo=True), f"sha256:{copy.sha256}", told)
        cloud.upload_image(place.image_id, seal(place.key, place.what, plain))
        host.run(guest.wipe_argv(), stdin=b"{}\n", sudo=True, timeout=60.0)
    finally:
        logins.close()


def restore_swarm(cloud: Cloud, logins: GuestLogins, place: Place, sha256: str, init: dict[str, Any]) -> None:
    """Fill the engine of a manager and make the swarm anew on it; once that is done it is not done again. `init`: body of `POST /swarm/init`. Closes the logins."""
    try:
        host = logins.open(place.machine_uid)
        # By machine: a later loss may be restored from the same backup.
        order = guest.restore_order(f"{place.name}/{place.machine_uid}", place.data_root, sha256, place.unlock_keys, init)
        pieces = itertools.chain([order], _opened(place, cloud.download_image(place.image_id)))
        answer = host.feed(guest.restore_argv(), pieces, sudo=True, timeout=guest.RESTORE_SECONDS)
        try:
            guest.parse_counts(answer.stdout)
        except (ValueError, KeyError, TypeError) as error:
            raise _failed(f"restoring backup {place.name} on {place.machine}", error, answer) from error
    finally:
        logins.close()


def _opened(place: Place, sealed: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from unseal(place.key, place.what, sealed)
    except Broken as error:
        raise ExternalError(ErrorKind.INVALID, "openstack", f"backup {place.name}: {error}", reason=Reason.BACKUP_FAILED) from error


def _failed(what: str, error: Exception, answer: CommandResult) -> ExternalError:
    """The program's own words; those of the shell where it did not come so far. Its stderr holds no secret: orders are read from stdin."""
    last = (answer.stderr.strip().splitlines() or [f"status {answer.status}"])[-1]
    text = str(error) if answer.status == 0 and answer.stdout.strip() else last
    return ExternalError(ErrorKind.TRANSIENT, "ssh", f"{what}: {text[:400]}", reason=Reason.BACKUP_FAILED)
