"""The user data of a new machine: what the operator needs, and what the user adds."""

from __future__ import annotations

from typing import Any

from swarm_operator.api.machine import MachineSpec
from swarm_operator.api.reasons import Reason
from swarm_operator.api.user_data import MOST_CHARACTERS, parse_additions
from swarm_operator.bootstrap.cloud_init import MetadataJoin, render_user_data
from swarm_operator.bootstrap.ignition import render_ignition
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import MachineId


def first_boot(action: Action, machine: MachineId, template: MachineSpec, join: MetadataJoin | None) -> str:
    """Raises INVALID with reason InvalidSpec or SecretNotFound; the message names the field, and quotes no content."""
    additions = _additions(action, template)
    uid, name = machine.uid(action.uid), machine.server_name(action.name)
    keys = action.spec.ssh.authorized_keys
    try:
        if template.os == "Ignition":
            own = action.gathered.secrets.ssh_public
            return render_ignition(
                cluster_uid=action.uid,
                machine_uid=uid,
                hostname=name,
                engine=action.spec.engine,
                ssh_user=action.spec.ssh.user,
                authorized_keys=[*([own] if own else []), *keys],
                additions=additions,
            )
        return render_user_data(
            cluster_uid=action.uid, machine_uid=uid, hostname=name, engine=action.spec.engine, authorized_keys=keys, join=join, additions=additions
        )
    except ValueError as error:
        raise ExternalError(ErrorKind.INVALID, "openstack", str(error), reason=Reason.INVALID_SPEC) from error


def _additions(action: Action, template: MachineSpec) -> dict[str, Any] | None:
    wanted = template.user_data
    if wanted is None:
        return None
    if wanted.secret_ref is None:
        field, text = "userData.inline", wanted.inline or ""
    else:
        field = f"userData.secretRef: Secret {wanted.secret_ref.name!r}"
        secret = action.objects.get_secret(action.resource.key.namespace, wanted.secret_ref.name)
        if secret is None or wanted.secret_ref.key not in secret:
            raise ExternalError(ErrorKind.INVALID, "openstack", f"{field} does not exist or has no key {wanted.secret_ref.key}", reason=Reason.SECRET_NOT_FOUND)
        text = secret[wanted.secret_ref.key].decode("utf-8", "replace")
        if len(text) > MOST_CHARACTERS:
            raise ExternalError(ErrorKind.INVALID, "openstack", f"{field}: longer than {MOST_CHARACTERS} characters", reason=Reason.INVALID_SPEC)
    try:
        return parse_additions(text, template.os)
    except ValueError as error:
        raise ExternalError(ErrorKind.INVALID, "openstack", f"{field}: {error}", reason=Reason.INVALID_SPEC) from error
