"""The SwarmStack controller: gather, convert and decide (pure, `domain.stack`), act, write the status once.

The services are SwarmServices: their own controller makes them in the swarm and says how they fare, the watch brings their news here. What goes to the swarm from here are
the stack's networks. A fixed point costs one list of the stack's SwarmServices and no write.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Final

from swarm_operator.api.base import APPLIED_DIGEST
from swarm_operator.api.parse import SpecError, parse_service_status, parse_stack, parse_stack_status
from swarm_operator.api.reasons import Reason
from swarm_operator.api.stack import SwarmStackSpec, SwarmStackStatus
from swarm_operator.controllers.session import ClusterSession, ClusterSessions
from swarm_operator.controllers.stack_networks import create_network, remove_network, swarm_of
from swarm_operator.controllers.stack_removal import StackRemoval
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.stack.convert import convert
from swarm_operator.domain.stack.decide import Component, Observed, Plan, Swarm, decide, digest
from swarm_operator.domain.stack.parts import Converted, StackInput
from swarm_operator.domain.stack.status import Findings, document, report, unusable
from swarm_operator.engine.clock import Clock
from swarm_operator.engine.outcome import After, Done, Outcome, Retry
from swarm_operator.ports.objects import Key, Objects, Resource

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 20.0
"""How often ConfigMaps are read again: nothing tells us of their changes."""
NETWORK_SECONDS: Final = 2.0
"""Until a network is tried again that tasks on their way out still use."""
ROUNDS: Final = 3
"""Observations per reconcile: what is written is seen at once, and a network has to go after its services."""
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Missing(Exception):
    """Something that the spec names can't be had."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass
class _Round:
    """What a reconcile has found out: texts of what was refused, by name; and what failed in a way that a later try may mend."""

    failures: dict[str, str]
    retry: ExternalError | None = None
    busy: bool = False


