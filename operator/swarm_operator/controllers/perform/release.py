"""The Secret with the credentials is held and let go; the end of a SwarmCluster."""

from __future__ import annotations

import logging
from typing import Final

from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_facts import ssh_secret_name, tls_secret_name
from swarm_operator.controllers.cluster_unlock import unlock_secret_name
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.controllers.raft_backup import key_secret_name
from swarm_operator.controllers.service_inputs import HASH_SECRET
from swarm_operator.domain.cluster import steps as s
from swarm_operator.ports.objects import Objects, Resource

log = logging.getLogger(__name__)
_EVENT_LENGTH: Final = 900
"""Characters of one Event; the API server takes 1024."""


@performs(s.AdoptSecrets, s.OrphanSecrets, s.HoldCredentials, s.ReleaseCredentials, s.LetGo, s.RemoveFinalizer)
def _release(action: Action, step: s.Step) -> None:
    match step:
        case s.AdoptSecrets(former_uid):
            for name in own_secrets(action.name):
                action.objects.adopt_secret(action.resource, name, former_uid)
            action.objects.event(action.resource, Reason.ADOPTED, f"the cluster of UID {former_uid}: {len(action.status.nodes)} machines")
        case s.OrphanSecrets():
            for name in own_secrets(action.name):
                action.objects.orphan_secret(action.resource, name)
        case s.HoldCredentials(name):
            action.objects.hold_secret(action.resource.key.namespace, name, True)
            if action.status.credentials.secret_name is None:
                _note(action, name)
                action.write_status()
        case s.ReleaseCredentials(name):
            if action.resource.deleting:
                action.write_status()  # that nothing is left; it can't be seen again without the Secret
            if not named_by_others(action.objects, action.resource, name):
                action.objects.hold_secret(action.resource.key.namespace, name, False)
            if not action.resource.deleting:
                _note(action, None)
        case s.LetGo(reason, left):
            log.warning("%s: %s, left in the cloud: %s", action.resource.key, reason.value, "; ".join(left) or "nothing that is known")
            for text in pieces(left):
                action.objects.event(action.resource, reason, text, warning=True)
        case s.RemoveFinalizer():
            action.resource = action.objects.set_finalizer(action.resource, False)
            action.released = True
        case _:
            raise AssertionError(f"no way to perform {step}")


def own_secrets(cluster: str) -> tuple[str, ...]:
    """Names of the Secrets that the operator made for a cluster, so far as it needed them."""
    return ssh_secret_name(cluster), tls_secret_name(cluster), HASH_SECRET.format(cluster=cluster), unlock_secret_name(cluster), key_secret_name(cluster)


def _note(action: Action, secret_name: str | None) -> None:
    credentials = action.status.credentials.model_copy(update={"secret_name": secret_name})
    action.status = action.status.model_copy(update={"credentials": credentials})


def named_by_others(objects: Objects, resource: Resource, secret_name: str) -> bool:
    """Whether another SwarmCluster of the namespace names the Secret, or has not let go of it yet."""
    for other in objects.list("SwarmCluster", resource.key.namespace):
        named = (other.spec.get("identityRef") or {}).get("secretName"), (other.status.get("credentials") or {}).get("secretName")
        if other.uid != resource.uid and secret_name in named:
            return True
    return False


def pieces(left: tuple[str, ...]) -> list[str]:
    """`left` in texts that fit into Events."""
    pieces = ["left in the cloud: nothing that is known" if not left else "left in the cloud: " + left[0]]
    for line in left[1:]:
        if len(pieces[-1]) + len(line) + 2 > _EVENT_LENGTH:
            pieces.append("left in the cloud: " + line)
        else:
            pieces[-1] += "; " + line
    return pieces
