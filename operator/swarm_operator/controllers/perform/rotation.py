"""The managers' lock and the root CA: turned on and off, rotated, unlocked. What a rotation needs to be finished after a crash is written down before it is asked for."""

from __future__ import annotations

from dataclasses import replace

from swarm_operator.api.cluster_status import AuthorityStatus, AutolockStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_unlock import UnlockSecret, read_secret, unlock, write_secret
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.domain.cluster import steps as s


@performs(s.SetAutolock)
def _set_autolock(action: Action, step: s.SetAutolock) -> None:
    """The Secret is there, and ours to write, before a manager can need what will be in it."""
    secret, version = _secret(action), action.swarm.cluster_version()
    if step.enabled:
        write_secret(action.objects, action.resource, secret)
        action.swarm.set_autolock(True, version)
        # The key is new: a rotation that was asked for before is done with it.
        _note(action, enabled=True, rotated_for=action.spec.swarm.rotate_unlock_key)
        _store(action, secret)
    else:
        action.swarm.set_autolock(False, version)
        write_secret(action.objects, action.resource, secret.replaced_by("", version, version))
        _note(action, enabled=False)
    action.objects.event(action.resource, Reason.UPDATED, f"autolock of the managers is {'on' if step.enabled else 'off'}")


@performs(s.StoreUnlockKey)
def _store_unlock_key(action: Action, step: s.StoreUnlockKey) -> None:
    _store(action, _secret(action))


@performs(s.RotateUnlockKey)
def _rotate_unlock_key(action: Action, step: s.RotateUnlockKey) -> None:
    secret, version = _secret(action), action.swarm.cluster_version()
    secret = replace(secret, rotating_for=step.nonce, at=version)
    write_secret(action.objects, action.resource, secret)
    action.swarm.rotate_unlock_key(version)
    _store(action, secret)


@performs(s.ForgetFormerKeys)
def _forget_former_keys(action: Action, step: s.ForgetFormerKeys) -> None:
    secret = _secret(action)
    write_secret(action.objects, action.resource, replace(secret, former=(), changed_after=0, at=action.swarm.cluster_version()))
    _note(action, former_keys=0, unconfirmed=[])
    action.objects.event(action.resource, Reason.KEY_ROTATED, "every manager has the unlock key in force: former ones are forgotten")


@performs(s.UnlockManager)
def _unlock_manager(action: Action, step: s.UnlockManager) -> None:
    unlock_machine(action, step.machine_uid, step.machine.server_name(action.name))
    action.objects.event(action.resource, Reason.REPAIRED, f"Unlock of {step.machine.server_name(action.name)}: it was locked", warning=True)


@performs(s.RotateAuthority)
def _rotate_authority(action: Action, step: s.RotateAuthority) -> None:
    before = action.status.authority or AuthorityStatus()
    noted = before.model_copy(update={"requested_for": step.nonce, "requested_at": action.now(), "requested_over": step.over})
    action.status = action.status.model_copy(update={"authority": noted})
    action.write_status()
    if action.swarm.rotate_authority(step.over):
        action.objects.event(action.resource, Reason.CA_ROTATED, "the rotation of the root CA has begun")


def unlock_machine(action: Action, machine_uid: str, name: str) -> None:
    """Unlock one manager by ssh."""
    unlock(action.gathered.logins.open(machine_uid), name, read_secret(action.objects, action.resource))


def _secret(action: Action) -> UnlockSecret:
    return read_secret(action.objects, action.resource) or UnlockSecret()


def _store(action: Action, secret: UnlockSecret) -> None:
    """The key in force into the Secret. A rotation that was begun is then complete."""
    version = action.swarm.cluster_version()
    key = action.swarm.unlock_key()
    if not key or key == secret.key:
        return
    renewed = secret.replaced_by(key, version, secret.at)
    write_secret(action.objects, action.resource, replace(renewed, rotating_for=""))
    changes: dict[str, object] = {"key_stored": True, "former_keys": len(renewed.former)}
    if secret.rotating_for:
        changes |= {"rotated_for": secret.rotating_for, "rotated_at": action.now()}
    _note(action, **changes)
    action.objects.event(action.resource, Reason.KEY_ROTATED, "the unlock key in force is stored in the Secret")


def _note(action: Action, **changes: object) -> None:
    former = action.status.autolock or AutolockStatus()
    action.status = action.status.model_copy(update={"autolock": former.model_copy(update=changes)})