class StackController:
    """Keeps the SwarmServices and networks of each SwarmStack as its compose file says."""

    def __init__(self, objects: Objects, sessions: ClusterSessions, clock: Clock) -> None:
        self._objects, self._sessions, self._clock = objects, sessions, clock
        self._removal = StackRemoval(objects, sessions, clock)
        self._removed: set[str] = set()

    def reconcile(self, key: Key) -> Outcome:
        """One round for one SwarmStack; never raises ExternalError."""
        try:
            resource = self._objects.get(key)
            if resource is None:
                self._sessions.forget(key)
                return Done()
            return self._removal.reconcile(resource) if resource.deleting else self._reconcile(resource)
        except ExternalError as error:
            if error.system == "kubernetes" and error.kind is ErrorKind.NOT_FOUND:
                return Done()
            return Retry(error.message, error.retry_after or 0.0)

    def _reconcile(self, resource: Resource) -> Outcome:
        status = parse_stack_status(resource.status)
        try:
            spec = parse_stack(resource.spec)
        except SpecError as error:
            self._write(resource, status, status, unusable(Reason.INVALID_SPEC, str(error)))
            return Done()
        try:
            converted = self._converted(resource, spec)
        except _Missing as missing:
            findings = unusable(missing.reason, missing.message)
            self._tell_once(resource, status, missing.reason, missing.message)
            self._write(resource, status, status, findings)
            return After(POLL_SECONDS)
        this = _Round({})
        for number in range(ROUNDS):
            session, observed, known = self._observe(resource, spec, converted, this)
            plan = decide(converted, resource.uid, observed)
            if plan.idle or spec.paused or number == ROUNDS - 1 or this.retry is not None or this.failures:
                break
            resource = self._objects.set_finalizer(resource, True)
            self._act(resource, plan, session, known, this)
        findings, told = report(status, converted, observed, plan, resource.uid, paused=spec.paused)
        if converted.problems:
            self._tell_once(resource, status, Reason.INVALID_COMPOSE, findings.valid.message)
        for text in sorted({*plan.conflicts.values(), *this.failures.values()}):
            self._tell_once(resource, status, findings.applied.reason, text)
        self._write(resource, status, told, findings)
        return self._next(spec, plan, this)

    def _next(self, spec: SwarmStackSpec, plan: Plan, this: _Round) -> Outcome:
        """When to look again. The news of services, of the cluster and of edits come by themselves."""
        if this.retry is not None:
            return Retry(this.retry.message, this.retry.retry_after or 0.0)
        if this.busy or (not plan.idle and not spec.paused and not this.failures):
            return After(NETWORK_SECONDS)
        taken = spec.compose_from is not None or spec.env_from or any(entry.value_from is not None for entry in spec.env)
        return After(POLL_SECONDS) if taken or plan.leaving or plan.conflicts or this.failures else Done()

    # -- gather

    def _converted(self, resource: Resource, spec: SwarmStackSpec) -> Converted:
        """The file as services and networks. Raises _Missing."""
        text = (
            spec.compose
            if spec.compose_from is None
            else self._text(resource, spec.compose_from.config_map_key_ref.name, spec.compose_from.config_map_key_ref.key)
        )
        variables: dict[str, str] = {}
        for source in spec.env_from:
            content = self._config_map(resource, source.config_map_ref.name)
            variables |= {key: value.decode("utf-8", "replace") for key, value in content.items() if _VARIABLE.fullmatch(key)}
        for entry in spec.env:
            ref = entry.value_from.config_map_key_ref if entry.value_from is not None else None
            variables[entry.name] = entry.value if ref is None else self._text(resource, ref.name, ref.key)
        base = {
            "clusterRef": {"name": spec.cluster_ref.name},
            **({"imagePullSecrets": [{"name": entry.name} for entry in spec.image_pull_secrets]} if spec.image_pull_secrets else {}),
            **({"imagePolicy": spec.image_policy.to_manifest()} if spec.image_policy.resolve != "Never" else {}),
        }
        configs = {name: entry.config_map_ref.to_manifest() for name, entry in spec.configs.items()}
        secrets = {name: entry.secret_ref.to_manifest() for name, entry in spec.secrets.items()}
        name = resource.key.name
        return convert(text or "", StackInput(spec.stack_name or name, name, base, variables, configs, secrets))

    def _text(self, resource: Resource, name: str, key: str) -> str:
        content = self._config_map(resource, name)
        if key not in content:
            raise _Missing(Reason.CONFIG_MAP_NOT_FOUND, f"ConfigMap {name!r} has no key {key!r}")
        try:
            return content[key].decode()
        except UnicodeDecodeError:
            raise _Missing(Reason.INVALID_COMPOSE, f"key {key!r} of ConfigMap {name!r} is not UTF-8 text") from None

    def _config_map(self, resource: Resource, name: str) -> dict[str, bytes]:
        try:
            found = self._objects.get_config_map(resource.key.namespace, name)
        except ExternalError as error:
            if error.kind is ErrorKind.FORBIDDEN:
                raise _Missing(Reason.FORBIDDEN, f"the operator may not read ConfigMap {name!r}") from error
            raise
        if found is None:
            raise _Missing(Reason.CONFIG_MAP_NOT_FOUND, f"there is no ConfigMap {name!r} in namespace {resource.key.namespace!r}")
        return found

    def _observe(
        self, resource: Resource, spec: SwarmStackSpec, converted: Converted, this: _Round
    ) -> tuple[ClusterSession | None, Observed, dict[str, Resource]]:
        owned = {found.key.name: found for found in self._objects.dependents.list(resource)}
        foreign = set()
        for service in converted.services:
            if service.object_name in owned:
                continue
            other = self._objects.get(Key("SwarmService", resource.key.namespace, service.object_name))
            if other is None:
                continue
            if resource.uid in other.owners:
                owned[service.object_name] = other  # somebody took our label off
            else:
                foreign.add(service.object_name)
        session, swarm = self._swarm(resource, spec, converted)
        return (
            session,
            Observed(
                tuple(map(component, owned.values())), frozenset(foreign), swarm, dict(this.failures), this.retry.message if this.retry is not None else ""
            ),
            owned,
        )

    def _swarm(self, resource: Resource, spec: SwarmStackSpec, converted: Converted) -> tuple[ClusterSession | None, Fact[Swarm]]:
        cluster = Key("SwarmCluster", resource.key.namespace, spec.cluster_ref.name)
        self._sessions.await_cluster(cluster, resource.key)
        session = self._sessions.get(cluster)
        if session is None:
            if self._objects.get(cluster) is None:
                return None, Unknown(Reason.CLUSTER_NOT_FOUND, f"there is no SwarmCluster {cluster.name!r} in namespace {cluster.namespace!r}")
            return None, Unknown(Reason.CLUSTER_NOT_READY, f"SwarmCluster {cluster.name!r} has no reachable manager yet")
        try:
            return session, Known(swarm_of(session, {network.name for network in converted.networks}, resource.uid))
        except ExternalError as error:
            if error.system != "docker":
                raise
            return session, Unknown(error.reason, error.message)

    # -- act

    def _act(self, resource: Resource, plan: Plan, session: ClusterSession | None, known: dict[str, Resource], this: _Round) -> None:
        """All that the plan says; one thing that fails keeps no other back, but nothing is removed in a round in which something could not be made."""
        if session is not None:
            self._make(resource, plan, session, this)
        for service in plan.apply:
            before = known.get(service.object_name)
            try:
                self._objects.dependents.apply(resource, service.object_name, service.spec, digest(service), before)
                verb = (Reason.CREATED, "created") if before is None else (Reason.UPDATED, "updated")
                self._objects.event(resource, verb[0], f"{verb[1]} SwarmService {service.object_name}")
            except ExternalError as error:
                self._note(error, service.object_name, f"services.{service.name}: {error.message}", this)
        if this.failures or this.retry is not None:
            return
        for leaving in plan.delete:
            self._objects.dependents.delete(known[leaving.name])
            self._objects.event(resource, Reason.DELETED, f"removed SwarmService {leaving.name}: it has left the compose file")
        if session is not None:
            self._unmake(resource, plan, session, this)

    def _make(self, resource: Resource, plan: Plan, session: ClusterSession, this: _Round) -> None:
        for network in plan.make:
            try:
                create_network(session, network, resource.uid)
                self._objects.event(resource, Reason.CREATED, f"created network {network.name}")
            except ExternalError as error:
                self._note(error, network.name, f"network {network.name}: {error.message}", this)

    def _unmake(self, resource: Resource, plan: Plan, session: ClusterSession, this: _Round) -> None:
        for network in plan.unmake:
            try:
                gone = remove_network(session, network.id)
            except ExternalError as error:
                this.retry = error
                return
            if gone and network.id not in self._removed:
                self._removed.add(network.id)
                self._objects.event(resource, Reason.DELETED, f"removed network {network.name}: nothing in the compose file needs it")
            this.busy = True  # a manager shows it until its own last task there has ended

    @staticmethod
    def _note(error: ExternalError, name: str, text: str, this: _Round) -> None:
        """What the author has to put right is a failure; all else is tried again."""
        if error.kind in (ErrorKind.INVALID, ErrorKind.FORBIDDEN) or error.reason is Reason.NAME_CONFLICT:
            this.failures[name] = text[:1024]
        elif error.kind is not ErrorKind.CONFLICT:  # it changed meanwhile: the next round sees it
            this.retry = error

    # -- status

    def _write(self, resource: Resource, previous: SwarmStackStatus, status: SwarmStackStatus, findings: Findings) -> None:
        told = document(previous, status, findings, resource.generation, self._clock.now())
        self._objects.apply_status(resource, told.to_manifest())

    def _tell_once(self, resource: Resource, previous: SwarmStackStatus, reason: Reason, message: str) -> None:
        if not any(message[:200] in condition.message for condition in previous.conditions if condition.type in ("Ready", "Stalled")):
            self._objects.event(resource, reason, message[:1000], warning=True)


def component(resource: Resource) -> Component:
    """A SwarmService as the decision sees it."""
    status = parse_service_status(resource.status)
    by_type = {condition.type: condition for condition in status.conditions}
    ready, stalled = by_type.get("Ready"), by_type.get("Stalled")
    current = status.observed_generation == resource.generation and ready is not None
    return Component(
        resource.key.name,
        resource.spec,
        resource.annotations.get(APPLIED_DIGEST, ""),
        resource.deleting,
        ready.status if ready is not None and current else "Unknown",
        ready.reason if ready is not None and current else Reason.PROGRESSING.value,
        ready.message if ready is not None and current else "the operator has not looked at its present spec yet",
        current and stalled is not None and stalled.status == "True",
    )
