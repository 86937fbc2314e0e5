"""The Secret `<cluster>-unlock-key`, and the keys in it: read for the observation, changed by steps, given to locked managers. Keys go nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_guests import GuestLogins
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import UnlockKeys
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.hosts import Host
from swarm_operator.ports.objects import Objects, Resource
from swarm_operator.ports.swarm import Swarm

MOST_FORMER: Final = 8
_NOT_LOCKED: Final = "swarm is not locked"
_WRONG_KEY: Final = "invalid key provided"
"""As the engine words them (moby, daemon/cluster/errors.go)."""


def unlock_secret_name(cluster: str) -> str:
    return f"{cluster}-unlock-key"


@dataclass(frozen=True)
class UnlockSecret:
    """What the Secret holds. `former`: the youngest first. `at`: version of the swarm's cluster object at which `key` was known to be in force; `changed_after`: version
    before the last change of the key; `rotating_for`: a rotation for that text was begun. None of the strings is a key but `key` and `former`, which are never printed."""

    key: str = ""
    former: tuple[str, ...] = ()
    at: int = 0
    changed_after: int = 0
    rotating_for: str = ""

    def __repr__(self) -> str:
        return f"UnlockSecret(former={len(self.former)})"

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, the one in force first."""
        return tuple(dict.fromkeys(k for k in (self.key, *self.former) if k))

    def encoded(self) -> dict[str, bytes]:
        """As the Secret's data."""
        values = {
            "unlock-key": self.key,
            "former-keys": "\n".join(self.former),
            "version": str(self.at),
            "changed-after": str(self.changed_after),
            "rotating-for": self.rotating_for,
        }
        return {name: value.encode() for name, value in values.items()}

    def replaced_by(self, key: str, version: int, changed_after: int) -> UnlockSecret:
        """With `key` ("": none) in force since after `changed_after`, and the present one among the former ones."""
        former = tuple(dict.fromkeys(k for k in self.keys if k != key))[:MOST_FORMER]
        return replace(self, key=key, former=former, at=version, changed_after=changed_after if former else 0)


def decoded(data: dict[str, bytes] | None) -> UnlockSecret | None:
    """The inverse of `encoded`; a person may have put nothing but `unlock-key` there."""
    if data is None:
        return None

    def text(name: str) -> str:
        return data.get(name, b"").decode(errors="replace").strip()

    def number(name: str) -> int:
        return int(text(name)) if text(name).isdigit() else 0

    former = tuple(line.strip() for line in text("former-keys").splitlines() if line.strip())
    return UnlockSecret(text("unlock-key"), former, number("version"), number("changed-after"), text("rotating-for"))


def read_secret(objects: Objects, resource: Resource) -> UnlockSecret | None:
    """The Secret, None where there is none."""
    return decoded(objects.get_secret(resource.key.namespace, unlock_secret_name(resource.key.name)))


def write_secret(objects: Objects, resource: Resource, secret: UnlockSecret) -> None:
    """Make it or change it. CONFLICT with reason NameConflict where a Secret of that name is somebody else's."""
    name, data = unlock_secret_name(resource.key.name), secret.encoded()
    if objects.ensure_secret(resource, name, data) != data:
        objects.update_secret(resource, name, data)


def read_facts(
    objects: Objects, resource: Resource, spec: SwarmClusterSpec, swarm: Swarm, enabled: bool, managers: Sequence[Machine], logins: GuestLogins
) -> UnlockKeys:
    """What is known without the keys. Raises what Docker or Kubernetes raise; a guest that does not answer is one that has not confirmed."""
    secret = read_secret(objects, resource) or UnlockSecret()
    in_force = swarm.unlock_key() if enabled else ""
    confirmed: dict[str, bool] = {}
    if secret.former:
        for machine in managers:
            try:
                confirmed[machine.uid] = has_key_in_force(logins.open(machine.uid), spec, enabled, secret.changed_after)
            except ExternalError:
                confirmed[machine.uid] = False
    return UnlockKeys(secret.key == in_force, len(secret.former), confirmed)


def has_key_in_force(host: Host, spec: SwarmClusterSpec, enabled: bool, changed_after: int) -> bool:
    """What a manager's own key file says, without its secret part: whether it is encrypted, and since which version of the cluster object
    (swarmkit, ca/keyreadwriter.go: the PEM header kek-version)."""
    path = f"{spec.engine.data_root or '/var/lib/docker'}/swarm/certificates/swarm-node.key"
    shown = host.run(["grep", "-a", "-E", "^kek-version:|ENCRYPTED", path], sudo=True)
    if shown.status not in (0, 1):
        return False
    encrypted = "ENCRYPTED" in shown.stdout
    if not enabled:
        return not encrypted
    version = next((line.partition(":")[2].strip() for line in shown.stdout.splitlines() if line.startswith("kek-version:")), "")
    return encrypted and version.isdigit() and int(version) > changed_after


def unlock(host: Host, name: str, secret: UnlockSecret | None) -> None:
    """Give the engine one key after the other. INVALID with reason UnlockKeyMissing where none opens it; not being locked is no error."""
    keys = secret.keys if secret is not None else ()
    for key in keys:
        try:
            host.engine_request("POST", "/swarm/unlock", {"UnlockKey": key})
        except ExternalError as error:
            if _NOT_LOCKED in error.message:
                return
            if _WRONG_KEY in error.message:
                continue
            raise
        return
    text = f"{name} is locked, and none of the {len(keys)} keys in the Secret opens it"
    raise ExternalError(ErrorKind.INVALID, "docker", text, reason=Reason.UNLOCK_KEY_MISSING)
