"""Gathers what a service takes from elsewhere: ConfigMaps and Secrets by name, the swarm's configs and secrets, registry credentials, the digest of the image.

Contents are read anew each time and kept nowhere. A service that uses none of it costs no call.
"""

from __future__ import annotations

import secrets
from typing import Final

from swarm_operator.api.materials import ImageStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.session import ClusterSession
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service import registry
from swarm_operator.domain.service.decision import Subject
from swarm_operator.domain.service.inputs import Inputs
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.materials import Content, MaterialProblem, Sources, config_map_names, referenced, resolve, secret_names
from swarm_operator.domain.service.registry import Credentials
from swarm_operator.engine.clock import Clock
from swarm_operator.ports.objects import Key, Objects

HASH_SECRET: Final = "{cluster}-material-key"  # noqa: S105 - a name
HASH_KEY: Final = "hmac-key"


class ServiceInputs:
    """Safe to share among threads. What it remembers (when a registry was asked) can be lost at any moment."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects, self._clock = objects, clock
        self._asked: dict[Key, tuple[str, float]] = {}

    def forget(self, key: Key) -> None:
        """`key` is gone."""
        self._asked.pop(key, None)

    def gather(self, key: Key, subject: Subject, session: ClusterSession, own: LiveService | None) -> Inputs:
        """For one decision. Raises ExternalError, but for what the manifest's author has to put right: that is the Inputs' `problem`."""
        spec, status = subject.spec, subject.status
        if not (
            spec.configs or spec.secrets or spec.image_pull_secrets or status.materials or spec.image_policy.resolve != "Never" or _from_elsewhere(subject)
        ):
            return Inputs()
        try:
            sources, credentials = self._sources(key, subject, session)
            needed = resolve(spec, subject.owner, sources).names
        except MaterialProblem as problem:
            return Inputs(image=status.image if status.image is not None and status.image.requested == spec.image else None, problem=problem)
        present = session.materials(needed) if needed or status.materials else ()
        elsewhere: set[str] = set()
        for service in session.services() if present else ():
            if own is None or service.id != own.id:
                elsewhere |= referenced(service.spec)
        image = self._image(key, subject, session, own, credentials)
        return Inputs(sources, present, frozenset(elsewhere), credentials, image)

    # -- parts

    def _sources(self, key: Key, subject: Subject, session: ClusterSession) -> tuple[Sources, Credentials | None]:
        spec, namespace = subject.spec, key.namespace
        config_maps = {name: self._config_map(namespace, name) for name in sorted(config_map_names(spec))}
        contents = {name: self._secret(namespace, name) for name in sorted(secret_names(spec))}
        pulls = [(entry.name, self._secret(namespace, entry.name)) for entry in spec.image_pull_secrets]
        hashed = pulls or contents or any(c.config_map_ref for c in spec.configs)
        hash_key = self._hash_key(session) if hashed else b""
        return Sources(config_maps, contents, hash_key), registry.credentials(spec.image, pulls, hash_key)

    def _config_map(self, namespace: str, name: str) -> Content:
        try:
            return self._objects.get_config_map(namespace, name)
        except ExternalError as error:
            raise _forbidden(error, f"ConfigMap {name!r}") from error

    def _secret(self, namespace: str, name: str) -> Content:
        try:
            return self._objects.get_secret(namespace, name)
        except ExternalError as error:
            raise _forbidden(error, f"Secret {name!r}") from error

    def _hash_key(self, session: ClusterSession) -> bytes:
        """The cluster's key, made at its first use and never changed: all names would change with it."""
        if session.hash_key is None:
            cluster = self._objects.get(session.cluster)
            if cluster is None:
                raise ExternalError(ErrorKind.TRANSIENT, "kubernetes", f"{session.cluster} is gone")
            name = HASH_SECRET.format(cluster=session.cluster.name)
            try:
                held = self._objects.ensure_secret(cluster, name, {HASH_KEY: secrets.token_bytes(32)})
            except ExternalError as error:
                if error.reason is Reason.NAME_CONFLICT:
                    raise MaterialProblem(error.reason, error.message, lasting=True) from error
                raise
            if len(held.get(HASH_KEY, b"")) < 16:
                raise MaterialProblem(Reason.MATERIAL_INVALID, f"Secret {name!r} has no usable {HASH_KEY!r}; delete it, and a new one is made", lasting=True)
            session.hash_key = held[HASH_KEY]
        return session.hash_key

    def _image(self, key: Key, subject: Subject, session: ClusterSession, own: LiveService | None, credentials: Credentials | None) -> ImageStatus | None:
        spec, policy = subject.spec, subject.spec.image_policy
        if policy.resolve == "Never" or "@" in spec.image:
            return None
        known = registry.known_image(spec, subject.status.image, own)
        asked, at = self._asked.get(key, ("", 0.0))
        due = asked != spec.image or self._clock.monotonic() - at >= policy.interval_seconds
        if spec.paused or (known is not None and not (policy.resolve == "Always" and due)):
            return known
        try:
            manifest = session.swarm.resolve_image(spec.image, registry_auth=credentials.header if credentials is not None else None)
        except ExternalError as error:
            if error.reason is not Reason.IMAGE_UNRESOLVED:
                raise
            found = (known or ImageStatus(requested=spec.image)).model_copy(update={"message": error.message[:1024]})
        else:
            found = registry.pinned(spec.image, manifest)
        self._asked[key] = (spec.image, self._clock.monotonic())
        return found


def _from_elsewhere(subject: Subject) -> bool:
    return subject.status.pull_secrets_hash is not None or any(e.value_from is not None for e in subject.spec.env)


def _forbidden(error: ExternalError, what: str) -> Exception:
    """A right that we lack is the author's or the administrator's to put right; all else is tried again."""
    if error.kind is ErrorKind.FORBIDDEN:
        return MaterialProblem(Reason.FORBIDDEN, f"the operator may not read {what}")
    return error
